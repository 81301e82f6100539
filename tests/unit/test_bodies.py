"""Bodies of the other types, what ties a body to its record, and how bodies are read."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.bodies import (
    Binding,
    Body,
    Reconciliation,
    Redaction,
    check_body_hash,
    check_body_in_record,
    decode_body,
    encode_body,
)
from nous_ledger.protocol.encoding import pack_checked
from nous_ledger.protocol.errors import BodyError, UnavailableError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.record import Record
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.statement import KindSums, Statement, StatementRow
from nous_ledger.protocol.types import Epoch, LeafIndex, LogId, UnixMillis
from tests.property.sample_log import SALT, other_bodies, receipt
from tests.refusals import code_of, refusal

BODIES = other_bodies(LogId(bytes(32)))


def only(number: int) -> Any:
    return BODIES[number]


RECONCILIATION: Reconciliation = only(2)
BINDING: Binding = only(3)
STATEMENT: Statement = only(4)
REDACTION: Redaction = only(5)
ROW = STATEMENT.rows[0]
SUMS = KindSums(kind=1, reported=120, exact=0, bounded=0, unverifiable=120)


def is_kept(number: int, body: Body) -> bool:
    """Return whether a body is read as it was written."""
    return decode_body(number, encode_body(body)) == body


def change(body: Any, **changes: Any) -> Any:
    return replace(body, **changes)


@pytest.mark.parametrize("number", BODIES)
def test_bodies_are_read_as_they_were_written(number: int) -> None:
    """BODY-1."""
    assert is_kept(number, BODIES[number])


@pytest.mark.parametrize("number", [1, *BODIES])
def test_a_body_is_one_map(number: int) -> None:
    """BODY-1, BODY-2; before its type is looked at it is decoded."""
    for value in (0, "a", b"a", (), ((0, SALT),)):
        assert code_of(decode_body, number, pack_checked(value)) == "wrong-type"
    assert code_of(decode_body, number, b"") == "truncated"
    body = receipt() if number == 1 else BODIES[number]
    data = encode_body(body)
    assert code_of(decode_body, number, data[:-1]) == "truncated"
    assert code_of(decode_body, number, data + b"\x00") == "trailing"
    assert code_of(decode_body, number, data + bytes(32_768)) == "limit"
    longer = data.replace(b"\x00\xc4\x10", b"\xcc\x00\xc4\x10", 1)  # the key of the salt
    assert code_of(decode_body, number, longer) == "non-minimal"


def large_statement(full_rows: int) -> Statement:
    """Return a statement of 64 rows, some of which have 64 kinds."""
    sums = replace(SUMS, reported=2**32, unverifiable=2**32)
    kinds = tuple(replace(sums, kind=100 + number) for number in range(64))
    rows = [row(model=f"m{number:02d}") for number in range(64)]
    return statement(*[change(item, kinds=kinds) for item in rows[:full_rows]], *rows[full_rows:])


def test_a_body_has_at_most_32768_bytes() -> None:
    """Longer ones are neither read nor written (BODY-1, ENC-14)."""
    sizes = [len(pack_checked(large_statement(count).to_wire())) for count in range(20, 45)]
    body = large_statement(max(count for count, size in enumerate(sizes, 20) if size < 32_700))
    # An extension fills the rest to the byte: a key of one, a header of three.
    rest = 32_768 - len(encode_body(body)) - 4
    largest = change(body, extensions=((64, bytes(rest)),))
    assert len(encode_body(largest)) == 32_768
    assert is_kept(4, largest)
    for longer in (change(body, extensions=((64, bytes(rest + 1)),)), large_statement(64)):
        assert code_of(encode_body, longer) == "limit"
        assert code_of(decode_body, 4, pack_checked(longer.to_wire())) == "limit"


@pytest.mark.parametrize("number", [6, 7, 8, 9, 1_023, 1_024, 65_535])
def test_bodies_of_unknown_types_are_opaque(number: int) -> None:
    """They are never decoded, whatever they hold (REC-9)."""
    for data in (b"", b"\xc1", encode_body(receipt())):
        error = refusal(decode_body, number, data)
        assert (error.code, type(error)) == ("unknown-type", UnavailableError)


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_every_field_but_the_source_of_a_reconciliation_is_required(number: int) -> None:
    """BODY-3, BODY-8."""
    wire = BODIES[number].to_wire()
    for key in wire:
        rest = pack_checked({k: value for k, value in wire.items() if k != key})
        if (number, key) == (2, 4):
            assert decode_body(2, rest) == change(RECONCILIATION, source=None)
        else:
            assert code_of(decode_body, number, rest) == "missing-field"


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_the_salt(number: int) -> None:
    """BODY-8."""
    body = receipt() if number == 1 else BODIES[number]
    for salt, code in ((b"", "empty-value"), (bytes(15), "bad-value"), ("x", "wrong-type")):
        assert code_of(change, body, salt=salt) == code
        wire = pack_checked(body.to_wire() | {0: salt})
        assert code_of(decode_body, number, wire) == code


@pytest.mark.parametrize(
    ("body", "changes", "code"),
    [
        (RECONCILIATION, {"index": "1"}, "wrong-type"),
        (RECONCILIATION, {"body_hash": bytes(31)}, "bad-value"),
        (RECONCILIATION, {"usage": ()}, "empty-value"),
        (RECONCILIATION, {"source": ""}, "empty-value"),
        (RECONCILIATION, {"source": "x" * 65}, "bad-value"),
        (BINDING, {"subject": bytes(31)}, "bad-value"),
        (BINDING, {"wallet": bytes(32)}, "bad-value"),
        (BINDING, {"nonce": -1}, "wrong-type"),
        (BINDING, {"deadline": 2**53}, "int-range"),
        (BINDING, {"signature": bytes(64)}, "bad-value"),
        (STATEMENT, {"subject": b""}, "empty-value"),
        (STATEMENT, {"last_body_hash": bytes(33)}, "bad-value"),
        (STATEMENT, {"rows": ()}, "empty-value"),
        (REDACTION, {"indices": ()}, "empty-value"),
        (REDACTION, {"indices": tuple(range(65))}, "limit"),
        (REDACTION, {"indices": (2, 1)}, "bad-order"),
        (REDACTION, {"indices": (1, 1)}, "bad-order"),
        (REDACTION, {"reason": "retention"}, "wrong-type"),
    ],
)
def test_limits_of_fields(body: Body, changes: dict[str, Any], code: str) -> None:
    """BODY-4 to BODY-6, BODY-9, RED-2."""
    assert code_of(change, body, **changes) == code


def test_bounds_of_fields() -> None:
    """BODY-6, RED-2; unknown values of enumerations are kept (ENC-20)."""
    assert is_kept(5, change(REDACTION, indices=tuple(range(64)), reason=99))
    assert is_kept(3, change(BINDING, wallet=bytes(20), nonce=0, deadline=2**53 - 1))
    # The signature of a binding is looked at when it is verified.
    assert is_kept(3, change(BINDING, signature=bytes(65)))


def test_buckets_of_a_reconciliation() -> None:
    """Order, kinds and label rules as in a receipt; no conditions of the receipt (LBL-6)."""
    exact = Bucket(
        kind=16, label=1, lower=3, upper=5, method="o200k_base/1", vocab=bytes(32), count=4
    )
    unsplit = Bucket(kind=18, reported=4, label=3)
    visible = Bucket(kind=16, reported=4, label=3)
    media = Bucket(kind=33, reported=4, label=3)
    assert is_kept(2, change(RECONCILIATION, usage=(exact, media)))
    assert code_of(change, RECONCILIATION, usage=(visible, unsplit)) == "field-conflict"
    assert code_of(change, RECONCILIATION, usage=(unsplit, visible)) == "bad-order"
    wire = RECONCILIATION.to_wire()
    wire[3] = (exact.to_wire() | {1: 18},)
    assert code_of(decode_body, 2, pack_checked(wire)) == "exact-not-allowed"


def row(provider: str = "a", model: str = "m", source: int = 1, calls: int = 1) -> StatementRow:
    return change(ROW, provider=provider, model=model, source=source, calls=calls, unmetered=0)  # type: ignore[no-any-return]


def statement(*rows: StatementRow, first: int = 0, last: int | None = None) -> Statement:
    calls = sum(item.calls for item in rows)
    last_seq = first + calls - 1 if last is None else last
    return change(STATEMENT, rows=rows, first_seq=first, last_seq=last_seq)  # type: ignore[no-any-return]


def test_rows_are_sorted_by_bytes() -> None:
    """By provider, model, then source (STMT-5); as UTF-8 bytes (ENC-18)."""
    ascending = [
        row("a", "b", 1),
        row("a", "b", 2),
        row("a", "c", 1),
        row("a", "\uff5e", 1),
        row("a", "\U0001f600", 1),  # below U+FF5E in UTF-16, above it in UTF-8
        row("aa", "a", 1),
        row("b", "a", 1),
    ]
    assert is_kept(4, statement(*ascending))
    for at in range(len(ascending) - 1):
        turned = [*ascending]
        turned[at], turned[at + 1] = turned[at + 1], turned[at]
        assert code_of(statement, *turned) == "bad-order"
    assert code_of(statement, row(), row()) == "bad-order"


def test_at_most_64_rows() -> None:
    """BODY-6."""
    rows = [row(model=f"m{number:02d}") for number in range(65)]
    assert is_kept(4, statement(*rows[:64]))
    assert code_of(statement, *rows) == "limit"


def test_the_calls_are_the_range() -> None:
    """STMT-1, STMT-2."""
    assert is_kept(4, statement(row(calls=3), row("b", calls=2), first=7))
    for first, last in ((0, 3), (0, 5), (1, 4), (7, 10)):
        assert code_of(statement, row(calls=3), row("b", calls=2), first=first, last=last) == (
            "total-mismatch"
        )
    assert code_of(statement, row(calls=0), first=1, last=0) == "field-conflict"
    assert code_of(statement, row(calls=9), first=9, last=0) == "field-conflict"
    assert is_kept(4, statement(row(calls=1), first=2**53 - 1))


def test_unmetered_calls_are_calls() -> None:
    """STMT-3."""
    assert is_kept(4, statement(change(row(calls=2), unmetered=2)))
    assert code_of(change, row(calls=2), unmetered=3) == "field-conflict"


def test_kinds_of_a_row() -> None:
    """They ascend strictly, and there may be none (STMT-5, BODY-5); no identity of the sums."""
    kinds = tuple(replace(SUMS, kind=kind) for kind in (1, 2, 999))
    assert is_kept(4, statement(change(row(), kinds=kinds)))
    assert is_kept(4, statement(change(row(), kinds=())))
    for turned in ((kinds[1], kinds[0]), (kinds[0], kinds[0])):
        assert code_of(change, row(), kinds=turned) == "bad-order"
    many = tuple(replace(SUMS, kind=kind) for kind in range(65))
    assert is_kept(4, statement(change(row(), kinds=many[:64])))
    assert code_of(change, row(), kinds=many) == "limit"
    odd = replace(SUMS, reported=1, exact=2, bounded=3, unverifiable=2**53 - 1)
    assert is_kept(4, statement(change(row(), kinds=(odd,))))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"provider": "OpenAI"}, "bad-value"),
        ({"provider": ""}, "empty-value"),
        ({"model": ""}, "empty-value"),
        ({"model": "x" * 257}, "bad-value"),
        ({"source": "proxy"}, "wrong-type"),
        ({"calls": -1}, "wrong-type"),
    ],
)
def test_fields_of_a_row(changes: dict[str, Any], code: str) -> None:
    """BODY-4 to BODY-6."""
    assert code_of(change, row(), **changes) == code


def record(*, index: int = 7, logged_at: int = 1_750_000_000_000, body: bytes = b"") -> Record:
    return Record(
        type=1,
        epoch=Epoch(0),
        index=LeafIndex(index),
        logged_at=UnixMillis(logged_at),
        body_hash=sha256(body),
        signature=bytes(65),
    )


def fits(body: Body, *, index: int = 7, logged_at: int = 1_750_000_000_000) -> str:
    """Return "" if a body fits a record, else the code."""
    try:
        check_body_in_record(body, record(index=index, logged_at=logged_at))
    except BodyError as error:
        return error.code
    return ""


def test_a_receipt_is_logged_when_its_call_is_made() -> None:
    """Clocks may differ by five minutes (RCPT-2)."""
    body = receipt()
    for skew, code in ((-1, ""), (0, ""), (300_000, ""), (300_001, "time-order")):
        assert fits(change(body, time=1_750_000_000_000 + skew)) == code


def test_a_binding_is_logged_by_its_deadline() -> None:
    """In whole seconds (BIND-1)."""
    for logged_at, code in ((1_000, ""), (1_999, ""), (2_000, "time-order"), (2_999, "time-order")):
        assert fits(change(BINDING, deadline=1), logged_at=logged_at) == code


@pytest.mark.parametrize(
    ("body", "last_good"),
    [
        (change(RECONCILIATION, index=6), 6),
        (change(REDACTION, indices=(6,)), 6),
        (change(REDACTION, indices=(0, 3, 6)), 6),
        (change(STATEMENT, count=7), 7),
    ],
)
def test_a_body_speaks_of_earlier_records(body: Body, last_good: int) -> None:
    """BODY-16, STMT-4, RED-1; a count may be the record's own index."""
    first = 7 if last_good == 6 else last_good
    assert fits(body, index=first) == ""
    assert fits(body, index=2**53 - 1) == ""
    assert fits(body, index=first - 1) == "index-order"
    assert fits(body, index=0) == "index-order"


def test_suspicion_reaches_back() -> None:
    """BODY-13; every body's own record counts (BODY-10)."""
    event = KeyEvent(
        kind=1,
        secp256k1=SigningKey(b"\x22" * 32).public_key,
        ed25519=bytes(32),
        next_hash=b"\x01" * 32,
        reason=1,
        suspect_from=7,
        rotation_sig=bytes(65),
    )
    assert fits(event, index=7) == ""
    assert fits(event, index=8) == ""
    assert fits(event, index=6) == "index-order"
    assert fits(change(event, reason=0, suspect_from=None), index=0) == ""
    # What an unknown kind means by it is not known (BODY-15).
    assert fits(change(event, kind=3), index=0) == ""


def test_a_body_hashes_to_its_record() -> None:
    """REC-8."""
    where = record(body=b"body")
    assert check_body_hash(where, b"body") == b"body"
    for other in (b"", b"body ", b"Body"):
        assert code_of(check_body_hash, where, other) == "body-hash"
