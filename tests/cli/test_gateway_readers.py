"""`prove`, `head` and `policy` on a ledger and on a running gateway."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.policy import parse_policy
from tests.cli.harness import Call, Files
from tests.cli.sample import OPENING, ORIGIN, START_MS, Sample, make_draft


@pytest.fixture(scope="module")
def gateway(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a gateway over a copy of the ledger."""
    folder = tmp_path_factory.mktemp("gateway") / "ledger"
    shutil.copytree(sample.folder, folder)
    with Ledger.open(folder) as ledger, GatewayThread(ledger, AppConfig()) as running:
        yield running.url


def test_a_proof_without_the_right_to_the_body(
    nous: Call, gateway: str, sample: Sample, files: Files
) -> None:
    """BNDL-7: it proves inclusion, and that the body was withheld is said."""
    files.proof.unlink()
    found = nous("prove", sample.receipt_id, "--url", gateway, "-o", files.proof).good()
    assert "warning: the body is withheld" in found.err
    assert parse_bundle(files.proof.read_bytes()).body == b""
    assert nous(*files.check, "--json").good().json["accuracy"]["code"] == "withheld"


def test_a_proof_with_the_opening(nous: Call, gateway: str, sample: Sample, files: Files) -> None:
    """SERV-7: id and opening give the right to the body."""
    for name in (sample.receipt_id, 1):
        for opening in (OPENING.hex(), f"@{files.opening}"):
            found = nous("prove", name, "--url", gateway, "--opening", opening).good()
            assert found.err == ""
            assert parse_bundle(found.out.encode()).body
            assert OPENING.hex() not in found.out
            files.proof.write_text(found.out, "utf-8")
            nous(*files.check, *files.content, "--recount", "--require-accuracy").good()


def test_a_proof_with_another_opening(nous: Call, gateway: str, sample: Sample) -> None:
    found = nous("prove", sample.receipt_id, "--url", gateway, "--opening", "00" * 32).good()
    assert "although an opening was shown" in found.err
    assert parse_bundle(found.out.encode()).body == b""


def test_no_body_asked_for(nous: Call, gateway: str, sample: Sample) -> None:
    found = nous("prove", sample.receipt_id, "--url", gateway, "--no-body").good()
    assert (found.err, parse_bundle(found.out.encode()).body) == ("", b"")


@pytest.mark.parametrize("name", ["99", "00000000-0000-7000-8000-000000000000"])
def test_receipts_that_the_gateway_does_not_have(nous: Call, gateway: str, name: str) -> None:
    nous("prove", name, "--url", gateway).failed(3, "answered 404")


def test_a_proof_from_the_ledger(nous: Call, sample: Sample, files: Files) -> None:
    for name in (1, sample.receipt_id):
        proof = nous("prove", name, "--ledger", sample.folder).good().out
        files.proof.write_text(proof, "utf-8")
        nous(*files.check, *files.content).good()


def test_a_proof_is_not_written_over_a_file(nous: Call, sample: Sample, files: Files) -> None:
    arguments = ("prove", 1, "--ledger", sample.folder, "-o", files.policy)
    before = files.policy.read_bytes()
    nous(*arguments).failed(2, "exists already", "--force")
    assert files.policy.read_bytes() == before
    found = nous(*arguments, "--force").good()
    assert (found.out, found.err) == ("", f"wrote {files.policy}\n")


def test_a_record_that_no_head_covers_yet(
    nous: Call, sample: Sample, tmp_path: Path, files: Files
) -> None:
    """Between two heads, `prove` signs one; without the keys it cannot."""
    folder = tmp_path / "ledger"
    shutil.copytree(sample.folder, folder)
    with Ledger.open(folder) as ledger:
        index = ledger.append_receipt(make_draft(random.Random(), START_MS)).index
    found = nous("head", "--ledger", folder).good()
    assert found.err.startswith("note: 1 newer records are not covered yet")
    keys = folder / "keys.json"
    keys.rename(tmp_path / "keys.json")
    nous("prove", index, "--ledger", folder).failed(3, "[key-missing]")
    (tmp_path / "keys.json").rename(keys)
    files.proof.write_text(nous("prove", index, "--ledger", folder).good().out, "utf-8")
    nous(*files.check).good()
    assert nous("head", "--ledger", folder).good().err == ""


def test_the_head(nous: Call, gateway: str, sample: Sample) -> None:
    for place in (("--ledger", sample.folder), ("--url", gateway)):
        note = nous("head", *place).good().out
        assert note.startswith(f"{ORIGIN}\n13\n")
        shown = nous("head", *place, "--json").good().json
        assert list(shown) == [
            *("origin", "leaf_count", "root", "timestamp", "time", "epoch", "signatures")
        ]
        assert (shown["origin"], shown["leaf_count"], shown["epoch"]) == (ORIGIN, 13, 0)
        assert [line["name"] for line in shown["signatures"]] == [ORIGIN, ORIGIN]


def test_a_policy_is_shown_before_it_is_trusted(
    nous: Call, gateway: str, sample: Sample, tmp_path: Path
) -> None:
    """Without --yes there is something to compare and nothing to use."""
    output = tmp_path / "trust.policy"
    pinned = parse_policy(sample.policy).logs[1].vkey.log_id
    assert pinned is not None
    found = nous("policy", "fetch", gateway, "-o", output).good()
    assert not output.exists()
    assert pinned.hex() in found.out
    for line in sample.policy.decode().splitlines():
        assert not line.startswith("log") or line.removeprefix("log ") in found.out
    assert "Nothing was written" in found.err
    assert "quorum none" not in found.out  # what stdout holds is no policy file
    shown = nous("policy", "fetch", gateway, "--json", "-o", output).good().json
    assert shown["logs"][1]["log_id"] == pinned.hex()
    assert not output.exists()


def test_a_policy_is_written_on_yes(
    nous: Call, gateway: str, sample: Sample, files: Files, tmp_path: Path
) -> None:
    output = tmp_path / "fetched.policy"
    found = nous("policy", "fetch", gateway, "--yes", "-o", output).good()
    assert output.read_bytes() == sample.policy
    assert found.out == ""
    nous("verify", files.proof, "--policy", output).good()
    nous("policy", "fetch", gateway, "--yes", "-o", output).failed(2, "exists already")
    piped = nous("policy", "fetch", gateway, "--yes").good()
    assert piped.out.encode() == sample.policy
    assert "log id" in piped.err


def test_the_policy_of_the_ledger(nous: Call, sample: Sample, tmp_path: Path) -> None:
    output = tmp_path / "trust.policy"
    nous("policy", "export", "--ledger", sample.folder, "-o", output).good()
    assert output.read_bytes() == sample.policy
    others = nous("policy", "export", "--ledger", sample.folder, "--c2sp").good().out
    assert parse_policy(others.encode()).logs == parse_policy(sample.policy).logs[:1]
    own = nous("policy", "show", "--ledger", sample.folder).good().out
    assert nous("policy", "show", output).good().out == own
    assert "(not witnessed)" in own
    shown = nous("policy", "show", output, "--json").good().json
    assert list(shown) == ["logs", "witnesses", "groups", "quorum"]
    assert list(shown["logs"][0]) == ["name", "kind", "vkey", "log_id", "url"]
    assert [log["kind"] for log in shown["logs"]] == [1, 255]
