"""Responses of the further wire formats that cannot be read, or hardly."""

import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from nous_ledger.gateway.eventstream import EventStreamParser
from nous_ledger.gateway.formats import make_parser
from nous_ledger.gateway.framing import StreamParser
from nous_ledger.gateway.jsonarray import ArrayParser
from nous_ledger.gateway.jsonlines import LineParser
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.sse import SseParser
from nous_ledger.protocol.registries import ANOMALY, API
from tests.event_streams import framed, message
from tests.unit import wire_streams as wire
from tests.unit.format_rig import ARRAY, LINES, MESSAGES, SSE, read
from tests.unit.metering_rig import FINAL, MALFORMED, NONE, counts
from tests.unit.wire_streams import named

CONVERSED = {"input_unsplit": 30, "output_unsplit": 628}


def test_a_damaged_message_is_not_read_and_the_next_one_is() -> None:
    metadata = wire.CONVERSE_EVENTS[-1]
    flipped = bytearray(wire.CONVERSE_EVENTS[1])
    flipped[-6] ^= 1
    odd_header = framed(b"\x01x\x63", b"{}")
    found = read("bedrock.converse", bytes(flipped) + odd_header + metadata, MESSAGES)
    assert (found.metering, counts(found)) == (FINAL, CONVERSED)
    broken = bytearray(metadata)
    broken[20] ^= 1
    lost = read("bedrock.converse", bytes(broken), MESSAGES)
    assert lost.metering == NONE
    assert lost.anomalies == {ANOMALY["usage_malformed"]}


def test_after_a_wrong_length_nothing_is_read() -> None:
    wrong = bytearray(wire.CONVERSE_EVENTS[0])
    wrong[3] ^= 1
    found = read("bedrock.converse", bytes(wrong) + wire.CONVERSE_STREAM, MESSAGES)
    assert (found.metering, found.ended) == (NONE, False)
    assert found.anomalies == {ANOMALY["usage_malformed"]}


@pytest.mark.parametrize(
    "parser", [SseParser(1000), LineParser(1000), ArrayParser(1000), EventStreamParser(1000)]
)
def test_what_is_longer_than_the_bound_passes_unread(parser: StreamParser, full: bool) -> None:
    """Megabytes that never end: linear time, and memory for no more than the bound."""
    start = b'[{"a":"' if isinstance(parser, ArrayParser) else b"data: "
    if isinstance(parser, EventStreamParser):
        start = message("x", b"y" * 200_000_000)[:100]
    piece = b'\\"x,' * 16_384
    passed = len(start)
    size = (100 if full else 8) * 1024 * 1024
    began = time.process_time()
    assert b"".join(event.raw for event in parser.feed(start)) in (b"", start)
    held = len(start)
    for _ in range(size // len(piece)):
        events = parser.feed(piece)
        assert all(event.oversized for event in events)
        out = sum(len(event.raw) for event in events)
        held += len(piece) - out
        passed += len(piece)
        assert held <= 1000 + len(piece)
    assert time.process_time() - began < size / 5_000_000
    assert sum(len(event.raw) for event in parser.close()) <= 1000


@pytest.mark.parametrize(
    ("make", "bound", "long", "short"),
    [
        (SseParser, 50, b'data: "' + b"x" * 99 + b'"\n\n', b'data: {"k":1}\n\n'),
        (LineParser, 50, b'"' + b"x" * 99 + b'"\n', b'{"k":1}\n'),
        # An escaped quote, cut after its backslash, does not end the string.
        (ArrayParser, 50, b'[{"a":"' + b"x" * 79 + b'\\",],' + b"x" * 20 + b'"},', b'{"k":1},'),
        (EventStreamParser, 150, message("a", {"x": "x" * 99}), message("b", {"k": 1})),
    ],
)
@pytest.mark.parametrize("step", [1, 87, 1000])
def test_after_what_is_too_long_the_next_event_is_read(
    make: Callable[[int], StreamParser], bound: int, long: bytes, short: bytes, step: int
) -> None:
    parser = make(bound)
    stream = long + short
    events = [
        event
        for start in range(0, len(stream), step)
        for event in parser.feed(stream[start : start + step])
    ]
    read = [json.loads(event.data) for event in events if event.data is not None]
    assert read == [{"k": 1}]
    assert any(event.oversized for event in events)


def test_a_length_is_believed_only_with_its_own_checksum() -> None:
    """Even where the checksum of the whole message is right."""
    good = message("metadata", {"usage": wire.CONVERSE_USAGE})
    wrong = good[:8] + bytes(4) + good[12:-4]
    wrong += zlib.crc32(wrong).to_bytes(4, "big")
    assert read("bedrock.converse", wrong, MESSAGES).metering == NONE
    assert read("bedrock.converse", good, MESSAGES).metering == FINAL


@pytest.mark.parametrize(("api", "kind", "size"), [
    ("gemini.generate", ARRAY, 5_000_000), ("ollama.chat", LINES, 5_000_000),
    ("bedrock.converse", MESSAGES, 5_000_000), ("cohere.v2", SSE, 5_000_000),
])  # fmt: skip
def test_a_large_last_event(api: str, kind: str, size: int) -> None:
    pad = "€" * (size // 3)
    data: Any = {
        "gemini.generate": json.dumps([{**wire.GEMINI, "pad": pad}]).encode(),
        "ollama.chat": json.dumps({**wire.OLLAMA_LAST, "pad": pad}).encode(),
        "bedrock.converse": message("metadata", {"usage": wire.CONVERSE_USAGE, "pad": pad}),
        "cohere.v2": named("message-end", delta={"usage": wire.COHERE_USAGE}, pad=pad),
    }[api]
    meter = Meter(API[api], streamed=True, parser=make_parser(kind, is_stream=True))
    for start in range(0, len(data), 8192):
        meter.feed(data[start : start + 8192])
    meter.close()
    found = meter.result(hidden_ruled_out=False, all_shown=True, reached=True, cut=False)
    assert (found.metering, found.ended) == (FINAL, True)


@pytest.mark.parametrize("api", [name for name, number in API.items() if number])
@pytest.mark.parametrize("kind", ["", SSE, LINES, ARRAY, MESSAGES])
def test_nonsense_costs_nothing(api: str, kind: str) -> None:
    for data in (b"", b"<html>", b"[]", b"5", b"{}", b"[[[", b'{"usage":null}', b"\xff" * 40,
                 b'[{"candidates":[5,{"content":{"parts":[5]}}],"choices":[4,{"delta":4}]}]',
                 message("metadata", 5), message("metadata", {"usage": None})):  # fmt: skip
        found = read(api, data, kind)
        assert (found.metering, found.usage, found.raw_usage) == (NONE, (), ())


@pytest.mark.parametrize("bad", ["5", 5.5, -1, True, 2**53, [], {}])
@pytest.mark.parametrize(
    ("api", "usage", "name"),
    [
        ("gemini.generate", {"usageMetadata": {"promptTokenCount": 4}}, "usageMetadata"),
        ("bedrock.converse", {"usage": {"inputTokens": 4}}, "usage"),
        ("mistral.chat", {"usage": {"prompt_tokens": 4}}, "usage"),
        ("openai.embeddings", {"usage": {"prompt_tokens": 4}}, "usage"),
        ("openai.images", {"usage": {"input_tokens": 4}}, "usage"),
        ("openai.audio", {"usage": {"seconds": 4}}, "usage"),
        ("ollama.chat", {"done": True, "prompt_eval_count": 4}, ""),
    ],
)
def test_a_number_that_is_none_is_an_anomaly(
    api: str, usage: dict[str, Any], name: str, bad: object
) -> None:
    """BKT-5."""
    holder = dict(usage[name]) if name else dict(usage)
    (key,) = [key for key in holder if key != "done"]
    if key == "seconds" and bad == 5.5:
        return  # half a second is one
    holder[key] = bad
    found = read(api, {name: holder} if name else holder)
    assert (found.metering, found.usage) == (MALFORMED, ())
    assert found.anomalies == {ANOMALY["usage_malformed"]}
