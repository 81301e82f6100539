"""Checks spans of records, in further processes once there is enough to do for them.

Processes are started afresh, so that they inherit no thread and no lock; they end with
the process that started them, however that ends.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from typing import Final, Generic, TypeVar

WORTH_PROCESSES: Final = 8_192
"""Records from which on starting further processes costs less than it saves."""
MAX_PROCESSES: Final = 8
_WAITING: Final = 3
"""Jobs for each process that may wait for it."""

_Job = TypeVar("_Job")
_Facts = TypeVar("_Facts")


def processors() -> int:
    """Return how many processors this process may use."""
    if sys.platform == "linux":
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return min(found, MAX_PROCESSES)


class Workers(Generic[_Job, _Facts]):
    """Runs one pure function over many jobs, and gives the results in their order."""

    def __init__(self, check: Callable[[_Job], _Facts], processes: int) -> None:
        """Name the function, which other processes must be able to import.

        Args:
            check: the function.
            processes: how many to start; below 2 the work is done here.
        """
        self._check = check
        self._processes = processes

    def run(self, jobs: Iterable[_Job]) -> Generator[_Facts]:
        """Yield the result of each job; a few jobs are drawn ahead."""
        if self._processes < 2:
            yield from map(self._check, jobs)
            return
        context = multiprocessing.get_context("spawn")
        executor = ProcessPoolExecutor(self._processes, context, _begin)
        waiting: deque[tuple[_Job, Future[_Facts]]] = deque()
        try:
            started = [executor.submit(_stand_by) for _ in range(self._processes)]
            for job in jobs:
                if not any(process.done() for process in started):
                    yield self._check(job)  # nobody else can do it yet
                    continue
                waiting.append((job, self._submit(executor, job)))
                if len(waiting) >= self._processes * _WAITING:
                    yield self._result(*waiting.popleft())
            while waiting:
                yield self._result(*waiting.popleft())
        finally:
            executor.shutdown(cancel_futures=True)

    def _submit(self, executor: ProcessPoolExecutor, job: _Job) -> Future[_Facts]:
        try:
            return executor.submit(self._check, job)
        except BrokenProcessPool as error:
            failed: Future[_Facts] = Future()
            failed.set_exception(error)
            return failed

    def _result(self, job: _Job, done: Future[_Facts]) -> _Facts:
        """Return a result; one that a lost process owes is computed here."""
        try:
            return done.result()
        except BrokenProcessPool:
            return self._check(job)


def _begin() -> None:  # pragma: no cover - runs in processes that are not traced
    """Leave signals to the process that was started by the user, and end with it.

    A check makes no cycles, but each look for them costs as much as ten records.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(200_000)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _stand_by() -> None:  # pragma: no cover - as above
    """Do nothing: whoever returns from it has started."""


def _end_with_parent() -> None:  # pragma: no cover - as above
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
