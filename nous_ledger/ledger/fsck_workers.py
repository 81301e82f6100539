"""What the leaves of a check are shared among: threads of this process, or other processes.

Those others are started as a program of ours, not by `multiprocessing`: it would have
each of them import the caller's main module, which may import whatever it likes.
"""

from __future__ import annotations

import contextlib
import select
import socket
import subprocess
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

from nous_ledger.ledger.errors import StoreError
from nous_ledger.ledger.fsck_leaves import LeafFindings, LeafJob, check_leaves
from nous_ledger.ledger.fsck_worker import read_message, write_message
from nous_ledger.ledger.own_programs import start_program

_PROGRAM: Final = Path(__file__).with_name("fsck_worker.py")
_THREADS: Final = 2
_PATIENCE_S: Final = 5.0


class Workers(ABC):
    """Check leaves while something else is done.

    Attributes:
        number: how many there are.
    """

    number: int

    @abstractmethod
    def submit(self, job: LeafJob) -> Callable[[], LeafFindings]:
        """Take a job in; return what waits for its findings.

        Findings must be waited for in the order in which the jobs were taken in.
        """


class _Threads(Workers):
    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self.number = _THREADS
        self._executor = executor

    def submit(self, job: LeafJob) -> Callable[[], LeafFindings]:
        future: Future[LeafFindings] = self._executor.submit(check_leaves, job)
        return future.result


class _Process:
    """One process that answers in the order in which it is asked."""

    def __init__(self, ours: socket.socket) -> None:
        self.socket = ours
        self.asked: deque[list[LeafFindings]] = deque()


class _Processes(Workers):
    """Processes of which the one with the least to do gets the next job."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.number = len(sockets)
        self._all = [_Process(ours) for ours in sockets]

    def submit(self, job: LeafJob) -> Callable[[], LeafFindings]:
        self._take_back(0)
        process = min(self._all, key=lambda one: len(one.asked))
        write_message(process.socket, job)
        answer: list[LeafFindings] = []
        process.asked.append(answer)
        return lambda: self._wait_for(answer)

    def _wait_for(self, answer: list[LeafFindings]) -> LeafFindings:
        while not answer:
            self._take_back(None)
        return answer[0]

    def _take_back(self, patience: float | None) -> None:
        """Read what was found; wait for the first of it for some seconds, or without end."""
        busy = {one.socket: one for one in self._all if one.asked}
        for ready in select.select(list(busy), [], [], patience)[0]:
            process = busy[ready]
            process.asked.popleft().append(LeafFindings(*read_message(ready)))


@contextlib.contextmanager
def sharing(processes: int) -> Iterator[Workers]:
    """Give what checks leaves; threads of this process with 0 processes, or if none starts.

    Raises:
        StoreError: check-cut-short, if a process ends before its work.
    """
    sockets: list[socket.socket] = []
    program = _start(processes, sockets) if processes else None
    if program is None:
        executor = ThreadPoolExecutor(_THREADS)
        try:
            yield _Threads(executor)
        finally:
            executor.shutdown(cancel_futures=True)
        return
    try:
        yield _Processes(sockets)
    except (EOFError, ConnectionError) as error:
        text = "a process of the check ended before its work"
        raise StoreError("check-cut-short", text) from error
    finally:
        for ours in sockets:
            ours.close()
        _end(program)


def _start(processes: int, sockets: list[socket.socket]) -> subprocess.Popen[bytes] | None:
    """Return the program that checks, and fill in our ends; None if it cannot be started."""
    pairs = [socket.socketpair() for _ in range(processes)]
    theirs = [pair[1].fileno() for pair in pairs]
    try:
        program = start_program(_PROGRAM, *map(str, theirs), talking=False, pass_fds=theirs)
    except OSError:
        for ours, _ in pairs:
            ours.close()
        return None
    finally:
        for _, other in pairs:
            other.close()
    sockets += [ours for ours, _ in pairs]
    return program


def _end(program: subprocess.Popen[bytes]) -> None:
    """Wait until the processes have seen that there is no more to do."""
    try:
        program.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()
