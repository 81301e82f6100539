"""`nous-ledger audit`: streams of receipts, from a real ledger (AUD-11, AUD-12)."""

import contextlib
import json
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from tests.cli.harness import PROGRAM, Call
from tests.cli.sample import START_MS, Clock, make_draft
from tests.integration.stream_receipts import exact_usage


def draft(seed: random.Random, counted: int, reported: int, **changes: Any) -> Any:
    return make_draft(seed, START_MS, **(exact_usage(counted, reported) | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ledger whose first model is honest and whose second reports a tenth too much."""
    seed, place = random.Random(3), tmp_path / "ledger"
    with Ledger.create(place, next_key_out=None, clock=Clock()) as ledger:
        for _ in range(30):
            counted = seed.randint(100, 300)
            ledger.append(draft(seed, counted, counted, model_served="honest"))
            ledger.append(draft(seed, counted, counted + counted // 10, model_served="greedy"))
        ledger.append(make_draft(seed, START_MS, model_served="honest"))
    return place


def test_a_table_for_people(nous: Call, folder: Path) -> None:
    found = nous("audit", "--ledger", folder)
    assert found.code == 1
    honest, greedy = (line.split() for line in found.out.splitlines()[1:3])
    assert (honest[2], honest[-1]) == ("honest", "consistent")
    assert (greedy[2], greedy[-1]) == ("greedy", "over-reported")
    assert "stream 2: reported tokens go beyond the re-count" in found.out
    assert "Assumed: the allowances were calibrated on English chat" in found.out
    assert "fraud" not in found.out


def test_json_has_every_parameter(nous: Call, folder: Path) -> None:
    found = nous("audit", "--ledger", folder, "--json")
    assert found.code == 1
    result = json.loads(found.out)
    honest, greedy = result["streams"]
    assert result["alpha"] == 0.001
    assert len(result["assumptions"]) == 4
    assert (honest["receipts"], honest["offsets"], honest["level"]) == (30, [0, 1], 2_000.0)
    assert (honest["state"], honest["excess"], honest["remarks"]) == ("consistent", 0.0, [])
    assert honest["output_tokens"] == honest["sampled_tokens"] + 45  # one receipt is BOUNDED
    assert greedy["level"] == 6_000.0
    assert greedy["over_at"] > 0
    assert 0 < greedy["excess"] <= 0.1


def test_a_larger_alpha_needs_less(nous: Call, folder: Path) -> None:
    found = json.loads(nous("audit", "--ledger", folder, "--json", "--alpha", "0.05").out)
    assert [stream["level"] for stream in found["streams"]] == [40.0, 120.0]
    nous("audit", "--ledger", folder, "--alpha", "0").failed(2, "--alpha")


def test_nothing_to_audit(nous: Call, tmp_path: Path) -> None:
    Ledger.create(tmp_path / "ledger", next_key_out=None, clock=Clock()).close()
    found = nous("audit", "--ledger", tmp_path / "ledger")
    assert (found.code, found.out) == (
        0,
        "no receipt has an EXACT count: there is nothing to audit\n",
    )


def test_too_many_and_too_few_blame_nobody(nous: Call, tmp_path: Path) -> None:
    seed = random.Random(5)
    with Ledger.create(tmp_path / "ledger", next_key_out=None, clock=Clock()) as ledger:
        for sign in (1, -1) * 20:
            ledger.append(draft(seed, 200, 200 + 50 * sign))
        ledger.append(draft(seed, 100, 400))
    found = nous("audit", "--ledger", tmp_path / "ledger")
    assert found.code == 1
    assert "nothing can be said of the provider" in found.out
    assert "receipts far beyond their re-count by themselves: 1" in found.out


def test_watching(folder: Path) -> None:
    """New receipts are taken as they come; what is shown is what a new audit would show."""
    command = [*PROGRAM, "audit", "--ledger", str(folder), "--watch", "--interval", "1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        first = json.loads(child.stdout.readline())
        with Ledger.open(folder, clock=lambda: time.time_ns() // 1_000_000) as ledger:
            ledger.append(draft(random.Random(9), 150, 150, model_served="honest"))
        second = json.loads(child.stdout.readline())
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=20) == 130
    counts = [[stream["receipts"] for stream in shown["streams"]] for shown in (first, second)]
    assert counts == [[30, 30], [31, 30]]


def test_it_goes_on_from_what_it_kept(nous: Call, folder: Path, tmp_path: Path) -> None:
    """The second call reads what is new alone, and shows what a first pass would."""
    kept = tmp_path / "streams.state"
    first = json.loads(nous("audit", "--ledger", folder, "--state", kept, "--json").out)
    with Ledger.open(folder, clock=lambda: time.time_ns() // 1_000_000) as ledger:
        ledger.append(draft(random.Random(9), 150, 150, model_served="honest"))
    second = json.loads(nous("audit", "--ledger", folder, "--state", kept, "--json").out)
    assert second["records"] == first["records"] + 1
    assert second == json.loads(nous("audit", "--ledger", folder, "--json").out)
    assert json.loads(kept.read_text())["upto"] == second["records"]
    other = nous("audit", "--ledger", folder, "--state", kept, "--json", "--alpha", "0.01")
    assert json.loads(other.out)["alpha"] == 0.01
    nous("audit", "--ledger", folder, "--state", tmp_path).failed(3, "cannot be read")


def test_everything_is_stated(nous: Call, folder: Path) -> None:
    """Parameters, assumptions, blind spots, coverage, and what could not be read (AUD-11)."""
    with Ledger.open(folder, clock=lambda: time.time_ns() // 1_000_000) as ledger:
        ledger.redact([1, 2], reason="retention")
    shown = nous("audit", "--ledger", folder).out
    for part in (
        "2 receipts could not be read, and nothing is said of them",
        "58 samples of 59 receipts, ",
        "alpha 0.001 over all streams, kappa 0.02, rho 0.001, kappa_under 0.02",
        "Not seen: exactly one token too many on every call",
    ):
        assert part in shown
    found = json.loads(nous("audit", "--ledger", folder, "--json").out)
    assert (found["unread_receipts"], found["samples"]) == (2, 58)
    assert len(found["parameters"]["ladder"]) == 17


def test_a_narrow_terminal_gets_a_list(folder: Path) -> None:
    """No line of a table is broken; the same values stand under each other."""
    for columns, first in ((200, "stream  provider"), (60, "stream 1: consistent")):
        lines = on_a_terminal(columns, [*PROGRAM, "audit", "--ledger", str(folder)])
        assert lines[0].startswith(first)
        assert any("over-reported" in line for line in lines)


def on_a_terminal(columns: int, command: list[str]) -> list[str]:
    """Return what a command shows on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, columns))
    env = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=env) as child:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 4_096):
                shown += part
        assert child.wait(timeout=20) == 1
    os.close(ours)
    return shown.decode().splitlines()


def test_no_tokenizer_is_needed(folder: Path) -> None:
    """A machine without any shows the same: all evidence was fixed with the receipts."""
    program = (
        "import sys; from nous_ledger.cli.main import run;"
        f"code = run(['audit', '--ledger', {str(folder)!r}, '--json']);"
        "loaded = [m for m in sys.modules if 'tiktoken' in m or m.startswith('nous_ledger.reco')];"
        "sys.exit(code if not loaded else repr(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert len(json.loads(done.stdout)["streams"]) == 2
