"""The commands `nous-ledger anchor` on a real chain, and `verify --anchor`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.anchor import relayer as relayer_module
from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.outbox import Outbox, State
from nous_ledger.ledger import Ledger
from tests.cli.harness import ROOT, Call
from tests.contracts.evm import running_anvil
from tests.integration.anchor.harness import (
    PASSPHRASE,
    Node,
    anchored_events,
    grow,
    write_weak_keystore,
)


def test_from_registration_to_evidence(
    nous: Call, node: Node, log: Ledger, pay: tuple[object, ...], tmp_path: Path
) -> None:
    """VER-26, VER-27, EVID-13: what the anchor adds to a receipt's report."""
    reckoned = nous("anchor", "register", *pay, "--dry-run", "--eth-price", "3000", "--json").good()
    assert reckoned.json["total_wei"] < 10**17
    assert float(reckoned.json["total_usd"]) > 0
    nous("anchor", "status").failed(2, "[not-registered]")
    nous("anchor", "register", *pay, "--wait", "mined").good()
    assert "knows the log" in nous("anchor", "register", *pay).good().out
    proof, policy = tmp_path / "receipt.tlog-proof", tmp_path / "trust.policy"
    nous("prove", "2", "-o", proof).good()
    policy.write_bytes(log.policy_text())
    assert "[not-anchored]" in nous("anchor", "capture", proof).failed(3).err
    grow(log, 3, random.Random(1))
    assert "anchor 8 records" in nous("anchor", "submit", *pay, "--dry-run").good().out
    sent = nous("anchor", "submit", *pay, "--wait", "mined", "--json").good()
    assert [slot["state"] for slot in sent.json["slots"]][-1] in ("mined", "safe")
    node.finalize()
    assert "covers 8 records (final)" in nous("anchor", "submit", *pay).good().out
    status = nous("anchor", "status", "--json").good().json
    assert status["finalized"]["leaf_count"] == status["leaf_count"] == 8
    assert status["under_way"] == []
    assert "8 records" in nous("anchor", "status").good().out
    evidence = tmp_path / "receipt.anchor.json"
    nous("anchor", "capture", proof, "-o", evidence).good()
    found = nous("anchor", "verify", evidence, "--rpc", node.url, "--json").good().json
    checked = nous("verify", proof, "--policy", policy, "--anchor", evidence, "--rpc", node.url)
    assert f"anchored in block {found['block_number']} of chain 8453 at" in checked.good().out
    assert "this receipt existed before" in checked.out
    trusted = ("--block-hash", found["block_hash"])
    with_hash = nous("verify", proof, "--policy", policy, "--anchor", evidence, *trusted, "--json")
    assert with_hash.good().json["anchor"]["anchored"]["leaf_count"] == 8
    check_refusals(nous, (proof, policy, evidence), log, tmp_path)


def check_refusals(nous: Call, files: tuple[Path, Path, Path], log: Ledger, tmp_path: Path) -> None:
    """Evidence that does not fit, or that nobody vouches for."""
    proof, policy, evidence = files
    check = ("verify", proof, "--policy", policy, "--json", "--anchor")
    other_hash = nous(*check, evidence, "--block-hash", "0x" + "66" * 32)
    assert (other_hash.code, other_hash.json["anchor"]["code"]) == (1, "anchor-block")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NOUS_LEDGER_RPC")
        nobody = nous(*check, evidence)
        assert (nobody.code, nobody.json["anchor"]["code"]) == (3, "anchor-untrusted")
    later = tmp_path / "later.tlog-proof"
    later.write_bytes(log.prove(6))
    fits_not = nous("verify", later, "--policy", policy, "--anchor", evidence, "--json")
    assert (fits_not.code, fits_not.json["anchor"]["code"]) == (1, "anchor-head")
    stranger = tmp_path / "stranger.policy"
    with Ledger.create(tmp_path / "other", next_key_out=None) as other:
        stranger.write_bytes(other.policy_text())
    unknown = nous("verify", proof, "--policy", stranger, "--anchor", evidence, "--json")
    assert (unknown.code, unknown.json["anchor"]["code"]) == (3, "undecided")
    assert nous(*check[:-2], "--block-hash", "0x" + "66" * 32).code == 2


def test_killed_between_send_and_receipt(
    nous: Call, node: Node, log: Ledger, pay: tuple[object, ...]
) -> None:
    """SIGKILL while the transaction waits: the next call takes it up, and sends no other."""
    nous("anchor", "register", *pay, "--wait", "mined").good()
    node.automine(on=False)
    command = [sys.executable, "-m", "nous_ledger.cli.main", "anchor", "submit"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*command, *map(str, pay)], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + 30
        while node.rpc("txpool_status")["pending"] == "0x0" and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert anchored_events(node) == []
    node.mine()
    node.finalize()
    nous("anchor", "submit", *pay).good()
    assert len(anchored_events(node)) == 1
    with Outbox(log.folder / "anchor.db") as outbox:
        (slot,) = (slot for slot in outbox.slots() if slot.purpose == "anchor")
        assert slot.state is State.FINAL
        assert len(outbox.transactions(slot)) == 1


def test_watch_goes_on_until_it_is_told_to_stop(
    nous: Call, node: Node, log: Ledger, pay: tuple[object, ...]
) -> None:
    nous("anchor", "register", *pay, "--wait", "mined").good()
    command = [sys.executable, "-m", "nous_ledger.cli.main", "anchor", "watch", *map(str, pay)]
    with subprocess.Popen(
        [*command, "--every", "0", "--json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        finals = []
        for size in (5, 8):
            if size > 5:
                grow(log, 3, random.Random(size))
            deadline = time.monotonic() + 30
            while len(anchored_events(node)) < 1 + (size > 5) and time.monotonic() < deadline:
                time.sleep(0.02)
            node.finalize()
            while (line := json.loads(process.stdout.readline()))["leaf_count"] != size:
                assert line["purpose"] == "register"
            finals.append((line["state"], line["outcome"]))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert finals == [("final", "done")] * 2


def test_a_record_as_calldata(
    nous: Call, node: Node, pay: tuple[object, ...], tmp_path: Path
) -> None:
    put = ("anchor", "calldata", "put", "2")
    assert "store a record without its body" in nous(*put, *pay, "--dry-run").good().out
    bare = nous(*put, *pay, "--wait", "mined", "--json").good().json
    told = nous(*put, "--with-body", *pay, "--wait", "mined", "--json").good()
    assert "cannot be erased" in told.err
    verify = ("anchor", "calldata", "verify")
    nous(*verify, bare["transaction"]).failed(3, "[not-final]")
    node.finalize()
    assert "record 2 stands in block" in nous(*verify, bare["transaction"]).good().out
    proof, other = tmp_path / "two.tlog-proof", tmp_path / "three.tlog-proof"
    nous("prove", "2", "-o", proof).good()
    nous("prove", "3", "-o", other).good()
    found = nous(*verify, told.json["transaction"], "--proof", proof, "--json").good().json
    assert (found["index"], found["body"]) == (2, True)
    nous(*verify, told.json["transaction"], "--proof", other).failed(1, "another record")


def test_deploy_on_a_new_chain(
    nous: Call, anvil_program: str, pay: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_anvil(anvil_program) as rpc:
        monkeypatch.setenv("NOUS_LEDGER_RPC", f"http://127.0.0.1:{rpc.port}")
        assert "[no-contract]" in nous("anchor", "register", *pay).failed(2).err
        assert "deploy the contract" in nous("anchor", "deploy", *pay, "--dry-run").good().out
        nous("anchor", "deploy", *pay, "--wait", "mined").good()
        again = nous("anchor", "deploy", *pay, "--json").good().json
        assert again["contract"] == f"0x{load_artifact().address.hex()}"


def test_clear_errors(nous: Call, node: Node, pay: tuple[object, ...], tmp_path: Path) -> None:
    """ANCH-14: nothing is sent to an address at which another contract stands."""
    register = ("anchor", "register")
    nous(*register, *pay, "--chain", "base-sepolia").failed(2, "serves chain 8453, not 84532")
    nous(*register, *pay, "--chain", "moon").failed(2, "[wrong-chain]")
    nous(*register, *pay, "--rpc", "http://127.0.0.1:9").failed(3, "[rpc-unreachable]")
    factory = f"0x{load_artifact().factory.hex()}"
    nous(*register, *pay, "--contract", factory).failed(2, "[wrong-contract]", "hashes to")
    nous(*register, *pay, "--contract", "0x12").failed(2, "40 hex digits")
    nous(*register, *pay[:-4], "--max-cost", "0.000000001").failed(3, "[fee-cap]", "are allowed")
    nous(*register, "--relayer-key", tmp_path / "none.json", *pay[2:]).failed(3, "[key-missing]")
    nous(*register).failed(2, "who pays?")
    poor = write_weak_keystore(tmp_path / "poor.json", b"\x05" * 32, PASSPHRASE)
    refused = nous(*register, "--relayer-key", poor, *pay[2:])
    refused.failed(3, "[insufficient-funds]", "has 0 ETH", "hint: send ETH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELAYER_WORDS", "walrus")
        nous(*register, *pay).failed(3, "[key-passphrase]")
    assert anchored_events(node) == []


def test_access_keys_and_secrets_are_not_told(
    nous: Call, pay: tuple[object, ...], tmp_path: Path
) -> None:
    """The path of an RPC server's URL is a secret, and so is what opens the keystore."""
    urls = tmp_path / "urls.txt"
    urls.write_text("http://127.0.0.1:9/v2/accesskey123\n", "ascii")
    found = nous("anchor", "register", *pay, "--rpc", f"@{urls}")
    found.failed(3, "127.0.0.1:9")
    assert "accesskey123" not in found.err
    assert PASSPHRASE not in found.err


def test_the_log_key_does_not_pay(
    nous: Call, log: Ledger, pay: tuple[object, ...], tmp_path: Path
) -> None:
    secrets: dict[str, Any] = json.loads((log.folder / "keys.json").read_text("ascii"))["secrets"]
    key = write_weak_keystore(
        tmp_path / "log.json", bytes.fromhex(secrets["secp256k1"]), PASSPHRASE
    )
    nous("anchor", "register", "--relayer-key", key, *pay[2:]).failed(3, "[key-in-use]")


def test_a_new_relayer_is_sealed(
    nous: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayer_module, "SCRYPT_N", 1 << 10)
    words = tmp_path / "words.txt"
    words.write_text(PASSPHRASE, "ascii")
    words.chmod(0o600)
    file = tmp_path / "new.json"
    made = nous("anchor", "new-relayer", file, "--relayer-passphrase-file", words, "--json").good()
    document = json.loads(file.read_text("ascii"))
    assert made.json["address"].removeprefix("0x") == document["address"].removeprefix("0x").lower()
    assert file.stat().st_mode & 0o777 == 0o600
    again = nous("anchor", "new-relayer", file, "--relayer-passphrase-file", words)
    again.failed(2, "[already-exists]")
