"""The audited streams of a log: they share alpha, and only they speak (AUD-8, AUD-11, AUD-12)."""

import dataclasses

import pytest

from nous_ledger.protocol.audit_streams import AuditedStreams, service_of, stream_sample
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.stream_audit import (
    AuditState,
    StreamAudit,
    alarm_level,
    decode_stream_audit,
)
from nous_ledger.protocol.types import TokenCount
from tests.conformance.vector_files import cases_of, load
from tests.refusals import code_of

BODIES = [bytes.fromhex(case["body"]) for case in cases_of(load("stream_audit"), "Sample")]


def receipts() -> list[Receipt]:
    found = [decode_body(1, body) for body in BODIES]
    return [body for body in found if isinstance(body, Receipt)]


def with_count(receipt: Receipt, reported: int) -> Receipt:
    usage = tuple(
        dataclasses.replace(bucket, reported=reported) if bucket.kind == 16 else bucket
        for bucket in receipt.usage or ()
    )
    return dataclasses.replace(receipt, usage=usage, provider_total=None)


def test_streams_are_numbered_as_they_open() -> None:
    streams = AuditedStreams()
    taken = [streams.take(receipt) for receipt in receipts()]
    opened = list(dict.fromkeys(key for key in taken if key is not None))
    assert list(streams.streams) == opened
    assert len(opened) > 3
    for number, audit in enumerate(streams.streams.values(), start=1):
        fresh = StreamAudit(
            lowest=audit.offsets[0], highest=audit.offsets[-1], level=alarm_level(number)
        )
        assert audit.encode()[:12] == fresh.encode()[:12]  # the same offsets and level


def test_only_a_stream_speaks() -> None:
    streams, first = AuditedStreams(), receipts()[0]
    key = streams.take(with_count(first, 5))
    assert key is not None
    audit = streams.streams[key]
    assert str(audit.state) == "consistent"
    for _ in range(20):
        streams.take(with_count(first, 9))
    assert str(audit.state) == "over-reported"
    assert 1 < audit.inconsistent_at <= 21


def test_coverage_is_the_share_of_output_that_was_sampled() -> None:
    streams, found = AuditedStreams(), receipts()
    for receipt in found:
        streams.take(receipt)
    service = service_of(found[0])
    sampled, output = streams.coverage(service)
    samples = [stream_sample(receipt) for receipt in found]
    assert sampled == sum(s[1] for s in samples if s and s[0].service == service)
    assert 0 < sampled < output  # one of its receipts is BOUNDED only
    assert streams.coverage(dataclasses.replace(service, model="other")) == (0, 0)


def test_a_stream_may_be_inconsistent_without_excess() -> None:
    audit = StreamAudit(lowest=0, highest=1, level=alarm_level(1))
    for _ in range(30):
        audit.update(TokenCount(90), TokenCount(100))
    assert audit.state is AuditState.INCONSISTENT
    assert audit.under_at
    assert not audit.over_at


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.5, float("nan")])
def test_alpha_is_a_probability(alpha: float) -> None:
    assert code_of(lambda: AuditedStreams(alpha)) == "input"


def test_what_cannot_be_is_refused() -> None:
    audit = StreamAudit(lowest=0, highest=0, level=1000.0)
    assert code_of(lambda: alarm_level(0)) == "input"
    assert code_of(lambda: StreamAudit(lowest=1, highest=0, level=1.0)) == "input"
    assert code_of(lambda: StreamAudit(lowest=-9, highest=8, level=1.0)) == "input"
    assert code_of(lambda: audit.update(TokenCount(-1), TokenCount(0))) == "input"
    assert code_of(lambda: audit.update(TokenCount(0), TokenCount(2**53))) == "input"


KEPT = StreamAudit(lowest=0, highest=0, level=1000.0).encode()


@pytest.mark.parametrize("data", [b"", KEPT[:-1], KEPT + b"\0", b"\xff" * 600])
def test_a_damaged_state_is_refused(data: bytes) -> None:
    assert code_of(lambda: decode_stream_audit(data)) == "input"
