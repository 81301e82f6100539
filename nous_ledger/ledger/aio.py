"""The ledger for asyncio: nothing here blocks the event loop.

    async with await AsyncLedger.open("ledger") as ledger:
        logged = await ledger.append(draft)
        proof = await ledger.prove(logged.index)

Appends of all tasks gather in one group commit. Reads run in a few threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.ledger import Ledger
from nous_ledger.ledger.model import Appended, Entry
from nous_ledger.ledger.work import Outcome, Work
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import Hash32

T = TypeVar("T")
_READERS: Final = 4


class AsyncLedger:
    """The methods of a ledger that an event loop may await; errors are the same.

    A task that is cancelled while it waits for an append does not take it back: what
    was taken in is logged.

    Attributes:
        ledger: the ledger itself, for what needs no disk (origin, pseudonyms).
    """

    def __init__(self, ledger: Ledger) -> None:
        """Serve an open ledger; `close` closes it."""
        self.ledger = ledger
        self._threads = ThreadPoolExecutor(_READERS, "nous-ledger-read")

    @classmethod
    async def open(cls, folder: Path | str, **options: Any) -> Self:  # noqa: ANN401
        """Return the ledger in a folder; arguments and errors are those of `Ledger.open`."""
        return cls(await asyncio.to_thread(Ledger.open, folder, **options))

    async def append(
        self,
        draft: Receipt,
        *,
        opening_hash: bytes | None = None,
        raw_usage: Sequence[bytes] = (),
    ) -> Appended:
        """Log one receipt and return it once it is durable, as `Ledger.append`."""
        work = self.ledger.append_work(draft, opening_hash=opening_hash, raw_usage=raw_usage)
        appended: Appended = await self._send(work)
        return appended

    async def append_many(self, drafts: Sequence[Receipt]) -> tuple[Appended, ...]:
        """Log some receipts in one transaction, all or none, as `Ledger.append_many`."""
        return await self.run(self.ledger.append_many, tuple(drafts))

    async def begin_call(self, draft: Receipt, *, opening_hash: bytes | None = None) -> None:
        """Note durably that a call was admitted, as `Ledger.begin_call`."""
        await self._send(self.ledger.call_work(draft, opening_hash=opening_hash))

    async def head(self) -> bytes:
        """Return a signed head over every record, as `Ledger.head`."""
        return await self.run(self.ledger.head)

    async def prove(
        self, index: int, head: bytes | None = None, *, with_body: bool = True
    ) -> bytes:
        """Return a `.tlog-proof` file for one record, as `Ledger.prove`."""
        return await self.run(partial(self.ledger.prove, index, head, with_body=with_body))

    async def consistency(self, old: int, new: int) -> tuple[Hash32, ...]:
        """Return the proof that one tree extends another, as `Ledger.consistency`."""
        return await self.run(self.ledger.consistency, old, new)

    async def read(self, leaves: range) -> tuple[Entry, ...]:
        """Return records and bodies of some leaves, as `Ledger.read`."""
        return await self.run(self.ledger.read, leaves)

    async def find_receipt(self, receipt_id: bytes) -> Entry | None:
        """Return the entry of a receipt, or None, as `Ledger.find_receipt`."""
        return await self.run(self.ledger.find_receipt, receipt_id)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:  # noqa: ANN401
        """Return what any other method of the ledger returns; it runs in a thread."""
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._threads, partial(work, *arguments))
        except RuntimeError as error:
            raise LedgerUseError("closed", "the ledger was closed") from error
        return await running

    async def close(self) -> None:
        """Finish what was submitted, then close; a second call does nothing."""
        await asyncio.to_thread(self.ledger.close)
        await asyncio.to_thread(self._threads.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def _send(self, work: Work) -> asyncio.Future[Any]:
        """Return the future result of some work; no coroutine, which each append would wake."""
        reply = _LoopReply(asyncio.get_running_loop())
        self.ledger.send(work, reply)
        return reply.future


class _LoopReply:
    """For a task: the future of its event loop, settled in the loop's own thread."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the future."""
        self.loop: asyncio.AbstractEventLoop | None = loop
        self.future: asyncio.Future[Any] = loop.create_future()

    def settle(self, outcome: Outcome) -> None:
        """Settle the future, unless its task was cancelled meanwhile."""
        if self.future.done():
            return
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)
