"""The JSON form: lossless both ways, one spelling, and nothing but its own members."""

import json
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import Body
from nous_ledger.protocol.errors import FormatError
from nous_ledger.protocol.jsonform import (
    body_from_json,
    body_to_json,
    format_uuid,
    parse_body_json,
    record_to_json,
)
from nous_ledger.protocol.keyevent import KeyEvent, Predecessor
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.statement import KindSums, Statement, StatementRow
from nous_ledger.protocol.types import LogId
from tests.property.sample_log import SALT, SUBJECT, full_receipt, other_bodies, receipt
from tests.refusals import code_of, refusal
from tests.unit import small_log

OTHERS = other_bodies(LogId(bytes(32)))
GENESIS = KeyEvent(
    kind=0,
    origin="ledger.example.com/main",
    secp256k1=SigningKey(b"\x11" * 32).public_key,
    ed25519=bytes(32),
    next_hash=bytes(32),
    max_merge_delay_s=60,
    heartbeat_s=3_600,
    predecessor=Predecessor(log_id=b"\x01" * 32, count=41, root=b"\x02" * 32),
)
BODIES: list[Body] = [GENESIS, receipt(), receipt(1, bytes(32)), full_receipt(), *OTHERS.values()]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: type(body).__name__)
def test_bodies_are_read_as_they_were_shown(body: Body) -> None:
    """As an object and as text (ENC-26)."""
    shown = body_to_json(body)
    assert body_from_json(shown) == body
    for text in (json.dumps(shown), json.dumps(shown, indent=2, ensure_ascii=False)):
        assert parse_body_json(text) == body
    assert next(iter(shown)) == "type"


def test_the_form_of_a_receipt() -> None:
    """Names for numbers, hex for bytes, texts and numbers as they are (section 5.4)."""
    shown = body_to_json(full_receipt())
    assert shown["type"] == "receipt"
    assert shown["salt"] == "000102030405060708090a0b0c0d0e0f"
    assert shown["id"] == "01977420-dc00-7abc-8def-0123456789ac"
    assert shown["subject"] == "77" * 32
    assert (shown["source"], shown["status"], shown["metering"]) == ("import", "complete", "final")
    assert shown["api"] == "openai.chat"
    assert shown["subject_seq"] == 2**53 - 1
    assert shown["operation"] == "chat ünïcode ✓"
    assert shown["reported_cost"] == 123_456_789
    assert shown["claimed_wallet"].startswith("0x")
    assert len(shown["claimed_wallet"]) == 42
    assert shown["anomalies"] == ["duplicate_usage", "clock_clamped"]
    assert shown["policy"] == [{"name": "budget", "action": "flag", "count": 2}]
    assert shown["context"] == {
        "session": "s",
        "project": "p",
        "branch": "b",
        "commit": "c",
        "agent": "a",
        "tag": "t",
    }
    assert shown["import"]["supersedes"] == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert shown["import"]["occurred_at"] == 1_749_999_999_999
    exact, unknown = shown["usage"]
    assert (exact["kind"], exact["label"], exact["count"]) == ("output_visible", "EXACT", 40)
    assert unknown == {
        "kind": {"msgpack": "28"},
        "reported": 0,
        "label": {"msgpack": "4d"},
        "extensions": {"64": {"msgpack": "c400"}, "1000": {"msgpack": "9201a178"}},
    }
    assert shown["extensions"] == {
        "64": {"msgpack": "8201a1610292c4010007"},
        "200": {"msgpack": "cf001fffffffffffff"},
    }
    assert "duration" not in shown


def test_the_form_of_a_statement() -> None:
    """The four sums can pass 2^53 in other readers' arithmetic: they are text."""
    sums = KindSums(kind=99, reported=2**53 - 1, exact=0, bounded=1, unverifiable=2)
    row = StatementRow(
        provider="a",
        model="m",
        source=4,
        calls=1,
        unmetered=0,
        kinds=(sums, replace(sums, kind=100)),
    )
    statement = Statement(
        salt=SALT,
        subject=SUBJECT,
        first_seq=0,
        last_seq=0,
        last_body_hash=bytes(32),
        count=0,
        rows=(row,),
    )
    shown = body_to_json(statement)
    (shown_row,) = shown["rows"]
    assert {name: shown_row[name] for name in shown_row if name != "kinds"} == {
        "provider": "a",
        "model": "m",
        "source": "manual",
        "calls": 1,
        "unmetered": 0,
    }
    assert shown_row["kinds"][0] == {
        "kind": {"msgpack": "63"},
        "reported": "9007199254740991",
        "exact": "0",
        "bounded": "1",
        "unverifiable": "2",
    }
    assert body_from_json(shown) == statement


def test_the_forms_of_the_other_bodies() -> None:
    assert body_to_json(GENESIS)["predecessor"] == {
        "log_id": "01" * 32,
        "count": 41,
        "root": "02" * 32,
    }
    assert body_to_json(GENESIS)["kind"] == "genesis"
    names = ["reconciliation", "binding", "statement", "redaction"]
    assert [body_to_json(body)["type"] for body in OTHERS.values()] == names
    assert body_to_json(OTHERS[3])["wallet"].startswith("0x")
    assert body_to_json(OTHERS[5])["indices"] == [1, 2]
    assert body_to_json(OTHERS[5])["reason"] == "data_subject_request"


def test_the_form_of_a_record() -> None:
    """Numbers for the integers, the type too."""
    record = decode_record(small_log.RECORDS[7])
    shown = record_to_json(record)
    assert list(shown) == [
        *("version", "type", "epoch", "index", "logged_at", "body_hash", "r", "s", "v")
    ]
    assert (shown["version"], shown["type"], shown["epoch"], shown["index"]) == (1, 1, 0, 7)
    assert shown["logged_at"] == record.logged_at
    assert bytes.fromhex(shown["body_hash"]) == record.body_hash
    rest = bytes.fromhex(shown["r"] + shown["s"]) + bytes([shown["v"]])
    assert rest == record.signature


def test_uuids() -> None:
    assert format_uuid(bytes(range(16))) == "00010203-0405-0607-0809-0a0b0c0d0e0f"


def form(**changes: Any) -> dict[str, Any]:
    """Return the form of a receipt with other members; None leaves one out."""
    changed = body_to_json(full_receipt()) | changes
    return {name: value for name, value in changed.items() if value is not ...}


def in_bucket(**changes: Any) -> dict[str, Any]:
    first, second = body_to_json(full_receipt())["usage"]
    return form(usage=[first | changes, second])


IDENTIFIER = "01977420-dc00-7abc-8def-0123456789ac"
WALLET = body_to_json(full_receipt())["claimed_wallet"]


@pytest.mark.parametrize(
    "data",
    [
        None,
        True,
        1,
        "receipt",
        [],
        {},
        [form()],
        form(type=...),
        form(type="Receipt"),
        form(type="evidence"),
        form(type=1),
        form(type=None),
        form(type=["receipt"]),
        form(type="redaction"),
        form(extra=1),
        form(import_=form()["import"]),
        form(Salt="00"),
        form(**{"0": "00"}),
        in_bucket(type="bucket"),
        in_bucket(note=1),
        form(usage={}),
        form(usage="EXACT"),
        form(usage=[1]),
        form(usage=[[1]]),
        form(context=["s"]),
        form(context="s"),
        form(policy=[["budget", "flag", 2]]),
        form(policy=[{"name": "budget", "action": "flag"}]),
        form(policy=[{"name": "budget", "action": "flag", "count": 2, "x": 1}]),
        form(policy=[{"name": "a", "action": "flag", "count": 2, "extensions": {}}]),
        form(anomalies={"0": "clock_clamped"}),
        form(anomalies="clock_clamped"),
        # Values.
        form(model_served=None),
        form(model_served=7),
        form(model_served=b"gpt"),
        form(model_served=["gpt"]),
        form(time=1.0),
        form(time=True),
        form(time=-1),
        form(time=2**53),
        form(time="1"),
        form(time=[1]),
        form(streamed=True),
        form(subject="7" * 63),
        form(subject="77" * 31 + "7G"),
        form(subject="77" * 31 + "7\n"),
        form(subject="AA" * 32),
        form(subject="0x" + "77" * 32),
        form(subject=" " + "77" * 32),
        form(subject=7),
        form(id=IDENTIFIER.upper()),
        form(id=IDENTIFIER.replace("-", "")),
        form(id="{" + IDENTIFIER + "}"),
        form(id=IDENTIFIER[1:]),
        form(id=IDENTIFIER + "\n"),
        form(claimed_wallet=WALLET[2:]),
        form(claimed_wallet=WALLET.upper()),
        form(claimed_wallet="0X" + WALLET[2:]),
        form(claimed_wallet=None),
        # Enumerations.
        form(status=0),
        form(status="Complete"),
        form(status="unknown(99)"),
        form(status=""),
        form(status=None),
        form(status={}),
        form(status={"msgpack": "00"}),
        form(status={"msgpack": "cc63"}),
        form(status={"msgpack": "CC99"}),
        form(status={"msgpack": "a178"}),
        form(status={"msgpack": "cc99", "x": 1}),
        form(status={"msgpack": 99}),
        form(status={"msgpack": None}),
        form(status={"msgpack": ""}),
        form(status={"msgpack": "cc"}),
        form(status={"msgpack": "cc9900"}),
        form(status={"msgpack": "c3"}),
        form(status={"hex": "63"}),
        form(anomalies=[10]),
        form(source="import_"),
        form(api="openai__chat"),
        # Extensions.
        form(extensions={}),
        form(extensions=[]),
        form(extensions=None),
        form(extensions={"064": {"msgpack": "00"}}),
        form(extensions={"-64": {"msgpack": "00"}}),
        form(extensions={"+64": {"msgpack": "00"}}),
        form(extensions={"6\u0664": {"msgpack": "00"}}),
        form(extensions={"x": {"msgpack": "00"}}),
        form(extensions={"": {"msgpack": "00"}}),
        form(extensions={str(2**53): {"msgpack": "00"}}),
        form(extensions={"99999999999999999": {"msgpack": "00"}}),
        form(extensions={64: {"msgpack": "00"}}),
        form(extensions={"64": 0}),
        form(extensions={"64": "00"}),
        form(extensions={"64": {"msgpack": "c0"}}),
        form(extensions={"64": {"msgpack": "cc00"}}),
        form(extensions={"64": {"msgpack": "0000"}}),
    ],
)
def test_what_is_not_the_form(data: Any) -> None:
    """ENC-27."""
    error = refusal(body_from_json, data)
    assert (error.code, type(error)) == ("json-format", FormatError)
    assert len(error.message) < 300


def statement(**changes: Any) -> dict[str, Any]:
    shown = body_to_json(OTHERS[4])
    shown["rows"][0]["kinds"][0] |= changes
    return shown


@pytest.mark.parametrize("value", [120, "0120", "+120", "-1", "", " 1", "1.0", "1e2", "\u0661"])
@pytest.mark.parametrize("name", ["reported", "exact", "bounded", "unverifiable"])
def test_sums_are_decimal_text(name: str, value: Any) -> None:
    """ENC-27."""
    assert code_of(body_from_json, statement(**{name: value})) == "json-format"


def test_sums_and_counts_in_their_range() -> None:
    """Elsewhere `reported` is a number (ENC-27)."""
    largest = body_from_json(statement(reported=str(2**53 - 1)))
    assert isinstance(largest, Statement)
    assert largest.rows[0].kinds[0].reported == 2**53 - 1
    for number in (2**53, 10**16):
        assert code_of(body_from_json, statement(reported=str(number))) == "json-format"
    assert code_of(body_from_json, in_bucket(reported="40")) == "json-format"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (form(subject=...), "missing-field"),
        (form(usage=[{"kind": "reasoning"}]), "missing-field"),
        (form(usage=[{}]), "missing-field"),
        (form(usage=[]), "empty-value"),
        (form(model_served=""), "empty-value"),
        (form(salt=""), "empty-value"),
        (form(context={}), "empty-value"),
        (form(salt="00" * 15), "bad-value"),
        (form(provider="OpenAI"), "bad-value"),
        (form(http_status=99), "bad-value"),
        (form(operation="a\u202e"), "bad-string"),
        (form(operation="\ud800"), "bad-string"),
        (form(operation="x" * 1_025), "limit"),
        (form(extensions={"63": {"msgpack": "00"}}), "unknown-field"),
        (form(extensions={"64": {"msgpack": "9191919190"}}), "limit"),
        (form(anomalies=["clock_clamped", "usage_malformed"]), "bad-order"),
        (form(subject_prev=...), "field-conflict"),
        (form(provider_total=41), "total-mismatch"),
        (form(usage=[{"kind": "output_visible", "label": "EXACT"}]), "label-shape"),
        (in_bucket(upper=100), "label-range"),
        (form(status="incomplete"), "exact-not-allowed"),
    ],
)
def test_the_rules_of_bodies_hold_after_the_form(data: dict[str, Any], code: str) -> None:
    """ENC-28."""
    assert code_of(body_from_json, data) == code


def test_members_may_come_in_any_order() -> None:
    shown = body_to_json(full_receipt())
    assert body_from_json(dict(reversed(shown.items()))) == full_receipt()
    extensions = dict(reversed(shown["extensions"].items()))
    assert body_from_json(shown | {"extensions": extensions}) == full_receipt()


TEXT = json.dumps(body_to_json(receipt()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        TEXT[:-1],
        TEXT + "{}",
        TEXT[:-1] + ', "type": "receipt"}',
        TEXT[:-1] + ', "salt": "' + SALT.hex() + '"}',
        TEXT.replace('"kind"', '"kind": "reasoning", "kind"', 1),
        TEXT.replace('"streamed": 1', '"streamed": 1.0'),
        TEXT.replace('"streamed": 1', '"streamed": 1e0'),
        TEXT.replace('"streamed": 1', '"streamed": NaN'),
        TEXT.replace('"streamed": 1', '"streamed": Infinity'),
        TEXT.replace('"streamed": 1', '"streamed": ' + "1" * 5_000),
        "[" * 100_000,
        '{"a":' * 50_000,
        " " * (1 << 20) + "{}",
    ],
    ids=lambda text: f"{len(text)} {text[-30:]}",
)
def test_text_that_is_not_the_form(text: str) -> None:
    """Nor two members of one name, of which a JSON reader keeps one (ENC-27)."""
    assert text != TEXT
    error = refusal(parse_body_json, text)
    assert (error.code, type(error)) == ("json-format", FormatError)
