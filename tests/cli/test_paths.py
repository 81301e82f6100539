"""Paths that are not there: a fault of the usage, whichever command is given one."""

from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from tests.cli.harness import Call

READ = (
    "verify @ --policy @",
    "reconcile import @",
    "reconcile import FILE --format csv --mapping @",
    "reconcile attach @",
    "reconcile attach @ --format folder",
    "reconcile check --prices @",
    "reconcile check --imports @",
    "reconcile report --imports @",
    "reconcile tokenizers --tokenizers @",
    "reconcile calibrate FILE @ --encoding o200k_base",
    "config check --config @",
    "gateway --port 0 --client-token-file @",
    "gateway --port 0 --witnesses @",
    "gateway --port 0 --passphrase-file @",
    "key rotate --next-key @ --next-key-out NEW",
    "key revoke --reason lost --next-key @ --next-key-out NEW",
    "close --yes --next-key @",
    "anchor verify @",
    "policy show @",
    "init --no-rotation --ledger NEW --passphrase-file @",
)
MADE = (
    "backup --out @",
    "high-water set --file @",
    "high-water accept --yes --file @",
    "init --ledger NEW --no-rotation --high-water @",
    "key rotate --next-key FILE --next-key-out @",
    "audit --state @",
    "reconcile import FILE --format openai --imports @",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger, a file, and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NOUS_LEDGER_DIR", str(tmp_path / "ledger"))
    Ledger.create(tmp_path / "ledger", next_key_out=None).close()
    (tmp_path / "FILE").write_text("{}\n", "ascii")
    (tmp_path / "FILE").chmod(0o600)
    return tmp_path


@pytest.mark.parametrize("words", READ)
def test_what_is_to_be_read_is_not_there(nous: Call, here: Path, words: str) -> None:
    for missing in ("none", "FILE/none"):
        found = nous(*words.replace("@", missing).split())
        found.failed(2)
        assert "does not exist" in found.err or "is no folder" in found.err
    assert sorted(path.name for path in here.iterdir()) == ["FILE", "ledger"]


@pytest.mark.parametrize("words", MADE)
def test_the_folder_of_what_is_to_be_made_is_not_there(nous: Call, here: Path, words: str) -> None:
    for missing in ("none/new", "FILE/new"):
        nous(*words.replace("@", missing).split()).failed(2, "folder that does not exist")
    assert sorted(path.name for path in here.iterdir()) == ["FILE", "ledger"]


def test_what_is_there_and_cannot_be_read_is_no_fault_of_the_usage(nous: Call, here: Path) -> None:
    nous("reconcile", "import", here).failed(3, "Is a directory")
