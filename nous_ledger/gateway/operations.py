"""What an operator asks a gateway: does it live, is it ready, how does it do.

    GET /healthz   200 while calls are answered, 503 while they are refused; for anybody
    GET /readyz    200 while new calls should be sent here
    GET /metrics   counts and times for Prometheus

The last two need an operator token (`authorization: Bearer …`) where such tokens are
configured, which they must be on other addresses than loopback.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nous_ledger.gateway.heads import Heads
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.metrics import CONTENT_TYPE, Metrics
from nous_ledger.gateway.read_api import error_response
from nous_ledger.gateway.stream_audit import StreamAuditApi
from nous_ledger.protocol.errors import LedgerError

_NOT_STORED: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Operations:
    """Answers operators.

    Attributes:
        ready: the gateway has started and is not about to end.
    """

    def __init__(
        self,
        journal: Journal,
        heads: Heads,
        metrics: Metrics,
        streams: StreamAuditApi,
        tokens: frozenset[bytes],
    ) -> None:
        """Tell of one gateway.

        Args:
            journal: the ledger.
            heads: how witnesses stand.
            metrics: what was counted.
            streams: the audit of streams.
            tokens: SHA-256 of each token that is let in; empty to let everybody in.
        """
        self._journal = journal
        self._heads = heads
        self._metrics = metrics
        self._streams = streams
        self._tokens = tokens
        self.ready = False

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/healthz", self.health),
            Route("/readyz", self.readiness),
            Route("/metrics", self.metrics),
        ]

    async def health(self, _: Request) -> Response:
        """Say whether calls are answered, and whether there is a gap in the log."""
        journal = self._journal
        content: dict[str, Any] = {"status": journal.state}
        try:
            content["leaf_count"] = await journal.read(journal.ledger.leaf_count)
        except LedgerError as error:
            content = {"status": "ledger-unreadable", "error": error.code}
        if gap := journal.gap_report():
            content["gap"] = gap
        if witnesses := self._heads.witnesses:
            content["witnesses"] = {report.name: report.state for report in witnesses}
        answers = content["status"] in ("ok", "gap")
        return JSONResponse(content, 200 if answers else 503, headers=_NOT_STORED)

    async def readiness(self, request: Request) -> Response:
        """Say whether new calls should be sent here."""
        if not self._may_ask(request):
            return _unknown()
        journal = self._journal
        reasons = [] if self.ready else ["not-started"]
        if journal.state not in ("ok", "gap"):
            reasons.append(journal.state)
        if (refusal := journal.ledger.refusal) is not None:
            reasons.append(refusal.code)
        content = {"ready": not reasons, "reasons": reasons}
        return JSONResponse(content, 503 if reasons else 200, headers=_NOT_STORED)

    async def metrics(self, request: Request) -> Response:
        """Give what was counted."""
        if not self._may_ask(request):
            return _unknown()
        journal = self._journal
        gauges: dict[str, tuple[str, float]] = {
            "nous_ledger_ledger_writable": ("1 if the last write succeeded.", journal.healthy),
            "nous_ledger_receipts_waiting": ("Receipts not written yet.", journal.waiting),
        }
        try:
            count = await journal.read(journal.ledger.leaf_count)
            gauges["nous_ledger_leaf_count"] = ("Records in the log.", count)
        except LedgerError:  # then the number is not known, and not zero
            gauges["nous_ledger_ledger_writable"] = ("1 if the last write succeeded.", 0)
        gauges |= self._streams.gauges()
        text = self._metrics.render(gauges)
        return Response(text, headers={**_NOT_STORED, "content-type": CONTENT_TYPE})

    def _may_ask(self, request: Request) -> bool:
        if not self._tokens:
            return True
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(token.strip().encode("latin-1")).digest()
        return scheme.lower() == "bearer" and digest in self._tokens


def _unknown() -> Response:
    response = error_response(401, "operator-token", "this is for operators only", "")
    response.headers["www-authenticate"] = "Bearer"
    return response
