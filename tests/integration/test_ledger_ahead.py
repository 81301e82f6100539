"""Receipts that are at their places before their transaction begins: it may all turn out wrong."""

import asyncio
import os
import random
import signal
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from nous_ledger.ledger import Appended, Ledger, committer, signing_pool, signing_process
from nous_ledger.ledger.ahead import FRESH_MS, Ahead, PlacedGroup
from nous_ledger.ledger.aio import AsyncLedger
from nous_ledger.ledger.errors import LedgerUseError, StoreError
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.sequencer import Sequencer
from nous_ledger.ledger.signing_pool import Lending
from nous_ledger.ledger.sqlite_view import SqliteTransaction
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record
from tests.integration.ledger_audit import audit
from tests.integration.ledger_drafts import START_MS, Clock, make_draft, make_intent
from tests.integration.ledger_keys import Keys

LOGGED = 1 + 40
"""Leaves of `helped`."""
GROUP = 40
PLACED = 32


@pytest.fixture(autouse=True)
def started_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_pool, "_WORTH_PROCESS", 1)


def get_ready(ledger: Ledger, seed: random.Random) -> None:
    """Append until the process signs and it is known where the log stands."""
    ledger.append_many([make_draft(seed) for _ in range(20)])
    end = time.monotonic() + 30
    while not (ledger._pool._other and ledger._pool._other.is_ready()):
        assert time.monotonic() < end
        time.sleep(0.01)
    ledger.append_many([make_draft(seed) for _ in range(20)])
    assert ledger._ahead._known is not None


@pytest.fixture
def helped(ledger: Ledger, seed: random.Random) -> Ledger:
    get_ready(ledger, seed)
    return ledger


@pytest.fixture
def gone_on(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each group that was begun ahead, whether its transaction went on from there."""
    seen: list[bool] = []
    go_on = Sequencer._go_on

    def watched(own: Sequencer, *arguments: object) -> bool:
        seen.append(go_on(own, *arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(Sequencer, "_go_on", watched)
    return seen


class Gathering:
    """A group of which more is waited for until it has all of its receipts."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(committer, "_LINGER_S", 60.0)
        self._patch = monkeypatch
        assert ledger._committer is not None
        ledger._committer._last = GROUP + 5  # of which seven eighths and one are waited for
        self.ledger = ledger
        self.futures: list[Future[Appended]] = []

    def send(self, drafts: list[Receipt]) -> None:
        self.futures += [self.ledger.submit_receipt(draft) for draft in drafts]

    def placed(self) -> PlacedGroup | None:
        return self.ledger._ahead._open

    def settle(self) -> None:
        """Wait for what became of them; then groups end as they always do."""
        for future in self.futures:
            future.exception(30)
        self._patch.setattr(committer, "_LINGER_S", 0.0)

    def logged(self) -> list[Appended]:
        self.settle()
        return [future.result(30) for future in self.futures]


@pytest.fixture
def gathering(helped: Ledger, seed: random.Random, monkeypatch: pytest.MonkeyPatch) -> Gathering:
    """Most receipts of a group, at their places and partly signed, and not committed yet."""
    made = Gathering(helped, monkeypatch)
    made.send([make_draft(seed) for _ in range(GROUP - 5)])
    group = made.placed()
    assert group is not None
    assert len(group.batch.bodies) == PLACED
    return made


def end(gathering: Gathering, seed: random.Random, folder: Path) -> list[Appended]:
    """Send the rest; check that all of it is in the log once."""
    before = len(audit(folder).records)
    gathering.send([make_draft(seed) for _ in range(5)])
    logged = gathering.logged()
    found = audit(folder)
    assert [item.index for item in logged] == list(range(before, before + GROUP))
    assert all(found.records[item.index] == item.record for item in logged)
    assert all(found.bodies[item.index] == item.body for item in logged)
    gathering.ledger.append_many([make_draft(seed) for _ in range(30)])
    assert len(audit(folder).records) == before + GROUP + 30
    return logged


def test_a_transaction_goes_on_from_there(
    gathering: Gathering, gone_on: list[bool], seed: random.Random, folder: Path
) -> None:
    """REC-10, SUBJ-3."""
    end(gathering, seed, folder)
    assert gone_on == [True]


async def test_tasks_meet_in_groups_that_were_begun(
    helped: Ledger, folder: Path, gone_on: list[bool], seed: random.Random
) -> None:
    drafts = [[make_draft(seed) for _ in range(8)] for _ in range(40)]
    asynchronous = AsyncLedger(helped)

    async def produce(own: list[Receipt]) -> list[Appended]:
        return [await asynchronous.append(draft) for draft in own]

    done = await asyncio.gather(*map(produce, drafts))
    assert True in gone_on
    assert sorted(item.index for own in done for item in own) == [*range(LOGGED, LOGGED + 320)]
    assert len(audit(folder).receipts) == 40 + 320


def test_threads_meet_in_groups_that_were_begun(
    helped: Ledger, folder: Path, seed: random.Random
) -> None:
    drafts = [[make_draft(seed) for _ in range(8)] for _ in range(40)]
    threads = [
        threading.Thread(target=lambda own=own: [helped.append(draft) for draft in own])
        for own in drafts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(audit(folder).receipts) == 40 + 320


def test_another_process_may_have_written(
    gathering: Gathering, gone_on: list[bool], seed: random.Random, folder: Path, clock: Clock
) -> None:
    with Ledger.open(folder, clock=clock) as other:
        other.append_many([make_draft(seed) for _ in range(3)])
    end(gathering, seed, folder)
    assert gone_on == [False]
    assert gathering.ledger._ahead._rest > 0, "where others write, it is not tried every time"


def test_a_receipt_may_be_there_already(
    helped: Ledger, seed: random.Random, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = make_draft(seed)
    helped.append(known)
    get_ready(helped, seed)
    before = len(audit(folder).records)
    gathering = Gathering(helped, monkeypatch)
    drafts = [make_draft(seed) for _ in range(GROUP - 2)]
    gathering.send([*drafts[:3], known, *drafts[3:], drafts[20]])
    gathering.settle()
    outcomes = [future.exception() or future.result() for future in gathering.futures]
    refused = [item for item in outcomes if isinstance(item, LedgerUseError)]
    assert [error.code for error in refused] == ["duplicate-receipt"] * 2
    logged = [item.index for item in outcomes if isinstance(item, Appended)]
    assert logged == list(range(before, before + GROUP - 2))
    assert len(audit(folder).records) == before + GROUP - 2


@pytest.mark.parametrize("passed", [FRESH_MS + 1, -1])
def test_the_clock_may_have_moved(
    gathering: Gathering, seed: random.Random, folder: Path, clock: Clock, passed: int
) -> None:
    clock.now_ms += passed
    logged = end(gathering, seed, folder)
    times = {decode_record(item.record).logged_at for item in logged}
    assert times == {max(clock.now_ms, START_MS)}


def test_a_receipt_from_the_future_is_left_to_the_transaction(
    helped: Ledger, seed: random.Random, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gathering = Gathering(helped, monkeypatch)
    drafts = [make_draft(seed) for _ in range(GROUP)]
    drafts[10] = make_draft(seed, time_ms=START_MS + 400_000)
    gathering.send(drafts)
    logged = gathering.logged()
    assert [item.index for item in logged] == list(range(LOGGED, LOGGED + GROUP))
    assert logged[10].receipt.time == START_MS
    assert logged[10].receipt.anomalies is not None
    assert len(audit(folder).records) == LOGGED + GROUP


def test_a_call_may_begin_and_end_in_one_group(
    helped: Ledger, seed: random.Random, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intents = [make_intent(seed) for _ in range(12)]
    gathering = Gathering(helped, monkeypatch)
    calls = [helped.submit_call(intent) for intent in intents[:2]]
    gathering.send([make_draft(seed) for _ in range(6)])
    calls += [helped.submit_call(intent) for intent in intents[2:]]
    gathering.send([make_draft(seed) for _ in range(6)])
    gathering.send([make_draft(seed, id=intent.id) for intent in intents[:4]])
    gathering.send([make_draft(seed) for _ in range(GROUP - 16)])
    assert [call.result(30) for call in calls] == [None] * 12
    assert [item.index for item in gathering.logged()] == list(range(LOGGED, LOGGED + GROUP))
    found = audit(folder)
    assert found.intents == {intent.id for intent in intents[4:]}


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_the_process_may_fail(
    gathering: Gathering,
    seed: random.Random,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    blow: signal.Signals,
) -> None:
    monkeypatch.setattr(signing_process, "_PATIENCE_S", 0.2)
    process = gathering.ledger._pool._other
    assert process is not None
    os.kill(process._process.pid, blow)
    end(gathering, seed, folder)
    assert gathering.ledger._pool._alone


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_whoever_begins_may_be_interrupted(
    helped: Ledger,
    seed: random.Random,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: type[BaseException],
) -> None:
    """What was lent in that moment, nobody knows: none of it is used."""
    gathering = Gathering(helped, monkeypatch)
    gathering.send([make_draft(seed) for _ in range(20)])
    lend = Lending.lend_ahead

    def interrupted(own: Lending, until: int) -> None:
        lend(own, until)
        own._lent.pop()  # as if it had not been noted yet
        raise error

    draft = make_draft(seed)
    with monkeypatch.context() as patched:
        patched.setattr(Lending, "lend_ahead", interrupted)
        gathering.send([make_draft(seed) for _ in range(3)])
        if error is KeyboardInterrupt:
            with pytest.raises(KeyboardInterrupt):
                helped.submit_receipt(draft)
        else:
            gathering.send([draft])
    gathering.send([make_draft(seed) for _ in range(GROUP - 24)])
    gathering.logged()
    assert helped.find_receipt(draft.id) is not None
    assert len(audit(folder).records) == LOGGED + GROUP


@pytest.mark.parametrize("method", ["find_receipts", "add_receipts", "add_records"])
def test_the_store_may_fail(
    gathering: Gathering,
    seed: random.Random,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
) -> None:
    """An answer that nobody took would be taken for that to the next group."""
    ledger = gathering.ledger
    with monkeypatch.context() as patched:
        patched.setattr(SqliteTransaction, method, _full)
        gathering.send([make_draft(seed) for _ in range(5)])
        gathering.settle()
    assert {type(future.exception()) for future in gathering.futures} == {StoreError}
    get_ready(ledger, seed)
    assert len(audit(folder).records) == LOGGED + 40


def test_the_transaction_may_not_even_begin(
    gathering: Gathering, seed: random.Random, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = gathering.ledger
    with monkeypatch.context() as patched:
        patched.setattr(ledger._guarding(), "_seen", StoreError("store-unconfirmed", "no"))
        gathering.send([make_draft(seed) for _ in range(5)])
        gathering.settle()
    assert {type(future.exception()) for future in gathering.futures} == {StoreError}
    get_ready(ledger, seed)
    assert len(audit(folder).records) == LOGGED + 40


def _full(*_: object) -> None:
    raise StoreError("store-full", "the disk is full")


def test_keys_may_have_changed(
    rotating: Ledger,
    folder: Path,
    seed: random.Random,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    get_ready(rotating, seed)
    gathering = Gathering(rotating, monkeypatch)
    gathering.send([make_draft(seed) for _ in range(GROUP - 5)])
    rotating.rotate(keys[0], next_key_out=keys[1])
    gathering.send([make_draft(seed) for _ in range(5)])
    logged = gathering.logged()
    assert [item.index for item in logged] == list(range(44, 44 + GROUP))
    assert {decode_record(item.record).epoch for item in logged} == {1}
    assert fsck(folder).fault_count == 0


def test_a_ledger_that_is_closed_logs_what_was_begun(gathering: Gathering, folder: Path) -> None:
    gathering.ledger.close()
    assert len(gathering.logged()) == GROUP - 5
    assert len(audit(folder).records) == LOGGED + GROUP - 5


def test_nothing_is_begun_while_a_group_is_under_way(helped: Ledger) -> None:
    ahead: Ahead = helped._ahead
    ahead.close()
    ahead.look_at([(object(), None)] * 20, 512)  # type: ignore[list-item]
    assert ahead._open is None
