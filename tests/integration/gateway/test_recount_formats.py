"""Every format that carries text: what the gateway claims of it, a verifier finds again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.cli.main import run
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.label import METHOD_BYTES
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.verify import verify_bundle
from tests.conformance.test_vectors_bytes1 import receipt_of
from tests.event_streams import message
from tests.integration.gateway.rig import Answer, Bench, answer, stream
from tests.integration.gateway.test_formats import (
    CASES,
    CONVERSE,
    EVENTS,
    GEMINI,
    JSON,
    LINES,
    MESSAGES,
    Case,
)
from tests.unit import wire_streams as wire
from tests.unit.wire_streams import DONE, named, sse

PROMPT = [{"role": "user", "content": "Tell me of “réçus”, 收据 and 🧾"}]
SPLIT = {
    "prompt_tokens": 5,
    "completion_tokens": 9,
    "completion_tokens_details": {"reasoning_tokens": 0},
}
CALL = {"name": "get", "args": {"city": "Córdoba"}}
USED = {"promptTokenCount": 9, "candidatesTokenCount": 20, "totalTokenCount": 29}
OFF = {"thinking": {"type": "disabled"}}
COHERE = {"model": "m", "messages": PROMPT, **OFF}
BEDROCK = {"messages": [], "additionalModelRequestFields": OFF}


def _case(path: str, kind: str, body: object, request: object) -> Case:
    return Case(path, kind, body, {}, "", request=request)


def _known(name: str, request: object) -> Case:
    return replace(CASES[name], request=request)


_use = {"toolUse": {"toolUseId": "t", "name": "get", "input": {"city": "Córdoba"}}}
_gemini_call = wire.gemini("", usageMetadata=USED)
_gemini_call["candidates"] = [
    {"content": {"parts": [{"text": "né"}, {"functionCall": CALL}]}, "finishReason": "STOP"}
]
_completion = {"choices": [{"text": " né", "index": 0, "finish_reason": "stop"}], "usage": SPLIT}
_mistral_call = {
    "choices": [
        {
            "index": 0,
            "message": {
                "content": [{"type": "text", "text": "né"}],
                "tool_calls": [{"id": "c", "function": {"name": "get", "arguments": '{"a": 1}'}}],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": SPLIT,
}
ASKED: dict[str, tuple[Case, int]] = {
    "completions": (_case("/openai/v1/completions", JSON, _completion, {"prompt": "x"}), 4),
    "completions, streamed": (
        _case(
            "/openai/v1/completions",
            EVENTS,
            sse(
                {"choices": [{"text": " n", "index": 0}]},
                {"choices": [{"text": "é", "index": 0, "finish_reason": "stop"}]},
                {"choices": [], "usage": SPLIT},
            )
            + DONE,
            {"prompt": "x", "stream": True},
        ),
        4,
    ),
    "gemini": (_known("gemini", {"contents": []}), 5),
    "gemini, events": (_known("gemini, events", {"contents": []}), 9),
    "gemini, array": (_known("gemini, array", {"contents": []}), 9),
    "gemini, a call": (
        _case(GEMINI + "generateContent", JSON, _gemini_call, {"contents": []}),
        3 + 3 + 4 * len(json.dumps(CALL["args"])) + 64,
    ),
    "converse": (_known("converse", BEDROCK), 5),
    "converse, streamed": (_known("converse, streamed", BEDROCK), 5),
    "converse, a call": (
        _case(
            CONVERSE + "-stream",
            MESSAGES,
            message("messageStart", {"role": "assistant"})
            + message("contentBlockStart", {"start": {"toolUse": {"name": "get"}}})
            + message("contentBlockDelta", {"delta": {"toolUse": {"input": '{"a":1}'}}})
            + b"".join(wire.CONVERSE_EVENTS[2:]),
            BEDROCK,
        ),
        3 + 4 * 7 + 64,
    ),
    "cohere": (_known("cohere", COHERE), 5),
    "cohere, streamed": (_known("cohere, streamed", COHERE), 5),
    "ollama chat": (_known("ollama chat", {"think": False, "messages": PROMPT}), 0),
    "ollama chat, streamed": (_known("ollama chat, streamed", {"think": False}), 3),
    "ollama generate": (_known("ollama generate", {"think": False, "prompt": "x"}), 7),
    "mistral, a call": (
        _case("/mistral/v1/chat/completions", JSON, _mistral_call, {"messages": PROMPT}),
        3 + 3 + 4 * 8 + 64,
    ),
}


def _call(bench: Bench, case: Case) -> tuple[Answer, Any, bytes]:
    body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    request = json.dumps(case.request).encode()
    if isinstance(case.body, bytes):
        sent = stream(body).replace(b"text/event-stream; charset=utf-8", case.kind.encode())
    else:
        sent = answer(body, kind=case.kind)
    got, receipt = bench.call(case.path, sent, request)
    return got, receipt, request


@pytest.mark.parametrize("name", ASKED)
def test_a_verifier_finds_the_same_bounds(bench: Bench, name: str) -> None:
    """LBL-8 to LBL-10, VER-19, VER-20."""
    case, size = ASKED[name]
    got, receipt, request = _call(bench, case)
    bounds = [(b.lower, b.upper) for b in receipt.usage or () if b.method == METHOD_BYTES]
    assert bounds == [(min(size, 1), size + 16)]
    report = verify_bundle(
        bench.rig.ledger.prove(len(bench.rig.receipts())),
        parse_policy(bench.rig.ledger.policy_text()),
        opening=got.opening,
        request=request,
        response=got.body,
        recount=recount_bounds,
    )
    assert (report.accuracy.outcome, report.accuracy.code) == ("established", "")


SILENT: dict[str, Case] = {
    "an echoed prompt": _case(
        "/openai/v1/completions", JSON, _completion, {"prompt": "x", "echo": True}
    ),
    "the best of three": _case(
        "/openai/v1/completions", JSON, _completion, {"prompt": "x", "best_of": 3}
    ),
    "a request that is no JSON": _case(GEMINI + "generateContent", JSON, wire.GEMINI, "x"),
    "a filtered answer": _case(
        GEMINI + "generateContent", JSON, wire.gemini("", "SAFETY", usageMetadata=USED), {}
    ),
    "grounding": _case(
        GEMINI + "generateContent",
        JSON,
        {
            "candidates": [{"groundingMetadata": {"webSearchQueries": ["x"]}}],
            "usageMetadata": USED,
        },
        {},
    ),
    "thinking not ruled out": _known("converse", {"messages": []}),
    "a guardrail": _known("converse, streamed", {**BEDROCK, "guardrailConfig": {"trace": "x"}}),
    "tools that may be lost": _known("ollama chat", {"think": False, "tools": [{}]}),
    "tools of Cohere": _known("cohere", {**COHERE, "tools": [{}]}),
    "thinking that came": _case(
        "/cohere/v2/chat",
        EVENTS,
        named("message-start")
        + named("content-start", delta={"message": {"content": {"type": "thinking"}}})
        + named("message-end", delta={"usage": wire.COHERE_USAGE}),
        COHERE,
    ),
    "a long stop sequence": _known(
        "ollama generate", {"think": False, "options": {"stop": "x" * 17}}
    ),
    "lines that are told to be events": _case(
        "/ollama/api/chat", EVENTS, wire.OLLAMA_STREAM, {"think": False}
    ),
    "events that are told to be lines": _case("/cohere/v2/chat", LINES, wire.COHERE_STREAM, COHERE),
}  # fmt: skip


KIND_18_ONLY = ("thinking not ruled out", "thinking that came")
# What a verifier does not see: the media type that the upstream named.
OTHER_TYPE = ("lines that are told to be events", "events that are told to be lines")


@pytest.mark.parametrize("name", SILENT)
def test_in_doubt_nothing_is_bounded(bench: Bench, name: str) -> None:
    """LBL-9, LBL-11."""
    got, receipt, request = _call(bench, SILENT[name])
    assert METHOD_BYTES not in [bucket.method for bucket in receipt.usage or ()]
    if name in OTHER_TYPE:
        return
    # A receipt that claims a bound all the same is not confirmed.
    case = {"api": receipt.api, "status": 0, "streamed": receipt.streamed == 1}
    for kind in (16, 18):
        claimed = receipt_of(case, kind)
        if kind == 18 or name not in KIND_18_ONLY:
            assert recount_bounds(claimed, request, got.body) == {}


@pytest.mark.parametrize("name", ["gemini, array", "converse, streamed", "ollama chat, streamed"])
def test_the_command_verify_counts_again(
    bench: Bench, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`verify --opening --request --response --recount`, offline; a changed byte is wrong."""
    got, _, request = _call(bench, ASKED[name][0])
    files = {
        "receipt.tlog-proof": bench.rig.ledger.prove(len(bench.rig.receipts())),
        "policy": bench.rig.ledger.policy_text(),
        "request": request,
        "response": got.body,
    }
    for file, data in files.items():
        (tmp_path / file).write_bytes(data)
    arguments = ["verify", str(tmp_path / "receipt.tlog-proof")]
    arguments += ["--policy", str(tmp_path / "policy"), "--opening", got.opening.hex()]
    for part in ("request", "response"):
        arguments += [f"--{part}", str(tmp_path / part)]
    assert run([*arguments, "--recount", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["accuracy"]["outcome"] == "established"
    (tmp_path / "response").write_bytes(got.body[:-1])
    assert run([*arguments, "--recount"]) == 1
