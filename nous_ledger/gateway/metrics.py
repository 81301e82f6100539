"""Counts and times of a gateway, as Prometheus reads them.

No label names a caller or a model: values come from the gateway's own tables, so their
number is bounded and nobody can be told from another by them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API, KIND, METERING, STATUS

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_CALL_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_WRITE_BOUNDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_FIRST_NOT_TOKEN: Final = 48
_CALL_LABELS: Final = ("provider", "api", "status", "metering")


class Histogram:
    """Counts of durations up to some bounds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Start empty.

        Args:
            bounds: in seconds, ascending.
        """
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str) -> Iterator[str]:
        """Yield the samples."""
        total = 0
        for bound, count in zip((*self._bounds, "+Inf"), self._counts, strict=True):
            total += count
            yield f'{name}_bucket{{le="{bound}"}} {total}'
        yield f"{name}_sum {self._sum:.6f}"
        yield f"{name}_count {total}"


class Metrics:
    """What is counted; changed on the event loop's thread only.

    Attributes:
        in_flight: calls that are not over.
        fail_open: calls that were forwarded although their intent could not be written.
        lost: receipts that were given up.
        call_seconds: how long calls took.
        write_seconds: how long intents and receipts took to be durable.
    """

    def __init__(self) -> None:
        """Start at zero."""
        self.in_flight = 0
        self.fail_open = 0
        self.lost = 0
        self.call_seconds = Histogram(_CALL_BOUNDS)
        self.write_seconds = Histogram(_WRITE_BOUNDS)
        self._calls: defaultdict[tuple[str, int, int, int], int] = defaultdict(int)
        self._tokens: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._refused: dict[str, int] = {}
        self._uncounted: dict[tuple[str, str], int] = {}

    def refused(self, code: str) -> None:
        """Count a request that was not admitted."""
        self._refused[code] = self._refused.get(code, 0) + 1

    def uncounted(self, encoding: str, code: str) -> None:
        """Count an answer whose tokens could not be counted in its encoding."""
        self._uncounted[encoding, code] = self._uncounted.get((encoding, code), 0) + 1

    def ended(self, receipt: Receipt) -> None:
        """Count a call that is over."""
        provider, tokens = receipt.provider, self._tokens
        self._calls[provider, receipt.api, receipt.status, receipt.metering] += 1
        self.call_seconds.add((receipt.duration or 0) / 1000)
        for bucket in receipt.usage or ():
            if bucket.reported and bucket.kind < _FIRST_NOT_TOKEN:
                tokens[provider, bucket.kind] += bucket.reported

    def render(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """Return all in Prometheus' text format.

        Args:
            gauges: what each further name means, and its value now.
        """
        lines: list[str] = []
        lines += _family(
            "nous_ledger_calls_total",
            "Calls that are over, by what their receipts say.",
            (
                (_labels(_CALL_LABELS, _call_values(key)), count)
                for key, count in sorted(self._calls.items())
            ),
        )
        lines += _family(
            "nous_ledger_tokens_total",
            "Tokens that providers reported, by kind.",
            (
                (_labels(("provider", "kind"), (provider, KIND.name_of(kind))), count)
                for (provider, kind), count in sorted(self._tokens.items())
            ),
        )
        lines += _family(
            "nous_ledger_refused_requests_total",
            "Requests that were not admitted, by reason.",
            ((_labels(("reason",), (code,)), n) for code, n in sorted(self._refused.items())),
        )
        lines += _family(
            "nous_ledger_uncounted_answers_total",
            "Answers that could be EXACT, had their tokens been counted, by encoding and reason.",
            (
                (_labels(("encoding", "reason"), key), count)
                for key, count in sorted(self._uncounted.items())
            ),
        )
        lines += _family(
            "nous_ledger_fail_open_calls_total",
            "Calls forwarded although the ledger could not be written.",
            [("", self.fail_open)],
        )
        lines += _family(
            "nous_ledger_receipts_lost_total",
            "Receipts that could not be written and were given up.",
            [("", self.lost)],
        )
        for name, meaning, histogram in (
            ("nous_ledger_call_seconds", "Duration of calls.", self.call_seconds),
            ("nous_ledger_write_seconds", "Time until writes are durable.", self.write_seconds),
        ):
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} histogram"]
            lines += histogram.lines(name)
        in_flight = {"nous_ledger_calls_in_flight": ("Calls that are not over.", self.in_flight)}
        for name, (meaning, value) in {**in_flight, **gauges}.items():
            lines += [f"# HELP {name} {meaning}", f"# TYPE {name} gauge", f"{name} {+value}"]
        return "\n".join(lines) + "\n"


def _call_values(key: tuple[str, int, int, int]) -> tuple[str, ...]:
    provider, api, status, metering = key
    return (provider, API.name_of(api), STATUS.name_of(status), METERING.name_of(metering))


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    pairs = zip(names, values, strict=True)
    return "{" + ",".join(f'{name}="{value}"' for name, value in pairs) + "}"


def _family(name: str, meaning: str, samples: Iterable[tuple[str, int]]) -> list[str]:
    head = [f"# HELP {name} {meaning}", f"# TYPE {name} counter"]
    return [*head, *(f"{name}{labels} {count}" for labels, count in samples)]
