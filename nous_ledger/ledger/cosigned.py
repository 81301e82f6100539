"""Cosignatures under the heads of a log: merged, carried over, never lost.

Witnesses cosign the text of a head, so their lines stay good when the log signs
the same text again as a heartbeat. Of each key the latest line is kept: it says
all that the earlier ones said. Lines are verified before they come here.

Spec:
    PROTOCOL.md HEAD-16, COSIG-3, WIT-7.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from nous_ledger.ledger.model import StoredHead
from nous_ledger.ledger.store import WriteTransaction
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.cosignature import COSIGNATURE_PAYLOAD_LENGTH, verify_cosignature
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.note import (
    MAX_SIGNATURES,
    Note,
    NoteSignature,
    find_signatures,
    format_note,
    parse_note,
)
from nous_ledger.protocol.types import LeafCount, UnixSeconds
from nous_ledger.protocol.vkey import VerifierKey

OWN_LINES: Final = 2
"""Signature lines of the log itself under each of its heads."""
MAX_COSIGNERS: Final = MAX_SIGNATURES - OWN_LINES
RECENT_HEADS: Final = 64
"""Heads among which one with cosignatures is looked for."""

_LINE_START: Final = "\n— ".encode()


def split_lines(note: Note) -> tuple[Note, tuple[NoteSignature, ...]]:
    """Return a head as its log signed it, and the lines of others under it."""
    origin = parse_checkpoint(note.text).origin
    own = tuple(line for line in note.signatures if line.name == origin)
    others = tuple(line for line in note.signatures if line.name != origin)
    return Note(text=note.text, signatures=own), others


def merge_cosignatures(note: Note, lines: Iterable[NoteSignature]) -> Note:
    """Return a head with more cosignatures behind its own lines.

    Args:
        note: a head of the log.
        lines: verified cosignatures of the same text; of each key the latest is kept.
            Beyond 62 keys those with the latest times stay.
    """
    own, others = split_lines(note)
    latest: dict[tuple[str, bytes], NoteSignature] = {}
    for line in (*others, *lines):
        key = (line.name, line.key_id)
        if key not in latest or time_of(line) > time_of(latest[key]):
            latest[key] = line
    kept = sorted(latest.values(), key=time_of, reverse=True)[:MAX_COSIGNERS]
    ordered = tuple(line for line in latest.values() if line in kept)
    return Note(text=note.text, signatures=own.signatures + ordered)


def time_of(line: NoteSignature) -> int:
    """Return the time in a cosignature line, seconds; -1 for a line of another kind."""
    if len(line.payload) != COSIGNATURE_PAYLOAD_LENGTH:
        return -1
    return int.from_bytes(line.payload[:8], "big")


def carry_over(note: bytes, last: StoredHead | None) -> bytes:
    """Return a new head with the cosignatures of the last one if it says the same."""
    if last is None or cosigner_count(last.note) == 0:
        return note
    new, old = parse_note(note), parse_note(last.note)
    if new.text != old.text:
        return note
    return format_note(merge_cosignatures(new, split_lines(old)[1]))


def verify_line(origin: str, text: str, key: VerifierKey, line: NoteSignature) -> UnixSeconds:
    """Return the time of a witness's line, once it is known to be one under a head.

    Spec:
        PROTOCOL.md COSIG-1, COSIG-2, WIT-2.

    Args:
        origin: origin of the log, whose own name no witness may have.
        text: the note text that was cosigned.
        key: the witness's key, of kind 0x04.
        line: a line of that key.

    Raises:
        SignatureError: malformed, mismatch.
        FormatError: vkey-format, if it is no key of a witness.
        InputError: the line is not of this key, or goes by the log's name.
    """
    if (line.name, line.key_id) != (key.name, key.key_id) or line.name == origin:
        raise InputError("input", f"the line of {line.name!r} is none of that witness's")
    return verify_cosignature(key, text, line)


def put_cosignatures(
    transaction: WriteTransaction, text: str, lines: Iterable[NoteSignature]
) -> bool:
    """Merge cosignatures into the stored head of a text; return whether there is one.

    The stored head may have been renewed or cosigned by others meanwhile: it is read
    and written in one transaction, so nothing that was merged before is lost.

    Args:
        transaction: what the head is read from and written to.
        text: the note text that was cosigned.
        lines: verified cosignatures of it.
    """
    head = transaction.head_at(parse_checkpoint(text).leaf_count)
    if head is None:
        return False
    note = parse_note(head.note)
    if note.text != text:
        return False
    merged = format_note(merge_cosignatures(note, lines))
    if merged != head.note:
        transaction.put_head(replace(head, note=merged))
    return True


def cosigner_count(note: bytes) -> int:
    r"""Return how many lines of others stand under a head of this log.

    >>> cosigner_count("a/log\n1\nAA==\n\n— a/log x\n— a/log y\n— w z\n".encode())
    1
    """
    return note.count(_LINE_START) - OWN_LINES


def most_cosigned(heads: Sequence[StoredHead]) -> tuple[StoredHead, ...]:
    """Return the heads that have more cosigners than every newer one.

    Args:
        heads: the newest first.

    Returns:
        The newest head, then ever older ones with ever more cosigners: of those
        that cover some leaf, the last one is best witnessed.
    """
    kept: list[StoredHead] = []
    for head in heads:
        if not kept or cosigner_count(head.note) > cosigner_count(kept[-1].note):
            kept.append(head)
    return tuple(kept)


def choose_head(
    heads: Sequence[StoredHead], *, at_least: int = 0, since: int = 0
) -> StoredHead | None:
    """Return the head with the most cosigners, the newest of equals.

    Args:
        heads: as `most_cosigned` returns them.
        at_least: leaves that it has to cover.
        since: seconds; heads signed before are left out, but for the newest.
    """
    allowed = [
        head
        for number, head in enumerate(heads)
        if head.leaf_count >= at_least and (number == 0 or head.timestamp >= since)
    ]
    return allowed[-1] if allowed else None


def largest_cosigned(heads: Sequence[StoredHead], key: VerifierKey) -> LeafCount:
    """Return the leaves of the largest head with a line of a key; 0 if none has one.

    Args:
        heads: the newest first.
        key: a witness's.
    """
    for head in heads:
        if cosigner_count(head.note) and find_signatures(
            parse_note(head.note), key.name, key.key_id
        ):
            return head.leaf_count
    return LeafCount(0)


def is_further(new: bytes, old: bytes) -> bool:
    """Return whether a head lacks no cosignature of another one over the same text.

    Args:
        new: the head that would take the place of the other.
        old: the other; of the same text.
    """
    lines = split_lines(parse_note(new))[1]
    there = {(line.name, line.key_id): time_of(line) for line in lines}
    return all(
        there.get((line.name, line.key_id), -2) >= time_of(line)
        for line in split_lines(parse_note(old))[1]
    )
