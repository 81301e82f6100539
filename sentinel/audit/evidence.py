"""Evidence files: what one finding rests on, as JSON that has exactly one spelling.

A file holds the log's own signatures and nothing that was said about them: whoever reads
it needs the pinned log id and this document, and not the sentinel that wrote it. Heads
are kept without the lines of others; every byte of a file is covered by a signature, by
a hash that leads to one, or by the rule that there is one spelling.

Spec:
    PROTOCOL.md, section "Evidence" (SENT-20 to SENT-23).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar

from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.encoding import MAX_BODY_BYTES
from nous_ledger.protocol.errors import EvidenceError
from nous_ledger.protocol.note import Note, NoteSignature, find_signatures, format_note, parse_note
from nous_ledger.protocol.record import RECORD_LENGTH
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafIndex, LogId
from nous_ledger.protocol.values import value
from nous_ledger.protocol.vkey import ed25519_vkey, head_vkey
from sentinel.audit.findings import Proof

FORMAT: Final = "nous-ledger/1 evidence"
MAX_EVIDENCE_BYTES: Final = 16 * 1024 * 1024
MAX_HASHES: Final = 65
MAX_KEY_EVENTS: Final = 65
MAX_HEADS: Final = 2
MAX_LEAVES: Final = 10_001
"""A statement and 10,000 receipts."""

_MEMBERS: Final = frozenset(
    {"format", "kind", "code", "origin", "log_id", "key_events", "heads", "leaves", "hashes"}
)
_LEAF_MEMBERS: Final = frozenset({"index", "record", "body", "path"})

T = TypeVar("T")


@value
class Leaf:
    """A record of the evidence.

    Attributes:
        index: leaf at which it stands, or stood.
        record: 120 bytes, as they are there.
        body: its body; None where it does not matter.
        path: inclusion path to the first head; None where the record's signature suffices.
    """

    index: LeafIndex
    record: bytes
    body: bytes | None = None
    path: tuple[Hash32, ...] | None = None


@value
class Evidence:
    """The content of an evidence file.

    Attributes:
        kind: what it is meant to prove.
        code: code of the finding.
        origin: name of the log.
        log_id: its identity, which a policy pins.
        key_events: (record, body) of the key events that matter, from the genesis on.
        heads: notes with the log's two lines and no others.
        leaves: records.
        hashes: proofs and roots, as the kind defines.
    """

    kind: Proof
    code: str
    origin: str
    log_id: LogId
    key_events: tuple[tuple[bytes, bytes], ...]
    heads: tuple[bytes, ...] = ()
    leaves: tuple[Leaf, ...] = ()
    hashes: tuple[Hash32, ...] = ()


def strip_head(note: bytes, log_id: LogId, ed25519: bytes) -> bytes:
    """Return a head with the log's two lines only, the Ed25519 line first.

    Args:
        note: a head that was verified.
        log_id: identity of its log.
        ed25519: Ed25519 key of its epoch.
    """
    parsed = parse_note(note)
    origin = parse_checkpoint(parsed.text).origin
    keys = (ed25519_vkey(origin, ed25519), head_vkey(origin, log_id))
    lines: tuple[NoteSignature, ...] = sum(
        (find_signatures(parsed, key.name, key.key_id) for key in keys), ()
    )
    return format_note(Note(text=parsed.text, signatures=lines))


def encode_evidence(evidence: Evidence) -> bytes:
    """Return the one spelling of an evidence file."""
    document = {
        "format": FORMAT,
        "kind": evidence.kind.value,
        "code": evidence.code,
        "origin": evidence.origin,
        "log_id": evidence.log_id.hex(),
        "key_events": [[record.hex(), body.hex()] for record, body in evidence.key_events],
        "heads": [note.decode("utf-8") for note in evidence.heads],
        "leaves": [_leaf_to_json(leaf) for leaf in evidence.leaves],
        "hashes": [item.hex() for item in evidence.hashes],
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8") + b"\n"


def decode_evidence(data: bytes) -> Evidence:
    """Return what stands in an evidence file; nothing of it is verified.

    Args:
        data: the whole file, at most 16 MiB.

    Raises:
        EvidenceError: evidence-format.
    """
    if len(data) > MAX_EVIDENCE_BYTES:
        raise _bad(f"{len(data)} bytes are more than {MAX_EVIDENCE_BYTES}")
    try:
        document = json.loads(data.decode("utf-8"))
        evidence = _read(document)
        same = encode_evidence(evidence) == data
    except EvidenceError:
        raise
    except (ValueError, RecursionError) as error:
        raise _bad("it is not JSON text") from error
    if not same:
        raise _bad("it is not spelled in the one way")
    return evidence


def _read(document: object) -> Evidence:
    members = _object(document, _MEMBERS)
    if members["format"] != FORMAT:
        raise _bad("it is of another format")
    kind = _text(members["kind"])
    if not kind or kind not in list(Proof):
        raise _bad("it is of a kind that this release does not know")
    return Evidence(
        kind=Proof(kind),
        code=_text(members["code"]),
        origin=_text(members["origin"]),
        log_id=LogId(_hex(members["log_id"], 32)),
        key_events=_list(members["key_events"], MAX_KEY_EVENTS, _key_event),
        heads=_list(members["heads"], MAX_HEADS, lambda item: _text(item).encode("utf-8")),
        leaves=_list(members["leaves"], MAX_LEAVES, _leaf),
        hashes=_list(members["hashes"], MAX_HASHES, _hash),
    )


def _leaf_to_json(leaf: Leaf) -> dict[str, Any]:
    return {
        "index": leaf.index,
        "record": leaf.record.hex(),
        "body": None if leaf.body is None else leaf.body.hex(),
        "path": None if leaf.path is None else [item.hex() for item in leaf.path],
    }


def _leaf(item: object) -> Leaf:
    members = _object(item, _LEAF_MEMBERS)
    index, body, path = members["index"], members["body"], members["path"]
    if type(index) is not int or not 0 <= index <= MAX_UINT:
        raise _bad("an index is not a number in range")
    return Leaf(
        index=LeafIndex(index),
        record=_hex(members["record"], RECORD_LENGTH),
        body=None if body is None else _body(body),
        path=None if path is None else _list(path, MAX_HASHES, _hash),
    )


def _key_event(item: object) -> tuple[bytes, bytes]:
    if type(item) is not list or len(item) != 2:
        raise _bad("a key event is not a pair")
    return _hex(item[0], RECORD_LENGTH), _body(item[1])


def _object(item: object, names: frozenset[str]) -> dict[str, object]:
    if type(item) is not dict or item.keys() != names:
        raise _bad("an object has other members than defined")
    return item


def _list(item: object, limit: int, read: Callable[[object], T]) -> tuple[T, ...]:
    if type(item) is not list or len(item) > limit:
        raise _bad("a list is none, or too long")
    return tuple(map(read, item))


def _text(item: object) -> str:
    if type(item) is not str:
        raise _bad("a text is none")
    return item


def _hash(item: object) -> Hash32:
    return Hash32(_hex(item, 32))


def _body(item: object) -> bytes:
    length = len(_text(item))
    if length > 2 * MAX_BODY_BYTES:
        raise _bad("a body is too long")
    return _hex(item, length // 2)


def _hex(item: object, length: int) -> bytes:
    try:
        data = bytes.fromhex(_text(item))
    except ValueError as error:
        raise _bad("a byte string is not hexadecimal") from error
    if len(data) != length:
        raise _bad("a byte string has another length than defined")
    return data


def _bad(reason: str) -> EvidenceError:
    return EvidenceError("evidence-format", f"not an evidence file: {reason}")
