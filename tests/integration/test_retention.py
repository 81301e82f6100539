"""Retention: what is old leaves the files, the log says so, and appends go on."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, RetentionKeeper, retention
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.retention import DAY_MS
from nous_ledger.protocol.bodies import Redaction, decode_body
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.hashing import raw_usage_hash
from nous_ledger.protocol.record import TYPE_REDACTION, decode_record
from tests.integration.ledger_drafts import START_MS, Clock, make_draft
from tests.integration.ledger_keys import Keys, good
from tests.integration.test_ledger_redaction import Logged, log_calls, traces

NOW_MS = START_MS + 3 * DAY_MS + 3_600_000


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(LedgerError) as found:
        work()
    return found.value.code


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_A_TIME", 16)


@pytest.fixture
def days(ledger: Ledger, clock: Clock, seed: random.Random) -> list[list[Logged]]:
    """Calls of four days, 25 each; the clock stands an hour after the last."""
    made = []
    for day in range(4):
        clock.now_ms = START_MS + day * DAY_MS
        made.append(log_calls(ledger, seed, 25))
    clock.now_ms = NOW_MS
    return made


def kept_bodies(ledger: Ledger) -> list[int]:
    """The receipts whose body is there."""
    return [row.index for row in ledger.receipts() if row.receipt is not None]


class TestRetain:
    def test_the_bytes_leave_the_files(
        self, ledger: Ledger, folder: Path, days: list[list[Logged]]
    ) -> None:
        """RED-1, RED-2: bodies and raw usage of the first two days, each named by a record."""
        old, kept = [*days[0], *days[1]], [*days[2], *days[3]]
        done = ledger.retain(bodies_days=2)
        assert (done.bodies, done.usage, done.finished, done.notices) == (50, 0, True, ())
        assert traces(folder, old) == []
        assert len(traces(folder, kept)) >= 50
        assert kept_bodies(ledger) == sorted(call.index for call in kept)
        named: list[int] = []
        for index in range(101, ledger.leaf_count()):
            body = decode_body(TYPE_REDACTION, ledger.entry(index).body)
            assert isinstance(body, Redaction)
            assert body.reason == 2
            named += body.indices
            good(ledger, index)
        assert named == sorted(call.index for call in old)
        assert done.records == ledger.leaf_count() - 101
        assert fsck(folder).faults == ()
        good(ledger, old[0].index)

    def test_raw_usage_goes_alone(
        self, ledger: Ledger, folder: Path, days: list[list[Logged]]
    ) -> None:
        count = ledger.leaf_count()
        done = ledger.retain(usage_days=1)
        assert (done.bodies, done.usage, done.records) == (0, 75, 0)
        assert ledger.leaf_count() == count, "without a record"
        contents = b"".join(path.read_bytes() for path in folder.iterdir())
        for day in days[:3]:
            for call in day:
                assert call.secrets[2] not in contents
                assert call.secrets[3] not in contents
                assert call.secrets[0] in contents, "the body stays"
        assert all(ledger.read_raw_usage(call.index) for call in days[3])
        assert fsck(folder).faults == ()

    def test_both_with_their_own_days(self, ledger: Ledger, days: list[list[Logged]]) -> None:
        expected = ledger.retain(bodies_days=3, usage_days=1, dry_run=True)
        assert (expected.bodies, expected.usage) == (25, 50)
        assert len(kept_bodies(ledger)) == 100
        done = ledger.retain(bodies_days=3, usage_days=1)
        assert (done.bodies, done.usage) == (25, 50)
        assert ledger.retain(bodies_days=3, usage_days=1).bodies == 0
        assert kept_bodies(ledger) == list(range(26, 101))
        assert len(days) == 4

    def test_exactly_so_many_days(self, ledger: Ledger, clock: Clock, seed: random.Random) -> None:
        ledger.append_receipt(make_draft(seed))
        clock.now_ms = START_MS + DAY_MS
        assert ledger.retain(bodies_days=1).bodies == 0
        clock.now_ms += 1
        assert ledger.retain(bodies_days=1).bodies == 1

    def test_what_is_always_kept(
        self, rotating: Ledger, keys: Keys, clock: Clock, folder: Path
    ) -> None:
        """Key events and redactions, however old."""
        rotating.redact([1], "secret_leaked")
        rotating.rotate(keys[0], next_key_out=keys[1])
        clock.now_ms += 1_000 * DAY_MS
        assert rotating.retain(bodies_days=1).bodies == 1
        clock.now_ms += 1_000 * DAY_MS
        assert rotating.retain(bodies_days=1).bodies == 0
        kinds = [decode_record(record).type for record in rotating.read_records(0, 6)]
        assert kinds == [0, 1, 1, 5, 0, 5]
        assert [bool(body) for body in rotating.read_bodies(0, 6)] == [True, 0, 0, True, True, True]
        assert rotating.key_history().epoch == 1
        assert fsck(folder).faults == ()

    def test_it_stops_and_goes_on(
        self, ledger: Ledger, folder: Path, days: list[list[Logged]]
    ) -> None:
        """Also in another process, and whoever erased some of it meanwhile."""
        turns = iter([False, True])
        first = ledger.retain(bodies_days=1, stop=lambda: next(turns))
        assert (first.bodies, first.finished) == (16, False)
        assert traces(folder, [call for call in days[0] if call.index <= 16]) == []
        ledger.redact([17, 20], "legal_order")
        with Ledger.open(folder, clock=ledger._clock) as other:
            done = other.retain(bodies_days=1)
            assert (done.bodies, done.finished) == (75 - 16 - 2, True)
        assert ledger.retain(bodies_days=1).bodies == 0
        assert fsck(folder).faults == ()

    def test_somebody_erases_the_same_at_the_same_time(
        self, ledger: Ledger, folder: Path, days: list[list[Logged]]
    ) -> None:
        done: list[int] = []
        with Ledger.open(folder, clock=ledger._clock) as other:
            threads = [
                threading.Thread(
                    target=lambda one=one: done.append(one.retain(bodies_days=1).bodies)
                )
                for one in (ledger, other)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert len(done) == 2
        assert kept_bodies(ledger) == sorted(call.index for call in days[3])
        assert fsck(folder).faults == ()

    def test_killed_in_the_middle(
        self, ledger: Ledger, folder: Path, days: list[list[Logged]]
    ) -> None:
        ledger.close()
        child = get_context("fork").Process(target=_killed, args=(folder,))
        child.start()
        child.join()
        assert child.exitcode == -signal.SIGKILL
        with Ledger.open(folder, clock=Clock(NOW_MS)) as again:
            left = len(kept_bodies(again))
            assert 25 < left < 100
            assert again.retain(bodies_days=1).bodies == left - 25
            assert traces(folder, [*days[0], *days[1], *days[2]]) == []
        assert fsck(folder).faults == ()

    def test_appends_do_not_wait_long(
        self, ledger: Ledger, days: list[list[Logged]], seed: random.Random
    ) -> None:
        """An append waits for one transaction at most, not for the run."""
        steps: list[float] = []

        def progress(_done: int, _total: int) -> None:
            steps.append(time.monotonic())

        appended: list[float] = []
        thread = threading.Thread(
            target=lambda: ledger.retain(bodies_days=1, usage_days=1, progress=progress)
        )
        thread.start()
        while thread.is_alive():
            ledger.append_receipt(make_draft(seed, time_ms=NOW_MS))
            appended.append(time.monotonic())
        thread.join()
        between = sum(steps[0] < moment < steps[-1] for moment in appended)
        assert between >= len(steps) // 2 > 1
        assert len(days) == 4

    def test_a_reader_holds_the_bytes_back_until_later(
        self,
        ledger: Ledger,
        folder: Path,
        days: list[list[Logged]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("nous_ledger.ledger.database.BUSY_TIMEOUT_S", 0.2)
        with Ledger.open(folder, clock=ledger._clock) as other:
            with ledger._store.read() as view:
                view.leaf_count()
                assert "ledger.db-wal" in other.retain(bodies_days=1).notices[0]
            done = other.retain(bodies_days=1)
            assert (done.bodies, done.notices) == (0, ())
        assert traces(folder, [*days[0], *days[1], *days[2]]) == []

    def test_what_it_refuses(self, ledger: Ledger, folder: Path, clock: Clock) -> None:
        for number in (0, -1, 36_501):
            with pytest.raises(InputError):
                ledger.retain(bodies_days=number)
        with Ledger.open(folder, read_only=True) as reader:
            assert code_of(lambda: reader.retain(bodies_days=1)) == "read-only"
        usage = (b"{}",)
        draft = make_draft(random.Random(3), raw_usage_hash=raw_usage_hash(usage))
        ledger.append_receipt(draft, raw_usage=usage)
        ledger.close_log()
        clock.now_ms += 5 * DAY_MS
        assert code_of(lambda: ledger.retain(bodies_days=1)) == "log-closed"
        assert ledger.retain(usage_days=1).usage == 1, "which is no part of the log"


def _killed(folder: Path) -> None:
    retention.AT_A_TIME = 16  # type: ignore[misc]
    steps = iter(range(10))

    def die() -> bool:
        if next(steps) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    with Ledger.open(folder, clock=Clock(NOW_MS)) as ledger:
        ledger.retain(bodies_days=1, stop=die)


class TestKeeper:
    def test_it_erases_as_time_goes_by(
        self, ledger: Ledger, clock: Clock, days: list[list[Logged]]
    ) -> None:
        with RetentionKeeper(ledger, bodies_days=3, usage_days=1, interval_s=0.01):
            wait_until(lambda: len(kept_bodies(ledger)) == 75)
            clock.now_ms += DAY_MS
            wait_until(lambda: len(kept_bodies(ledger)) == 50)
        clock.now_ms += DAY_MS
        assert len(kept_bodies(ledger)) == 50
        assert len(days) == 4

    def test_it_goes_on_after_a_failure(
        self,
        ledger: Ledger,
        days: list[list[Logged]],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with monkeypatch.context() as patch:
            (ledger.folder / "high-water").rename(ledger.folder / "away")
            with RetentionKeeper(ledger, bodies_days=1, interval_s=0.01):
                wait_until(lambda: "high-water-unusable" in caplog.text)
                patch.undo()
                (ledger.folder / "away").rename(ledger.folder / "high-water")
                wait_until(lambda: len(kept_bodies(ledger)) == 25)
        assert len(days) == 4

    def test_of_a_closed_log_only_raw_usage_is_erased(
        self, ledger: Ledger, days: list[list[Logged]], caplog: pytest.LogCaptureFixture
    ) -> None:
        ledger.close_log()
        with RetentionKeeper(ledger, bodies_days=1, usage_days=1, interval_s=0.01):
            wait_until(lambda: not ledger.read_raw_usage(days[2][-1].index))
        assert len(kept_bodies(ledger)) == 100
        assert "could not" not in caplog.text

    def test_without_days_it_does_nothing(self, ledger: Ledger) -> None:
        with RetentionKeeper(ledger) as keeper:
            assert keeper._thread.ident is None


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)
