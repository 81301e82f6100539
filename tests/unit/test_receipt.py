"""Receipts: every field's limits, and the rules between fields."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import decode_body, encode_body
from nous_ledger.protocol.encoding import pack_checked
from nous_ledger.protocol.errors import BodyError, ReceiptError
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import ImportInfo, PolicyAction, Receipt, is_uuid7
from tests.property.sample_log import full_receipt, receipt
from tests.refusals import code_of, refusal

IMPORT = ImportInfo(importer="files", version="1", line_hash=bytes(32))


def change(**changes: Any) -> Receipt:
    return replace(receipt(), **changes)


def is_kept(body: Receipt) -> bool:
    """Return whether a receipt is read as it was written."""
    return decode_body(1, encode_body(body)) == body


def read_again(body: Receipt) -> Receipt:
    read = decode_body(1, encode_body(body))
    assert isinstance(read, Receipt)
    return read


def test_receipts_are_read_as_they_were_written() -> None:
    for body in (receipt(), receipt(7, bytes(32)), full_receipt()):
        assert is_kept(body)


def test_the_required_fields() -> None:
    """BODY-3, BODY-8."""
    required = {0, 1, 2, 4, 5, 6, 8, 10, 11, 14, 17}
    wire = receipt().to_wire()
    for key in wire:
        rest = {k: value for k, value in wire.items() if k != key}
        if key in required:
            assert code_of(decode_body, 1, pack_checked(rest)) == "missing-field", key
    assert required < wire.keys()


TEXTS = {
    "operation": 64,
    "model_requested": 256,
    "model_served": 256,
    "service_tier": 64,
    "provider_request_id": 256,
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(name: str) -> None:
    """BODY-5, BODY-6."""
    longest = "é" * (TEXTS[name] // 2)
    assert is_kept(change(**{name: longest}))
    assert code_of(change, **{name: longest + "x"}) == "bad-value"
    assert code_of(change, **{name: ""}) == "empty-value"
    assert code_of(change, **{name: "a\u2066"}) == "bad-string"
    assert code_of(change, **{name: b"gpt"}) == "wrong-type"


BLOBS = {
    "salt": 16,
    "id": 16,
    "subject": 32,
    "raw_usage_hash": 32,
    "request_commitment": 32,
    "response_commitment": 32,
    "forwarded_commitment": 32,
    "claimed_wallet": 20,
}


@pytest.mark.parametrize("name", BLOBS)
def test_byte_strings(name: str) -> None:
    """BODY-4, BODY-5, BODY-6."""
    length = BLOBS[name]
    for other in (length - 1, length + 1):
        assert code_of(change, **{name: b"\x77" * other}) == "bad-value"
    assert code_of(change, **{name: b""}) == "empty-value"
    assert code_of(change, **{name: "x" * length}) == "wrong-type"


@pytest.mark.parametrize("name", ["time", "duration", "subject_seq", "reported_cost"])
def test_numbers(name: str) -> None:
    """TYPE-1, TYPE-3, BODY-6."""
    for number in (1, 2**53 - 1):
        assert is_kept(change(subject_prev=bytes(32), **({"subject_seq": 1} | {name: number})))
    assert code_of(change, **{name: 2**53}) == "int-range"
    assert code_of(change, **{name: "1"}) == "wrong-type"


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("http_status", (100, 200, 599), (0, 99, 600, 1_000)),
        ("streamed", (1,), (0, 2)),
    ],
)
def test_ranges(name: str, good: tuple[int, ...], bad: tuple[int, ...]) -> None:
    """BODY-6."""
    for number in good:
        assert is_kept(change(**{name: number}))
    for number in bad:
        assert code_of(change, **{name: number}) == "bad-value"


@pytest.mark.parametrize("name", ["source", "api", "status", "metering"])
def test_unknown_values_are_kept(name: str) -> None:
    """ENC-20."""
    assert is_kept(change(**{name: 999}))


@pytest.mark.parametrize("provider", ["openai", "a", "azure.openai_eu-1", "9", "-", "a" * 64])
def test_providers(provider: str) -> None:
    """RCPT-5."""
    assert read_again(change(provider=provider)).provider == provider


@pytest.mark.parametrize("provider", ["OpenAI", "open ai", "ä", "a/b", "a:b", "a" * 65, "\u0663"])
def test_other_providers(provider: str) -> None:
    """RCPT-5."""
    assert code_of(change, provider=provider) == "bad-value"


LONG_HOST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    "upstream",
    [
        "a",
        "localhost",
        "api.openai.com",
        "xn--bcher-kva.example",
        "a_b.example",
        "_dmarc.example",
        "1.2.3.4",
        "api.openai.com:1",
        "api.openai.com:443",
        "api.openai.com:65535",
        LONG_HOST,
        LONG_HOST + ":65535",
        "a" * 63,
        "a-b",
        "[::]",
        "[::1]",
        "[2001:db8::1]:8443",
        "[::ffff:1.2.3.4]",
        "[" + "0:" * 22 + "0]",
    ],
)
def test_upstreams(upstream: str) -> None:
    """RCPT-6."""
    assert read_again(change(upstream=upstream)).upstream == upstream


@pytest.mark.parametrize(
    "upstream",
    [
        "A.example",
        "bücher.example",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a.-b",
        "a-.b",
        "a b",
        "a/b",
        "a@b",
        "https://a",
        ":443",
        "a:",
        "a:0",
        "a:00443",
        "a:0443",
        "a:65536",
        "a:70000",
        "a:99999",
        "a:100000",
        "a:+1",
        "a:\u0661",
        "a:1:2",
        "a" * 64,
        LONG_HOST + "x",
        LONG_HOST + "x:1",
        "::1",
        "[]",
        "[:]",
        "[a]",
        "[a:b]",
        "[:1]:8",
        "[a:b]:80",
        "[1]:1:1",
        "[::1",
        "[::1]x",
        "[::1]:0",
        "[::G]",
        "[::A]",
        "[::1%eth0]",
        "[" + "0:" * 23 + "]",
    ],
)
def test_other_upstreams(upstream: str) -> None:
    """A port's colon is none of the host's (RCPT-6)."""
    assert code_of(change, upstream=upstream) == "bad-value"


def test_an_id_is_a_uuid_of_version_7() -> None:
    """All bits but six are free (RCPT-1)."""
    for byte, mask, good in ((6, 0xF0, {0x70}), (8, 0xC0, {0x80})):
        for number in range(256):
            data = bytearray(receipt().id)
            data[byte] = number
            assert is_uuid7(bytes(data)) == (number & mask in good)
            if number & mask in good:
                assert read_again(change(id=bytes(data))).id == data
            else:
                assert code_of(change, id=bytes(data)) == "bad-value"


def test_the_chain_of_a_subject() -> None:
    """The first receipt has no predecessor, every other has (RCPT-3)."""
    assert is_kept(change(subject_seq=0, subject_prev=None))
    assert is_kept(change(subject_seq=1, subject_prev=bytes(32)))
    for sequence, previous in ((0, bytes(32)), (1, None), (2**53 - 1, None)):
        error = refusal(change, subject_seq=sequence, subject_prev=previous)
        assert (error.code, type(error)) == ("field-conflict", ReceiptError)


def test_an_unmetered_call_has_no_usage() -> None:
    """RCPT-4, BODY-7."""
    usage = (Bucket(kind=1, reported=1, label=3),)
    assert is_kept(change(metering=0, usage=None, provider_total=None, raw_usage_hash=None))
    for given in ({"usage": usage}, {"provider_total": 0}, {"raw_usage_hash": bytes(32)}):
        fields: dict[str, Any] = {"usage": None, "provider_total": None, "raw_usage_hash": None}
        assert code_of(change, metering=0, **(fields | given)) == "field-conflict"


@pytest.mark.parametrize("source", [1, 2, 4, 5])
@pytest.mark.parametrize("status", [0, 4, 5, 7, 9])
@pytest.mark.parametrize("upstream", [None, "api.example.com"])
def test_when_an_upstream_is_required(source: int, status: int, upstream: str | None) -> None:
    """Of a proxied call that was forwarded; elsewhere it may stand (RCPT-7)."""
    fields: dict[str, Any] = {"source": source, "status": status, "upstream": upstream}
    if source == 1 and status != 4 and upstream is None:
        assert code_of(change, **fields) == "field-conflict"
    else:
        assert read_again(change(**fields)).upstream == upstream


@pytest.mark.parametrize("source", [1, 2, 3, 4, 5])
def test_imports(source: int) -> None:
    """RCPT-8."""
    if source == 3:
        assert read_again(change(source=3, import_=IMPORT)).import_ == IMPORT
        assert code_of(change, source=3) == "field-conflict"
    else:
        assert is_kept(change(source=source))
        assert code_of(change, source=source, import_=IMPORT) == "field-conflict"


def test_fields_of_an_import() -> None:
    """BODY-3, BODY-5, BODY-6."""
    for name in ("importer", "version"):
        assert code_of(replace, IMPORT, **{name: None}) == "missing-field"
        assert code_of(replace, IMPORT, **{name: ""}) == "empty-value"
        assert code_of(replace, IMPORT, **{name: "x" * 65}) == "bad-value"
    for name, length in (("ruleset", 32), ("line_hash", 32), ("supersedes", 16)):
        assert code_of(replace, IMPORT, **{name: bytes(length - 1)}) == "bad-value"
    # The receipt that is replaced may be of any age and kind of id.
    assert replace(IMPORT, supersedes=bytes(16), occurred_at=0).occurred_at == 0


def test_anomalies() -> None:
    """RCPT-9, BODY-9; unknown ones are kept (ENC-20)."""
    assert read_again(change(anomalies=(1, 11, 999))).anomalies == (1, 11, 999)
    assert code_of(change, anomalies=(11, 1)) == "bad-order"
    assert code_of(change, anomalies=(11, 11)) == "bad-order"
    assert code_of(change, anomalies=()) == "empty-value"
    assert is_kept(change(anomalies=tuple(range(64))))
    assert code_of(change, anomalies=tuple(range(65))) == "limit"


def test_policy_actions() -> None:
    """In any order, also of one policy (BODY-6)."""
    action = PolicyAction(name="pii", action=3, count=1)
    actions = (action, replace(action, name="a"), action)
    assert read_again(change(policy=actions)).policy == actions
    assert is_kept(change(policy=(action,) * 64))
    assert code_of(change, policy=(action,) * 65) == "limit"
    assert code_of(change, policy=()) == "empty-value"
    assert code_of(replace, action, name="x" * 65) == "bad-value"
    assert code_of(replace, action, name="") == "empty-value"
    assert replace(action, action=99, count=0).action == 99


def test_at_most_32_buckets() -> None:
    """BODY-6, BKT-1."""
    buckets = [Bucket(kind=100 + kind, reported=1, label=3) for kind in range(33)]
    fields: dict[str, Any] = {"provider_total": None}
    assert is_kept(change(usage=tuple(buckets[:32]), **fields))
    assert code_of(change, usage=tuple(buckets), **fields) == "bad-value"
    assert code_of(change, usage=(), **fields) == "empty-value"
    assert code_of(change, usage=(buckets[1], buckets[0]), **fields) == "bad-order"


def buckets(*reported: int | None, audio_ms: int = 0) -> tuple[Bucket, ...]:
    """Return one bucket per count, and one that counts no tokens."""
    tokens = [
        Bucket(kind=kind, reported=number, label=2, lower=0, upper=9, method="bytes/1")
        for kind, number in enumerate(reported, 1)
    ]
    return (*tokens, Bucket(kind=48, reported=audio_ms, label=3))


def test_the_total_is_the_sum_of_the_buckets() -> None:
    """Of those that count tokens; also of none (RCPT-10)."""
    assert is_kept(change(usage=buckets(3, 4, audio_ms=1_000), provider_total=7))
    assert is_kept(change(usage=None, provider_total=0, raw_usage_hash=None))
    for usage, total in ((buckets(3, 4), 8), (buckets(3, 4), 6), (buckets(), 1), (None, 1)):
        error = refusal(change, usage=usage, provider_total=total)
        assert (error.code, type(error)) == ("total-mismatch", ReceiptError)
    # 48 is the first kind that counts no tokens.
    last = (Bucket(kind=47, reported=5, label=3),)
    assert is_kept(change(usage=last, provider_total=5))
    assert code_of(change, usage=last, provider_total=0) == "total-mismatch"


@pytest.mark.parametrize(
    ("changes", "excused"),
    [
        ({}, False),
        ({"anomalies": (11,)}, True),
        ({"anomalies": (1,)}, True),
        ({"anomalies": (1, 2, 11)}, True),
        ({"anomalies": (2, 3, 10, 12)}, False),
        ({"metering": 3}, True),
        ({"metering": 2}, False),
        ({"usage": buckets(3, None)}, True),
        ({"usage": buckets(None)}, True),
        ({"provider_total": None}, True),
    ],
)
def test_when_the_total_may_differ(changes: dict[str, Any], excused: bool) -> None:
    """A mismatch that is noted, unusable numbers, a part without a number (RCPT-10, RCPT-11)."""
    fields: dict[str, Any] = {"usage": buckets(3, 4), "provider_total": 8} | changes
    if excused:
        assert is_kept(change(**fields))
    else:
        assert code_of(change, **fields) == "total-mismatch"


def test_a_stated_zero_is_not_an_absent_number() -> None:
    """BKT-4."""
    stated, absent = change(duration=0, reported_cost=0), change(duration=None)
    assert (read_again(stated).duration, read_again(absent).duration) == (0, None)
    assert encode_body(stated) != encode_body(absent)


def test_errors_of_receipts_are_body_errors() -> None:
    assert isinstance(refusal(change, subject_seq=1), BodyError)
