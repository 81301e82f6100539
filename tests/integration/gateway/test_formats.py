"""Every provider's wire format through the gateway: bytes as they came, one right receipt."""

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

import pytest

from nous_ledger.protocol.hashing import commit_forwarded, commit_request, commit_response
from nous_ledger.protocol.registries import API, METERING
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    STREAM_HEAD,
    Bench,
    Seen,
    answer,
    chunk,
    counts,
    reset,
    says,
    status,
    stream,
)
from tests.unit import wire_streams as wire

JSON, EVENTS = "application/json; charset=UTF-8", "text/event-stream"
LINES, MESSAGES = "application/x-ndjson", "application/vnd.amazon.eventstream"
GEMINI = "/gemini/v1beta/models/ge-0:"
CONVERSE = "/bedrock/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Ax%2Fus.cl-1%3A0/converse"
CONVERSED = {"input_unsplit": 30, "output_unsplit": 628}
COHERED = {"input_uncached": 7, "cache_read": 64, "output_unsplit": 420}
OLLAMA = {"input_unsplit": 26, "output_unsplit": 282}
SAID = {"input_unsplit": 11, "output_unsplit": 3}
ASKED = {"model": "m-0", "stream": True, "stream_options": {"include_usage": True}}
FORM = (
    b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    b"Content-Type: audio/mpeg\r\n\r\n\x00\xff\r\n--xyz\r\n"
    b'Content-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--xyz--\r\n'
)


@dataclass(frozen=True)
class Case:
    """A call and its answer, and what the receipt says beside the counts."""

    path: str
    kind: str
    body: object
    counts: dict[str, int]
    api: str
    operation: str = "chat"
    asked: str | None = "m-0"
    served: str | None = None
    request: object = None
    metering: str = "final"


CASES = {
    "completions": Case(
        "/openai/v1/completions", JSON, wire.COMPLETION,
        {"input_unsplit": 5, "output_unsplit": 7}, "openai.completions", "text_completion",
        served="t-1",
    ),
    "embeddings": Case(
        "/openai/v1/embeddings", JSON, wire.EMBEDDING, {"input_unsplit": 8}, "openai.embeddings",
        "embeddings", served="e-1",
    ),
    "images": Case(
        "/openai/v1/images/generations", EVENTS, wire.IMAGE_STREAM,
        {"input_unsplit": 10, "output_unsplit": 0, "input_image": 40, "output_image": 1056},
        "openai.images", "image_generation",
    ),
    "transcription": Case(
        "/openai/v1/audio/transcriptions", JSON, wire.WHISPER, {"audio_ms": 9250}, "openai.audio",
        "transcription", asked="whisper-1", request=FORM,
    ),
    "speech": Case(
        "/openai/v1/audio/speech", "audio/mpeg", b"\xff\xfb" * 9, {}, "openai.audio", "speech",
        metering="none",
    ),
    "gemini": Case(
        GEMINI + "generateContent", JSON, wire.GEMINI, wire.GEMINI_COUNTS, "gemini.generate",
        "generate_content", asked="ge-0", served="ge-1",
    ),
    "gemini, events": Case(
        GEMINI + "streamGenerateContent?alt=sse", EVENTS, wire.GEMINI_SSE, wire.GEMINI_COUNTS,
        "gemini.generate", "generate_content", asked="ge-0", served="ge-1",
    ),
    "gemini, array": Case(
        GEMINI + "streamGenerateContent", JSON, wire.GEMINI_ARRAY, wire.GEMINI_COUNTS,
        "gemini.generate", "generate_content", asked="ge-0", served="ge-1",
    ),
    "converse": Case(
        CONVERSE, JSON, wire.CONVERSE, CONVERSED, "bedrock.converse",
        asked="arn:aws:bedrock:eu:1:x/us.cl-1:0",
    ),
    "converse, streamed": Case(
        CONVERSE + "-stream", MESSAGES, wire.CONVERSE_STREAM, CONVERSED, "bedrock.converse",
        asked="arn:aws:bedrock:eu:1:x/us.cl-1:0",
    ),
    "cohere": Case("/cohere/v2/chat", JSON, wire.COHERE, COHERED, "cohere.v2"),
    "cohere, streamed": Case("/cohere/v2/chat", EVENTS, wire.COHERE_STREAM, COHERED, "cohere.v2"),
    "mistral": Case(
        "/mistral/v1/chat/completions", JSON, wire.MISTRAL, SAID, "mistral.chat", served="mi-1"
    ),
    "mistral, streamed": Case(
        "/mistral/v1/chat/completions", EVENTS, wire.MISTRAL_STREAM, SAID, "mistral.chat",
        served="mi-1", request={"model": "m-0", "stream": True},
    ),
    "ollama chat": Case(
        "/ollama/api/chat", JSON, wire.OLLAMA_LAST, OLLAMA, "ollama.chat", served="o-1"
    ),
    "ollama chat, streamed": Case(
        "/ollama/api/chat", LINES, wire.OLLAMA_STREAM, OLLAMA, "ollama.chat", served="o-1"
    ),
    "ollama generate": Case(
        "/ollama/api/generate", JSON, wire.OLLAMA_GENERATE, OLLAMA, "ollama.generate",
        "text_completion", served="o-1",
    ),
    "groq, streamed": Case(
        "/groq/openai/v1/chat/completions", EVENTS, wire.GROQ_STREAM,
        {"input_unsplit": 20, "output_unsplit": 3}, "openai.chat", served="g",
        request={"model": "m-0", "stream": True},
    ),
    "azure": Case(
        "/azure-openai/openai/deployments/dep/chat/completions?api-version=2024-10-21", EVENTS,
        wire.OPENAI_STREAM, {"input_unsplit": 9, "output_unsplit": 1}, "openai.chat", asked="dep",
        served="m-1", request=ASKED,
    ),
    "vertex": Case(
        "/vertex/v1/projects/p/locations/l/publishers/google/models/ge-0:generateContent", JSON,
        wire.GEMINI, wire.GEMINI_COUNTS, "gemini.generate", "generate_content", asked="ge-0",
        served="ge-1",
    ),
    "a further custom route": Case(
        "/custom-lab/any/v1/chat/completions", EVENTS, wire.OPENAI_STREAM,
        {"input_unsplit": 9, "output_unsplit": 1}, "openai.chat", served="m-1", request=ASKED,
    ),
}  # fmt: skip


def _bytes(data: object) -> bytes:
    return data if isinstance(data, bytes) else json.dumps(data).encode()


@pytest.mark.parametrize("name", CASES)
def test_a_call(bench: Bench, name: str) -> None:
    case = CASES[name]
    body, request = _bytes(case.body), _bytes(case.request or {"model": "m-0"})
    streamed = case.kind not in (JSON, "audio/mpeg") or "array" in name
    head = STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", case.kind.encode())
    pieces = [body[start : start + 97] for start in range(0, len(body), 97)]
    sent = head + b"".join(map(chunk, pieces)) + b"0\r\n\r\n"
    whole = answer(body, kind=case.kind)
    got, receipt = bench.call(case.path, sent if streamed else whole, request)
    assert (got.status, got.body, got.whole) == (200, body, True)
    assert counts(receipt) == case.counts
    incomplete = name == "completions"
    assert status(receipt) == ("incomplete" if incomplete else "complete")
    assert METERING.name_of(receipt.metering) == case.metering
    assert (API.name_of(receipt.api), receipt.operation) == (case.api, case.operation)
    assert (receipt.model_requested, receipt.model_served) == (case.asked, case.served)
    assert receipt.streamed == (1 if streamed else None)
    assert receipt.provider == "custom"
    assert receipt.request_commitment == commit_request(got.opening, request)
    assert receipt.response_commitment == commit_response(got.opening, body)
    assert receipt.forwarded_commitment is None
    (seen,) = bench.upstream.seen
    assert (seen.target, seen.body) == ("/" + case.path.split("/", 2)[2], request)


# --- the include_usage rule


@pytest.mark.parametrize(
    ("path", "asks"),
    [
        ("/openai/v1/chat/completions", True),
        ("/openai/v1/completions", True),
        ("/together/v1/chat/completions", True),
        ("/deepseek/chat/completions", True),
        ("/vllm/v1/completions", True),
        ("/custom/v1/chat/completions", True),
        ("/gemini/v1beta/openai/chat/completions", True),
        ("/azure-openai/openai/v1/chat/completions", True),
        ("/azure-openai/openai/deployments/d/chat/completions?api-version=2024-06-01", False),
        ("/mistral/v1/chat/completions", False),
        ("/groq/openai/v1/chat/completions", False),
        ("/openrouter/api/v1/chat/completions", False),
        ("/fireworks/inference/v1/chat/completions", False),
        ("/perplexity/chat/completions", False),
        ("/xai/v1/chat/completions", False),
        ("/openai/v1/responses", False),
    ],
)
def test_usage_is_asked_for_where_the_provider_takes_the_question(
    bench: Bench, path: str, asks: bool
) -> None:
    request = b'{"model":"m", "stream":true}'
    got, receipt = bench.call(path, stream(wire.OPENAI_STREAM), request)
    forwarded = bench.upstream.seen[0].body
    assert (b"include_usage" in forwarded) == asks
    if asks:
        usage_chunk = wire.OPENAI_STREAM.split(b"\n\n")[2] + b"\n\n"
        assert got.body == wire.OPENAI_STREAM.replace(usage_chunk, b"")
        assert receipt.forwarded_commitment == commit_forwarded(got.opening, forwarded)
    else:
        assert got.body == wire.OPENAI_STREAM
        assert (forwarded, receipt.forwarded_commitment) == (request, None)


def test_a_question_that_would_be_refused_is_not_put(bench: Bench) -> None:
    path = "/azure-openai/openai/deployments/d/chat/completions?api-version=2024-10-21"
    request = b'{"stream":true,"data_sources":[{}]}'
    _, receipt = bench.call(path, stream(wire.OPENAI_STREAM), request)
    assert bench.upstream.seen[0].body == request
    assert receipt.model_requested == "d"


@pytest.mark.parametrize(
    ("path", "usage", "cost"),
    [
        ("/openrouter/api/v1/chat/completions", wire.OPENROUTER_USAGE, 950_000_000),
        ("/perplexity/chat/completions", {"cost": {"total_cost": 0.006}}, 6_000_000_000),
        ("/openai/v1/chat/completions", wire.OPENROUTER_USAGE, None),  # not its word
    ],
)
def test_a_price_that_the_provider_names(
    bench: Bench, path: str, usage: dict[str, Any], cost: int | None
) -> None:
    body = _bytes({"choices": [], "usage": usage})
    _, receipt = bench.call(path, answer(body), {"model": "m"})
    assert receipt.reported_cost == cost


# --- paths


@pytest.mark.parametrize(
    "path", ["/v1//chat/completions", "/v1/%63hat%2Fcompletions", "/V1/chat/completions;x=1"]
)
def test_an_odd_spelling_is_forwarded_as_it_is_and_metered(bench: Bench, path: str) -> None:
    answered = stream(wire.OPENAI_STREAM)
    got, receipt = bench.call("/openai" + path, answered, b'{"stream":true}')
    assert bench.upstream.seen[0].target == path
    assert b"prompt_tokens" not in got.body
    assert counts(receipt) == {"input_unsplit": 9, "output_unsplit": 1}


@pytest.mark.parametrize(
    "path",
    ["/openai/v1/../v1/chat/completions", "/openai/%2e%2e/x", "/anthropic/v1\\messages",
     "/openai/v1/chat/completions%00"],
)  # fmt: skip
def test_a_path_that_may_lead_elsewhere_is_refused(bench: Bench, path: str) -> None:
    got, receipt = bench.call(path, answer(b"{}"), {"model": "m"})
    assert (got.status, got.headers["x-should-retry"]) == (400, "false")
    assert "not forwarded" in json.loads(got.body)["error"]["message"]
    assert (status(receipt), receipt.http_status, receipt.api) == ("refused", None, 0)
    assert receipt.response_commitment == commit_response(got.opening, got.body)
    assert bench.upstream.seen == []


@pytest.mark.parametrize(
    ("path", "members"),
    [
        ("/openai/v1/chat/completions", ["error"]),
        (GEMINI + "generateContent", ["error"]),
        (CONVERSE, ["message"]),
        ("/cohere/v2/chat", ["message"]),
        ("/mistral/v1/chat/completions", ["code", "message", "object", "param", "type"]),
        ("/ollama/api/chat", ["error"]),
        ("/anthropic/v1/messages", ["error", "type"]),
    ],
)
def test_the_gateways_errors_have_the_providers_shape(
    bench: Bench, path: str, members: list[str]
) -> None:
    async def hangs_up(_: Seen, writer: asyncio.StreamWriter) -> None:
        reset(writer)

    got, receipt = bench.call(path, hangs_up, {"model": "m"})
    assert (got.status, sorted(json.loads(got.body))) == (502, members)
    assert status(receipt) == "upstream_unreachable"


# --- signed requests


SECRET = "secret-of-a-test"
SCOPE = "20261122/eu-west-1/bedrock/aws4_request"


def _signature(method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    """Return the signature of a request, after AWS Signature Version 4."""
    fields = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join(
        (method, path.replace("%", "%25"), "", fields, ";".join(sorted(headers)),
         hashlib.sha256(body).hexdigest())
    )  # fmt: skip
    text = "\n".join(
        ("AWS4-HMAC-SHA256", headers["x-amz-date"], SCOPE,
         hashlib.sha256(canonical.encode()).hexdigest())
    )  # fmt: skip
    key = f"AWS4{SECRET}".encode()
    for part in [*SCOPE.split("/"), text]:
        key = hmac.digest(key, part.encode(), "sha256")
    return key.hex()


@pytest.mark.parametrize("path", [CONVERSE, "/bedrock/openai/v1/chat/completions"])
def test_a_signature_for_the_upstream_is_still_good_when_it_gets_there(
    start: StartRig, path: str
) -> None:
    """Host, Accept-Encoding, path and body arrive as they were signed."""
    rig, upstream = start(says(answer(_bytes(wire.CONVERSE))))
    body = b'{"stream":true}'
    target = path.removeprefix("/bedrock")
    headers = {
        "host": upstream.url.removeprefix("http://"),
        "x-amz-date": "20261122T120000Z",
        "accept-encoding": "identity, br;q=0.1",
        "content-type": "application/json",
        "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
    }
    named = ";".join(sorted(headers))
    authorization = (
        f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, SignedHeaders={named}, "
        f"Signature={_signature('POST', target, headers, body)}"
    )
    sent = {**headers, "authorization": authorization}
    del sent["host"]  # it names the gateway on the way there
    rig.call(path, body, headers=sent, credential=None)
    (seen,) = upstream.seen
    arrived = {name: ", ".join(seen.values(name)) for name in headers}
    assert arrived == headers
    assert _signature(seen.method, seen.target, arrived, seen.body) in authorization
    assert rig.only_receipt().subject == rig.ledger.subject(3, b"AKID")


def test_what_is_not_signed_is_narrowed_as_ever(start: StartRig) -> None:
    rig, upstream = start(says(answer(_bytes(wire.CONVERSE))))
    authorization = f"AWS4-HMAC-SHA256 Credential=AKID/{SCOPE}, SignedHeaders=host, Signature=0"
    headers = {"authorization": authorization, "accept-encoding": "br, gzip"}
    rig.call(CONVERSE, {}, headers=headers, credential=None)
    assert upstream.seen[0].values("accept-encoding") == ["gzip"]
