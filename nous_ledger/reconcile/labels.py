"""Labels for the counts that a provider reported.

What the caller can see is BOUNDED by the bytes of the visible text; everything
else (input, which the provider tokenises with parts nobody sees, and hidden
output) has nothing to be held against and is UNVERIFIABLE.

Spec:
    PROTOCOL.md LBL-8 to LBL-11, BND-21.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.protocol.label import (
    METHOD_BYTES,
    OUTPUT_UNSPLIT,
    OUTPUT_VISIBLE,
    Bucket,
    Verdict,
    bytes_bound,
)
from nous_ledger.reconcile.buckets import bounded, unverifiable
from nous_ledger.reconcile.hidden import METHOD_CAP, METHOD_CEILING, METHOD_TRACE
from nous_ledger.reconcile.tally import VisibleOutput

# What lies below these ranges is nothing, so outside is above.
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        METHOD_CAP: "more than the request allowed",
        METHOD_CEILING: "more than the declared decode ceiling allows",
        METHOD_TRACE: "not what the thinking that came can be",
    }
)


def label_counts(
    counts: Iterable[tuple[int, int]],
    visible: VisibleOutput | None,
    *,
    hidden_ruled_out: bool,
) -> tuple[Bucket, ...]:
    """Return one labelled bucket per reported count.

    Args:
        counts: (bucket kind, tokens) pairs, kinds ascending.
        visible: what the caller got; None if that is not known in full, or if the
            whole response did not reach it.
        hidden_ruled_out: the request left no room for hidden thinking, so an
            unsplit output count is a count of visible tokens (LBL-9), unless there
            was thinking nevertheless.
    """
    found = []
    for kind, tokens in counts:
        if visible is not None and (
            kind == OUTPUT_VISIBLE
            or (kind == OUTPUT_UNSPLIT and hidden_ruled_out and not visible.thinking)
        ):
            found.append(_bounded(kind, tokens, visible))
        else:
            found.append(unverifiable(kind, tokens))
    return tuple(found)


def words_for(word: Verdict, method: str | None) -> str:
    """Return in words what a count is that is not `ok`; nobody is accused.

    Spec:
        BND-21.

    Args:
        word: its verdict: above, below or outside.
        method: how its range was found.
    """
    if word is not Verdict.OUTSIDE:
        return f"{word} what the evidence allows"
    return _WORDS.get((method or "").partition("+")[0], "outside of what the evidence allows")


def _bounded(kind: int, tokens: int, visible: VisibleOutput) -> Bucket:
    parts = visible.choices + visible.frames_per_call * visible.tool_calls
    lower, upper = bytes_bound(visible.utf8_bytes, parts)
    return bounded(kind, tokens, lower, upper, METHOD_BYTES)
