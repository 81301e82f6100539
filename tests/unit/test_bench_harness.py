"""The harness reports what its clocks saw, and says whether a bound holds."""

import json
import subprocess
import sys

import pytest

from bench import _harness
from bench._harness import (
    IDLE_PYTHON,
    Comparison,
    Figure,
    as_json,
    compare,
    compare_commands,
    compare_rates,
)


def _work(rounds: int) -> int:
    return sum(number * number for number in range(rounds))


def test_four_times_the_work_takes_about_four_times_the_time() -> None:
    seen = compare(lambda: _work(4_000), lambda: _work(1_000), seconds=0.2)
    assert 2.5 < seen.candidate / seen.baseline < 6.5


def test_rates_are_medians_of_turns_and_the_first_run_does_not_count() -> None:
    taken = {"candidate": iter([90.0, 4, 8, 6, 2, 10]), "baseline": iter([90.0, 3, 3, 9, 3, 1])}

    def timed(side: str) -> tuple[int, float]:
        return 2, next(taken[side])

    seen = compare_rates(lambda: timed("candidate"), lambda: timed("baseline"), seconds=0)
    assert (seen.candidate, seen.baseline) == (3.0, 1.5)


def test_a_moment_that_is_slow_for_both_sides_says_nothing_of_either() -> None:
    speeds = [1.0, 1, 1, 3, 3, 1]  # the first run of each side does not count
    # In every other round the second side runs first: the lists are of one side each.
    taken = {"candidate": iter([8 * speed for speed in speeds]), "baseline": iter(speeds)}

    def timed(side: str) -> tuple[int, float]:
        return 1, next(taken[side])

    seen = compare_rates(lambda: timed("candidate"), lambda: timed("baseline"), seconds=0)
    assert seen.rate("sign", at_least=0.125).ratio == 0.125
    assert seen.time("sign", at_most=8).ratio == 8


def test_turned_round_a_measurement_gives_the_reciprocal() -> None:
    one, other = [9.0, 2, 9, 4, 7, 5], [9.0, 4, 3, 8, 7, 20]
    found = []
    for first, second in ((one, other), (other, one)):
        sides = iter(first), iter(second)
        seen = compare_rates(
            lambda side=sides[0]: (1, next(side)),  # type: ignore[misc]
            lambda side=sides[1]: (1, next(side)),  # type: ignore[misc]
            seconds=0,
        )
        found.append(seen.time("both", at_most=1).ratio or 0)
    assert found[0] * found[1] == pytest.approx(1)
    assert found[0] == 0.5, "not 5 / 7, the quotient of the medians"


@pytest.mark.parametrize(
    ("seconds", "found"), [(15.0, (5.0, 4.0, 2.5)), (0.0, (4.0, 1.5, 4 / 1.5))]
)
def test_what_takes_long_runs_between_runs_of_its_baseline(
    seconds: float, found: tuple[float, float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three times; once, if that takes too long. Each is held against what ran beside it."""
    monkeypatch.setattr(_harness, "_BESIDE_S", 0.0)
    monkeypatch.setattr(_harness, "_LONG_S", seconds)
    taken = {"candidate": iter([8.0, 20, 10]), "baseline": iter([90.0, 2, 4, 12, 4])}

    def timed(side: str) -> tuple[int, float]:
        return 2, next(taken[side])

    seen = compare_rates(
        lambda: timed("candidate"), lambda: timed("baseline"), seconds=0, long=True
    )
    assert (seen.candidate, seen.baseline, seen.quotient) == found


@pytest.mark.usefixtures("unmeasured")
def test_commands_are_compared_less_what_both_share() -> None:
    def command(rounds: int) -> tuple[str, ...]:
        return (sys.executable, "-I", "-c", f"sum(n * n for n in range({rounds}))")

    seen = compare_commands(command(2_000_000), command(500_000), without=IDLE_PYTHON, seconds=0.1)
    assert 2.5 < seen.candidate / seen.baseline < 6.5


@pytest.mark.usefixtures("unmeasured")
def test_a_command_that_fails_is_no_measurement() -> None:
    failing = (sys.executable, "-I", "-c", "raise SystemExit(3)")
    with pytest.raises(subprocess.CalledProcessError):
        compare_commands(failing, IDLE_PYTHON, seconds=0.1)


@pytest.mark.parametrize(("bound", "holds"), [(0.4, True), (0.5, True), (0.6, False)])
def test_a_rate_holds_from_its_bound_upwards(bound: float, holds: bool) -> None:
    figure = Comparison(candidate=0.5, baseline=0.25).rate("sign", at_least=bound)
    assert (figure.value, figure.baseline, figure.ratio) == (2.0, 4.0, 0.5)
    assert figure.holds is holds


@pytest.mark.parametrize(("bound", "holds"), [(1.9, False), (2.0, True), (2.1, True)])
def test_a_time_holds_up_to_its_bound(bound: float, holds: bool) -> None:
    figure = Comparison(candidate=0.5, baseline=0.25).time("verify", at_most=bound, unit="ms")
    assert (figure.value, figure.baseline, figure.ratio) == (500.0, 250.0, 2.0)
    assert figure.holds is holds


def test_figures_are_one_json_object() -> None:
    figure = Comparison(candidate=0.5, baseline=0.25).rate("sign", at_least=0.5)
    assert json.loads(as_json([figure])) == {
        "figures": [
            {
                "name": "sign",
                "value": 2.0,
                "unit": "1/s",
                "baseline": 4.0,
                "ratio": 0.5,
                "bound": ">= 0.5",
                "holds": True,
            }
        ]
    }


def test_what_was_not_measured_is_said_to_be_so() -> None:
    figure = Figure(name="prove-1e6", value=None, unit="us", bound="<= 5")
    (printed,) = json.loads(as_json([figure]))["figures"]
    assert printed == {
        "name": "prove-1e6",
        "value": None,
        "unit": "us",
        "baseline": None,
        "ratio": None,
        "bound": "<= 5",
        "holds": None,
    }
