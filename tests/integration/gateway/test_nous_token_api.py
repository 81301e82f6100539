"""The routes of nous-token: their members, whom they show, and that sources never mix."""

import base64
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from nous_ledger.gateway import nous_token_api
from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.identity import KIND_API_KEY
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.bodies import Binding
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import ImportInfo
from nous_ledger.protocol.record import leaf_hash, record_digest
from nous_ledger.protocol.registries import SOURCE
from nous_ledger.protocol.signing import normalise_recovery_id, recover
from tests.integration.gateway.rig import AUDITOR, AUDITOR_HASH, KEY, Answer, Rig, running_gateway
from tests.integration.ledger_drafts import make_draft
from tests.wallets import ALICE

SECOND, THIRD = "sk-second-0123456789", "sk-third-0123456789"
AUDIT = {"authorization": f"Bearer {AUDITOR}"}
OWN = {"authorization": f"Bearer {KEY}"}
DAY_MS = 86_400_000

SHOWS_USAGE = [
    "/api/records",
    "/api/leaderboard",
    "/api/leaderboard/model?model=big",
    "/api/models",
    "/api/stats",
    f"/api/wallet/0x{ALICE.address.hex()}",
]


def subject(ledger: Ledger, credential: str) -> bytes:
    return ledger.subject(KIND_API_KEY, credential.encode())


def data(answer: Answer) -> Any:
    content = json.loads(answer.body)
    assert (answer.status, content["ok"]) == (200, True)
    return content["data"]


def fill(log: Ledger) -> None:
    """Three users, two models, a cache, all four sources, an old call, one without usage."""
    seed, now = random.Random(8), int(time.time() * 1000)
    cached = (
        Bucket(kind=1, reported=10, label=3),
        Bucket(kind=2, reported=1_000, label=3),
        Bucket(kind=4, reported=7, label=3),
        Bucket(kind=16, reported=20, label=3),
    )
    plain: dict[str, Any] = {"model_served": "big", "time_ms": now}
    imported = ImportInfo(importer="csv", version="1", line_hash=bytes(32), occurred_at=now)
    ours, second, third = (subject(log, key) for key in (KEY, SECOND, THIRD))
    drafts = [
        make_draft(seed, subject=ours, reported_cost=1_500_000_000, **plain),
        make_draft(seed, subject=ours, **plain),
        make_draft(
            seed, subject=second, usage=cached, provider_total=1_037, provider="anthropic", **plain
        ),
        make_draft(seed, subject=third, model_served="small", time_ms=now - 60 * DAY_MS),
        make_draft(
            seed, subject=third, status=6, metering=0, usage=None, provider_total=None, **plain
        ),
        make_draft(seed, subject=third, source=SOURCE["embedded"], **plain),
        make_draft(seed, subject=third, source=SOURCE["import"], import_=imported, **plain),
        make_draft(seed, subject=third, source=SOURCE["manual"], **plain),
    ]
    log.append_many(drafts)


@pytest.fixture
def used(log: Ledger, demo_url: str) -> Iterator[Rig]:
    """A gateway that publishes nothing."""
    fill(log)
    with running_gateway(log, demo_url) as rig:
        yield rig


@pytest.fixture
def public(log: Ledger) -> Iterator[Rig]:
    """A gateway that publishes usage."""
    fill(log)
    config = AppConfig(auditor_tokens=frozenset({AUDITOR_HASH}), publish_usage=True)
    with GatewayThread(log, config) as thread:
        yield Rig(log, thread.url, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", SHOWS_USAGE)
def test_what_others_used_is_published_only_on_request(used: Rig, path: str) -> None:
    for headers in ({}, OWN):
        refused = used.get(path, **headers)
        assert (refused.status, json.loads(refused.body)["error"]["code"]) == (403, "not-published")
    assert used.get(path, **AUDIT).status == 200


def test_a_user_sees_itself_and_nobody_else(used: Rig) -> None:
    ours, second = (subject(used.ledger, key).hex() for key in (KEY, SECOND))
    for tail in ("", "/receipts"):
        assert used.get(f"/api/user/{ours}{tail}", **OWN).status == 200
        assert used.get(f"/api/user/{second}{tail}", **OWN).status == 403
        assert used.get(f"/api/user/{ours}{tail}").status == 403
        assert used.get(f"/api/user/{second}{tail}", **AUDIT).status == 200
    user = data(used.get(f"/api/user/{ours}", **OWN))
    assert (user["user_hash"], user["wallet"], user["call_count"]) == (ours, None, 2)
    assert user["models"][0]["model"] == "big"
    rows = data(used.get(f"/api/user/{ours}/receipts", **OWN))
    assert [row["id"] for row in rows] == [1, 2]


def test_everyone_may_see_where_it_is_published(public: Rig) -> None:
    for path in [*SHOWS_USAGE, f"/api/user/{subject(public.ledger, SECOND).hex()}"]:
        assert public.get(path).status == 200


def test_the_tree_and_its_key(used: Rig) -> None:
    chain = data(used.get("/api/chain"))
    head = parse_checkpoint(parse_note(used.get("/checkpoint").body).text)
    assert (chain["merkle_root"], chain["leaf_count"]) == (head.root.hex(), 9)
    assert chain["peak_count"] == 2
    answer = json.loads(used.get("/api/pubkey").body)
    key = answer["pubkey"]
    assert (answer["algorithm"], key["kty"], key["crv"]) == (
        "ECDSA-secp256k1-SHA256",
        "EC",
        "secp256k1",
    )
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "="), "big") for name in "xy")
    assert (y * y - x**3 - 7) % (2**256 - 2**32 - 977) == 0
    # It is the key that signed the records.
    row = data(used.get("/api/records", **AUDIT))[0]
    record = used.ledger.entry(row["id"]).record
    signed = recover(record_digest(used.ledger.log_id, record[:55]), record[55:])
    assert signed[1:] == x.to_bytes(32, "big")
    assert signed[0] == 2 + (y & 1)
    assert (row["receipt_sig"], row["leaf_hash"]) == (record[55:].hex(), leaf_hash(record).hex())


def test_records_have_the_members_of_old(public: Rig) -> None:
    answer = json.loads(public.get("/api/records?limit=3").body)
    assert (len(answer["data"]), answer["has_more"], answer["source"]) == (3, True, "proxy")
    row = answer["data"][2]
    assert {
        "id",
        "timestamp",
        "user_hash",
        "provider",
        "model",
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "total_tokens",
        "leaf_hash",
        "receipt_sig",
    } <= row.keys()
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    assert [row[name] for name in names] == [10, 20, 1_000, 7]
    assert row["total_tokens"] == 1_037
    rest = json.loads(public.get("/api/records?after=3").body)
    assert ([row["id"] for row in rest["data"]], rest["has_more"]) == ([4, 5], False)
    exactly = json.loads(public.get("/api/records?limit=5").body)
    assert (len(exactly["data"]), exactly["has_more"]) == (5, False)
    assert rest["data"][1]["metering"] == "none"


def test_sources_are_never_added_up_together(public: Rig) -> None:
    for source, calls in (("proxy", 5), ("embedded", 1), ("import", 1), ("manual", 1)):
        stats = json.loads(public.get(f"/api/stats?source={source}").body)
        assert (stats["source"], stats["data"]["total_calls"]) == (source, calls)
        rows = json.loads(public.get(f"/api/records?source={source}").body)["data"]
        assert {row["source"] for row in rows} == {source}
        board = json.loads(public.get(f"/api/leaderboard?source={source}&days=0").body)["data"]
        assert sum(row["call_count"] for row in board) == calls
    every = json.loads(public.get("/api/records?source=all").body)["data"]
    assert [row["source"] for row in every].count("proxy") == 5
    assert len({row["source"] for row in every}) == 4
    by_source = json.loads(public.get("/api/stats").body)["data"]["calls_by_source"]
    assert by_source == {"proxy": 5, "embedded": 1, "import": 1, "manual": 1}
    for path in ("/api/stats?source=all", "/api/leaderboard?source=x", "/api/records?source=x"):
        assert public.get(path).status == 400


def test_leaderboards_rank_by_tokens_and_know_days(public: Rig) -> None:
    ledger = public.ledger
    ours, second, third = (subject(ledger, key).hex() for key in (KEY, SECOND, THIRD))
    board = json.loads(public.get("/api/leaderboard").body)
    assert board["period_days"] == 30
    assert [row["identity"] for row in board["data"]] == [second, ours, third]
    assert [row["total_tokens"] for row in board["data"]] == [1_037, 330, 0]
    assert board["data"][1]["total_cost"] == 0.0015
    assert board["data"][1]["total_cost_pico_usd"] == "1500000000"
    assert board["data"][0]["total_cost"] is None
    ever = json.loads(public.get("/api/leaderboard?days=0&limit=3").body)["data"]
    assert [row["total_tokens"] for row in ever] == [1_037, 330, 165]
    assert len(json.loads(public.get("/api/leaderboard?days=0&limit=1").body)["data"]) == 1
    small = json.loads(public.get("/api/leaderboard/model?model=small&days=100").body)["data"]
    assert [row["identity"] for row in small] == [third]
    assert public.get("/api/leaderboard/model").status == 400
    for days in ("-1", "x", "36501"):
        assert public.get(f"/api/leaderboard?days={days}").status == 400
    models = data(public.get("/api/models"))
    assert [(m["provider"], m["model"], m["unique_users"]) for m in models] == [
        ("anthropic", "big", 1),
        ("openai", "big", 2),
        ("openai", "small", 1),
    ]
    stats = data(public.get("/api/stats"))
    assert (stats["total_tokens"], stats["total_users"], stats["total_models"]) == (1_532, 3, 3)


def test_subjects_of_one_wallet_are_one(public: Rig) -> None:
    ledger = public.ledger
    for nonce, key in ((1, KEY), (2, SECOND)):
        deadline = int(time.time()) + 60
        who = subject(ledger, key)
        signature = ALICE.sign(ledger.log_id, who, nonce, deadline)
        ledger.bind(
            Binding(
                salt=bytes(16),
                subject=who,
                wallet=ALICE.address,
                nonce=nonce,
                deadline=deadline,
                signature=normalise_recovery_id(signature),
            )
        )
    address = f"0x{ALICE.address.hex()}"
    board = json.loads(public.get("/api/leaderboard").body)["data"]
    assert (board[0]["identity"], board[0]["wallet"]) == (address, address)
    assert board[0]["total_tokens"] == 1_037 + 330
    wallet = data(public.get(f"/api/wallet/{address.upper().replace('X', 'x')}"))
    assert wallet["users"] == sorted(subject(ledger, key).hex() for key in (KEY, SECOND))
    assert wallet["total_tokens"] == 1_037 + 330
    assert data(public.get(f"/api/user/{subject(ledger, KEY).hex()}"))["wallet"] == address
    assert data(public.get("/api/wallet/0x" + "00" * 20))["users"] == []
    assert public.get("/api/wallet/0x12").status == 400


def test_what_was_erased_counts_no_longer(public: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    before = data(public.get("/api/stats"))
    public.ledger.redact([3], "data_subject_request")
    assert data(public.get("/api/stats")) == before  # totals are shown again for two seconds
    monkeypatch.setattr(nous_token_api, "_FRESH_S", 0.0)
    after = data(public.get("/api/stats"))
    assert before["total_tokens"] - after["total_tokens"] == 1_037
    assert after["total_users"] == 2
    assert [row["id"] for row in data(public.get("/api/records"))] == [1, 2, 4, 5]


def test_sign_makes_a_statement(used: Rig) -> None:
    signed = data(used.call("/api/sign", {}))
    assert (signed["complete"], signed["summary"]["total_calls"]) == (True, 2)
    assert signed["body"]["type"] == "statement"
    record = used.ledger.entry(signed["index"]).record
    assert signed["signature"] == record[55:].hex()
    some = data(used.call("/api/sign", {"receipt_ids": [2]}))
    assert (some["body"]["first_seq"], some["body"]["last_seq"]) == (1, 1)
    ours = subject(used.ledger, KEY).hex()
    assert used.call("/api/sign", {"user_hash": ours}).status == 200
    leaves = used.ledger.leaf_count()
    for body, credential, status in (
        ({}, None, 401),
        ({}, AUDITOR, 401),
        ({"user_hash": ours}, SECOND, 403),
        ({"receipt_ids": [1]}, SECOND, 403),
        ({"receipt_ids": [0]}, KEY, 403),
        ({"receipt_ids": [999]}, KEY, 404),
        ({"receipt_ids": []}, KEY, 400),
        ({"receipt_ids": [1] * 101}, KEY, 400),
        ({"receipt_ids": ["1"]}, KEY, 400),
        ({"receipt_ids": [4, 6]}, THIRD, 400),
    ):
        assert used.call("/api/sign", body, credential=credential).status == status
    assert used.ledger.leaf_count() == leaves


def test_wallets_are_bound_elsewhere(used: Rig) -> None:
    gone = used.call("/api/bind-wallet", {})
    assert gone.status == 410
    assert "/v1/bindings" in json.loads(gone.body)["error"]["message"]
