"""One small log with known keys, from which tests make heads, notes, policies and bundles."""

from hashlib import sha256
from typing import Final

from nous_ledger.protocol.bundle import Bundle, KeyEventEntry
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.hashing import compute_log_id, next_key_hash
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.mmr import append_nodes, next_peaks, read_root
from nous_ledger.protocol.note import add_signatures, format_note, parse_note
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.record import leaf_hash, sign_record
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    NodePos,
    UnixMillis,
    UnixSeconds,
)
from nous_ledger.protocol.vkey import cosigner_vkey, ed25519_vkey, head_vkey

ORIGIN: Final = "ledger.example.com/main"
KEY: Final = SigningKey(b"\x11" * 32)
NEXT_HASH: Final = next_key_hash(SigningKey(b"\x22" * 32).public_key)
ED25519: Final = Ed25519Key(b"\x33" * 32)
LOG_ID: Final = compute_log_id(ORIGIN, KEY.public_key, ED25519.public_key, NEXT_HASH)
HEAD_VKEY: Final = head_vkey(ORIGIN, LOG_ID)
ED25519_VKEY: Final = ed25519_vkey(ORIGIN, ED25519.public_key)
WITNESSES: Final = tuple(Ed25519Key(bytes([number]) * 32) for number in range(0x41, 0x49))
WITNESS_NAMES: Final = tuple(f"witness.example/w{number}" for number in range(1, 9))
WITNESS_VKEYS: Final = tuple(
    cosigner_vkey(name, key.public_key) for name, key in zip(WITNESS_NAMES, WITNESSES, strict=True)
)
TIME: Final = UnixSeconds(1_750_000_000)
LEAVES: Final = 23
BODIES: Final = tuple(b"body %d" % index for index in range(LEAVES))


def _record(index: int) -> bytes:
    return sign_record(
        KEY,
        LOG_ID,
        type=0 if index == 0 else 1,
        epoch=Epoch(0),
        index=LeafIndex(index),
        logged_at=UnixMillis(1_749_999_000_000 + index),
        body_hash=Hash32(sha256(BODIES[index]).digest()),
    )


RECORDS: Final = tuple(_record(index) for index in range(LEAVES))


def _nodes() -> tuple[Hash32, ...]:
    nodes: list[Hash32] = []
    peaks: tuple[Hash32, ...] = ()
    for index, record in enumerate(RECORDS):
        added = append_nodes(LeafCount(index), leaf_hash(record), peaks)
        nodes += added
        peaks = next_peaks(peaks, added)
    return tuple(nodes)


NODES: Final = _nodes()


def read(positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
    """Return nodes of the log, as a store would."""
    return tuple(NODES[position] for position in positions)


def checkpoint(count: int = LEAVES) -> Checkpoint:
    """Return the checkpoint over the first leaves."""
    leaves = LeafCount(count)
    return Checkpoint(origin=ORIGIN, leaf_count=leaves, root=read_root(read, leaves))


def head(count: int = LEAVES, *, witnesses: int = 0, timestamp: int = TIME) -> bytes:
    """Return the signed note over the first leaves, cosigned by some witnesses."""
    signed = sign_head(
        checkpoint(count),
        log_id=LOG_ID,
        epoch=Epoch(0),
        timestamp=UnixSeconds(timestamp),
        key=KEY,
        ed25519=ED25519,
    )
    note = parse_note(signed)
    lines = (
        cosign(WITNESS_NAMES[number], WITNESSES[number], note.text, UnixSeconds(timestamp + number))
        for number in range(witnesses)
    )
    return format_note(add_signatures(note, *lines))


def bundle(index: int = 7, *, witnesses: int = 2, body: bytes | None = None) -> Bundle:
    """Return the well-formed bundle of one record; its bodies are not receipts."""
    count = LeafCount(LEAVES)
    genesis = KeyEventEntry(
        record=RECORDS[0], body=BODIES[0], path=prove_inclusion(read, LeafIndex(0), count)
    )
    return Bundle(
        index=LeafIndex(index),
        path=prove_inclusion(read, LeafIndex(index), count),
        checkpoint=head(witnesses=witnesses),
        record=RECORDS[index],
        body=BODIES[index] if body is None else body,
        key_events=(genesis,),
    )
