"""Group commit: one thread that makes the work of many callers durable together.

A commit costs a sync of the disk whatever it holds. While one is under way, the
next work gathers in a bounded queue; then all of it goes into one transaction.
A caller gets its result only after the commit, and an error if the queue is full.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from nous_ledger.ledger.errors import LedgerUseError, StoreError
from nous_ledger.ledger.replies import FutureReply, Reply, ThreadReply, settle_all, wake_next
from nous_ledger.ledger.work import AppendWork, HeadWork, Outcome, Work
from nous_ledger.protocol.errors import InputError, LedgerError

MAX_WAITING: Final = 16_384
"""Receipts and other pieces of work that may wait; what comes then is refused."""
MAX_TOGETHER: Final = 512
"""Receipts after which a transaction takes no further work."""

HEAD_ROOM: Final = 256
"""Places that are kept for heads: those in one group share one signature."""

_LINGER_S: Final = 0.002
"""Longest wait for more of those that were in the last group."""
_LINGERS: Final = 5
"""Most such waits, while threads are being woken."""
_LARGE: Final = 16
"""Pieces of work of a group that is worth waiting for beside what came meanwhile."""

Run = Callable[[Sequence[Work]], list[Outcome]]
"""Does some work in one transaction and returns, once it is durable, what became of each."""

_Item = tuple[Work, Reply]


class GroupCommitter:
    """Takes work from any thread and runs it in groups on a thread of its own."""

    def __init__(self, run: Run, *, max_waiting: int = MAX_WAITING) -> None:
        """Serve a function that runs one transaction.

        Args:
            run: called by one thread at a time.
            max_waiting: receipts and other pieces of work that may wait.
        """
        self._run = run
        self._max_waiting = max_waiting
        self._lock = threading.Lock()  # over all that follows
        self._waiting: deque[_Item] = deque()
        self._weight = 0
        self._asleep = False
        self._gathered = False  # who sent what waits has waited for others already
        self._enough = 1
        self._wake = threading.Lock()  # a semaphore could be left locked by Ctrl-C
        self._wake.acquire()
        self._last = 0  # pieces of work in the last group
        self._meanwhile = 0  # what waited when that was done
        self._unwoken: deque[ThreadReply] = deque()  # of the last group
        self._thread: threading.Thread | None = None
        self._closed = False
        self._process = os.getpid()

    def submit(self, work: Work) -> Future[Any]:
        """Return the future result of some work; at once, without waiting.

        Raises:
            StoreError: overloaded, if too much work is waiting.
            LedgerUseError: closed, other-process.
        """
        reply = FutureReply()
        self.send(work, reply)
        return reply.future

    def do(self, work: Work) -> Any:  # noqa: ANN401 - the kind of work says what it is
        """Return the result of some work once it is durable.

        Raises:
            InputError: called by the thread that would have to do it, as a callback is.
            StoreError: overloaded, if too much work is waiting.
            LedgerUseError: closed, other-process.
            LedgerError: whatever became of the work.
        """
        self._check_may_wait()
        reply = ThreadReply()
        self.send(work, reply)
        return reply.wait()

    def send(self, work: Work, reply: Reply) -> None:
        """Take work in; its reply is settled after the commit, whatever comes of it.

        Raises:
            StoreError: overloaded, if too much work is waiting.
            LedgerUseError: closed, other-process.
        """
        self._check_process()
        with self._lock:
            self._check_room(work)
            self._waiting.append((work, reply))
            self._weight += _weight(work)
            self._rouse()

    def send_all(self, items: Sequence[_Item]) -> None:
        """Take in work that its sender has gathered, all or none: no more is waited for.

        Raises:
            StoreError: overloaded, if too much work is waiting.
            LedgerUseError: closed, other-process.
        """
        self._check_process()
        with self._lock:
            self._check_room(items[0][0])
            self._waiting += items
            self._weight += sum([_weight(work) for work, _ in items])
            self._gathered = True
            self._rouse()

    def _check_process(self) -> None:
        """Refuse to wait for a lock that another thread of the parent may have held."""
        if self._process != os.getpid():
            raise LedgerUseError("other-process", "the ledger was opened before this fork")

    def _check_room(self, work: Work) -> None:
        """Refuse work that cannot be taken in; start the thread if there is none."""
        if self._closed:
            raise LedgerUseError("closed", "the ledger was closed")
        # Callers that try again at once must not keep a head from being signed in time.
        room = HEAD_ROOM if isinstance(work, HeadWork) else 0
        if self._weight >= self._max_waiting + room:
            raise StoreError("overloaded", f"{self._weight} pieces of work wait for the disk")
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Finish what was submitted and end the thread; a second call only waits for that.

        Raises:
            InputError: called by that thread, as a callback is.
        """
        if self._process != os.getpid():
            return  # the thread lives in the parent
        self._check_may_wait()
        with self._lock:
            self._closed = True
            self._rouse()
        if self._thread is not None:
            self._thread.join()

    def _check_may_wait(self) -> None:
        """Refuse to let the thread wait for itself."""
        if threading.current_thread() is self._thread:
            raise InputError(
                "input",
                "the callback of a future waits for the ledger, whose own thread calls it",
                hint="submit without waiting, or wait in another thread",
            )

    def _start(self) -> None:
        thread = threading.Thread(target=self._serve, name="nous-ledger-commit", daemon=True)
        self._thread = thread
        try:
            thread.start()
        except BaseException as error:
            self._thread = None  # the next caller tries again
            if not isinstance(error, RuntimeError):
                raise
            raise StoreError("overloaded", f"no thread could be started: {error}") from error

    def _rouse(self) -> None:
        done = self._closed or self._gathered
        if self._asleep and (done or len(self._waiting) >= self._enough):
            # In this order: one that Ctrl-C ends in between has woken the thread.
            if self._wake.locked():
                self._wake.release()
            self._asleep = False

    def _serve(self) -> None:
        with self._lock:
            if self._thread is not threading.current_thread():
                return  # its start was taken for failed
        while group := self._gather():
            self._commit(group)

    def _gather(self) -> list[_Item]:
        """Return the next work, waiting for some; none if the last was done.

        Callers that wait for their results come back together, one shortly after the
        other: so more than a few are waited for, if not for long. After a large group
        they are waited for even if others came meanwhile: else callers that fell into two
        halves would stay so, and each half pay for a transaction of its own.
        """
        self._sleep(1, _LINGER_S if self._unwoken else None)
        if not self._waiting:
            self._wake_rest()
            self._sleep(1, None)
        enough = self._last * 3 // 4
        if self._last >= _LARGE:
            enough = self._last * 7 // 8 + 1 + self._meanwhile
        self._linger(min(enough, MAX_TOGETHER))
        self._wake_rest()
        with self._lock:
            group = self._take()
        self._last = len(group)
        return group

    def _linger(self, enough: int) -> None:
        """Wait for so much work; longer only while threads of the last group are being woken.

        Each wakes the next, so those that are still asleep will come too. If they were woken
        all at once instead, they would be in each other's way, and in that of the commit.
        """
        for _ in range(_LINGERS):
            unwoken = len(self._unwoken)
            self._sleep(enough, _LINGER_S)
            if len(self._waiting) >= enough or not 0 < len(self._unwoken) < unwoken:
                return

    def _wake_rest(self) -> None:
        """Wake the threads of the last group that those before them did not wake."""
        while wake_next(self._unwoken):
            pass

    def _sleep(self, enough: int, seconds: float | None) -> None:
        """Wait until so much work is waiting, none will come any more, or it took too long."""
        with self._lock:
            if self._closed or self._gathered or len(self._waiting) >= enough:
                return
            self._asleep, self._enough = True, enough
        self._wake.acquire(timeout=-1 if seconds is None else seconds)
        with self._lock:
            self._asleep = False
            self._wake.acquire(blocking=False)  # if it was released when the time was over

    def _take(self) -> list[_Item]:
        group: list[_Item] = []
        size = 0
        self._gathered = False
        while self._waiting and size < MAX_TOGETHER:
            group.append(self._waiting.popleft())
            size += _weight(group[-1][0])
        self._weight -= size
        return group

    def _commit(self, group: Sequence[_Item]) -> None:
        outcomes: Sequence[Outcome]
        try:
            outcomes = self._run([work for work, _ in group])
        except BaseException as error:  # noqa: BLE001 - no caller may wait for ever
            outcomes = [_copy(error) for _ in group]
        self._meanwhile = len(self._waiting)
        self._unwoken = settle_all(zip([reply for _, reply in group], outcomes, strict=True))


def _copy(error: BaseException) -> BaseException:
    """Return an error that one caller can raise while others raise theirs."""
    if not isinstance(error, LedgerError):
        return error
    copy = type(error)(error.code, error.message, hint=error.hint, **error.attrs)
    copy.__cause__ = error
    return copy


def _weight(work: Work) -> int:
    return max(1, len(work.drafts)) if isinstance(work, AppendWork) else 1
