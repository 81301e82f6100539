"""`anchor rotate`, `report-fork`, `capture` without an outbox, and what `--dry-run` sends."""

import random
from pathlib import Path

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.anchor_block import parse_header
from nous_ledger.protocol.anchor_evidence import parse_evidence
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.types import Hash32, LeafCount
from tests.cli.harness import Call
from tests.integration.anchor.harness import Node, anchored_events, grow
from tests.integration.anchor.test_rotations import forged, rotate


def test_rotate(nous: Call, log: Ledger, pay: tuple[object, ...], tmp_path: Path) -> None:
    nous("anchor", "register", *pay, "--wait", "mined").good()
    assert "the newest" in nous("anchor", "rotate", *pay).good().out
    rotate(log, tmp_path, 1)
    grow(log, 1, random.Random(1))
    assert "the key of epoch 1" in nous("anchor", "rotate", *pay, "--dry-run").good().out
    done = nous("anchor", "rotate", *pay, "--wait", "mined", "--json").good().json
    assert (done["purpose"], done["state"]) in (("rotate", "mined"), ("rotate", "safe"))
    assert nous("anchor", "rotate", *pay, "--json").good().json == {"epoch": 1, "rotated": False}


def test_report_fork(nous: Call, log: Ledger, pay: tuple[object, ...], tmp_path: Path) -> None:
    nous("anchor", "register", *pay, "--wait", "mined").good()
    grow(log, 4, random.Random(1))
    small, large, proof = (tmp_path / name for name in ("small", "large", "proof.txt"))
    smaller = Checkpoint(origin=log.origin, leaf_count=LeafCount(4), root=Hash32(b"\x07" * 32))
    small.write_bytes(forged(log, smaller, 1_800_000_000))
    large.write_bytes(log.latest_head())
    hashes = (read_root(log.read_nodes, LeafCount(4)), *log.consistency(4, 9))
    proof.write_text("".join(f"{one.hex()}\n" for one in hashes), "ascii")
    report = ("anchor", "report-fork", small, large, *pay)
    nous(*report).failed(2, "need the proof of a prefix")
    done = nous(*report, "--prefix-proof", proof, "--wait", "mined", "--json").good().json
    assert done["purpose"] == "report-fork"
    assert nous("anchor", "status", "--json").good().json["latest"]["forked"] is True
    assert "FORKED" in nous("anchor", "status").good().out
    same = ("anchor", "report-fork", large, large, *pay)
    nous(*same, "--log-id", log.log_id.hex()).failed(2, "[no-fork]")
    nous(*same, "--log-id", "12").failed(2, "64 hex digits")


def test_capture_finds_the_anchor_of_another_relayer(
    nous: Call, node: Node, log: Ledger, pay: tuple[object, ...], tmp_path: Path
) -> None:
    """Without the outbox the events tell; the earliest anchor that covers the head counts."""
    elsewhere = ("--outbox", tmp_path / "elsewhere.db")
    nous("anchor", "register", *pay, *elsewhere, "--wait", "mined").good()
    proof = tmp_path / "receipt.tlog-proof"
    nous("prove", "2", "-o", proof).good()
    for records in (1, 2):
        grow(log, records, random.Random(records))
        nous("anchor", "submit", *pay, *elsewhere, "--wait", "mined").good()
    node.finalize()
    first, second = (int(event["blockNumber"], 16) for event in anchored_events(node))
    for options, block in (((), first), (("--block", second), second)):
        evidence = tmp_path / f"{block}.anchor.json"
        nous("anchor", "capture", proof, "-o", evidence, *options).good()
        assert parse_header(parse_evidence(evidence.read_bytes()).header).number == block
    nous("anchor", "capture", proof, "--search-blocks", "1").failed(3, "[not-anchored]")
    nous("anchor", "capture", proof, "--rpc", "http://127.0.0.1:9").failed(3, "[rpc-unreachable]")


def test_a_dry_run_sends_nothing(
    nous: Call, node: Node, log: Ledger, pay: tuple[object, ...]
) -> None:
    height = node.height
    for command in (("register",), ("calldata", "put", "1")):
        shown = nous("anchor", *command, *pay[:2], "--max-cost", "0.1", "--dry-run").good()
        assert "ETH at most" in shown.out  # and no passphrase is asked for
    assert node.height == height
    assert not (log.folder / "anchor.db-lock").exists()
