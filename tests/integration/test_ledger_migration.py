"""Databases of every version of the schema: a real one of version 1, and steps from it."""

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from nous_ledger.ledger import KEYS_NAME, Ledger, migrations
from nous_ledger.ledger.acceptance import accept_loss
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.protocol.errors import LedgerError
from tests.architecture.repository import ROOT
from tests.integration.ledger_audit import error_code
from tests.integration.ledger_drafts import Clock, make_draft
from tests.integration.ledger_sqlite import connection_of

VERSION_1 = ROOT / "tests/data/ledger_schema_1.sql"
SECRETS = {"secp256k1": "11" * 32, "ed25519": "33" * 32, "log_secret": "44" * 32}


@pytest.fixture
def old(folder: Path) -> Path:
    """The folder of a ledger whose database is of version 1, with receipts, intents, erasures."""
    folder.mkdir(mode=0o700)
    path = folder / "ledger.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1.read_text("ascii"))
    path.chmod(0o600)
    return path


def _version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _add_column(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE receipts ADD COLUMN size INTEGER")


def _fill_column(connection: sqlite3.Connection) -> None:
    connection.execute(
        "UPDATE receipts SET size = (SELECT length(body) FROM bodies WHERE leaf = receipts.leaf)"
    )


@pytest.fixture
def two_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program two versions later."""
    monkeypatch.setattr(migrations, "MIGRATIONS", (_add_column, _fill_column))


def test_a_database_of_version_1_is_read_and_goes_on(
    old: Path, folder: Path, clock: Clock, seed: object
) -> None:
    report = fsck(folder)
    assert (report.fault_count, report.leaf_count, report.erased) == (0, 8, 1)
    with Ledger.open(folder, read_only=True) as reader:
        public = {"secp256k1": reader._identity.secp256k1, "ed25519": reader._identity.ed25519}
        keys = {"version": 1, "kind": "log-keys", "origin": reader.origin}
        keys |= {name: key.hex() for name, key in public.items()}
        keys |= {"log_id": reader.log_id.hex(), "secrets": SECRETS}
    (folder / KEYS_NAME).write_text(json.dumps(keys))
    (folder / KEYS_NAME).chmod(0o600)
    accept_loss(folder, clock)  # it was written before there were high-water files
    with Ledger.open(folder, clock=clock) as ledger:
        assert len(ledger.open_intents()) == 1
        assert ledger.append(make_draft(seed)).index == 8  # type: ignore[arg-type]
    assert fsck(folder).fault_count == 0


@pytest.mark.usefixtures("two_steps")
def test_every_step_is_taken_once(old: Path) -> None:
    for _ in range(2):
        with closing(SqliteStore(old, read_only=False)) as store:
            with store.read() as view:
                rows = connection_of(view).execute("SELECT leaf, size FROM receipts ORDER BY leaf")
                sizes = dict(rows.fetchall())
            with store.write() as transaction:
                assert transaction.leaf_count() == 8
        assert sizes[3] == 0, "its body was erased"
        assert all(size > 100 for leaf, size in sizes.items() if leaf != 3)
        assert _version(old) == 3


@pytest.mark.usefixtures("two_steps")
def test_processes_that_open_it_at_once_take_each_step_once(old: Path) -> None:
    ready, codes = threading.Barrier(8), []

    def open_it() -> None:
        ready.wait(10)
        try:
            SqliteStore(old, read_only=False).close()
        except LedgerError as error:  # pragma: no cover - that is what must not happen
            codes.append(error.code)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (codes, _version(old)) == ([], 3)


def test_a_step_that_fails_leaves_everything_as_it_was(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO no_such_table VALUES (1)")

    with closing(sqlite3.connect(old)) as connection:
        before = "".join(connection.iterdump())
    monkeypatch.setattr(migrations, "MIGRATIONS", (_add_column, fail))
    assert error_code(lambda: SqliteStore(old, read_only=False)) == "store-io"
    with closing(sqlite3.connect(old)) as connection:
        assert "".join(connection.iterdump()) == before
    assert _version(old) == 1
    monkeypatch.setattr(migrations, "MIGRATIONS", (_add_column, _fill_column))
    SqliteStore(old, read_only=False).close()
    assert _version(old) == 3


def test_a_step_that_commits_is_not_taken_for_one_that_was_taken(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "MIGRATIONS", (lambda made: made.execute("COMMIT"),))
    with pytest.raises(AssertionError, match="commits nothing"):
        SqliteStore(old, read_only=False)
    assert _version(old) == 1


@pytest.mark.usefixtures("two_steps")
def test_a_reader_does_not_migrate(old: Path) -> None:
    assert error_code(lambda: SqliteStore(old, read_only=True)) == "store-older"
    assert _version(old) == 1


def test_who_has_it_open_does_not_write_to_a_newer_schema(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(old, read_only=False)) as store:
        with store.write() as transaction:
            assert transaction.leaf_count() == 8
        with monkeypatch.context() as later:
            later.setattr(migrations, "MIGRATIONS", (_add_column,))
            SqliteStore(old, read_only=False).close()
        with pytest.raises(LedgerError) as caught, store.write():
            pass  # pragma: no cover
    assert caught.value.code == "store-newer"
