"""What readers and owners get over HTTP, and what nobody else gets."""

import hashlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.bodies import Reconciliation
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.jsonform import body_from_json
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.record import TYPE_KEY, decode_record, leaf_hash
from nous_ledger.protocol.tiles import decode_bodies, decode_entries, decode_tile
from nous_ledger.protocol.verify import verify_bundle
from tests.integration.gateway.rig import AUDITOR, CHAT, KEY, Answer, Rig, running_gateway

REQUEST = {"model": "gpt-demo", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def called(rig: Rig) -> tuple[Rig, Answer]:
    """A gateway with one call behind it."""
    return rig, rig.call(CHAT, REQUEST)


def _json(answer: Answer) -> Any:
    return json.loads(answer.body)


def _path(answer: Answer) -> str:
    return f"/v1/receipts/{uuid.UUID(bytes=answer.id)}"


RIGHTS: list[dict[str, str]] = [
    {"authorization": f"Bearer {KEY}"},
    {"x_api_key": KEY},
    {"authorization": f"Bearer {AUDITOR}"},
]
NO_RIGHTS: list[dict[str, str]] = [
    {},
    {"authorization": "Bearer sk-somebody-else"},
    {"authorization": f"Basic {KEY}"},
    {"nous_opening": "00" * 32},
    {"nous_opening": "zz"},
    {"nous_opening": ""},
]


@pytest.mark.parametrize("right", range(4))
def test_who_has_the_right_reads_the_receipt(called: tuple[Rig, Answer], right: int) -> None:
    """SERV-6, SERV-7."""
    rig, got = called
    headers = [*RIGHTS, {"nous_opening": got.opening.hex()}][right]
    answer = rig.get(_path(got), **headers)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    shown = _json(answer)
    assert body_from_json(shown["body"]) == rig.only_receipt()
    assert shown["record"]["index"] == 1
    assert parse_bundle(rig.get(_path(got) + "/proof", **headers).body).body
    assert parse_bundle(rig.get("/v1/records/1/proof", **headers).body).body


@pytest.mark.parametrize("headers", NO_RIGHTS)
def test_who_has_not_gets_a_proof_without_the_body(
    called: tuple[Rig, Answer], headers: dict[str, str]
) -> None:
    """SERV-6."""
    rig, got = called
    refused = rig.get(_path(got), **headers)
    assert (refused.status, _json(refused)["error"]["code"]) == (403, "no-read-right")
    for path in (_path(got) + "/proof", "/v1/records/1/proof"):
        bundle = parse_bundle(rig.get(path, **headers).body)
        assert bundle.body == b""
        assert decode_record(bundle.record).index == 1


def test_evidence_is_shown_with_its_receipt(called: tuple[Rig, Answer]) -> None:
    rig, got = called
    assert _json(rig.get(_path(got), **RIGHTS[0]))["reconciliations"] == []
    (logged,) = rig.ledger.read(range(1, 2))
    (first, *_) = rig.only_receipt().usage or ()
    bounds: dict[str, Any] = {"lower": 0, "upper": first.reported, "method": "later/1"}
    claim = Reconciliation(
        salt=bytes(16),
        index=1,
        body_hash=decode_record(logged.record).body_hash,
        usage=(Bucket(kind=first.kind, reported=first.reported, label=2, **bounds),),
    )
    assert rig.ledger.append_reconciliations([claim])[0] is not None
    (shown,) = _json(rig.get(_path(got), **RIGHTS[0]))["reconciliations"]
    assert shown["record"]["index"] == 2
    assert body_from_json(shown["body"]) == claim


def test_calls_without_a_credential_are_nobodys_to_read_but_by_their_opening(rig: Rig) -> None:
    got = rig.call("/openai/v1/models", method="GET", credential=None)
    assert rig.get(_path(got)).status == 403
    assert rig.get(_path(got), nous_opening=got.opening.hex()).status == 200


def test_an_access_key_id_is_no_secret_and_gives_no_right(rig: Rig) -> None:
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20260101/x, Signature=0"}
    got = rig.call(CHAT, REQUEST, credential=None, headers=signed)
    assert rig.get(_path(got), **signed).status == 403
    assert rig.get(_path(got), nous_opening=got.opening.hex()).status == 200


def test_a_proof_verifies_offline_with_its_content(called: tuple[Rig, Answer]) -> None:
    rig, got = called
    policy = parse_policy(rig.get("/v1/policy").body)
    proof = rig.get(_path(got) + "/proof", nous_opening=got.opening.hex()).body
    report = verify_bundle(
        proof, policy, opening=got.opening, request=json.dumps(REQUEST).encode(), response=got.body
    )
    assert report.exit_code() == 0
    assert {report.attribution.outcome, report.inclusion.outcome} == {"established"}
    other = verify_bundle(proof, policy, opening=got.opening, response=got.body + b" ")
    assert (other.accuracy.outcome, other.accuracy.code) == ("wrong", "commitment-mismatch")


def test_key_events_are_public(rig: Rig) -> None:
    bundle = parse_bundle(rig.get("/v1/records/0/proof").body)
    assert decode_record(bundle.record).type == TYPE_KEY
    assert bundle.body


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/receipts/nonsense", 400, "input"),
        ("/v1/receipts/0199c0de-0000-7000-8000-000000000001", 404, "not-found"),
        ("/v1/receipts/0199c0de-0000-7000-8000-000000000001/proof", 404, "not-found"),
        ("/v1/records/2/proof", 404, "not-found"),
        ("/v1/records/-1/proof", 400, "input"),
        ("/v1/records/99999999999999999999/proof", 400, "input"),
        ("/v1/records/%D9%A3/proof", 400, "input"),
        ("/tile/0/000.p/3", 404, "not-found"),
        ("/tile/0/000", 404, "not-found"),
        ("/tile/1/000.p/1", 404, "not-found"),
        ("/tile/entries/001.p/1", 404, "not-found"),
        ("/tile/0/0", 400, "input"),
        ("/tile/64/000.p/1", 400, "input"),
        ("/tile/0/x000/000.p/1", 400, "input"),
        ("/tile/../checkpoint", 400, "input"),
    ],
)
def test_what_is_not_there(called: tuple[Rig, Answer], path: str, status: int, code: str) -> None:
    rig, _ = called
    answer = rig.get(path)
    assert (answer.status, _json(answer)["error"]["code"]) == (status, code)


@pytest.mark.parametrize("path", ["/v1/unknown", "/nobody/v1/models", "/openai", "/Openai/v1/x"])
def test_unknown_paths_are_no_calls(rig: Rig, path: str) -> None:
    assert rig.get(path).status == 404
    assert rig.receipts() == []


def test_nothing_beyond_the_newest_head_is_served(called: tuple[Rig, Answer]) -> None:
    """SERV-5: a record is served only once a head covers it."""
    rig, got = called
    assert rig.get("/tile/entries/000.p/2").status == 404
    assert rig.get(_path(got), nous_opening=got.opening.hex()).status == 200  # signs a head
    assert rig.get("/tile/entries/000.p/2").status == 200
    rig.call(CHAT, REQUEST)
    assert rig.get("/tile/0/000.p/3").status == 404
    assert b"\n3\n" in rig.get("/checkpoint").body
    assert rig.get("/tile/0/000.p/3").status == 200


def test_a_receipt_can_be_asked_for_while_its_call_ends(rig: Rig) -> None:
    """The last event of a stream does not wait for the receipt; the question for it does."""
    connection = rig.send(CHAT, {**REQUEST, "model": "gpt-demo-slow", "stream": True})
    response = connection.getresponse()
    headers = response.headers
    answers: list[Answer] = []
    path = f"/v1/receipts/{headers['nous-receipt-id']}"
    asking = threading.Thread(
        target=lambda: answers.append(rig.get(path, nous_opening=headers["nous-opening"]))
    )
    asking.start()
    response.read()
    connection.close()
    asking.join()
    assert answers[0].status == 200


def test_health_and_index(rig: Rig) -> None:
    assert _json(rig.get("/healthz")) == {"status": "ok", "leaf_count": 1}
    index = _json(rig.get("/"))
    assert (index["origin"], index["log_id"]) == (rig.ledger.origin, rig.ledger.log_id.hex())


@pytest.fixture
def grown(log: Ledger, demo_url: str) -> Iterator[Rig]:
    """A log of 300 leaves behind a gateway."""
    with running_gateway(log, demo_url) as rig:
        template = rig.call(CHAT, REQUEST)
        receipt = rig.only_receipt()
        log.append_many(
            [
                replace(
                    receipt,
                    id=template.id[:12] + n.to_bytes(4, "big"),
                    subject_seq=0,
                    subject_prev=None,
                )
                for n in range(1, 299)
            ]
        )
        yield rig


def test_tiles_are_those_of_the_signed_tree(grown: Rig) -> None:
    """Whoever reads all tiles computes the root that the head signs."""
    head = parse_checkpoint(parse_note(grown.get("/checkpoint").body).text)
    assert (head.origin, head.leaf_count) == (grown.ledger.origin, 300)
    full, partial = grown.get("/tile/entries/000"), grown.get("/tile/entries/001.p/44")
    assert "immutable" in full.headers["cache-control"]
    records = [*decode_entries(full.body, 256), *decode_entries(partial.body, 44)]
    leaves = [leaf_hash(record) for record in records]
    hashes = [
        *decode_tile(grown.get("/tile/0/000").body, 256),
        *decode_tile(grown.get("/tile/0/001.p/44").body, 44),
    ]
    assert hashes == leaves
    assert decode_tile(grown.get("/tile/1/000.p/1").body, 1) == (_naive_root(leaves[:256]),)
    assert head.root == _naive_root(leaves)


def _naive_root(leaves: list[Any]) -> bytes:
    if len(leaves) == 1:
        return bytes(leaves[0])
    split = 1 << (len(leaves) - 1).bit_length() - 1
    left, right = _naive_root(leaves[:split]), _naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_bodies_bundles_withhold_all_but_key_events(grown: Rig) -> None:
    grown.get("/checkpoint")
    public = decode_bodies(grown.get("/tile/bodies/000").body, 256)
    assert [index for index, body in enumerate(public) if body] == [0]
    path = "/tile/bodies/001.p/44"
    assert not any(decode_bodies(grown.get(path, authorization=f"Bearer {KEY}").body, 44))
    audited = grown.get(path, authorization=f"Bearer {AUDITOR}")
    assert all(decode_bodies(audited.body, 44))
    assert audited.headers["cache-control"] == "no-store"


def test_a_damaged_body_is_no_secret_and_no_crash(called: tuple[Rig, Answer]) -> None:
    rig, got = called
    with closing(sqlite3.connect(rig.ledger.folder / "ledger.db")) as database, database:
        database.execute("UPDATE bodies SET body = x'ff' WHERE leaf = 1")
    assert rig.get(_path(got), authorization=f"Bearer {KEY}").status == 403
    answer = rig.get(_path(got), nous_opening=got.opening.hex())
    assert (answer.status, _json(answer)["error"]["code"]) == (500, "forbidden-type")
    proof = rig.get(_path(got) + "/proof", nous_opening=got.opening.hex())
    report = verify_bundle(proof.body, parse_policy(rig.get("/v1/policy").body))
    assert (report.attribution.outcome, report.attribution.code) == ("wrong", "body-hash")
