"""The audit of a nous-v2 gateway: what a round reads, and what it remembers.

The count and root of the last good round, the key, and each record's leaf and signature
are in the sentinel's state: the root is rebuilt at that count, so what was appended
meanwhile is no fault, and what was rewritten is one.

Spec:
    PROTOCOL.md, section "Auditing nous-v2" (WIT-19 to WIT-25).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from nous_ledger.protocol.errors import LegacyError, UnavailableError
from nous_ledger.protocol.legacy import LegacyPublicKey
from nous_ledger.protocol.types import LeafCount
from sentinel.audit.findings import Finding, Place
from sentinel.audit.legacy import LegacyAudit, LegacyOutcome
from sentinel.audit.legacy_memory import (
    LegacyChain,
    LegacyMemory,
    memory_from_json,
    memory_to_json,
)
from sentinel.audit.state import Totals
from sentinel.errors import StateError
from sentinel.legacy_gateway import LegacyGateway
from sentinel.legacy_records import RememberedRecords, pack
from sentinel.report import RoundReport
from sentinel.state import State
from sentinel.state_findings import Findings

AGAIN_S: Final = 1.0
ATTEMPTS: Final = 3
"""How often the chain is asked for again while it does not cover what was read, and when."""


def name_of(url: str) -> str:
    """Return what a gateway is called in the state: no log's origin has a space."""
    return f"nous-v2 {url.rstrip('/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyOptions:
    """How a gateway is audited.

    Attributes:
        key: its key, from elsewhere than the gateway; None to trust the first one seen.
        clock: this machine's time in seconds.
        progress: is told how many records of how many were read.
        wait: waits some seconds, and returns whether to end early.
    """

    key: LegacyPublicKey | None = None
    clock: Callable[[], float] = time.time
    progress: Callable[[int, int], None] = field(default=lambda _done, _total: None)
    wait: Callable[[float], bool] = field(default=lambda _seconds: False)


class LegacyWatcher:
    """One gateway, and what is remembered of it.

    Attributes:
        state: the file of what is remembered.
        gateway: where it is read.
    """

    def __init__(self, state: State, gateway: LegacyGateway, options: LegacyOptions) -> None:
        """Go on with what is remembered of a gateway, or begin.

        Raises:
            StateError: what is remembered could not be read.
        """
        self.state = state
        self.gateway = gateway
        self._options = options
        self._row = state.log(name_of(gateway.name), b"")
        self._memory = memory_from_json(self._row.state)
        self._records = RememberedRecords(state, self._row.number)
        self._findings = Findings(state, self._row.number)

    def round(self) -> RoundReport:
        """Look at the gateway once, and return how that went.

        Raises:
            StateError: what is to be remembered could not be written.
        """
        started, now, before = time.monotonic(), int(self._options.clock()), self._memory
        kept = bytearray()
        try:
            found, outcome = self._look(now, kept)
        except StateError:
            raise
        except UnavailableError as error:
            unread = Finding(place=Place.SOURCE, code="unreachable", message=error.message)
            found, outcome = [unread], None
        if outcome is not None:
            found += outcome.findings
            self._memory = outcome.memory
        established = outcome is not None and outcome.verified
        self._commit(found, kept if established else b"", now)
        return self._report(found, outcome, before, now, time.monotonic() - started)

    def _look(self, now: int, kept: bytearray) -> tuple[list[Finding], LegacyOutcome | None]:
        key, found = self._choose_key()
        if key is None:
            return found, None
        chain = self.gateway.chain()
        audit = LegacyAudit(self._memory, chain, key)
        for page in self.gateway.pages():
            known = self._records.read(audit.records, len(page), self._memory.leaf_count)
            kept += pack(audit.add(page, known))
            self._options.progress(audit.records, max(chain.leaf_count, audit.records))
        return found, audit.finish(self._chain_after(audit.records), now)

    def _chain_after(self, records: int) -> LegacyChain:
        """Return the chain after the last record; a record may be a moment ahead of it."""
        chain = self.gateway.chain()
        for _ in range(ATTEMPTS):
            if chain.leaf_count >= records or self._options.wait(AGAIN_S):
                break
            chain = self.gateway.chain()
        return chain

    def _choose_key(self) -> tuple[LegacyPublicKey | None, list[Finding]]:
        """Return the key to check with, and what is to be said about it."""
        pinned, found = self._options.key or self._memory.key, []
        try:
            stated = self.gateway.key()
        except (LegacyError, UnavailableError) as error:
            if pinned:
                return pinned, self._unpinned()
            text = f"the gateway's key could not be read: {error.message}"
            return None, [Finding(place=Place.SOURCE, code="unreachable", message=text)]
        if pinned and stated != pinned:
            text = "the gateway states another key than the one that is trusted"
            found = [Finding(place=Place.LEGACY, code="legacy-key-changed", message=text)]
        return pinned or stated, found + self._unpinned()

    def _unpinned(self) -> list[Finding]:
        if self._options.key:
            return []
        text = "the key was taken from the gateway itself when it was first audited"
        return [Finding(place=Place.LEGACY, code="unpinned", message=text)]

    def _commit(self, found: Iterable[Finding], kept: bytes | bytearray, now: int) -> None:
        memory = self._memory
        self._findings.add(found, now)
        with self.state.writing() as connection:
            self._records.write(kept, memory.leaf_count)
            connection.execute(
                "UPDATE logs SET state = ?, address = ? WHERE id = ?",
                (memory_to_json(memory), self.gateway.name, self._row.number),
            )
            self._findings.write()

    def _report(
        self,
        found: list[Finding],
        outcome: LegacyOutcome | None,
        before: LegacyMemory,
        now: int,
        took_s: float,
    ) -> RoundReport:
        memory = self._memory
        report = RoundReport(
            origin=self._row.origin,
            log_id=b"",
            address=self.gateway.name,
            at=now,
            took_s=took_s,
            leaf_count=LeafCount(memory.leaf_count),
            root=bytes.fromhex(memory.root),
            head_time=None,
            change=_change(outcome, before),
            audited=0 if outcome is None else outcome.records,
            new=memory.leaf_count - before.leaf_count,
            totals=Totals(receipts=memory.leaf_count),
            findings=tuple(found),
            open_findings=self._findings.open_count(),
        )
        with self.state.writing() as connection:
            connection.execute(
                "UPDATE logs SET round = ? WHERE id = ?",
                (json.dumps(report.to_json()), self._row.number),
            )
        return report


def _change(outcome: LegacyOutcome | None, before: LegacyMemory) -> str:
    if outcome is None or not outcome.verified:
        return ""
    return "grew" if outcome.memory.leaf_count > before.leaf_count else "unchanged"
