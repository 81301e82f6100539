"""What receipts add up to, by who answered, by bucket and by label: tokens and money.

The headline is the share of tokens, and of money, that has no ground truth at all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from nous_ledger.protocol.audit_streams import Service, service_of
from nous_ledger.protocol.label import EXACT, UNVERIFIABLE, Verdict, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import TOKEN_KINDS_END
from nous_ledger.protocol.types import LeafIndex
from nous_ledger.reconcile.prices import Cost

MAX_LINKS: Final = 20
"""Receipts that stand by name beside a number; all are counted."""

_FLAGGED: Final = (Verdict.ABOVE, Verdict.BELOW, Verdict.OUTSIDE)


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
        request_id: the provider's id of the call, to ask for; empty if unknown.
    """

    index: LeafIndex
    receipt_id: bytes
    kind: int
    verdict: str
    reported: int
    lower: int
    upper: int
    request_id: str


@dataclass(slots=True)
class ServiceSum:
    """What the receipts of one model at one upstream add up to.

    Attributes:
        calls: receipts.
        unmetered: receipts without usage.
        tokens: reported tokens by (bucket kind, label).
        cost: pico-USD of the receipts that have a price.
        cost_by_label: the same by label, each bucket's share by its own price.
        unpriced: receipts without a price.
        verdicts: buckets by verdict.
        flags: the first receipts whose counts lie outside of their evidence.
        first: leaf of the first receipt.
        last: leaf of the last receipt.
    """

    calls: int = 0
    unmetered: int = 0
    tokens: Counter[tuple[int, int]] = field(default_factory=Counter)
    cost: int = 0
    cost_by_label: Counter[int] = field(default_factory=Counter)
    unpriced: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    flags: list[Flag] = field(default_factory=list)
    first: int = -1
    last: int = -1

    def by_label(self) -> Counter[int]:
        """Return the reported tokens by label."""
        found: Counter[int] = Counter()
        for (kind, label), tokens in self.tokens.items():
            if kind < TOKEN_KINDS_END:
                found[label] += tokens
        return found


class Summary:
    """Adds up receipts in any order.

    Attributes:
        services: the sums, by who answered.
        withheld: receipts whose bodies are gone; they add nothing.
        tables: SHA-256 and name of every price table that priced something.
    """

    def __init__(self) -> None:
        """Start with nothing."""
        self.services: dict[Service, ServiceSum] = {}
        self.withheld = 0
        self.tables: dict[bytes, str] = {}

    def take(self, index: LeafIndex, receipt: Receipt, cost: Cost) -> None:
        """Take a receipt and what it costs."""
        found = self.services.setdefault(service_of(receipt), ServiceSum())
        found.calls += 1
        found.first = index if found.first < 0 else found.first
        found.last = index
        if cost.amount is None:
            found.unpriced += 1
        else:
            found.cost += cost.amount
        if not receipt.usage:
            found.unmetered += 1
        for bucket in receipt.usage or ():
            if bucket.reported is None:
                continue
            found.tokens[bucket.kind, bucket.label] += bucket.reported
            found.cost_by_label[bucket.label] += dict(cost.parts).get(bucket.kind, 0)
            word = verdict(bucket, receipt.metering)
            found.verdicts[word] += 1
            if word in _FLAGGED and len(found.flags) < MAX_LINKS:
                found.flags.append(
                    Flag(
                        index=index,
                        receipt_id=receipt.id,
                        kind=bucket.kind,
                        verdict=word,
                        reported=bucket.reported,
                        lower=bucket.lower or 0,
                        upper=bucket.upper or 0,
                        request_id=receipt.provider_request_id or "",
                    )
                )

    def tokens_by_label(self) -> Counter[int]:
        """Return the reported tokens of all receipts by label."""
        return sum((found.by_label() for found in self.services.values()), Counter())

    def unverifiable_share(self) -> tuple[int, int]:
        """Return the tokens that have no ground truth, and all tokens."""
        labels = self.tokens_by_label()
        return labels[UNVERIFIABLE], sum(labels.values())

    def exact_share(self) -> tuple[int, int]:
        """Return the tokens that were counted again, and all tokens."""
        labels = self.tokens_by_label()
        return labels[EXACT], sum(labels.values())
