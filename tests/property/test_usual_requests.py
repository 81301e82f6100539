"""A request of the usual shape is read, and its input bounded, as every other would be."""

import json
from random import Random
from typing import Any

import pytest

from nous_ledger.gateway import request as reading
from nous_ledger.gateway.bounds import request_steps
from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.request import RequestFacts, read_request
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Bucket
from nous_ledger.protocol.registries import API
from nous_ledger.reconcile.exact import BESIDE, NOTHING_SAID, ONE, WITHIN
from nous_ledger.reconcile.prompt import bound_by_bytes, run_steps
from nous_ledger.reconcile.prompt_shapes import Prompt, read_prompt
from nous_ledger.reconcile.tokenizers import builtin_table
from nous_ledger.reconcile.usual import USUAL
from tests.property.test_bounds import receipt_of

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 1.0, 2**53, "", "none", "text", [], {}, ["x"], [{}]),
    *({"type": "text"}, {"include_usage": True}, {"type": "disabled"}, [{"type": "function"}]),
)
ROLES = ("user", "system", "assistant", "Assistant", "model", "tool", "", "\u212aelvin", None, 1)
CONTENTS: tuple[Any, ...] = (
    "Why?",
    "",
    "\ud800",
    "é",
    None,
    5,
    [{"type": "text", "text": "x"}],
    [],
    {},
)
NAMES = tuple(
    sorted(
        USUAL
        | BESIDE
        | {
            *ONE,
            *NOTHING_SAID,
            *WITHIN,
            "system",
            "text",
            "include",
            "contents",
            "guided_json",
            "x",
        }
        | {"previous_response_id", "conversation", "mcp_servers", "container", "cachedContent"}
        | {"functions", "function_call", "tool_choice", "search_parameters", "promptVariables"}
        | {"reasoning_effort", "reasoning", "thinking", "think", "guardrails", "prompt", "input"}
        | {"context_management", "data_sources", "options", "instructions", "cached_content"}
    )
)
SAYING = (
    *(("thinking", {"type": "disabled"}), ("reasoning_effort", "none"), ("think", False)),
    *(("context_management", {"x": 1}), ("prediction", {"content": "x"}), ("n", 2)),
    *(("tools", [{"type": "web_search"}]), ("stop", "x" * 17), ("stop_sequences", ["x" * 17])),
)
APIS = (*(API["openai.chat"], API["anthropic.messages"]) * 4, *range(14))


def _message(random: Random) -> Any:
    message: dict[str, Any] = {"role": random.choice(ROLES[:6]), "content": "Why?"}
    if random.random() < 0.4:
        message["content"] = random.choice(CONTENTS)
        message["role"] = random.choice(ROLES)
    if random.random() < 0.1:
        message[random.choice(("name", "audio", "images", "tool_calls", "x"))] = random.choice(
            HOSTILE
        )
    return message if random.random() < 0.95 else random.choice(HOSTILE)


def _request(random: Random) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": "gpt-4o"}
    for _ in range(random.randrange(4)):
        fields[random.choice(sorted(USUAL))] = random.choice(HOSTILE)
    if random.random() < 0.2:
        fields[random.choice(("max_tokens", "max_completion_tokens"))] = 5
    if random.random() < 0.1:
        name, said = random.choice(SAYING)
        fields[name] = said
    if random.random() < 0.2:
        fields["system"] = random.choice(("Be brief.", "", None, [], [{"type": "text"}], 5))
    if random.random() < 0.3:
        fields[random.choice(NAMES)] = random.choice(HOSTILE)
    if random.random() < 0.9:
        fields["messages"] = [_message(random) for _ in range(random.randrange(3))]
    return fields


def _usage(random: Random) -> tuple[Bucket, ...]:
    reported = {random.choice((1, 2, 3, 5, 8, 16, 17, 33, 34)) for _ in range(random.randrange(5))}
    return tuple(
        Bucket(kind=kind, reported=tokens, label=BOUNDED, lower=0, upper=tokens, method="bytes/1")
        if random.random() < 0.1
        else Bucket(kind=kind, reported=tokens, label=UNVERIFIABLE)
        for kind in sorted(reported)
        for tokens in (random.choice((0, 3, 20, 60, 2**53 - 1)),)
    )


def _seen(prompt: Prompt | None) -> dict[str, Any] | None:
    if prompt is None:
        return None
    return {name: getattr(prompt, name) for name in Prompt.__slots__}


def _without_prompt(facts: RequestFacts) -> tuple[Any, ...]:
    names = ("model", "hidden_ruled_out", "all_shown", "altered", "plain", "allowance")
    return tuple(getattr(facts, name) for name in names)


def test_a_usual_request_is_read_as_every_other(monkeypatch: pytest.MonkeyPatch) -> None:
    usual, shapes = 0, [CallShape(api=api, operation="x") for api in APIS]
    for seed in range(8_000):
        random = Random(seed)
        shape, fields = random.choice(shapes), _request(random)
        body = json.dumps(fields).encode()
        not_with = random.choice(((), ("user",)))
        found = read_request(shape, body, not_with=not_with)
        with monkeypatch.context() as patched:
            patched.setattr(reading, "read_usual", lambda *_: None)
            slowly = read_request(shape, body, not_with=not_with)
        assert slowly.prompt is None
        assert _without_prompt(found) == _without_prompt(slowly), fields
        if found.prompt is not None:
            usual += 1
            assert _seen(found.prompt) == _seen(read_prompt(shape.api, fields)), fields
    assert 1_000 < usual < 7_000


def test_input_of_a_usual_request_is_bounded_as_that_of_every_other() -> None:
    """BND-12: by its bytes where nothing is counted, else by what was read of it before."""
    table, bounded, seed = builtin_table(), 0, 0
    while bounded < 500:
        random = Random(seed := seed + 1)
        body = json.dumps(_request(random)).encode()
        shape = CallShape(api=random.choice(APIS), operation="x")
        prompt = read_request(shape, body).prompt
        if prompt is None:
            continue
        usage = _usage(random)
        for provider in ("custom", "openai"):
            receipt = receipt_of(provider, shape.api)
            given = (usage, receipt, "gpt-4o", body, table)
            slowly = run_steps(request_steps(*given), _length)
            assert run_steps(request_steps(*given, prompt=prompt), _length) == slowly
            if provider == "custom":
                assert bound_by_bytes(usage, len(body)) == slowly, (usage, body)
                bounded += slowly != usage


def _length(_: object, texts: list[str]) -> int | None:
    return sum(map(len, texts)) if len(texts) % 4 else None


def test_a_long_request_is_not_held_twice() -> None:
    shape = CallShape(api=API["openai.chat"], operation="x")
    fields = {"model": "m", "messages": [{"role": "user", "content": "x"}], "user": ""}
    for length, kept in ((32 * 1024, True), (32 * 1024 + 1, False)):
        fields["user"] = "x" * (length - len(json.dumps(fields | {"user": ""})))
        facts = read_request(shape, json.dumps(fields).encode())
        assert (facts.prompt is not None) is kept
        assert facts.plain
