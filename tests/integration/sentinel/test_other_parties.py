"""`--legacy` and `--peer` as their users run them."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from sentinel import cli
from sentinel.witness_key import make_key
from tests.cli.harness import Outcome
from tests.integration.ledger_drafts import ORIGIN, make_draft
from tests.integration.old_copies import copy_folder
from tests.integration.sentinel.forged_log import request
from tests.integration.sentinel.legacy_server import BASIC, Gateway, GatewayServer, remade
from tests.integration.sentinel.witness_thread import WitnessThread

Call = Callable[..., Outcome]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run one command in this process."""

    def run(*arguments: object) -> Outcome:
        code = cli.run(list(map(str, arguments)))
        out, err = capsys.readouterr()
        return Outcome(code=code, out=out, err=err)

    return run


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def url(gateway: Gateway) -> Iterator[str]:
    with GatewayServer(gateway) as server:
        yield server.url


class TestLegacy:
    def test_from_the_first_audit_to_an_acknowledged_rewrite(
        self, call: Call, gateway: Gateway, url: str, tmp_path: Path
    ) -> None:
        """WIT-19, WIT-21, WIT-22."""
        key, state = tmp_path / "key.json", ("--state", tmp_path / "state.sqlite")
        key.write_text(json.dumps(BASIC["pubkey_response"]["pubkey"]))
        audit = ("--legacy", "nous-v2", url, "--legacy-key", key, *state)
        first = call(*audit)
        assert (first.code, first.err) == (0, ""), first
        assert "21 records" in first.out
        gateway.rows[3] = remade(gateway.rows[3], output_tokens=1)
        found = call(*audit, "--json")
        assert found.code == 1
        lines = [json.loads(line) for line in found.out.splitlines()]
        assert [line["code"] for line in lines if line["type"] == "finding"] == ["legacy-rewritten"]
        assert lines[-1]["outcome"] == "wrong"
        assert lines[-1]["origin"] == f"nous-v2 {url}"
        history = call("history", *state)
        assert "legacy-rewritten" in history.out
        assert call("status", *state).code == 1
        assert call("acknowledge", "1", *state, "--by", "ana", "--reason", "known").code == 0
        assert call("status", *state).code == 0

    def test_what_it_refuses(self, call: Call, tmp_path: Path) -> None:
        state = ("--state", tmp_path / "state.sqlite")
        for arguments, code, text in (
            ((tmp_path,), 2, "over HTTP"),
            (("http://user:secret@gw.example",), 2, "without credentials"),
            (("http://127.0.0.1:1", "--legacy-key", tmp_path / "none"), 2, "does not exist"),
            (("http://127.0.0.1:1", "--legacy-key", __file__), 1, "no P-256 key"),
        ):
            refused = call("--legacy", "nous-v2", *arguments, *state)
            assert refused.code == code, refused
            assert text in refused.err
            assert "secret" not in refused.err
        gone = call("--legacy", "nous-v2", "http://127.0.0.1:1", *state)
        assert gone.code == 3
        assert "unreachable" in gone.out


def test_a_split_view_is_told_apart_from_a_peer_that_is_down(
    call: Call, tmp_path: Path, seed: random.Random
) -> None:
    """WIT-16 to WIT-18: exit codes 0, 3 and 1, and evidence that others can verify."""

    def grow(ledger: Ledger, records: int) -> None:
        ledger.append_many([make_draft(seed) for _ in range(records)])
        ledger.head()

    with Ledger.create(tmp_path / "log", next_key_out=None, origin=ORIGIN) as log:
        grow(log, 3)
        copy_folder(tmp_path / "log", tmp_path / "copy")
        grow(log, 5)
        publish(tmp_path / "log", tmp_path / "public", all_bodies=True, verify=False)
        own = "".join(f"log {vkey}\n" for vkey in log.vkeys())
        key = make_key("peer.example", bytes(32))
        witness = WitnessThread(
            tmp_path / "peer", key, own.encode(), lambda: 2e9, proofs=(log.prove(0),)
        )
        policy = tmp_path / "policy"
        with witness as peer, Ledger.open(tmp_path / "copy") as copy:
            decide = peer._server._witness.add_checkpoint
            policy.write_text(f"{own}{peer.line('peer')}quorum none\n")
            state = ("--state", tmp_path / "state.sqlite")
            audit = (tmp_path / "public", "--policy", policy, *state)
            assert decide(request(0, (), copy.latest_head())).status == 200
            behind = call(*audit, "--peer", peer.url)
            assert behind.code == 0, behind
            down = call(*audit, "--peer", "http://127.0.0.1:1", "--peer", peer.url)
            assert down.code == 3, down
            assert "unreachable" in down.out
            grow(copy, 2)
            proof = copy.prove_consistency(4, 6)
            assert decide(request(4, proof, copy.latest_head())).status == 200
            split = call(*audit, "--peer", peer.url)
            assert split.code == 1, split
            assert "split-view" in split.out
    assert call(*audit).code == 1, "an alarm does not clear by itself"
    listed = call("history", *state, "--json").out.splitlines()
    number = next(
        line["id"] for line in map(json.loads, listed) if line.get("code") == "split-view"
    )
    file = tmp_path / "split.json"
    exported = call("evidence", "export", number, "-o", file, *state)
    assert exported.code == 0, exported
    assert call("evidence", "verify", file, "--policy", policy).code == 0
