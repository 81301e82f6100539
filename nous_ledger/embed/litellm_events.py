"""What LiteLLM tells its loggers of a call, as a receipt.

LiteLLM translates: neither the request nor the response of its caller is what stood
on the wire. So there is no commitment, the wire format is `other`, there are no raw
bytes of the usage, and the output cannot be counted again.

Spec:
    PROTOCOL.md RCPT-7, BKT-4, BKT-5, LBL-10.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

from nous_ledger.embed.targets import Targets
from nous_ledger.gateway import drafts
from nous_ledger.gateway.drafts import Ending, complete_receipt, draft_receipt
from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.provider_table import UNMETERED
from nous_ledger.gateway.providers import (
    API_CHAT,
    API_RESPONSES,
    CUSTOM_PROVIDER,
    ROUTES,
    Upstream,
    make_upstream,
)
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import SOURCE, STATUS
from nous_ledger.protocol.types import SubjectId, UnixMillis

_OPERATIONS: Final[Mapping[str, str]] = {
    "completion": "chat",
    "responses": "chat",
    "anthropic_messages": "chat",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "image_generation": "image_generation",
    "transcription": "transcription",
    "speech": "speech",
}
_CUT_SHORT: Final = frozenset({"length", "content_filter", "max_tokens"})
_ERROR_CODE: Final = re.compile(r"[45]\d\d")


def read_event(
    event: Mapping[str, Any], usage: Mapping[str, Any] | None, subject: SubjectId
) -> Receipt | None:
    """Return the receipt of a call, None if LiteLLM answered it from its cache.

    Args:
        event: its `standard_logging_object`.
        usage: of its response, in OpenAI's form, as LiteLLM makes it of every provider's;
            None if there is none.
        subject: pseudonym of the caller.
    """
    if event.get("cache_hit") is True:
        return None  # no provider was asked
    upstream = _upstream(event.get("api_base"))
    call_type = str(event.get("call_type") or "")
    operation = _OPERATIONS.get(call_type) or _OPERATIONS.get(call_type.removeprefix("a"))
    draft = draft_receipt(
        subject=subject,
        upstream=upstream or _NOWHERE,
        shape=replace(UNMETERED, operation=operation or UNMETERED.operation),
        model=_text(event.get("model")),
    )
    draft = replace(
        draft,
        source=SOURCE["embedded"],
        time=_milliseconds(event.get("startTime")) or draft.time,
        upstream=None if upstream is None else upstream.host,
    )
    failed = event.get("status") == "failure"
    metered = Metered() if failed or usage is None else _meter(usage)
    ending = Ending(
        status=_failure(event) if failed else _success(event),
        http_status=_error_code(event) if failed else 200,
        duration=_duration(event),
        streamed=event.get("stream") is True,
        metered=metered,
    )
    # The bytes of the usage are LiteLLM's, not the provider's.
    return replace(complete_receipt(draft, ending), raw_usage_hash=None)


_NOWHERE: Final = Upstream(
    route=ROUTES[CUSTOM_PROVIDER], base_url="", host="unknown", provider=CUSTOM_PROVIDER
)


def _upstream(api_base: object) -> Upstream | None:
    """Return whose host was called, by its URL and not by LiteLLM's word."""
    try:
        parts = urlsplit(api_base if isinstance(api_base, str) else "")
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return Targets({}).provider_of(origin) or make_upstream(ROUTES[CUSTOM_PROVIDER], origin)
    except (InputError, ValueError):
        return None


def _meter(usage: Mapping[str, Any]) -> Metered:
    is_responses = "input_tokens" in usage and "prompt_tokens" not in usage
    if not (told := _as_openai(usage)):
        return Metered()
    meter = Meter(API_RESPONSES if is_responses else API_CHAT, streamed=False)
    try:
        meter.feed(json.dumps({"usage": told}).encode())
    except (TypeError, ValueError):  # no JSON: nothing that could be counted
        return Metered()
    meter.close()
    return meter.result(hidden_ruled_out=False, all_shown=False, reached=False, cut=False)


def _as_openai(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Return a usage without what LiteLLM adds; null stands for what it does not know."""
    known = {name: value for name, value in usage.items() if value is not None}
    details = known.get("prompt_tokens_details")
    if isinstance(details, Mapping):
        kept = {name: value for name, value in details.items() if value is not None}
        # LiteLLM's own name for what OpenAI calls tokens written to a cache.
        if "cache_creation_tokens" in kept:
            kept.setdefault("cache_write_tokens", kept.pop("cache_creation_tokens"))
        known["prompt_tokens_details"] = kept
    return known


def _success(event: Mapping[str, Any]) -> int:
    response = event.get("response")
    choices = response.get("choices") if isinstance(response, Mapping) else None
    reasons = {
        choice.get("finish_reason")
        for choice in (choices if isinstance(choices, list) else [])
        if isinstance(choice, Mapping)
    }
    return drafts.INCOMPLETE if reasons & _CUT_SHORT else drafts.COMPLETE


def _failure(event: Mapping[str, Any]) -> int:
    error = event.get("error_information")
    name = str(error.get("error_class")) if isinstance(error, Mapping) else ""
    if "Timeout" in name:
        return drafts.TIMEOUT
    return STATUS["upstream_unreachable"] if "Connection" in name else drafts.UPSTREAM_ERROR


def _error_code(event: Mapping[str, Any]) -> int | None:
    """Return the HTTP status of a failure; of what is no answer LiteLLM makes one up."""
    error = event.get("error_information")
    code = str(error.get("error_code")) if isinstance(error, Mapping) else ""
    answered = _failure(event) == drafts.UPSTREAM_ERROR
    return int(code) if answered and _ERROR_CODE.fullmatch(code) else None


def _duration(event: Mapping[str, Any]) -> int:
    start, end = (_milliseconds(event.get(name)) for name in ("startTime", "endTime"))
    return max(0, end - start) if start and end else 0


def _milliseconds(seconds: object) -> UnixMillis | None:
    if isinstance(seconds, int | float) and 0 < seconds < 2**43 / 1000:
        return UnixMillis(round(seconds * 1000))
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
