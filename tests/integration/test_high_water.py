"""An older database that was put back is never extended, and can still be read."""

import http.server
import os
import random
import shutil
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, LedgerUseError, StoreContentError, StoreError
from nous_ledger.ledger.acceptance import ACCEPTED_NAME, accept_loss, read_state
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.guard import GuardSettings, read_settings, write_settings
from nous_ledger.ledger.highwater import FILE_LENGTH, HighWater, Mark
from nous_ledger.ledger.publish import publish
from nous_ledger.ledger.seen import look_elsewhere
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.types import Hash32, LeafCount, LogId
from tests.integration.ledger_audit import head_count
from tests.integration.ledger_drafts import ORIGIN, START_MS, Clock, make_draft
from tests.integration.ledger_keys import Keys, good

ID = LogId(b"\1" * 32)


def root(number: int) -> Hash32:
    return Hash32(number.to_bytes(32, "big"))


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


class TestFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        HighWater.create(tmp_path / "mark", ID, Mark(leaf_count=LeafCount(1), root=root(1)))
        return tmp_path / "mark"

    def test_it_only_rises(self, path: Path) -> None:
        file = HighWater(path, ID)
        for count in (5, 3, 9, 9, 1):
            file.raise_to(LeafCount(count), root(count))
        assert file.read() == Mark(leaf_count=LeafCount(9), root=root(9))
        assert code_of(lambda: file.raise_to(LeafCount(9), root(8))) == "store-forked"
        file.close()
        assert path.stat().st_size == FILE_LENGTH
        assert path.stat().st_mode & 0o777 == 0o600

    def test_a_torn_slot_leaves_the_mark_before_it(self, path: Path) -> None:
        """Whatever part of the newest slot reached the disk."""
        file = HighWater(path, ID)
        file.raise_to(LeafCount(2), root(2))
        before = path.read_bytes()
        file.raise_to(LeafCount(3), root(3))
        file.close()
        after = path.read_bytes()
        changed = [at for at in range(FILE_LENGTH) if before[at] != after[at]]
        for cut in (changed[0] + 1, changed[len(changed) // 2], changed[-1]):
            path.write_bytes(after[:cut] + before[cut:])
            assert HighWater(path, ID).read().leaf_count == 2
            again = HighWater(path, ID)
            again.raise_to(LeafCount(4), root(4))
            assert HighWater(path, ID).read().leaf_count == 4

    @pytest.mark.parametrize("content", [b"", b"\0" * FILE_LENGTH, b"Z" * FILE_LENGTH])
    def test_a_damaged_file_says_so(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        assert code_of(lambda: HighWater(path, ID)) == "high-water-unusable"

    def test_the_file_of_another_log(self, path: Path) -> None:
        with pytest.raises(StoreError, match="belongs to the log 0101"):
            HighWater(path, LogId(b"\2" * 32))

    def test_a_lower_mark_needs_to_be_told(self, path: Path) -> None:
        file = HighWater(path, ID)
        file.raise_to(LeafCount(7), root(7))
        file.reset(Mark(leaf_count=LeafCount(3), root=root(3)))
        assert HighWater(path, ID).read().leaf_count == 3
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(bytes(data))  # no torn slot brings the old mark back
        assert HighWater(path, ID).read().leaf_count == 3

    def test_a_file_that_was_replaced_is_read_anew(self, path: Path, tmp_path: Path) -> None:
        file = HighWater(path, ID)
        HighWater.create(tmp_path / "new", ID, Mark(leaf_count=LeafCount(8), root=root(8)))
        (tmp_path / "new").replace(path)
        assert file.read().leaf_count == 8
        path.unlink()
        assert code_of(file.read) == "high-water-unusable"


def _raise_many(path: Path, offset: int) -> None:
    file = HighWater(path, ID)
    for step in range(400):
        count = 2 + 2 * step + offset
        file.raise_to(LeafCount(count), root(count))
        assert file.read().leaf_count >= count
    file.close()


def test_two_processes_raise_one_mark(tmp_path: Path) -> None:
    path = tmp_path / "mark"
    HighWater.create(path, ID, Mark(leaf_count=LeafCount(1), root=root(1)))
    context = get_context("fork")
    workers = [context.Process(target=_raise_many, args=(path, offset)) for offset in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert HighWater(path, ID).read() == Mark(leaf_count=LeafCount(801), root=root(801))


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


class TestElsewhere:
    @pytest.fixture
    def published(self, tmp_path: Path, ledger: Ledger, seed: random.Random) -> Path:
        """A published head of 3 leaves, beside a database of 2 whose mark agrees with it."""
        ledger.append_receipt(make_draft(seed))
        folder, copy = ledger.folder, tmp_path / "copy"
        copy_folder(folder, copy)
        ledger.append_receipt(make_draft(seed))
        ledger.head()
        publish(folder, tmp_path / "published", all_bodies=False)
        ledger.close()
        shutil.rmtree(folder)
        shutil.move(copy, folder)
        return tmp_path / "published"

    def test_a_published_head_that_is_ahead(
        self, published: Path, folder: Path, seed: random.Random
    ) -> None:
        with Ledger.open(folder) as unaware:
            assert unaware.refusal is None
        with Ledger.open(folder, sources=[str(published)]) as told:
            assert code_of(lambda: told.append_receipt(make_draft(seed))) == "store-behind"
            assert told.leaf_count() == 2

    def test_over_http(self, published: Path, folder: Path) -> None:
        with serving(published) as url:
            with Ledger.open(folder, sources=[f"{url}/checkpoint"]) as told:
                assert code_of(told.head) == "store-behind"
            with Ledger.open(folder, sources=[f"{url}/nothing"]) as told:
                assert told.refusal is None
                assert "could not compare" in told.notices[0]
        with Ledger.open(folder, sources=[f"{url}/checkpoint"]) as told:
            assert told.refusal is None, "unreachable is no alarm"
            assert "could not compare" in told.notices[0]

    def test_a_source_that_never_answers(self, folder: Path, ledger: Ledger) -> None:
        del folder
        with socket_that_is_silent() as url:
            seen = look_elsewhere(ledger._store, [url], wait_s=0.2)
        assert seen.heads == ()
        assert "no answer" in seen.notices[0] or "timed out" in seen.notices[0]

    @pytest.mark.parametrize("content", [b"", b"\0" * 100, b"x" * 1_000_000, b"a\nb\n\n"])
    def test_what_is_no_head(self, tmp_path: Path, ledger: Ledger, content: bytes) -> None:
        (tmp_path / "checkpoint").write_bytes(content)
        seen = look_elsewhere(ledger._store, [str(tmp_path)])
        assert (len(seen.heads), len(seen.notices)) == (0, 1)

    def test_a_head_of_another_log_says_nothing(
        self, tmp_path: Path, ledger: Ledger, seed: random.Random
    ) -> None:
        """Also if it bears the same name."""
        with Ledger.create(
            tmp_path / "b", next_key_out=None, origin=ORIGIN, clock=Clock()
        ) as other:
            other.append_many([make_draft(seed) for _ in range(5)])
            other.head()
            (tmp_path / "checkpoint").write_bytes(other.latest_head())
        seen = look_elsewhere(ledger._store, [str(tmp_path / "checkpoint")])
        assert seen.fault is None
        assert len(seen.notices) == 1

    def test_another_root(
        self, tmp_path: Path, folder: Path, ledger: Ledger, seed: random.Random
    ) -> None:
        copy_folder(folder, tmp_path / "b")
        with Ledger.open(tmp_path / "b") as other:
            other.append_receipt(make_draft(seed))
            (tmp_path / "checkpoint").write_bytes(other.head())
        ledger.append_many([make_draft(seed), make_draft(seed)])
        ledger.close()
        with Ledger.open(folder, sources=[str(tmp_path)]) as told:
            assert code_of(told.head) == "store-forked"

    def test_heads_of_keys_that_the_old_database_does_not_know(
        self, tmp_path: Path, rotating: Ledger, keys: Keys, folder: Path
    ) -> None:
        """The next epoch by its committed key, a later one by the Ed25519 key if it was kept."""
        copy_folder(folder, tmp_path / "copy")
        found = []
        for number in range(3):
            rotating.rotate(keys[number], next_key_out=keys[number + 1], new_ed25519=number == 2)
            (tmp_path / "checkpoint").write_bytes(rotating.latest_head())
            with Ledger.open(tmp_path / "copy", sources=[str(tmp_path)]) as old:
                code = "" if old.refusal is None else old.refusal.code
                found.append((code, old.notices[0][:17]))
        told = ("store-behind", "nothing can be si")
        assert found == [told, told, ("", "could not compare")]

    def test_sources_are_remembered(self, published: Path, folder: Path) -> None:
        write_settings(folder, GuardSettings(sources=(str(published),)))
        with Ledger.open(folder) as told:
            assert code_of(told.head) == "store-behind"

    @pytest.mark.parametrize("source", ["", "ftp://x/y", "http://a:b@c/d", "http://"])
    def test_what_is_no_source(self, ledger: Ledger, folder: Path, source: str) -> None:
        ledger.close()
        with pytest.raises(InputError):
            Ledger.open(folder, sources=[source])

    def test_what_a_witness_says(self, ledger: Ledger, seed: random.Random) -> None:
        ledger.note_seen(1, "the witness w.example")
        assert ledger.append_receipt(make_draft(seed)).index == 1
        ledger.note_seen(3, "the witness w.example")
        assert code_of(lambda: ledger.append_receipt(make_draft(seed))) == "store-behind"


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


def copy_folder(folder: Path, target: Path) -> None:
    """Copy a ledger that may be open."""
    target.mkdir(mode=0o700)
    copy_database(folder, target / "ledger.db")
    for name in ("keys.json", "high-water"):
        shutil.copy(folder / name, target / name)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving(folder: Path) -> "_Serving":
    return _Serving(partial(_Quiet, directory=str(folder)))


class _Serving:
    def __init__(self, handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> None:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def socket_that_is_silent() -> "_Silent":
    return _Silent()


class _Silent:
    def __enter__(self) -> str:
        self._socket = socket.create_server(("127.0.0.1", 0))
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/checkpoint"

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_a_fork_of_the_process_leaves_the_file_alone(ledger: Ledger, seed: random.Random) -> None:
    ledger.append_receipt(make_draft(seed))
    child = get_context("fork").Process(target=ledger.close)
    child.start()
    child.join()
    assert child.exitcode == 0
    assert ledger.append_receipt(make_draft(seed)).index == 2
