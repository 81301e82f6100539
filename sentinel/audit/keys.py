"""The key history of the watched log, as far as its records were read.

A head of a later epoch can only be checked with the key that a rotation revealed, and
that stands in records which the head is to vouch for. So key events are looked for
first: they prove themselves, by the hash that was committed to before.

Spec:
    PROTOCOL.md, section "Key history" (KEY-17 to KEY-29).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from nous_ledger.protocol.errors import LedgerError, UnavailableError
from nous_ledger.protocol.keyhistory import KeyHistory, verify_key_history
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.record import TYPE_KEY, decode_record
from nous_ledger.protocol.tiles import ENTRY_BYTES
from nous_ledger.protocol.types import Epoch, LeafCount, LeafIndex, LogId
from sentinel.audit.findings import FINDING_CODES, Finding, Place

_NO_LEAVES: Final = LeafCount(0)
_TYPE_HIGH: Final = 2 + 1
_TYPE_LOW: Final = 2 + 2
_UNREAD: Final = frozenset({"withheld", "body-hash", "unknown-kind"})
_UNREADABLE: Final = frozenset({"record-length", "record-version", "record-range", "newer-version"})


class KeyEra(NamedTuple):
    """The key that signs records from one index on."""

    first_index: LeafIndex
    epoch: Epoch
    public_key: bytes


class BrokenEvent(NamedTuple):
    """A key event that does not continue the history.

    Attributes:
        leaf: where it stands.
        code: what is wrong.
        message: the same as a sentence.
    """

    leaf: LeafIndex
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The key events of a log that were read so far, in order, and what follows from them.

    Attributes:
        origin: name of the log.
        pinned: log ids that the policy pins for it; at least one.
        events: (record, body) of each key event that continues the history.
        scanned: leaves that were looked through for key events, from the first on.
        broken: the first key event that does not continue it; none is taken after it.
        history: what the events make; None before the genesis.
    """

    origin: str
    pinned: frozenset[LogId]
    events: tuple[tuple[bytes, bytes], ...] = ()
    scanned: LeafCount = _NO_LEAVES
    broken: BrokenEvent | None = None
    history: KeyHistory | None = None

    @property
    def epoch(self) -> int:
        """The newest epoch that is known; -1 before the genesis."""
        return -1 if self.history is None else self.history.epoch

    def eras(self) -> tuple[KeyEra, ...]:
        """Return the keys that sign records, by their first index."""
        epochs = () if self.history is None else self.history.epochs
        return tuple(
            KeyEra(keys.first_index, Epoch(number), keys.secp256k1)
            for number, keys in enumerate(epochs)
        )

    def history_at(self, leaf_count: LeafCount) -> KeyHistory | None:
        """Return what the key events among the first leaves make; None without a genesis.

        A tree without leaves is taken to be of the first epoch.
        """
        history = self.history
        if history is None or history.records[-1].index < leaf_count:
            return history
        return history_of(self.origin, self.pinned, self.events_below(max(leaf_count, 1)))

    def events_below(self, leaf_count: int) -> tuple[tuple[bytes, bytes], ...]:
        """Return the key events among the first leaves."""
        records = () if self.history is None else self.history.records
        kept = sum(record.index < leaf_count for record in records)
        return self.events[:kept]


def start_ring(origin: str, policy: Policy) -> KeyRing:
    """Return the ring of a log of which nothing was read yet.

    Args:
        origin: name of the log.
        policy: where its log ids are pinned.

    Raises:
        UnavailableError: unknown-log, unpinned.
    """
    keys = policy.log_keys(origin)
    if not keys:
        raise UnavailableError("unknown-log", f"the policy does not list {origin}")
    pinned = frozenset(key.log_id for key in keys if key.log_id is not None)
    if not pinned:
        raise UnavailableError("unpinned", f"the policy does not pin the log id of {origin}")
    return KeyRing(origin=origin, pinned=pinned)


def history_of(
    origin: str, pinned: frozenset[LogId], events: Iterable[tuple[bytes, bytes]]
) -> KeyHistory:
    """Return what key events make by themselves, with nothing after the last of them.

    Raises:
        LedgerError: as `verify_key_history`.
    """
    events = tuple(events)
    last = decode_record(events[-1][0]).index if events else 0
    return verify_key_history(events, leaf_count=LeafCount(last + 1), origin=origin, pinned=pinned)


def key_event_indices(entries: bytes, first_index: LeafIndex) -> tuple[LeafIndex, ...]:
    """Return the leaves of a bundle of entries that are of the key events' type.

    Args:
        entries: 122 bytes per record, the length prefix included.
        first_index: leaf of the first.
    """
    high, low = entries[_TYPE_HIGH::ENTRY_BYTES], entries[_TYPE_LOW::ENTRY_BYTES]
    return tuple(_zeros(high, low, first_index))


def _zeros(high: bytes, low: bytes, first_index: LeafIndex) -> Iterator[LeafIndex]:
    at = low.find(TYPE_KEY)
    while at >= 0:
        if high[at] == TYPE_KEY:
            yield LeafIndex(first_index + at)
        at = low.find(TYPE_KEY, at + 1)


def advance_keys(ring: KeyRing, index: LeafIndex, record: bytes, body: bytes) -> KeyRing:
    """Return the ring after one more key event; what does not continue it is kept as broken.

    Events that the ring has, and those after a broken one, change nothing. A record that
    cannot be read, or names another index than its place, is left to the checks of records.

    Args:
        ring: the ring before.
        index: leaf at which the record stands.
        record: 120 bytes, of type 0.
        body: its body as it was served; empty if it was not.
    """
    if index < ring.scanned or ring.broken is not None:
        return ring
    scanned = LeafCount(index + 1)
    try:
        if decode_record(record).index != index:
            return replace(ring, scanned=scanned)
        events = (*ring.events, (record, body))
        history = history_of(ring.origin, ring.pinned, events)
    except LedgerError as error:
        if error.code in _UNREADABLE:
            return replace(ring, scanned=scanned)
        code = "withheld" if not body else error.code
        return replace(ring, scanned=scanned, broken=BrokenEvent(index, code, error.message))
    return replace(ring, scanned=scanned, events=events, history=history)


def settle(ring: KeyRing, audited: LeafCount) -> KeyRing:
    """Return what may be kept of a ring whose last events came from unproved entries.

    The events prove themselves. That there are none between them, and that one is broken,
    is only known of leaves that were compared with a signed tree.

    Args:
        ring: the ring.
        audited: leaves that were.
    """
    last = -1 if ring.history is None else ring.history.records[-1].index
    broken = ring.broken if ring.broken is not None and ring.broken.leaf < audited else None
    return replace(ring, scanned=LeafCount(max(last + 1, audited)), broken=broken)


def unread_event(ring: KeyRing, before: LeafCount) -> Finding | None:
    """Return the finding about a key event below a leaf that could not be read, if there is one.

    Its record is the log's, what was served as its body is not, or is of a kind unknown
    here. Nothing behind it can be held against anybody before it is read.
    """
    broken = ring.broken
    if broken is None or broken.code not in _UNREAD or broken.leaf >= before:
        return None
    return broken_finding(ring)


def broken_finding(ring: KeyRing) -> Finding | None:
    """Return what a broken key event among proved entries is reported as."""
    broken = ring.broken
    if broken is None:
        return None
    code = broken.code
    if not ring.events and code not in _UNREAD:
        code = "log-id"  # whatever stands at leaf 0 is not the genesis that is pinned
    info = FINDING_CODES[Place.KEY, code]
    return Finding(
        place=Place.KEY,
        code=code,
        message=f"the key event at leaf {broken.leaf}: {broken.message}",
        index=broken.leaf,
        attrs={"cause": broken.code},
        cites=(broken.leaf,) if info.proof else (),
    )
