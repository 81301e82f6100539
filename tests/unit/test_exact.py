"""What may be called EXACT, and all that may not (LBL-3 to LBL-5)."""

import dataclasses
import json
from typing import Any

import pytest

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile.exact import (
    CallFacts,
    exact_bucket,
    is_plain_request,
    known_counts,
    may_be_exact,
)
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.tally import MAX_KEPT, VisibleOutput, VisibleReader
from nous_ledger.reconcile.tokenizers import ModelRule, builtin_table
from nous_ledger.reconcile.visible import ChatReader, MessagesReader, ResponsesReader

CALL = CallFacts(api=1, status=0, metering=1, anomalies=frozenset(), plain_request=True)
COUNTS = ((1, 12), (16, 2), (17, 0))


def rule(**changes: Any) -> ModelRule:
    found = builtin_table().rule("openai", "gpt-4o")
    assert found is not None
    return dataclasses.replace(found, **changes)


def read(reader: VisibleReader, *events: Any, body: Any = None) -> VisibleOutput:
    reader.keep_text()
    if body is not None:
        reader.add_body(parse_json(json.dumps(body).encode()))
    for event in events:
        reader.add_event(parse_json(json.dumps(event).encode()))
    return reader.result()


def chat(*choices: Any) -> VisibleOutput:
    return read(ChatReader(), body={"choices": list(choices)})


def said(**message: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", **message}}


PLAIN = chat(said(content="hello world"))


def test_a_plain_answer_is_exact() -> None:
    assert PLAIN.text == "hello world"
    assert may_be_exact(rule(), CALL, PLAIN, COUNTS)
    assert exact_bucket(rule(), 2, TokenCount(2)) == Bucket(
        kind=16,
        reported=2,
        label=1,
        lower=2,
        upper=3,
        method="o200k_base/1",
        vocab=rule().encoding.vocabulary,
        count=2,
    )


@pytest.mark.parametrize(
    "visible",
    [
        None,
        chat(said(content="a"), {"index": 1, "message": {"content": "b"}}),
        chat(said(content="a", refusal="no")),
        chat(said(content=None, refusal="no")),
        chat(said(content="a", tool_calls=[{"index": 0, "function": {"name": "f"}}])),
        chat(said(content="a", function_call={"name": "f", "arguments": "{}"})),
        chat(said(content="a", audio={"transcript": "a"})),
        chat(said(content=[{"type": "image", "image": "…"}])),
        chat(said(content="a", reasoning_content="hm")),
        chat(said(content="a" * (MAX_KEPT + 1))),
        chat(),
    ],
)
def test_other_answers_are_not(visible: VisibleOutput | None) -> None:
    """LBL-5: tools, parts that are no text, refusals, several choices, hidden thinking."""
    assert not may_be_exact(rule(), CALL, visible, COUNTS)


@pytest.mark.parametrize(
    "change",
    [
        *({"status": status} for status in range(1, 9)),
        *({"metering": metering} for metering in (0, 2, 3)),
        *({"anomalies": frozenset({anomaly})} for anomaly in (1, 2, 3, 5, 12)),
        *({"api": api} for api in (0, 4, 5, 6)),
        {"plain_request": False},
    ],
)
def test_calls_that_went_otherwise(change: dict[str, Any]) -> None:
    assert not may_be_exact(rule(), dataclasses.replace(CALL, **change), PLAIN, COUNTS)


@pytest.mark.parametrize(
    "counts",
    [
        ((1, 12),),
        ((1, 12), (17, 5), (18, 2)),
        ((1, 12), (16, 2), (17, 5)),
        ((1, 12), (16, 2), (35, 1)),
        ((1, 12), (16, 2), (33, 4)),
    ],
)
def test_counts_that_may_hold_more(counts: tuple[tuple[int, int], ...]) -> None:
    assert not may_be_exact(rule(), CALL, PLAIN, counts)


def test_models_that_think_need_a_split_and_a_pinned_offset() -> None:
    thinking = chat(said(content="hello world", reasoning_content="hm"))
    pinned = rule(thinks=True, pinned=True, lowest=1, highest=1)
    split = ((1, 12), (16, 3), (17, 40))
    assert may_be_exact(pinned, CALL, thinking, split)
    assert not may_be_exact(pinned, CALL, thinking, ((1, 12), (16, 3)))
    assert not may_be_exact(rule(thinks=True), CALL, thinking, split)
    bucket = exact_bucket(pinned, 3, TokenCount(2))
    assert bucket is not None
    assert (bucket.lower, bucket.upper, bucket.method) == (3, 3, "o200k_base/1+split")


def test_without_a_split_all_output_of_a_model_that_never_thinks_is_visible() -> None:
    """TOK-7."""
    unsplit = ((1, 12), (18, 2))
    assert known_counts(rule(), unsplit) == {1: 12, 16: 2}
    assert may_be_exact(rule(), CALL, PLAIN, unsplit)
    thinking = chat(said(content="hello world", reasoning_content="hm"))
    assert not may_be_exact(rule(), CALL, thinking, unsplit)
    pinned = rule(thinks=True, pinned=True, lowest=1, highest=1)
    assert known_counts(pinned, unsplit) == dict(unsplit)
    assert not may_be_exact(pinned, CALL, PLAIN, unsplit)


def test_a_range_below_nothing_is_no_range() -> None:
    assert exact_bucket(rule(lowest=-1), 0, TokenCount(0)) is None
    assert exact_bucket(rule(lowest=-1), 0, TokenCount(1)) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "function"}]},
        {"functions": [{}]},
        {"web_search_options": {"search_context_size": "low"}},
        {"prediction": {"type": "content"}},
        {"logprobs": True},
        {"logprobs": 3},
        {"top_logprobs": 5},
        {"include": ["message.output_text.logprobs"]},
        {"n": 2},
        {"n": "1"},
        {"best_of": 3},
        {"modalities": ["text", "audio"]},
        {"audio": {"voice": "x"}},
        {"stop": ["\n"]},
        {"echo": True},
        {"suffix": "end"},
        {"stop_sequences": ["."]},
        {"num_generations": 2},
        {"logit_bias": {"50256": -100}},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema", "json_schema": {}}},
        {"text": {"format": {"type": "json_schema", "schema": {}}}},
        {"grammar": "root ::= x"},
        {"guided_regex": "[a-z]+"},
        {"guided_json": {}, "guided_choice": ["a"]},
        {"skip_special_tokens": False},
        {"format": "json"},
        {"raw": True},
        {"images": ["aGk="]},
        {"options": {"stop": ["\n"]}},
        {"options": []},
        {"options": [1]},
        {"generationConfig": {"candidateCount": 2}},
        {"generationConfig": {"stopSequences": ["x"]}},
        {"generationConfig": {"responseMimeType": "application/json"}},
        {"generationConfig": {"responseLogprobs": True}},
        {"generationConfig": {"responseModalities": ["TEXT", "IMAGE"]}},
        {"generationConfig": {"responseSchema": {"type": "OBJECT"}}},
        {"inferenceConfig": {"stopSequences": ["x"]}},
        {"toolConfig": {"tools": [{}]}},
        {"additionalModelRequestFields": {"top_k": 5}},
        {"guardrailConfig": {"guardrailIdentifier": "g"}},
        {"documents": [{"data": "x"}]},
        {"messages": [{"role": "user"}, {"role": "assistant", "content": "The", "prefix": True}]},
        {"messages": [{"role": "assistant", "content": "The"}]},
        {"contents": [{"role": "model", "parts": []}]},
    ],
)
def test_requests_for_more_than_text(fields: dict[str, Any]) -> None:
    """TOK-5."""
    assert not is_plain_request({"model": "gpt-4o", **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [], "n": 1, "logprobs": False, "stop": None, "modalities": ["text"]},
        {"include": ["reasoning.encrypted_content"], "temperature": 0},
        {"response_format": {"type": "text"}, "text": {"format": {"type": "text"}}},
        {"options": {"num_predict": 5}, "generationConfig": {"temperature": 0.5}},
        {"generationConfig": {"responseModalities": ["TEXT"], "candidateCount": 1}},
        {"messages": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "x"}]},
        {"messages": [], "contents": None, "options": None, "inferenceConfig": {"maxTokens": 9}},
    ],
)
def test_plain_requests(fields: dict[str, Any]) -> None:
    assert is_plain_request(fields)


def test_events_are_kept_as_a_body_is() -> None:
    reader = ChatReader()
    streamed = read(
        reader,
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"index": 0, "delta": {"content": "hel"}}]},
    )
    assert streamed.text == "hel"
    reader.add_text(8, "lo world")
    assert reader.result().text == "hello world"
    assert read(ChatReader(), {"choices": [{"index": 1, "delta": {"content": "b"}}]}).text == "b"


def test_responses_are_kept() -> None:
    part = {"type": "output_text", "text": "hello world"}
    output = [{"type": "reasoning"}, {"type": "message", "content": [part]}]
    assert read(ResponsesReader(), body={"output": output}).text == "hello world"
    done = {"type": "response.completed", "response": {"output": output}}
    assert read(ResponsesReader(), done).text == "hello world"
    item = {"type": "response.output_item.done", "item": output[1]}
    assert read(ResponsesReader(), item).text == "hello world"
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}
    assert read(ResponsesReader(), body={"output": [refusal]}).text is None
    call = {"type": "function_call", "name": "f", "arguments": "{}"}
    assert read(ResponsesReader(), body={"output": [*output, call]}).text is None


def test_nothing_is_kept_unasked() -> None:
    reader = ChatReader()
    reader.add_body(parse_json(b'{"choices":[{"message":{"content":"hello"}}]}'))
    assert reader.result().text is None


def test_messages_are_kept() -> None:
    block = {"type": "text", "text": "hello"}
    assert read(MessagesReader(), body={"content": [block]}).text == "hello"
    thought = {"type": "thinking", "thinking": "hm"}
    assert read(MessagesReader(), body={"content": [thought, block, block]}).text == "hellohello"
    use = {"type": "tool_use", "name": "f", "input": {}}
    assert read(MessagesReader(), body={"content": [block, use]}).text is None
