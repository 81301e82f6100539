"""The keeper of the heads: in time, whatever happens, and never two that disagree."""

import itertools
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, LedgerUseError, StoreError
from nous_ledger.ledger.headkeeper import HeadKeeper, KeeperEvent, KeeperEventKind, log_event
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.record import decode_record
from tests.integration.ledger_audit import audit, error_code, head_count, head_time
from tests.integration.ledger_drafts import ORIGIN, START_MS, Clock, make_draft


class World:
    """A ledger and its keeper on one clock; every head that was signed is remembered."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self.ledger, self.clock = ledger, clock
        self.events: list[KeeperEvent] = []
        self.heads: list[tuple[int, bytes]] = []  # when by the clock, and which
        self.broken: LedgerError | None = None
        self._sign: Callable[[], bytes] = ledger.head
        ledger.head = self._head  # type: ignore[method-assign]
        self.keeper = HeadKeeper(
            ledger, tell=self.events.append, clock=clock, monotonic=lambda: clock.now_ms / 1000
        )

    def _head(self) -> bytes:
        if self.broken is not None:
            raise self.broken
        note = self._sign()
        self.heads.append((self.clock.now_ms, note))
        return note

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def sleep(self, seconds: float) -> None:
        self.clock.now_ms += max(1, round(seconds * 1000))


@pytest.fixture
def world(ledger: Ledger, clock: Clock) -> World:
    return World(ledger, clock)


@pytest.mark.parametrize("delay", [1, 10, 3600])
def test_no_record_is_ever_late_under_continuous_appends(
    folder: Path, clock: Clock, delay: int
) -> None:
    """HEAD-13: by the heads' own times, and by the clock when each was signed.

    The keeper wakes up late, and a quarter of the time the store cannot be written.
    """
    draws = random.Random(delay)
    made: list[tuple[int, int]] = []  # index and logged_at of each record
    with Ledger.create(
        folder, next_key_out=None, origin=ORIGIN, max_merge_delay_s=delay, clock=clock
    ) as ledger:
        world = World(ledger, clock)
        next_step = next_append = float(clock.now_ms)
        for _ in range(300):
            clock.now_ms = max(clock.now_ms, round(min(next_step, next_append)))
            broken = clock.now_ms % (delay * 1000) < delay * 250
            world.broken = StoreError("store-locked", "held") if broken else None
            if next_append <= next_step:
                logged = ledger.append_receipt(make_draft(draws, time_ms=clock.now_ms))
                made.append((logged.index, clock.now_ms))
                next_append = clock.now_ms + draws.expovariate(1 / (delay * 50))
            else:
                wait = world.keeper.step() * 1000
                next_step = clock.now_ms + wait + draws.random() * delay * 125
        end = clock.now_ms
        assert len(made) > 100
        checked = 0
        for index, logged_at in made:
            covered = [(at, note) for at, note in world.heads if head_count(note) > index]
            if logged_at + delay * 1000 <= end:
                at, note = covered[0]
                assert at <= logged_at + delay * 1000
                assert head_time(note) <= logged_at // 1000 + delay
                checked += 1
            before = [note for _, note in world.heads if head_count(note) <= index]
            assert all(head_time(note) <= logged_at // 1000 + delay for note in before)
        assert checked > 50
    audit(folder)


def test_heartbeats_on_an_idle_log(folder: Path, clock: Clock) -> None:
    """HEAD-18: over one text, at least every heartbeat_s."""
    with Ledger.create(folder, next_key_out=None, heartbeat_s=100, clock=clock) as ledger:
        world = World(ledger, clock)
        while clock.now_ms < START_MS + 1_000_000:
            world.sleep(world.keeper.step() + 1)
        times = sorted({head_time(note) for _, note in world.heads})
        assert len(times) >= 10
        assert max(b - a for a, b in itertools.pairwise(times)) <= 100
        assert {parse_note(note).text for _, note in world.heads} == {
            parse_note(ledger.latest_head()).text
        }
        assert world.events == []


def test_what_fails_is_told_once_and_tried_again_more_and_more_rarely(world: World) -> None:
    world.broken = StoreError("store-full", "no room")
    waits = []
    for _ in range(8):
        waits.append(world.keeper.step())
        assert world.keeper.failing
        world.sleep(waits[-1])
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]  # a quarter of a third of 60 s
    assert [(event.kind, event.code) for event in world.events] == [("head-failed", "store-full")]
    world.broken = None
    assert world.keeper.step() == 20
    assert not world.keeper.failing
    assert world.kinds == ["head-failed", "head-recovered"]
    assert world.keeper.step() == 20  # nothing is due


def test_a_record_that_waits_too_long_is_told(world: World, seed: random.Random) -> None:
    """HEAD-13."""
    world.keeper.step()
    world.ledger.append_receipt(make_draft(seed))
    world.broken = StoreError("store-full", "no room")
    while world.clock.now_ms <= START_MS + 60_000:
        assert "head-late" not in world.kinds
        world.sleep(world.keeper.step() or 1)
    for _ in range(3):
        world.sleep(world.keeper.step())
    assert world.kinds == ["head-failed", "head-late"]
    world.broken = None
    world.keeper.step()
    assert world.kinds[2:] == ["head-recovered"]
    world.broken = StoreError("store-full", "no room")
    world.sleep(60)
    world.keeper.step()
    assert world.kinds[3:] == ["head-failed"]  # nothing waits: not late


def test_late_is_not_guessed_where_nothing_can_be_read(
    world: World, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ledger.append_receipt(make_draft(seed))
    world.broken = StoreError("store-io", "gone")

    def unreadable() -> None:
        raise StoreError("store-io", "gone")

    monkeypatch.setattr(world.ledger, "uncovered_since", unreadable)
    world.sleep(1000)
    world.keeper.step()
    assert world.kinds == ["head-failed"]


def test_it_keeps_a_real_ledger_and_gives_heads_on_request(
    ledger: Ledger, seed: random.Random, clock: Clock
) -> None:
    with HeadKeeper(ledger, clock=clock) as keeper:
        for count in range(2, 8):
            ledger.append_receipt(make_draft(seed))
            assert head_count(keeper.head()) == count
        requests = [keeper.request() for _ in range(20)]
        assert {head_count(request.signed.result(5)) for request in requests} == {7}
        assert all(request.cosigned.result(5) is None for request in requests)
        assert keeper.witnesses == ()
    assert error_code(lambda: keeper.request().signed.result(5)) == "closed"
    keeper.close()


def test_whoever_asks_hears_of_the_failure(ledger: Ledger, clock: Clock) -> None:
    world = World(ledger, clock)
    world.broken = StoreError("store-full", "no room")
    with world.keeper as keeper:
        request = keeper.request()
        with pytest.raises(StoreError):
            request.signed.result(5)
        request.cosigned.result(5)
        gone = keeper.request()
        gone.signed.cancel()
        world.broken = None
        keeper.head()
        with pytest.raises(CancelledError):
            gone.signed.result(0)


def test_it_ends_with_the_ledger(folder: Path, clock: Clock) -> None:
    ledger = Ledger.create(folder, next_key_out=None, clock=clock)
    events: list[KeeperEvent] = []
    with HeadKeeper(ledger, clock=clock, tell=events.append) as keeper:
        keeper.head()
        ledger.close()
        assert error_code(lambda: keeper.request().signed.result(5)) == "closed"
        thread = keeper._thread
        assert thread is not None
        thread.join(5)
        assert not thread.is_alive()
    assert [event.code for event in events] == ["closed"]


def test_a_reader_cannot_keep_heads(ledger: Ledger, folder: Path) -> None:
    with Ledger.open(folder, read_only=True) as reader, pytest.raises(LedgerUseError):
        HeadKeeper(reader)


@pytest.mark.parametrize("error", [RuntimeError, SystemExit])
def test_faults_of_listeners_and_of_its_own_do_not_stop_it(
    ledger: Ledger, clock: Clock, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def deaf(_: KeeperEvent) -> None:
        raise error

    failed = threading.Event()
    sign = ledger.head

    def broken() -> bytes:
        if failed.is_set():
            return sign()
        failed.set()
        raise error

    ledger.head = broken  # type: ignore[method-assign]
    keeper = HeadKeeper(ledger, clock=clock, tell=deaf)
    keeper._say(KeeperEvent(kind=KeeperEventKind.HEAD_LATE, code="x", message="y"))
    with keeper:
        assert failed.wait(5)
        assert head_count(keeper.head()) == 1
    assert [record.message for record in caplog.records] == [
        "an event of the heads could not be told",
        "the keeper of the heads failed",
    ]


def test_events_are_logged_by_default(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for kind in (KeeperEventKind.HEAD_FAILED, KeeperEventKind.HEAD_RECOVERED):
        log_event(KeeperEvent(kind=kind, code="store-full", message="no room"))
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("WARNING", "head-failed: store-full: no room"),
        ("INFO", "head-recovered: store-full: no room"),
    ]


@pytest.fixture
def short(folder: Path) -> Path:
    """A log whose records must be covered within a second."""
    with Ledger.create(folder, next_key_out=None, origin=ORIGIN, max_merge_delay_s=1):
        pass
    return folder


def test_keepers_of_two_processes_never_make_two_heads_that_disagree(short: Path) -> None:
    """HEAD-13, HEAD-15."""
    command = [sys.executable, "-m", "tests.integration.head_keeper_process", str(short)]
    running = [
        subprocess.Popen([*command, name, "40"], stdout=subprocess.PIPE, env=os.environ)
        for name in ("a", "b")
    ]
    outputs = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    notes = [bytes.fromhex(line.decode()) for output in outputs for line in output.split()]
    log = audit(short)
    assert len(log.records) == 81
    assert len(set(notes)) >= 10
    for note in set(notes):
        head = parse_checkpoint(parse_note(note).text)
        assert head.root == log.root(head.leaf_count)
    by_time = sorted((head_time(note), head_count(note)) for note in notes)
    counts = [count for _, count in by_time]
    assert counts == sorted(counts)
    for index, record in enumerate(log.records):
        second = decode_record(record).logged_at // 1000
        assert all(time <= second + 1 for time, count in by_time if count <= index)


def test_a_stored_head_will_do_where_it_covers_enough(
    ledger: Ledger, clock: Clock, seed: random.Random
) -> None:
    keeper = HeadKeeper(ledger, clock=clock)  # nobody keeps the time: nothing is signed
    stored = keeper.request(covering=1)
    assert (stored.signed.result(0), stored.cosigned.result(0)) == (ledger.latest_head(), None)
    ledger.append_receipt(make_draft(seed))
    waiting = keeper.request(covering=2)
    assert not waiting.signed.done()
    keeper.step()
    assert head_count(waiting.signed.result(0)) == 2
    ledger.close()
    assert error_code(lambda: keeper.request(covering=1)) == "closed"


def test_a_last_head_that_cannot_be_signed_is_told(
    ledger: Ledger, clock: Clock, seed: random.Random
) -> None:
    world = World(ledger, clock)
    with world.keeper as keeper:
        keeper.head()
        ledger.append_receipt(make_draft(seed))
        world.broken = StoreError("store-full", "no room")
    assert world.kinds == ["head-failed"]
    assert ledger.uncovered_since() is not None


def test_the_last_head_covers_what_came_last(
    ledger: Ledger, clock: Clock, seed: random.Random
) -> None:
    """HEAD-13."""
    with HeadKeeper(ledger, clock=clock) as keeper:
        keeper.head()
        ledger.append_receipt(make_draft(seed))
    assert head_count(ledger.latest_head()) == 2


def test_who_gave_up_is_not_answered(ledger: Ledger, clock: Clock) -> None:
    keeper = HeadKeeper(ledger, clock=clock)
    gone, closed = keeper.request(), keeper.request()
    for future in (gone.signed, gone.cosigned):
        assert future.cancel()
    keeper.step()
    assert head_count(closed.signed.result(0)) == 1
    other = keeper.request()
    assert other.signed.cancel()
    keeper.close()
    assert other.signed.cancelled()
    assert other.cosigned.result(0) is None
