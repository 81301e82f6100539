"""Bounds of output that cannot be counted: by the request, by the trace, by the time.

    max-tokens/1            the request named the most that it would take
    trace-bytes/1           the provider returns all of the thinking, so bytes bound it
    decode-ceiling/1+RATE   nothing decodes faster than RATE tokens a second, says the operator

Of the bounds that apply to a bucket the least counts. None of them says that a count
is right: it says what the count cannot be without breaking the request's own terms,
the text that came, or the operator's assumption.

Spec:
    PROTOCOL.md BND-1 to BND-9.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from nous_ledger.protocol.label import (
    OUTPUT_UNSPLIT,
    OUTPUT_VISIBLE,
    REASONING,
    UNVERIFIABLE,
    Bucket,
    bytes_bound,
)
from nous_ledger.protocol.registries import API, STATUS, TEXT_APIS
from nous_ledger.protocol.types import MAX_UINT
from nous_ledger.protocol.values import value
from nous_ledger.reconcile.buckets import bounded
from nous_ledger.reconcile.tally import VisibleOutput

METHOD_CAP: Final = "max-tokens/1"
METHOD_TRACE: Final = "trace-bytes/1"
METHOD_CEILING: Final = "decode-ceiling/1"
MAX_ANSWERS: Final = 128
MAX_RATE: Final = 1_000_000
"""Largest decode ceiling that can be declared, in tokens per second."""

_CHAT: Final = API["openai.chat"]
_RESPONSES: Final = API["openai.responses"]
_COMPLETIONS: Final = API["openai.completions"]
_MESSAGES: Final = API["anthropic.messages"]
_GEMINI: Final = API["gemini.generate"]
_CONVERSE: Final = API["bedrock.converse"]
_OLLAMA_CHAT: Final = API["ollama.chat"]
_OLLAMA: Final = API["ollama.generate"]
_MISTRAL: Final = API["mistral.chat"]

_Path = tuple[str, ...]
_Spellings = tuple[_Path, ...]
_DIFFERENT: Final = False
"""Stands for a member whose spellings say different things; no number is meant by it."""


def _named(*path: str) -> _Spellings:
    return (path,)


def _configured(*names: str) -> _Spellings:
    """Return the spellings of a member of Gemini's configuration."""
    return tuple((outer, name) for outer in _CONFIGURATIONS for name in names)


_CONFIGURATIONS: Final = ("generationConfig", "generation_config")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """Where requests of a format say how much they take.

    Attributes:
        caps: members that name the most tokens of an answer, each in its spellings; the
            first that is there counts.
        answers: members that name how many answers, likewise; the greatest counts.
        providers: who counts everything that its models generate under that cap.
        own_tools: values of `type` of a tool that the caller runs; None where tools are
            told apart by their members.
    """

    caps: tuple[_Spellings, ...]
    answers: tuple[_Spellings, ...] = ()
    providers: frozenset[str]
    own_tools: tuple[str | None, ...] = ("function", "custom")


_OPENAI: Final = frozenset({"openai", "azure-openai"})
_GOOGLE: Final = frozenset({"gemini", "vertex"})
_TERMS: Final[Mapping[int, _Terms]] = MappingProxyType(
    {
        _CHAT: _Terms(
            caps=(_named("max_completion_tokens"), _named("max_tokens")),
            answers=(_named("n"),),
            providers=_OPENAI,
        ),
        _RESPONSES: _Terms(caps=(_named("max_output_tokens"),), providers=_OPENAI),
        _COMPLETIONS: _Terms(
            caps=(_named("max_tokens"),),
            answers=(_named("n"), _named("best_of")),
            providers=_OPENAI,
        ),
        _MESSAGES: _Terms(
            caps=(_named("max_tokens"),),
            providers=frozenset({"anthropic", "vertex", "bedrock"}),
            own_tools=(None, "custom"),
        ),
        _GEMINI: _Terms(
            caps=(_configured("maxOutputTokens", "max_output_tokens"),),
            answers=(_configured("candidateCount", "candidate_count"),),
            providers=_GOOGLE,
        ),
        _CONVERSE: _Terms(
            caps=(_named("inferenceConfig", "maxTokens"),), providers=frozenset({"bedrock"})
        ),
        _OLLAMA_CHAT: _Terms(
            caps=(_named("options", "num_predict"),), providers=frozenset({"ollama"})
        ),
        _OLLAMA: _Terms(caps=(_named("options", "num_predict"),), providers=frozenset({"ollama"})),
        _MISTRAL: _Terms(
            caps=(_named("max_tokens"),),
            answers=(_named("n"),),
            providers=frozenset({"mistral"}),
        ),
    }
)
# What makes a provider generate more than the answers, or what alters the terms unseen.
_MORE: Final = (
    *("prediction", "web_search_options", "echo", "mcp_servers", "container", "prompt"),
    *("cachedContent", "cached_content", "data_sources", "context_management"),
    "additionalModelRequestFields",
)
_MEMBERS_OF_OWN_TOOLS: Final[Mapping[int, frozenset[str]]] = MappingProxyType(
    {
        _GEMINI: frozenset({"functionDeclarations", "function_declarations"}),
        _CONVERSE: frozenset({"toolSpec", "cachePoint"}),
    }
)
# Models of Bedrock whose cap is known to cover thinking.
_CONVERSE_MODELS: Final = re.compile(r"(?:[a-z-]+\.)?anthropic\.claude-[a-z0-9.:-]+")
# Who returns all of the thinking, as it was generated.
_TRACED: Final[Mapping[int, frozenset[str]]] = MappingProxyType(
    {
        _CHAT: frozenset({"deepseek"}),
        _OLLAMA_CHAT: frozenset({"ollama"}),
        _OLLAMA: frozenset({"ollama"}),
    }
)
_WHOLE: Final = frozenset({STATUS["complete"], STATUS["incomplete"]})


@value
class Allowance:
    """How much a request takes.

    Attributes:
        tokens: most tokens of one answer; None if it does not say, or if what it asks
            for beside is not known to be covered.
        answers: how many answers it asks for; None if that cannot be told.
    """

    tokens: int | None = None
    answers: int | None = 1


NOTHING_NAMED: Final = Allowance()
NOTHING_KNOWN: Final = Allowance(answers=None)
"""Of a request that is no JSON object, or could not be read."""


@value
class OutputEvidence:
    """What bounds the output of one call.

    Attributes:
        provider: name of the provider, as in the receipt.
        api: wire format.
        model: the model that answered, else the one asked for.
        status: how the call ended.
        allowance: what the request takes.
        visible: what the caller got, if that is known in full.
        rate: declared decode ceiling in tokens per second; None if none is declared.
        whole_ms: time to the end of the response, rounded up to milliseconds.
    """

    provider: str
    api: int
    model: str | None
    status: int
    allowance: Allowance = NOTHING_NAMED
    visible: VisibleOutput | None = None
    rate: int | None = None
    whole_ms: int = 0


def read_allowance(api: int, fields: Mapping[str, Any]) -> Allowance:
    """Return how much a request takes.

    Args:
        api: wire format.
        fields: members of the request body.
    """
    terms = _TERMS.get(api)
    if terms is None:
        return NOTHING_NAMED
    cap = None
    for spellings in terms.caps:
        if (cap := _said(fields, spellings)) is not None:
            break
    answers = _answers(terms, fields)
    if api == _COMPLETIONS and answers is not None:
        prompts = _prompts(fields.get("prompt"))
        answers = None if prompts is None else prompts * answers
    if cap is None and answers == 1:
        return NOTHING_NAMED  # what most requests say
    known = _is_positive(cap) and answers is not None and _asks_for_answers_only(api, terms, fields)
    return Allowance(tokens=cap if known else None, answers=answers)


def may_bound_output(provider: str, api: int, allowance: Allowance) -> bool:
    """Return whether output can be bounded without a declared ceiling: by cap or by trace.

    Args:
        provider: name of the provider, as in the receipt.
        api: wire format.
        allowance: what the request takes.
    """
    return allowance.tokens is not None or provider in _TRACED.get(api, ())


def bound_output(usage: Iterable[Bucket], evidence: OutputEvidence) -> tuple[Bucket, ...]:
    """Return the buckets with the output that can be bounded BOUNDED.

    Args:
        usage: labelled buckets; only UNVERIFIABLE ones change.
        evidence: what is known of the call.
    """
    buckets = tuple(usage)
    visible = 0
    for bucket in buckets:
        if bucket.kind == OUTPUT_VISIBLE:
            visible = bucket.reported or 0
    return tuple(
        [
            _bounded(bucket, evidence, visible)
            if bucket.label == UNVERIFIABLE
            and bucket.kind in (OUTPUT_VISIBLE, REASONING, OUTPUT_UNSPLIT)
            else bucket
            for bucket in buckets
        ]
    )


def cap_holds(provider: str, api: int, model: str | None) -> bool:
    """Return whether all that a model generates is known to be under the request's cap."""
    terms = _TERMS.get(api)
    if terms is None or provider not in terms.providers:
        return False
    return api != _CONVERSE or bool(model and _CONVERSE_MODELS.fullmatch(model))


def _bounded(bucket: Bucket, evidence: OutputEvidence, visible: int) -> Bucket:
    bounds = [
        bound
        for bound in (
            _by_cap(bucket.kind, evidence, visible),
            _by_trace(bucket.kind, evidence),
            _by_time(evidence),
        )
        if bound is not None and bound[1] <= MAX_UINT
    ]
    if not bounds:
        return bucket
    lower, upper, method = min(bounds, key=lambda bound: bound[1])  # the first of equals
    return bounded(bucket.kind, bucket.reported, lower, upper, method)


_Bound = tuple[int, int, str]


def _by_cap(kind: int, evidence: OutputEvidence, visible: int) -> _Bound | None:
    """Bound by what the request takes: a token more for each answer may end it."""
    cap, answers = evidence.allowance.tokens, evidence.allowance.answers
    if cap is None or answers is None:
        return None
    if not cap_holds(evidence.provider, evidence.api, evidence.model):
        return None
    whole = answers * (cap + 1)
    return 0, max(0, whole - visible) if kind == REASONING else whole, METHOD_CAP


def _by_trace(kind: int, evidence: OutputEvidence) -> _Bound | None:
    """Bound by the bytes of the thinking, where all of it came."""
    seen = evidence.visible
    if evidence.provider not in _TRACED.get(evidence.api, ()) or seen is None:
        return None
    if evidence.status not in _WHOLE or not seen.thinking_bytes or kind == OUTPUT_VISIBLE:
        return None
    if kind == REASONING:
        # Thinking that is shown may be counted as an answer, and none of it apart.
        lower, upper = 0, bytes_bound(seen.thinking_bytes, seen.choices)[1]
    else:
        length = seen.thinking_bytes + seen.utf8_bytes
        lower, upper = bytes_bound(length, 2 * seen.choices + seen.tool_calls)
    return lower, upper, METHOD_TRACE


def _by_time(evidence: OutputEvidence) -> _Bound | None:
    """Bound by the time, where the operator says how fast nothing is."""
    rate, answers = evidence.rate, evidence.allowance.answers
    if rate is None or answers is None or evidence.api not in TEXT_APIS:
        return None
    return 0, answers * rate * evidence.whole_ms // 1000, f"{METHOD_CEILING}+{rate}"


def _answers(terms: _Terms, fields: Mapping[str, Any]) -> int | None:
    most = 1
    for spellings in terms.answers:
        value = _said(fields, spellings)
        if value is None:
            continue
        if not (_is_positive(value) and value <= MAX_ANSWERS):
            return None
        most = max(most, value)
    return most


def _prompts(given: object) -> int | None:
    """Return how many prompts a completion has; None if that cannot be told."""
    if given is None or isinstance(given, str):
        return 1
    if not isinstance(given, list) or not given:
        return None
    if all(type(item) is int for item in given):  # one prompt, in tokens
        return 1
    told = all(isinstance(item, str) for item in given)
    return len(given) if told or all(isinstance(item, list) for item in given) else None


def _said(fields: Mapping[str, Any], spellings: _Spellings) -> Any:  # noqa: ANN401 - any JSON value
    """Return what a member says, None if it is absent, `_DIFFERENT` if spellings disagree."""
    if len(spellings) == 1:
        return _at(fields, spellings[0])
    found = [said for path in spellings if (said := _at(fields, path)) is not None]
    if not found:
        return None
    same = all(type(said) is int and said == found[0] for said in found)
    return found[0] if same else _DIFFERENT


def _asks_for_answers_only(api: int, terms: _Terms, fields: Mapping[str, Any]) -> bool:
    """Return whether nothing is asked for by which a provider generates more than answers."""
    # The text of completions and of Ollama's generate stands in `prompt`.
    for name in _MORE:
        if name in fields and fields[name] and (name != "prompt" or api == _RESPONSES):
            return False
    tools = fields.get("tools")
    if api == _CONVERSE:
        tools = _at(fields, ("toolConfig", "tools"))
    if not tools:
        return True
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return False
    members = _MEMBERS_OF_OWN_TOOLS.get(api)
    if members is not None:
        return all(
            name in members for tool in tools for name, value in tool.items() if value is not None
        )
    return all(tool.get("type") in terms.own_tools for tool in tools)


def _at(fields: Mapping[str, Any], path: _Path) -> Any:  # noqa: ANN401 - any JSON value
    found: Any = fields.get(path[0])
    for name in path[1:]:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _is_positive(value: object) -> bool:
    return type(value) is int and 0 < value <= MAX_UINT
