"""Everything that is known of a period, gathered for whoever renders it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nous_ledger.protocol.audit_streams import AuditedStreams, StreamKey, stream_sample
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.stream_audit import AuditState
from nous_ledger.protocol.types import LeafIndex, UnixMillis
from nous_ledger.reconcile.period import CallDifference, PeriodReport
from nous_ledger.reconcile.summary import MAX_LINKS, Link, Summary, link_to

_OF_DIFFERENCES: Final = {
    "missing": "it has a receipt and is missing from the usage report",
    "extra": "the usage report has it, and there is no receipt",
    "differs": "receipt and usage report differ in tokens",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Calls that a provider should be asked about, by its own ids.

    Attributes:
        provider: name of the provider; empty where only a report names the calls.
        model: name of the model; empty for calls of any.
        reason: what is to be explained.
        calls: how many calls.
        request_ids: the provider's ids of the first of them.
        receipts: leaves of the first of them that have receipts.
    """

    provider: str
    model: str
    reason: str
    calls: int
    request_ids: tuple[str, ...]
    receipts: tuple[LeafIndex, ...]


class Samples:
    """The receipts of each stream that go furthest beyond their re-count."""

    def __init__(self) -> None:
        """Know of none yet."""
        self.by_stream: dict[StreamKey, list[tuple[int, LeafIndex, Link]]] = {}

    def take(self, index: LeafIndex, receipt: Receipt) -> None:
        """Take a receipt."""
        if (sample := stream_sample(receipt)) is None:
            return
        key, reported, counted = sample
        if (gap := reported - counted - key.highest) > 0:
            kept = self.by_stream.setdefault(key, [])
            heapq.heappush(kept, (gap, index, link_to(receipt)))
            if len(kept) > MAX_LINKS:
                heapq.heappop(kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileReport:
    """What receipts, reports, invoices, prices and streams say of a period.

    Attributes:
        since: earliest time of a call, milliseconds; None for the beginning.
        until: time before which calls lie, milliseconds; None for now.
        summary: what the receipts add up to.
        streams: the audit of all streams, from the log's first record on.
        samples: receipts of the period that go beyond their re-count.
        period: receipts beside what was imported.
        files: name, format, time of import, rows and faults of each imported file.
    """

    since: int | None
    until: int | None
    summary: Summary
    streams: AuditedStreams
    samples: Samples
    period: PeriodReport
    files: tuple[tuple[str, str, UnixMillis, int, int], ...]

    def links(self) -> dict[LeafIndex, Link]:
        """Return the receipts that stand beside numbers, by leaf."""
        of_samples = {
            index: link for kept in self.samples.by_stream.values() for _, index, link in kept
        }
        return dict(sorted({**self.summary.links, **of_samples}.items()))

    def asks(self) -> tuple[Ask, ...]:
        """Return what to ask the providers for."""
        return (*self._of_services(), *self._of_streams(), *self._of_period())

    def _of_services(self) -> Iterator[Ask]:
        for service, found in self.summary.services.items():
            for reason, part in found.asks.items():
                links = [self.summary.links[leaf] for leaf in part.receipts]
                yield Ask(
                    provider=service.provider,
                    model=service.model,
                    reason=reason,
                    calls=part.buckets,
                    request_ids=tuple(link.request_id for link in links if link.request_id),
                    receipts=tuple(part.receipts),
                )

    def _of_streams(self) -> Iterator[Ask]:
        for key, audit in self.streams.streams.items():
            kept = sorted(self.samples.by_stream.get(key, ()), reverse=True)
            if kept and audit.state is not AuditState.CONSISTENT:
                yield Ask(
                    provider=key.service.provider,
                    model=key.service.model,
                    reason=f"the stream by {key.method} is {audit.state}; these go furthest beyond",
                    calls=audit.receipts,
                    request_ids=tuple(link.request_id for *_, link in kept if link.request_id),
                    receipts=tuple(index for _, index, _ in kept),
                )

    def _of_period(self) -> Iterator[Ask]:
        for kind, reason in _OF_DIFFERENCES.items():
            found: list[CallDifference] = [
                item for item in self.period.call_differences if item.kind == kind
            ][:MAX_LINKS]
            if found:
                yield Ask(
                    provider="",
                    model="",
                    reason=reason,
                    calls=self.period.call_counts[kind],
                    request_ids=tuple(item.request_id for item in found),
                    receipts=tuple(item.index for item in found if item.index is not None),
                )
