"""What label each reported count of a call gets: 9.2, 9.4, 9.6 and 9.8 in one naive reading."""

import json
from typing import Any

from vectors.generate.rules import bytes1
from vectors.generate.rules.checks import RuleError
from vectors.generate.rules.decisions_input import (
    KNOWN,
    TOKENS,
    bounded,
    explained,
)
from vectors.generate.rules.frames import Event
from vectors.generate.rules.terms import OPENAI, of_terms
from vectors.generate.rules.visible import Seen, read_json

Json = dict[str, Any]

O200K = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
TEXT_APIS = (1, 2, 3, 7, 8, 9, 10, 11, 12, 13)
BESIDE = (
    "tools functions web_search_options prediction audio logprobs top_logprobs stop echo suffix"
)


def decide(case: Json) -> list[Json]:
    """Return the buckets of a call with their labels."""
    request = _object(case["request"])
    case = {**case, "model": case["model"] or (request or {}).get("model", "")}
    found = [
        {"kind": kind, "reported": tokens, "label": "UNVERIFIABLE"}
        for kind, tokens in case["reported"]
    ]
    counts = dict(case["reported"])
    bounds = _output(case, request, counts)
    if request is not None:
        bounds = explained(case, request, counts) | bounds
    for bucket in found:
        label = bounds.get(bucket["kind"], {})
        if case["metering"] in (1, 2) or label.get("method") == "bytes/1":
            bucket.update(label)
    return found


def _object(text: str) -> Json | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


# Output ------------------------------------------------------------------------------


def _output(case: Json, request: Json | None, counts: dict[int, int]) -> dict[int, Json]:
    found: dict[int, Json] = {}
    if request is not None:
        found = _hidden(case, request, counts)
    if case["status"] in (0, 8) and case["api"] in TEXT_APIS:
        visible, unsplit = bytes1.bounds(
            case["api"], case["request"], case["response"].encode(), streamed=case["streamed"]
        )
        for kind, bound in ((16, visible), (18, unsplit)):
            if bound is not None:
                found[kind] = bounded(bound[0], bound[1], "bytes/1")
    if request is not None and (text := _exact_text(case, request, counts)) is not None:
        count = TOKENS[text]
        found[16] = {
            "label": "EXACT",
            "lower": count,
            "upper": count + 1,
            "method": "o200k_base/1",
            "vocab": O200K,
            "count": count,
        }
    return found


def _exact_text(case: Json, request: Json, counts: dict[int, int]) -> str | None:
    """Return the answer where it may be EXACT (LBL-5, TOK-4, TOK-5)."""
    fits = [
        case["status"] == 0,
        case["metering"] == 1,
        case["api"] in TEXT_APIS,
        case["provider"] in OPENAI and case["model"] in KNOWN,
        16 in counts and 18 not in counts and not counts.get(17),
        not any(32 <= kind <= 37 for kind in counts),
        not {1, 2, 3, 5, 12} & set(case["anomalies"]),
        not any(request.get(name) for name in BESIDE.split()),
        request.get("n") in (None, 1),
        request.get("response_format") in (None, {"type": "text"}),
        not request.get("logit_bias"),
        not _is_begun(request.get("messages")),
    ]
    return _answer(case) if all(fits) else None


def _is_begun(turns: Any) -> bool:
    """Return whether the caller began the answer itself."""
    return isinstance(turns, list) and turns[-1:] != [] and turns[-1]["role"] == "assistant"


def _answer(case: Json) -> str | None:
    """Return the answer of openai.chat if it is one choice of text and nothing else."""
    texts, kinds = [], set()
    try:
        if case["streamed"]:
            lines = [line for line in case["response"].split("\n\n") if line]
            bodies = [json.loads(line[6:]) for line in lines if line != "data: [DONE]"]
        else:
            bodies = [json.loads(case["response"])]
    except ValueError:
        return None
    for body in bodies:
        for choice in body.get("choices", []):
            message = choice.get("delta" if case["streamed"] else "message", {})
            kinds.add(choice["index"])
            texts.append(message.get("content"))
            if any(message.get(name) for name in message if name not in ("role", "content")):
                return None
    whole = "".join(text for text in texts if isinstance(text, str))
    plain = all(text is None or isinstance(text, str) for text in texts)
    return whole if plain and len(kinds) == 1 else None


def _hidden(case: Json, request: Json, counts: dict[int, int]) -> dict[int, Json]:
    found = {}
    for kind in {16, 17, 18} & counts.keys():
        bounds = of_terms(case, request, kind, counts.get(16, 0))
        if (trace := _trace(case, kind)) is not None:
            bounds.append(trace)
        if bounds:
            found[kind] = min(bounds, key=lambda bound: bound["upper"])
    return found


def _trace(case: Json, kind: int) -> Json | None:
    who = (case["provider"], case["api"])
    if who not in (("deepseek", 1), ("ollama", 11), ("ollama", 12)) or case["status"] not in (0, 8):
        return None
    seen = Seen()
    try:
        events = [Event("", read_json(case["response"].encode()))]
        bytes1.collect(case["api"], bytes1.asked(case["request"]), events, seen, streamed=False)
    except RuleError:
        return None
    size = sum(len(text.encode()) for text in _thoughts(case["api"], json.loads(case["response"])))
    if not size or kind == 16:
        return None
    if kind == 17:
        return bounded(0, size + 16 * len(seen.choices), "trace-bytes/1")
    parts = 2 * len(seen.choices) + len(seen.calls)
    return bounded(1, size + seen.size + 16 * parts, "trace-bytes/1")


def _thoughts(api: int, body: Json) -> list[str]:
    """Return the strings of thinking in a body."""
    if api == 1:
        messages = [choice["message"] for choice in body["choices"]]
        found = [message.get(n) for message in messages for n in ("reasoning_content", "reasoning")]
    else:
        found = [body.get("message", body if api == 12 else {}).get("thinking")]
    return [text for text in found if isinstance(text, str)]
