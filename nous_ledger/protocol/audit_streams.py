"""The audited streams of a log: which receipt belongs to which, from the log alone.

Spec:
    PROTOCOL.md, section "Stream audit", AUD-1, AUD-2, AUD-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.label import EXACT, METERING_MALFORMED
from nous_ledger.protocol.stream_audit import ALPHA, StreamAudit, alarm_level
from nous_ledger.protocol.types import TokenCount

if TYPE_CHECKING:
    from nous_ledger.protocol.receipt import Receipt

_OUTPUT_KINDS: Final = range(16, 32)


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


def stream_sample(receipt: Receipt) -> tuple[StreamKey, TokenCount, TokenCount] | None:
    """Return the stream that a receipt belongs to, its reported and its counted tokens.

    Spec:
        AUD-1, AUD-2.

    Returns:
        None for a receipt that no stream audits: without an EXACT bucket, without a
        reported count in it, or with malformed metering.
    """
    if receipt.metering == METERING_MALFORMED:
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
    """

    __slots__ = ("alpha", "output", "streams")

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

    def take(self, receipt: Receipt) -> StreamKey | None:
        """Bet on the next receipt; return its stream, None where no stream audits it."""
        tokens = sum(b.reported or 0 for b in receipt.usage or () if b.kind in _OUTPUT_KINDS)
        if tokens:
            service = service_of(receipt)
            self.output[service] = self.output.get(service, 0) + tokens
        if (sample := stream_sample(receipt)) is None:
            return None
        key, reported, counted = sample
        audit = self.streams.get(key)
        if audit is None:
            level = alarm_level(len(self.streams) + 1, self.alpha)
            audit = StreamAudit(lowest=key.lowest, highest=key.highest, level=level)
            self.streams[key] = audit
        audit.update(reported, counted)
        return key

    def coverage(self, service: Service) -> tuple[int, int]:
        """Return how many of a model's reported output tokens were samples, and how many in all.

        Spec:
            AUD-11.
        """
        sampled = sum(a.reported for key, a in self.streams.items() if key.service == service)
        return sampled, self.output.get(service, 0)
