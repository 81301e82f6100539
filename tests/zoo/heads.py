"""Heads that a log's owner signs, honest or with one part of them another."""

from typing import Final

from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.head import decode_head_signature, sign_head
from nous_ledger.protocol.note import Note, NoteSignature, format_note, parse_note
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId, UnixSeconds
from tests.zoo.forger import Forger
from tests.zoo.tree import root_of

TEXT_LINE: Final = 0
"""Where the Ed25519 line stands in an honest note."""
HEAD_LINE: Final = 1
"""Where the secp256k1 line stands in an honest note."""


def head_of(
    log: Forger,
    count: int | None = None,
    *,
    time_s: int | None = None,
    root: bytes | None = None,
    origin: str | None = None,
    log_id: bytes | None = None,
    epoch: int | None = None,
    key: SigningKey | None = None,
    ed25519: Ed25519Key | None = None,
) -> bytes:
    """Return the head over a log's first leaves; what is not given is honest.

    The log's clock moves to the second after, so that later records are not backdated.
    """
    covered = log.count if count is None else count
    if time_s is None:
        log.now_ms = (log.now_ms // 1000 + 1) * 1000
        time_s = log.now_ms // 1000
    in_force = epoch
    if in_force is None:
        in_force = log.epoch if covered == log.count else log.entries[covered - 1].epoch
    return sign_head(
        Checkpoint(
            origin=origin or log.origin,
            leaf_count=LeafCount(covered),
            root=Hash32(root or root_of(log.entries[:covered])),
        ),
        log_id=LogId(log_id or log.log_id),
        epoch=Epoch(in_force),
        timestamp=UnixSeconds(time_s),
        key=key or log.keys[in_force],
        ed25519=ed25519 or log.ed25519,
    )


def time_of(head: bytes) -> int:
    """Return when an honest head says that it was signed, seconds."""
    return decode_head_signature(parse_note(head).signatures[HEAD_LINE].payload).timestamp


def lines_of(head: bytes) -> tuple[NoteSignature, ...]:
    """Return the signature lines of a note."""
    return parse_note(head).signatures


def with_lines(head: bytes, *lines: NoteSignature) -> bytes:
    """Return the text of a head under other lines."""
    return format_note(Note(text=parse_note(head).text, signatures=lines))


def without(head: bytes, line: int) -> bytes:
    """Return a head with one of its lines stripped."""
    return with_lines(head, *(kept for at, kept in enumerate(lines_of(head)) if at != line))


def with_payload(head: bytes, line: int, payload: bytes) -> bytes:
    """Return a head with other bytes behind the key id of one of its lines."""
    lines = list(lines_of(head))
    lines[line] = replace_payload(lines[line], payload)
    return with_lines(head, *lines)


def replace_payload(line: NoteSignature, payload: bytes) -> NoteSignature:
    """Return a line with other bytes behind its key id."""
    return NoteSignature(name=line.name, key_id=line.key_id, payload=payload)


def malleated(signature: bytes) -> bytes:
    """Return the other form of a secp256k1 signature, which plain ECDSA accepts as well."""
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([1 - signature[64]])


def flipped(signature: bytes) -> bytes:
    """Return a secp256k1 signature with its recovery id the other one."""
    return signature[:64] + bytes([1 - signature[64]])
