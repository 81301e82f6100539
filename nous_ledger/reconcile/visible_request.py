"""What a request decides of the output: whether all of it is shown, and thinking.

Some output is generated and counted, but no caller ever gets it: completions that lost
against a better one, text that a guardrail took back, calls of tools that a server could
not read, a stop sequence. Other output stands in the answer and is not counted: an echoed
prompt. Where a request leaves room for either, the bytes of the answer bound nothing.

Spec:
    PROTOCOL.md LBL-9; section "bytes/1".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from nous_ledger.protocol.registries import API
from nous_ledger.reconcile.tally import utf8_length

MAX_STOP_BYTES: Final = 16
"""Longest stop sequence whose tokens the allowance for a choice surely holds."""

Fields = Mapping[str, Any]
_Path = tuple[str, ...]

# Where each format says that there shall be no hidden thinking, and how.
_NO_THINKING: Final[Mapping[int, tuple[tuple[_Path, object], ...]]] = MappingProxyType(
    {
        API["openai.chat"]: ((("reasoning_effort",), "none"),),
        API["openai.responses"]: ((("reasoning", "effort"), "none"),),
        API["anthropic.messages"]: ((("thinking", "type"), "disabled"),),
        API["bedrock.converse"]: tuple(
            (("additionalModelRequestFields", name, "type"), "disabled")
            for name in ("thinking", "reasoning_config", "reasoningConfig")
        ),
        API["cohere.v2"]: ((("thinking", "type"), "disabled"),),
        API["ollama.chat"]: ((("think",), False),),
        API["ollama.generate"]: ((("think",), False),),
    }
)
# Where each format takes stop sequences: a string, or an array of them.
_STOPS: Final[Mapping[int, tuple[_Path, ...]]] = MappingProxyType(
    {
        API["openai.completions"]: (("stop",),),
        API["gemini.generate"]: tuple(
            (config, stops)
            for config in ("generationConfig", "generation_config")
            for stops in ("stopSequences", "stop_sequences")
        ),
        API["bedrock.converse"]: (("inferenceConfig", "stopSequences"),),
        API["cohere.v2"]: (("stop_sequences",),),
        API["ollama.chat"]: (("options", "stop"),),
        API["ollama.generate"]: (("options", "stop"),),
        API["mistral.chat"]: (("stop",),),
    }
)


def _nothing(value: object) -> bool:
    return value is None


def _not_asked(value: object) -> bool:
    return value is None or value is False


def _one(value: object) -> bool:
    return value is None or (type(value) is int and value == 1)


def _empty(value: object) -> bool:
    return value is None or value == []


# Members that leave output unseen, or show what is none, unless they are as said here.
_UNSEEN: Final[Mapping[int, Mapping[str, Callable[[object], bool]]]] = MappingProxyType(
    {
        API["openai.completions"]: {"echo": _not_asked, "best_of": _one},
        API["bedrock.converse"]: {"guardrailConfig": _nothing},
        API["cohere.v2"]: {"tools": _empty, "documents": _empty},
        API["ollama.chat"]: {"tools": _empty},
        API["ollama.generate"]: {"tools": _empty},
        API["mistral.chat"]: {"prediction": _nothing, "guardrails": _empty},
    }
)


def rules_out_hidden(api: int, fields: Fields) -> bool:
    """Return whether a request says that there shall be no hidden thinking.

    Silence does not say so: what happens then depends on the model. Where no request can
    be trusted to say so (text completions, Gemini, Mistral), none does.

    Args:
        api: wire format.
        fields: members of the request body.
    """
    for path, expected in _NO_THINKING.get(api, ()):
        value = _at(fields, path)
        if type(value) is type(expected) and value == expected:
            return True
    return False


def shows_all(api: int, fields: Fields | None) -> bool:
    """Return whether the caller gets all the output that is counted, and nothing beside it.

    Args:
        api: wire format; for some the request decides nothing.
        fields: members of the request body, None if it is not a JSON object or not known.
    """
    if api not in _STOPS:
        return True
    if fields is None:
        return False
    if any(_longest(_at(fields, path)) > MAX_STOP_BYTES for path in _STOPS[api]):
        return False
    return all(fits(fields.get(name)) for name, fits in _UNSEEN.get(api, {}).items())


def _longest(stops: object) -> int:
    return max(map(utf8_length, stops if isinstance(stops, list) else [stops]), default=0)


def _at(fields: object, path: _Path) -> object:
    for name in path:
        fields = fields.get(name) if isinstance(fields, Mapping) else None
    return fields
