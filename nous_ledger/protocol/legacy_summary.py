"""Usage summaries that nous-v2 signs: their fields and the exact signed bytes.

Spec:
    PROTOCOL.md, section "Legacy: nous-v2".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from nous_ledger.protocol.errors import LegacyError
from nous_ledger.protocol.legacy_record import check_legacy_text
from nous_ledger.protocol.types import MAX_UINT, TokenCount, UnixSeconds

MAX_MODELS: Final = 4_096
_FIXED: Final[Mapping[str, object]] = {"p": "nous", "v": 1, "type": "summary"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyModelUse:
    """One row of a summary: the use of one model of one provider."""

    provider: str
    model: str
    tokens: TokenCount
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacySummary:
    """What `POST /api/sign` signs.

    Attributes:
        user: user hash.
        total_tokens: tokens of all rows.
        total_calls: calls of all rows.
        models: rows, most tokens first.
        ts: Unix seconds of signing.
    """

    user: str
    total_tokens: TokenCount
    total_calls: int
    models: tuple[LegacyModelUse, ...]
    ts: UnixSeconds


def parse_legacy_summary(fields: Mapping[str, object]) -> LegacySummary:
    """Return the summary in a parsed JSON object.

    Raises:
        LegacyError: legacy-format (a field is missing or of another type, the
            constants `p`, `v` and `type` differ, models not in descending order
            of tokens), legacy-type-confused (a number is not an integer in
            0..2^53-1).
    """
    for name, constant in _FIXED.items():
        if type(fields.get(name)) is not type(constant) or fields[name] != constant:
            raise LegacyError("legacy-format", f"{name} of a summary is {constant!r}")
    models = fields.get("models")
    if not isinstance(models, list | tuple) or len(models) > MAX_MODELS:
        raise LegacyError("legacy-format", f"models is not a list of at most {MAX_MODELS} rows")
    rows = tuple(map(_model_use, models))
    if any(above.tokens < below.tokens for above, below in pairwise(rows)):
        raise LegacyError("legacy-format", "models are not in descending order of tokens")
    return LegacySummary(
        user=check_legacy_text(fields.get("user"), "user"),
        total_tokens=TokenCount(_count(fields, "total_tokens")),
        total_calls=_count(fields, "total_calls"),
        models=rows,
        ts=UnixSeconds(_count(fields, "ts")),
    )


def encode_legacy_summary(summary: LegacySummary) -> bytes:
    """Return the bytes that a summary's signature is over: compact JSON in fixed key order."""
    rows = [
        {"provider": row.provider, "model": row.model, "tokens": row.tokens, "calls": row.calls}
        for row in summary.models
    ]
    signed = {
        **_FIXED,
        "user": summary.user,
        "total_tokens": summary.total_tokens,
        "total_calls": summary.total_calls,
        "models": rows,
        "ts": summary.ts,
    }
    # Python and JavaScript escape the same characters once non-ASCII text is left as it is.
    return json.dumps(signed, ensure_ascii=False, separators=(",", ":")).encode()


def _model_use(row: object) -> LegacyModelUse:
    if not isinstance(row, Mapping):
        raise LegacyError("legacy-format", "a row of models is not an object")
    return LegacyModelUse(
        provider=check_legacy_text(row.get("provider"), "provider"),
        model=check_legacy_text(row.get("model"), "model"),
        tokens=TokenCount(_count(row, "tokens")),
        calls=_count(row, "calls"),
    )


def _count(fields: Mapping[str, object], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= MAX_UINT:
        raise LegacyError("legacy-type-confused", f"{name} is not an integer in 0..2^53-1")
    return value
