"""What streams of receipts show, for readers and for Prometheus; never in the way of calls.

The audit follows the durable log in a thread of its own, when somebody asks: a gateway
that nobody asks does nothing for it. What it came to is kept beside the ledger, so the
next start goes on from there, with the same bits.

Spec:
    PROTOCOL.md, section "Stream audit", AUD-3, AUD-11, AUD-14, AUD-15.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nous_ledger.gateway.http_errors import PRIVATE, HttpError
from nous_ledger.gateway.read_rights import ReadRights
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.stream_follower import StreamFollower
from nous_ledger.protocol.audit_report import SUMMARY, summary_to_json
from nous_ledger.protocol.errors import LedgerError

_log: Final = logging.getLogger("nous_ledger.gateway")

KEPT_NAME: Final = "streams.json"
"""Name of the kept state in the ledger's folder; it may be deleted at any time."""
PATIENCE_S: Final = 10.0
"""How long a question waits for the audit; a long log is read once."""
KEEP_S: Final = 60.0
"""Longest time between two states that are kept while the log grows."""

T = TypeVar("T")


class StreamAuditApi:
    """Answers what streams show, from one ledger."""

    def __init__(
        self, ledger: Ledger, rights: ReadRights, *, patience_s: float = PATIENCE_S
    ) -> None:
        """Audit the streams of a ledger; nothing is read before the first question.

        Args:
            ledger: the ledger.
            rights: who may see what others used.
            patience_s: seconds that a question waits for the audit.
        """
        self._ledger = ledger
        self._rights = rights
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, "nous-gateway-streams")
        self._follower: StreamFollower | None = None
        self._following: asyncio.Task[None] | None = None
        self._summary: Mapping[str, Any] = {}
        self._records = self._kept_records = 0
        self._kept_at = time.monotonic()

    async def stream_audit(self, request: Request) -> Response:
        """Give every number of the audit once it holds all that is durable now."""
        if not (self._rights.publish_usage or self._rights.is_auditor(request)):
            raise HttpError(
                403,
                "not-published",
                "this gateway does not publish what others used",
                "ask as an auditor, or start it with --publish-usage",
            )
        target = await self._run(self._ledger.leaf_count)
        try:
            async with asyncio.timeout(self._patience_s):
                while self._records < target:
                    await asyncio.shield(self._started())
        except TimeoutError:
            raise HttpError(
                503, "index-building", "the log is being read; ask again in a few seconds"
            ) from None
        return JSONResponse(await self._run(lambda: self._opened().to_json()), headers=PRIVATE)

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return what was known when the log was followed last, and follow it on.

        No name of a model or caller is among it.
        """
        self._started()
        found: dict[str, tuple[str, float]] = {
            f"nous_ledger_audit_{name}": (meaning, self._summary[name])
            for name, meaning in SUMMARY.items()
            if self._summary
        }
        found["nous_ledger_audit_records"] = ("Records that the audit has read.", self._records)
        return found

    async def close(self) -> None:
        """Keep what was found out, and end the thread."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._following
        with contextlib.suppress(LedgerError):
            await self._run(self._keep)
        self._thread.shutdown()

    def _started(self) -> asyncio.Task[None]:
        """Return the task that follows the log to its end, started if none runs."""
        if self._following is None or self._following.done():
            self._following = asyncio.create_task(self._follow())
            self._following.add_done_callback(_tell_failure)
        return self._following

    async def _follow(self) -> None:
        while await self._run(self._step):
            continue

    def _step(self) -> bool:
        follower = self._opened()
        more = follower.step()
        if not more and follower.upto != self._records:
            self._summary = summary_to_json(follower.streams)
        self._records = follower.upto
        if time.monotonic() - self._kept_at > KEEP_S:
            self._keep()
        return more

    def _keep(self) -> None:
        if self._follower is not None and self._follower.upto != self._kept_records:
            self._follower.keep()
            self._kept_records = self._follower.upto
        self._kept_at = time.monotonic()

    def _opened(self) -> StreamFollower:
        if self._follower is None:
            kept = self._ledger.folder / KEPT_NAME
            self._follower = StreamFollower(self._ledger, kept=kept)
            self._records = self._kept_records = self._follower.upto
            self._summary = summary_to_json(self._follower.streams)
        return self._follower

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _tell_failure(task: asyncio.Task[None]) -> None:
    """Say why the log could not be followed; who asks next tries again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.warning("the audit of streams could not go on: %s", error)
