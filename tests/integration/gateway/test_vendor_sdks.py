"""Further real SDKs through the gateway: usage equals what the SDK itself reports."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API, KIND, METERING
from tests.integration.gateway.later import Later
from tests.integration.gateway.rig import (
    KEY,
    STREAM_HEAD,
    Bench,
    Seen,
    answer,
    chunk,
    counts,
    status,
    stream,
)
from tests.unit import wire_streams as wire
from tests.unit.wire_streams import DONE, sse

if TYPE_CHECKING:
    import cohere
    import httpx
    import ollama
    import openai
    from google import genai
    from mistralai import client as mistral
else:
    cohere, httpx, ollama = map(Later, ("cohere", "httpx", "ollama"))
    openai, genai, mistral = map(Later, ("openai", "google.genai", "mistralai.client"))

PROMPT: Any = [{"role": "user", "content": "Is “réçu” a receipt? 收据 🧾"}]


def _chat(usage: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return a chat completion with a usage, whole and as a stream that is asked for it."""
    frame = {"id": "c", "created": 1, "model": "m-1"}
    choice = {"index": 0, "finish_reason": "stop"}
    message = {"role": "assistant", "content": "Yes."}
    whole = {
        **frame,
        "object": "chat.completion",
        "choices": [{**choice, "message": message}],
        "usage": usage,
    }
    chunk = {**frame, "object": "chat.completion.chunk"}
    events = sse(
        {**chunk, "choices": [{**choice, "delta": message}], "usage": None},
        {**chunk, "choices": [], "usage": usage},
    )
    return whole, events + DONE


def _serve(bench: Bench, whole: object, events: bytes) -> None:
    """Answer whole or with events, as the request asks for."""

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        streams = b'"stream":true' in seen.body.replace(b" ", b"") or "stream" in seen.target
        writer.write(stream(events) if streams else answer(json.dumps(whole).encode()))

    bench.upstream.script = script


def _new_receipts(bench: Bench, work: Callable[[], object]) -> list[Receipt]:
    """Return the receipts of the calls that some work makes."""
    before = len(bench.rig.receipts())
    work()
    until = time.monotonic() + 10
    # A client that has its end mark may be done before the receipt is written.
    while bench.rig.ledger.open_intents() and time.monotonic() < until:
        time.sleep(0.01)
    return bench.rig.receipts()[before:]


def _sum(receipt: Receipt, *kinds: range) -> int:
    numbers = {KIND[name]: count or 0 for name, count in counts(receipt).items()}
    return sum(count for kind, count in numbers.items() if any(kind in wanted for wanted in kinds))


INPUT, OUTPUT = (range(1, 16), range(32, 35)), (range(16, 32), range(35, 38))


def _agrees(receipt: Receipt, inputs: int, outputs: int, total: int | None, api: str) -> None:
    assert (_sum(receipt, *INPUT), _sum(receipt, *OUTPUT)) == (inputs, outputs)
    assert receipt.provider_total == total
    assert METERING.name_of(receipt.metering) == "final"
    assert (status(receipt), API.name_of(receipt.api)) == ("complete", api)
    assert receipt.anomalies is None


def _client(bench: Bench, base: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{bench.rig.url}{base}", api_key=KEY, max_retries=0)


@pytest.mark.parametrize(
    ("base", "usage", "hidden"),
    [
        ("/deepseek", wire.DEEPSEEK_USAGE, 0),
        ("/openrouter/api/v1", wire.OPENROUTER_USAGE, 0),
        ("/xai/v1", wire.XAI_USAGE, 94),
        ("/together/v1", wire.MISTRAL_USAGE, 0),
        ("/custom-lab/v1", wire.GROQ_USAGE, 0),
    ],
)
def test_chat_of_relatives(bench: Bench, base: str, usage: dict[str, Any], hidden: int) -> None:
    _serve(bench, *_chat(usage))
    with _client(bench, base) as client:
        found: list[Any] = []

        def work() -> None:
            found.append(client.chat.completions.create(model="m", messages=PROMPT).usage)
            asked = client.chat.completions.create(
                model="m", messages=PROMPT, stream=True, stream_options={"include_usage": True}
            )
            found.append(list(asked)[-1].usage)

        receipts = _new_receipts(bench, work)
    assert found[0] == found[1]
    for receipt, said in zip(receipts, found, strict=True):
        outputs = said.completion_tokens + hidden
        _agrees(receipt, said.prompt_tokens, outputs, said.total_tokens, "openai.chat")


def test_groq_sends_its_usage_unasked(bench: Bench) -> None:
    _serve(bench, {}, wire.GROQ_STREAM)
    with _client(bench, "/groq/openai/v1") as client:
        chunks: list[Any] = []

        def work() -> None:
            chunks.extend(client.chat.completions.create(model="m", messages=PROMPT, stream=True))

        (receipt,) = _new_receipts(bench, work)
    said = chunks[-1].x_groq["usage"]
    _agrees(receipt, said["prompt_tokens"], said["completion_tokens"], 23, "openai.chat")


def test_completions(bench: Bench) -> None:
    whole = {**wire.COMPLETION, "choices": [{**wire.COMPLETION["choices"][0],  # type: ignore[index]
                                             "finish_reason": "stop"}]}  # fmt: skip
    _serve(bench, whole, sse(*wire.COMPLETION_CHUNKS) + DONE)
    with _client(bench, "/openai/v1") as client:
        found: list[Any] = []

        def work() -> None:
            found.append(client.completions.create(model="m", prompt="x"))
            found.extend(client.completions.create(model="m", prompt="x", stream=True))

        first, second = _new_receipts(bench, work)
    assert all(piece.choices for piece in found)  # nobody asked for usage, nobody gets it
    _agrees(first, found[0].usage.prompt_tokens, found[0].usage.completion_tokens, 12,
            "openai.completions")  # fmt: skip
    _agrees(second, 5, 2, 7, "openai.completions")
    assert second.forwarded_commitment is not None


def test_embeddings_images_and_audio(bench: Bench) -> None:
    with _client(bench, "/openai/v1") as client:
        _serve(bench, wire.EMBEDDING, b"")
        (receipt,) = _new_receipts(bench, lambda: client.embeddings.create(
            model="e", input="x", encoding_format="float"))  # fmt: skip
        _agrees(receipt, 8, 0, 8, "openai.embeddings")

        images: list[Any] = []
        _serve(bench, wire.IMAGE, wire.IMAGE_STREAM)

        def draw() -> None:
            images.append(client.images.generate(model="gpt-image-1", prompt="x"))
            images.append(list(client.images.generate(model="i", prompt="x", stream=True))[-1])

        for receipt, image in zip(_new_receipts(bench, draw), images, strict=True):
            said = image.usage
            _agrees(receipt, said.input_tokens, said.output_tokens, said.total_tokens,
                    "openai.images")  # fmt: skip

        heard: list[Any] = []
        _serve(bench, wire.TRANSCRIPT, wire.TRANSCRIPT_STREAM)

        def hear() -> None:
            file = ("a.mp3", io.BytesIO(b"\x00\xff" * 50))
            heard.append(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=file))

        (receipt,) = _new_receipts(bench, hear)
        said = heard[0].usage
        _agrees(receipt, said.input_tokens, said.output_tokens, said.total_tokens, "openai.audio")
        assert receipt.model_requested == "gpt-4o-transcribe"


@pytest.mark.parametrize("base", ["gemini", "vertex"])
def test_gemini(bench: Bench, base: str) -> None:
    _serve(bench, wire.GEMINI, wire.GEMINI_SSE)
    options = genai.types.HttpOptions(base_url=f"{bench.rig.url}/{base}")
    client = genai.Client(api_key=KEY, http_options=options)
    found: list[Any] = []

    def work() -> None:
        found.append(client.models.generate_content(model="ge-0", contents="x"))
        found.append(list(client.models.generate_content_stream(model="ge-0", contents="x"))[-1])

    receipts = _new_receipts(bench, work)
    assert [receipt.streamed for receipt in receipts] == [None, 1]
    for receipt, response in zip(receipts, found, strict=True):
        said = response.usage_metadata
        inputs = said.prompt_token_count + said.tool_use_prompt_token_count
        outputs = said.candidates_token_count + said.thoughts_token_count
        _agrees(receipt, inputs, outputs, said.total_token_count, "gemini.generate")
        assert counts(receipt)["cache_read"] == said.cached_content_token_count
        assert (receipt.model_requested, receipt.model_served) == ("ge-0", response.model_version)
        assert receipt.subject == bench.rig.ledger.subject(2, KEY.encode())
    client.close()


def test_mistral(bench: Bench) -> None:
    _serve(bench, wire.MISTRAL, wire.MISTRAL_STREAM)
    found: list[Any] = []
    with mistral.Mistral(api_key=KEY, server_url=f"{bench.rig.url}/mistral") as client:

        def work() -> None:
            found.append(client.chat.complete(model="m", messages=PROMPT).usage)
            with client.chat.stream(model="m", messages=PROMPT) as events:
                found.append(list(events)[-1].data.usage)

        receipts = _new_receipts(bench, work)
    assert [receipt.streamed for receipt in receipts] == [None, 1]
    for receipt, said in zip(receipts, found, strict=True):
        _agrees(receipt, said.prompt_tokens, said.completion_tokens, said.total_tokens,
                "mistral.chat")  # fmt: skip
        assert receipt.model_served == "mi-1"


def test_cohere(bench: Bench) -> None:
    _serve(bench, wire.COHERE, wire.COHERE_STREAM)
    http = httpx.Client()
    client: Any = cohere.ClientV2(KEY, base_url=f"{bench.rig.url}/cohere", httpx_client=http)
    found: list[Any] = []

    def work() -> None:
        found.append(client.chat(model="m", messages=PROMPT).usage)
        events = list(client.chat_stream(model="m", messages=PROMPT))
        found.append(events[-1].delta.usage)

    for receipt, said in zip(_new_receipts(bench, work), found, strict=True):
        _agrees(receipt, said.tokens.input_tokens, said.tokens.output_tokens, None, "cohere.v2")
        assert counts(receipt)["cache_read"] == said.cached_tokens
    http.close()


def test_ollama(bench: Bench) -> None:
    client: Any = ollama.Client(host=f"{bench.rig.url}/ollama")
    head = STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", b"application/x-ndjson")
    lines = head + chunk(wire.OLLAMA_STREAM) + b"0\r\n\r\n"

    async def script(seen: Seen, writer: asyncio.StreamWriter) -> None:
        streams = b'"stream":true' in seen.body
        writer.write(lines if streams else answer(json.dumps(wire.OLLAMA_LAST).encode()))

    bench.upstream.script = script
    found: list[Any] = []

    def work() -> None:
        found.append(client.chat(model="o", messages=PROMPT))
        found.append(list(client.chat(model="o", messages=PROMPT, stream=True))[-1])

    for receipt, said in zip(_new_receipts(bench, work), found, strict=True):
        _agrees(receipt, said.prompt_eval_count, said.eval_count, None, "ollama.chat")
    client._client.close()
