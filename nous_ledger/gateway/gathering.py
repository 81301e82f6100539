"""Work of many calls handed to the ledger in one go.

A transaction costs much the same whatever it holds, and more than a call should: so what
calls have to write waits until the transaction before is durable, and then for as long as
work of other calls keeps coming, at most some milliseconds. A call that is alone never
waits, and where calls are few and far between each waits no longer than a blink.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.work import Work
from nous_ledger.protocol.errors import LedgerError

PAUSE_S: Final = 0.002
"""Seconds in which nothing came after which no more is waited for."""
MAX_PAUSES: Final = 5
"""Longest wait for the work of other calls, in such pauses."""

_UNSETTLED: Final = object()


class Reply:
    """What becomes of one piece of work, told in the thread of its event loop.

    Who waits may be cancelled; what was handed to the ledger cannot be taken back.
    """

    __slots__ = ("future", "loop", "on_settled", "outcome")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have no outcome yet."""
        self.loop: asyncio.AbstractEventLoop | None = loop
        self.on_settled: Callable[[], None] | None = None
        self.future: asyncio.Future[None] = loop.create_future()
        self.outcome: object = _UNSETTLED

    def settle(self, outcome: object) -> None:
        """Keep the outcome and wake who waits for it."""
        self.outcome = outcome
        if not self.future.done():
            self.future.set_result(None)
        if self.on_settled is not None:
            self.on_settled()

    async def wait(self) -> None:
        """Return once the work is durable, or raise its error; a cancellation comes after it."""
        cancelled: asyncio.CancelledError | None = None
        while self.outcome is _UNSETTLED:
            try:
                await self.future
            except asyncio.CancelledError as error:
                cancelled = error
                self.future = asyncio.get_running_loop().create_future()
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if cancelled is not None:
            raise cancelled


class Gathering:
    """Takes the work of the calls of one event loop and hands it over in groups."""

    def __init__(self, ledger: Ledger, under_way: Callable[[], int]) -> None:
        """Hold nothing yet.

        Args:
            ledger: what makes work durable.
            under_way: how many calls there are, those that wait among them.
        """
        self._ledger = ledger
        self._under_way = under_way
        self._waiting: list[tuple[Work, Reply]] = []
        self._committing = False
        self._timer: asyncio.TimerHandle | None = None
        self._pauses = 0
        self._seen = 0  # pieces of work that waited when the last pause began

    def send(self, work: Work) -> Reply:
        """Take work in and return where its outcome will be; call it in the loop's thread."""
        loop = asyncio.get_running_loop()
        reply = Reply(loop)
        self._waiting.append((work, reply))
        if not self._committing:
            self._gather(loop)
        return reply

    def _gather(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over what waits: at once if no other call could add to it, else soon."""
        waiting = len(self._waiting)
        if waiting >= self._under_way():
            self._hand_over()
        elif self._timer is None:
            self._seen, self._pauses = waiting, 0
            self._timer = loop.call_later(PAUSE_S, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over what waits if nothing was added to it, or if it has waited for long."""
        seen, self._seen = self._seen, len(self._waiting)
        self._pauses += 1
        if self._seen == seen or self._pauses >= MAX_PAUSES:
            self._hand_over()
        else:
            self._timer = loop.call_later(PAUSE_S, self._look_again, loop)

    def _hand_over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        group, self._waiting = self._waiting, []
        if not group:
            return
        self._committing = True
        # Replies of one group are settled one after the other: the last one ends it.
        group[-1][1].on_settled = self._done
        try:
            self._ledger.send_all(group)
        except LedgerError as error:
            for _, reply in group:
                reply.settle(again(error))

    def _done(self) -> None:
        self._committing = False
        if self._waiting:
            self._gather(asyncio.get_running_loop())


def again(error: LedgerError) -> LedgerError:
    """Return an error that one caller can raise while others raise theirs."""
    return type(error)(error.code, error.message, hint=error.hint, **error.attrs)
