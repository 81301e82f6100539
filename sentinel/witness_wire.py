"""What a log says to a witness and what it is answered; no I/O here.

    POST /add-checkpoint

    old 4                                              size that the witness cosigned last
    n1F…=                                              consistency proof, one hash a line
                                                       an empty line
    ledger.example.com/main                            the checkpoint, with lines of the log
    7
    AAEC…=

    — ledger.example.com/main +LiI7…

Spec:
    PROTOCOL.md WIT-8, WIT-12; C2SP tlog-witness v1.1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.note import MAX_NOTE_BYTES, Note, NoteSignature, parse_note
from nous_ledger.protocol.textform import format_base64, parse_base64, parse_decimal
from nous_ledger.protocol.types import Hash32, LeafCount

MAX_PROOF_LINES: Final = 63
MAX_REQUEST_BYTES: Final = MAX_NOTE_BYTES + 4096
"""A note, 63 proof lines of 45 bytes, the line of the old size and the empty one."""
SIZE_TYPE: Final = "text/x.tlog.size"
TEXT_TYPE: Final = "text/plain; charset=utf-8"

_MAX_HEAD_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """A request for a cosignature; nothing in it is verified.

    Attributes:
        old: leaves of the checkpoint that the proof starts from.
        proof: hashes of a consistency proof, 0..63.
        note: the checkpoint with its signature lines.
        checkpoint: what the note's text says.
    """

    old: LeafCount
    proof: tuple[Hash32, ...]
    note: Note
    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a witness answers.

    Attributes:
        status: HTTP status.
        body: bytes.
        kind: value of the header content-type.
        retry_after: seconds after which to ask again; None to say nothing of it.
    """

    status: int
    body: bytes
    kind: str = TEXT_TYPE
    retry_after: int | None = None


def parse_add_checkpoint(data: bytes) -> AddCheckpoint:
    """Return the request in the body of a POST; nothing is verified.

    Spec:
        PROTOCOL.md WIT-8.

    Args:
        data: the body, at most `MAX_REQUEST_BYTES`.

    Raises:
        FormatError: checkpoint-format (the lines before the checkpoint, its text, or an
            old size above its size), note-format.
    """
    head, separator, tail = data.partition(b"\n\n")
    if not separator or len(head) > _MAX_HEAD_BYTES:
        raise _wrong("no empty line follows the old size and the proof")
    first, *lines = head.decode("ascii", "replace").split("\n")
    old = parse_decimal(first[4:]) if first.startswith("old ") else None
    if old is None:
        raise _wrong("the first line is not `old <size>`")
    if len(lines) > MAX_PROOF_LINES:
        raise _wrong(f"more than {MAX_PROOF_LINES} proof lines")
    note = parse_note(tail)
    checkpoint = parse_checkpoint(note.text)
    if old > checkpoint.leaf_count:
        raise _wrong("the old size is above that of the checkpoint")
    proof = tuple(map(_proof_hash, lines))
    return AddCheckpoint(old=LeafCount(old), proof=proof, note=note, checkpoint=checkpoint)


def format_line(signature: NoteSignature) -> bytes:
    """Return a signature line with its newline."""
    encoded = format_base64(signature.key_id + signature.payload)
    return f"— {signature.name} {encoded}\n".encode()


def origin_hash(origin: str) -> str:
    """Return what names a log in the address of its latest checkpoint: 64 hex digits.

    Spec:
        PROTOCOL.md WIT-12.
    """
    return sha256(origin.encode("utf-8")).hexdigest()


def size_answer(size: LeafCount) -> Answer:
    """Return the answer to a request that starts from another size than the latest."""
    return Answer(status=409, body=b"%d\n" % size, kind=SIZE_TYPE)


def refusal(status: int, reason: str, *, retry_after: int | None = None) -> Answer:
    """Return an answer that says why not, in words that hold nothing of the request."""
    return Answer(status=status, body=f"{reason}\n".encode(), retry_after=retry_after)


def _proof_hash(line: str) -> Hash32:
    raw = parse_base64(line)
    if raw is None or len(raw) != 32:
        raise _wrong("a proof line is not canonical base64 of 32 bytes")
    return Hash32(raw)


def _wrong(reason: str) -> FormatError:
    return FormatError("checkpoint-format", f"not an add-checkpoint request: {reason}")
