"""The audited streams of a log: they share alpha, and only they speak (AUD-8, AUD-11, AUD-12)."""

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from nous_ledger.protocol.audit_kept import (
    key_from_text,
    service_from_text,
    service_to_text,
    streams_from_text,
    streams_to_text,
)
from nous_ledger.protocol.audit_report import (
    remarks,
    shows_something,
    streams_to_json,
    summary_to_json,
)
from nous_ledger.protocol.audit_streams import (
    AuditedStreams,
    output_of,
    service_of,
    stream_sample,
)
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.stream_audit import (
    AuditState,
    StreamAudit,
    alarm_level,
    decode_stream_audit,
    is_contradicted,
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
    assert audit.inconsistent_at
    assert audit.under_at
    assert audit.state is AuditState.UNDER_REPORTED
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


def many(count: int) -> list[Receipt]:
    """Return samples of as many models."""
    first = receipts()[0]
    return [dataclasses.replace(first, model_served=f"m{number}") for number in range(count)]


def test_streams_and_services_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after the last that is followed is counted, and taken by none (AUD-13)."""
    monkeypatch.setattr("nous_ledger.protocol.audit_streams.MAX_STREAMS", 3)
    monkeypatch.setattr("nous_ledger.protocol.audit_streams.MAX_SERVICES", 5)
    streams, found = AuditedStreams(), many(7)
    taken = [streams.take(receipt) for receipt in found]
    assert [key is not None for key in taken] == [True] * 3 + [False] * 4
    assert (len(streams.streams), len(streams.output), streams.beyond) == (3, 5, 4)
    assert streams.take(found[1]) == taken[1]
    monkeypatch.setattr("nous_ledger.protocol.audit_streams.MAX_STREAMS", 9)
    assert streams.take(found[4])
    assert streams.take(found[5]) is None  # its service is not followed
    each = output_of(found[0])
    assert streams.output_beyond == 3 * each
    assert streams.total_coverage() == (5 * each, 10 * each)
    stated = summary_to_json(streams)
    assert (stated["samples"], stated["samples_beyond"]) == (5, 5)


def test_what_could_not_be_read_is_said() -> None:
    """Nothing is claimed over receipts without a body (AUD-14)."""
    streams = AuditedStreams()
    for receipt in (*receipts(), None, None):
        streams.take(receipt)
    stated = streams_to_json(streams)
    assert (stated["receipts"], stated["unread_receipts"]) == (len(receipts()), 2)
    assert stated["states"] == {"consistent": len(streams.streams)}
    assert stated["parameters"]["kappa"] == 0.02
    assert len(stated["assumptions"]) == 4


def test_kept_streams_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same bits, names and numbers, wherever it is interrupted (AUD-15)."""
    monkeypatch.setattr("nous_ledger.protocol.audit_streams.MAX_STREAMS", 6)
    found = [*receipts(), None, *many(4), *receipts()]
    whole = AuditedStreams(0.01)
    for receipt in found:
        whole.take(receipt)
    for pause in range(len(found)):
        kept = AuditedStreams(0.01)
        for number, receipt in enumerate(found):
            if number == pause:
                kept = streams_from_text(streams_to_text(kept))
            kept.take(receipt)
        assert streams_to_text(kept) == streams_to_text(whole)


def damaged(change: Callable[[dict[str, Any]], object]) -> str:
    streams = AuditedStreams()
    for receipt in receipts():
        streams.take(receipt)
    kept = json.loads(streams_to_text(streams))
    change(kept)
    return code_of(lambda: streams_from_text(json.dumps(kept)))


@pytest.mark.parametrize(
    "change",
    [
        lambda kept: kept.pop("streams"),
        lambda kept: kept.update(form="another"),
        lambda kept: kept.update(alpha=2),
        lambda kept: kept.update(sums=[1, 2, 3]),
        lambda kept: kept.update(sums=[1, 2, 3, -1]),
        lambda kept: kept["services"].append([1, "a", "b", "c", 4]),
        lambda kept: kept["services"].append([1, "a"]),
        lambda kept: kept["services"].append([1, "a", "b", "c", 4, 5]),
        lambda kept: kept["services"].append(kept["services"][0]),
        lambda kept: kept["services"].pop(0),
        lambda kept: kept["streams"].reverse(),
        lambda kept: kept["streams"].append(kept["streams"][0]),
        lambda kept: kept["streams"][0].__setitem__(1, "00"),
        lambda kept: kept["streams"][0].__setitem__(0, "[1]"),
        lambda kept: kept["streams"][0].__setitem__(
            0, kept["streams"][0][0].replace(", -1, 1]", ", 9, 1]")
        ),
    ],
)
def test_damaged_streams_are_refused(change: Callable[[dict[str, Any]], object]) -> None:
    assert damaged(change) == "input"


def test_what_is_no_text_of_streams() -> None:
    for text in ("", "[]", "{", "[" * 100_000):
        assert code_of(partial(streams_from_text, text)) == "input"
    service = service_of(receipts()[0])
    assert service_from_text(service_to_text(service)) == service
    assert code_of(lambda: key_from_text("{}")) == "input"


def test_every_state_is_explained() -> None:
    """What cannot be laid to the provider is said not to be (AUD-7, AUD-11, AUD-12)."""
    shown = {}
    for name, gaps in (
        ("consistent", (0,)),
        ("inconsistent", (0, 1)),
        ("over-reported", (9,)),
        ("under-reported", (-9,)),
        ("two-sided", (40, -40)),
    ):
        audit = StreamAudit(lowest=0, highest=1, level=alarm_level(1))
        for number in range(60):
            audit.update(TokenCount(200 + gaps[number % len(gaps)]), TokenCount(200))
        assert str(audit.state) == name
        shown[name] = " ".join(remarks(audit))
        assert shows_something(audit) == (name != "consistent")
    assert shown["consistent"] == ""
    assert "nothing can be said of the provider" in shown["two-sided"]
    assert "no known offset explains it" in shown["inconsistent"]
    assert not any(word in " ".join(shown.values()) for word in ("fraud", "cheat"))


def test_the_absurd_is_named_with_its_place() -> None:
    """By the rule 2 d > 20 + c, for each receipt by itself (AUD-10)."""
    assert not is_contradicted(160, 100)
    assert is_contradicted(161, 100)
    audit = StreamAudit(lowest=0, highest=1, level=alarm_level(1))
    for reported in (100, 161, 100, 190):
        audit.update(TokenCount(reported), TokenCount(100))
    assert (audit.contradicted, audit.contradicted_at) == (2, 2)
    assert "2, the first is sample 2" in remarks(audit)[-1]


KEPT = StreamAudit(lowest=0, highest=0, level=1000.0).encode()


@pytest.mark.parametrize("data", [b"", KEPT[:-1], KEPT + b"\0", b"\xff" * 600])
def test_a_damaged_state_is_refused(data: bytes) -> None:
    assert code_of(lambda: decode_stream_audit(data)) == "input"
