"""What all calls of one gateway share.

Spec:
    PROTOCOL.md LBL-5, BND-1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from nous_ledger.gateway.bounds import Bounder, CallNotes
from nous_ledger.gateway.drains import Drains
from nous_ledger.gateway.exact import Recounter
from nous_ledger.gateway.identity import Pseudonyms
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.logs import CallLog
from nous_ledger.gateway.metering import Metered
from nous_ledger.gateway.paths import MAX_PATH_BYTES, CallShape
from nous_ledger.gateway.providers import Upstream
from nous_ledger.gateway.recording import Recorder
from nous_ledger.gateway.upstream import Egress, Limits, Pool
from nous_ledger.protocol.receipt import Receipt

_MAX_SHAPES: Final = 512
"""Paths that are remembered, each of at most some thousand bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all calls of one gateway share.

    Attributes:
        journal: the ledger.
        pseudonyms: of callers.
        session: connections to upstreams of the configuration.
        checked_session: to those that callers name.
        limits: bounds of one call.
        drains: calls that are read on although their client hung up.
        egress: how upstreams are reached.
        recorder: keeps the content of calls; None to keep none.
        shapes: what was found of paths, by route, base URL, method and path.
        unmetered: calls that are not metered are forwarded, whatever their method.
        log: where calls that are over are logged.
        recounter: counts answers again; None for bounds by their bytes alone.
        bounder: bounds what cannot be counted; None likewise.
    """

    journal: Journal
    pseudonyms: Pseudonyms
    session: Pool
    checked_session: Pool
    limits: Limits
    drains: Drains
    egress: Egress = field(default_factory=Egress)
    recorder: Recorder | None = None
    shapes: dict[tuple[str, str, str, str], CallShape | None] = field(default_factory=dict)
    unmetered: bool = True
    log: CallLog = field(default_factory=CallLog)
    recounter: Recounter | None = None
    bounder: Bounder | None = None

    async def label(
        self, metered: Metered, draft: Receipt, status: int, notes: CallNotes
    ) -> Metered:
        """Return what was metered with the labels that its evidence allows.

        Args:
            metered: what the meter found.
            draft: the call's receipt as it was begun.
            status: how the call ended.
            notes: what bounds what cannot be counted.
        """
        output = metered.output
        if self.recounter is not None and output is not None and output.text is not None:
            metered = await self.recounter.label(metered, draft, status)
        if self.bounder is not None:
            metered = await self.bounder.label(metered, draft, status, notes)
        return metered

    def shape(self, upstream: Upstream, method: str, path: str) -> CallShape | None:
        """Return what a call is, as `Upstream.shape`; few paths are asked for again and again."""
        key = (upstream.route.name, upstream.base_url, method, path)
        try:
            return self.shapes[key]
        except KeyError:
            shape = upstream.shape(method, path)
        if len(path) > MAX_PATH_BYTES:
            return shape
        if len(self.shapes) >= _MAX_SHAPES:
            self.shapes.clear()
        self.shapes[key] = shape
        return shape
