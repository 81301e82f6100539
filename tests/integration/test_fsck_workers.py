"""The processes that share a check: what they find, and what happens when they do not."""

import random
import socket
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, fsck_workers
from nous_ledger.ledger import fsck as fsck_module
from nous_ledger.ledger.errors import StoreError
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.fsck_leaves import LeafJob, check_leaves
from nous_ledger.ledger.fsck_worker import read_message, serve, write_message
from nous_ledger.protocol.batch import WORTH_TOGETHER
from nous_ledger.protocol.types import Hash32, LogId
from tests.integration.ledger_damage import alter, flip
from tests.integration.ledger_drafts import Clock, make_draft


@pytest.fixture
def closed(
    folder: Path, clock: Clock, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a ledger that is worth processes, of which a record is damaged."""
    monkeypatch.setattr(fsck_module, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(fsck_module, "_AT_A_TIME", 2)
    with Ledger.create(folder, next_key_out=None, clock=clock) as ledger:
        ledger.append_many([make_draft(seed) for _ in range(40)])
    alter(folder, flip("records", "leaf", "record", 60, row=7))
    return folder


def test_more_jobs_than_processes_come_back_in_order(closed: Path) -> None:
    assert fsck(closed, processes=3) == fsck(closed)
    assert fsck(closed, processes=1).fault_count == 2


def test_wrong_signatures_among_many(
    folder: Path, clock: Clock, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are checked together are refused together, and the wrong ones named alone."""
    with Ledger.create(folder, next_key_out=None, clock=clock) as ledger:
        ledger.append_many([make_draft(seed) for _ in range(2 * WORTH_TOGETHER)])
    assert fsck(folder).faults == ()
    alter(folder, flip("records", "leaf", "record", 60, row=300))
    alter(folder, flip("records", "leaf", "record", 119, row=7))  # the recovery id
    report = fsck(folder)
    places = {(fault.code, fault.index) for fault in report.faults if fault.table == "records"}
    assert places == {("mismatch", 7), ("mismatch", 300)}
    monkeypatch.setattr(fsck_module, "WORTH_PROCESSES", 1)
    assert fsck(folder, processes=2) == report


def test_a_process_that_ends_cuts_the_check_short(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "program.py").write_text("raise SystemExit(3)\n", "ascii")
    monkeypatch.setattr(fsck_workers, "_PROGRAM", tmp_path / "program.py")
    with pytest.raises(StoreError) as caught:
        fsck(closed, processes=2)
    assert caught.value.code == "check-cut-short"


def test_a_process_that_does_not_end_is_ended(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "import os, sys, time\nfor n in sys.argv[1:]: os.close(int(n))\ntime.sleep(60)\n"
    (tmp_path / "program.py").write_text(text, "ascii")
    monkeypatch.setattr(fsck_workers, "_PROGRAM", tmp_path / "program.py")
    monkeypatch.setattr(fsck_workers, "_PATIENCE_S", 0.05)
    with pytest.raises(StoreError) as caught:
        fsck(closed, processes=2)
    assert caught.value.code == "check-cut-short"


@pytest.mark.parametrize("program", ["", "/nowhere/python"])
def test_threads_check_where_no_process_starts(
    closed: Path, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert fsck(closed, processes=2) == fsck(closed)


def test_a_process_answers_until_its_socket_ends(closed: Path) -> None:
    with closing(sqlite3.connect(closed / "ledger.db")) as connection:
        rows = connection.execute(
            "SELECT leaf, record, body, NULL FROM records JOIN bodies USING (leaf)"
        ).fetchall()
    log_id = LogId(Hash32(bytes(32)))
    job = LeafJob(log_id=log_id, eras=(), rows=tuple(rows))
    ours, theirs = socket.socketpair()
    with theirs:
        serving = threading.Thread(target=serve, args=(theirs,))
        serving.start()
        with ours:
            write_message(ours, job)
            write_message(ours, job)
            assert read_message(ours) == tuple(check_leaves(job))
            assert read_message(ours) == tuple(check_leaves(job))
            ours.shutdown(socket.SHUT_WR)
            serving.join()
