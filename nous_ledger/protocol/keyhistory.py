"""The key history of a log: from its genesis to the epoch of a head.

A rotation is signed by the key that it reveals, whose hash was committed
before; the replaced key has no say. So whoever steals the current key cannot
rotate, and whoever holds the next one can always take the log back.

Spec:
    PROTOCOL.md, section "Key history" (KEY-17 to KEY-29).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from nous_ledger.protocol.bodies import check_body_hash, check_body_in_record, decode_body
from nous_ledger.protocol.eip712 import rotation_digest
from nous_ledger.protocol.errors import (
    KeyHistoryError,
    RecordError,
    SignatureError,
    UnavailableError,
)
from nous_ledger.protocol.hashing import ZERO_HASH, compute_log_id, next_key_hash
from nous_ledger.protocol.keyevent import CLOSE, GENESIS, KeyEvent
from nous_ledger.protocol.record import (
    SIGNED_LENGTH,
    TYPE_KEY,
    Record,
    decode_record,
    record_digest,
)
from nous_ledger.protocol.registries import KEY_EVENT_KIND
from nous_ledger.protocol.signing import verify_signature
from nous_ledger.protocol.types import Epoch, LeafCount, LeafIndex, LogId
from nous_ledger.protocol.values import value

MAX_EPOCH: Final = 63


@value
class KeyEpoch:
    """The keys in force from one index on.

    Attributes:
        first_index: index of the key event that began the epoch.
        secp256k1: compressed key, 33 bytes.
        ed25519: key, 32 bytes.
    """

    first_index: LeafIndex
    secp256k1: bytes
    ed25519: bytes


@value
class KeyHistory:
    """All key events of a log at one head.

    Attributes:
        log_id: identity that the genesis hashes to, 32 bytes.
        genesis: body of the genesis.
        epochs: keys by epoch.
        suspect: ranges [lo, hi) of indices whose attribution is not checkable.
        next_hash: commitment to the key of the next epoch; zeros = none.
        closed_at: index of the close, if there is one.
        records: the decoded records of the events, in order.
    """

    log_id: LogId
    genesis: KeyEvent
    epochs: tuple[KeyEpoch, ...]
    suspect: tuple[tuple[LeafIndex, LeafIndex], ...]
    next_hash: bytes
    closed_at: LeafIndex | None
    records: tuple[Record, ...]

    @property
    def epoch(self) -> Epoch:
        """The epoch at the head."""
        return Epoch(len(self.epochs) - 1)

    def epoch_at(self, index: LeafIndex) -> Epoch:
        """Return the epoch in force at a record's index."""
        starts = [epoch.first_index for epoch in self.epochs]
        return Epoch(bisect_right(starts, index) - 1)

    def is_suspect(self, index: LeafIndex) -> bool:
        """Return whether a key event reported the key in force at an index as suspect."""
        return any(low <= index < high for low, high in self.suspect)


@dataclass(slots=True)
class _State:
    """What the events read so far have established."""

    log_id: LogId
    genesis: KeyEvent
    next_hash: bytes
    last_index: LeafIndex
    epochs: list[KeyEpoch] = field(default_factory=list)
    suspect: list[tuple[LeafIndex, LeafIndex]] = field(default_factory=list)
    closed_at: LeafIndex | None = None


def verify_key_history(
    events: Iterable[tuple[bytes, bytes]],
    *,
    leaf_count: LeafCount,
    origin: str,
    pinned: frozenset[LogId] = frozenset(),
) -> KeyHistory:
    """Return the key history that a log's key events make.

    Args:
        events: (record, body) of every key event among the leaves, in order.
        leaf_count: leaves of the head that the history rests on.
        origin: origin of that head.
        pinned: log ids that the verifier trusts for this origin; empty = none pinned.

    Raises:
        KeyHistoryError: key-event-order, log-id, epoch, reveal, rotation-signature,
            after-close.
        RecordError: body-hash and those of a record.
        SignatureError: a record is not signed by its own key.
        EncodingError, BodyError: a body is not valid.
        UnavailableError: unknown-kind, newer-version.
    """
    state: _State | None = None
    records: list[Record] = []
    for data, body in events:
        record, event = _read_event(data, body)
        records.append(record)
        if state is None:
            state = _begin(record, event, origin, pinned)
        else:
            _advance(state, record, event)
        digest = record_digest(state.log_id, data[:SIGNED_LENGTH])
        verify_signature(digest, record.signature, event.secp256k1)
        if event.kind == CLOSE and record.index != leaf_count - 1:
            raise KeyHistoryError("after-close", f"leaves follow the close at {record.index}")
        if event.suspect_from is not None:
            state.suspect.append((LeafIndex(event.suspect_from), record.index))
    if state is None:
        raise KeyHistoryError("key-event-order", "there is no genesis")
    return KeyHistory(
        log_id=state.log_id,
        genesis=state.genesis,
        epochs=tuple(state.epochs),
        suspect=tuple(state.suspect),
        next_hash=state.next_hash,
        closed_at=state.closed_at,
        records=tuple(records),
    )


@lru_cache(maxsize=128)  # the key events of a log come with every one of its bundles
def _read_event(data: bytes, body: bytes) -> tuple[Record, KeyEvent]:
    record = decode_record(data)
    if record.type != TYPE_KEY:
        raise KeyHistoryError("key-event-order", f"the record at {record.index} is no key event")
    if not body:
        raise RecordError("body-hash", "the body of a key event is always public")
    event = decode_body(TYPE_KEY, check_body_hash(record, body))
    if not isinstance(event, KeyEvent) or event.kind not in KEY_EVENT_KIND:
        raise UnavailableError("unknown-kind", f"a key event of unknown kind at {record.index}")
    check_body_in_record(event, record)
    return record, event


def _begin(record: Record, event: KeyEvent, origin: str, pinned: frozenset[LogId]) -> _State:
    if event.kind != GENESIS or record.index != 0 or record.epoch != 0:
        raise KeyHistoryError("key-event-order", "the first key event is not a genesis at index 0")
    if event.origin != origin:
        raise KeyHistoryError("log-id", "the genesis names another origin than the head")
    next_hash = event.next_hash or ZERO_HASH
    log_id = compute_log_id(origin, event.secp256k1, event.ed25519, next_hash)
    if pinned and log_id not in pinned:
        raise KeyHistoryError(
            "log-id", "the genesis hashes to another log id than the pinned one", computed=log_id
        )
    keys = KeyEpoch(first_index=record.index, secp256k1=event.secp256k1, ed25519=event.ed25519)
    return _State(
        log_id=log_id,
        genesis=event,
        next_hash=next_hash,
        last_index=record.index,
        epochs=[keys],
    )


def _advance(state: _State, record: Record, event: KeyEvent) -> None:
    if state.closed_at is not None:
        raise KeyHistoryError("after-close", "a key event follows the close")
    if record.index <= state.last_index or event.kind == GENESIS:
        raise KeyHistoryError("key-event-order", "key events do not ascend from one genesis")
    if event.kind == CLOSE and state.next_hash == ZERO_HASH:
        _close_uncounted(state, record, event)
    else:
        _rotate(state, record, event)
    state.last_index = record.index
    if event.kind == CLOSE:
        state.closed_at = record.index


def _close_uncounted(state: _State, record: Record, event: KeyEvent) -> None:
    """Take the close of a log that committed to no next key: its key and epoch stay."""
    current = state.epochs[-1]
    if record.epoch != len(state.epochs) - 1:
        raise KeyHistoryError("epoch", "this close does not begin an epoch")
    if event.secp256k1 != current.secp256k1:
        raise KeyHistoryError("reveal", "a log without a next key is closed by its current key")
    if event.rotation_sig is not None:
        raise KeyHistoryError("rotation-signature", "this close reveals no key")
    state.epochs[-1] = KeyEpoch(
        first_index=current.first_index, secp256k1=current.secp256k1, ed25519=event.ed25519
    )


def _rotate(state: _State, record: Record, event: KeyEvent) -> None:
    """Take a rotate or close by the key whose hash was committed before."""
    epoch = Epoch(len(state.epochs))
    if record.epoch != epoch or epoch > MAX_EPOCH:
        raise KeyHistoryError("epoch", f"epoch {record.epoch} follows epoch {epoch - 1}")
    if next_key_hash(event.secp256k1) != state.next_hash:
        raise KeyHistoryError("reveal", "the key is not the one that was committed to")
    next_hash = event.next_hash or ZERO_HASH
    if event.rotation_sig is None:
        raise KeyHistoryError("rotation-signature", "the rotation is not signed")
    try:
        digest = rotation_digest(state.log_id, epoch, next_hash)
        verify_signature(digest, event.rotation_sig, event.secp256k1)
    except SignatureError as error:
        raise KeyHistoryError(
            "rotation-signature", f"the revealed key did not sign: {error.message}"
        ) from error
    state.epochs.append(
        KeyEpoch(first_index=record.index, secp256k1=event.secp256k1, ed25519=event.ed25519)
    )
    state.next_hash = next_hash
