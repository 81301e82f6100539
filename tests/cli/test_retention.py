"""`nous-ledger retention`, and the gateway's timer, as their user sees them."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.retention import DAY_MS
from tests.cli.harness import PROGRAM, ROOT, Call
from tests.integration.ledger_drafts import make_draft


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A log with two receipts of long ago and one of today."""
    today = time.time_ns() // 1_000_000
    seed = random.Random(8)
    now = [today - 10 * DAY_MS]
    folder = tmp_path / "ledger"
    with Ledger.create(folder, next_key_out=None, clock=lambda: now[0]) as made:
        made.append_many([make_draft(seed, time_ms=now[0]) for _ in range(2)])
        now[0] = today
        made.append_receipt(make_draft(seed, time_ms=today))
    return folder


def withheld(nous: Call, ledger: Path) -> int:
    found = nous("receipts", "list", "--ledger", ledger, "--json").good().json
    return int(found["totals"]["withheld"])


def test_on_demand(nous: Call, ledger: Path) -> None:
    retain = ("retention", "--ledger", ledger, "--bodies", 5)
    assert "would erase 2 bodies, and" in nous(*retain, "--dry-run").good().out
    assert withheld(nous, ledger) == 0
    found = nous(*retain, "--usage", 1, "--json").good().json
    expected = {"dry_run": False, "bodies": 2, "usage": 0, "records": 1, "finished": True}
    assert found == expected
    assert withheld(nous, ledger) == 2
    assert "erased 0 bodies, and the raw usage of 0 more" in nous(*retain).good().out
    nous("fsck", "--ledger", ledger).good()


def test_what_is_asked_wrongly(nous: Call, ledger: Path) -> None:
    nous("retention", "--ledger", ledger).failed(2, "--bodies DAYS")
    nous("retention", "--ledger", ledger, "--bodies", 0).failed(2, "--bodies")
    nous("retention", "--ledger", ledger / "no", "--usage", 1).failed(2, "not-a-ledger")


def test_the_gateway_erases_by_itself(nous: Call, ledger: Path) -> None:
    gateway = [*PROGRAM, "gateway", "--ledger", str(ledger), "--port", "0", "--json"]
    child = subprocess.Popen(
        [*gateway, "--retain-bodies", "5", "--retain-usage", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline().startswith("{")
        end = time.monotonic() + 20
        while withheld(nous, ledger) != 2:
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        child.terminate()
        said = child.communicate(timeout=30)[1]
    assert child.returncode == 0
    assert "erased 2 bodies" in said
    assert sys.executable == PROGRAM[0]
