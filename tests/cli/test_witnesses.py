"""Witnesses on the command line: from the file that names them to a verified quorum."""

import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.ledger import Ledger, system_clock
from nous_ledger.protocol.vkey import parse_vkey
from tests.cli.harness import Call, Outcome
from tests.cli.sample import make_draft
from tests.cli.test_gateway_process import REQUEST, gateway, post
from tests.integration.witness_server import Handler, Reply, Witness, WitnessServer, send

Servers = tuple[WitnessServer, WitnessServer, WitnessServer]


@pytest.fixture
def ledger(nous: Call, tmp_path: Path) -> Path:
    folder = tmp_path / "ledger"
    nous("init", "--ledger", folder, "--no-rotation").good()
    return folder


@pytest.fixture
def servers(ledger: Path, tmp_path: Path) -> Iterator[Servers]:
    """Three witnesses of the log."""
    with Ledger.open(ledger, read_only=True) as reader:
        origin, key = reader.origin, parse_vkey(reader.vkeys()[0]).material
    with ExitStack() as exits:
        w1, w2, w3 = (
            exits.enter_context(
                WitnessServer(Witness(tmp_path / name, name, origin, key, system_clock))
            )
            for name in ("w1", "w2", "w3")
        )
        yield w1, w2, w3


def lines_of(servers: Servers) -> str:
    return "".join(server.line for server in servers)


def write_policy(nous: Call, ledger: Path, servers: Servers, file: Path, threshold: str) -> None:
    """Write a trust policy as an operator does: the log's keys, the witnesses, a quorum."""
    own = nous("policy", "export", "--ledger", ledger).good().out.replace("quorum none\n", "")
    group = f"group enough {threshold} w1 w2 w3\nquorum enough\n"
    file.write_text(own + lines_of(servers) + group, "utf-8")


def down(handler: Handler, body: bytes) -> None:
    send(handler, Reply(503))


def cosigners(head: Any) -> list[str]:
    """Return who stands behind the log's own lines of a head."""
    return sorted(line["name"] for line in head["signatures"][2:])


def answer(found: Outcome) -> tuple[str, str]:
    view = found.json["log_view"]
    return view["outcome"], view["code"]


def test_from_a_call_to_a_proof_that_two_of_three_witnesses_vouch_for(
    nous: Call, ledger: Path, servers: Servers, tmp_path: Path
) -> None:
    """COSIG-5, POL-15: a gateway with --witnesses, `prove`, `verify --policy`; one is down."""
    file, policy, proof = tmp_path / "witnesses", tmp_path / "trust", tmp_path / "1.tlog-proof"
    file.write_text(lines_of(servers), "utf-8")
    write_policy(nous, ledger, servers, policy, "2")
    servers[1].misbehave = down
    with DemoUpstream() as upstream:
        options = ("--ledger", ledger, "--openai-upstream", upstream.url, "--witnesses", file)
        with gateway(*options) as (url, child):
            response, _ = post(url, "/openai/v1/chat/completions", REQUEST)
            receipt_id = response.headers["nous-receipt-id"]
            nous("prove", receipt_id, "--url", url, "-o", proof).good()
            head = nous("head", "--url", url, "--json").good().json
            child.terminate()
            _, log = child.communicate(timeout=30)
    assert cosigners(head) == ["w1", "w3"]
    assert "witness: unreachable: w2: it answered 503" in log
    assert "w1: it cosigned" in log
    found = nous("verify", proof, "--policy", policy, "--json").good()
    assert answer(found) == ("established", "")
    assert found.json["witnessed_time"] is not None
    write_policy(nous, ledger, servers, policy, "all")
    assert answer(nous("verify", proof, "--policy", policy, "--json")) == ("wrong", "quorum")
    # What the folder alone proves, after the gateway has ended, carries them too.
    write_policy(nous, ledger, servers, policy, "2")
    nous("prove", receipt_id, "--ledger", ledger, "-o", proof, "--force").good()
    assert answer(nous("verify", proof, "--policy", policy, "--json").good()) == ("established", "")


def test_a_head_on_demand_is_cosigned(
    nous: Call, ledger: Path, servers: Servers, tmp_path: Path
) -> None:
    policy = tmp_path / "trust"
    write_policy(nous, ledger, servers, policy, "2")
    options = ("head", "--ledger", ledger, "--witnesses", policy)
    found = nous(*options, "--json").good()
    assert cosigners(found.json) == ["w1", "w2", "w3"]
    assert [w["state"] for w in found.json["witnesses"]] == ["cosigned"] * 3
    servers[0].misbehave = down
    found = nous(*options)
    assert found.code == 0  # it has cosigned this head before
    assert "warning: witness w1: unreachable: it answered 503" in found.err
    assert nous("head", "--ledger", ledger).good().out == found.out
    assert "— w1 " in found.out


def test_a_quorum_that_is_not_met_is_an_exit_code(
    nous: Call, ledger: Path, servers: Servers, tmp_path: Path
) -> None:
    policy, file = tmp_path / "trust", tmp_path / "witnesses"
    write_policy(nous, ledger, servers, policy, "2")
    file.write_text(lines_of(servers), "utf-8")
    servers[0].misbehave = servers[1].misbehave = down
    found = nous("head", "--ledger", ledger, "--witnesses", policy, "--json")
    assert found.code == 3
    found.errors("the quorum is not met: 1 of 3 witnesses cosigned", "warning: witness w2")
    assert cosigners(found.json) == ["w3"]
    assert nous("head", "--ledger", ledger, "--witnesses", file).code == 0  # it names no quorum


def test_a_head_is_signed_on_demand_without_witnesses_too(nous: Call, ledger: Path) -> None:
    before = nous("head", "--ledger", ledger).good().out
    assert nous("head", "--ledger", ledger, "--sign").good().out == before  # nothing is due
    shown = nous("head", "--ledger", ledger, "--sign", "--json").good().json
    assert "witnesses" not in shown


REFUSED: list[tuple[tuple[str, ...], str]] = [
    (("--insecure-witnesses",), "goes with --witnesses"),
    (("--witnesses", "missing"), "does not exist"),
    (("--witnesses", "bad"), "[policy-format]"),
    (("--witnesses", "http"), "https"),
    (("--witnesses", "http", "--insecure-witnesses", "--url", "http://127.0.0.1:1"), "--url"),
    (("--sign", "--url", "http://127.0.0.1:1"), "--url"),
]


def test_what_cannot_be_asked_for(
    nous: Call, ledger: Path, servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad").write_text("witness w1\n", "utf-8")
    Path("http").write_text(servers[0].line.replace("127.0.0.1", "witness.example"), "utf-8")
    for arguments, text in REFUSED:
        nous("head", "--ledger", ledger, *arguments).failed(2, text)


def test_a_gateway_refuses_witnesses_that_cannot_be_asked(
    nous: Call, ledger: Path, servers: Servers, tmp_path: Path
) -> None:
    file = tmp_path / "witnesses"
    file.write_text(servers[0].line.replace("127.0.0.1", "witness.example"), "utf-8")
    nous("gateway", "--ledger", ledger, "--witnesses", file).failed(2, "https")


def test_an_older_copy_signs_nothing_once_a_quorum_saw_more(
    nous: Call, ledger: Path, servers: Servers, tmp_path: Path
) -> None:
    """WIT-3: `head` and `gateway` both ask before they sign or append."""
    policy, copy = tmp_path / "trust", tmp_path / "copy"
    write_policy(nous, ledger, servers, policy, "2")
    shutil.copytree(ledger, copy)
    with Ledger.open(ledger) as opened:
        opened.append_receipt(make_draft(random.Random(1), system_clock()))
    nous("head", "--ledger", ledger, "--witnesses", policy).good()
    nous("head", "--ledger", copy, "--witnesses", policy).failed(1, "[store-behind]")
    nous("gateway", "--ledger", copy, "--port", "0", "--witnesses", policy).failed(
        1, "[store-behind]"
    )
