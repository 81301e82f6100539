"""Receipts in a list, and what they add up to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from nous_ledger.ledger.model import Entry
from nous_ledger.ledger.store import Store
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.receipt import MAX_CLOCK_SKEW_MS, Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT, decode_record
from nous_ledger.protocol.types import LeafCount, LeafIndex, TokenCount, UnixMillis

_AT_A_TIME: Final = 512
_UNMETERED: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptRow:
    """One line of a list of receipts.

    Attributes:
        index: leaf of the receipt.
        logged_at: milliseconds; when it was logged.
        receipt: the receipt; None if its body was erased.
    """

    index: LeafIndex
    logged_at: UnixMillis
    receipt: Receipt | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTotal:
    """Everything of one kind under one label.

    Attributes:
        kind: number of the bucket kind.
        label: number of the label.
        reported: sum of what was reported.
        buckets: how many buckets there were, those without a number included.
    """

    kind: int
    label: int
    reported: TokenCount
    buckets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a list of receipts adds up to.

    Attributes:
        calls: receipts, withheld ones included.
        withheld: receipts whose body is gone; they add nothing below.
        unmetered: receipts without any usage.
        kinds: by kind, then label.
    """

    calls: int
    withheld: int
    unmetered: int
    kinds: tuple[KindTotal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFilter:
    """Which receipts are wanted.

    Attributes:
        since: earliest time of the call, milliseconds; None for no limit.
        until: time of the call before which it lies, milliseconds; None for no limit.
        model: model as it was served or asked for; None for all.
    """

    since: int | None = None
    until: int | None = None
    model: str | None = None

    def takes(self, row: ReceiptRow) -> bool:
        """Return whether a row is wanted; a withheld one has no model."""
        receipt = row.receipt
        time = row.logged_at if receipt is None else receipt.time
        if self.since is not None and time < self.since:
            return False
        if self.until is not None and time >= self.until:
            return False
        if self.model is None:
            return True
        return receipt is not None and self.model in (receipt.model_served, receipt.model_requested)


def list_receipts(
    store: Store, lo: LeafIndex, hi: LeafCount, wanted: ReceiptFilter
) -> Iterator[ReceiptRow]:
    """Yield receipts among the leaves `[lo, hi)` in the order of the log.

    Memory stays bounded, and the database is not held while a row is looked at.

    Args:
        store: the store.
        lo: first leaf.
        hi: end of the range, at most the leaf count.
        wanted: which receipts to yield.
    """
    at = lo if wanted.since is None else _first_logged(store, lo, hi, wanted.since)
    while at < hi:
        with store.read() as view:
            entries = view.entries(at, min(at + _AT_A_TIME, hi))
        for entry in entries:
            row = _row(entry)
            if row is not None and wanted.takes(row):
                yield row
        at = LeafIndex(at + _AT_A_TIME)


def sum_receipts(rows: Iterable[ReceiptRow]) -> Totals:
    """Return what some receipts add up to, per kind and label."""
    calls = withheld = unmetered = 0
    sums: dict[tuple[int, int], tuple[int, int]] = {}
    for row in rows:
        calls += 1
        if row.receipt is None:
            withheld += 1
            continue
        unmetered += row.receipt.metering == _UNMETERED
        for bucket in row.receipt.usage or ():
            reported, buckets = sums.get((bucket.kind, bucket.label), (0, 0))
            sums[bucket.kind, bucket.label] = (reported + (bucket.reported or 0), buckets + 1)
    kinds = tuple(
        KindTotal(kind=kind, label=label, reported=TokenCount(reported), buckets=buckets)
        for (kind, label), (reported, buckets) in sorted(sums.items())
    )
    return Totals(calls=calls, withheld=withheld, unmetered=unmetered, kinds=kinds)


def _row(entry: Entry) -> ReceiptRow | None:
    record = decode_record(entry.record)
    if record.type != TYPE_RECEIPT:
        return None
    receipt = decode_body(TYPE_RECEIPT, entry.body) if entry.body else None
    assert receipt is None or isinstance(receipt, Receipt)  # noqa: S101 - by the type asked for
    return ReceiptRow(index=entry.index, logged_at=record.logged_at, receipt=receipt)


def _first_logged(store: Store, lo: LeafIndex, hi: LeafCount, since: int) -> LeafIndex:
    """Return the first leaf that can hold a call at or after a time."""
    earliest = since - MAX_CLOCK_SKEW_MS  # a call is never later than this after its logging
    with store.read() as view:
        at = bisect_left(
            range(lo, hi), earliest, key=lambda leaf: view.decoded(LeafIndex(leaf)).logged_at
        )
    return LeafIndex(lo + at)
