"""Verification, step 15: what stands behind a receipt's counts."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.accuracy import read_body, verify_binding
from nous_ledger.protocol.bodies import Binding, Body, Redaction, encode_body
from nous_ledger.protocol.eip712 import binding_digest
from nous_ledger.protocol.encoding import pack_checked
from nous_ledger.protocol.hashing import commit_forwarded, commit_request, commit_response
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey, address_of
from nous_ledger.protocol.types import LogId, SubjectId, UnixSeconds
from tests.property.sample_log import SALT, START, SUBJECT, WALLET, other_bodies, receipt
from tests.refusals import code_of
from tests.unit.free_log import rotated
from tests.unit.verifying import (
    BUNDLE,
    CLAIMED,
    LOG,
    accuracy,
    answers_of,
    bundle,
    report_on,
    verify,
)

OPENING = b"\x88" * 32
REQUEST = b'{"model":"claude","messages":[]}'
RESPONSE = b'{"content":[{"type":"text","text":"The Loire."}]}'
FORWARDED = b'{"model":"claude","messages":[],"stream":true}'


def change(**changes: Any) -> Receipt:
    return replace(receipt(), **changes)


def test_a_receipt_in_order() -> None:
    """Its labels are claims of the gateway (step 9, VER-17)."""
    report = report_on(receipt())
    assert accuracy(receipt()) == CLAIMED
    assert report.body == receipt()
    assert report.exit_code() == 0
    assert report_on(receipt(), require_accuracy=True).exit_code() == 3


@pytest.mark.parametrize("type_", [6, 9, 1_024, 65_535])
def test_bodies_of_unknown_types(type_: int) -> None:
    """They are verified like any other record, and never decoded (step 3, REC-9, VER-16)."""
    for body in (b"\xc1", encode_body(receipt())):
        assert accuracy(body, type=type_) == "could-not-check/unknown-type"
        assert report_on(body, type=type_).body is None
    withheld = replace(BUNDLE, body=b"")
    assert answers_of(verify(withheld))[3] == "could-not-check/withheld"
    log = rotated()
    at = log.put(*log.make(b"\xc1", type=type_))
    assert answers_of(verify(replace(bundle(log, at), body=b"")))[3] == "could-not-check/withheld"
    assert answers_of(verify(replace(bundle(log, at), body=b"x")))[3] == "could-not-check/undecided"


BAD_LABEL = receipt().to_wire() | {18: ({1: 16, 2: 1, 3: 2},)}
BAD_EXACT = receipt().to_wire() | {
    14: 1,
    18: ({1: 16, 2: 1, 3: 1, 4: 1, 5: 1, 6: "o200k_base/1", 7: bytes(32), 8: 1},),
    19: 1,
}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\xc1", "forbidden-type"),
        (encode_body(receipt())[:-1], "truncated"),
        (pack_checked({1: 1}), "missing-field"),
        (pack_checked(receipt().to_wire() | {32: 1}), "unknown-field"),
        (pack_checked(receipt().to_wire() | {19: 1}), "total-mismatch"),
        (pack_checked(BAD_LABEL), "label-shape"),
        (pack_checked(BAD_EXACT), "exact-not-allowed"),
        (change(time=START + 300_000 + 7), "time-order"),
    ],
)
def test_a_body_that_breaks_a_rule(body: Body | bytes, code: str) -> None:
    """It was signed and logged so: accuracy alone is wrong (step 4, VER-7)."""
    assert accuracy(body) == f"wrong/{code}"
    assert report_on(body).exit_code() == 1
    assert report_on(body).body is None


def test_bodies_of_the_other_types() -> None:
    """In order they are no receipts (step 5, VER-16)."""
    for type_, body in other_bodies(LOG.log_id).items():
        assert accuracy(body, type=type_) == "could-not-check/no-receipt"
        report = report_on(body, type=type_, require_accuracy=True)
        assert (report.body, report.exit_code(), report.verdicts) == (body, 3, ())
    assert accuracy(encode_body(receipt()), type=5) == "wrong/unknown-field"
    late = Redaction(salt=SALT, indices=(6,), reason=1)
    assert accuracy(late, type=5) == "wrong/index-order"


WALLET_ADDRESS = address_of(WALLET.public_key)


def binding(
    *, wallet: bytes = WALLET_ADDRESS, signer: SigningKey = WALLET, log_id: LogId = LOG.log_id
) -> Binding:
    deadline = UnixSeconds(START // 1_000 + 600)
    digest = binding_digest(log_id, SubjectId(SUBJECT), wallet, 1, deadline)
    return Binding(
        salt=SALT,
        subject=SUBJECT,
        wallet=wallet,
        nonce=1,
        deadline=deadline,
        signature=signer.sign(digest),
    )


def resigned(signature: bytes) -> Binding:
    return replace(binding(), signature=signature)


GOOD = binding().signature
HIGH_S = (CURVE_ORDER - int.from_bytes(GOOD[32:64], "big")).to_bytes(32, "big")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (resigned(bytes(65)), "malformed"),
        (resigned(GOOD[:32] + HIGH_S + bytes([1 - GOOD[64]])), "high-s"),
        (resigned(GOOD[:64] + b"\x1b"), "bad-recovery-id"),
        (resigned(GOOD[:64] + bytes([1 - GOOD[64]])), "mismatch"),
        (resigned((5).to_bytes(32, "big") + GOOD[32:]), "mismatch"),
        (binding(signer=SigningKey(b"\x56" * 32)), "mismatch"),
        (binding(log_id=LogId(bytes(32))), "mismatch"),
        (replace(binding(), nonce=2), "mismatch"),
        (replace(binding(), subject=bytes(32)), "mismatch"),
        (replace(binding(), wallet=b"\x01" * 20), "mismatch"),
        (replace(binding(), deadline=START // 1_000 - 1), "time-order"),
    ],
)
def test_a_binding_is_signed_by_its_wallet(body: Binding, code: str) -> None:
    """Over everything it says (step 4, BIND-2, BIND-3)."""
    assert accuracy(body, type=3) == f"wrong/{code}"
    if code != "time-order":
        assert code_of(verify_binding, body, LOG.log_id) == code


def test_the_signer_of_a_binding() -> None:
    """Of an unbind anybody: who was bound last is not known here (BIND-2, BIND-3)."""
    assert verify_binding(binding(), LOG.log_id) == WALLET_ADDRESS
    unbind = binding(wallet=bytes(20))
    assert verify_binding(unbind, LOG.log_id) == WALLET_ADDRESS
    assert accuracy(unbind, type=3) == "could-not-check/no-receipt"
    other = binding(wallet=bytes(20), signer=SigningKey(b"\x56" * 32))
    assert accuracy(other, type=3) == "could-not-check/no-receipt"
    assert accuracy(replace(unbind, signature=bytes(65)), type=3) == "wrong/malformed"
    unreadable = replace(unbind, signature=(5).to_bytes(32, "big") + GOOD[32:])
    assert accuracy(unreadable, type=3) == "wrong/mismatch"


COMMITTED = change(
    request_commitment=commit_request(OPENING, REQUEST),
    response_commitment=commit_response(OPENING, RESPONSE),
    forwarded_commitment=commit_forwarded(OPENING, FORWARDED),
)
BODIES: dict[str, Any] = {"request": REQUEST, "response": RESPONSE, "forwarded": FORWARDED}


@pytest.mark.parametrize("given", [("request",), ("response",), ("forwarded",), tuple(BODIES)])
def test_content_that_the_receipt_commits_to(given: tuple[str, ...]) -> None:
    """Step 6, COMM-4."""
    content = {name: BODIES[name] for name in given}
    assert accuracy(COMMITTED, opening=OPENING, **content) == CLAIMED
    for name in given:
        for other in (b"", BODIES[name] + b"\n", BODIES[name].replace(b"text", b"Text") + b" "):
            changed = content | {name: other}
            answer = accuracy(COMMITTED, opening=OPENING, **changed)
            assert answer == "wrong/commitment-mismatch"
            report = report_on(COMMITTED, opening=OPENING, **changed)
            assert report.exit_code() == 1
    assert accuracy(COMMITTED, opening=bytes(32), **content) == "wrong/commitment-mismatch"


def test_one_body_is_not_another() -> None:
    """Each commitment has a tag of its own (COMM-1, COMM-2)."""
    mixed = change(
        request_commitment=commit_response(OPENING, REQUEST),
        response_commitment=commit_response(OPENING, RESPONSE),
    )
    wrong = "wrong/commitment-mismatch"
    assert accuracy(mixed, opening=OPENING, request=REQUEST) == wrong
    assert accuracy(mixed, opening=OPENING, response=RESPONSE) == CLAIMED


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("request", "request_commitment"),
        ("response", "response_commitment"),
        ("forwarded", "forwarded_commitment"),
    ],
)
def test_a_commitment_that_is_not_there_is_noted(name: str, field: str) -> None:
    """It can be neither right nor wrong (step 6)."""
    absent: dict[str, Any] = {field: None}
    bare = replace(COMMITTED, **absent)
    anything: dict[str, Any] = {name: b"anything"}
    report = report_on(bare, opening=OPENING, **anything)
    assert answers_of(report)[3] == CLAIMED
    shown = "forwarded request" if name == "forwarded" else name
    assert f"the receipt holds no commitment to the {shown}" in report.notes
    whole = report_on(COMMITTED, opening=OPENING, **{name: BODIES[name]})
    assert len(whole.notes) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"opening": OPENING},
        {"request": REQUEST},
        {"response": RESPONSE},
        {"forwarded": FORWARDED},
        {"request": b""},
        {"opening": OPENING[:-1], "request": REQUEST},
        {"opening": OPENING + b"\x00", "request": REQUEST},
        {"opening": b"", "request": REQUEST},
    ],
)
def test_an_opening_and_a_body_go_together(options: dict[str, Any]) -> None:
    """COMM-5."""
    assert code_of(report_on, COMMITTED, **options) == "input"


def test_content_says_nothing_about_a_body_of_another_type() -> None:
    """Step 5 comes before step 6."""
    redaction = Redaction(salt=SALT, indices=(1,), reason=1)
    answer = accuracy(redaction, type=5, opening=OPENING, request=REQUEST)
    assert answer == "could-not-check/no-receipt"


def test_reading_a_body_by_itself() -> None:
    """For callers that hold a record whose signature they have checked."""
    record = decode_record(LOG.records[4])
    assert read_body(record, LOG.bodies[4], LOG.log_id) == receipt()
    assert code_of(read_body, record, b"", LOG.log_id) == "withheld"
    assert code_of(read_body, record, b"\x80", LOG.log_id) == "undecided"
    genesis = decode_record(LOG.records[0])
    assert code_of(read_body, genesis, b"", LOG.log_id) == "undecided"
