"""Backups: one snapshot while others write, and a way back that cannot fork the log."""

import json
import os
import random
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, StoreError, backup
from nous_ledger.ledger.acceptance import accept_loss
from nous_ledger.ledger.backup import MANIFEST_NAME, read_backup
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.guard import GuardSettings, write_settings
from nous_ledger.ledger.restore import restore
from nous_ledger.protocol.errors import InputError, LedgerError
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.ledger_keys import Keys, good


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(LedgerError) as found:
        work()
    return found.value.code


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


class TestBackup:
    def test_it_holds_one_snapshot(
        self,
        ledger: Ledger,
        out: Path,
        seed: random.Random,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Every step of the copy is followed by a commit, and none of these is in it."""
        monkeypatch.setattr(backup, "_PAGES", 1)
        ledger.append_many([make_draft(seed) for _ in range(50)])
        steps: list[tuple[int, int]] = []

        def progress(done: int, total: int) -> None:
            steps.append((done, total))
            ledger.append_receipt(make_draft(seed))

        made = ledger.backup(out, progress=progress)
        assert len(steps) > 10, steps
        assert steps[-1][0] == steps[-1][1]
        assert made.leaf_count == 51
        assert ledger.leaf_count() == 51 + len(steps)
        report = fsck(out)
        assert (report.leaf_count, report.faults) == (51, ())
        assert read_backup(out) == made

    def test_while_threads_write(self, ledger: Ledger, out: Path) -> None:
        stop = threading.Event()

        def write(number: int) -> None:
            seed = random.Random(number)
            while not stop.is_set():
                ledger.append_receipt(make_draft(seed))

        writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
        for writer in writers:
            writer.start()
        made = [ledger.backup(out.with_name(f"b{number}")) for number in range(4)]
        stop.set()
        for writer in writers:
            writer.join()
        counts = [one.leaf_count for one in made]
        assert counts == sorted(counts)
        assert ledger.leaf_count() >= counts[-1]
        for number, one in enumerate(made):
            report = fsck(out.with_name(f"b{number}"))
            assert (report.leaf_count, report.faults) == (one.leaf_count, ())

    def test_nobody_else_can_read_it(self, ledger: Ledger, out: Path) -> None:
        ledger.backup(out)
        assert out.stat().st_mode & 0o777 == 0o700
        assert modes(out) == {0o600}
        assert {path.name for path in out.iterdir()} == {"ledger.db", MANIFEST_NAME}

    def test_keys_only_if_asked_for(self, rotating: Ledger, out: Path, keys: Keys) -> None:
        assert not rotating.backup(out.with_name("a")).has_keys
        assert rotating.backup(out, keys=True).has_keys
        assert (out / "keys.json").read_bytes() == (rotating.folder / "keys.json").read_bytes()
        old = (rotating.folder / "keys.json").read_bytes()
        rotating.rotate(keys[0], next_key_out=keys[1])
        (rotating.folder / "keys.json").write_bytes(old)
        third = out.with_name("c")
        assert code_of(lambda: rotating.backup(third, keys=True)) == "key-mismatch"
        assert not third.exists()

    def test_without_keys_or_right_to_sign(
        self, ledger: Ledger, folder: Path, out: Path, seed: random.Random
    ) -> None:
        ledger.append_receipt(make_draft(seed))
        ledger.close()
        (folder / "high-water").unlink()
        with Ledger.open(folder) as refused:
            assert refused.refusal is not None
            refused.backup(out)
        with Ledger.open(folder, read_only=True) as reader:
            assert reader.backup(out.with_name("b")).leaf_count == 2

    def test_where_it_may_lie(self, ledger: Ledger, folder: Path, out: Path) -> None:
        with pytest.raises(InputError):
            ledger.backup(folder / "inside")
        out.mkdir()
        (out / "something").touch()
        assert code_of(lambda: ledger.backup(out)) == "already-exists"
        with pytest.raises(StoreError) as caught:
            ledger.backup(out / "no" / "such")
        assert caught.value.code == "store-unwritable"
        assert "make the folder first" in caught.value.hint
        assert sorted(path.name for path in out.iterdir()) == ["something"]

    def test_a_kill_leaves_no_backup(self, ledger: Ledger, out: Path, seed: random.Random) -> None:
        ledger.append_many([make_draft(seed) for _ in range(50)])
        child = get_context("fork").Process(target=_killed, args=(ledger.folder, out))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert not out.exists()
        assert ledger.backup(out).leaf_count == 51

    def test_a_full_disk_leaves_no_backup(
        self, ledger: Ledger, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        assert code_of(lambda: ledger.backup(out)) == "store-full"
        assert list(out.parent.glob("*backup*")) == []


def _killed(folder: Path, out: Path) -> None:
    backup._PAGES = 3  # type: ignore[misc]

    def die(done: int, total: int) -> None:
        if done * 2 > total:
            os.kill(os.getpid(), signal.SIGKILL)

    with Ledger.open(folder, read_only=True) as ledger:
        ledger.backup(out, progress=die)


class TestRestore:
    @pytest.fixture
    def made(self, ledger: Ledger, out: Path, seed: random.Random) -> Path:
        """A backup of 3 leaves with keys, of a log that went on to 5."""
        ledger.append_many([make_draft(seed), make_draft(seed)])
        ledger.head()
        ledger.backup(out, keys=True)
        ledger.append_many([make_draft(seed), make_draft(seed)])
        return out

    def test_nothing_is_signed_until_somebody_says_so(
        self, made: Path, tmp_path: Path, seed: random.Random
    ) -> None:
        place = tmp_path / "restored"
        done = restore(made, place)
        assert (done.backup.leaf_count, done.confirmed) == (3, False)
        assert modes(place) == {0o600}
        with Ledger.open(place) as again:
            assert code_of(lambda: again.append_receipt(make_draft(seed))) == "store-unconfirmed"
            assert isinstance(again.refusal, StoreError)
            good(again, 2)
        assert fsck(place).faults == ()
        accept_loss(place, Clock())
        with Ledger.open(place) as again:
            assert again.append_receipt(make_draft(seed)).index == 3

    def test_the_mark_that_survived_shows_the_loss(
        self, made: Path, ledger: Ledger, folder: Path, tmp_path: Path
    ) -> None:
        ledger.close()
        place = tmp_path / "restored"
        assert restore(made, place, high_water=folder / "high-water").confirmed
        with Ledger.open(place) as again:
            assert code_of(again.head) == "store-behind"

    def test_the_mark_that_survived_shows_that_nothing_is_lost(
        self, ledger: Ledger, folder: Path, out: Path, tmp_path: Path, seed: random.Random
    ) -> None:
        ledger.append_receipt(make_draft(seed))
        ledger.backup(out, keys=True)
        ledger.close()
        mark = (folder / "high-water").rename(tmp_path / "mark")
        shutil.rmtree(folder)
        restore(out, folder, high_water=mark)
        with Ledger.open(folder) as again:
            assert again.refusal is None
            assert again.append_receipt(make_draft(seed)).index == 2

    def test_a_mark_elsewhere_is_found_by_itself(
        self, folder: Path, out: Path, tmp_path: Path, clock: Clock, seed: random.Random
    ) -> None:
        mark = tmp_path / "mark"
        with Ledger.create(
            folder, next_key_out=None, origin=ORIGIN, high_water=mark, clock=clock
        ) as ledger:
            write_settings(folder, GuardSettings(high_water=mark, sources=("/nowhere",)))
            ledger.backup(out, keys=True)
            ledger.append_receipt(make_draft(seed))
        shutil.rmtree(folder)
        assert restore(out, folder).confirmed
        with Ledger.open(folder) as again:
            assert code_of(again.head) == "store-behind"
            assert "/nowhere" in again.notices[0]

    def test_two_copies_of_one_log_cannot_both_go_on(
        self, folder: Path, out: Path, tmp_path: Path, clock: Clock, seed: random.Random
    ) -> None:
        """A copy that is restored beside the living log shares its mark."""
        mark = tmp_path / "mark"
        with Ledger.create(folder, next_key_out=None, high_water=mark, clock=clock) as ledger:
            ledger.backup(out, keys=True)
            restore(out, tmp_path / "twin")
            with Ledger.open(tmp_path / "twin") as twin:
                ledger.append_receipt(make_draft(seed))
                assert code_of(lambda: twin.append_receipt(make_draft(seed))) == "store-behind"

    def test_nothing_is_overwritten(self, made: Path, folder: Path, tmp_path: Path) -> None:
        before = (folder / "ledger.db").stat().st_mtime_ns
        assert code_of(lambda: restore(made, folder)) == "already-exists"
        assert (folder / "ledger.db").stat().st_mtime_ns == before
        (tmp_path / "file").touch()
        assert code_of(lambda: restore(made, tmp_path / "file")) == "already-exists"
        (tmp_path / "link").symlink_to(tmp_path / "nowhere")
        assert code_of(lambda: restore(made, tmp_path / "link")) == "already-exists"
        (tmp_path / "empty").mkdir()
        restore(made, tmp_path / "empty")

    def test_a_flipped_bit_of_any_file(self, made: Path, tmp_path: Path) -> None:
        for name in ("ledger.db", "keys.json"):
            path = made / name
            whole = path.read_bytes()
            for at in (0, len(whole) // 2, len(whole) - 1):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
                assert code_of(lambda: restore(made, tmp_path / "r")) == "backup-damaged"
                assert not (tmp_path / "r").exists()
            path.write_bytes(whole)
        restore(made, tmp_path / "r")
        assert [path for path in tmp_path.iterdir() if path.name.startswith(".r")] == []

    def test_a_faulty_log_does_not_stand(self, ledger: Ledger, out: Path, tmp_path: Path) -> None:
        """Also one that was faulty when it was backed up, whose hashes fit."""
        ledger.append_receipt(make_draft(random.Random(1)))
        with sqlite3.connect(ledger.folder / "ledger.db") as connection:
            connection.execute("UPDATE bodies SET body = x'80' WHERE leaf = 1")
        connection.close()
        ledger.backup(out)
        with pytest.raises(LedgerError, match="body-hash, bodies 1") as found:
            restore(out, tmp_path / "r")
        assert found.value.code == "backup-damaged"
        assert not (tmp_path / "r").exists()

    def test_what_is_no_backup(self, made: Path, tmp_path: Path, folder: Path) -> None:
        assert code_of(lambda: restore(tmp_path / "no", tmp_path / "r")) == "not-a-backup"
        assert code_of(lambda: restore(folder, tmp_path / "r")) == "not-a-backup"
        manifest = json.loads((made / MANIFEST_NAME).read_text())
        changes: tuple[dict[str, object], ...] = (
            {"version": 2},
            {"files": {}},
            {"files": {"../x": "00", "ledger.db": "00"}},
            {"files": None},
            {"leaf_count": "3"},
            {"leaf_count": 2},
            {"log_id": "00"},
        )
        for change in changes:
            (made / MANIFEST_NAME).write_text(json.dumps(manifest | change))
            assert code_of(lambda: restore(made, tmp_path / "r")) == "backup-damaged"
        for text in ("", "[]", "{}"):
            (made / MANIFEST_NAME).write_text(text)
            assert code_of(lambda: restore(made, tmp_path / "r")) == "backup-damaged"
        (made / MANIFEST_NAME).write_text(json.dumps(manifest))
        (made / "ledger.db").unlink()
        assert code_of(lambda: restore(made, tmp_path / "r")) == "backup-damaged"

    def test_a_mark_of_no_use_is_said_before(self, made: Path, tmp_path: Path) -> None:
        missing = tmp_path / "nothing"
        found = code_of(lambda: restore(made, tmp_path / "r", high_water=missing))
        assert found == "high-water-unusable"
        assert not (tmp_path / "r").exists()

    def test_a_kill_leaves_no_ledger(self, made: Path, tmp_path: Path) -> None:
        child = get_context("fork").Process(target=_killed_restore, args=(made, tmp_path / "r"))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert not (tmp_path / "r").exists()
        restore(made, tmp_path / "r")


def _killed_restore(made: Path, place: Path) -> None:
    restore(made, place, checking=lambda _done, _total: os.kill(os.getpid(), signal.SIGKILL))
