"""The program of a process that signs digests; `signing_process` starts it.

    standard input   the private key, 32 bytes; then, again and again, digests: their
                     number as one byte, 32 bytes each
    standard output  `GREETING`, before which nobody sends it a key; after the key, and
                     after each group of digests, 65 bytes for each; the first
                     signature is over `PROBE`

It ends when its input does, as when the process that started it is killed.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from typing import BinaryIO, Final

from nous_ledger.protocol.signing import SigningKey

GREETING: Final = b"nous-ledger/1 signs\n"
PROBE: Final = b"\x00" * 32
"""What the process signs to show that it is ready and has the right key."""
END: Final = b"\x00"
"""Ends the process, as the end of its input does."""
DIGEST_LENGTH: Final = 32


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Sign what is asked for until there is no more."""
    answers.write(GREETING)
    answers.flush()
    secret = asked.read(DIGEST_LENGTH)
    if len(secret) < DIGEST_LENGTH:
        return
    key = SigningKey(secret)
    answers.write(key.sign(PROBE))
    answers.flush()
    while (number := asked.read(1)) not in (b"", END):
        length = number[0] * DIGEST_LENGTH
        digests = asked.read(length)
        if len(digests) < length:
            return
        signatures = [
            key.sign(digests[at : at + DIGEST_LENGTH]) for at in range(0, length, DIGEST_LENGTH)
        ]
        answers.write(b"".join(signatures))
        answers.flush()


def main() -> None:  # pragma: no cover - runs in a process that is not traced
    """Serve the process at the other end of the pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the key must not reach a disk
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":  # pragma: no cover - runs in a process that is not traced
    main()
