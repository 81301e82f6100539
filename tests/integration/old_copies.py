"""Older copies of a database, and what puts them back."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from nous_ledger.protocol.errors import LedgerError


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(LedgerError) as found:
        work()
    return found.value.code


def copy_database(folder: Path, target: Path) -> Path:
    """Copy the database as a file-level backup does, what is in its write-ahead log included."""
    with sqlite3.connect(folder / "ledger.db") as source, sqlite3.connect(target) as copy:
        source.backup(copy)
    source.close()
    copy.close()
    target.chmod(0o600)
    return target


def put_back(folder: Path, copy: Path) -> None:
    """Replace the database of a ledger that nobody has open."""
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(copy, folder / "ledger.db")


def copy_folder(folder: Path, target: Path) -> None:
    """Copy a ledger that may be open."""
    target.mkdir(mode=0o700)
    copy_database(folder, target / "ledger.db")
    for name in ("keys.json", "high-water"):
        shutil.copy(folder / name, target / name)
