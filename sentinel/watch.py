"""The loop around rounds: when the next one is due, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from sentinel.audit.findings import Place
from sentinel.report import RoundReport

JITTER: Final = 0.1
"""Share by which a wait is made longer or shorter, so that sentinels do not march in step."""
LONGEST_S: Final = 3_600.0
"""Longest wait after failures, unless the interval itself is longer."""

Wait = Callable[[float], bool]
"""Waits for some seconds; returns early, and True, once the watch is to end."""


class Audit(Protocol):
    """Something that is looked at in rounds."""

    def round(self) -> RoundReport:
        """Look once, and return how that went."""
        ...


def watch(
    audit: Audit,
    *,
    interval_s: float,
    wait: Wait,
    random: Callable[[], float],
    tell: Callable[[RoundReport], None],
) -> RoundReport:
    """Look at a log again and again until it is time to end; return the last round.

    Args:
        audit: the log.
        interval_s: seconds between two rounds.
        wait: how to wait.
        random: a number in [0, 1) for each wait.
        tell: is given each round.
    """
    failures = 0
    while True:
        report = audit.round()
        tell(report)
        failures = failures + 1 if is_failure(report) else 0
        if report.stopped or wait(delay_s(interval_s, failures, random())):
            return report


def is_failure(report: RoundReport) -> bool:
    """Return whether the log could not be read."""
    return any(found.place is Place.SOURCE for found in report.findings)


def delay_s(interval_s: float, failures: int, random: float) -> float:
    """Return how long to wait for the next round.

    Args:
        interval_s: seconds between two rounds that go well.
        failures: how many rounds failed one after the other, the last one included.
        random: in [0, 1).

    >>> [delay_s(60, failures, 0.5) for failures in (0, 1, 2, 3, 9)]
    [60.0, 120.0, 240.0, 480.0, 3600.0]
    """
    longest = max(LONGEST_S, interval_s)
    backed_off = min(interval_s * 2.0 ** min(failures, 32), longest)
    return backed_off * (1 - JITTER + 2 * JITTER * random)
