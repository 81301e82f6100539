"""The visible output of the further wire formats: its text, its parts, and what is not known."""

import json
import time
from typing import Any

import pytest

from nous_ledger.gateway.formats import is_framing, make_parser, parser_of
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.label import BOUNDED, METHOD_BYTES, OUTPUT_VISIBLE, Bucket
from nous_ledger.protocol.registries import ANOMALY, API
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.tally import MAX_KEPT, VisibleOutput, VisibleReader
from nous_ledger.reconcile.visible_openai import CompletionsReader, MistralReader
from nous_ledger.reconcile.visible_request import rules_out_hidden, shows_all
from nous_ledger.reconcile.visible_vendors import (
    CohereReader,
    ConverseReader,
    GeminiReader,
    OllamaReader,
    OllamaTextReader,
)
from tests.conformance.test_vectors_bytes1 import receipt_of
from tests.event_streams import message
from tests.unit import wire_streams as wire
from tests.unit.format_rig import ARRAY, LINES, MESSAGES, SSE, read
from tests.unit.wire_streams import named, sse

TEXTS = {
    "openai.completions": (wire.COMPLETION, " there"),
    "gemini.generate": (wire.GEMINI, "Hello"),
    "bedrock.converse": (wire.CONVERSE, "Hello"),
    "cohere.v2": (wire.COHERE, "Hello"),
    "ollama.chat": ({"message": {"content": "né"}}, "né"),
    "ollama.generate": (wire.OLLAMA_GENERATE, "The sky"),
    "mistral.chat": (wire.MISTRAL, "Bonjour"),
}
STREAMS = [
    ("openai.completions", sse(*wire.COMPLETION_CHUNKS), " there"),
    ("gemini.generate", wire.GEMINI_SSE, "Hello ]},"),
    ("gemini.generate", wire.GEMINI_ARRAY, "Hello ]},"),
    ("bedrock.converse", wire.CONVERSE_STREAM, "Hello"),
    ("cohere.v2", wire.COHERE_STREAM, "Hello"),
    ("ollama.chat", wire.OLLAMA_STREAM, "The"),
    ("ollama.generate", b'{"response":"The "}\n{"response":"sky","done":true}', "The sky"),
    ("mistral.chat", wire.MISTRAL_STREAM, "Bonjour"),
]
READERS: tuple[type[VisibleReader], ...] = (
    CompletionsReader,
    MistralReader,
    GeminiReader,
    ConverseReader,
    CohereReader,
    OllamaReader,
    OllamaTextReader,
)


def _seen(api: str, data: bytes, *, streamed: bool, keeps: bool = True) -> VisibleOutput | None:
    parser = parser_of(API[api], data) if streamed else None
    meter = Meter(API[api], streamed=streamed, parser=parser, keep_text=keeps)
    meter.feed(data)
    meter.close()
    return meter.visible_output()


@pytest.mark.parametrize("api", TEXTS)
def test_the_text_of_an_answer(api: str) -> None:
    body, text = TEXTS[api]
    found = _seen(api, json.dumps(body).encode(), streamed=False)
    assert found is not None
    assert (found.text, found.utf8_bytes) == (text, len(text.encode()))
    unkept = _seen(api, json.dumps(body).encode(), streamed=False, keeps=False)
    assert unkept is not None
    assert unkept.text is None


@pytest.mark.parametrize(("api", "data", "text"), STREAMS)
def test_the_text_of_a_stream(api: str, data: bytes, text: str) -> None:
    found = _seen(api, data, streamed=True)
    assert found is not None
    assert (found.text, found.choices, found.tool_calls) == (text, 1, 0)


CALLS: list[tuple[type[VisibleReader], Any]] = [
    (
        GeminiReader,
        {"candidates": [{"content": {"parts": [{"text": "a"}, {"functionCall": {"name": "f"}}]}}]},
    ),
    (
        ConverseReader,
        {"output": {"message": {"content": [{"text": "a"}, {"toolUse": {"name": "f"}}]}}},
    ),
    (
        MistralReader,
        {"choices": [{"message": {"content": "a", "tool_calls": [{"function": {"name": "f"}}]}}]},
    ),
]


@pytest.mark.parametrize(("make", "body"), CALLS)
def test_an_answer_with_a_call_is_not_kept_and_a_call_has_four_frames(
    make: type[VisibleReader], body: object
) -> None:
    reader = make()
    reader.keep_text()
    reader.add_body(parse_json(json.dumps(body).encode()))
    found = reader.result()
    assert (found.text, found.text_only, found.tool_calls) == (None, False, 1)
    assert (found.utf8_bytes, found.frames_per_call, found.applicable) == (2, 4, True)


@pytest.mark.parametrize("make", READERS)
def test_text_of_alike_events_is_kept_up_to_the_bound(make: type[VisibleReader]) -> None:
    reader = make()
    reader.keep_text()
    reader.add_text(3, "né")
    reader.add_text(MAX_KEPT, "x" * MAX_KEPT)
    assert reader.result().utf8_bytes == 3 + MAX_KEPT
    assert reader.result().text is None


@pytest.mark.parametrize(
    ("api", "kind", "data"),
    [
        ("openai.chat", LINES, b'{"choices":[{"delta":{"content":"a"}}]}\n'),
        ("ollama.chat", SSE, sse({"message": {"content": "a"}, "done": True})),
        ("bedrock.converse", SSE, sse({"output": {"message": {"content": []}}})),
        ("cohere.v2", LINES, b'{"type":"message-start"}\n{"type":"message-end"}\n'),
        ("gemini.generate", LINES, json.dumps(wire.GEMINI).encode()),
    ],
)
def test_a_stream_in_another_framing_than_its_own_is_not_bounded(
    api: str, kind: str, data: bytes
) -> None:
    """LBL-8: a verifier knows the framing from the api and the bytes alone."""
    parser = make_parser(kind, is_stream=True)
    assert parser is not None
    assert not is_framing(API[api], parser)
    found = read(api, data, kind, ruled_out=True)
    assert found.output is None


def test_the_framing_of_a_stream_is_told_by_its_bytes() -> None:
    array, events = (type(parser_of(API["gemini.generate"], data)) for data in (b" [", b"data:"))
    assert {array, events} == {type(make_parser(k, is_stream=True)) for k in (ARRAY, SSE)}
    for data in (b"[", b"{", b"", b"data: 1"):
        assert isinstance(make_parser(LINES, is_stream=True), type(parser_of(11, data)))
        assert isinstance(make_parser(MESSAGES, is_stream=True), type(parser_of(9, data)))
        assert isinstance(make_parser(SSE, is_stream=True), type(parser_of(13, data)))


@pytest.mark.parametrize("end", [b"", b"]", b"]x", b",]", b"}"])
def test_an_array_that_is_not_whole_is_not_bounded(end: bytes) -> None:
    data = b"[" + json.dumps(wire.GEMINI).encode() + end
    found = read("gemini.generate", data, ARRAY)
    assert (found.output is not None) == (end == b"]")
    assert found.metering == 1


def test_an_exception_takes_the_bounds_away() -> None:
    error = message("throttlingException", {"message": "slow"}, "exception")
    cut = wire.CONVERSE_STREAM[:-1]
    for data in (wire.CONVERSE_STREAM + error, cut):
        assert _seen("bedrock.converse", data, streamed=True) is None


@pytest.mark.parametrize(
    ("api", "data", "marked"),
    [
        ("gemini.generate", sse(wire.gemini("x", "SAFETY")), False),
        ("gemini.generate", sse(wire.gemini("x", "STOP", candidates=[{"a": 1}])), False),
        ("cohere.v2", named("message-start") + named("citation-start"), False),
        ("cohere.v2", named("message-start") + named("tool-plan-delta"), True),
        ("mistral.chat", sse({"choices": [{"delta": {"content": [{"type": "x"}]}}]}), True),
        ("mistral.chat", sse({"choices": [{"delta": {}, "finish_reason": "error"}]}), False),
    ],
)
def test_only_parts_that_are_no_text_are_marked_as_such(
    api: str, data: bytes, marked: bool
) -> None:
    assert (ANOMALY["output_not_text_only"] in read(api, data, SSE).anomalies) is marked


def test_what_a_request_decides() -> None:
    """LBL-9, LBL-11: nothing for the older formats; a request that is not known decides no."""
    for api in ("openai.chat", "openai.responses", "anthropic.messages", "openai.embeddings"):
        assert shows_all(API[api], None)
        assert shows_all(API[api], {"echo": True, "best_of": 3, "stop": "x" * 99})
    for api in TEXTS:
        assert not shows_all(API[api], None)
        assert shows_all(API[api], {"model": "m"})
        assert not rules_out_hidden(API[api], {"model": "m"})
    assert not rules_out_hidden(API["ollama.chat"], {"think": 0})


def test_without_the_request_nothing_is_bounded_again() -> None:
    """VER-20: could not check, where the request decides what is shown."""
    case = {"api": API["gemini.generate"], "status": 0, "streamed": False}
    receipt = receipt_of(case, OUTPUT_VISIBLE)
    assert receipt.usage == (
        Bucket(kind=16, reported=1, label=BOUNDED, lower=0, upper=1, method=METHOD_BYTES),
    )
    body = json.dumps(wire.GEMINI).encode()
    assert recount_bounds(receipt, None, body) == {}
    found = recount_bounds(receipt, b"{}", body)[OUTPUT_VISIBLE]
    assert (found.lower, found.upper) == (1, 21)


@pytest.mark.parametrize("make", [MistralReader, GeminiReader, ConverseReader])
def test_many_calls_and_parts_take_linear_time(make: type[VisibleReader]) -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1}}, "toolUse": {"input": {"a": 1}}}
    part = {"functionCall": {"name": "f", "args": {"a": 1}}}
    several = [
        {"message": {"tool_calls": [call]}, "content": {"parts": [part]}, "text": "a"}
    ] * 1_500
    body = {
        "choices": several,
        "candidates": several,
        "output": {"message": {"content": [{"toolUse": {"input": {"a": 1}}}] * 1_500}},
        "message": {"content": [{"type": "text", "text": "a"}] * 1_500},
        "response": "a",
    }
    reader, located = make(), parse_json(json.dumps(body).encode())
    began = time.process_time()
    reader.add_body(located)
    assert time.process_time() - began < 3  # each one from the start: far longer
    assert reader.result().choices in (1, 1_500)
