"""The ledger for a program that must not wait for a disk.

Calls block threads, not the event loop; the ledger gathers what waits at the
same time into one transaction. What was promised is durable when a call returns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from uuid import UUID

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import Hash32

T = TypeVar("T")

_log: Final = logging.getLogger("nous_ledger.gateway")
_WRITERS: Final = 32
"""Calls that can wait for the same commit; further ones wait for a thread."""
_READERS: Final = 4


def close_open_calls(ledger: Ledger) -> int:
    """Append a receipt for every call that an earlier gateway left open; return how many.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
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
        self._writers = ThreadPoolExecutor(_WRITERS, "nous-gateway-write")
        self._readers = ThreadPoolExecutor(_READERS, "nous-gateway-read")
        self._in_flight: dict[bytes, asyncio.Event] = {}

    async def begin(self, draft: Receipt, opening_hash: Hash32) -> None:
        """Make a call's intent durable; nothing may be forwarded before.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        await self._write(lambda: self.ledger.begin_call(draft, opening_hash=opening_hash))
        self._in_flight[draft.id] = asyncio.Event()

    async def settle(
        self, receipt: Receipt, opening_hash: Hash32, raw_usage: tuple[bytes, ...]
    ) -> None:
        """Append a call's receipt; it is durable when this returns.

        If it cannot be written, that is logged and the intent stays: the next
        start makes a receipt of it. The call itself has happened.
        """
        try:
            await self._write(
                lambda: self.ledger.append_receipt(
                    receipt, opening_hash=opening_hash, raw_usage=raw_usage
                )
            )
        except LedgerError as error:
            _log.error("receipt %s was not written: %s", UUID(bytes=receipt.id), error.code)
        finally:
            if (event := self._in_flight.pop(receipt.id, None)) is not None:
                event.set()

    async def keep_heads(self) -> None:
        """Sign heads as often as the log promised, until cancelled."""
        while True:
            try:
                await self._write(self.ledger.head)
            except LedgerError as error:
                _log.error("no head could be signed: %s", error.code)
            await asyncio.sleep(self.ledger.head_interval_s)

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
        """Let the threads finish what they were asked to do."""
        await asyncio.to_thread(self._writers.shutdown)
        await asyncio.to_thread(self._readers.shutdown)

    async def _write(self, work: Callable[[], T]) -> T:
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._writers, work)
        except LedgerError:
            self.healthy = False
            raise
        self.healthy = True
        return result
