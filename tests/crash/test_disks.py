"""Disks that are full or may not be written: what to do is said, nothing is half-written."""

import os
import random
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from nous_ledger.ledger import Appended, Ledger, StoreError
from nous_ledger.ledger import database as database_module
from nous_ledger.ledger.publish import publish
from tests.cli.harness import call_process
from tests.crash.conftest import copied
from tests.crash.lives import Place, now_ms
from tests.crash.survival import check_survival, read_leaves
from tests.integration.ledger_audit import error_code
from tests.integration.ledger_drafts import ORIGIN, make_draft

DISK_KIB = 1_024


class Disk:
    """A small file system of its own, and what fills it up."""

    def __init__(self, path: Path) -> None:
        """Take over a mounted file system."""
        self.path = path
        self._filler = path / "filler"

    def leave(self, kib: int) -> None:
        """Leave so much room."""
        self.free()
        room = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
        self._filler.write_bytes(bytes(max(0, room - 1_024 * kib)))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def remount(self, option: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{option}", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", str(path)]
    try:
        subprocess.run(["mount", *options], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk (tmpfs) cannot be mounted here; it takes root")
    yield Disk(path)
    subprocess.run(["umount", str(path)], check=True)


@pytest.fixture
def small(disk: Disk, template: Path) -> Place:
    """A ledger on a small disk."""
    return copied(template, disk.path)


@contextmanager
def _no_room_for_it() -> Iterator[list[StoreError]]:
    """Give a list in which stands that there was no room, if so."""
    failed: list[StoreError] = []
    try:
        yield failed
    except StoreError as error:
        failed.append(error)
    assert all(error.code == "store-full" and error.hint for error in failed), failed


def _append(ledger: Ledger, seed: random.Random) -> Appended:
    return ledger.append_receipt(make_draft(seed, time_ms=now_ms()))


def _fill(ledger: Ledger, seed: random.Random) -> list[Appended]:
    """Append until there is no room; return what was acknowledged."""
    logged: list[Appended] = []
    with pytest.raises(StoreError) as caught:  # noqa: PT012 - some go in before it is full
        while True:
            logged.append(_append(ledger, seed))
    assert caught.value.code == "store-full"
    assert caught.value.hint
    return logged


def test_a_disk_becomes_full_and_has_room_again(disk: Disk, small: Place) -> None:
    seed = random.Random(1)
    with Ledger.open(small.folder) as ledger:
        disk.leave(200)
        logged = _fill(ledger, seed)
        assert len(logged) > 3
        disk.leave(0)
        logged += _fill(ledger, seed)  # what the failed attempt had taken is there to be used
        assert ledger.prove(1)  # reading goes on
        disk.free()
        logged.append(_append(ledger, seed))
        ledger.head()
    leaves = read_leaves(small.folder)
    assert [leaves.records[item.index] for item in logged] == [item.record for item in logged]
    disk.free()
    check_survival(small)


def test_a_ledger_is_opened_and_closed_on_a_full_disk(disk: Disk, small: Place) -> None:
    with Ledger.open(small.folder) as ledger:
        disk.leave(40)
        logged = _fill(ledger, random.Random(2))
        disk.leave(0)
    with _no_room_for_it():
        Ledger.open(small.folder).close()
    disk.free()
    leaves, _ = check_survival(small)
    assert [leaves.records[item.index] for item in logged] == [item.record for item in logged]


@pytest.mark.parametrize("room", [0, 4, 8, 12, 24, 60, 100, 140, 180, 220])
def test_a_log_is_made_whole_or_not_at_all(disk: Disk, room: int) -> None:
    """A failure leaves nothing behind."""
    place = Place(base=disk.path)
    place.next_key(0).parent.mkdir()
    create = partial(Ledger.create, place.folder, next_key_out=place.next_key(0), origin=ORIGIN)
    disk.leave(room)
    with _no_room_for_it() as failed:
        create().close()
    if failed:
        assert list(place.next_key(0).parent.iterdir()) == []
        assert not place.folder.exists() or list(place.folder.iterdir()) == []
        disk.free()
        create().close()
    disk.free()
    check_survival(place)


def test_what_the_command_says(disk: Disk) -> None:
    disk.leave(0)
    folder = disk.path / "ledger"
    call_process("init", "--ledger", folder, "--no-rotation").failed(
        3, "[store-full]", "hint: free some space"
    )


@pytest.mark.parametrize("room", range(0, 60, 12))
def test_keys_change_or_do_not(disk: Disk, small: Place, room: int) -> None:
    with Ledger.open(small.folder) as ledger:
        disk.leave(room)
        rotate = partial(ledger.rotate, small.next_key(0), next_key_out=small.next_key(1))
        with _no_room_for_it() as failed:
            rotate()
        if failed:
            assert not small.next_key(1).exists()
            disk.free()
            rotate()
        disk.free()
        assert ledger.key_history().epoch == 1
    check_survival(small)


def test_publishing_goes_on_when_there_is_room(disk: Disk, template: Path, tmp_path: Path) -> None:
    place = copied(template, tmp_path / "place")
    disk.leave(8)
    work = partial(publish, place.folder, disk.path / "public", all_bodies=True)
    assert error_code(work) == "store-full"
    assert not (disk.path / "public" / "checkpoint").exists()
    disk.free()
    assert work().checkpoint.leaf_count == 6


def test_a_disk_that_may_not_be_written(disk: Disk, small: Place) -> None:
    def on_it(*works: Callable[[], object]) -> list[str]:
        return [error_code(work) for work in works]

    with Ledger.open(small.folder) as ledger:
        _append(ledger, random.Random(3))
    disk.remount("ro")
    assert (
        on_it(
            partial(Ledger.open, small.folder),
            partial(Ledger.create, disk.path / "new", next_key_out=None),
            partial(publish, small.folder, disk.path / "public", all_bodies=True),
        )
        == ["store-unwritable"] * 3
    )
    disk.remount("rw")
    check_survival(small)


def test_a_database_that_another_program_holds(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(place.folder / "ledger.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        assert error_code(lambda: Ledger.open(place.folder)) == "store-locked"
        other.execute("ROLLBACK")
    check_survival(place)
