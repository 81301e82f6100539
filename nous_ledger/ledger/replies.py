"""How a caller hears what became of its work: a thread that waits, a future, an event loop."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Protocol

from nous_ledger.ledger.work import Outcome

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # its import takes as long as all of the ledger's

_log: Final = logging.getLogger("nous_ledger.ledger.replies")


_NOBODY: Final[deque[ThreadReply]] = deque()


class Reply(Protocol):
    """Where the outcome of one piece of work goes.

    Attributes:
        loop: the event loop in whose thread it is to be settled; None for any thread.
    """

    loop: AbstractEventLoop | None

    def settle(self, outcome: Outcome) -> None:
        """Hand over a result, or an error that the caller is to raise; called once."""


class ThreadReply:
    """For a thread that does nothing else until its work is done.

    Threads that were all woken at once would fight for the interpreter, which one of
    them can have. So each wakes the next as soon as it runs itself.

    Attributes:
        outcome: what became of the work.
        others: replies of the threads that are woken after this one.
    """

    __slots__ = ("_done", "loop", "others", "outcome")

    def __init__(self) -> None:
        """Have no outcome yet."""
        self.loop: AbstractEventLoop | None = None
        self.outcome: Outcome = None
        self.others = _NOBODY
        self._done = threading.Lock()
        self._done.acquire()

    def settle(self, outcome: Outcome) -> None:
        """Keep the outcome and wake the thread."""
        self.outcome = outcome
        self.wake()

    def wake(self) -> None:
        """Wake the thread, whose outcome is there."""
        self._done.release()

    def wait(self) -> Any:  # noqa: ANN401 - the kind of work says what it is
        """Return the result once it is there, or raise the error."""
        self._done.acquire()
        wake_next(self.others)
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def wake_next(threads: deque[ThreadReply]) -> bool:
    """Wake the first of some threads; return whether there was one."""
    try:
        first = threads.popleft()
    except IndexError:
        return False
    first.wake()
    return True


class FutureReply:
    """For a caller that does something else meanwhile."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        """Make the future; work that was taken in can no longer be cancelled."""
        self.loop: AbstractEventLoop | None = None
        self.future: Future[Any] = Future()
        self.future.set_running_or_notify_cancel()

    def settle(self, outcome: Outcome) -> None:
        """Settle the future."""
        if isinstance(outcome, BaseException):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


def settle_all(pairs: Iterable[tuple[Reply, Outcome]]) -> deque[ThreadReply]:
    """Give each reply its outcome, those of one event loop by one call to its thread.

    Returns:
        Threads that wait for each other to be woken. One that Ctrl-C ended wakes nobody:
        so whoever called this wakes what is left after a while.
    """
    threads: deque[ThreadReply] = deque()
    by_loop: dict[AbstractEventLoop, list[tuple[Reply, Outcome]]] = {}
    for pair in pairs:
        reply, outcome = pair
        if reply.loop is not None:
            own = by_loop.get(reply.loop)
            if own is None:
                own = by_loop[reply.loop] = []
            own.append(pair)
        elif isinstance(reply, ThreadReply):
            reply.outcome, reply.others = outcome, threads
            threads.append(reply)
        else:
            _settle_here((pair,))
    wake_next(threads)
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_here, own)
        except RuntimeError:  # the loop was closed: nobody waits there any more
            continue
    return threads


def _settle_here(pairs: Iterable[tuple[Reply, Outcome]]) -> None:
    """Settle replies; whatever the callbacks of one do, the others get theirs."""
    for reply, outcome in pairs:
        try:
            reply.settle(outcome)
        except BaseException:  # noqa: BLE001 - even one that wants to end its thread
            _log.exception("a callback failed")
