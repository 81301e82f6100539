"""A range for tokens of models whose vocabulary nobody publishes: `claude-range/1`.

Claude's tokenizer is known by its counts only. It is no byte-level coding: words and
capital letters have marks of their own, so bytes alone do not bound it. The range is
drawn from the count of a public vocabulary and from the characters of the text, all in
integers, and is wide enough for everything that was measured, with a margin.

Spec:
    PROTOCOL.md EST-1 to EST-3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from operator import eq
from typing import Final

from nous_ledger.protocol.label import BYTES_PER_PART
from nous_ledger.reconcile.tally import utf8_length

METHOD_CLAUDE: Final = "claude-range/1"
RANGE_ENCODING: Final = "o200k_base"
"""Encoding whose count a range is drawn from."""

# Models whose tokenizer was measured, by the provider's name in receipts.
_MODELS: Final[Mapping[str, re.Pattern[str]]] = {
    "anthropic": re.compile(
        r"claude-3(-[57])?-(haiku|sonnet|opus)(-\d{8})?"
        r"|claude-(haiku|sonnet|opus)-4(-[0-9])?(-\d{8})?"
        r"|claude-(sonnet|opus|fable)-5(-\d{8})?",
        re.ASCII,
    )
}
_WORDS: Final = re.compile(r"[A-Za-z\u0080-\U0010ffff]+")
_CAPITALS: Final = re.compile(r"[A-Z]{2,}")
_KNOWN: Final = re.compile(r"[A-Za-z0-9]")
_ALTERNATING: Final = re.compile(r"(?=([^A-Za-z0-9])(?!\1).\1)", re.DOTALL)
_WIDE: Final = re.compile(r"[\U00010000-\U0010ffff]")
_NARROW: Final = re.compile(r"[\u0080-\uffff]")
# What NFC takes apart, into up to three characters.
_SPLIT: Final = re.compile(
    "[\u0958-\u095f\u09dc-\u09df\u0a33-\u0a5e\u0b5c-\u0b5d\u0f43-\u0fb9\u2adc\ufb1d-\ufb4e"
    "\U0001d15e-\U0001d164\U0001d1bb-\U0001d1c0]"
)
# What may be left out, or melt into the character before it.
_FLEETING: Final = re.compile(
    "[^\n\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff\u0370-\u10ff\u1200-\u1fff\u2010-\u2027"
    "\u2030-\u205e\u20a0-\u20bf\u2100-\u2bff\u2e80-\u3098\u309b-\ud7a3\uff01-\uffee"
    "\U0001f000-\U0001faff]"
)


def has_range(provider: str, model: str | None) -> bool:
    """Return whether the range of `claude-range/1` was measured for a model.

    Args:
        provider: name of the provider, as in the receipt.
        model: the name under which the model answered.
    """
    known = _MODELS.get(provider)
    return known is not None and model is not None and known.fullmatch(model) is not None


def range_providers() -> frozenset[str]:
    """Return the providers some of whose models have a range."""
    return frozenset(_MODELS)


def claude_range(text: str, tokens: int) -> tuple[int, int]:
    """Return (lower, upper) of the tokens of a text by method claude-range/1.

    Spec:
        EST-1.

    Args:
        text: an answer of one choice of plain text.
        tokens: its tokens under `RANGE_ENCODING`.
    """
    repeats = _repeats(text)
    capitals = sum(len(run) - 1 for run in _CAPITALS.findall(text))
    beyond = 2 * len(_NARROW.findall(text)) + 6 * len(_WIDE.findall(text))
    length = utf8_length(text)
    by_tokens = (5 * tokens + 1) // 2 + repeats + capitals + beyond
    by_bytes = length + length // 4 + 3 * len(_WORDS.findall(text)) + 8 * len(_SPLIT.findall(text))
    fleeting = 4 * len(_FLEETING.findall(text))
    lower = 2 * tokens // 5 - repeats - fleeting - BYTES_PER_PART
    least = 1 if _KNOWN.search(text) else 0
    return max(lower, least), min(by_tokens, by_bytes) + BYTES_PER_PART


def _repeats(text: str) -> int:
    """Return how many characters repeat the one before, or are a mark like the one before that."""
    again: int = sum(map(eq, text, text[1:]))
    return again + len(_ALTERNATING.findall(text))
