"""What receipts add up to, by who answered, by bucket, label and method: tokens and money.

The headline is the share of tokens, and of money, that has no ground truth at all. Later
evidence counts in all sums; what was fixed when the calls were made is kept beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from nous_ledger.protocol.audit_streams import Service, service_of
from nous_ledger.protocol.label import UNVERIFIABLE, Bucket, Verdict, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.reconciled import Evidence, usage_after
from nous_ledger.protocol.registries import METERING, STATUS, TOKEN_KINDS_END
from nous_ledger.protocol.types import LeafIndex, PicoUsd
from nous_ledger.reconcile.labels import words_for
from nous_ledger.reconcile.prices import Cost

MAX_LINKS: Final = 20
"""Receipts that stand by name beside a number; all are counted."""

_FLAGGED: Final = (Verdict.ABOVE, Verdict.BELOW, Verdict.OUTSIDE)
_MALFORMED: Final = METERING["malformed"]
_COMPLETE: Final = STATUS["complete"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A receipt that stands beside a number.

    Attributes:
        receipt_id: its id, 16 bytes.
        request_id: the provider's id of the call; empty if unknown.
    """

    receipt_id: bytes
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A receipt whose reported count lies outside what its evidence allows.

    Attributes:
        index: leaf of the receipt.
        receipt_id: its id, 16 bytes.
        kind: bucket kind.
        verdict: above, below or outside.
        reported: what the provider reported.
        lower: smallest count that the evidence allows.
        upper: largest count that the evidence allows.
        method: how that was found.
        evidence: leaf of the reconciliation that says so; None for the receipt itself.
        request_id: the provider's id of the call, to ask for; empty if unknown.
    """

    index: LeafIndex
    receipt_id: bytes
    kind: int
    verdict: str
    reported: int
    lower: int
    upper: int
    method: str
    evidence: LeafIndex | None
    request_id: str


@dataclass(slots=True)
class Slice:
    """What some buckets add up to.

    Attributes:
        tokens: reported tokens.
        buckets: how many buckets.
        priced: buckets that have a price.
        cost: pico-USD of those, each rounded by itself.
        receipts: leaves of the first MAX_LINKS of them.
    """

    tokens: int = 0
    buckets: int = 0
    priced: int = 0
    cost: int = 0
    receipts: list[LeafIndex] = field(default_factory=list)

    def add(self, index: LeafIndex, tokens: int, cost: int | None) -> None:
        """Take a bucket of a receipt, with its cost in pico-USD if it has a price."""
        self.tokens += tokens
        self.buckets += 1
        self.priced += cost is not None
        self.cost += cost or 0
        if len(self.receipts) < MAX_LINKS:
            self.receipts.append(index)


@dataclass(slots=True)
class ServiceSum:
    """What the receipts of one model at one upstream add up to.

    Attributes:
        calls: receipts.
        unmetered: receipts without usage.
        slices: reported tokens by (bucket kind, label, method).
        at_call: reported tokens by label, as it was fixed when the calls were made.
        cost: pico-USD of the receipts that have a price.
        unpriced: receipts without a price, by what has none.
        unpriced_calls: receipts without a price.
        verdicts: buckets by verdict.
        flags: the first receipts whose counts lie outside of their evidence.
        asks: receipts that raise a question, by reason.
        first: leaf of the first receipt.
        last: leaf of the last receipt.
    """

    calls: int = 0
    unmetered: int = 0
    slices: dict[tuple[int, int, str], Slice] = field(default_factory=dict)
    at_call: Counter[int] = field(default_factory=Counter)
    cost: int = 0
    unpriced: Counter[str] = field(default_factory=Counter)
    unpriced_calls: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    flags: list[Flag] = field(default_factory=list)
    asks: dict[str, Slice] = field(default_factory=dict)
    first: int = -1
    last: int = -1

    def by_label(self) -> Counter[int]:
        """Return the reported tokens by label."""
        found: Counter[int] = Counter()
        for (kind, label, _), part in self.slices.items():
            if kind < TOKEN_KINDS_END:
                found[label] += part.tokens
        return found

    def cost_by_label(self) -> Counter[int]:
        """Return the cost in pico-USD by label, each bucket's share by its own price."""
        found: Counter[int] = Counter()
        for (_, label, _), part in self.slices.items():
            found[label] += part.cost
        return found


@dataclass(slots=True)
class EvidenceSum:
    """What later evidence there is.

    Attributes:
        receipts: receipts that have some.
        relabelled: buckets whose label or range it changed.
        by_source: buckets of evidence, by where it is from.
        denied: receipts of which it says something else than an EXACT count of their own.
    """

    receipts: int = 0
    relabelled: int = 0
    by_source: Counter[str] = field(default_factory=Counter)
    denied: Slice = field(default_factory=Slice)


class Summary:
    """Adds up receipts in any order.

    Attributes:
        services: the sums, by who answered.
        withheld: receipts whose bodies are gone; they add nothing.
        tables: SHA-256 and name of every price table that priced something.
        evidence: what later evidence there is.
        links: the receipts that stand beside numbers, by leaf.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.services: dict[Service, ServiceSum] = {}
        self.withheld = 0
        self.tables: dict[bytes, str] = {}
        self.evidence = EvidenceSum()
        self.links: dict[LeafIndex, Link] = {}

    def take(
        self, index: LeafIndex, receipt: Receipt, cost: Cost, evidence: Sequence[Evidence] = ()
    ) -> None:
        """Take a receipt, what it costs, and what later evidence counts for it."""
        found = self.services.setdefault(service_of(receipt), ServiceSum())
        found.calls += 1
        found.first = index if found.first < 0 else found.first
        found.last = index
        if cost.amount is None:
            found.unpriced_calls += 1
            found.unpriced.update(cost.unpriced)
        else:
            found.cost += cost.amount
        if not receipt.usage:
            found.unmetered += 1
        self._ask_for_usage(found, index, receipt)
        self._take_evidence(index, receipt, evidence)
        costs = dict(cost.parts)
        for own in receipt.usage or ():
            if own.kind < TOKEN_KINDS_END:
                found.at_call[own.label] += own.reported or 0
        for bucket, source in usage_after(receipt, evidence):
            cost_of_it = costs.get(bucket.kind)
            self._take_bucket(found, index, receipt, (bucket, source), cost_of_it)

    def tokens_by_label(self) -> Counter[int]:
        """Return the reported tokens of all receipts by label."""
        return sum((found.by_label() for found in self.services.values()), Counter())

    def unverifiable_share(self) -> tuple[int, int]:
        """Return the tokens that have no ground truth, and all tokens."""
        labels = self.tokens_by_label()
        return labels[UNVERIFIABLE], sum(labels.values())

    def unverifiable_cost(self) -> tuple[int, int]:
        """Return what those tokens cost in pico-USD, and what all tokens with a price do."""
        services = self.services.values()
        costs: Counter[int] = sum((found.cost_by_label() for found in services), Counter())
        return costs[UNVERIFIABLE], sum(costs.values())

    def unverifiable_at_call(self) -> tuple[int, int]:
        """Return the same share of tokens as it was fixed when the calls were made."""
        labels: Counter[int] = sum((f.at_call for f in self.services.values()), Counter())
        return labels[UNVERIFIABLE], sum(labels.values())

    def _take_bucket(
        self,
        found: ServiceSum,
        index: LeafIndex,
        receipt: Receipt,
        labelled: tuple[Bucket, Evidence | None],
        cost: PicoUsd | None,
    ) -> None:
        bucket, source = labelled
        key = (bucket.kind, bucket.label, bucket.method or "")
        self._add(found.slices.setdefault(key, Slice()), index, receipt, bucket.reported or 0, cost)
        self.evidence.relabelled += source is not None
        if bucket.reported is None:
            return
        word = verdict(bucket, receipt.metering)
        found.verdicts[word] += 1
        if word not in _FLAGGED:
            return
        why = words_for(word, bucket.method)
        self._add(found.asks.setdefault(why, Slice()), index, receipt, bucket.reported, cost)
        if len(found.flags) < MAX_LINKS:
            found.flags.append(_flag(index, receipt, bucket, source, word))

    def _ask_for_usage(self, found: ServiceSum, index: LeafIndex, receipt: Receipt) -> None:
        if receipt.metering == _MALFORMED:
            why = "its usage cannot be read"
        elif not receipt.usage and receipt.status == _COMPLETE:
            why = "it ended well and names no usage"
        else:
            return
        self._add(found.asks.setdefault(why, Slice()), index, receipt, 0, None)

    def _take_evidence(
        self, index: LeafIndex, receipt: Receipt, evidence: Sequence[Evidence]
    ) -> None:
        self.evidence.receipts += bool(evidence)
        own = {(b.kind, b.method): b for b in receipt.usage or () if b.count is not None}
        for one in evidence:
            self.evidence.by_source[one.source or "unknown"] += 1
            before = own.get((one.bucket.kind, one.bucket.method))
            if before is not None and before != one.bucket:
                self._add(self.evidence.denied, index, receipt, one.bucket.reported or 0, None)

    def _add(
        self, part: Slice, index: LeafIndex, receipt: Receipt, tokens: int, cost: int | None
    ) -> None:
        part.add(index, tokens, cost)
        if part.receipts[-1] == index:
            self.links[index] = link_to(receipt)


def link_to(receipt: Receipt) -> Link:
    """Return what names a receipt beside a number."""
    return Link(receipt_id=receipt.id, request_id=receipt.provider_request_id or "")


def _flag(
    index: LeafIndex, receipt: Receipt, bucket: Bucket, source: Evidence | None, word: str
) -> Flag:
    return Flag(
        index=index,
        receipt_id=receipt.id,
        kind=bucket.kind,
        verdict=word,
        reported=bucket.reported or 0,
        lower=bucket.lower or 0,
        upper=bucket.upper or 0,
        method=bucket.method or "",
        evidence=None if source is None else source.index,
        request_id=receipt.provider_request_id or "",
    )
