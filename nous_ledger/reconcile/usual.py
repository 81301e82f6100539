"""Requests of the usual shape, which are understood in one step.

Nearly every chat is messages of a role and a text, and beside them members that decide
nothing of what is counted or shown. Of such a request everything that the modules
beside this one look for, each at its own members, is known by its members' names:

    all output is shown, none of it is ruled out; one choice of plain text is asked for,
    unless the last message begins it; nothing but a cap says how much is taken; the
    model reads the messages, and nothing else

Any other request is read by those modules.

Spec:
    PROTOCOL.md LBL-5, LBL-9, BND-4, BND-12.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nous_ledger.protocol.registries import API
from nous_ledger.reconcile.exact import SPEAKERS
from nous_ledger.reconcile.hidden import NOTHING_NAMED, Allowance, read_allowance
from nous_ledger.reconcile.prompt_shapes import Prompt

_APIS: Final = frozenset(
    {API["openai.chat"], API["cohere.v2"], API["ollama.chat"], API["mistral.chat"]}
)
_MESSAGES: Final = API["anthropic.messages"]
_CAPS: Final = frozenset({"max_tokens", "max_completion_tokens"})
# No module looks at any of these, but at `messages` and the caps.
USUAL: Final = _CAPS | {
    *("model", "messages", "stream", "stream_options", "user", "metadata", "store"),
    *("temperature", "top_p", "top_k", "min_p", "seed", "random_seed", "safe_prompt"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty", "parallel_tool_calls"),
    *("service_tier", "safety_identifier", "prompt_cache_key", "verbosity", "keep_alive"),
}
_USUAL_MESSAGES: Final = USUAL | {"system"}
_MESSAGE: Final = frozenset({"role", "content"})


def read_usual(api: int, fields: Mapping[str, Any]) -> Prompt | None:
    """Return what a request of the usual shape gives to read, None of any other.

    Args:
        api: wire format.
        fields: members of the request body.
    """
    messages = fields.get("messages")
    if type(messages) is not list or not _has_usual_members(api, fields):
        return None
    prompt = Prompt()
    texts: list[str] = []
    for message in messages:
        if type(message) is not dict or message.keys() != _MESSAGE:
            return None
        role, content = message["role"], message["content"]
        if type(role) is not str or type(content) is not str:
            return None
        texts += role, content
    if api != _MESSAGES:  # no formula is known for its prompts
        prompt.texts, prompt.messages = texts, len(messages)
    return prompt


def _has_usual_members(api: int, fields: Mapping[str, Any]) -> bool:
    if api in _APIS:
        return fields.keys() <= USUAL
    system = fields.get("system", "")
    return api == _MESSAGES and fields.keys() <= _USUAL_MESSAGES and isinstance(system, str)


def begins_answer(fields: Mapping[str, Any]) -> bool:
    """Return whether the last message of such a request begins the answer."""
    messages = fields["messages"]
    return bool(messages) and messages[-1]["role"].lower() in SPEAKERS


def usual_allowance(api: int, fields: Mapping[str, Any]) -> Allowance:
    """Return how much such a request takes, as `read_allowance`."""
    return NOTHING_NAMED if _CAPS.isdisjoint(fields) else read_allowance(api, fields)
