"""Usage values of Gemini, Bedrock, Cohere and Ollama as disjoint buckets.

    provider says                          buckets
    Gemini   prompt (cached inside)        input_uncached = prompt - cached - media
             without a cached count        input_unsplit  = prompt - media
             candidates, thoughts, tool    output_visible = candidates - media; the others beside
    Bedrock  input, caches                 input_uncached = input; caches beside, or inside:
                                           whichever makes totalTokens the sum; neither does:
                                           input_unsplit = input
             output (all output)           output_unsplit = output
    Cohere   tokens (processed, floats)    input_uncached = input - cached, or input_unsplit;
                                           output_unsplit; without tokens the billed units
    Ollama   prompt, eval                  input_unsplit, output_unsplit

Of Gemini's media only what is known not to be cached has a bucket of its own.
The rules for absent, zero and malformed numbers are those of `usage`.

Spec:
    PROTOCOL.md BKT-5, RCPT-10, RCPT-11; section "Registries".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from nous_ledger.gateway.usage import cache_writes
from nous_ledger.gateway.usage_sheet import Counts, Sheet, Side, UsageReading
from nous_ledger.protocol.registries import KIND

_INPUT_UNCACHED: Final = KIND["input_uncached"]
_CACHE_READ: Final = KIND["cache_read"]
_INPUT_UNSPLIT: Final = KIND["input_unsplit"]
_OUTPUT_UNSPLIT: Final = KIND["output_unsplit"]
_OUTPUT_VISIBLE: Final = KIND["output_visible"]

_INPUT_MEDIA: Final = {
    "AUDIO": KIND["input_audio"],
    "IMAGE": KIND["input_image"],
    "VIDEO": KIND["input_video"],
}
_OUTPUT_MEDIA: Final = {
    "AUDIO": KIND["output_audio"],
    "IMAGE": KIND["output_image"],
    "VIDEO": KIND["output_video"],
}
_GEMINI_BESIDE: Final = {
    "thoughtsTokenCount": KIND["reasoning"],
    "toolUsePromptTokenCount": KIND["tool_prompt"],
}
_BEDROCK_WRITES: Final = {"5m": KIND["cache_write_5m"], "1h": KIND["cache_write_1h"]}
_OLLAMA: Final = {"prompt_eval_count": _INPUT_UNSPLIT, "eval_count": _OUTPUT_UNSPLIT}

OLLAMA_COUNTS: Final = tuple(_OLLAMA)
"""Members of Ollama's last line that hold counts."""


def read_gemini_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of Gemini; of several cumulative values the last one counts."""
    sheet = Sheet()
    usage = sheet.last(values)
    counts = _gemini_input(sheet, usage) | _gemini_output(sheet, usage)
    counts |= sheet.counts(usage, _GEMINI_BESIDE)
    return sheet.reading(counts, sheet.count(usage, "totalTokenCount"))


def read_converse_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of Bedrock's Converse."""
    sheet = Sheet()
    usage = sheet.last(values)
    total = sheet.count(usage, "totalTokens")
    output = sheet.counts(usage, {"outputTokens": _OUTPUT_UNSPLIT})
    counts = _converse_input(sheet, usage, sum(output.values()), total)
    return sheet.reading(counts | output, total)


def read_cohere_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of Cohere, whose counts are floats."""
    sheet = Sheet(floats=True)
    usage = sheet.last(values)
    billed = sheet.fields(usage.get("billed_units"))
    tokens = sheet.fields(usage.get("tokens")) or billed
    faults = sheet.faults
    cached = sheet.counts(usage, {"cached_tokens": _CACHE_READ})
    side = Side(beside={}, split=cached, rest=_INPUT_UNCACHED, whole=_INPUT_UNSPLIT)
    broken = sheet.faults > faults
    counts = side.counts(sheet, sheet.count(tokens, "input_tokens"), broken=broken)
    counts |= sheet.counts(tokens, {"output_tokens": _OUTPUT_UNSPLIT})
    counts |= sheet.counts(billed, {"search_units": KIND["search_units"]})
    return sheet.reading(counts, None)


def read_ollama_usage(values: Sequence[object]) -> UsageReading:
    """Return the usage of Ollama.

    Args:
        values: objects with one of `OLLAMA_COUNTS` each, in arrival order.
    """
    sheet = Sheet()
    merged: dict[str, Any] = {}
    for value in values:
        merged.update(sheet.fields(value))
    return sheet.reading(sheet.counts(merged, _OLLAMA), None)


def _gemini_input(sheet: Sheet, usage: dict[str, Any]) -> Counts:
    total = sheet.count(usage, "promptTokenCount")
    faults = sheet.faults
    split = sheet.counts(usage, {"cachedContentTokenCount": _CACHE_READ})
    media = _modalities(sheet, usage.get("promptTokensDetails"), _INPUT_MEDIA)
    cached = _modalities(sheet, usage.get("cacheTokensDetails"), _INPUT_MEDIA)
    if split.get(_CACHE_READ) and "cacheTokensDetails" not in usage:
        media = {}  # how much of them came out of the cache is not known
    if any(sheet.exceeds({kind: cached.get(kind, 0)}, media[kind]) for kind in media):
        media = {}
    left = {kind: count - cached.get(kind, 0) for kind, count in media.items()}
    media = {kind: count for kind, count in left.items() if count}
    side = Side(beside=media, split=split, rest=_INPUT_UNCACHED, whole=_INPUT_UNSPLIT)
    return side.counts(sheet, total, broken=sheet.faults > faults)


def _gemini_output(sheet: Sheet, usage: dict[str, Any]) -> Counts:
    total = sheet.count(usage, "candidatesTokenCount")
    media = _modalities(sheet, usage.get("candidatesTokensDetails"), _OUTPUT_MEDIA)
    # Thoughts are counted apart, so what is no medium is visible text.
    side = Side(beside=media, split={}, rest=_OUTPUT_VISIBLE, whole=_OUTPUT_VISIBLE)
    return side.counts(sheet, total, broken=False)


def _modalities(sheet: Sheet, details: object, kinds: Mapping[str, int]) -> Counts:
    """Return the media among a list of token counts by modality; zeros have no bucket."""
    counts: Counts = {}
    for item in _items(sheet, details):
        kind = kinds.get(str(item.get("modality")))
        count = sheet.count(item, "tokenCount")
        if kind is not None and count:
            counts[kind] = counts.get(kind, 0) + count
    return counts


def _converse_input(sheet: Sheet, usage: dict[str, Any], output: int, total: int | None) -> Counts:
    given = sheet.count(usage, "inputTokens")
    faults = sheet.faults
    caches = sheet.counts(usage, {"cacheReadInputTokens": _CACHE_READ})
    by_lifetime: Counts = {}
    for item in _items(sheet, usage.get("cacheDetails")):
        kind = _BEDROCK_WRITES.get(str(item.get("ttl")))
        count = sheet.count(item, "inputTokens")
        if kind is not None and count is not None:
            by_lifetime[kind] = by_lifetime.get(kind, 0) + count
    written = sheet.count(usage, "cacheWriteInputTokens")
    caches |= cache_writes(sheet, written, by_lifetime if written else {})
    broken = sheet.faults > faults
    cached = sum(caches.values())
    if given is None:
        return caches
    if caches and not broken and (not cached or total == given + output + cached):
        return {_INPUT_UNCACHED: given} | caches
    if caches and not broken and total == given + output:
        side = Side(beside={}, split=caches, rest=_INPUT_UNCACHED, whole=_INPUT_UNSPLIT)
        return side.counts(sheet, given, broken=False)
    return {_INPUT_UNSPLIT: given}


def _items(sheet: Sheet, value: object) -> list[dict[str, Any]]:
    """Return the objects of a list; null has none, anything else is malformed."""
    if value is not None and not isinstance(value, list):
        sheet.fault()
    return [sheet.fields(item) for item in value] if isinstance(value, list) else []
