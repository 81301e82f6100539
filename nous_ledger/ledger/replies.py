"""How a caller hears what became of its work: a thread that waits, a future, an event loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final, Protocol

from nous_ledger.ledger.sequencer import Outcome

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop  # its import takes as long as all of the ledger's

_log: Final = logging.getLogger("nous_ledger.ledger.replies")


class Reply(Protocol):
    """Where the outcome of one piece of work goes.

    Attributes:
        loop: the event loop in whose thread it is to be settled; None for any thread.
    """

    loop: AbstractEventLoop | None

    def settle(self, outcome: Outcome) -> None:
        """Hand over a result, or an error that the caller is to raise; called once."""


class ThreadReply:
    """For a thread that does nothing else until its work is done."""

    __slots__ = ("_done", "_outcome", "loop")

    def __init__(self) -> None:
        """Have no outcome yet."""
        self.loop: AbstractEventLoop | None = None
        self._outcome: Outcome = None
        self._done = threading.Lock()
        self._done.acquire()

    def settle(self, outcome: Outcome) -> None:
        """Keep the outcome and wake the thread."""
        self._outcome = outcome
        self._done.release()

    def wait(self) -> Any:  # noqa: ANN401 - the kind of work says what it is
        """Return the result once it is there, or raise the error."""
        self._done.acquire()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


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


def settle_all(pairs: Iterable[tuple[Reply, Outcome]]) -> None:
    """Give each reply its outcome, those of one event loop by one call to its thread."""
    by_loop: dict[AbstractEventLoop, list[tuple[Reply, Outcome]]] = {}
    for reply, outcome in pairs:
        if reply.loop is None:
            _settle(reply, outcome)
        else:
            by_loop.setdefault(reply.loop, []).append((reply, outcome))
    for loop, own in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_here, own)
        except RuntimeError:  # the loop was closed: nobody waits there any more
            continue


def _settle_here(pairs: Iterable[tuple[Reply, Outcome]]) -> None:
    for reply, outcome in pairs:
        _settle(reply, outcome)


def _settle(reply: Reply, outcome: Outcome) -> None:
    """Settle one reply; whatever its callbacks do, the others get theirs."""
    try:
        reply.settle(outcome)
    except BaseException:  # noqa: BLE001 - even one that wants to end its thread
        _log.exception("a callback failed")
