"""What a request body asks for, and the one rule by which it is altered.

A chat completion stream tells its usage only on request. When the client did
not ask, the gateway adds `stream_options.include_usage` and later takes the
extra usage chunk out of what the client gets. Nothing else of the body changes,
not even its white space; the receipt commits to both versions.

Spec:
    PROTOCOL.md COMM-2, LBL-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.gateway.providers import API_CHAT, API_MESSAGES, API_OTHER, API_RESPONSES
from nous_ledger.protocol.errors import FormatError
from nous_ledger.reconcile.jsontext import Located, parse_json

MAX_SEPARATORS: Final = 1_000_000
"""Bound of a request that is read; more than the longest context holds, even as numbers."""

_ASK: Final = '"include_usage":true'


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """What matters of a request body.

    Attributes:
        model: the model asked for, if the body names one.
        hidden_ruled_out: the request leaves no room for hidden thinking.
        altered: the body to forward instead, if the include_usage rule applies.
    """

    model: str | None = None
    hidden_ruled_out: bool = False
    altered: bytes | None = None


def read_request(api: int, body: bytes | None) -> RequestFacts:
    """Return what matters of a request body.

    Args:
        api: wire format; of an unmetered call nothing is read.
        body: the body without content codings, None if they could not be removed.
    """
    if api == API_OTHER or not body:
        return RequestFacts()
    try:
        request = parse_json(body, max_separators=MAX_SEPARATORS)
    except FormatError:
        return RequestFacts()
    fields = request.value if isinstance(request.value, dict) else {}
    model = fields.get("model")
    return RequestFacts(
        model=model if isinstance(model, str) else None,
        hidden_ruled_out=_rules_out_hidden(api, fields),
        altered=_ask_for_usage(request, fields) if api == API_CHAT else None,
    )


def _rules_out_hidden(api: int, fields: dict[str, Any]) -> bool:
    """Return whether a request says that there shall be no hidden thinking.

    Silence does not say so: what happens then depends on the model.
    """
    if api == API_CHAT:
        return fields.get("reasoning_effort") == "none"
    name, key, value = {
        API_RESPONSES: ("reasoning", "effort", "none"),
        API_MESSAGES: ("thinking", "type", "disabled"),
    }[api]
    setting = fields.get(name)
    return isinstance(setting, dict) and setting.get(key) == value


def _ask_for_usage(request: Located, fields: dict[str, Any]) -> bytes | None:
    """Return the body with include_usage, None if it streams nothing or asks already."""
    if fields.get("stream") is not True:
        return None
    options = request.member("stream_options")
    if options is None:
        return _insert(request, f'"stream_options":{{{_ASK}}}')
    if options.value is None:
        return _replace(options, f"{{{_ASK}}}")
    if not isinstance(options.value, dict) or options.value.get("include_usage") is True:
        return None  # the upstream will say what is wrong with other values
    asked = options.member("include_usage")
    return _insert(options, _ASK) if asked is None else _replace(asked, "true")


def _insert(target: Located, member: str) -> bytes:
    """Return the text with a first member added to an object."""
    rest = target.text[target.start + 1 :]
    comma = "," if target.value else ""
    return f"{target.text[: target.start + 1]}{member}{comma}{rest}".encode()


def _replace(target: Located, value: str) -> bytes:
    return f"{target.text[: target.start]}{value}{target.text[target.end :]}".encode()
