"""A subject's receipts, statements and bindings over HTTP, and that they are nobody else's."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.gateway.identity import KIND_API_KEY
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.bodies import Binding
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.jsonform import body_from_json
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.verify import verify_bundle
from tests.integration.gateway.rig import AUDITOR, CHAT, KEY, Answer, Rig, running_gateway
from tests.integration.ledger_drafts import make_draft
from tests.wallets import ALICE, BOB, ZERO, Wallet, high_s

OTHER = "sk-somebody-else-0123456789"
OWN = {"authorization": f"Bearer {KEY}"}
AUDIT = {"authorization": f"Bearer {AUDITOR}"}
SIGNED_URL = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/x, Signature=0"}
SOON = int(time.time()) + 600


def subject_of(ledger: Ledger, credential: str = KEY) -> bytes:
    return ledger.subject(KIND_API_KEY, credential.encode())


def shown(answer: Answer) -> Any:
    return json.loads(answer.body)


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, shown(answer)["error"]["code"]


@pytest.fixture
def busy(log: Ledger, demo_url: str) -> Iterator[Rig]:
    """A gateway over a log with 25 receipts of ours and 25 of somebody else."""
    seed, now = random.Random(5), int(time.time() * 1000)
    drafts = [
        make_draft(seed, time_ms=now, subject=subject_of(log, who))
        for _ in range(25)
        for who in (KEY, OTHER)
    ]
    log.append_many(drafts)
    with running_gateway(log, demo_url) as rig:
        yield rig


def test_a_chain_is_read_page_by_page(busy: Rig) -> None:
    seen: list[Receipt] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = busy.get(f"/v1/receipts?limit=10&cursor={cursor}", **OWN)
        assert page.headers["cache-control"] == "no-store"
        content = shown(page)
        assert (content["subject"], content["withheld"]) == (subject_of(busy.ledger).hex(), 0)
        for entry in content["receipts"]:
            body = body_from_json(entry["body"])
            assert isinstance(body, Receipt)
            seen.append(body)
        cursor = content["next_cursor"]
    assert [receipt.subject_seq for receipt in seen] == list(range(25))
    assert {receipt.subject for receipt in seen} == {subject_of(busy.ledger)}
    busy.call(CHAT, {"model": "gpt-demo", "messages": []})
    newest = shown(busy.get("/v1/receipts?cursor=25", **OWN))
    assert len(newest["receipts"]) == 1
    assert busy.get("/tile/entries/000.p/52").status == 200  # SERV-5: a head covers it


def test_an_erased_receipt_is_counted_not_shown(busy: Rig) -> None:
    """RED-3; and what was erased after it was indexed leaves the list too."""
    before = shown(busy.get("/v1/receipts?limit=25", **OWN))["receipts"]
    gone = [before[3]["record"]["index"], before[24]["record"]["index"]]
    busy.ledger.redact(gone, "data_subject_request")
    after = shown(busy.get("/v1/receipts?limit=25", **OWN))
    assert len(after["receipts"]) == 23
    assert (after["withheld"], after["next_cursor"]) == (2, None)
    page = shown(busy.get("/v1/receipts?limit=3", **OWN))
    assert (page["withheld"], page["next_cursor"]) == (0, "3")
    page = shown(busy.get("/v1/receipts?limit=2&cursor=3", **OWN))
    assert (page["withheld"], page["next_cursor"]) == (1, "6")


def test_nobody_lists_what_is_somebody_elses(busy: Rig) -> None:
    """SERV-6."""
    ours = subject_of(busy.ledger).hex()
    for headers in ({}, SIGNED_URL, {"authorization": "Bearer"}):
        refused = busy.get("/v1/receipts", **headers)
        assert code(refused) == (401, "no-credential")
        assert refused.headers["www-authenticate"] == "Bearer"
    theirs = {"authorization": f"Bearer {OTHER}"}
    assert code(busy.get(f"/v1/receipts?subject={ours}", **theirs)) == (403, "no-read-right")
    assert shown(busy.get("/v1/receipts", **theirs))["subject"] != ours
    nobody = shown(busy.get("/v1/receipts", authorization="Bearer sk-nobody"))
    assert (nobody["receipts"], nobody["next_cursor"], nobody["withheld"]) == ([], None, 0)
    assert len(shown(busy.get("/v1/receipts", x_api_key=KEY))["receipts"]) == 25
    assert code(busy.get("/v1/receipts", **AUDIT)) == (400, "input")
    audited = shown(busy.get(f"/v1/receipts?subject={ours}", **AUDIT))
    assert len(audited["receipts"]) == 25


@pytest.mark.parametrize(
    "query", ["cursor=-1", "cursor=x", "limit=0", "limit=501", "subject=00", "cursor=1e3"]
)
def test_wrong_questions_are_refused(busy: Rig, query: str) -> None:
    assert code(busy.get(f"/v1/receipts?{query}", **OWN)) == (400, "input")


def test_a_statement_is_made_and_proved(busy: Rig) -> None:
    answer = busy.call("/v1/statements", {})
    assert answer.status == 201
    made = shown(answer)
    statement = body_from_json(made["body"])
    assert isinstance(statement, Statement)
    assert (statement.first_seq, statement.last_seq, made["next_seq"]) == (0, 24, None)
    assert sum(row.calls for row in statement.rows) == 25
    assert statement.rows[0].kinds[0].reported == 25 * 120
    policy = parse_policy(busy.get("/v1/policy").body)
    proof = busy.get(answer.headers["location"], **OWN).body
    report = verify_bundle(proof, policy)
    assert (report.attribution.code, report.inclusion.code) == ("", "")
    assert parse_bundle(proof).body
    # SERV-6: a statement is its subject's, too.
    stranger = busy.get(answer.headers["location"], authorization=f"Bearer {OTHER}")
    assert parse_bundle(stranger.body).body == b""
    part = shown(busy.call("/v1/statements", {"first_seq": 5, "last_seq": 9}))["body"]
    assert (part["first_seq"], part["last_seq"]) == (5, 9)


def test_statements_are_for_the_subject_and_auditors(busy: Rig) -> None:
    ours = subject_of(busy.ledger).hex()
    leaves = busy.ledger.leaf_count()
    refused: list[tuple[Any, str | None, tuple[int, str]]] = [
        ({}, None, (401, "no-credential")),
        ({"subject": ours}, OTHER, (403, "no-read-right")),
        ({}, AUDITOR, (400, "input")),
        ({}, "sk-without-receipts", (404, "not-found")),
        ({"first_seq": 25}, KEY, (404, "not-found")),
        ({"first_seq": 3, "last_seq": 2}, KEY, (404, "not-found")),
        ({"first_seq": -1}, KEY, (400, "input")),
        ({"first_seq": "0"}, KEY, (400, "input")),
        ({"first_seq": True}, KEY, (400, "input")),
        ({"firstseq": 1}, KEY, (400, "input")),
        (b"[]", KEY, (400, "input")),
        (b'{"first_seq": 1, "first_seq": 2}', KEY, (400, "input")),
        (b"{", KEY, (400, "input")),
        (b"[" * 16_000, KEY, (400, "input")),
        (b" " * 16_385, KEY, (413, "input")),
    ]
    for body, credential, expected in refused:
        answer = busy.call("/v1/statements", body, credential=credential)
        assert code(answer) == expected
    plain = busy.call("/v1/statements", {"first_seq": 1}, headers={"content-type": "text/plain"})
    assert code(plain) == (415, "input")
    assert busy.ledger.leaf_count() == leaves
    audited = busy.call("/v1/statements", {"subject": ours}, credential=AUDITOR)
    assert shown(audited)["body"]["last_seq"] == 24


def test_no_statement_over_what_was_erased(busy: Rig) -> None:
    entry = shown(busy.get("/v1/receipts?cursor=7&limit=1", **OWN))["receipts"][0]
    busy.ledger.redact([entry["record"]["index"]], "retention")
    refused = busy.call("/v1/statements", {})
    assert code(refused) == (409, "withheld")
    assert "receipt 7" in shown(refused)["error"]["message"]
    assert busy.call("/v1/statements", {"last_seq": 6}).status == 201
    assert busy.call("/v1/statements", {"first_seq": 8}).status == 201


def binding(
    rig: Rig, wallet: Wallet = ALICE, nonce: int = 1, bound: bytes | None = None, **more: Any
) -> dict[str, Any]:
    """Return the request of a binding for our key."""
    subject = more.pop("of", subject_of(rig.ledger))
    deadline = more.get("deadline", SOON)
    log_id = more.pop("log_id", rig.ledger.log_id)
    signature = wallet.sign(log_id, subject, nonce, deadline, bound)
    address = wallet.address if bound is None else bound
    request = {
        "wallet": f"0x{address.hex()}",
        "nonce": nonce,
        "deadline": deadline,
        "signature": f"0x{signature.hex()}",
    }
    return request | more


def test_a_wallet_is_bound_and_unbound(rig: Rig) -> None:
    """With 27 or 28 at the end of the signature, as wallets write it; stored as 0 or 1."""
    state = shown(rig.get(f"/v1/bindings?wallet=0x{ALICE.address.hex()}", **OWN))
    assert (state["wallet"], state["index"], state["next_nonce"]) == (None, None, 1)
    assert state["subject"] == subject_of(rig.ledger).hex()
    assert state["log_id"] == rig.ledger.log_id.hex()
    answer = rig.call("/v1/bindings", binding(rig))
    assert answer.status == 201
    made = shown(answer)
    logged = body_from_json(made["body"])
    assert isinstance(logged, Binding)
    assert (logged.wallet, logged.signature[64] <= 1) == (ALICE.address, True)
    assert made["index"] == made["record"]["index"] == 1
    state = shown(rig.get(f"/v1/bindings?wallet=0x{ALICE.address.hex()}", **OWN))
    assert (state["wallet"], state["index"]) == (f"0x{ALICE.address.hex()}", 1)
    assert state["next_nonce"] == 2
    policy = parse_policy(rig.get("/v1/policy").body)
    proof = rig.get(answer.headers["location"], **OWN).body
    assert verify_bundle(proof, policy).inclusion.outcome == "established"
    stranger = rig.get(answer.headers["location"], authorization=f"Bearer {OTHER}")
    assert parse_bundle(stranger.body).body == b""
    gone = rig.call("/v1/bindings", binding(rig, nonce=2, bound=ZERO))
    assert gone.status == 201
    assert shown(rig.get("/v1/bindings", **OWN))["wallet"] is None


def test_replays_are_refused(rig: Rig) -> None:
    """For another key, another log, another time, another wallet; and a second time."""
    good = binding(rig)
    assert code(rig.call("/v1/bindings", good, credential=OTHER)) == (400, "mismatch")
    named = {**good, "subject": subject_of(rig.ledger).hex()}
    assert code(rig.call("/v1/bindings", named, credential=OTHER)) == (403, "no-read-right")
    assert code(rig.call("/v1/bindings", good, credential=None)) == (401, "no-credential")
    assert code(rig.call("/v1/bindings", good, credential=AUDITOR)) == (401, "no-credential")
    other_log = binding(rig, log_id=bytes(32))
    assert code(rig.call("/v1/bindings", other_log)) == (400, "mismatch")
    over = binding(rig, deadline=int(time.time()) - 2)
    assert code(rig.call("/v1/bindings", over)) == (409, "time-order")
    assert code(rig.call("/v1/bindings", {**over, "deadline": SOON})) == (400, "mismatch")
    stolen = {**good, "wallet": f"0x{BOB.address.hex()}"}
    assert code(rig.call("/v1/bindings", stolen)) == (400, "mismatch")
    unbind = binding(rig, bound=ZERO)
    assert code(rig.call("/v1/bindings", unbind)) == (409, "not-bound")
    assert rig.ledger.leaf_count() == 1
    assert rig.call("/v1/bindings", named).status == 201
    assert code(rig.call("/v1/bindings", good)) == (409, "nonce-used")
    assert code(rig.call("/v1/bindings", binding(rig, BOB, bound=ZERO))) == (409, "not-bound")
    assert rig.ledger.leaf_count() == 2


def test_malleable_and_malformed_signatures_are_refused(rig: Rig) -> None:
    good = binding(rig)
    signature = bytes.fromhex(good["signature"][2:])
    for wrong, expected in (
        (high_s(signature).hex(), "high-s"),
        ((signature[:64] + b"\x02").hex(), "bad-recovery-id"),
        ((signature[:64] + b"\x1d").hex(), "bad-recovery-id"),
        (bytes(65).hex(), "malformed"),
        (signature[:64].hex(), "input"),
        ("zz" * 65, "input"),
        (7, "input"),
        (None, "input"),
    ):
        assert code(rig.call("/v1/bindings", {**good, "signature": wrong})) == (400, expected)
    changes: list[dict[str, Any]] = [
        {"nonce": 2**53},
        {"nonce": -1},
        {"deadline": 1.5},
        {"wallet": "0x00"},
    ]
    for change in changes:
        assert code(rig.call("/v1/bindings", {**good, **change}))[0] == 400
    assert rig.ledger.leaf_count() == 1
    plain = bytes([*signature[:64], signature[64] - 27]).hex()
    assert rig.call("/v1/bindings", {**good, "signature": plain}).status == 201


def test_the_secrets_of_a_binding_stay_out_of_the_database(rig: Rig) -> None:
    rig.call("/v1/bindings", binding(rig))
    rig.call("/v1/statements", {}, credential=KEY)
    rig.stop()
    data = b"".join(p.read_bytes() for p in rig.ledger.folder.iterdir() if p.is_file())
    assert KEY.encode() not in data


def test_a_long_log_is_read_in_steps(log: Ledger, demo_url: str) -> None:
    """More than one step of the index, and chains of receipts that came later."""
    seed, now = random.Random(6), int(time.time() * 1000)
    template = make_draft(seed, time_ms=now, subject=subject_of(log))
    drafts = [
        replace(template, id=make_draft(seed, time_ms=now).id, model_served=f"m{number % 7}")
        for number in range(1_200)
    ]
    log.append_many(drafts)
    with running_gateway(log, demo_url) as rig:
        made = shown(rig.call("/v1/statements", {}))
        assert (made["body"]["last_seq"], len(made["body"]["rows"])) == (1_199, 7)
        page = shown(rig.get("/v1/receipts?cursor=1100&limit=500", **OWN))
        assert (len(page["receipts"]), page["next_cursor"]) == (100, None)
