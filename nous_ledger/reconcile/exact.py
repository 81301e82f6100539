"""When a count of visible output may be called EXACT, and the bucket that says so.

Everything here errs on the side of saying less: an answer that might hold a token which
no vocabulary shows (a tool call, a part that is no text, hidden thinking, a second
choice, a refusal told apart) keeps its bounds and is not EXACT.

Spec:
    PROTOCOL.md LBL-3 to LBL-5, TOK-3 to TOK-5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
from nous_ledger.reconcile.tally import VisibleOutput
from nous_ledger.reconcile.tokenizers import ModelRule

_FINAL: Final = METERING["final"]
_COMPLETE: Final = STATUS["complete"]

# Members of a request beside which the output may hold tokens that are not its text.
_BESIDE: Final = (
    *("tools", "functions", "web_search_options", "prediction", "audio"),
    *("logprobs", "top_logprobs"),
    *("stop", "echo", "suffix"),  # text that is generated and cut off, or never generated
)


@dataclass(frozen=True, slots=True, kw_only=True)
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
    if any(fields.get(name) for name in _BESIDE):
        return False
    if any(fields.get(name) not in (None, 1) for name in ("n", "best_of")):
        return False
    if fields.get("modalities") not in (None, ["text"]):
        return False
    include = fields.get("include")
    return not (isinstance(include, list) and any("logprobs" in str(item) for item in include))


def may_be_exact(
    rule: ModelRule,
    call: CallFacts,
    visible: VisibleOutput | None,
    counts: Iterable[tuple[int, int]],
) -> bool:
    """Return whether a re-count of the visible output may be called EXACT.

    Spec:
        LBL-5.

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
    reported = dict(counts)
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
