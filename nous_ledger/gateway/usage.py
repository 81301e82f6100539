"""Usage values of providers as disjoint buckets: the only place that knows their fields.

    provider says                        buckets
    OpenAI   prompt (all input)          input_uncached = prompt - cached - cache writes - media
             without cache details       input_unsplit  = prompt - media
             completion (all output)     output_visible = completion - reasoning - rejected - media
             without reasoning_tokens    output_unsplit = completion - rejected - media
    Anthropic  input (without caches)    input_uncached = input; caches stand beside it
             output (all output)         output_visible = output - thinking
             without thinking_tokens     output_unsplit = output

Absent is not zero: a count that the provider did not give has no bucket, an
explicit zero has one. Only for media an explicit zero has none, because such a
bucket says that the call had that medium. A number that is none (text, a
fraction, a truth value, negative, above 2^53-1) has no bucket either and leaves
an anomaly, and so do details that add up to more than their total; what they
were part of is then given without a split. Nothing here raises.

Spec:
    PROTOCOL.md BKT-5, RCPT-10, RCPT-11; section "Registries".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from nous_ledger.protocol.registries import ANOMALY, KIND, MEDIA_KINDS, TOKEN_KINDS_END
from nous_ledger.protocol.types import MAX_UINT, TokenCount

_MALFORMED: Final = ANOMALY["usage_malformed"]
_EXCEEDS: Final = ANOMALY["details_exceed_total"]
_DECREASED: Final = ANOMALY["usage_decreased"]
_MISMATCH: Final = ANOMALY["total_mismatch"]

_INPUT_UNCACHED: Final = KIND["input_uncached"]
_CACHE_READ: Final = KIND["cache_read"]
_CACHE_WRITE: Final = KIND["cache_write"]
_INPUT_UNSPLIT: Final = KIND["input_unsplit"]
_OUTPUT_VISIBLE: Final = KIND["output_visible"]
_REASONING: Final = KIND["reasoning"]
_OUTPUT_UNSPLIT: Final = KIND["output_unsplit"]

_INPUT_MEDIA: Final = {"audio_tokens": KIND["input_audio"], "image_tokens": KIND["input_image"]}
_OUTPUT_BESIDE: Final = {
    "rejected_prediction_tokens": KIND["rejected_prediction"],
    "audio_tokens": KIND["output_audio"],
    "image_tokens": KIND["output_image"],
}
_OPENAI_WRITES: Final = {
    "ttl_30m_tokens": KIND["cache_write_30m"],
    "ttl_12h_tokens": KIND["cache_write_12h"],
}
_ANTHROPIC_WRITES: Final = {
    "ephemeral_5m_input_tokens": KIND["cache_write_5m"],
    "ephemeral_1h_input_tokens": KIND["cache_write_1h"],
}
_SERVER_TOOLS: Final = {
    "web_search_requests": KIND["web_searches"],
    "web_fetch_requests": KIND["web_fetches"],
}

Counts = dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
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


def read_chat_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of OpenAI's chat completions.

    Args:
        values: parsed usage values in arrival order. A stream that repeats
            cumulative usage has several; the last one counts.
    """
    return _read_openai(values, ("prompt_tokens", "completion_tokens"))


def read_responses_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of OpenAI's responses; of several values the last one counts."""
    return _read_openai(values, ("input_tokens", "output_tokens"))


def read_messages_usage(values: Sequence[object], *, started: bool) -> UsageReading:
    """Return the usage of Anthropic's messages.

    Later values lie over earlier ones, field by field; nothing is summed.

    Args:
        values: parsed usage values in arrival order.
        started: the first value comes from a stream's start, whose output count
            is a placeholder.
    """
    sheet = _Sheet()
    merged: dict[str, Any] = {}
    for position, value in enumerate(values):
        fields = {key: item for key, item in sheet.fields(value).items() if item is not None}
        sheet.compare(merged, fields)
        merged.update(fields)
        if position == 0 and started:
            merged.pop("output_tokens", None)
    counts = _anthropic_input(sheet, merged) | _anthropic_output(sheet, merged)
    tools = sheet.fields(merged.get("server_tool_use"))
    return sheet.reading(counts | sheet.counts(tools, _SERVER_TOOLS), None)


class _Sheet:
    """Reads numbers and remembers what was wrong with them."""

    def __init__(self) -> None:
        self.anomalies: set[int] = set()
        self.faults = 0

    def fields(self, value: object) -> dict[str, Any]:
        """Return an object's fields; null has none, anything else is malformed."""
        if isinstance(value, dict):
            return value
        if value is not None:
            self._fault()
        return {}

    def count(self, fields: Mapping[str, Any], name: str) -> int | None:
        """Return a count, or None when it is absent, null or malformed."""
        value = fields.get(name)
        if is_count(value):
            return value
        if value is not None:
            self._fault()
        return None

    def counts(self, fields: Mapping[str, Any], kinds: Mapping[str, int]) -> Counts:
        """Return those counts that are present; media only if they are not zero."""
        found = {kind: self.count(fields, name) for name, kind in kinds.items()}
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

    def _fault(self) -> None:
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


def _read_openai(values: Sequence[object], names: tuple[str, str]) -> UsageReading:
    sheet = _Sheet()
    usage: dict[str, Any] = {}
    for value in values:
        fields = sheet.fields(value)
        sheet.compare(usage, fields)
        usage = fields
    counts = _openai_input(sheet, usage, names[0]) | _openai_output(sheet, usage, names[1])
    return sheet.reading(counts, sheet.count(usage, "total_tokens"))


def _openai_input(sheet: _Sheet, usage: dict[str, Any], name: str) -> Counts:
    total = sheet.count(usage, name)
    faults = sheet.faults
    details = sheet.fields(usage.get(f"{name}_details"))
    media = sheet.counts(details, _INPUT_MEDIA)
    split = sheet.counts(details, {"cached_tokens": _CACHE_READ})
    split |= _cache_writes(
        sheet,
        sheet.count(details, "cache_write_tokens"),
        sheet.counts(sheet.fields(details.get("cache_write_tokens_details")), _OPENAI_WRITES),
    )
    side = _Side(beside=media, split=split, rest=_INPUT_UNCACHED, whole=_INPUT_UNSPLIT)
    return side.counts(sheet, total, broken=sheet.faults > faults)


def _openai_output(sheet: _Sheet, usage: dict[str, Any], name: str) -> Counts:
    total = sheet.count(usage, name)
    faults = sheet.faults
    details = sheet.fields(usage.get(f"{name}_details"))
    beside = sheet.counts(details, _OUTPUT_BESIDE)
    split = sheet.counts(details, {"reasoning_tokens": _REASONING})
    side = _Side(beside=beside, split=split, rest=_OUTPUT_VISIBLE, whole=_OUTPUT_UNSPLIT)
    return side.counts(sheet, total, broken=sheet.faults > faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
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

    def counts(self, sheet: _Sheet, total: int | None, *, broken: bool) -> Counts:
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


def _anthropic_input(sheet: _Sheet, usage: dict[str, Any]) -> Counts:
    counts = sheet.counts(
        usage, {"input_tokens": _INPUT_UNCACHED, "cache_read_input_tokens": _CACHE_READ}
    )
    return counts | _cache_writes(
        sheet,
        sheet.count(usage, "cache_creation_input_tokens"),
        sheet.counts(sheet.fields(usage.get("cache_creation")), _ANTHROPIC_WRITES),
    )


def _anthropic_output(sheet: _Sheet, usage: dict[str, Any]) -> Counts:
    total = sheet.count(usage, "output_tokens")
    details = sheet.fields(usage.get("output_tokens_details"))
    split = sheet.counts(details, {"thinking_tokens": _REASONING})
    side = _Side(beside={}, split=split, rest=_OUTPUT_VISIBLE, whole=_OUTPUT_UNSPLIT)
    return side.counts(sheet, total, broken=False)


def _cache_writes(sheet: _Sheet, total: int | None, by_lifetime: Counts) -> Counts:
    """Return cache writes by lifetime; what the lifetimes leave over is of unknown lifetime.

    A stream gives the lifetimes at its start and may raise the total later.
    """
    if total is None:
        return by_lifetime
    if not by_lifetime or sheet.exceeds(by_lifetime, total):
        return {_CACHE_WRITE: total}
    rest = total - sum(by_lifetime.values())
    return by_lifetime | ({_CACHE_WRITE: rest} if rest else {})
