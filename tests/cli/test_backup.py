"""`nous-ledger backup` and `restore`, as their user sees them."""

import shutil
from pathlib import Path

import pytest

from tests.cli.harness import Call


@pytest.fixture
def ledger(tmp_path: Path, nous: Call) -> Path:
    nous("init", "--ledger", tmp_path / "ledger", "--no-rotation").good()
    return tmp_path / "ledger"


def test_there_and_back(nous: Call, ledger: Path, tmp_path: Path) -> None:
    out, into = tmp_path / "backup", tmp_path / "restored"
    found = nous("backup", "--ledger", ledger, "--out", out).good()
    assert "holds       1 record," in found.out
    assert "not in it are keys.json and the next key" in found.err
    found = nous("restore", out, "--into", into).good()
    assert "every record checked" in found.out
    assert "keys.json is not in the backup" in found.err
    assert "high-water show" in found.err
    shutil.copy(ledger / "keys.json", into / "keys.json")
    nous("close", "--ledger", into, "--yes").failed(3, "store-unconfirmed", "high-water accept")
    nous("high-water", "accept", "--ledger", into, "--yes").good()
    nous("close", "--ledger", into, "--yes").good()


def test_as_json(nous: Call, ledger: Path, tmp_path: Path) -> None:
    out = tmp_path / "backup"
    made = nous("backup", "--ledger", ledger, "--out", out, "--with-keys", "--json").good().json
    assert (made["leaf_count"], made["has_keys"]) == (1, True)
    assert made["files"] == ["keys.json", "ledger.db"]
    mark = ("--high-water", ledger / "high-water", "--json")
    done = nous("restore", out, "--into", tmp_path / "b", *mark).good().json
    assert (done["ledger"], done["confirmed"]) == (str(tmp_path / "b"), True)
    assert done["log_id"] == made["log_id"]
    assert nous("high-water", "show", "--ledger", tmp_path / "b").code == 0


def test_what_goes_wrong(nous: Call, ledger: Path, tmp_path: Path) -> None:
    out = tmp_path / "backup"
    nous("backup", "--ledger", ledger, "--out", ledger / "b").failed(2, "outside the ledger")
    nous("backup", "--ledger", tmp_path / "no", "--out", out).failed(2, "not-a-ledger")
    nous("backup", "--ledger", ledger, "--out", out).good()
    nous("backup", "--ledger", ledger, "--out", out).failed(2, "already-exists")
    nous("restore", out, "--into", ledger).failed(2, "already-exists")
    nous("restore", ledger, "--into", tmp_path / "b").failed(2, "not-a-backup", "hint: ")
    (out / "ledger.db").write_bytes(b"x")
    nous("restore", out, "--into", tmp_path / "b").failed(1, "backup-damaged")
