"""A gateway whose log has witnesses: what it serves carries their cosignatures."""

import gzip
import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger, headkeeper, system_clock, witness_rounds
from nous_ledger.ledger.publish import publish
from nous_ledger.ledger.witnesses import parse_witnesses
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Report
from nous_ledger.protocol.tiles import decode_entries
from nous_ledger.protocol.verify import verify_bundle
from nous_ledger.protocol.vkey import parse_vkey
from tests.integration.gateway.rig import CHAT, Answer, Rig, running_gateway
from tests.integration.witness_server import Handler, Reply, Witness, WitnessServer, send

REQUEST = {"model": "gpt-demo", "messages": [{"role": "user", "content": "Hi"}]}
Servers = tuple[WitnessServer, WitnessServer, WitnessServer]


@pytest.fixture
def servers(log: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Servers]:
    """Three witnesses of the log, which may be asked more often than those of others."""
    monkeypatch.setattr(witness_rounds, "PACE_S", 0.05)
    monkeypatch.setattr(headkeeper, "_REQUEST_PACE_S", 0.02)
    key = parse_vkey(log.vkeys()[0]).material
    with ExitStack() as exits:
        w1, w2, w3 = (
            exits.enter_context(
                WitnessServer(Witness(tmp_path / name, name, log.origin, key, system_clock))
            )
            for name in ("w1", "w2", "w3")
        )
        yield w1, w2, w3


def policy_of(log: Ledger, servers: Servers, quorum: str) -> bytes:
    lines = "".join(server.line for server in servers)
    own = log.policy_text().decode().replace("quorum none\n", "")
    return f"{own}{lines}group two 2 w1 w2 w3\ngroup all all two\nquorum {quorum}\n".encode()


@contextmanager
def witnessed(log: Ledger, servers: Servers, upstream: str) -> Iterator[Rig]:
    """A gateway that asks the witnesses."""
    _, witnesses = parse_witnesses(policy_of(log, servers, "two"))
    config = AppConfig(upstreams={"openai": upstream}, witnesses=witnesses)
    with ExitStack() as exits:
        thread = exits.enter_context(GatewayThread(log, config))
        yield Rig(log, thread.url, exits)


def cosigners(note: bytes) -> set[str]:
    return {line.name for line in parse_note(note).signatures[2:]}


def proof(rig: Rig, got: Answer) -> bytes:
    path = f"/v1/receipts/{uuid.UUID(bytes=got.id)}/proof"
    return rig.get(path, nous_opening=got.opening.hex()).body


def verified(data: bytes, policy: bytes) -> Report:
    return verify_bundle(data, parse_policy(policy))


def down(handler: Handler, body: bytes) -> None:
    send(handler, Reply(503))


def test_a_proof_meets_the_quorum(log: Ledger, servers: Servers, demo_url: str) -> None:
    """COSIG-5, WIT-1, WIT-7: every proof, whether the log grows meanwhile or not."""
    policy = policy_of(log, servers, "two")
    with witnessed(log, servers, demo_url) as rig:
        for _ in range(3):
            got = rig.call(CHAT, REQUEST)
            data = proof(rig, got)
            report = verified(data, policy)
            assert (report.log_view.outcome, report.log_view.code) == ("established", "")
            assert report.exit_code() == 0
            assert report.witnessed_time is not None
            assert cosigners(parse_bundle(data).checkpoint) == {"w1", "w2", "w3"}
            assert cosigners(rig.get("/checkpoint").body) == {"w1", "w2", "w3"}
        health = json.loads(rig.get("/healthz").body)
        assert health["witnesses"] == {"w1": "cosigned", "w2": "cosigned", "w3": "cosigned"}


def test_two_of_three_are_enough_and_one_is_not(
    log: Ledger, servers: Servers, demo_url: str
) -> None:
    """POL-15, WIT-4."""
    policy = policy_of(log, servers, "two")
    servers[0].misbehave = down
    with witnessed(log, servers, demo_url) as rig:
        report = verified(proof(rig, rig.call(CHAT, REQUEST)), policy)
        assert (report.log_view.outcome, report.exit_code()) == ("established", 0)
        servers[1].misbehave = down
        report = verified(proof(rig, rig.call(CHAT, REQUEST)), policy)
        assert (report.log_view.outcome, report.log_view.code) == ("wrong", "quorum")
        states = json.loads(rig.get("/healthz").body)["witnesses"]
        assert states == {"w1": "unreachable", "w2": "unreachable", "w3": "cosigned"}
        assert rig.get("/healthz").status == 200


def test_what_is_published_and_proved_from_the_folder_carries_them(
    log: Ledger, servers: Servers, demo_url: str, tmp_path: Path
) -> None:
    policy = policy_of(log, servers, "all")
    with witnessed(log, servers, demo_url) as rig:
        proof(rig, rig.call(CHAT, REQUEST))
        publish(log.folder, tmp_path / "public", all_bodies=False)
        assert cosigners((tmp_path / "public" / "checkpoint").read_bytes()) == {"w1", "w2", "w3"}
    with Ledger.open(log.folder, read_only=True) as reader:
        assert verified(reader.prove(1), policy).log_view.outcome == "established"


def test_a_restarted_gateway_goes_on_where_its_witnesses_are(
    log: Ledger, servers: Servers, demo_url: str
) -> None:
    for _ in range(2):
        with witnessed(log, servers, demo_url) as rig:
            data = proof(rig, rig.call(CHAT, REQUEST))
            assert cosigners(parse_bundle(data).checkpoint) == {"w1", "w2", "w3"}
    for server in servers:
        assert {status for _, status in server.witness.requests} == {200}


def test_the_last_receipt_is_covered_when_the_gateway_has_ended(log: Ledger, demo_url: str) -> None:
    """HEAD-13: nobody signs a head while no gateway runs."""
    with running_gateway(log, demo_url) as rig:
        rig.call(CHAT, REQUEST)
    assert log.uncovered_since() is None


CODINGS = [
    ("gzip", True),
    ("br, gzip;q=0.5", True),
    ("GZIP", True),
    ("x-gzip", True),
    ("identity", False),
    ("gzip;q=0", False),
    ("gzip; q=0.000", False),
    ("br", False),
    ("", False),
]


def test_entries_are_packed_for_who_takes_that(rig: Rig) -> None:
    """SERV-1, SERV-2."""
    for _ in range(9):
        rig.call(CHAT, REQUEST)
    rig.get("/checkpoint")
    plain = rig.get("/tile/entries/000.p/10")
    assert len(decode_entries(plain.body, 10)) == 10
    for accepted, packed in CODINGS:
        answer = rig.get("/tile/entries/000.p/10", accept_encoding=accepted)
        assert answer.headers.get("content-encoding") == ("gzip" if packed else None), accepted
        assert (gzip.decompress(answer.body) if packed else answer.body) == plain.body
        assert answer.headers["vary"] == "accept-encoding"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    for path in ("/tile/0/000.p/10", "/tile/entries/000.p/1", "/tile/bodies/000.p/10"):
        assert "content-encoding" not in rig.get(path, accept_encoding="gzip").headers


CACHING: list[tuple[str, int, str, str]] = [
    ("/checkpoint", 200, "no-cache", "text/plain; charset=utf-8"),
    ("/v1/policy", 200, "no-cache", "text/plain; charset=utf-8"),
    ("/", 200, "no-cache", "application/json"),
    ("/healthz", 200, "no-store", "application/json"),
    ("/tile/0/000.p/1", 200, "public, max-age=31536000, immutable", "application/octet-stream"),
    ("/tile/bodies/000.p/1", 200, "no-store", "application/octet-stream"),
    ("/tile/0/000", 404, "no-store", "application/json"),
    ("/tile/0/000.p/2", 404, "no-store", "application/json"),
    ("/tile/0/x000/000", 400, "no-store", "application/json"),
    ("/v1/records/0/proof", 200, "no-store", "text/plain; charset=utf-8"),
    ("/v1/records/7/proof", 404, "no-store", "application/json"),
]


def test_what_may_be_kept_and_what_must_not(rig: Rig) -> None:
    """Section "Head and tiles": only what never changes is kept, and never an error."""
    for path, status, caching, kind in CACHING:
        answer = rig.get(path)
        head = rig.call(path, method="HEAD", credential=None)
        for seen in (answer, head):
            assert seen.status == status, path
            assert seen.headers["cache-control"] == caching, path
            assert seen.headers["content-type"] == kind, path
            assert seen.headers["x-content-type-options"] == "nosniff"
        assert head.body == b""
