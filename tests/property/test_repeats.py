"""What is read of a stream does not depend on whether alike events are read in full."""

import json
import random
from typing import Any

import pytest

from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.providers import (
    API_CHAT,
    API_COHERE,
    API_COMPLETIONS,
    API_MESSAGES,
    API_MISTRAL,
    API_RESPONSES,
)
from nous_ledger.gateway.repeats import Repeats
from nous_ledger.reconcile.tally import VisibleOutput

TEXTS = ["a", "word ", "", "né €", '"', "\\", "\t", "\x7f", "😀", "x" * 300, "\ud800"]
USAGE = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}


def _chat(random_: random.Random) -> dict[str, Any]:  # noqa: C901, PLR0912 - one table
    delta: dict[str, Any] = {"content": random_.choice(TEXTS)}
    choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": None}
    event: dict[str, Any] = {"model": "m-1", "choices": [choice]}
    match random_.randrange(14):
        case 0:
            event["model"] = "m-2"
        case 1:
            delta["tool_calls"] = [{"index": 0, "function": {"arguments": '{"a'}}]
        case 2:
            choice["index"] = 1
        case 3:
            choice["finish_reason"] = random_.choice(["stop", "length"])
        case 4:
            event["usage"] = USAGE
        case 5:
            delta["refusal"] = "no"
        case 6:
            event["choices"] = [choice, {**choice, "index": 1}]
        case 7:
            delta["content"] = random_.choice([None, 7, ["x"], {"content": "x"}])
        case 8:
            event["x_groq"] = {"usage": USAGE}
        case 9:
            event["obfuscation"] = random_.choice(["a", "bcd", "\\"])
        case 10:
            event["error"] = {"content": "x"}
        case 11:
            delta["role"] = "assistant"
        case _:
            event["obfuscation"] = "z" * random_.randrange(5)
    return event


def _message(random_: random.Random) -> dict[str, Any]:
    text = {"type": "text_delta", "text": random_.choice(TEXTS)}
    event: dict[str, Any] = {"type": "content_block_delta", "index": 0, "delta": text}
    match random_.randrange(8):
        case 0:
            return {"type": "message_start", "message": {"usage": {"input_tokens": 3}}}
        case 1:
            return {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}}
        case 2:
            text["partial_json"] = "{"
        case 3:
            event["index"] = 1
        case 4:
            event["delta"] = {"type": "input_json_delta", "partial_json": "text"}
        case _:
            pass
    return event


def _completion(random_: random.Random) -> dict[str, Any]:
    event = _chat(random_)
    choices = [{**choice, **choice["delta"]} for choice in event["choices"]]
    event["choices"] = [{"text": choice.pop("content"), **choice} for choice in choices]
    return event


def _cohere(random_: random.Random) -> dict[str, Any]:
    content: dict[str, Any] = {"text": random_.choice(TEXTS)}
    delta: dict[str, Any] = {"message": {"content": content}}
    event: dict[str, Any] = {"type": "content-delta", "index": 0, "delta": delta}
    match random_.randrange(10):
        case 0:
            return {"type": "message-start", "delta": {"message": {"content": []}}}
        case 1:
            return {"type": "content-start", "delta": {"message": {"content": {"type": "text"}}}}
        case 2:
            content["thinking"] = "hm"
        case 3:
            delta["finish_reason"] = random_.choice(["COMPLETE", "MAX_TOKENS"])
        case 4:
            event["type"] = random_.choice(["content-end", "message-end"])
        case 5:
            content["text"] = None
        case _:
            pass
    return event


_MAKERS = {API_MESSAGES: _message, API_COMPLETIONS: _completion, API_COHERE: _cohere}


def _wire(random_: random.Random, api: int) -> bytes:
    events = []
    for _ in range(random_.randrange(1, 40)):
        event = _MAKERS.get(api, _chat)(random_)
        text = json.dumps(
            event,
            ensure_ascii=random_.random() < 0.2,
            separators=(",", ":") if random_.random() < 0.5 else None,
        )
        data = text.encode("utf-8", "surrogatepass")
        if random_.random() < 0.1:
            data = data.replace(b"word", random_.choice([b"\xff", b"wo\nrd", b"\x00", b"\r"]))
        name = b"event: content_block_delta\n" if api == API_MESSAGES else b""
        end = random_.choice([b"\n\n", b"\n\n", b"\n\n", b"\n\n\n", b"\r\n\r\n", b"\n"])
        repeat = random_.choice([1, 1, 2, 5])
        events.append((name + b"data: " + data + end) * repeat)
    return b"".join(events)


def _read(api: int, pieces: list[bytes], *, strip: bool) -> tuple[bytes, Metered, object]:
    meter = Meter(api, streamed=True, strip=strip, keep_text=True)
    shown = b"".join(map(meter.feed, pieces)) + meter.close()
    visible: VisibleOutput | None = meter.visible_output()
    return (
        shown,
        meter.result(hidden_ruled_out=True, all_shown=True, reached=True, cut=False),
        visible,
    )


@pytest.mark.parametrize(
    "api",
    [API_CHAT, API_MESSAGES, API_RESPONSES, API_COMPLETIONS, API_COHERE, API_MISTRAL],
)
def test_alike_events_bring_what_they_would_bring_in_full(
    api: int, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    skipped = 0

    def counted(
        self: Repeats, piece: bytes, start: int, texts: list[bytes] | None = None
    ) -> tuple[int, int]:
        nonlocal skipped
        done, text = skip(self, piece, start, texts)
        skipped += done > start
        return done, text

    skip = Repeats.skip
    for seed in range(240 if full else 24):
        random_ = random.Random(seed)
        wire = _wire(random_, api)
        step = random_.choice([1, 7, 100, 8192])
        pieces = [wire[at : at + step] for at in range(0, len(wire), step)]
        strip = random_.random() < 0.5
        monkeypatch.setattr(Repeats, "skip", counted)
        quick = _read(api, pieces, strip=strip)
        monkeypatch.setattr(Repeats, "skip", lambda _, __, start, ___: (start, 0))
        assert quick == _read(api, pieces, strip=strip), (seed, wire)
    assert (skipped > 2) == (api != API_RESPONSES)


_EVENTS = (
    (b'data: {"content":"x"}\n\n', b"content"),
    (b'event: \xff\ndata: {"d":{"text" : "x"},"m":"\xc3\xa9"}\n\n', b"text"),
    (b'data: {"content":"x","obfuscation":"ab"}\n\n', b"content"),
    (b'data: {"content":"x","o":1,"obfuscation": "","content_":"\xe2\x82\xac"}\n\n', b"content"),
)
_BYTES = (
    b"a",
    b"word ",
    b"",
    b'"',
    b"\\",
    b"\x1f",
    b"\xc3",
    b"\xa9",
    b"\xc3\xa9",
    b"\n\n",
    b"x" * 300,
)


def test_events_in_a_row_are_taken_as_one_by_one() -> None:
    """Whatever stands in and between them."""
    rows = 0
    for seed in range(4_000):
        random_ = random.Random(seed)
        event, key = random_.choice(_EVENTS)
        repeats = Repeats()
        repeats.learn(event, key, "x")
        parts = repeats._parts
        assert len(parts) == 2 + (b"obfuscation" in event)
        usual = [part for first in parts[:-1] for part in (first, b"word")] + [parts[-1]]
        pieces: list[bytes] = []
        for _ in range(random_.randrange(5)):
            pieces += [part if part in parts else random_.choice(_BYTES[:3]) for part in usual]
        for _ in range(random_.choice((0, 0, 1, 2))):
            pieces.insert(random_.randrange(len(pieces) + 1), random_.choice((*_BYTES, *parts)))
        piece = b"".join(pieces)
        start = random_.choice((0, 0, 0, len(event), 1))
        texts: list[bytes] = []
        slowly: list[bytes] = []
        found = repeats.skip(piece, start, texts)
        assert found == repeats._skip_each(piece, start, slowly), (parts, piece)
        assert b"".join(texts) == b"".join(slowly)
        rows += len(slowly) > len(texts)
    assert rows > 500


def test_rows_longer_than_are_taken_at_once() -> None:
    event = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'
    wire = event % b"x" + event % b"word " * 5_000 + event % (b"y" * 20_000)
    quick = _read(API_CHAT, [wire], strip=False)
    assert quick == _read(
        API_CHAT, [wire[at : at + 97] for at in range(0, len(wire), 97)], strip=False
    )
    assert isinstance(quick[2], VisibleOutput)
    assert quick[2].utf8_bytes == 1 + 5 * 5_000 + 20_000
