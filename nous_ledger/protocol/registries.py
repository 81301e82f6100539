"""Enumerations of the protocol: numbers for the code, names for people and JSON.

Registries are open: a value that is not listed is kept and shown as unknown,
never refused. Bodies therefore hold plain integers.

Spec:
    PROTOCOL.md, section "Registries".
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.protocol.errors import InputError


class Registry:
    """Names of an open enumeration.

    >>> STATUS["timeout"]
    6
    >>> STATUS.name_of(99)
    'unknown(99)'
    """

    __slots__ = ("_names", "_numbers")

    def __init__(self, **numbers: int) -> None:
        """Make a registry; `_` at the end of a name and `__` for `.` are written away."""
        named = {name.rstrip("_").replace("__", "."): number for name, number in numbers.items()}
        self._numbers: Mapping[str, int] = MappingProxyType(named)
        self._names: Mapping[int, str] = MappingProxyType({n: name for name, n in named.items()})

    def __getitem__(self, name: str) -> int:
        """Return the number of a name.

        Raises:
            InputError: the registry has no such name.
        """
        try:
            return self._numbers[name]
        except KeyError:
            raise InputError(
                "input", f"{name!r} is not one of {', '.join(self._numbers)}"
            ) from None

    def __contains__(self, number: object) -> bool:
        """Return whether a number is listed."""
        return number in self._names

    def name_of(self, number: int) -> str:
        """Return the name of a number, or unknown(n)."""
        return self._names.get(number, f"unknown({number})")

    def items(self) -> tuple[tuple[str, int], ...]:
        """Return all (name, number) pairs in the order of the specification."""
        return tuple(self._numbers.items())


KEY_EVENT_KIND: Final = Registry(genesis=0, rotate=1, close=2)
KEY_REASON: Final = Registry(scheduled=0, suspected=1, compromised=2, lost=3, closed=4)
SOURCE: Final = Registry(proxy=1, embedded=2, import_=3, manual=4)
LABEL: Final = Registry(EXACT=1, BOUNDED=2, UNVERIFIABLE=3)
METERING: Final = Registry(none=0, final=1, partial=2, malformed=3)
STATUS: Final = Registry(
    complete=0,
    client_aborted=1,
    upstream_error=2,
    upstream_reset=3,
    refused=4,
    upstream_unreachable=5,
    timeout=6,
    gateway_interrupted=7,
    incomplete=8,
)
POLICY_ACTION: Final = Registry(flag=1, block=2, redact=3, limit=4)
API: Final = Registry(
    other=0,
    openai__chat=1,
    openai__responses=2,
    openai__completions=3,
    openai__embeddings=4,
    openai__images=5,
    openai__audio=6,
    anthropic__messages=7,
    gemini__generate=8,
    bedrock__converse=9,
    cohere__v2=10,
    ollama__chat=11,
    ollama__generate=12,
    mistral__chat=13,
)
KIND: Final = Registry(
    input_uncached=1,
    cache_read=2,
    cache_write=3,
    cache_write_5m=4,
    cache_write_1h=5,
    cache_write_30m=6,
    cache_write_12h=7,
    input_unsplit=8,
    tool_prompt=9,
    output_visible=16,
    reasoning=17,
    output_unsplit=18,
    rejected_prediction=19,
    input_audio=32,
    input_image=33,
    input_video=34,
    output_audio=35,
    output_image=36,
    output_video=37,
    audio_ms=48,
    images=49,
    search_units=50,
    pages=51,
    web_searches=52,
    web_fetches=53,
)
ANOMALY: Final = Registry(
    usage_malformed=1,
    details_exceed_total=2,
    usage_decreased=3,
    duplicate_usage=4,
    usage_too_long=5,
    model_unrepresentable=6,
    request_id_unrepresentable=7,
    body_too_long_to_commit=8,
    policy_list_truncated=9,
    clock_clamped=10,
    total_mismatch=11,
    output_not_text_only=12,
)
REDACTION_REASON: Final = Registry(
    data_subject_request=1, retention=2, legal_order=3, secret_leaked=4
)
SUBJECT_KIND: Final = Registry(
    client_token=1,
    api_key=2,
    access_key_id=3,
    ephemeral=4,
    account=5,
    none=6,
    import_=7,
)
RECORD_TYPE: Final = Registry(
    key_event=0,
    receipt=1,
    reconciliation=2,
    binding=3,
    statement=4,
    redaction=5,
    evidence=6,
    acknowledgement=7,
    period_close=8,
)

TOKEN_KINDS_END: Final = 48
"""Kinds below this count tokens and belong to provider_total."""
INPUT_SPLIT_KINDS: Final = frozenset(range(1, 8))
MEDIA_KINDS: Final = frozenset(range(32, 38))
TEXT_APIS: Final = frozenset({1, 2, 3, 7, 8, 9, 10, 11, 12, 13})
EXACT_FORBIDDING_ANOMALIES: Final = frozenset({1, 2, 3, 5, 12})
