"""Usage values of OpenAI's and Anthropic's formats as disjoint buckets.

    provider says                        buckets
    OpenAI   prompt (all input)          input_uncached = prompt - cached - cache writes - media
             without cache details       input_unsplit  = prompt - media
             completion (all output)     output_visible = completion - reasoning - rejected - media
             without reasoning_tokens    output_unsplit = completion - rejected - media
             total = prompt + completion + reasoning: the reasoning is not in the completion
    Anthropic  input (without caches)    input_uncached = input; caches stand beside it
             output (all output)         output_visible = output - thinking
             without thinking_tokens     output_unsplit = output

The formats of the others are in `usage_vendors`; together the two are the only
place that knows fields of usage values. Absent is not zero: a count that the
provider did not give has no bucket, an explicit zero has one. Only for media an
explicit zero has none, because such a bucket says that the call had that medium.
A number that is none (text, a fraction, a truth value, negative, above 2^53-1)
has no bucket either and leaves an anomaly, and so do details that add up to more
than their total; what they were part of is then given without a split. Nothing
here raises.

Spec:
    PROTOCOL.md BKT-5, RCPT-10, RCPT-11; section "Registries".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from nous_ledger.gateway.usage_sheet import (
    Counts,
    Sheet,
    Side,
    UsageReading,
    is_count,
    new_reading,
)
from nous_ledger.protocol.registries import KIND
from nous_ledger.protocol.types import MAX_UINT, TokenCount

_INPUT_UNCACHED: Final = KIND["input_uncached"]
_CACHE_READ: Final = KIND["cache_read"]
_CACHE_WRITE: Final = KIND["cache_write"]
_INPUT_UNSPLIT: Final = KIND["input_unsplit"]
_OUTPUT_VISIBLE: Final = KIND["output_visible"]
_REASONING: Final = KIND["reasoning"]
_OUTPUT_UNSPLIT: Final = KIND["output_unsplit"]
_REJECTED: Final = KIND["rejected_prediction"]
_AUDIO_MS: Final = KIND["audio_ms"]

_INPUT_MEDIA: Final = {"audio_tokens": KIND["input_audio"], "image_tokens": KIND["input_image"]}
_REJECTED_TOKENS: Final = "rejected_prediction_tokens"
_OUTPUT_BESIDE: Final = {
    _REJECTED_TOKENS: _REJECTED,
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

# A count of cached tokens that stands beside the totals, as DeepSeek and others give it.
_CACHED_BESIDE: Final = ("prompt_cache_hit_tokens", "num_cached_tokens")
_BESIDE_TOKENS: Final = {"num_search_queries": KIND["web_searches"]}
_DURATIONS: Final = ("seconds", "prompt_audio_seconds")
_CHAT: Final = ("prompt_tokens", "completion_tokens")
_RESPONSES: Final = ("input_tokens", "output_tokens")

# Members that only `_read_openai` reads, of a usage value and of its details.
_RARE: Final = frozenset(
    {
        *(*_CACHED_BESIDE, *_BESIDE_TOKENS, *_DURATIONS),
        *(f"{name.removesuffix('s')}_details" for name in (*_CHAT, *_RESPONSES)),
    }
)
_RARE_INPUT: Final = frozenset({"image_tokens", "cache_write_tokens", "cache_write_tokens_details"})
_DETAILS: Final = {name: f"{name}_details" for name in (*_CHAT, *_RESPONSES)}
_NO_ANOMALIES: Final[frozenset[int]] = frozenset()


def read_chat_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of OpenAI's chat completions.

    Args:
        values: parsed usage values in arrival order. A stream that repeats
            cumulative usage has several; the last one counts.
    """
    return _read_usual(values, _CHAT) or _read_openai(values, _CHAT)


def read_responses_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of OpenAI's responses; of several values the last one counts."""
    return _read_usual(values, _RESPONSES) or _read_openai(values, _RESPONSES)


def read_audio_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of transcriptions and speech: tokens, or seconds of audio."""
    last = values[-1] if values else None
    chat = isinstance(last, dict) and "prompt_tokens" in last
    return _read_openai(values, _CHAT if chat else _RESPONSES)


def read_messages_usage(values: Sequence[object], *, started: bool) -> UsageReading:
    """Return the usage of Anthropic's messages.

    Later values lie over earlier ones, field by field; nothing is summed.

    Args:
        values: parsed usage values in arrival order.
        started: the first value comes from a stream's start, whose output count
            is a placeholder.
    """
    sheet = Sheet()
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


def _read_usual(values: Sequence[object], names: tuple[str, str]) -> UsageReading | None:
    """Return what `_read_openai` does, of one value as nearly all are; None of any other.

    Such a value has usable numbers that add up, and no details but cached tokens,
    reasoning, and zeros for the rest.
    """
    usage = values[0] if len(values) == 1 else None
    if type(usage) is not dict or not _RARE.isdisjoint(usage):
        return None
    given, made = usage.get(names[0]), usage.get(names[1])
    total = usage.get("total_tokens")
    if not (type(given) is type(made) is type(total) is int and given >= 0 and made >= 0):
        return None
    if given + made != total or total > MAX_UINT:
        return None
    read = _usual_input(usage.get(_DETAILS[names[0]]), given)
    written = _usual_output(usage.get(_DETAILS[names[1]]), made)
    if read is None or written is None:
        return None
    counts = cast("tuple[tuple[int, TokenCount], ...]", read + written)
    return new_reading(counts=counts, provider_total=TokenCount(total), anomalies=_NO_ANOMALIES)


_Pairs = tuple[tuple[int, int], ...]


def _usual_input(details: object, total: int) -> _Pairs | None:
    if details is None:
        return ((_INPUT_UNSPLIT, total),)
    if type(details) is not dict or not _RARE_INPUT.isdisjoint(details):
        return None
    cached = details.get("cached_tokens")
    if type(cached) is not int or not _is_nothing(details.get("audio_tokens")):
        return None
    if not 0 <= cached <= total:
        return None
    return (_INPUT_UNCACHED, total - cached), (_CACHE_READ, cached)


def _usual_output(details: object, total: int) -> _Pairs | None:
    if details is None:
        return ((_OUTPUT_UNSPLIT, total),)
    if type(details) is not dict or "image_tokens" in details:
        return None
    reasoning, rejected = details.get("reasoning_tokens"), details.get(_REJECTED_TOKENS)
    if type(reasoning) is not int or not _is_nothing(details.get("audio_tokens")):
        return None
    if not 0 <= reasoning <= total or not _is_nothing(rejected):
        return None
    split = (_OUTPUT_VISIBLE, total - reasoning), (_REASONING, reasoning)
    return split if rejected is None else (*split, (_REJECTED, 0))


def _is_nothing(value: object) -> bool:
    return value is None or (type(value) is int and value == 0)


def _read_openai(values: Sequence[object], names: tuple[str, str]) -> UsageReading:
    sheet = Sheet()
    usage = sheet.last(values)
    total = sheet.count(usage, "total_tokens")
    counts = _openai_input(sheet, usage, names[0]) | _openai_output(sheet, usage, names, total)
    counts |= sheet.counts(usage, _BESIDE_TOKENS)
    for name in _DURATIONS:
        if (duration := sheet.milliseconds(usage, name)) is not None:
            counts[_AUDIO_MS] = duration
    return sheet.reading(counts, total)


def _openai_input(sheet: Sheet, usage: dict[str, Any], name: str) -> Counts:
    total = sheet.count(usage, name)
    faults = sheet.faults
    details = _details(sheet, usage, name)
    media = sheet.counts(details, _INPUT_MEDIA)
    split = sheet.counts(details, {"cached_tokens": _CACHE_READ})
    for beside in _CACHED_BESIDE:
        split = split or sheet.counts(usage, {beside: _CACHE_READ})
    split |= cache_writes(
        sheet,
        sheet.count(details, "cache_write_tokens"),
        sheet.counts(sheet.fields(details.get("cache_write_tokens_details")), _OPENAI_WRITES),
    )
    side = Side(beside=media, split=split, rest=_INPUT_UNCACHED, whole=_INPUT_UNSPLIT)
    return side.counts(sheet, total, broken=sheet.faults > faults)


def _openai_output(
    sheet: Sheet, usage: dict[str, Any], names: tuple[str, str], whole: int | None
) -> Counts:
    total = sheet.count(usage, names[1])
    faults = sheet.faults
    details = _details(sheet, usage, names[1])
    beside = sheet.counts(details, _OUTPUT_BESIDE)
    split = sheet.counts(details, {"reasoning_tokens": _REASONING})
    reasoning = split.get(_REASONING, 0)
    given = usage.get(names[0])
    if reasoning and total is not None and is_count(given) and whole == given + total + reasoning:
        total += reasoning
    side = Side(beside=beside, split=split, rest=_OUTPUT_VISIBLE, whole=_OUTPUT_UNSPLIT)
    return side.counts(sheet, total, broken=sheet.faults > faults)


def _details(sheet: Sheet, usage: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the details of a total; transcriptions name them in the singular."""
    plural, singular = f"{name}_details", f"{name.removesuffix('s')}_details"
    return sheet.fields(usage.get(plural if plural in usage else singular))


def _anthropic_input(sheet: Sheet, usage: dict[str, Any]) -> Counts:
    counts = sheet.counts(
        usage, {"input_tokens": _INPUT_UNCACHED, "cache_read_input_tokens": _CACHE_READ}
    )
    return counts | cache_writes(
        sheet,
        sheet.count(usage, "cache_creation_input_tokens"),
        sheet.counts(sheet.fields(usage.get("cache_creation")), _ANTHROPIC_WRITES),
    )


def _anthropic_output(sheet: Sheet, usage: dict[str, Any]) -> Counts:
    total = sheet.count(usage, "output_tokens")
    details = sheet.fields(usage.get("output_tokens_details"))
    split = sheet.counts(details, {"thinking_tokens": _REASONING})
    side = Side(beside={}, split=split, rest=_OUTPUT_VISIBLE, whole=_OUTPUT_UNSPLIT)
    return side.counts(sheet, total, broken=False)


def cache_writes(sheet: Sheet, total: int | None, by_lifetime: Counts) -> Counts:
    """Return cache writes by lifetime; what the lifetimes leave over is of unknown lifetime.

    A stream gives the lifetimes at its start and may raise the total later.
    """
    if total is None:
        return by_lifetime
    if not by_lifetime or sheet.exceeds(by_lifetime, total):
        return {_CACHE_WRITE: total}
    rest = total - sum(by_lifetime.values())
    return by_lifetime | ({_CACHE_WRITE: rest} if rest else {})
