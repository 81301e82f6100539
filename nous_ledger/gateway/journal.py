"""The ledger for a program that must not wait for a disk.

Nothing here blocks the event loop; the ledger gathers what waits at the same
time into one transaction. What was promised is durable when a call returns.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from nous_ledger.gateway.drafts import receipt_name
from nous_ledger.gateway.gap import Gap
from nous_ledger.gateway.gathering import Gathering
from nous_ledger.gateway.metrics import Metrics
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.work import Work
from nous_ledger.protocol.errors import LedgerError, UnavailableError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import Hash32

T = TypeVar("T")

_log: Final = logging.getLogger("nous_ledger.gateway")
_READERS: Final = 4
MAX_LATE: Final = 10_000
"""Receipts that may wait for the ledger; what comes then is given up, counted and logged."""
_RETRY_S: Final = 1.0
"""Seconds between two attempts to write what could not be written."""


def close_open_calls(ledger: Ledger) -> int:
    """Append a receipt for every call that an earlier gateway left open; return how many.

    Raises:
        LedgerError: the ledger cannot be read or written, or may not be extended.
    """
    if (refusal := ledger.refusal) is not None:
        raise refusal
    intents = ledger.open_intents()
    for intent in intents:
        ledger.append_receipt(intent.draft, opening_hash=intent.opening_hash)
        _log.warning(
            "receipt %s: the gateway ended during this call", receipt_name(intent.draft.id)
        )
    return len(intents)


class Journal:
    """Writes intents and receipts, and reads what is served.

    Attributes:
        ledger: the ledger itself, for what needs no disk (origin, pseudonyms).
        healthy: the last write succeeded.
        metrics: where writes are counted.
    """

    def __init__(
        self, ledger: Ledger, metrics: Metrics | None = None, *, fail_open: bool = False
    ) -> None:
        """Start over an open ledger; `close` ends the threads, not the ledger.

        Args:
            ledger: open for writing.
            metrics: where writes are counted.
            fail_open: calls are forwarded even if nothing can be written.
        """
        self.ledger = ledger
        self.healthy = True
        self.metrics = Metrics() if metrics is None else metrics
        self._fail_open = fail_open
        self._gap = Gap()
        self._readers = ThreadPoolExecutor(_READERS, "nous-gateway-read")
        self._in_flight: dict[bytes, asyncio.Event | None] = {}
        self._late: dict[bytes, Work] = {}
        self._gathering = Gathering(ledger, lambda: self.metrics.in_flight)

    @property
    def waiting(self) -> int:
        """How many receipts are not written yet although their calls are over."""
        return len(self._late)

    @property
    def state(self) -> str:
        """`ok`; `gap`: calls pass and nothing is written; or `ledger-unwritable`."""
        if self.healthy:
            return "ok"
        return "gap" if self._fail_open else "ledger-unwritable"

    def gap_report(self) -> dict[str, object] | None:
        """Return what is to be known of calls that passed without an intent, if any did."""
        if not self._gap.calls:
            return None
        return {**self._gap.report(), "receipts_waiting": self.waiting, "lost": self.metrics.lost}

    async def begin(self, draft: Receipt, opening_hash: Hash32) -> None:
        """Make a call's intent durable; nothing may be forwarded before.

        A gateway that fails open lets the call pass all the same. It is counted, and
        its receipt is written when that can be done; if the gateway dies first there
        is none.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        try:
            await self._durable(self.ledger.call_work(draft, opening_hash=opening_hash))
        except LedgerError as error:
            if not self._fail_open:
                raise
            self.metrics.fail_open += 1
            self._gap.widen(error)
        self._in_flight[draft.id] = None

    async def settle(
        self, receipt: Receipt, opening_hash: Hash32, raw_usage: tuple[bytes, ...]
    ) -> None:
        """Append a call's receipt; it is durable when this returns.

        If it cannot be written, that is logged and tried again until it can, for
        as long as the gateway runs. Then the intent stays, and the next start makes
        a receipt of it.
        """
        work: Work | None = None
        try:
            work = self.ledger.append_work(receipt, opening_hash=opening_hash, raw_usage=raw_usage)
            await self._durable(work)
        except LedgerError as error:
            _log.error("receipt %s is not written yet: %s", receipt_name(receipt.id), error.code)
            if work is None or not isinstance(error, UnavailableError):
                self.metrics.lost += 1
            elif len(self._late) < MAX_LATE:
                self._late[receipt.id] = work
            else:
                self._give_up(receipt.id, "too many wait")
        finally:
            if (event := self._in_flight.pop(receipt.id, None)) is not None:
                event.set()

    async def keep_writing(self) -> None:
        """Write what is late as soon as it can be written, until cancelled."""
        while True:
            await self._write_late()
            await asyncio.sleep(_RETRY_S)

    async def _write_late(self) -> None:
        for receipt_id, work in tuple(self._late.items()):
            try:
                await self._durable(work)
            except UnavailableError:
                return
            except LedgerError as error:
                self._give_up(receipt_id, error.code)
            del self._late[receipt_id]

    def _give_up(self, receipt_id: bytes, why: str) -> None:
        self.metrics.lost += 1
        _log.error("receipt %s was not written: %s", receipt_name(receipt_id), why)

    async def settled(self, receipt_id: bytes, timeout_s: float) -> None:
        """Wait until a call in flight has its receipt, at most for the time given."""
        if receipt_id not in self._in_flight:
            return
        event = self._in_flight[receipt_id] or asyncio.Event()
        self._in_flight[receipt_id] = event
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
        except TimeoutError:
            return

    async def read(self, work: Callable[[], T]) -> T:
        """Run a read of the ledger in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def close(self) -> None:
        """Write what is late if it can be written now, and end the threads.

        What is late and has an intent is written by the next start.
        """
        await self._write_late()
        if self._late:
            try:
                intents = await self.read(self.ledger.open_intents)
                promised = {intent.draft.id for intent in intents}
            except LedgerError:  # then nobody knows; what passed in a gap is counted as lost
                promised = set()
            for receipt_id in self._late.keys() - promised:
                self._give_up(receipt_id, "the gateway ends, and the call passed in a gap")
        await asyncio.to_thread(self._readers.shutdown)

    async def _durable(self, work: Work) -> None:
        """Hand work to the ledger and wait until it is durable.

        Whoever waits may be cancelled; the work may not, so it is waited for.
        """
        started = time.perf_counter()
        reply = self._gathering.send(work)
        try:
            try:
                await reply.future
            except asyncio.CancelledError:
                await reply.wait()
                raise
            if isinstance(reply.outcome, BaseException):
                raise reply.outcome
        except LedgerError:
            self.healthy = False
            raise
        self.metrics.write_seconds.add(time.perf_counter() - started)
        if not self.healthy:
            self.healthy = True
            self._gap.end()
