"""Measure the sentinel against the cryptography that it cannot do without, and against itself.

first-pass  records audited per second, everything remembered, from a published folder of
            receipts of 10^4 subjects, against bare `recover` in two threads
round       one round over 1,000 new records at this length, against the same in a log
            that is ten or a hundred times shorter
memory      most that the audit held: this process and those that share its work

They depend on the length of the log, and their names say at which it was measured. A
log of 10^6 leaves takes minutes to make: only `--full` measures there, and keeps the
log in bench/.cache for the next time.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench._harness import Figure, Timed, Unit, compare_rates, run
from bench._ledger_load import TOGETHER, make_drafts
from bench.ledger import CACHE, FULL, LONG, bare_recover
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from nous_ledger.protocol.policy import parse_policy
from sentinel.log_audit import LogAudit
from sentinel.log_options import Options
from sentinel.report import Outcome, RoundReport
from sentinel.sources import open_source
from sentinel.state import State
from sentinel.workers import processors

SUBJECTS = 10_000
SHORT = 10_000
NEW = 1_000
_LOOK_S = 0.2
_FIGURES: tuple[tuple[str, Unit, str], ...] = (
    ("first-pass", "1/s", ">= 0.5"),
    ("round", "ms", "<= 1.3"),
    ("memory", "MB", "<= 150"),
)


def grow(base: Path, leaves: int) -> None:
    """Let a log have so many leaves, under a signed head, in a published folder."""
    with _open(base) as ledger:
        while missing := leaves - ledger.leaf_count():
            ledger.append_many(make_drafts(min(missing, TOGETHER), subjects=SUBJECTS))
        ledger.head()
        (base / "policy").write_bytes(ledger.policy_text())
    publish(base / "ledger", base / "public", all_bodies=True)


def _open(base: Path) -> Ledger:
    if (base / "ledger").is_dir():
        return Ledger.open(base / "ledger")
    base.mkdir(parents=True, exist_ok=True)
    return Ledger.create(base / "ledger", next_key_out=None)


def look(base: Path, state_file: Path) -> tuple[RoundReport, float]:
    """Return one round with everything opened anew, and the seconds that it took."""
    policy = parse_policy((base / "policy").read_bytes())
    options = Options(policy=policy, origin=policy.logs[0].vkey.name, processes=processors())
    started = time.perf_counter()
    with open_source(str(base / "public")) as source, State.held(state_file) as state:
        report = LogAudit(state, source, options).round()
    took = time.perf_counter() - started
    assert report.outcome is Outcome.GOOD, "the benchmark's own log is not good"
    return report, took


def audit_apart(base: Path, state_file: Path) -> tuple[int, float, float]:
    """Return what the command itself needs for a log that it never saw.

    Returns:
        Records audited, seconds of the round in which that was done, the start of the
        processes that share it included, and the most MB that all of them held.
    """
    for file in state_file.parent.glob(f"{state_file.name}*"):
        file.unlink()
    command = [sys.executable, "-m", "sentinel", str(base / "public"), "--json"]
    command += ["--policy", str(base / "policy"), "--state", str(state_file)]
    most = 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        while child.poll() is None:
            most = max(most, sum(map(_held_mb, _family(child.pid))))
            time.sleep(_LOOK_S)
        assert child.stdout is not None
        report = json.loads(child.stdout.read().splitlines()[-1])
    assert report["outcome"] == "good", "the benchmark's own log is not good"
    return report["audited"], report["took_s"], most


def _copy(base: Path, state_file: Path, to: Path) -> tuple[Path, Path]:
    """Return a log and its sentinel's memory that may grow, and leave the kept ones as they are."""
    shutil.copytree(base, to, copy_function=_link)
    for name in ("ledger", "public/checkpoint", "policy"):
        kept, mine = base / name, to / name
        if kept.is_dir():
            shutil.rmtree(mine)
            shutil.copytree(kept, mine)
        else:
            mine.unlink()
            shutil.copy2(kept, mine)
    with suppress(FileNotFoundError):
        shutil.copy2(f"{state_file}-wal", to / "state.sqlite-wal")
    shutil.copy2(state_file, to / "state.sqlite")
    return to, to / "state.sqlite"


def _link(source: str, target: str) -> str:
    os.link(source, target)
    return target


def _rounds(base: Path, state_file: Path) -> Timed:
    """Return rounds over new records by CPU time: the disk is not what grows with the log."""

    def audit() -> tuple[int, float]:
        with Ledger.open(base / "ledger") as ledger:
            leaves = ledger.leaf_count() + NEW
        grow(base, leaves)
        started = time.process_time()
        report, _ = look(base, state_file)
        assert report.new == NEW
        return 1, time.process_time() - started

    return audit


def _family(pid: int) -> list[int]:
    """Return a process and all that it started, and that these started."""
    found = [pid]
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in file.read_text().split():
                found += _family(int(child))
    return found


def _held_mb(pid: int) -> float:
    """Return the memory of a process, what it shares with others counted in parts."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def measure_length(
    name: str, base: Path, short: Path, seconds: float, folder: Path
) -> list[Figure]:
    """Return the figures of a log of some length."""
    states = folder / f"{name}.sqlite", folder / f"{name}-short.sqlite"
    held: list[float] = []

    def first_pass() -> tuple[int, float]:
        records, took, most = audit_apart(base, states[0])
        held.append(most)
        return records, took

    first = compare_rates(first_pass, bare_recover(), seconds=seconds / 2, long=True)
    audit_apart(short, states[1])
    grown = _copy(base, states[0], folder / f"{name}-grown")
    beside = _copy(short, states[1], folder / f"{name}-beside")
    rounds = compare_rates(_rounds(*grown), _rounds(*beside), seconds=seconds / 2)
    memory = max(held)
    return [
        first.rate(f"first-pass-{name}", at_least=0.5),
        rounds.time(f"round-{name}", at_most=1.3, unit="ms"),
        Figure(name=f"memory-{name}", value=memory, unit="MB", bound="<= 150", holds=memory <= 150),
    ]


def prepare(base: Path, leaves: int) -> Path:
    """Return a folder with a published log of so many leaves, made if it is not there."""
    if not (base / "made.json").exists():
        shutil.rmtree(base, ignore_errors=True)
        grow(base, leaves)
        (base / "made.json").write_text(json.dumps(leaves), "ascii")
    return base


def _in_temporary_folder(measure: Callable[[Path], list[Figure]]) -> list[Figure]:
    CACHE.mkdir(exist_ok=True)  # beside the kept logs, so that files can be linked
    with tempfile.TemporaryDirectory(prefix="nous-sentinel-bench-", dir=CACHE) as folder:
        return measure(Path(folder))


def measure(seconds: float) -> list[Figure]:
    """Return the figures at 10^5 leaves."""

    def here(folder: Path) -> list[Figure]:
        short, long = prepare(folder / "1e4", SHORT), prepare(folder / "1e5", LONG)
        return measure_length("1e5", long, short, seconds, folder)

    return _in_temporary_folder(here) + [
        Figure(name=f"{name}-1e6", value=None, unit=unit, bound=bound)
        for name, unit, bound in _FIGURES
    ]


def measure_fully(seconds: float) -> list[Figure]:
    """Return the same, and those at 10^6 leaves too."""

    def here(folder: Path) -> list[Figure]:
        short, long = prepare(folder / "1e4", SHORT), prepare(CACHE / "sentinel-1e6", FULL)
        return measure_length("1e6", long, short, seconds / 2, folder)

    return measure(seconds / 2)[: -len(_FIGURES)] + _in_temporary_folder(here)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="nous-sentinel-bench-") as xdg:
        os.environ["XDG_STATE_HOME"] = xdg  # these logs' keys are nobody else's business
        sys.exit(run(measure, measure_fully))
