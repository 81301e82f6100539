"""What a request and a declared ceiling leave for output: max-tokens/1 and decode-ceiling/1."""

import itertools
import json
import re
from typing import Any

Json = dict[str, Any]

OPENAI = ("openai", "azure-openai")
MORE = (
    "prediction web_search_options echo mcp_servers container cachedContent cached_content"
    " data_sources context_management additionalModelRequestFields"
)
TIMED = (1, 2, 3, 7, 8, 9, 10, 11, 12, 13)
GEMINI = ("generationConfig", "generation_config")
# By api: providers; members of the cap, in order; members that say how many answers.
CAPS: dict[int, tuple[tuple[str, ...], list[str], list[str]]] = {
    1: (OPENAI, ["max_completion_tokens", "max_tokens"], ["n"]),
    2: (OPENAI, ["max_output_tokens"], []),
    3: (OPENAI, ["max_tokens"], ["n", "best_of"]),
    7: (("anthropic", "vertex", "bedrock"), ["max_tokens"], []),
    8: (("gemini", "vertex"), ["maxOutputTokens max_output_tokens"], ["candidateCount"]),
    9: (("bedrock",), ["inferenceConfig.maxTokens"], []),
    11: (("ollama",), ["options.num_predict"], []),
    12: (("ollama",), ["options.num_predict"], []),
    13: (("mistral",), ["max_tokens"], ["n"]),
}


def label(case: Json) -> list[Json]:
    """Return the labels of output that has no other, by the request and the time."""
    found = []
    counts = dict(case["reported"])
    request = json.loads(case["request"])
    for kind, tokens in case["reported"]:
        bounds = []
        if isinstance(request, dict) and kind in (16, 17, 18):
            bounds = of_terms(case, request, kind, counts.get(16, 0))
        best = min(bounds, key=lambda bound: bound["upper"], default={"label": "UNVERIFIABLE"})
        found.append({"kind": kind, "reported": tokens, **best})
    return found


def of_terms(case: Json, request: Json, kind: int, visible: int) -> list[Json]:
    """Return the bounds that apply to an output bucket, in the order of 9.8."""
    bounds = []
    if (cap := _cap(case, request)) is not None:
        bounds.append((cap if kind != 17 else max(0, cap - visible), "max-tokens/1"))
    number = answers(case["api"], request)
    if case.get("ceiling") and number is not None and case["api"] in TIMED:
        rate, milliseconds = case["ceiling"]
        bounds.append((number * rate * milliseconds // 1000, f"decode-ceiling/1+{rate}"))
    return [
        {"label": "BOUNDED", "lower": 0, "upper": upper, "method": method}
        for upper, method in bounds
        if upper < 2**53
    ]


def is_whole(value: Any, most: int) -> bool:
    """Return whether a value is an integer from 1 on."""
    return type(value) is int and 1 <= value <= most


def at(request: Json, path: str) -> Any:
    """Return the value at the end of a path."""
    value: Any = request
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def own_tools(api: int, tools: Any) -> bool:
    """Return whether all tools are run by the caller."""
    if not tools:
        return True
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return False
    known = {8: ("functionDeclarations", "function_declarations"), 9: ("toolSpec", "cachePoint")}
    if api in known:
        names = [name for tool in tools for name, value in tool.items() if value is not None]
        return all(name in known[api] for name in names)
    own = (None, "custom") if api == 7 else ("function", "custom")
    return all(tool.get("type") in own for tool in tools)


def _configured(request: Json, names: str) -> Any:
    """Return a member of Gemini's configuration; text where its spellings disagree."""
    places = itertools.product(GEMINI, names.split())
    found = [at(request, f"{outer}.{name}") for outer, name in places]
    given = {repr(value): value for value in found if value is not None}
    return "disagree" if len(given) > 1 else next(iter(given.values()), None)


def answers(api: int, request: Json) -> int | None:
    """Return F of BND-5, None where it cannot be told."""
    paths = CAPS[api][2] if api in CAPS else []
    given = [at(request, path) for path in paths]
    if api == 8:
        given = [_configured(request, "candidateCount candidate_count")]
    given = [value for value in given if value is not None]
    if not all(is_whole(value, 128) for value in given):
        return None
    prompts = _prompts(request.get("prompt")) if api == 3 else 1
    if prompts is None:
        return None
    return int(max([1, *given])) * prompts


def _prompts(prompt: Any) -> int | None:
    if prompt is None or isinstance(prompt, str):
        return 1
    if not isinstance(prompt, list):
        return None
    kinds = {type(item) for item in prompt}
    if kinds == {int}:
        return 1
    return len(prompt) if kinds in ({str}, {list}) else None


def _cap(case: Json, request: Json) -> int | None:
    api, number = case["api"], answers(case["api"], request)
    if api not in CAPS or case["provider"] not in CAPS[api][0] or number is None:
        return None
    claude = re.fullmatch(r"([a-z-]+\.)?anthropic\.claude-[a-z0-9.:-]+", case["model"] or "")
    tools = at(request, "toolConfig.tools" if api == 9 else "tools")
    more = MORE.split() + (["prompt"] if api == 2 else [])
    if (api == 9 and not claude) or any(request.get(name) for name in more):
        return None
    if not own_tools(api, tools):
        return None
    read = _configured if api == 8 else at
    given = [value for path in CAPS[api][1] if (value := read(request, path)) is not None]
    return int(number * (given[0] + 1)) if given and is_whole(given[0], 2**53 - 1) else None
