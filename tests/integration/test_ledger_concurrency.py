"""Threads and processes on one file: one log, whole chains, heads that agree."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.committer import GroupCommitter
from nous_ledger.ledger.fsck import fsck
from nous_ledger.protocol.errors import LedgerError
from tests.architecture.repository import ROOT
from tests.integration.ledger_audit import audit, check_head, head_count, head_time
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft, make_intent
from tests.integration.ledger_sqlite import connection_of

WRITER = Path(__file__).with_name("ledger_writer.py")


def start_writer(folder: Path, seed: int, *, threads: int, calls: int) -> "subprocess.Popen[bytes]":
    """Start a process that writes to a ledger."""
    arguments = [str(folder), str(seed), str(threads), str(calls)]
    return subprocess.Popen(
        [sys.executable, str(WRITER), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _run_all(*works: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(works)) as pool:
        for future in [pool.submit(work) for work in works]:
            future.result(60)


def test_one_subject_may_write_from_many_threads(ledger: Ledger, folder: Path) -> None:
    def write(number: int) -> None:
        seed = random.Random(number)
        for _ in range(15):
            ledger.append_receipt(make_draft(seed, subject=b"\x07" * 32))

    _run_all(*(lambda number=number: write(number) for number in range(8)))
    assert len(audit(folder).receipts) == 120


def test_ledgers_that_take_turns_continue_each_other(
    ledger: Ledger, folder: Path, clock: Clock
) -> None:
    """SUBJ-3: what one knew at its last record does not hold once the other wrote."""
    seed = random.Random(5)
    subjects = [bytes([number]) * 32 for number in range(3)]
    with Ledger.open(folder, clock=clock) as other:
        for turn in (ledger, other, other, ledger, ledger, other, ledger):
            for subject in subjects:
                turn.append(make_draft(seed, subject=subject))
        ledger.redact([2], "legal_order")
        ledger.append(make_draft(seed, subject=subjects[0]))
    report = fsck(folder)
    assert (report.leaf_count, report.faults) == (24, ())  # genesis, 21 + 1 receipts, redaction


def test_two_ledgers_on_one_file_agree_on_every_head(
    ledger: Ledger, folder: Path, clock: Clock
) -> None:
    """HEAD-15: whoever signs first decides; nobody signs the same leaves otherwise."""
    notes: list[bytes] = []
    with Ledger.open(folder, clock=clock) as other:

        def write(mine: Ledger, number: int) -> None:
            seed = random.Random(number)
            for _ in range(25):
                mine.append_receipt(make_draft(seed))
                clock.now_ms += 7
                notes.append(mine.head())

        _run_all(
            lambda: write(ledger, 1),
            lambda: write(ledger, 2),
            lambda: write(other, 3),
            lambda: write(other, 4),
        )
    found = audit(folder)
    assert len(found.records) == 101
    log = (ledger.log_id, ORIGIN, ledger._identity.secp256k1)
    for note in notes:
        check_head(note, found.leaves[: head_count(note)], log)
    ordered = sorted((head_count(note), head_time(note)) for note in notes)
    assert [time for _, time in ordered] == sorted(time for _, time in ordered)


def test_a_key_event_that_the_log_does_not_bear_out_stops_every_writer(
    ledger: Ledger, folder: Path, seed: random.Random
) -> None:
    """Nothing is signed while it is not clear which epoch is in force."""
    with ledger._store.write() as transaction:
        connection_of(transaction).execute("INSERT INTO key_events VALUES (1)")
    with pytest.raises(LedgerError) as caught:
        ledger.append_receipt(make_draft(seed))
    assert caught.value.code == "store-corrupt"
    assert ledger.leaf_count() == 1


def test_too_many_at_once_get_an_error(
    ledger: Ledger, folder: Path, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger._committer = GroupCommitter(ledger._run, max_waiting=4)
    drafts = [make_draft(seed) for _ in range(40)]
    with ledger._store.write():  # somebody holds the file: nothing can be committed
        taken = [ledger.submit_receipt(draft) for draft in drafts[:4]]
        codes = set()
        for draft in drafts[4:]:
            try:
                taken.append(ledger.submit_receipt(draft))
            except LedgerError as error:
                codes.add(error.code)
        assert codes == {"overloaded"}
        assert len(taken) <= 8  # four that wait, and at most as many that the thread took
    indices = [future.result(10).index for future in taken]
    assert indices == list(range(1, len(taken) + 1))
    audit(folder)


def test_closing_waits_for_what_was_submitted(
    ledger: Ledger, folder: Path, seed: random.Random
) -> None:
    futures = [ledger.submit_receipt(make_draft(seed)) for _ in range(30)]
    ledger.close()
    assert [future.result(0).index for future in futures] == list(range(1, 31))
    assert len(audit(folder).receipts) == 30
    for work in (lambda: ledger.append_receipt(make_draft(seed)), ledger.head, ledger.leaf_count):
        with pytest.raises(LedgerError, match="closed"):
            work()
    ledger.close()


def test_a_fork_of_the_process_may_not_use_the_ledger(
    ledger: Ledger, folder: Path, seed: random.Random
) -> None:
    ledger.append_receipt(make_draft(seed))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child, which ends here
        codes = []
        for work in (
            lambda: ledger.append_receipt(make_draft(seed)),
            lambda: ledger.begin_call(make_intent(seed)),
            ledger.leaf_count,
        ):
            try:
                work()
            except LedgerError as error:
                codes.append(error.code)
        ledger.close()
        os.write(writing, " ".join(codes).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read().split() == [b"other-process"] * 3
    assert os.waitpid(child, 0)[1] == 0
    ledger.append_receipt(make_draft(seed))
    assert len(audit(folder).receipts) == 2
