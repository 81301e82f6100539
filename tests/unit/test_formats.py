"""What a receipt says of a response in each further wire format, whole and streamed."""

import json
from dataclasses import dataclass, field

import pytest

from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE
from nous_ledger.protocol.registries import ANOMALY
from tests.event_streams import message
from tests.unit import wire_streams as wire
from tests.unit.format_rig import ARRAY, LINES, MESSAGES, SSE, read
from tests.unit.metering_rig import FINAL, NONE, PARTIAL, counts, labels
from tests.unit.wire_streams import DONE, gemini, named, sse


@dataclass(frozen=True)
class Case:
    """An answer and what a receipt says of it."""

    api: str
    data: object
    counts: dict[str, int]
    kind: str = ""
    total: int | None = None
    model: str | None = None
    raw: tuple[bytes, ...] | None = None
    tier: str | None = None
    incomplete: bool = False
    anomalies: set[str] = field(default_factory=set)


TEXT = {"input_unsplit": 5, "output_unsplit": 7}
CACHED = {"input_uncached": 7, "cache_read": 64, "output_unsplit": 420}
IMAGE = {"input_unsplit": 10, "output_unsplit": 0, "input_image": 40, "output_image": 1056}
HEARD = {"input_unsplit": 0, "output_unsplit": 45, "input_audio": 14}
OLLAMA = {"input_unsplit": 26, "output_unsplit": 282}
OLLAMA_RAW = (b'"prompt_eval_count":26', b'"eval_count":282')
CONVERSED = {"input_unsplit": 30, "output_unsplit": 628}
SAID = {"input_unsplit": 11, "output_unsplit": 3}

CASES = {
    "completions": Case(
        "openai.completions", wire.COMPLETION, TEXT, total=12, model="t-1", incomplete=True
    ),
    "completions, streamed": Case(
        "openai.completions",
        sse(*wire.COMPLETION_CHUNKS) + DONE,
        {"input_unsplit": 5, "output_unsplit": 2},
        SSE,
        total=7,
        model="t-1",
    ),
    "embeddings": Case(
        "openai.embeddings", wire.EMBEDDING, {"input_unsplit": 8}, total=8, model="e-1"
    ),
    "images": Case("openai.images", wire.IMAGE, IMAGE, total=1106),
    "images, streamed": Case("openai.images", wire.IMAGE_STREAM, IMAGE, SSE, total=1106),
    "transcription": Case("openai.audio", wire.TRANSCRIPT, HEARD, total=59),
    "transcription, streamed": Case("openai.audio", wire.TRANSCRIPT_STREAM, HEARD, SSE, total=59),
    "transcription by the second": Case("openai.audio", wire.WHISPER, {"audio_ms": 9250}),
    "transcription by Mistral": Case(
        "openai.audio",
        {"model": "v", "usage": {**wire.MISTRAL_USAGE, "prompt_audio_seconds": 3}},
        {**SAID, "audio_ms": 3000},
        total=14,
        model="v",
    ),
    "speech, streamed": Case(
        "openai.audio",
        wire.SPEECH_STREAM,
        {"input_unsplit": 14, "output_unsplit": 101},
        SSE,
        total=115,
    ),
    "groq, streamed": Case(
        "openai.chat",
        wire.GROQ_STREAM,
        {"input_unsplit": 20, "output_unsplit": 3},
        SSE,
        total=23,
        model="g",
        raw=(json.dumps(wire.GROQ_USAGE).encode(),),
    ),
    "mistral": Case("mistral.chat", wire.MISTRAL, SAID, total=14, model="mi-1"),
    "mistral, streamed": Case(
        "mistral.chat", wire.MISTRAL_STREAM, SAID, SSE, total=14, model="mi-1"
    ),
    "gemini": Case("gemini.generate", wire.GEMINI, wire.GEMINI_COUNTS, total=190, model="ge-1"),
    "gemini, events": Case(
        "gemini.generate", wire.GEMINI_SSE, wire.GEMINI_COUNTS, SSE, total=190, model="ge-1"
    ),
    "gemini, array": Case(
        "gemini.generate", wire.GEMINI_ARRAY, wire.GEMINI_COUNTS, ARRAY, total=190, model="ge-1"
    ),
    "converse": Case("bedrock.converse", wire.CONVERSE, CONVERSED, total=658),
    "converse, streamed": Case(
        "bedrock.converse",
        wire.CONVERSE_STREAM,
        CONVERSED,
        MESSAGES,
        total=658,
        raw=(json.dumps(wire.CONVERSE_USAGE).encode(),),
    ),
    "cohere": Case("cohere.v2", wire.COHERE, CACHED),
    "cohere, streamed": Case("cohere.v2", wire.COHERE_STREAM, CACHED, SSE),
    "cohere rerank": Case(
        "cohere.v2",
        {"results": [], "meta": {"api_version": {}, "billed_units": {"search_units": 2}}},
        {"search_units": 2},
    ),
    "cohere embed": Case(
        "cohere.v2", {"meta": {"billed_units": {"input_tokens": 12.0}}}, {"input_unsplit": 12}
    ),
    "ollama chat": Case("ollama.chat", wire.OLLAMA_LAST, OLLAMA, model="o-1", raw=OLLAMA_RAW),
    "ollama chat, streamed": Case(
        "ollama.chat", wire.OLLAMA_STREAM, OLLAMA, LINES, model="o-1", raw=OLLAMA_RAW
    ),
    "ollama generate": Case(
        "ollama.generate", wire.OLLAMA_GENERATE, OLLAMA, model="o-1", raw=OLLAMA_RAW
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_whole_answer(name: str) -> None:
    case = CASES[name]
    found = read(case.api, case.data, case.kind)
    assert counts(found) == case.counts
    assert (found.metering, found.provider_total) == (FINAL, case.total)
    assert (found.model, found.service_tier) == (case.model, case.tier)
    assert (found.ended, found.failed, found.incomplete) == (True, False, case.incomplete)
    assert found.anomalies == {ANOMALY[name] for name in case.anomalies}
    if case.raw is not None:
        assert found.raw_usage == case.raw
    assert set(labels(found).values()) <= {UNVERIFIABLE, BOUNDED}


BOUNDS = {
    "completions": 6,
    "completions, streamed": 6,
    "mistral": 7,
    "mistral, streamed": 7,
    "gemini": 5,
    "gemini, events": 9,
    "gemini, array": 9,
    "converse": 5,
    "converse, streamed": 5,
    "cohere": 5,
    "cohere, streamed": 5,
    "ollama chat": 0,
    "ollama chat, streamed": 3,
    "ollama generate": 7,
    "groq, streamed": 2,
}


@pytest.mark.parametrize("name", CASES)
def test_the_output_of_a_whole_answer_is_bounded(name: str) -> None:
    """LBL-8, LBL-9, LBL-11: by its bytes, where thinking was ruled out; else nothing is."""
    case = CASES[name]
    found = read(case.api, case.data, case.kind, ruled_out=True)
    bounds = [(b.lower, b.upper) for b in found.usage if b.label == BOUNDED]
    size = BOUNDS.get(name)
    assert bounds == ([] if size is None else [(min(size, 1), size + 16)])
    silent = labels(read(case.api, case.data, case.kind))
    assert set(silent.values()) - {UNVERIFIABLE} == (
        {BOUNDED} if "output_visible" in case.counts else set()
    )


def test_usage_of_relatives_of_openai() -> None:
    for usage, expected in (
        (
            wire.DEEPSEEK_USAGE,
            {"input_uncached": 36, "cache_read": 64, "output_visible": 10, "reasoning": 30},
        ),
        # xAI's reasoning is not part of the completion: the total says so.
        (
            wire.XAI_USAGE,
            {"input_uncached": 26, "cache_read": 6, "output_visible": 9, "reasoning": 94},
        ),
    ):
        body = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
        found = read("openai.chat", {**body, "usage": usage})
        assert counts(found) == expected
        assert found.anomalies == frozenset()
        assert labels(found)["output_visible"] == BOUNDED


@pytest.mark.parametrize(
    ("cost", "pico"),
    [
        ("0.00095", 950_000_000),
        ("9.5e-4", 950_000_000),
        ("0", 0),
        ("0.0000000000005", 0),  # half to even
        ("0.0000000000015", 2),
        ("9007", 9007 * 10**12),
        ("9008", None),
        ("1e400000", None),
        ("-1", None),
        ('"1"', None),
        ("true", None),
        ("0." + "1" * 100, None),
        ("null", None),
    ],
)
def test_a_price_is_read_from_its_digits(cost: str, pico: int | None) -> None:
    usage = json.dumps(wire.OPENROUTER_USAGE).replace("0.00095", cost)
    body = b'{"choices":[],"usage":' + usage.encode() + b"}"
    assert read("openai.chat", body, cost=("cost",)).reported_cost == pico
    assert read("openai.chat", body).reported_cost is None
    nested = b'{"choices":[],"usage":{"cost":{"total_cost":' + cost.encode() + b"}}}"
    assert read("openai.chat", nested, cost=("cost", "total_cost")).reported_cost == pico


# --- every way to end


ENDINGS: list[tuple[str, str, list[bytes], list[int]]] = [
    # per prefix of the events, cut off there: the metering
    (
        "gemini.generate",
        SSE,
        [sse(event) for event in wire.GEMINI_EVENTS],
        [NONE, PARTIAL, PARTIAL, FINAL],
    ),
    (
        "bedrock.converse",
        MESSAGES,
        list(wire.CONVERSE_EVENTS),
        [NONE, NONE, NONE, NONE, NONE, FINAL],
    ),
    ("ollama.chat", LINES, wire.OLLAMA_STREAM.splitlines(keepends=True), [NONE, NONE, FINAL]),
    (
        "mistral.chat",
        SSE,
        [part + b"\n\n" for part in wire.MISTRAL_STREAM.split(b"\n\n")[:-1]],
        [NONE, NONE, FINAL, FINAL],
    ),
    (
        "cohere.v2",
        SSE,
        [part + b"\n\n" for part in wire.COHERE_STREAM.split(b"\n\n")[:-1]],
        [NONE, NONE, NONE, NONE, NONE, FINAL, FINAL],
    ),
    (
        "openai.images",
        SSE,
        [part + b"\n\n" for part in wire.IMAGE_STREAM.split(b"\n\n")[:-1]],
        [NONE, NONE, FINAL],
    ),
]


@pytest.mark.parametrize(("api", "kind", "events", "metering"), ENDINGS)
def test_streams_that_break_off(
    api: str, kind: str, events: list[bytes], metering: list[int]
) -> None:
    """A break leaves what was there; a part of an event counts for nothing."""
    for length, expected in enumerate(metering):
        sent = b"".join(events[:length])
        found = read(api, sent, kind, cut=True)
        assert found.metering == expected
        assert (found.metering == NONE) == (found.usage == ())
        assert read(api, sent, kind).ended or expected != FINAL
    for length, event in enumerate(events):
        found = read(api, b"".join(events[:length]) + event[: len(event) // 2], kind, cut=True)
        assert found.metering == metering[length]
    assert not read(api, events[0], kind).ended


def test_an_array_that_breaks_off_keeps_what_was_whole() -> None:
    array = wire.GEMINI_ARRAY
    first = array.index(b"},\r\n  {") + 1
    cut = read("gemini.generate", array[: first + 20], ARRAY, cut=True)
    assert (cut.metering, cut.ended, cut.provider_total) == (PARTIAL, False, 120)
    unclosed = read("gemini.generate", array.rstrip()[:-1], ARRAY, cut=True)
    assert (unclosed.metering, counts(unclosed)) == (FINAL, wire.GEMINI_COUNTS)
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"totalTokenCount": 4}}
    found = read("gemini.generate", [blocked], ARRAY)
    assert (found.ended, found.incomplete, found.metering) == (True, True, FINAL)


@pytest.mark.parametrize(
    ("api", "kind", "data"),
    [
        ("gemini.generate", "", gemini("x", "MAX_TOKENS")),
        ("gemini.generate", SSE, sse(gemini("x", "SAFETY"))),
        ("bedrock.converse", "", {"stopReason": "max_tokens"}),
        ("bedrock.converse", MESSAGES, message("messageStop", {"stopReason": "max_tokens"})),
        ("cohere.v2", "", {"finish_reason": "MAX_TOKENS"}),
        ("cohere.v2", SSE, named("message-end", delta={"finish_reason": "MAX_TOKENS"})),
        ("ollama.chat", "", {**wire.OLLAMA_LAST, "done_reason": "length"}),
        ("mistral.chat", "", {"choices": [{"finish_reason": "model_length"}]}),
        ("openai.completions", "", wire.COMPLETION),
    ],
)
def test_answers_that_were_cut_short(api: str, kind: str, data: object) -> None:
    found = read(api, data, kind)
    assert (found.incomplete, found.failed, found.ended) == (True, False, True)


@pytest.mark.parametrize(
    ("api", "kind", "data"),
    [
        ("gemini.generate", SSE, sse({"error": {"code": 503, "status": "UNAVAILABLE"}})),
        ("gemini.generate", ARRAY, [{"error": {"code": 503}}]),
        ("gemini.generate", "", {"error": {"code": 400}}),
        ("bedrock.converse", MESSAGES, message("throttlingException", {"message": "x"},
                                               "exception")),
        ("bedrock.converse", MESSAGES, message("InternalFailure", b"", "error")),
        ("cohere.v2", SSE, named("message-end", delta={"finish_reason": "ERROR", "error": "x"})),
        ("ollama.chat", LINES, b'{"error":"llama runner process has terminated"}\n'),
        ("mistral.chat", "", {"choices": [{"finish_reason": "error"}]}),
        ("openai.audio", SSE, sse({"type": "error", "error": {"message": "x"}})),
        ("openai.embeddings", "", {"error": {"message": "x"}}),
        ("openai.chat", SSE, sse({"choices": [], "x_groq": {"id": "r", "error": "over"}})),
    ],
)  # fmt: skip
def test_errors_within_an_answer(api: str, kind: str, data: object) -> None:
    found = read(api, data, kind)
    assert (found.failed, found.metering) == (True, NONE)


@pytest.mark.parametrize(
    ("api", "kind", "data"),
    [
        ("gemini.generate", "", {"candidates": [{"content": {"parts": [{"functionCall": {}}]}}]}),
        ("bedrock.converse", "", {"output": {"message": {"content": [{"toolUse": {}}]}}}),
        ("bedrock.converse", MESSAGES, message("contentBlockStart", {"start": {"toolUse": {}}})),
        ("cohere.v2", "", {"message": {"tool_calls": [{}]}}),
        ("cohere.v2", SSE, named("tool-call-start", index=0)),
        ("ollama.chat", LINES, b'{"message":{"content":"","tool_calls":[{}]}}\n'),
        ("mistral.chat", "", {"choices": [{"message": {"tool_calls": [{}]}}]}),
    ],
)
def test_output_that_is_not_text_only_is_marked(api: str, kind: str, data: object) -> None:
    assert read(api, data, kind).anomalies == {ANOMALY["output_not_text_only"]}
