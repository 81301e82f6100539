"""Measure a candidate against its baseline in one run, and print figures as one JSON object.

A benchmark is a module `bench/NAME.py` that ends with

    if __name__ == "__main__":
        sys.exit(run(measure))

where `measure(seconds)` returns its figures, spending about that many seconds in all.
`scripts/bench NAME` runs it.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Literal

DEFAULT_SECONDS = 30.0
FULL_SECONDS = 300.0
_BATCH_SECONDS = 0.01
_LEAST_ROUNDS = 5
_BESIDE_S = 1.0
_LEAST_LONG_ROUNDS = 3
_LONG_S = 15.0

Timed = Callable[[], tuple[int, float]]
"""Does some work; returns how many units of it, and the seconds that they took."""
Unit = Literal["1/s", "s", "ms", "us", "B", "MB"]
_PER_SECOND: dict[Unit, float] = {"s": 1.0, "ms": 1e3, "us": 1e6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value, what it is held against, and whether the bound holds.

    Attributes:
        name: What was measured.
        value: The candidate's figure, in `unit`; None if it was not measured in this run.
        unit: `1/s` for a rate, B or MB for a size, else a time per call.
        baseline: The baseline's figure of the same run, in `unit`; None if there is none.
        ratio: value / baseline; where both were measured in turns, the median of what the
            rounds gave.
        bound: What the ratio must satisfy, such as `>= 0.5`; without a baseline, what the
            value must; empty if nothing is asked of it.
        holds: Whether it does; None if that cannot be said.
        reason: Why it was not measured; empty if it was, or if `--full` measures it.
    """

    name: str
    value: float | None
    unit: Unit
    baseline: float | None = None
    ratio: float | None = None
    bound: str = ""
    holds: bool | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Median time per call of a candidate and of its baseline, in seconds.

    Attributes:
        candidate: Of the candidate.
        baseline: Of the baseline.
        quotient: The first by the second; None for exactly that, else the median of what the
            rounds gave.
    """

    candidate: float
    baseline: float
    quotient: float | None = None

    def rate(self, name: str, *, at_least: float) -> Figure:
        """Return calls per second, bounded from below by a share of the baseline's."""
        ratio = 1 / self._quotient()
        return Figure(
            name=name,
            value=1 / self.candidate,
            unit="1/s",
            baseline=1 / self.baseline,
            ratio=ratio,
            bound=f">= {at_least:g}",
            holds=ratio >= at_least,
        )

    def time(self, name: str, *, at_most: float, unit: Unit = "us") -> Figure:
        """Return the time per call, bounded from above by a multiple of the baseline's."""
        ratio = self._quotient()
        return Figure(
            name=name,
            value=self.candidate * _PER_SECOND[unit],
            unit=unit,
            baseline=self.baseline * _PER_SECOND[unit],
            ratio=ratio,
            bound=f"<= {at_most:g}",
            holds=ratio <= at_most,
        )

    def _quotient(self) -> float:
        return self.candidate / self.baseline if self.quotient is None else self.quotient


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Keep the collector from charging one side for what the other left behind."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _cpu_seconds(call: Callable[[], object], times: int) -> float:
    """Return the CPU time of `times` calls, which other processes lengthen little."""
    started = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - started) / 1e9


def _batch_size(call: Callable[[], object]) -> int:
    """Return how many calls take about 10 ms; warms the call up on the way."""
    times = 1
    while (took := _cpu_seconds(call, times)) < _BATCH_SECONDS / 2:
        times *= 2
    return max(1, round(times * _BATCH_SECONDS / took))


def compare(
    candidate: Callable[[], object], baseline: Callable[[], object], *, seconds: float
) -> Comparison:
    """Return the median CPU times per call, measured in turns.

    Each round runs a batch of both, the second first in every other round, so that a drift of the
    machine's clock or load meets both alike; what they are to each other is the median of the
    rounds' quotients, as `compare_rates` says.

    Args:
        candidate: What is measured; its result is discarded.
        baseline: What it is measured against.
        seconds: How long to measure; at least five rounds are run.
    """
    sides = [(candidate, _batch_size(candidate)), (baseline, _batch_size(baseline))]
    taken: tuple[list[float], list[float]] = ([], [])
    ends = time.monotonic() + seconds
    with _no_garbage_collection():
        while time.monotonic() < ends or len(taken[0]) < _LEAST_ROUNDS:
            first = len(taken[0]) % 2
            for side in (first, 1 - first):
                call, times = sides[side]
                taken[side].append(_cpu_seconds(call, times) / times)
    return _of_rounds([*zip(*taken, strict=True)])


def compare_rates(
    candidate: Timed, baseline: Timed, *, seconds: float, long: bool = False
) -> Comparison:
    """Return the median times per unit of work by the clock on the wall, measured in turns.

    For work that several threads share or that waits for a disk, of which CPU time says little.

    A machine that others share is now fast and now slow, by a factor of two and for seconds at
    a time. So a round runs both sides once, one right after the other, the second first in
    every other round, and gives one quotient; what counts is the median of these. What is slow
    for a while then meets both sides of a round alike, where the quotient of two medians
    could set a slow moment of one side against a fast one of the other. The median favours
    neither side: turned round, the same measurement gives the reciprocal.

    Args:
        candidate: What is measured.
        baseline: What it is measured against.
        seconds: How long to measure; at least five rounds are run.
        long: Whether one run of the candidate takes seconds. The baseline is then measured
            for a second before and after it, since on a shared machine a short moment says
            little of a long one, and three rounds will do; one, if it takes a quarter of a
            minute.
    """
    for side in (baseline,) if long else (candidate, baseline):
        side()  # The first run makes threads and fills caches.
    if long:
        return _compare_long(candidate, baseline, seconds=seconds)
    rounds: list[tuple[float, float]] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or len(rounds) < _LEAST_ROUNDS:
        if len(rounds) % 2:
            beside, took = _per_unit(baseline()), _per_unit(candidate())
        else:
            took, beside = _per_unit(candidate()), _per_unit(baseline())
        rounds.append((took, beside))
    return _of_rounds(rounds)


def _of_rounds(rounds: Sequence[tuple[float, float]]) -> Comparison:
    return Comparison(
        candidate=statistics.median([took for took, _ in rounds]),
        baseline=statistics.median([beside for _, beside in rounds]),
        quotient=statistics.median([took / beside for took, beside in rounds]),
    )


def _compare_long(candidate: Timed, baseline: Timed, *, seconds: float) -> Comparison:
    rounds: list[tuple[float, float]] = []
    started = time.monotonic()
    before = statistics.median(_runs(baseline))
    while not rounds or _has_time(len(rounds), started, seconds):
        took = _per_unit(candidate())
        after = statistics.median(_runs(baseline))
        rounds.append((took, (before + after) / 2))
        before = after
    return _of_rounds(rounds)


def _has_time(rounds: int, started: float, seconds: float) -> bool:
    """Return whether another long round follows some others."""
    taken = time.monotonic() - started
    return taken < seconds or (rounds < _LEAST_LONG_ROUNDS and taken < rounds * _LONG_S)


def _runs(side: Timed) -> list[float]:
    ends = time.monotonic() + _BESIDE_S
    runs = [_per_unit(side())]
    while time.monotonic() < ends:
        runs.append(_per_unit(side()))
    return runs


def _per_unit(run: tuple[int, float]) -> float:
    units, took = run
    return took / units


def _command_cpu_seconds(command: Sequence[str]) -> float:
    """Return the CPU time of a finished process; raise CalledProcessError if it failed."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise subprocess.CalledProcessError(process.returncode, command)
    return usage.ru_utime + usage.ru_stime


def compare_commands(
    candidate: Sequence[str],
    baseline: Sequence[str],
    *,
    without: Sequence[str] | None = None,
    seconds: float,
) -> Comparison:
    """Return the median CPU times of two commands, run in turns as whole processes.

    Args:
        candidate: The command that is measured, as a list of arguments.
        baseline: The command it is measured against.
        without: A command whose median is taken off both, such as an interpreter that does
            nothing; None takes nothing off.
        seconds: How long to measure; at least five rounds are run.
    """
    commands = [candidate, baseline] if without is None else [candidate, baseline, without]
    taken: list[list[float]] = [[] for _ in commands]
    for command in commands:
        _command_cpu_seconds(command)  # The first run writes bytecode and fills the disk cache.
    ends = time.monotonic() + seconds
    while time.monotonic() < ends or len(taken[0]) < _LEAST_ROUNDS:
        for side, command in enumerate(commands):
            taken[side].append(_command_cpu_seconds(command))
    medians = [statistics.median(side) for side in taken]
    idle = 0.0 if without is None else medians[2]
    return Comparison(candidate=medians[0] - idle, baseline=medians[1] - idle)


def as_json(figures: Sequence[Figure]) -> str:
    """Return the one JSON object that a benchmark prints."""
    members = [asdict(figure) for figure in figures]
    for figure in members:
        if not figure["reason"]:
            del figure["reason"]
    return json.dumps({"figures": members})


def run(
    measure: Callable[[float], Sequence[Figure]],
    measure_fully: Callable[[float], Sequence[Figure]] | None = None,
) -> int:
    """Print the figures of a benchmark as JSON and return 0, whether their bounds hold or not.

    Args:
        measure: Returns the figures, spending about the given number of seconds in all.
        measure_fully: Does so with `--full`; None for the same with more time.
    """
    parser = argparse.ArgumentParser(description="Print one JSON object with measured figures.")
    parser.add_argument("--full", action="store_true", help="measure ten times as long")
    if parser.parse_args().full:
        figures = (measure_fully or measure)(FULL_SECONDS)
    else:
        figures = measure(DEFAULT_SECONDS)
    print(as_json(figures))
    return 0


# What a benchmark of import times compares with: an interpreter that imports nothing of ours.
IDLE_PYTHON = (sys.executable, "-I", "-c", "pass")
