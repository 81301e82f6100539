"""A process of its own that signs for this one, so that both cores compute all the time.

Threads would have to wait for each other: whatever is not the curve library's
computation runs in one of them at a time. The process gets the private key through a
pipe, which nobody else can read, and ends with the pipe.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from nous_ledger.ledger.own_programs import start_program
from nous_ledger.ledger.signing_child import ANSWER_LENGTH, END, GREETING, HEADER, PROBE
from nous_ledger.protocol.signing import SIGNATURE_LENGTH, SigningKey
from nous_ledger.protocol.types import LogId

_PROGRAM: Final = Path(__file__).with_name("signing_child.py")
_PATIENCE_S: Final = 5.0
"""Seconds without an answer after which the process is given up."""


class SigningProcessError(Exception):
    """The process does not answer, or not as it must; another signer is to be used."""


class SigningProcess:
    """Makes the records of groups of receipts, in the order in which they are sent.

    Attributes:
        public_key: of the key that signs, 33 bytes.
    """

    def __init__(self, key: SigningKey, log_id: LogId) -> None:
        """Start the process; it can be used once `is_ready` says so.

        Args:
            key: what it signs with.
            log_id: the log whose records it makes, 32 bytes.

        Raises:
            SigningProcessError: it cannot be started.
        """
        self.public_key = key.public_key
        self._key = key
        self._log_id = log_id
        self._greeted = False
        self._ready = False
        try:
            self._process = start_program(_PROGRAM, talking=True)
        except OSError as error:
            raise SigningProcessError(str(error)) from error
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._to = self._process.stdin.fileno()
        self._from = self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        self._answers = select.poll()
        self._answers.register(self._from, select.POLLIN)

    def is_ready(self) -> bool:
        """Return whether it can be used; it takes a moment to start.

        Raises:
            SigningProcessError: it ended, is another program, or has another key.
        """
        if not self._greeted and self.has_answer():
            if self._read(len(GREETING)) != GREETING:  # no other program gets the key
                raise SigningProcessError("it is another program")
            self._greeted = True
            self._write(self._key.secret() + self._log_id)
        elif self._greeted and not self._ready and self.has_answer():
            if self._read(SIGNATURE_LENGTH) != self._key.sign(PROBE):
                raise SigningProcessError("it signs with another key")
            self._ready = True
        return self._ready

    def send(self, place: tuple[int, int, int], body_hashes: Sequence[bytes]) -> bool:
        """Let it make the records of some receipts, if the pipe has room for them now.

        Nobody waits for room: the process may itself be waiting for its answers to be
        read, and how much a pipe holds is for the system to say.

        Args:
            place: their epoch, the leaf of the first, their time in milliseconds.
            body_hashes: at most 127, 32 bytes each.

        Returns:
            Whether it was sent.

        Raises:
            SigningProcessError: it ended.
        """
        return self._write(HEADER.pack(len(body_hashes), *place) + b"".join(body_hashes))

    def has_answer(self) -> bool:
        """Return whether `receive` need not wait."""
        return bool(self._answers.poll(0))

    def receive(self, number: int) -> bytes:
        """Return records and leaf hashes of the earliest receipts without an answer.

        Args:
            number: how many were sent together.

        Returns:
            152 bytes for each.

        Raises:
            SigningProcessError: it ended, or does not answer in time.
        """
        return self._read(number * ANSWER_LENGTH)

    def close(self) -> None:
        """End the process; a second call does nothing."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            with contextlib.suppress(OSError):
                # A fork of ours may hold the pipe open, so that its end would not be seen.
                os.write(self._to, END)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self, wanted: int) -> bytes:
        data = b""
        while len(data) < wanted:
            if not self._answers.poll(_PATIENCE_S * 1000):
                raise SigningProcessError("it does not answer")
            piece = os.read(self._from, wanted - len(data))
            if not piece:
                raise SigningProcessError("it ended")
            data += piece
        return data

    def _write(self, data: bytes) -> bool:
        # Up to 4,096 bytes go into a pipe at once or not at all, so no part can be left over.
        try:
            os.write(self._to, data)
        except BlockingIOError:
            return False
        except OSError as error:
            raise SigningProcessError(str(error)) from error
        return True
