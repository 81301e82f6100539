"""Group commit: one thread that makes the work of many callers durable together.

A commit costs a sync of the disk whatever it holds. While one is under way, the
next work gathers in a bounded queue; then all of it goes into one transaction.
A caller gets its result only after the commit, and an error if the queue is full.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from nous_ledger.ledger.errors import LedgerUseError, StoreError
from nous_ledger.ledger.sequencer import AppendWork, Outcome, Work
from nous_ledger.protocol.errors import LedgerError

MAX_WAITING: Final = 4_096
"""Pieces of work that may wait; one more is refused."""
MAX_TOGETHER: Final = 512
"""Receipts after which a transaction takes no further work."""

Run = Callable[[Sequence[Work]], list[Outcome]]
"""Does some work in one transaction and returns, once it is durable, what became of each."""

_Item = tuple[Work, "Future[Any]"]


class GroupCommitter:
    """Takes work from any thread and runs it in groups on a thread of its own."""

    def __init__(self, run: Run, *, max_waiting: int = MAX_WAITING) -> None:
        """Serve a function that runs one transaction.

        Args:
            run: called by one thread at a time.
            max_waiting: pieces of work that may wait.
        """
        self._run = run
        self._queue: queue.Queue[_Item | None] = queue.Queue(maxsize=max_waiting)
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._process = os.getpid()

    def submit(self, work: Work) -> Future[Any]:
        """Return the future result of some work; at once, without waiting.

        Raises:
            StoreError: overloaded, if too much work is waiting.
            LedgerUseError: closed, other-process.
        """
        if self._process != os.getpid():
            raise LedgerUseError("other-process", "the ledger was opened before this fork")
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()  # work that was taken in can no longer be cancelled
        with self._lock:
            if self._closed:
                raise LedgerUseError("closed", "the ledger was closed")
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._serve, name="nous-ledger-commit", daemon=True
                )
                self._thread.start()
            try:
                self._queue.put_nowait((work, future))
            except queue.Full:
                raise StoreError(
                    "overloaded", f"{self._queue.maxsize} pieces of work wait for the disk"
                ) from None
        return future

    def close(self) -> None:
        """Finish what was submitted and end the thread; a second call does nothing."""
        if self._process != os.getpid():
            return  # the thread lives in the parent
        with self._lock:
            thread, self._thread = self._thread, None
            self._closed = True
            if thread is not None:
                self._queue.put(None)  # last: whatever was submitted stands before it
        if thread is not None:
            thread.join()

    def _serve(self) -> None:
        closing = False
        while not closing:
            group, closing = self._gather()
            if group:
                self._commit(group)

    def _gather(self) -> tuple[list[_Item], bool]:
        """Return the next work, and whether it is the last; waits for some."""
        group: list[_Item] = []
        size = 0
        item = self._queue.get()
        while item is not None:
            group.append(item)
            size += _weight(item)
            if size >= MAX_TOGETHER:
                break
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                break
        return group, item is None

    def _commit(self, group: Sequence[_Item]) -> None:
        outcomes: Sequence[Outcome]
        try:
            outcomes = self._run([work for work, _ in group])
        except BaseException as error:  # noqa: BLE001 - no caller may wait for ever
            outcomes = [_copy(error) for _ in group]
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _copy(error: BaseException) -> BaseException:
    """Return an error that one caller can raise while others raise theirs."""
    if not isinstance(error, LedgerError):
        return error
    copy = type(error)(error.code, error.message, hint=error.hint, **error.attrs)
    copy.__cause__ = error
    return copy


def _weight(item: _Item) -> int:
    work = item[0]
    return len(work.drafts) if isinstance(work, AppendWork) else 1
