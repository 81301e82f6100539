"""The program of a process that makes the records of receipts; `signing_process` starts it.

    standard input   private key and log id, 32 bytes each; then, again and again, some
                     receipts: a `HEADER` and the hashes of their bodies, 32 bytes each
    standard output  `GREETING`, before which nobody sends it a key; after the key its
                     signature over `PROBE`, 65 bytes; for each receipt the record and
                     its leaf hash, 152 bytes

It ends when its input does, as when the process that started it is killed.
"""

from __future__ import annotations

import contextlib
import resource
import signal
import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO, Final

from nous_ledger.protocol.record import RECORD_LENGTH, TYPE_RECEIPT, leaf_hash, prepare_records
from nous_ledger.protocol.signer import DigestSigner
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Hash32, LogId

GREETING: Final = b"nous-ledger/1 signs\n"
PROBE: Final = b"\x00" * 32
"""What the process signs to show that it is ready and has the right key."""
HEADER: Final = struct.Struct(">BIQQ")
"""How many receipts follow, their key epoch, the leaf of the first, their time."""
END: Final = bytes(HEADER.size)
"""Ends the process, as the end of its input does."""
HASH_LENGTH: Final = 32
ANSWER_LENGTH: Final = RECORD_LENGTH + HASH_LENGTH


def sign_receipts(
    key: DigestSigner,
    log_id: LogId,
    place: tuple[int, int, int],
    body_hashes: Sequence[Hash32],
) -> list[tuple[bytes, Hash32]]:
    """Return the records of receipts that follow each other, with their leaf hashes.

    Args:
        key: key of the epoch.
        log_id: 32 bytes.
        place: their epoch, the leaf of the first, their time in milliseconds.
        body_hashes: 32 bytes each.
    """
    prepared = prepare_records(log_id, TYPE_RECEIPT, place, body_hashes)
    records = [part + key.sign(digest) for part, digest in prepared]
    return [(record, leaf_hash(record)) for record in records]


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Make what records are asked for until there is no more."""
    answers.write(GREETING)
    answers.flush()
    secret, log_id = asked.read(HASH_LENGTH), LogId(Hash32(asked.read(HASH_LENGTH)))
    if len(log_id) < HASH_LENGTH:
        return
    key = SigningKey(secret)
    answers.write(key.sign(PROBE))
    answers.flush()
    while len(header := asked.read(HEADER.size)) == HEADER.size and header != END:
        number, epoch, first, logged_at = HEADER.unpack(header)
        data = asked.read(number * HASH_LENGTH)
        if len(data) < number * HASH_LENGTH:
            return
        hashes = [Hash32(data[at : at + HASH_LENGTH]) for at in range(0, len(data), HASH_LENGTH)]
        signed = sign_receipts(key, log_id, (epoch, first, logged_at), hashes)
        answers.writelines(record + leaf for record, leaf in signed)
        answers.flush()


def main() -> None:  # pragma: no cover - runs in a process that is not traced
    """Serve the process at the other end of the pipes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that started it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the key must not reach a disk
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":  # pragma: no cover - runs in a process that is not traced
    main()
