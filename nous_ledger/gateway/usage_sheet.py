"""Numbers of usage values: read one by one, checked, made into disjoint buckets.

Spec:
    PROTOCOL.md BKT-4, BKT-5, RCPT-10, RCPT-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeGuard

from nous_ledger.protocol import values
from nous_ledger.protocol.registries import ANOMALY, MEDIA_KINDS, TOKEN_KINDS_END
from nous_ledger.protocol.types import MAX_UINT, TokenCount

_MALFORMED: Final = ANOMALY["usage_malformed"]
_EXCEEDS: Final = ANOMALY["details_exceed_total"]
_DECREASED: Final = ANOMALY["usage_decreased"]
_MISMATCH: Final = ANOMALY["total_mismatch"]

Counts = dict[int, int]


@values.value
class UsageReading:
    """What a call's usage values say.

    Attributes:
        counts: (bucket kind, tokens) pairs, disjoint, kinds ascending.
        provider_total: the provider's own total, if it gave one.
        anomalies: what was wrong with the values, as anomaly numbers.
    """

    counts: tuple[tuple[int, TokenCount], ...]
    provider_total: TokenCount | None
    anomalies: frozenset[int]

    @property
    def malformed(self) -> bool:
        """Whether a number could not be read."""
        return _MALFORMED in self.anomalies


new_reading: Final = values.maker(UsageReading)
"""Makes such a value."""


class Sheet:
    """Reads numbers and remembers what was wrong with them."""

    def __init__(self, *, floats: bool = False) -> None:
        """Start a call.

        Args:
            floats: counts come as floats; such a one is a count if it is integral.
        """
        self.anomalies: set[int] = set()
        self._floats = floats
        self.faults = 0

    def fields(self, value: object) -> dict[str, Any]:
        """Return an object's fields; null has none, anything else is malformed."""
        if isinstance(value, dict):
            return value
        if value is not None:
            self.fault()
        return {}

    def last(self, values: Sequence[object]) -> dict[str, Any]:
        """Return the fields of the last of several cumulative values."""
        usage: dict[str, Any] = {}
        for value in values:
            fields = self.fields(value)
            if usage:
                self.compare(usage, fields)
            usage = fields
        return usage

    def count(self, fields: Mapping[str, Any], name: str) -> int | None:
        """Return a count, or None when it is absent, null or malformed."""
        value = fields.get(name)
        if self._floats and isinstance(value, float) and value.is_integer():
            value = int(value)
        if is_count(value):
            return value
        if value is not None:
            self.fault()
        return None

    def milliseconds(self, fields: Mapping[str, Any], name: str) -> int | None:
        """Return a duration in milliseconds, given in seconds, whole or not."""
        value = fields.get(name)
        seconds = value if isinstance(value, int | float) and value is not True else -1
        if 0 <= seconds <= MAX_UINT // 1000 and value is not False:
            return round(seconds * 1000)
        if value is not None:
            self.fault()
        return None

    def counts(self, fields: Mapping[str, Any], kinds: Mapping[str, int]) -> Counts:
        """Return those counts that are present; media only if they are not zero."""
        if not fields:
            return {}
        found = {kind: self.count(fields, name) for name, kind in kinds.items() if name in fields}
        return {
            kind: count
            for kind, count in found.items()
            if count is not None and (count > 0 or kind not in MEDIA_KINDS)
        }

    def exceeds(self, details: Counts, total: int) -> bool:
        """Return whether details are more than their total, and remember it."""
        if sum(details.values()) <= total:
            return False
        self.anomalies.add(_EXCEEDS)
        return True

    def compare(self, earlier: Mapping[str, Any], later: Mapping[str, Any]) -> None:
        """Remember it if a cumulative count went down."""
        for name, value in later.items():
            before = earlier.get(name)
            if is_count(value) and is_count(before) and value < before:
                self.anomalies.add(_DECREASED)

    def fault(self) -> None:
        """Note that a value was malformed."""
        self.faults += 1
        self.anomalies.add(_MALFORMED)

    def reading(self, counts: Counts, total: int | None) -> UsageReading:
        """Return the result, with the total compared to what the buckets add up to."""
        tokens = sum(count for kind, count in counts.items() if kind < TOKEN_KINDS_END)
        if total is not None and total != tokens and _MALFORMED not in self.anomalies:
            self.anomalies.add(_MISMATCH)
        return UsageReading(
            counts=tuple((kind, TokenCount(counts[kind])) for kind in sorted(counts)),
            provider_total=None if total is None else TokenCount(total),
            anomalies=frozenset(self.anomalies),
        )


def is_count(value: object) -> TypeGuard[int]:
    """Return whether a JSON value is an integer in 0..2^53-1 (true is none)."""
    return type(value) is int and 0 <= value <= MAX_UINT


@values.value
class Side:
    """Input or output, given as one total that includes its details.

    Attributes:
        beside: details that may stand beside an unsplit rest.
        split: details that say how the rest is split; none if it is not.
        rest: kind of what is left when there is a split.
        whole: kind of what is left when there is none.
    """

    beside: Counts
    split: Counts
    rest: int
    whole: int

    def counts(self, sheet: Sheet, total: int | None, *, broken: bool) -> Counts:
        """Return disjoint buckets that add up to the total.

        Args:
            sheet: remembers details that are more than their total.
            total: the side's total, if it was readable.
            broken: a detail was malformed, so what is left would count it twice.
        """
        if total is None:
            return self.beside | self.split
        if sheet.exceeds(self.beside | self.split, total):
            return {self.whole: total}
        left = total - sum(self.beside.values())
        if broken or not self.split:
            return self.beside | {self.whole: left}
        return self.beside | self.split | {self.rest: left - sum(self.split.values())}
