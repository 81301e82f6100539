"""The program of the processes that check leaves; `fsck_workers` starts it.

Its arguments are the numbers of connected sockets. It reads its code in once, and then
is one process for each of them. Over a socket come jobs, as `write_message` sends them;
their findings go back in the same order. Each process ends when its socket does, as
when the process that started them is killed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import queue
import signal
import socket
import struct
import sys
import threading
from typing import Any, Final

from nous_ledger.ledger.fsck_leaves import check_leaves

_LENGTH: Final = struct.Struct(">Q")


def write_message(to: socket.socket, message: object) -> None:
    """Send one message to the process at the other end."""
    data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    to.sendall(_LENGTH.pack(len(data)) + data)


def read_message(of: socket.socket) -> Any:  # noqa: ANN401 - jobs one way, findings the other
    """Return the next message of the process at the other end, and read no further.

    Raises:
        EOFError: it has closed its end, or has ended.
    """
    (length,) = _LENGTH.unpack(_receive(of, _LENGTH.size))
    return pickle.loads(_receive(of, length))  # noqa: S301 - one of the two started the other


def _receive(of: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        piece = of.recv(length - len(data), socket.MSG_WAITALL)
        if not piece:
            raise EOFError
        data += piece
    return data


def serve(ours: socket.socket) -> None:
    """Check what leaves are sent until there are no more.

    A thread of its own reads ahead: so whoever sends a job never waits for findings
    that wait, in turn, to be read.
    """
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_read_ahead, args=(ours, waiting), daemon=True).start()
    while (job := waiting.get()) is not None:
        found = check_leaves(job)
        write_message(ours, (found.leaves, found.faults))


def _read_ahead(ours: socket.socket, waiting: queue.SimpleQueue[Any]) -> None:
    try:
        while True:
            waiting.put(read_message(ours))
    except (EOFError, OSError):
        waiting.put(None)


def main(numbers: list[int]) -> None:  # pragma: no cover - runs in processes that are not traced
    """Serve each socket in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it
    gc.set_threshold(200_000)  # a check makes no cycles, and each look costs as ten leaves
    children: list[int] = []
    while len(numbers) > 1:
        if not (child := os.fork()):  # no thread has been started yet
            for other in numbers[:-1]:
                os.close(other)
            numbers, children = numbers[-1:], []
            break
        children.append(child)
        os.close(numbers.pop())
    with contextlib.suppress(OSError), socket.socket(fileno=numbers[0]) as ours:
        serve(ours)
    for child in children:
        os.waitpid(child, 0)


if __name__ == "__main__":  # pragma: no cover - runs in processes that are not traced
    main([int(number) for number in sys.argv[1:]])
