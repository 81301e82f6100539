"""What a log says to a witness, and what it takes from the answer; no I/O here.

    POST <submission prefix>/add-checkpoint

    old 4                                              size that the witness cosigned last
    n1F…=                                              consistency proof, one hash a line
                                                       an empty line
    ledger.example.com/main                            the head, with the log's own lines
    7
    AAEC…=

    — ledger.example.com/main +LiI7…

    200   — witness.example/w1 jWbPP…                  one or more cosignature lines
    409   4                                            the size to start from

Spec:
    PROTOCOL.md WIT-1 to WIT-3; C2SP tlog-witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nous_ledger.ledger.cosigned import time_of
from nous_ledger.protocol.cosignature import verify_cosignature
from nous_ledger.protocol.errors import FormatError, HeadError, LedgerError
from nous_ledger.protocol.note import (
    Note,
    NoteSignature,
    find_signatures,
    format_note,
    parse_note,
)
from nous_ledger.protocol.textform import format_base64, parse_decimal
from nous_ledger.protocol.types import Hash32
from nous_ledger.protocol.vkey import VerifierKey

SIZE_TYPE: Final = "text/x.tlog.size"
MAX_ANSWER_BYTES: Final = 64 * 1024
MAX_SKEW_S: Final = 300
"""Seconds that a witness's clock may be ahead of ours."""


def format_add_checkpoint(old: int, proof: Sequence[Hash32], head: Note) -> bytes:
    """Return the body of an `add-checkpoint` request.

    Spec:
        PROTOCOL.md WIT-1.

    Args:
        old: leaves of the checkpoint that the witness cosigned last; 0 for none.
        proof: consistency proof from there to the head; empty if old is 0 or the same.
        head: the head with the log's own lines.
    """
    lines = [f"old {old}", *map(format_base64, proof), "", ""]
    return "\n".join(lines).encode("ascii") + format_note(head)


def parse_size(content_type: str, body: bytes) -> int:
    """Return the size in the answer of a witness that cosigned another checkpoint last.

    Spec:
        PROTOCOL.md WIT-3.

    Raises:
        FormatError: checkpoint-format, if it is no such answer.
    """
    kind = content_type.partition(";")[0].strip().lower()
    text = body.decode("ascii", "replace") if kind == SIZE_TYPE else ""
    size = parse_decimal(text[:-1]) if text.endswith("\n") else None
    if size is None:
        raise FormatError("checkpoint-format", "a conflict was answered without a size")
    return size


def verify_answer(text: str, key: VerifierKey, body: bytes, now: int) -> NoteSignature:
    """Return the latest cosignature of a witness in its answer.

    Lines of other keys are passed over, whatever their names.

    Spec:
        PROTOCOL.md WIT-2, COSIG-1, COSIG-2.

    Args:
        text: the note text that was to be cosigned.
        key: the witness's key.
        body: what it answered.
        now: seconds, by the clock of this machine.

    Raises:
        FormatError: note-format, if the answer is not signature lines and nothing else.
        SignatureError: malformed, mismatch (any line of the key fails).
        HeadError: missing-kind (no line of the key), head-time (no time, or one that
            lies in the future).
    """
    note = parse_note(text.encode() + b"\n" + body)
    if note.text != text:
        raise FormatError("note-format", "the answer is more than signature lines")
    lines = find_signatures(note, key.name, key.key_id)
    if not lines:
        raise HeadError("missing-kind", "the answer has no line of the witness's key")
    for line in lines:
        time = verify_cosignature(key, text, line)
        if not 0 < time <= now + MAX_SKEW_S:
            raise HeadError("head-time", f"the cosignature is of {time}, it is {now} here")
    return max(lines, key=time_of)


def explain(error: LedgerError) -> str:
    """Return what was wrong with an answer, in words that hold none of it."""
    return f"{error.code}: {error.message}"
