"""When a count of visible output may be called EXACT, and the bucket that says so.

Everything here errs on the side of saying less: an answer that might hold a token which
no vocabulary shows (a tool call, a part that is no text, hidden thinking, a second
choice, a refusal told apart) keeps its bounds and is not EXACT.

Spec:
    PROTOCOL.md LBL-3 to LBL-5, TOK-3 to TOK-5, TOK-7.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from nous_ledger.protocol.label import EXACT, OUTPUT_UNSPLIT, OUTPUT_VISIBLE, REASONING, Bucket
from nous_ledger.protocol.registries import (
    EXACT_FORBIDDING_ANOMALIES,
    MEDIA_KINDS,
    METERING,
    STATUS,
    TEXT_APIS,
)
from nous_ledger.protocol.types import TokenCount
from nous_ledger.protocol.values import value
from nous_ledger.reconcile.tally import VisibleOutput
from nous_ledger.reconcile.tokenizers import ModelRule

_FINAL: Final = METERING["final"]
_COMPLETE: Final = STATUS["complete"]

# Members of a request beside which the output may hold tokens that are not its text, or
# the text may not be what the model would write: constrained output is cut into tokens in
# other ways than text is.
BESIDE: Final = frozenset(
    {
        *("tools", "functions", "toolConfig", "tool_config", "web_search_options", "plugins"),
        *("connectors", "documents", "citation_options", "guardrailConfig", "transforms"),
        *("prediction", "audio", "images", "raw", "additionalModelRequestFields"),
        *("logprobs", "top_logprobs", "return_logprobs", "responseLogprobs", "prompt_logprobs"),
        # Text that is generated and cut off, or never generated.
        *("stop", "stop_sequences", "stopSequences", "stop_token_ids", "echo", "suffix", "prefix"),
        *("include_stop_str_in_output", "continue_final_message", "bad_words"),
        *("logit_bias", "grammar", "format", "regex", "json_schema", "structured_outputs"),
        *("allowed_token_ids", "responseSchema", "responseJsonSchema", "response_schema"),
    }
)
ONE: Final = ("n", "best_of", "num_generations", "candidateCount", "candidate_count")
NOTHING_SAID: Final[Mapping[str, tuple[object, ...]]] = {
    "modalities": (None, ["text"]),
    "responseModalities": (None, ["TEXT"], ["text"]),
    "responseMimeType": (None, "text/plain"),
    "response_format": (None, {"type": "text"}),
    "skip_special_tokens": (None, True),
}
WITHIN: Final = ("generationConfig", "generation_config", "options", "inferenceConfig")
SPEAKERS: Final = ("assistant", "model", "chatbot")
"""Roles of who answers."""


@value
class CallFacts:
    """What is known of a call beside its output.

    Attributes:
        api: wire format.
        status: how it ended.
        metering: what became of its usage.
        anomalies: what was odd about it.
        plain_request: it asked for one choice of plain text and nothing beside it.
    """

    api: int
    status: int
    metering: int
    anomalies: frozenset[int]
    plain_request: bool


def is_plain_request(fields: Mapping[str, Any]) -> bool:
    """Return whether a request asks for one choice of plain text and nothing beside it.

    Args:
        fields: members of the request body.
    """
    if not _asks_for_text(fields) or _is_begun(fields):
        return False
    for name in WITHIN:
        inner = fields.get(name)
        if inner is not None and not (isinstance(inner, Mapping) and _asks_for_text(inner)):
            return False
    text = fields.get("text")
    if isinstance(text, Mapping) and text.get("format") not in (None, {"type": "text"}):
        return False
    include = fields.get("include")
    return not (isinstance(include, list) and any("logprobs" in str(item) for item in include))


def _asks_for_text(fields: Mapping[str, Any]) -> bool:
    for name, given in fields.items():
        if given and (name in BESIDE or name.startswith("guided_")):
            return False
        if name in ONE and not _is_any(given, (None, 1)):
            return False
        if name in NOTHING_SAID and not _is_any(given, NOTHING_SAID[name]):
            return False
    return True


def _is_any(given: object, values: tuple[object, ...]) -> bool:
    """Return whether a value is one of some; `true` is no number."""
    return any(given == value and isinstance(given, bool) == (value is True) for value in values)


def _is_begun(fields: Mapping[str, Any]) -> bool:
    """Return whether the answer is to go on with what the caller began.

    Then the first token may have been another one than the text alone gives.
    """
    for name in ("messages", "contents"):
        turns = fields.get(name)
        last = turns[-1] if isinstance(turns, list) and turns else None
        if isinstance(last, Mapping) and str(last.get("role")).lower() in SPEAKERS:
            return True
    return False


def known_counts(rule: ModelRule, counts: Iterable[tuple[int, int]]) -> Mapping[int, int]:
    """Return what a provider reported, knowing whether the model thinks.

    Where there is no split, all output of a model that never thinks is visible.

    Spec:
        TOK-7.

    Args:
        rule: what is known of the model's counts.
        counts: (bucket kind, tokens) pairs that the provider reported.
    """
    reported = dict(counts)
    if not rule.thinks and OUTPUT_UNSPLIT in reported and OUTPUT_VISIBLE not in reported:
        reported[OUTPUT_VISIBLE] = reported.pop(OUTPUT_UNSPLIT)
    return reported


def may_be_exact(
    rule: ModelRule,
    call: CallFacts,
    visible: VisibleOutput | None,
    counts: Iterable[tuple[int, int]],
) -> bool:
    """Return whether a re-count of the visible output may be called EXACT.

    Spec:
        LBL-5, TOK-5, TOK-7.

    Args:
        rule: what is known of the model's counts.
        call: how the call went.
        visible: what the caller got; None if that is not known in full.
        counts: (bucket kind, tokens) pairs that the provider reported.
    """
    went_well = call.status == _COMPLETE and call.metering == _FINAL and call.api in TEXT_APIS
    if not went_well or not call.plain_request:
        return False
    if not EXACT_FORBIDDING_ANOMALIES.isdisjoint(call.anomalies):
        return False
    if visible is None or visible.text is None or not visible.applicable:
        return False
    reported = known_counts(rule, counts)
    split = OUTPUT_VISIBLE in reported and OUTPUT_UNSPLIT not in reported
    if not split or not MEDIA_KINDS.isdisjoint(reported):
        return False
    if rule.thinks:
        return rule.pinned and REASONING in reported
    return not visible.thinking and not reported.get(REASONING)


def exact_bucket(rule: ModelRule, reported: int, counted: TokenCount) -> Bucket | None:
    """Return the EXACT bucket of a re-count.

    Args:
        rule: what is known of the model's counts.
        reported: tokens that the provider reported.
        counted: tokens that the re-count found.

    Returns:
        None where the smallest admissible count would be negative: then the range
        would no longer name the model's offsets.
    """
    if counted + rule.lowest < 0:
        return None
    return Bucket(
        kind=OUTPUT_VISIBLE,
        reported=reported,
        label=EXACT,
        lower=counted + rule.lowest,
        upper=counted + rule.highest,
        method=rule.method(),
        vocab=rule.encoding.vocabulary,
        count=counted,
    )
