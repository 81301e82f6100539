"""`nous-ledger fsck`: exit codes, output, and when there is a progress bar."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.harness import PROGRAM, ROOT, Call
from tests.cli.sample import Sample


@pytest.fixture
def damaged(sample: Sample, tmp_path: Path) -> Path:
    """A copy of the sample with one body that is not its hash."""
    folder = Path(shutil.copytree(sample.folder, tmp_path / "damaged"))
    with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
        connection.execute("UPDATE bodies SET body = x'80' WHERE leaf = 1")
    return folder


def test_a_good_ledger(nous: Call, sample: Sample) -> None:
    shown = nous("fsck", "--ledger", sample.folder).good()
    assert shown.out.splitlines()[-1] == "no fault"
    assert not shown.err
    data = nous("fsck", "--ledger", sample.folder, "--json").good().json
    assert (data["fault_count"], data["faults"]) == (0, [])
    assert data["leaf_count"] > 1
    assert len(bytes.fromhex(data["log_id"])) == 32


def test_a_damaged_ledger(nous: Call, damaged: Path) -> None:
    shown = nous("fsck", "--ledger", damaged)
    assert shown.code == 1
    assert "body-hash  bodies 1: " in shown.out
    assert shown.out.splitlines()[-1] == "1 fault"
    found = nous("fsck", "--ledger", damaged, "--json")
    assert found.code == 1
    (fault,) = found.json["faults"]
    assert fault.keys() == {"code", "table", "index", "message"}
    assert (fault["code"], fault["table"], fault["index"]) == ("body-hash", "bodies", 1)


def test_what_cannot_be_checked(nous: Call, damaged: Path, tmp_path: Path) -> None:
    nous("fsck", "--ledger", tmp_path / "absent").failed(2, "not-a-ledger")
    with closing(sqlite3.connect(damaged / "ledger.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    nous("fsck", "--ledger", damaged, "--json").failed(3, "store-newer")


def test_what_only_could_not_be_checked(
    nous: Call, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nous_ledger.ledger.fsck._COULD_NOT_CHECK", {"body-hash"})
    shown = nous("fsck", "--ledger", damaged, "--json")
    assert (shown.code, shown.json["fault_count"], shown.json["unchecked_count"]) == (3, 1, 1)


def test_many_faults_are_summed_up(
    nous: Call, damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nous_ledger.ledger.fsck.MAX_LISTED", 0)
    shown = nous("fsck", "--ledger", damaged)
    assert shown.out.splitlines()[-2:] == ["… and 1 more", "1 fault"]


def test_no_progress_where_nobody_watches(sample: Sample) -> None:
    done = subprocess.run(
        [*PROGRAM, "fsck", "--ledger", str(sample.folder), "--json"],
        check=True,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    assert not done.stderr
    assert json.loads(done.stdout)["fault_count"] == 0
