"""What can be wrong with the files: each case has its own clear error."""

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger import database as database_module
from nous_ledger.protocol.errors import LedgerError
from tests.architecture.repository import ROOT
from tests.integration.ledger_audit import audit, error_code
from tests.integration.ledger_drafts import Clock, make_draft
from tests.integration.ledger_sqlite import connection_of


@pytest.fixture
def closed(ledger: Ledger, folder: Path, seed: random.Random) -> Path:
    """The folder of a ledger with some receipts that nobody has open."""
    ledger.append_many([make_draft(seed) for _ in range(6)])
    ledger.head()
    ledger.close()
    return folder


def _alter(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def _open(folder: Path) -> Callable[[], object]:
    def work() -> None:
        with Ledger.open(folder):
            pass  # pragma: no cover - every caller expects it to fail

    return work


class TestOpening:
    def test_no_folder_no_database_and_a_folder_in_its_place(self, tmp_path: Path) -> None:
        assert error_code(_open(tmp_path / "absent")) == "not-a-ledger"
        assert error_code(_open(tmp_path)) == "not-a-ledger"
        (tmp_path / "ledger.db").mkdir()
        assert error_code(_open(tmp_path)) == "not-a-ledger"

    @pytest.mark.parametrize("data", [b"no database" * 300, b"x"])
    def test_another_file(self, closed: Path, data: bytes) -> None:
        (closed / "ledger.db").write_bytes(data)
        assert error_code(_open(closed)) == "store-foreign"

    def test_the_database_of_another_program(self, closed: Path) -> None:
        _alter(closed, "PRAGMA application_id = 7")
        assert error_code(_open(closed)) == "store-foreign"

    def test_an_empty_file(self, closed: Path) -> None:
        (closed / "ledger.db").write_bytes(b"")
        assert error_code(_open(closed)) == "store-foreign"

    def test_a_newer_schema(self, closed: Path) -> None:
        _alter(closed, "PRAGMA user_version = 2")
        assert error_code(_open(closed)) == "store-newer"

    def test_a_truncated_database(self, closed: Path) -> None:
        path = closed / "ledger.db"
        path.write_bytes(path.read_bytes()[:9_000])
        assert error_code(_open(closed)) in {"store-corrupt", "store-foreign"}

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM log",
            "UPDATE log SET log_id = zeroblob(32)",
            "UPDATE log SET origin = 'ledger.example.com/other'",
            "DELETE FROM key_events",
            "INSERT INTO key_events VALUES (1)",
            "DELETE FROM bodies WHERE leaf = 0",
            "UPDATE bodies SET body = x'80' WHERE leaf = 0",
            "UPDATE records SET record = zeroblob(120) WHERE leaf = 0",
            "UPDATE records SET leaf = 7 WHERE leaf = 6",
            "DELETE FROM records WHERE leaf = 6",
            "DELETE FROM nodes WHERE position = 10",
            "INSERT INTO nodes VALUES (11, zeroblob(32))",
            "DELETE FROM nodes WHERE position = 6",
            "UPDATE nodes SET hash = zeroblob(32) WHERE position = 6",
            "DELETE FROM heads",
            "UPDATE heads SET leaf_count = 8 WHERE leaf_count = 7",
            "UPDATE heads SET note = x'00'",
            "UPDATE heads SET leaf_count = 6 WHERE leaf_count = 7",
        ],
    )
    def test_a_store_that_contradicts_itself(self, closed: Path, statement: str) -> None:
        with Ledger.open(closed):
            pass
        _alter(closed, statement)
        assert error_code(_open(closed)) == "store-corrupt"

    def test_a_rolled_back_log_is_noticed_by_its_own_head(
        self, closed: Path, tmp_path: Path, seed: random.Random
    ) -> None:
        shutil.copytree(closed, tmp_path / "older")
        with Ledger.open(closed) as ledger:
            ledger.append_receipt(make_draft(seed))
            newer = ledger.head()
        older = tmp_path / "older" / "ledger.db"
        with closing(sqlite3.connect(older, isolation_level=None)) as connection:
            connection.execute("INSERT INTO heads VALUES (8, 1790000000, ?)", (newer,))
        assert error_code(_open(tmp_path / "older")) == "store-corrupt"


class TestKeys:
    def test_the_keys_of_another_log(self, closed: Path, tmp_path: Path) -> None:
        Ledger.create(tmp_path / "other", next_key_out=None).close()
        shutil.copy2(tmp_path / "other" / "keys.json", closed / "keys.json")
        assert error_code(_open(closed)) == "key-mismatch"

    def test_no_key_file(self, closed: Path) -> None:
        (closed / "keys.json").unlink()
        assert error_code(_open(closed)) == "key-missing"
        with Ledger.open(closed, read_only=True) as ledger:
            assert ledger.leaf_count() == 7

    @pytest.mark.parametrize(("name", "mode"), [("keys.json", 0o640), (".", 0o750), (".", 0o701)])
    def test_keys_that_others_can_reach(self, closed: Path, name: str, mode: int) -> None:
        (closed / name).chmod(mode)
        with pytest.raises(LedgerError) as caught:
            Ledger.open(closed)
        assert caught.value.code == "key-permissions"
        assert caught.value.hint.startswith("run: chmod ")
        subprocess.run(caught.value.hint.removeprefix("run: "), shell=True, check=True)  # noqa: S602
        Ledger.open(closed).close()


class TestReadOnly:
    def test_nothing_can_be_written(self, closed: Path, seed: random.Random) -> None:
        with Ledger.open(closed, read_only=True) as ledger:
            assert ledger.read_only
            assert error_code(lambda: ledger.append_receipt(make_draft(seed))) == "read-only"
            assert error_code(lambda: ledger.begin_call(make_draft(seed))) == "read-only"
            assert error_code(lambda: ledger.subject(2, b"sk")) == "read-only"
            with pytest.raises(LedgerError, match="reading only"), ledger._store.write():
                pass  # pragma: no cover
            with pytest.raises(LedgerError), ledger._store.read() as view:
                connection_of(view).execute("DELETE FROM records")

    def test_what_no_head_covers_is_not_proved(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        ledger.append_receipt(make_draft(seed))
        with Ledger.open(folder, read_only=True) as reader:
            assert error_code(lambda: reader.prove(1)) == "not-covered"
            ledger.head()
            assert reader.prove(1) == ledger.prove(1)


class TestWriting:
    def test_a_full_disk_loses_nothing_that_was_promised(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        promised = [ledger.append_receipt(make_draft(seed)) for _ in range(5)]
        with ledger._store.write() as transaction:  # the size of the file stands for the disk
            (pages,) = connection_of(transaction).execute("PRAGMA page_count").fetchone()
            connection_of(transaction).execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(LedgerError) as caught:  # noqa: PT012 - some go in before it is full
            while True:
                promised.append(ledger.append_receipt(make_draft(seed)))
        assert caught.value.code == "store-full"
        found = audit(folder)
        assert [found.records[item.index] for item in promised] == [i.record for i in promised]
        assert len(found.receipts) == len(promised)
        # With room again (the limit went with its connection) the log goes on.
        assert ledger.append_receipt(make_draft(seed)).index == len(promised) + 1
        audit(folder)

    def test_a_database_that_is_held_too_long(
        self,
        ledger: Ledger,
        folder: Path,
        seed: random.Random,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
        with closing(sqlite3.connect(folder / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert error_code(lambda: ledger.append_receipt(make_draft(seed))) == "store-locked"
            assert ledger.leaf_count() == 1  # readers are not held up
            other.execute("ROLLBACK")
        assert ledger.append_receipt(make_draft(seed)).index == 1

    def test_a_database_that_is_held_for_a_while_is_waited_for(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        with closing(
            sqlite3.connect(folder / "ledger.db", isolation_level=None, check_same_thread=False)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            release = threading.Timer(0.2, lambda: other.execute("ROLLBACK"))
            release.start()
            assert ledger.append_receipt(make_draft(seed)).index == 1
            release.join()

    def test_a_failed_commit_leaves_nothing_and_the_log_goes_on(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        ledger.append_receipt(make_draft(seed))

        def fail() -> None:
            with ledger._store.write() as transaction:
                ledger._sequencer.run(transaction, [])
                connection_of(transaction).execute("INSERT INTO records VALUES (2, x'00')")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert ledger.append_receipt(make_draft(seed)).index == 2
        audit(folder)

    def test_every_commit_is_synced(self, ledger: Ledger) -> None:
        """REC-11: durable means on the disk, also when the machine loses its power."""
        with ledger._store.write() as transaction:
            read = connection_of(transaction).execute
            assert read("PRAGMA journal_mode").fetchone() == ("wal",)
            assert read("PRAGMA synchronous").fetchone() == (2,)  # FULL
            assert read("PRAGMA fullfsync").fetchone() == (1,)
            assert read("PRAGMA secure_delete").fetchone() == (1,)

    def test_an_index_is_never_written_twice(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        logged = ledger.append_receipt(make_draft(seed))
        with pytest.raises(LedgerError) as caught, ledger._store.write() as transaction:
            connection_of(transaction).execute(
                "INSERT INTO records VALUES (?, x'00')", (logged.index,)
            )
        assert caught.value.code == "store-corrupt"
        assert audit(folder).records[1] == logged.record


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can enter."""
    folder = Path(tempfile.mkdtemp(prefix="nous-ledger-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


_AS_ANOTHER_USER = """
import os, sys
sys.path.insert(0, {root!r})
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import LedgerError
if os.geteuid() == 0:  # root may do anything: be somebody else
    os.setegid(65534)
    os.seteuid(65534)
try:
    {statement}
    print("no error")
except LedgerError as error:
    print(error.code)
"""


def _as_another_user(statement: str, **environment: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", _AS_ANOTHER_USER.format(root=str(ROOT), statement=statement)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stderr == ""
    return run.stdout.strip()


@pytest.mark.usefixtures("unmeasured")
def test_places_that_may_not_be_written_are_reported(open_folder: Path) -> None:
    forbidden = open_folder / "forbidden"
    forbidden.mkdir(mode=0o555)
    create = f"Ledger.create({str(forbidden / 'ledger')!r}, next_key_out=None)"
    assert _as_another_user(create) == "store-unwritable"


@pytest.mark.usefixtures("unmeasured")
def test_files_that_may_not_be_read_are_reported(open_folder: Path, clock: Clock) -> None:
    folder = open_folder / "ledger"
    Ledger.create(folder, next_key_out=None, clock=clock).close()
    opening = f"Ledger.open({str(folder)!r}, read_only=True)"
    (folder / "ledger.db").chmod(0o000)
    folder.chmod(0o000)
    assert _as_another_user(opening) == "store-unwritable"
    folder.chmod(0o755)
    assert _as_another_user(opening) == "store-unwritable"


@pytest.mark.usefixtures("unmeasured")
def test_a_next_key_place_that_may_not_be_looked_at_is_reported(open_folder: Path) -> None:
    (open_folder / "offline").mkdir(mode=0o700)
    place, folder = open_folder / "offline" / "next.json", open_folder / "ledger"
    (open_folder / "offline").chmod(0o000)
    create = f"Ledger.create({str(folder)!r}, next_key_out={str(place)!r})"
    assert _as_another_user(create) == "store-unwritable"
    (open_folder / "offline").chmod(0o700)  # or whoever is not root could not remove it
    assert not folder.exists()
