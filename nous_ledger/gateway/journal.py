"""The ledger for a program that must not wait for a disk.

Nothing here blocks the event loop; the ledger gathers what waits at the same
time into one transaction. What was promised is durable when a call returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar
from uuid import UUID

from nous_ledger.ledger import Appended, Ledger
from nous_ledger.protocol.errors import LedgerError, UnavailableError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import Hash32

T = TypeVar("T")

_log: Final = logging.getLogger("nous_ledger.gateway")
_READERS: Final = 4
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
        _log.warning("receipt %s: the gateway ended during this call", UUID(bytes=intent.draft.id))
    return len(intents)


class Journal:
    """Writes intents and receipts, and reads what is served.

    Attributes:
        ledger: the ledger itself, for what needs no disk (origin, pseudonyms).
        healthy: the last write succeeded.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Start over an open ledger; `close` ends the threads, not the ledger."""
        self.ledger = ledger
        self.healthy = True
        self._readers = ThreadPoolExecutor(_READERS, "nous-gateway-read")
        self._in_flight: dict[bytes, asyncio.Event] = {}
        self._late: dict[bytes, Callable[[], Future[Appended]]] = {}

    async def begin(self, draft: Receipt, opening_hash: Hash32) -> None:
        """Make a call's intent durable; nothing may be forwarded before.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        await self._durable(lambda: self.ledger.submit_call(draft, opening_hash=opening_hash))
        self._in_flight[draft.id] = asyncio.Event()

    async def settle(
        self, receipt: Receipt, opening_hash: Hash32, raw_usage: tuple[bytes, ...]
    ) -> None:
        """Append a call's receipt; it is durable when this returns.

        If it cannot be written, that is logged and tried again until it can, for
        as long as the gateway runs. Then the intent stays, and the next start makes
        a receipt of it.
        """

        def submit() -> Future[Appended]:
            return self.ledger.submit_receipt(
                receipt, opening_hash=opening_hash, raw_usage=raw_usage
            )

        try:
            await self._durable(submit)
        except LedgerError as error:
            _log.error("receipt %s is not written yet: %s", UUID(bytes=receipt.id), error.code)
            if isinstance(error, UnavailableError):
                self._late[receipt.id] = submit
        finally:
            if (event := self._in_flight.pop(receipt.id, None)) is not None:
                event.set()

    async def keep_writing(self) -> None:
        """Write what is late as soon as it can be written, until cancelled."""
        while True:
            await self._write_late()
            await asyncio.sleep(_RETRY_S)

    async def _write_late(self) -> None:
        for receipt_id, submit in tuple(self._late.items()):
            try:
                await self._durable(submit)
            except UnavailableError:
                return
            except LedgerError as error:
                _log.error("receipt %s was not written: %s", UUID(bytes=receipt_id), error.code)
            del self._late[receipt_id]

    async def settled(self, receipt_id: bytes, timeout_s: float) -> None:
        """Wait until a call in flight has its receipt, at most for the time given."""
        event = self._in_flight.get(receipt_id)
        if event is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await event.wait()
            except TimeoutError:
                return

    async def read(self, work: Callable[[], T]) -> T:
        """Run a read of the ledger in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def close(self) -> None:
        """Write what is late if it can be written now, and end the threads."""
        await self._write_late()
        await asyncio.to_thread(self._readers.shutdown)

    async def _durable(self, submit: Callable[[], Future[T]]) -> None:
        """Hand work to the ledger and wait until it is durable.

        Whoever waits may be cancelled; the work may not, so it is waited for.
        """
        try:
            work = asyncio.wrap_future(submit())
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                await work
                raise
        except LedgerError:
            self.healthy = False
            raise
        self.healthy = True
