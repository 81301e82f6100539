"""`nous-ledger publish`: what it writes, says and refuses."""

from pathlib import Path

from nous_ledger.protocol.tiles import decode_bodies
from tests.cli.harness import Call
from tests.cli.sample import Sample


def test_publish(nous: Call, sample: Sample, tmp_path: Path) -> None:
    target = tmp_path / "new" / "public"
    shown = nous("publish", target, "--ledger", sample.folder, "--bodies", "none").good()
    assert shown.out.startswith("published   ")
    assert (target / "trust.policy").read_bytes() == sample.policy
    again = nous("publish", target, "--ledger", sample.folder, "--bodies", "none", "--json").good()
    assert again.json["written"] == again.json["removed"] == 0
    count = again.json["leaf_count"]
    assert (target / "checkpoint").read_text("utf-8").splitlines()[1] == str(count)
    bundle = (target / f"tile/bodies/000.p/{count}").read_bytes()
    assert [bool(body) for body in decode_bodies(bundle, count)] == [True] + [False] * (count - 1)
    options = ("--ledger", sample.folder, "--bodies", "all", "--verify", "--json")
    assert nous("publish", target, *options).good().json["written"] == 1


def test_records_without_a_head_are_named(nous: Call, sample: Sample, tmp_path: Path) -> None:
    shown = nous("publish", tmp_path / "x", "--ledger", sample.folder, "--bodies", "all", "--json")
    missing = shown.good().json["uncovered"]
    assert (f"{missing} newer record" in shown.err) == bool(missing)


def test_refusals(nous: Call, sample: Sample, tmp_path: Path) -> None:
    ledger = ("--ledger", sample.folder)
    nous("publish", tmp_path / "x", *ledger).failed(2, "--bodies")
    nous("publish", tmp_path / "x", *ledger, "--bodies", "some").failed(2, "some")
    nous("publish", tmp_path / "x", "--ledger", tmp_path, "--bodies", "all").failed(2, "no ledger")
    (tmp_path / "file").write_bytes(b"x")
    nous("publish", tmp_path / "file", *ledger, "--bodies", "all").failed(3, "file")
    nous("publish", tmp_path / "x", *ledger, "--bodies", "all").good()
    (tmp_path / "x" / "checkpoint").write_bytes(b"damaged")
    nous("publish", tmp_path / "x", *ledger, "--bodies", "all").failed(1, "publish-conflict")
