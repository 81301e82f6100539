"""Bounds of output that cannot be counted (BND-1 to BND-9)."""

import dataclasses
from typing import Any

import pytest

from nous_ledger.protocol.label import Bucket, Verdict, verdict
from nous_ledger.protocol.types import MAX_UINT
from nous_ledger.reconcile.hidden import (
    Allowance,
    OutputEvidence,
    bound_output,
    cap_holds,
    read_allowance,
)
from nous_ledger.reconcile.labels import words_for
from nous_ledger.reconcile.tally import VisibleOutput

CHAT, RESPONSES, COMPLETIONS, MESSAGES, GEMINI, CONVERSE = 1, 2, 3, 7, 8, 9
COHERE, OLLAMA_CHAT, OLLAMA, MISTRAL = 10, 11, 12, 13
SEEN = VisibleOutput(
    utf8_bytes=10, choices=1, tool_calls=0, text_only=True, thinking=True, applicable=True
)


def unverifiable(*counts: tuple[int, int]) -> tuple[Bucket, ...]:
    return tuple(Bucket(kind=kind, reported=tokens, label=3) for kind, tokens in counts)


def evidence(**changes: Any) -> OutputEvidence:
    given = {"provider": "openai", "api": CHAT, "model": "o3", "status": 0, **changes}
    return OutputEvidence(**given)


def bounds(usage: tuple[Bucket, ...], found: OutputEvidence) -> dict[int, tuple[Any, ...]]:
    return {
        bucket.kind: (bucket.lower, bucket.upper, bucket.method)
        for bucket in bound_output(usage, found)
        if bucket.label == 2
    }


@pytest.mark.parametrize(
    ("api", "fields", "tokens", "answers"),
    [
        (CHAT, {"max_completion_tokens": 50}, 50, 1),
        (CHAT, {"max_tokens": 50}, 50, 1),
        (CHAT, {"max_tokens": 9, "max_completion_tokens": 50}, 50, 1),
        (CHAT, {"max_tokens": 9, "max_completion_tokens": None}, 9, 1),
        (CHAT, {"max_tokens": 9, "n": 3}, 9, 3),
        (CHAT, {"max_tokens": 9, "n": None}, 9, 1),
        (CHAT, {"max_tokens": 9, "n": 0}, None, None),
        (CHAT, {"max_tokens": 9, "n": 129}, None, None),
        (CHAT, {"max_tokens": 9, "n": True}, None, None),
        (CHAT, {}, None, 1),
        *((CHAT, {"max_tokens": cap}, None, 1) for cap in (0, -1, 5.0, "5", True, MAX_UINT + 1)),
        (CHAT, {"max_tokens": 9, "prediction": {"type": "content"}}, None, 1),
        (CHAT, {"max_tokens": 9, "web_search_options": {"a": 1}}, None, 1),
        (CHAT, {"max_tokens": 9, "web_search_options": None}, 9, 1),
        (CHAT, {"max_tokens": 9, "prompt": "ignored"}, 9, 1),
        (CHAT, {"max_tokens": 9, "tools": [{"type": "function"}, {"type": "custom"}]}, 9, 1),
        (CHAT, {"max_tokens": 9, "tools": [{"type": "web_search"}]}, None, 1),
        (CHAT, {"max_tokens": 9, "tools": {"type": "function"}}, None, 1),
        (CHAT, {"max_tokens": 9, "tools": []}, 9, 1),
        (RESPONSES, {"max_output_tokens": 50}, 50, 1),
        (RESPONSES, {"max_tokens": 50}, None, 1),
        (RESPONSES, {"max_output_tokens": 50, "prompt": {"id": "p"}}, None, 1),
        (RESPONSES, {"max_output_tokens": 50, "tools": [{"type": "code_interpreter"}]}, None, 1),
        (COMPLETIONS, {"max_tokens": 5, "prompt": "a", "n": 2, "best_of": 4}, 5, 4),
        (COMPLETIONS, {"max_tokens": 5, "echo": True}, None, 1),
        (COMPLETIONS, {"max_tokens": 5, "prompt": ["a", "b", "c"]}, 5, 3),
        (COMPLETIONS, {"max_tokens": 5, "prompt": ["a", "b"], "n": 2}, 5, 4),
        (COMPLETIONS, {"max_tokens": 5, "prompt": [[1, 2], [3]]}, 5, 2),
        (COMPLETIONS, {"max_tokens": 5, "prompt": [1, 2, 3]}, 5, 1),
        (COMPLETIONS, {"prompt": ["a", "b"]}, None, 2),
        *(
            (COMPLETIONS, {"max_tokens": 5, "prompt": prompt}, None, None)
            for prompt in ([], ["a", [1]], ["a", 1], [1.0], [True], {"a": 1}, 5, [None])
        ),
        (MESSAGES, {"max_tokens": 5, "n": 7}, 5, 1),
        (MESSAGES, {"max_tokens": 5, "tools": [{"name": "get"}, {"type": "custom"}]}, 5, 1),
        (MESSAGES, {"max_tokens": 5, "tools": [{"type": "web_search_20250305"}]}, None, 1),
        (MESSAGES, {"max_tokens": 5, "mcp_servers": [{}]}, None, 1),
        (GEMINI, {"generationConfig": {"maxOutputTokens": 5, "candidateCount": 2}}, 5, 2),
        (GEMINI, {"generation_config": {"max_output_tokens": 5}}, 5, 1),
        (GEMINI, {"generationConfig": []}, None, 1),
        (GEMINI, {"generationConfig": {"max_output_tokens": 5, "candidate_count": 3}}, 5, 3),
        (GEMINI, {"generation_config": {"maxOutputTokens": 5, "candidateCount": 3}}, 5, 3),
        (
            GEMINI,
            {
                "generationConfig": {"maxOutputTokens": 5},
                "generation_config": {"max_output_tokens": 5, "candidate_count": 2},
            },
            5,
            2,
        ),
        (GEMINI, {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 6}}, None, 1),
        (GEMINI, {"generationConfig": {"maxOutputTokens": 5, "max_output_tokens": 5.0}}, None, 1),
        (GEMINI, {"generationConfig": {"candidateCount": 1, "candidate_count": 2}}, None, None),
        (GEMINI, {"generationConfig": {"candidateCount": 1, "candidate_count": True}}, None, None),
        (
            GEMINI,
            {"generationConfig": {"maxOutputTokens": 5}, "tools": [{"functionDeclarations": []}]},
            5,
            1,
        ),
        (
            GEMINI,
            {"generationConfig": {"maxOutputTokens": 5}, "tools": [{"googleSearch": None}]},
            5,
            1,
        ),
        (
            GEMINI,
            {"generationConfig": {"maxOutputTokens": 5}, "tools": [{"googleSearch": {}}]},
            None,
            1,
        ),
        (CONVERSE, {"inferenceConfig": {"maxTokens": 5}}, 5, 1),
        (
            CONVERSE,
            {"inferenceConfig": {"maxTokens": 5}, "toolConfig": {"tools": [{"toolSpec": {}}]}},
            5,
            1,
        ),
        (
            CONVERSE,
            {"inferenceConfig": {"maxTokens": 5}, "toolConfig": {"tools": [{"systemTool": {}}]}},
            None,
            1,
        ),
        *(
            (api, {**cap, name: {"a": 1}}, None, 1)
            for api, cap, name in (
                (CHAT, {"max_tokens": 5}, "data_sources"),
                (RESPONSES, {"max_output_tokens": 5}, "context_management"),
                (MESSAGES, {"max_tokens": 5}, "context_management"),
                (MESSAGES, {"max_tokens": 5}, "container"),
                (GEMINI, {"generationConfig": {"maxOutputTokens": 5}}, "cachedContent"),
                (GEMINI, {"generationConfig": {"maxOutputTokens": 5}}, "cached_content"),
                (CONVERSE, {"inferenceConfig": {"maxTokens": 5}}, "additionalModelRequestFields"),
            )
        ),
        (COHERE, {"max_tokens": 5}, None, 1),
        (OLLAMA_CHAT, {"options": {"num_predict": 5}}, 5, 1),
        (OLLAMA_CHAT, {"options": {"num_predict": -1}}, None, 1),
        (OLLAMA, {"options": {"num_predict": 5}, "prompt": "a"}, 5, 1),
        (MISTRAL, {"max_tokens": 5, "n": 2}, 5, 2),
    ],
)
def test_what_requests_allow(
    api: int, fields: dict[str, Any], tokens: int | None, answers: int | None
) -> None:
    """BND-5, BND-7."""
    assert read_allowance(api, fields) == Allowance(tokens=tokens, answers=answers)


@pytest.mark.parametrize(
    ("provider", "api", "model", "holds"),
    [
        ("openai", CHAT, "gpt-9", True),
        ("azure-openai", RESPONSES, None, True),
        ("custom", CHAT, "gpt-4o", False),
        ("openrouter", CHAT, "openai/gpt-4o", False),
        ("deepseek", CHAT, "deepseek-reasoner", False),
        ("anthropic", MESSAGES, "claude-x", True),
        ("gemini", CHAT, "gemini-2.5-pro", False),
        ("gemini", GEMINI, "gemini-2.5-pro", True),
        ("bedrock", CONVERSE, "anthropic.claude-sonnet-4-20250514-v1:0", True),
        ("bedrock", CONVERSE, "us.anthropic.claude-sonnet-4-20250514-v1:0", True),
        ("bedrock", CONVERSE, "us.deepseek.r1-v1:0", False),
        ("bedrock", CONVERSE, None, False),
        ("cohere", COHERE, "command-a", False),
    ],
)
def test_whose_cap_covers_all_that_is_generated(
    provider: str, api: int, model: str | None, holds: bool
) -> None:
    assert cap_holds(provider, api, model) is holds


def test_what_is_visible_leaves_less_for_what_is_hidden() -> None:
    """BND-6: the cap is one for both, and a token more may end the answer."""
    allowance = Allowance(tokens=100, answers=2)
    found = bounds(unverifiable((16, 30), (17, 170)), evidence(allowance=allowance))
    assert found == {16: (0, 202, "max-tokens/1"), 17: (0, 172, "max-tokens/1")}
    assert bounds(unverifiable((18, 5)), evidence(allowance=allowance)) == {
        18: (0, 202, "max-tokens/1")
    }
    more = unverifiable((16, 500), (17, 0))
    assert bounds(more, evidence(allowance=allowance))[17] == (0, 0, "max-tokens/1")


def test_more_than_the_request_allowed_is_outside() -> None:
    """BND-3."""
    found = evidence(allowance=Allowance(tokens=100))
    (_, hidden) = bound_output(unverifiable((16, 30), (17, 72)), found)
    assert verdict(hidden, 1) is Verdict.OUTSIDE
    (_, hidden) = bound_output(unverifiable((16, 30), (17, 71)), found)
    assert verdict(hidden, 1) is Verdict.OK


def test_labels_that_are_there_stay() -> None:
    """BND-1: an EXACT or bytes/1 bucket keeps its method, input is not for these."""
    exact = Bucket(
        kind=16,
        reported=30,
        label=1,
        lower=30,
        upper=31,
        method="o200k_base/1",
        vocab=bytes(32),
        count=30,
    )
    usage = (*unverifiable((1, 9)), exact, *unverifiable((17, 3), (19, 4), (35, 5)))
    found = bound_output(usage, evidence(allowance=Allowance(tokens=100)))
    assert found[:2] == usage[:2]
    assert [bucket.label for bucket in found] == [3, 1, 2, 3, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "custom"},
        {"allowance": Allowance()},
        {"allowance": Allowance(tokens=MAX_UINT, answers=2)},
        {"allowance": Allowance(tokens=None, answers=None), "rate": 10, "whole_ms": 1000},
    ],
)
def test_without_a_bound_nothing_is_said(change: dict[str, Any]) -> None:
    given = {"allowance": Allowance(tokens=100), **change}
    usage = unverifiable((16, 1), (17, 1))
    assert bound_output(usage, evidence(**given)) == usage


def test_a_whole_trace_bounds_by_its_bytes() -> None:
    """BND-8."""
    seen = dataclasses.replace(SEEN, thinking_bytes=100)
    deep = evidence(provider="deepseek", visible=seen)
    assert bounds(unverifiable((16, 3), (17, 40)), deep) == {17: (0, 116, "trace-bytes/1")}
    llama = evidence(provider="ollama", api=OLLAMA_CHAT, visible=seen)
    assert bounds(unverifiable((18, 40)), llama) == {18: (1, 142, "trace-bytes/1")}


@pytest.mark.parametrize(
    "change",
    [
        {"provider": "openai"},
        {"api": RESPONSES},
        {"status": 1},
        {"visible": None},
        {"visible": SEEN},
    ],
)
def test_other_traces_bound_nothing(change: dict[str, Any]) -> None:
    """BND-8: a summary, a broken answer, thinking that is not shown."""
    seen = dataclasses.replace(SEEN, thinking_bytes=100)
    given = {"provider": "deepseek", "visible": seen, **change}
    assert bounds(unverifiable((17, 40)), evidence(**given)) == {}


def test_a_declared_ceiling_bounds_by_time() -> None:
    """BND-9: and its assumption stands in the method; thinking may go on to the end."""
    found = evidence(provider="custom", rate=300, whole_ms=5001)
    assert bounds(unverifiable((16, 1), (17, 9), (19, 1)), found) == {
        16: (0, 1500, "decode-ceiling/1+300"),
        17: (0, 1500, "decode-ceiling/1+300"),
    }
    two = dataclasses.replace(found, allowance=Allowance(answers=2))
    assert bounds(unverifiable((18, 1)), two) == {18: (0, 3000, "decode-ceiling/1+300")}
    images = dataclasses.replace(found, api=5)
    assert bounds(unverifiable((18, 1)), images) == {}


@pytest.mark.parametrize(
    ("cap", "rate", "method"),
    [
        (10, 300, "max-tokens/1"),
        (299, 300, "max-tokens/1"),
        (300, 300, "decode-ceiling/1+300"),
        (1000, 300, "decode-ceiling/1+300"),
    ],
)
def test_the_least_bound_counts(cap: int, rate: int, method: str) -> None:
    """BND-2: of equal ones the contract comes first."""
    found = evidence(allowance=Allowance(tokens=cap), rate=rate, whole_ms=1000)
    assert bounds(unverifiable((17, 1)), found)[17][2] == method


@pytest.mark.parametrize(
    ("word", "method", "words"),
    [
        (Verdict.ABOVE, "o200k_base/1", "above what the evidence allows"),
        (Verdict.BELOW, "o200k_base/1", "below what the evidence allows"),
        (Verdict.OUTSIDE, "bytes/1", "outside of what the evidence allows"),
        (Verdict.OUTSIDE, None, "outside of what the evidence allows"),
        (Verdict.OUTSIDE, "max-tokens/1", "more than the request allowed"),
        (Verdict.OUTSIDE, "trace-bytes/1", "not what the thinking that came can be"),
        (
            Verdict.OUTSIDE,
            "decode-ceiling/1+400",
            "more than the declared decode ceiling allows",
        ),
    ],
)
def test_what_is_said_of_a_count(word: Verdict, method: str | None, words: str) -> None:
    """BND-21."""
    assert words_for(word, method) == words
