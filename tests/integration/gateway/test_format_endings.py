"""How streams of the further wire formats end."""

import asyncio
import gzip
import json

import pytest

from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.relay import SLICE_BYTES
from nous_ledger.protocol.hashing import commit_response
from nous_ledger.protocol.registries import METERING
from tests.event_streams import message
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    STREAM_HEAD,
    Answer,
    Rig,
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
from tests.unit.wire_streams import DONE, sse

JSON, EVENTS = "application/json; charset=UTF-8", "text/event-stream"
LINES, MESSAGES = "application/x-ndjson", "application/vnd.amazon.eventstream"
GEMINI = "/gemini/v1beta/models/ge-0:"
CONVERSE = "/bedrock/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Ax%2Fus.cl-1%3A0/converse"
CONVERSED = {"input_unsplit": 30, "output_unsplit": 628}
COHERED = {"input_uncached": 7, "cache_read": 64, "output_unsplit": 420}
OLLAMA = {"input_unsplit": 26, "output_unsplit": 282}
ASKED = {"model": "m-0", "stream": True, "stream_options": {"include_usage": True}}


def _broken(rig: Rig, got: Answer, metering: str) -> None:
    receipt = rig.only_receipt()
    assert not got.whole
    assert (status(receipt), METERING.name_of(receipt.metering)) == ("upstream_reset", metering)
    assert receipt.response_commitment == commit_response(got.opening, got.body)


@pytest.mark.parametrize(
    ("path", "kind", "data", "metering"),
    [
        (GEMINI + "streamGenerateContent", JSON, wire.GEMINI_ARRAY[:900], "partial"),
        (CONVERSE + "-stream", MESSAGES, b"".join(wire.CONVERSE_EVENTS[:4]), "none"),
        (CONVERSE + "-stream", MESSAGES, wire.CONVERSE_STREAM[:-3], "none"),
        ("/ollama/api/chat", LINES, wire.OLLAMA_STREAM[:60], "none"),
        ("/cohere/v2/chat", EVENTS, wire.COHERE_STREAM[:200], "none"),
        ("/mistral/v1/chat/completions", EVENTS, wire.MISTRAL_STREAM[:200], "none"),
    ],
)
def test_a_stream_that_is_reset(
    start: StartRig, path: str, kind: str, data: bytes, metering: str
) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        head = STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", kind.encode())
        writer.write(head + chunk(data))
        await writer.drain()
        await asyncio.sleep(0.1)
        reset(writer)

    rig, _ = start(script)
    got = rig.call(path, {"model": "m", "stream": True})
    assert got.body == data
    _broken(rig, got, metering)


@pytest.mark.parametrize(
    ("path", "kind", "data", "expected"),
    [
        (GEMINI + "streamGenerateContent", JSON, wire.GEMINI_ARRAY, wire.GEMINI_COUNTS),
        (CONVERSE + "-stream", MESSAGES, wire.CONVERSE_STREAM, CONVERSED),
        ("/ollama/api/chat", LINES, wire.OLLAMA_STREAM, OLLAMA),
        ("/cohere/v2/chat", EVENTS, wire.COHERE_STREAM, COHERED),
    ],
)
def test_a_client_that_hangs_up_is_metered_all_the_same(
    start: StartRig, path: str, kind: str, data: bytes, expected: dict[str, int]
) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        head = STREAM_HEAD.replace(b"text/event-stream; charset=utf-8", kind.encode())
        writer.write(head + chunk(data[:50]))
        await writer.drain()
        await asyncio.sleep(0.3)
        writer.write(chunk(data[50:]) + b"0\r\n\r\n")

    rig, _ = start(script)
    connection = rig.send(path, {"stream": True})
    assert connection.getresponse().read(10) == data[:10]
    connection.close()
    receipt = rig.only_receipt()
    assert (status(receipt), counts(receipt)) == ("client_aborted", expected)


@pytest.mark.parametrize(
    ("path", "kind", "data"),
    [
        (CONVERSE + "-stream", MESSAGES,
         message("modelStreamErrorException", {"message": "x"}, "exception")),
        ("/ollama/api/chat", LINES, b'{"error":"no"}\n'),
        (GEMINI + "streamGenerateContent?alt=sse", EVENTS, sse({"error": {"code": 500}})),
    ],
)  # fmt: skip
def test_an_error_within_a_stream(start: StartRig, path: str, kind: str, data: bytes) -> None:
    rig, _ = start(says(stream(data).replace(b"text/event-stream; charset=utf-8", kind.encode())))
    assert rig.call(path, {}).body == data
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.http_status) == ("upstream_error", 200)


def test_an_error_in_place_of_an_array_is_no_stream(start: StartRig) -> None:
    body = json.dumps([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]).encode()
    rig, _ = start(says(answer(body, status=429, kind=JSON)))
    assert rig.call(GEMINI + "streamGenerateContent", {}).body == body
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.http_status, receipt.streamed) == ("upstream_error", 429, None)


def test_events_that_decompress_to_thousands_are_read_in_slices(
    start: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two slices other calls have their turn."""
    lengths: list[int] = []
    feed = Meter.feed

    def noted(meter: Meter, piece: bytes) -> bytes:
        lengths.append(len(piece))
        return feed(meter, piece)

    monkeypatch.setattr(Meter, "feed", noted)
    plain = sse({"choices": []}) * 20_000 + wire.OPENAI_STREAM
    packed = gzip.compress(plain)
    assert len(packed) < 10_000
    head = STREAM_HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    rig, _ = start(says(head + chunk(packed) + b"0\r\n\r\n"))
    asked = rig.call("/openai/v1/chat/completions", ASKED)
    unasked = rig.call("/openai/v1/chat/completions", {"stream": True})
    assert asked.body == packed
    assert unasked.body == plain.replace(wire.OPENAI_STREAM.split(b"\n\n")[2] + b"\n\n", b"")
    assert max(lengths) <= SLICE_BYTES
    assert [counts(receipt)["input_unsplit"] for receipt in rig.receipts()] == [9, 9]
    assert DONE in plain
