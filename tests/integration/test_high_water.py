"""An older database that was put back is never extended, and can still be read."""

import os
import random
import shutil
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, LedgerUseError, StoreContentError, StoreError
from nous_ledger.ledger.acceptance import ACCEPTED_NAME, accept_loss, read_state
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.guard import GuardSettings, read_settings, write_settings
from nous_ledger.ledger.highwater import HighWater, Mark
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.types import LeafCount
from tests.integration.ledger_audit import head_count
from tests.integration.ledger_drafts import START_MS, Clock, make_draft
from tests.integration.ledger_keys import Keys, good
from tests.integration.old_copies import code_of, copy_database, copy_folder, put_back


@pytest.fixture
def older(tmp_path: Path, folder: Path, ledger: Ledger, seed: random.Random) -> Path:
    """A closed log of 4 leaves whose database is that of 2 leaves."""
    ledger.append_receipt(make_draft(seed))
    copy = copy_database(folder, tmp_path / "old.db")
    ledger.append_many([make_draft(seed), make_draft(seed)])
    ledger.head()
    ledger.close()
    put_back(folder, copy)
    return folder


class TestStopped:
    def test_an_older_database_is_not_extended(
        self, older: Path, clock: Clock, seed: random.Random
    ) -> None:
        before = (older / "ledger.db").read_bytes()
        clock.now_ms += 86_400_000  # a heartbeat is due
        with Ledger.open(older, clock=clock) as ledger:
            assert isinstance(ledger.refusal, StoreContentError)
            assert "high-water accept" in ledger.refusal.hint
            assert "nothing can be signed" in ledger.notices[0]
            for work in (
                lambda: ledger.append_receipt(make_draft(seed)),
                lambda: ledger.append_many([make_draft(seed)]),
                lambda: ledger.begin_call(make_draft(seed)),
                lambda: ledger.redact([1], "retention"),
                ledger.close_log,
                ledger.head,
            ):
                assert code_of(work) == "store-behind"
            good(ledger, 0)  # read and proved all the same
            assert ledger.leaf_count() == 2
            assert len(list(ledger.receipts())) == 1
            assert head_count(ledger.latest_head()) == 1
            assert code_of(lambda: ledger.prove(1)) == "store-behind", "no head covers it"
        assert (older / "ledger.db").read_bytes() == before

    @pytest.mark.parametrize("change", ["rotate", "close", "redact"])
    def test_whatever_was_logged_last(
        self, rotating: Ledger, folder: Path, keys: Keys, tmp_path: Path, change: str
    ) -> None:
        copy_folder(folder, tmp_path / "copy")
        changes: dict[str, Callable[[], object]] = {
            "rotate": lambda: rotating.rotate(keys[0], next_key_out=keys[1]),
            "close": lambda: rotating.close_log(keys[0]),
            "redact": lambda: rotating.redact([1], "legal_order"),
        }
        changes[change]()
        rotating.close()
        put_back(folder, tmp_path / "copy" / "ledger.db")
        shutil.copy(tmp_path / "copy" / "keys.json", folder / "keys.json")
        with Ledger.open(folder) as again:
            assert code_of(lambda: again.redact([2], "legal_order")) == "store-behind"
            assert code_of(lambda: again.rotate(keys[0], next_key_out=keys[2])) == "store-behind"
            assert not keys[2].exists()

    def test_fsck_reports_it(self, older: Path) -> None:
        (fault,) = fsck(older).faults
        assert (fault.code, fault.table) == ("store-behind", "high-water")

    def test_fsck_of_a_bare_copy_is_clean(self, older: Path) -> None:
        (older / "high-water").unlink()
        assert fsck(older).faults == ()

    def test_fsck_cannot_check_with_a_damaged_file(self, older: Path) -> None:
        (older / "high-water").write_bytes(b"")
        report = fsck(older)
        assert (report.fault_count, report.unchecked_count) == (1, 1)

    def test_another_history(
        self, ledger: Ledger, folder: Path, tmp_path: Path, seed: random.Random
    ) -> None:
        """Also one that is longer, whose root differs at the count of the mark."""
        ledger.close()
        other = tmp_path / "other"
        shutil.copytree(folder, other)
        for place, count in ((folder, 2), (other, 2)):
            with Ledger.open(place) as extended:
                extended.append_many([make_draft(seed) for _ in range(count)])
        put_back(folder, other / "ledger.db")
        with Ledger.open(folder) as swapped:
            assert code_of(swapped.head) == "store-forked"
        with Ledger.open(other) as extended:
            extended.append_receipt(make_draft(seed))
        put_back(folder, other / "ledger.db")
        with Ledger.open(folder) as swapped:
            assert code_of(swapped.head) == "store-forked"
        assert [fault.code for fault in fsck(folder).faults] == ["store-forked"]

    @pytest.mark.parametrize("damage", ["missing", "empty"])
    def test_without_the_file_nothing_is_signed(
        self, ledger: Ledger, folder: Path, seed: random.Random, damage: str
    ) -> None:
        ledger.close()
        (folder / "high-water").unlink()
        if damage == "empty":
            (folder / "high-water").touch(0o600)
        with Ledger.open(folder) as again:
            assert code_of(lambda: again.append_receipt(make_draft(seed))) == "high-water-unusable"
        accept_loss(folder, Clock())
        with Ledger.open(folder) as again:
            assert again.append_receipt(make_draft(seed)).index == 1

    def test_a_whole_folder_that_was_put_back_is_noticed_from_elsewhere(
        self, tmp_path: Path, folder: Path, clock: Clock, seed: random.Random
    ) -> None:
        place = tmp_path / "other-disk" / "mark"
        place.parent.mkdir()
        with Ledger.create(folder, next_key_out=None, high_water=place, clock=clock) as ledger:
            ledger.append_receipt(make_draft(seed))
        assert not (folder / "high-water").exists()
        shutil.copytree(folder, tmp_path / "copy")
        with Ledger.open(folder) as ledger:
            ledger.append_receipt(make_draft(seed))
        shutil.rmtree(folder)
        shutil.move(tmp_path / "copy", folder)
        with Ledger.open(folder) as ledger:
            assert code_of(ledger.head) == "store-behind"
        place.unlink()
        with Ledger.open(folder) as ledger:
            assert code_of(ledger.head) == "high-water-unusable"


class TestRunning:
    def test_a_database_that_was_put_back_under_a_running_ledger(
        self, ledger: Ledger, folder: Path, tmp_path: Path, seed: random.Random
    ) -> None:
        copy = copy_database(folder, tmp_path / "old.db")
        ledger.append_receipt(make_draft(seed))
        assert ledger._store.empty_log(), "else the old file and the log make up the new one"
        shutil.move(copy, folder / "ledger.db")
        assert code_of(lambda: ledger.append_receipt(make_draft(seed))) == "store-replaced"
        assert code_of(ledger.head) == "store-replaced"
        ledger.close()
        for name in ("ledger.db-wal", "ledger.db-shm"):
            (folder / name).unlink(missing_ok=True)
        with Ledger.open(folder) as again:
            assert code_of(lambda: again.append_receipt(make_draft(seed))) == "store-behind"

    def test_written_over_in_place(
        self, ledger: Ledger, folder: Path, tmp_path: Path, seed: random.Random
    ) -> None:
        """The worst way to put a file back: the same file number, the log of writes gone."""
        copy = copy_database(folder, tmp_path / "old.db")
        shown = [ledger.append_receipt(make_draft(seed)) for _ in range(3)]
        put_back(folder, copy)
        refused = ("store-behind", "store-forked", "store-corrupt", "store-io")
        assert code_of(lambda: _append_once(folder)) in refused
        ledger.close()
        try:
            with Ledger.open(folder) as again:
                later = again.append_receipt(make_draft(seed))
                records = again.read_records(1, 4)
        except LedgerError:
            return  # nothing contradicts what was shown
        assert later.index == 4
        assert records == tuple(one.record for one in shown)

    def test_a_disk_that_goes_away(
        self, folder: Path, tmp_path: Path, clock: Clock, seed: random.Random
    ) -> None:
        """What was committed stays; nothing more is signed until the file is back."""
        place = tmp_path / "mark"
        with Ledger.create(folder, next_key_out=None, high_water=place, clock=clock) as ledger:
            place.rename(tmp_path / "gone")
            work = partial(ledger.append_receipt, make_draft(seed))
            assert code_of(work) == "high-water-unusable"
            assert ledger.leaf_count() == 1
            (tmp_path / "gone").rename(place)
            assert work().index == 1

    def test_what_was_committed_and_not_noted_is_noted_first(
        self, ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch, seed: random.Random
    ) -> None:
        """Failed but persisted: the caller gets an error, and the log stays one log."""
        with monkeypatch.context() as patch:
            patch.setattr(HighWater, "_put", _fail)
            failed = make_draft(seed)
            assert code_of(lambda: ledger.append_receipt(failed)) == "high-water-unusable"
            assert ledger.leaf_count() == 2
            other = make_draft(seed)
            assert code_of(lambda: ledger.append_receipt(other)) == "high-water-unusable"
            assert ledger.leaf_count() == 2, "nothing was signed"
        assert code_of(lambda: ledger.append_receipt(failed)) == "duplicate-receipt"
        assert ledger.append_receipt(other).index == 2
        assert read_state(folder).lost == 0


def _fail(file: HighWater, *_: object) -> None:
    raise StoreError("high-water-unusable", f"{file.path} cannot be written")


def _die_before_the_mark(folder: Path) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with Ledger.open(folder) as ledger:
        seed = random.Random(9)
        ledger.append_receipt(make_draft(seed))
        HighWater._put = die  # type: ignore[assignment]
        ledger.append_receipt(make_draft(seed))


def test_killed_between_commit_and_mark(
    ledger: Ledger, folder: Path, tmp_path: Path, seed: random.Random
) -> None:
    """Nobody heard of the record, and the log goes on after it; an older copy does not."""
    copy = copy_database(folder, tmp_path / "old.db")
    ledger.close()
    child = get_context("fork").Process(target=_die_before_the_mark, args=(folder,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    state = read_state(folder)
    assert state.mark is not None
    assert (state.leaf_count, state.mark.leaf_count, state.refusal) == (3, 2, None)
    with Ledger.open(folder) as again:
        assert again.append_receipt(make_draft(seed)).index == 3
    assert read_state(folder).refusal is None
    assert fsck(folder).faults == ()
    put_back(folder, copy)
    with Ledger.open(folder) as again:
        assert code_of(again.head) == "store-behind"


def _append_once(folder: Path) -> None:
    with Ledger.open(folder) as ledger:
        ledger.append_receipt(make_draft(random.Random(7)))


def _append(folder: Path, number: int) -> None:
    with Ledger.open(folder) as ledger:
        seed = random.Random(number)
        for _ in range(40):
            ledger.append_receipt(make_draft(seed))


def test_two_processes_write_one_log(ledger: Ledger, folder: Path) -> None:
    ledger.close()
    context = get_context("fork")
    workers = [context.Process(target=_append, args=(folder, number)) for number in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    state = read_state(folder)
    assert state.mark == Mark(leaf_count=LeafCount(81), root=state.root)


class TestAccepting:
    def test_the_log_goes_on(self, older: Path, clock: Clock, seed: random.Random) -> None:
        before = accept_loss(older, clock)
        assert (before.leaf_count, before.lost) == (2, 2)
        with Ledger.open(older) as ledger:
            assert ledger.refusal is None
            assert ledger.append_receipt(make_draft(seed)).index == 2
        line = (older / ACCEPTED_NAME).read_text()
        assert f'"time": {START_MS}' in line
        assert '"high_water": 4' in line
        assert fsck(older).faults == ()

    def test_there_must_be_something_to_accept(self, ledger: Ledger, folder: Path) -> None:
        ledger.close()
        with pytest.raises(LedgerUseError):
            accept_loss(folder, Clock())

    def test_a_head_that_left_the_house_is_never_overruled(
        self, ledger: Ledger, folder: Path, tmp_path: Path, seed: random.Random
    ) -> None:
        ledger.append_receipt(make_draft(seed))
        copy = copy_database(folder, tmp_path / "old.db")
        ledger.append_receipt(make_draft(seed))
        (tmp_path / "checkpoint").write_bytes(ledger.head())
        ledger.close()
        put_back(folder, copy)
        write_settings(folder, GuardSettings(sources=(str(tmp_path),)))
        assert code_of(lambda: accept_loss(folder, Clock())) == "store-behind"
        assert not (folder / ACCEPTED_NAME).exists()

    def test_damaged_settings(self, ledger: Ledger, folder: Path) -> None:
        ledger.close()
        for text in ("", "[]", '{"version": 2}', '{"version":1,"high_water":3,"sources":[]}'):
            (folder / "guard.json").write_text(text)
            (folder / "guard.json").chmod(0o600)
            assert code_of(lambda: Ledger.open(folder)) == "key-format"
        (folder / "guard.json").unlink()
        assert read_settings(folder) == GuardSettings()


def test_a_fork_of_the_process_leaves_the_file_alone(ledger: Ledger, seed: random.Random) -> None:
    ledger.append_receipt(make_draft(seed))
    child = get_context("fork").Process(target=ledger.close)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert ledger.append_receipt(make_draft(seed)).index == 2
