"""What goes into a ledger and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeAlias

from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.encoding import MAX_ITEMS
from nous_ledger.protocol.errors import EncodingError
from nous_ledger.protocol.hashing import ZERO_HASH
from nous_ledger.protocol.placing import encode_placed
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.registries import ANOMALY
from nous_ledger.protocol.types import (
    MAX_UINT,
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    UnixMillis,
    UnixSeconds,
)
from nous_ledger.protocol.values import maker, value

_CLOCK_CLAMPED: Final = ANOMALY["clock_clamped"]

Clock: TypeAlias = Callable[[], int]
"""Returns the time in milliseconds since 1970-01-01T00:00:00Z."""


@value
class Draft:
    """A receipt on its way into the log.

    Attributes:
        receipt: the receipt; its subject_seq and subject_prev are assigned by the log.
        opening_hash: what the gateway keeps of the opening, 32 bytes.
        raw_usage: the usage values as they stood on the wire, in arrival order.
    """

    receipt: Receipt
    opening_hash: Hash32 | None = None
    raw_usage: tuple[bytes, ...] = ()

    @staticmethod
    def of(
        receipt: Receipt,
        opening_hash: Hash32 | None = None,
        raw_usage: tuple[bytes, ...] = (),
    ) -> Draft:
        """Return a draft that can be logged.

        Raises:
            EncodingError: limit, as `check_fits`.
        """
        check_fits(receipt)
        return _new_draft(receipt=receipt, opening_hash=opening_hash, raw_usage=raw_usage)


_new_draft: Final = maker(Draft)


def check_fits(receipt: Receipt) -> None:
    """Refuse what cannot be encoded at every place, and at another time than it says.

    Later it would fail a whole group. Only extensions can make a body too long, so one
    without them is first encoded at its place: while another is signed.

    Raises:
        EncodingError: limit, if the body is too long, or has no room for what the log
            adds: subject_prev, and the anomaly of a clock that was set back.
    """
    anomalies = receipt.anomalies or ()
    if len(anomalies) >= MAX_ITEMS and _CLOCK_CLAMPED not in anomalies:
        raise EncodingError("limit", f"{len(anomalies)} anomalies leave no room for another")
    if _has_extensions(receipt):
        retimed = receipt if anomalies else replace(receipt, anomalies=(_CLOCK_CLAMPED,))
        encode_placed(retimed, MAX_UINT, ZERO_HASH)


def _has_extensions(receipt: Receipt) -> bool:
    context, source = receipt.context, receipt.import_
    if (
        receipt.extensions
        or (context is not None and context.extensions)
        or (source is not None and source.extensions)
    ):
        return True
    return bool([bucket for bucket in receipt.usage or () if bucket.extensions])


@value
class Appended:
    """A receipt that is durably in the log.

    Attributes:
        index: its leaf.
        record: the signed record, 120 bytes.
        body: canonical bytes of the receipt.
    """

    index: LeafIndex
    record: bytes
    body: bytes

    @property
    def receipt(self) -> Receipt:
        """The receipt as it was logged, read from its body."""
        receipt = decode_body(TYPE_RECEIPT, self.body)
        assert isinstance(receipt, Receipt)  # noqa: S101 - by the type asked for
        return receipt


new_appended: Final = maker(Appended)
"""Makes an `Appended` as its class does."""


@value
class Intent:
    """A call that was admitted and has no receipt yet.

    Attributes:
        draft: its receipt as it stands if the call is never heard of again.
        opening_hash: as in `Draft`.
    """

    draft: Receipt
    opening_hash: Hash32 | None = None


@value
class Entry:
    """One leaf as it is stored.

    Attributes:
        index: the leaf.
        record: 120 bytes.
        body: canonical bytes; empty if the body was erased.
        opening_hash: of a receipt, if the gateway keeps one.
    """

    index: LeafIndex
    record: bytes
    body: bytes
    opening_hash: Hash32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysChanged:
    """A rotation or close that is durably in the log.

    Attributes:
        index: leaf of the key event.
        epoch: the key epoch from it on.
        secp256k1: public key that signs from it on, 33 bytes.
        ed25519: public key that signs heads for other tools from it on, 32 bytes.
        notices: what the owner should be told.
    """

    index: LeafIndex
    epoch: Epoch
    secp256k1: bytes
    ed25519: bytes
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """Bodies that were erased, and the records that say so.

    Attributes:
        indices: leaves whose bodies are gone, ascending.
        records: leaves of the redactions, of which each names at most 64.
        notices: what the owner should be told.
    """

    indices: tuple[LeafIndex, ...]
    records: tuple[LeafIndex, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHead:
    """A signed head as it is stored.

    Attributes:
        leaf_count: leaves it covers.
        timestamp: seconds; when it was signed.
        note: the whole note.
    """

    leaf_count: LeafCount
    timestamp: UnixSeconds
    note: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """Where the log stands, read in the transaction that will extend it.

    Attributes:
        leaf_count: leaves so far.
        logged_at: time of the last record; 0 in an empty log.
        peaks: peaks over these leaves, tallest first.
    """

    leaf_count: LeafCount
    logged_at: UnixMillis
    peaks: tuple[Hash32, ...]


class SubjectHead(NamedTuple):
    """The end of one subject's chain of receipts; a tuple, since every receipt makes one.

    Attributes:
        next_seq: receipts so far.
        last_body_hash: body hash of the last one; None before the first.
    """

    next_seq: int = 0
    last_body_hash: Hash32 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLeaf:
    """One leaf as it is about to be stored, of any type but a receipt's.

    Attributes:
        index: the leaf.
        type: record type.
        record: 120 bytes.
        body: canonical bytes.
    """

    index: LeafIndex
    type: int
    record: bytes
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReceipts:
    """Receipts that follow each other, as they are about to be stored, but for their records.

    Attributes:
        ids: 16 bytes each; the intents of these ids are thereby fulfilled.
        bodies: canonical bytes.
        opening_hashes: as in `Draft`.
        raw_usage: the joined usage values of each; empty for none.
    """

    ids: Sequence[bytes]
    bodies: Sequence[bytes]
    opening_hashes: Sequence[Hash32 | None]
    raw_usage: Sequence[bytes]
