"""The audited streams of a log: which receipt belongs to which, from the log alone.

Spec:
    PROTOCOL.md, section "Stream audit", AUD-1, AUD-2, AUD-8, AUD-11, AUD-13, AUD-14.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.label import EXACT
from nous_ledger.protocol.registries import METERING
from nous_ledger.protocol.stream_audit import ALPHA, StreamAudit, alarm_level
from nous_ledger.protocol.types import TokenCount

if TYPE_CHECKING:
    from nous_ledger.protocol.receipt import Receipt

_FINAL: Final = METERING["final"]
MAX_STREAMS: Final = 1_024
MAX_SERVICES: Final = 4_096
"""Most streams and most services that are followed: what comes later is counted, not taken."""
OUTPUT_KINDS: Final = range(16, 32)
"""Bucket kinds that are output tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Who answered: what the streams of one model at one upstream have in common.

    Attributes:
        source: how the receipts came to be (registry SOURCE).
        provider: name of the provider.
        upstream: host it was reached at; empty if the receipt has none.
        operation: OpenTelemetry name of the operation.
        model: model served, else model requested, else "unknown".
    """

    source: int
    provider: str
    upstream: str
    operation: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamKey:
    """What the receipts of one stream have in common (AUD-2).

    Attributes:
        service: who answered.
        method: method of the re-count, which names the vocabulary's encoding.
        vocab: SHA-256 of the vocabulary, 32 bytes.
        lowest: smallest admissible offset of the model, in tokens.
        highest: largest admissible offset of the model, in tokens.
    """

    service: Service
    method: str
    vocab: bytes
    lowest: int
    highest: int


def service_of(receipt: Receipt) -> Service:
    """Return who answered a call, as a stream names it."""
    return Service(
        source=receipt.source,
        provider=receipt.provider,
        upstream=receipt.upstream or "",
        operation=receipt.operation,
        model=receipt.model_served or receipt.model_requested or "unknown",
    )


def output_of(receipt: Receipt) -> int:
    """Return the output tokens that a receipt's provider reported, of every kind."""
    return sum(b.reported or 0 for b in receipt.usage or () if b.kind in OUTPUT_KINDS)


def stream_sample(receipt: Receipt) -> tuple[StreamKey, TokenCount, TokenCount] | None:
    """Return the stream that a receipt belongs to, its reported and its counted tokens.

    Spec:
        AUD-1, AUD-2.

    Returns:
        None for a receipt that no stream audits: without an EXACT bucket, without a
        reported count in it, or with usage that was not the final one.
    """
    if receipt.metering != _FINAL:
        return None
    for bucket in receipt.usage or ():
        if bucket.label != EXACT or bucket.reported is None:
            continue
        count = bucket.count or 0  # EXACT has all three (LBL-1); 0 stays 0
        key = StreamKey(
            service=service_of(receipt),
            method=bucket.method or "",
            vocab=bucket.vocab or b"",
            lowest=(bucket.lower or 0) - count,
            highest=(bucket.upper or 0) - count,
        )
        return key, TokenCount(bucket.reported), TokenCount(count)
    return None


class AuditedStreams:
    """All streams of a log. `take` gets its receipts in the order of the log.

    Attributes:
        alpha: chance of any false alarm over all streams together.
        streams: the audit of each stream, in the order in which they were opened.
        output: reported output tokens of every receipt, samples or not, by who answered.
        receipts: receipts that were taken.
        unread: receipts that could not be: their bodies are erased or withheld.
        beyond: samples that were not taken, because there were too many streams or services.
        output_beyond: reported output tokens of further services.
    """

    __slots__ = ("alpha", "beyond", "output", "output_beyond", "receipts", "streams", "unread")

    def __init__(self, alpha: float = ALPHA) -> None:
        """Start before the first receipt.

        Args:
            alpha: chance of any false alarm over all streams together; 0 < alpha < 1.

        Raises:
            InputError: alpha is not between 0 and 1.
        """
        alarm_level(1, alpha)
        self.alpha = alpha
        self.streams: dict[StreamKey, StreamAudit] = {}
        self.output: dict[Service, int] = {}
        self.receipts = self.unread = self.beyond = self.output_beyond = 0

    def take(self, receipt: Receipt | None) -> StreamKey | None:
        """Bet on the next receipt; return its stream, None where no stream audits it.

        Args:
            receipt: the receipt; None for one that cannot be read.
        """
        if receipt is None:
            self.unread += 1
            return None
        self.receipts += 1
        tokens, sample = output_of(receipt), stream_sample(receipt)
        if tokens or sample is not None:
            self.take_output(service_of(receipt), tokens)
        return None if sample is None or self.take_sample(*sample) is None else sample[0]

    def take_output(self, service: Service, tokens: int) -> None:
        """Add output tokens of a service, which from then on is known if there is room.

        Args:
            service: who reported them.
            tokens: how many; 0 for those of a sample alone.
        """
        if service in self.output:
            self.output[service] += tokens
        elif len(self.output) < MAX_SERVICES:
            self.output[service] = tokens
        else:
            self.output_beyond += tokens

    def take_sample(
        self, key: StreamKey, reported: TokenCount, counted: TokenCount
    ) -> StreamAudit | None:
        """Bet on a sample whose output was taken; return its stream's audit.

        Spec:
            AUD-3, AUD-8, AUD-13.

        Returns:
            None where the stream is beyond what is followed.
        """
        audit = self.streams.get(key)
        if audit is None:
            if len(self.streams) == MAX_STREAMS or key.service not in self.output:
                self.beyond += 1
                return None
            level = alarm_level(len(self.streams) + 1, self.alpha)
            audit = StreamAudit(lowest=key.lowest, highest=key.highest, level=level)
            self.streams[key] = audit
        audit.update(reported, counted)
        return audit

    def sampled(self) -> Counter[Service]:
        """Return the reported output tokens that were samples, by who answered."""
        found: Counter[Service] = Counter()
        for key, audit in self.streams.items():
            found[key.service] += audit.reported
        return found

    def coverage(self, service: Service) -> tuple[int, int]:
        """Return how many of a model's reported output tokens were samples, and how many in all.

        Spec:
            AUD-11.
        """
        return self.sampled()[service], self.output.get(service, 0)

    def total_coverage(self) -> tuple[int, int]:
        """Return the same over all receipts."""
        return self.sampled().total(), sum(self.output.values()) + self.output_beyond
