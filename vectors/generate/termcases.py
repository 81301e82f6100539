"""Requests whose terms, and a declared ceiling, bound output that has no other label."""

import json
from typing import Any

from vectors.generate.rules.terms import MORE
from vectors.generate.suite import Group, Json

CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
SPLIT = [[16, 9], [17, 80]]
# By api: a provider, a model, a request with a cap of 100, and what comes beside it.
CAPPED: dict[int, tuple[str, str, Json]] = {
    1: ("openai", "o3", {"max_completion_tokens": 100}),
    2: ("azure-openai", "o3", {"max_output_tokens": 100}),
    3: ("openai", "gpt-3.5-turbo-instruct", {"prompt": "a", "max_tokens": 100}),
    7: ("anthropic", "claude-sonnet-4-5", {"max_tokens": 100}),
    8: ("gemini", "gemini-2.5-pro", {"generationConfig": {"maxOutputTokens": 100}}),
    9: ("bedrock", CLAUDE, {"inferenceConfig": {"maxTokens": 100}}),
    11: ("ollama", "qwen3", {"options": {"num_predict": 100}}),
    12: ("ollama", "qwen3", {"prompt": "a", "options": {"num_predict": 100}}),
    13: ("mistral", "magistral-medium-2506", {"max_tokens": 100}),
}


class Terms:
    """Adds cases."""

    def __init__(self, group: Group) -> None:
        self.group = group

    def add(self, flag: str, comment: str, api: int, asks: Any, **how: Any) -> None:
        """Add a request."""
        provider, model, _ = CAPPED.get(api, ("custom", "m", {}))
        facts = {"provider": provider, "model": model, "api": api, "reported": SPLIT}
        facts |= {"ceiling": None} | how
        self.group.valid(comment, flag, **facts, request=json.dumps(asks))


def terms(add: Terms) -> None:
    """Add all cases."""
    for part in (caps, completions, spellings, more_than_answers, ceilings, least):
        part(add)


def caps(add: Terms) -> None:
    """Cases of caps, by api."""
    for api, (_, _, asks) in CAPPED.items():
        add.add("Terms", f"api {api}: split", api, asks)
        add.add("Terms", f"api {api}: unsplit", api, asks, reported=[[18, 89]])
        add.add("Terms", f"api {api}: hidden parts alone", api, asks, reported=[[17, 200]])
        add.add("Terms", f"api {api}: at another provider", api, asks, provider="custom")
    add.add("Terms", "cohere.v2", 10, {"max_tokens": 100}, provider="cohere")
    add.add("Terms", "a cap of everything", 11, {"options": {"num_predict": -1}})
    for api in (1, 13):
        asks = CAPPED[api][2]
        add.add("Terms", f"api {api}: three answers", api, {**asks, "n": 3})
        for wrong in (0, 129, 2.0, "2", True):
            add.add("Terms", f"api {api}: {wrong!r} answers", api, {**asks, "n": wrong})
    for model in ("us.deepseek.r1-v1:0", "anthropic.claude-", "a.b.anthropic.claude-3", CLAUDE[3:]):
        add.add("Terms", f"Bedrock: {model}", 9, CAPPED[9][2], model=model)


def completions(add: Terms) -> None:
    """Cases of text completions, which may have several prompts."""
    for comment, prompt in (
        ("three prompts", ["a", "b", "c"]),
        ("two prompts in tokens", [[1, 2], [3]]),
        ("one prompt in tokens", [1, 2, 3]),
        ("no prompts", []),
        ("prompts of both kinds", ["a", [1]]),
        ("a text and a token", ["a", 1]),
        ("a number that is no integer", [1.0]),
        ("an object", {"text": "a"}),
        ("null", None),
    ):
        add.add("Prompts", comment, 3, {"prompt": prompt, "max_tokens": 16}, reported=[[16, 48]])
    asks = {"prompt": ["a", "b"], "max_tokens": 16, "n": 2, "best_of": 3}
    add.add("Prompts", "two prompts, three tries each", 3, asks)
    asks = {"prompt": ["a"] * 129, "max_tokens": 16}
    add.add("Prompts", "more prompts than answers may be asked for", 3, asks)
    timed: Json = {"ceiling": [400, 1000], "provider": "custom"}
    add.add("Prompts", "three prompts by time", 3, {"prompt": ["a", "b", "c"]}, **timed)
    add.add("Prompts", "prompts of both kinds by time", 3, {"prompt": ["a", [1]]}, **timed)


def spellings(add: Terms) -> None:
    """Cases of Gemini's two spellings."""
    outers, caps_ = ("generationConfig", "generation_config"), ("maxOutputTokens",)
    for outer in outers:
        for cap in (*caps_, "max_output_tokens"):
            for number in ("candidateCount", "candidate_count"):
                comment = f"{outer}.{cap}, {number}"
                add.add("Spellings", comment, 8, {outer: {cap: 100, number: 2}})
    first, second = outers
    for comment, one, other in (
        ("a cap here, answers there", {"maxOutputTokens": 100}, {"candidate_count": 2}),
        ("the same cap twice", {"maxOutputTokens": 100}, {"max_output_tokens": 100}),
        ("two caps", {"maxOutputTokens": 100}, {"maxOutputTokens": 101}),
        ("a cap and null", {"maxOutputTokens": 100}, {"maxOutputTokens": None}),
        ("100 and 100.0", {"maxOutputTokens": 100}, {"maxOutputTokens": 100.0}),
        ("two numbers of answers", {"maxOutputTokens": 9, "candidateCount": 2},
         {"candidateCount": 1}),
    ):  # fmt: skip
        how: Json = {"ceiling": [400, 1000]}
        add.add("Spellings", comment, 8, {first: one, second: other}, **how)


def more_than_answers(add: Terms) -> None:
    """Cases of BND-7: each member, set and not."""
    for api, (_, _, asks) in CAPPED.items():
        for name in (*MORE.split(), "prompt"):
            if api == 3 and name == "prompt":
                continue
            add.add("More", f"api {api}: {name}", api, {**asks, name: {"a": 1}})
    for name in MORE.split():
        empties: tuple[Any, ...] = (None, False, 0, 0.0, "", [], {})
        for empty in empties:
            add.add("More", f"{name}: {empty!r}", 1, {**CAPPED[1][2], name: empty})
    own: dict[int, list[Json]] = {
        1: [{"type": "function"}, {"type": "custom"}],
        7: [{"name": "get"}, {"type": "custom"}],
        8: [{"functionDeclarations": [], "function_declarations": []}],
    }
    for api in (2, 3, 11, 12, 13):
        own[api] = own[1]
    for api, tools in own.items():
        asks = CAPPED[api][2]
        add.add("More", f"api {api}: tools of the caller", api, {**asks, "tools": tools})
        foreign: tuple[Any, ...] = ({"type": "web_search"}, {"googleSearch": {}}, "function")
        for other in foreign:
            both = {**asks, "tools": [*tools, other]}
            add.add("More", f"api {api}: beside {other!r}", api, both)
        add.add("More", f"api {api}: tools that are no array", api, {**asks, "tools": tools[0]})
        add.add("More", f"api {api}: no tools", api, {**asks, "tools": []})
    specs: tuple[Json, ...] = (
        {"toolSpec": {}, "cachePoint": {}},
        {"systemTool": {}},
        {"toolSpec": {}, "systemTool": None},
    )
    for tool in specs:
        asks = {**CAPPED[9][2], "toolConfig": {"tools": [tool]}}
        add.add("More", f"api 9: {', '.join(tool)}", 9, asks)


def ceilings(add: Terms) -> None:
    """Cases of a declared ceiling."""
    timed: Json = {"ceiling": [300, 5001], "provider": "custom"}
    for api in range(15):
        add.add("Ceiling", f"api {api}", api, {}, **timed)
    for counts in ([[18, 1501]], [[16, 1500], [17, 1501]], [[17, 0], [19, 1]]):
        add.add("Ceiling", f"kinds {counts}", 1, {}, **{**timed, "reported": counts})
    for rate, milliseconds in (
        (1, 999),
        (1, 1000),
        (1_000_000, 1),
        (400, 0),
        (1_000_000, 2**53 - 1),
    ):
        how = {**timed, "ceiling": [rate, milliseconds]}
        add.add("Ceiling", f"{rate} a second, {milliseconds} ms", 1, {}, **how)
    for number in (1, 2, 128, 129, 0, 2.0, "2", True, None):
        add.add("Ceiling", f"{number!r} answers", 1, {"n": number}, **timed)
    add.add("Ceiling", "a request that is no object", 1, [], **timed)
    asks = {"prediction": {"type": "content", "content": "x"}}
    add.add("Ceiling", "BND-7 does not concern it", 1, asks, **timed)


def least(add: Terms) -> None:
    """Cases of two methods for one bucket."""
    for cap in (10, 398, 399, 400, 401, 5000):
        asks = {"max_completion_tokens": cap}
        add.add("Least", f"a cap of {cap} and 400 by time", 1, asks, ceiling=[400, 1000])
    asks = {"max_completion_tokens": 2**53 - 1}
    add.add("Least", "a cap whose bound is none, and 400 by time", 1, asks, ceiling=[400, 1000])
