"""The usage index for asyncio: in step with the log, and never in the way of calls."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from nous_ledger.gateway.http_errors import HttpError
from nous_ledger.gateway.usage_index import UsageIndex
from nous_ledger.ledger import Ledger

T = TypeVar("T")

PATIENCE_S: Final = 10.0
"""How long a question waits for the index; a long log is read once after each start."""


class UsageFollower:
    """Keeps an index up to date when it is asked for, in a thread of its own."""

    def __init__(self, ledger: Ledger, *, patience_s: float = PATIENCE_S) -> None:
        """Follow a ledger; nothing is read before the first question.

        Args:
            ledger: the ledger.
            patience_s: seconds that a question waits for the index.
        """
        self._ledger = ledger
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, "nous-gateway-index")
        self._index: UsageIndex | None = None
        self._following: asyncio.Task[None] | None = None

    async def ask(self, question: Callable[[UsageIndex], T]) -> T:
        """Return the answer of the index once it holds all that is durable now.

        Args:
            question: is called with the index, in its thread.

        Raises:
            HttpError: 503, the log is long and was not read to its end in time.
            LedgerError: the ledger could not be read.
        """
        target = await self._run(self._ledger.leaf_count)
        try:
            async with asyncio.timeout(self._patience_s):
                while self._index is None or self._index.upto < target:
                    if self._following is None or self._following.done():
                        self._following = asyncio.create_task(self._follow())
                    await asyncio.shield(self._following)
        except TimeoutError:
            raise HttpError(
                503, "index-building", "the log is being read; ask again in a few seconds"
            ) from None
        return await self._run(lambda: question(self._opened()))

    async def read(self, work: Callable[[], T]) -> T:
        """Run a longer read of the ledger in the index's thread, one after the other."""
        return await self._run(work)

    async def close(self) -> None:
        """End the thread, and drop the index."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._following
        await self._run(self._drop)
        self._thread.shutdown()

    async def _follow(self) -> None:
        while await self._run(lambda: self._opened().step()):
            continue

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:  # of the temporary file alone
            raise HttpError(
                503, "index-unavailable", f"the index cannot be kept: {error}"
            ) from error

    def _opened(self) -> UsageIndex:
        if self._index is None:
            self._index = UsageIndex(self._ledger)
        return self._index

    def _drop(self) -> None:
        if self._index is not None:
            self._index.close()
            self._index = None
