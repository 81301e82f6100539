"""Nobody waits for ever: a thread that cannot start, a fork, the end, a careless callback."""

import os
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger, LedgerUseError, StoreError
from nous_ledger.ledger.guard import Guard
from nous_ledger.ledger.highwater import HighWater
from nous_ledger.protocol.errors import InputError
from tests.architecture.repository import ROOT
from tests.integration.ledger_drafts import make_draft

LAST_WORDS = """
import random, sys, threading
from nous_ledger.ledger import Ledger
from tests.integration.ledger_drafts import make_draft

ledger = Ledger.open(sys.argv[1])

def write():
    threading.main_thread().join()
    seed = random.Random(5)
    print(len(ledger.append_many([make_draft(seed) for _ in range(2100)])))
    ledger.close()

threading.Thread(target=write).start()
"""


def test_a_thread_that_could_not_start_is_started_by_the_next_caller(
    ledger: Ledger, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(StoreError) as caught:
            ledger.append(make_draft(seed))
    assert caught.value.code == "overloaded"
    assert ledger.submit_receipt(make_draft(seed)).result(10).index == 1


def test_a_fork_in_the_middle_of_a_write_waits_for_none_of_its_locks(
    ledger: Ledger, seed: random.Random
) -> None:
    ledger.append(make_draft(seed))
    with ledger._store.write(), ledger._turn:  # as the thread that commits holds them
        child = os.fork()
        if child == 0:  # pragma: no cover - in another process
            try:
                ledger.redact([1], "legal_order")
            except LedgerUseError as error:
                ledger.close()
                os._exit(0 if error.code == "other-process" else 2)
            os._exit(3)
        deadline = time.monotonic() + 20
        ended, status = 0, 0
        while not ended and time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.01)
        if not ended:
            os.kill(child, 9)
            os.waitpid(child, 0)
    assert (ended, status) == (child, 0)


def test_a_thread_may_append_after_the_main_thread_has_ended(ledger: Ledger, folder: Path) -> None:
    ledger.close()
    done = subprocess.run(
        [sys.executable, "-c", LAST_WORDS, str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"2100\n", b"")


def test_whoever_closes_second_waits_for_what_was_submitted(
    ledger: Ledger, seed: random.Random
) -> None:
    futures = [ledger.submit_receipt(make_draft(seed)) for _ in range(1500)]
    with ThreadPoolExecutor(2) as pool:
        for closing in [pool.submit(ledger.close) for _ in range(2)]:
            closing.result(30)
    assert [future.result(0).index for future in futures] == list(range(1, 1501))


class TestCallbacks:
    def test_one_that_waits_for_the_ledger_is_refused(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        errors: list[BaseException] = []

        def wait(_: Future[Any]) -> None:
            for work in (lambda: ledger.append(make_draft(seed)), ledger.head, ledger.close):
                try:
                    work()
                except InputError as error:
                    errors.append(error)

        ledger.submit_receipt(make_draft(seed)).add_done_callback(wait)
        assert ledger.append(make_draft(seed)).index == 2
        assert [getattr(error, "code", "") for error in errors] == ["input"] * 3

    def test_one_that_ends_its_thread_ends_nothing(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        first = ledger.submit_receipt(make_draft(seed))
        first.add_done_callback(lambda _: sys.exit(1))
        assert first.result(10).index == 1
        assert ledger.submit_receipt(make_draft(seed)).result(10).index == 2


def test_asking_whether_the_ledger_refuses_hides_no_mark(
    ledger: Ledger, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both write what is owed: neither may take the mark of the other for its own."""
    opened = Guard._opened

    def slowly(guard: Guard) -> HighWater:
        time.sleep(0.002)  # so that another thread runs between a look and what follows
        return opened(guard)

    monkeypatch.setattr(Guard, "_opened", slowly)
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            assert ledger.refusal is None

    with ThreadPoolExecutor(3) as pool:
        asking = [pool.submit(ask) for _ in range(3)]
        try:
            for index in range(1, 60):
                assert ledger.append(make_draft(seed)).index == index
        finally:
            over.set()
        for future in asking:
            future.result(10)
    assert ledger._guard is not None
    assert ledger._guard._opened().read().leaf_count == 60
