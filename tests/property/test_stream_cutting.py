"""The same bytes give the same events in every framing, however they were cut."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nous_ledger.gateway.eventstream import EventStreamParser
from nous_ledger.gateway.framing import StreamEvent, StreamParser
from nous_ledger.gateway.jsonarray import ArrayParser
from nous_ledger.gateway.jsonlines import LineParser
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.providers import (
    API_CHAT,
    API_COHERE,
    API_CONVERSE,
    API_GEMINI,
    API_OLLAMA_CHAT,
)
from nous_ledger.gateway.sse import SseParser
from tests.event_streams import framed, header, message
from tests.unit.wire_streams import (
    COHERE_STREAM,
    CONVERSE_STREAM,
    GEMINI_ARRAY,
    GEMINI_SSE,
    OLLAMA_STREAM,
    OPENAI_STREAM,
)

Parser = Callable[[int], StreamParser]

_NO_BOUND = 1_000_000
_JSON = [b"[", b"]", b"{", b"}", b",", b'"', b"\\", b"\\u20ac", b" ", b"\n", b"\r\n", b"1", b'"a"',
         b'{"k":"]"}', b"[1,[2]]", "€".encode(), b"\xff", b"null"]  # fmt: skip
_MESSAGES = [message("a", {"t": "x"}), message("b", b""), message("e", {}, "exception"),
             framed(b"", b"hi"), framed(header("x", "y" * 30), b"z"), b"\0" * 7,
             b"\xff"]  # fmt: skip
_STREAMS: dict[Parser, st.SearchStrategy[bytes]] = {
    SseParser: st.lists(
        st.sampled_from([b"data: a", b"\n", b"\r", b"\r\n", b": c", b"event: x"]), max_size=30
    ).map(b"".join),
    LineParser: st.lists(st.sampled_from(_JSON), max_size=30).map(b"".join),
    ArrayParser: st.lists(st.sampled_from(_JSON), max_size=30).map(lambda p: b"[" + b"".join(p))
    | st.lists(st.sampled_from(_JSON), max_size=10).map(b"".join),
    EventStreamParser: st.lists(st.sampled_from(_MESSAGES), max_size=6).map(b"".join),
}
ALL = pytest.mark.parametrize("make", _STREAMS, ids=lambda make: make.__name__)


def _events(make: Parser, stream: bytes, cuts: Iterable[int], bound: int) -> list[StreamEvent]:
    parser = make(bound)
    events: list[StreamEvent] = []
    start = 0
    for cut in [*sorted(cuts), len(stream)]:
        events += parser.feed(stream[start:cut])
        start = cut
    return events + parser.close()


def _read(events: list[StreamEvent]) -> list[tuple[bytes, bytes | None, bool]]:
    return [(e.name, e.data, e.failed) for e in events if e.data is not None or e.failed]


@ALL
@given(st.data())
def test_cutting_changes_nothing(make: Parser, data: st.DataObject) -> None:
    stream = data.draw(_STREAMS[make])
    bound = data.draw(st.sampled_from([24, 60, _NO_BOUND]))
    whole = _events(make, stream, [], bound)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    for events in (
        whole,
        _events(make, stream, cuts, bound),
        _events(make, stream, range(len(stream)), bound),
    ):
        assert b"".join(event.raw for event in events) == stream
        assert _read(events) == _read(whole)
        for flag in ("oversized", "damaged", "last"):
            assert any(getattr(e, flag) for e in events) == any(getattr(e, flag) for e in whole)


_VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@given(st.lists(_VALUES, max_size=6), st.sampled_from([None, 1]), st.booleans())
@example([["]", {"a": ',"'}], "\\", '\\"'], None, True)
def test_items_and_lines_are_those_that_were_written(
    values: list[Any], indent: int | None, ascii_only: bool
) -> None:
    array = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode()
    items = _events(ArrayParser, array, range(len(array)), _NO_BOUND)
    assert [json.loads(e.data) for e in items if e.data is not None] == values
    assert items[-1].last
    lines = "".join(json.dumps(value, ensure_ascii=ascii_only) + "\n" for value in values).encode()
    read = _events(LineParser, lines, range(0, len(lines), 3), _NO_BOUND)
    assert [json.loads(e.data) for e in read if e.data is not None] == values


_METERED: list[tuple[int, Parser, bytes]] = [
    (API_CHAT, SseParser, OPENAI_STREAM),
    (API_GEMINI, SseParser, GEMINI_SSE),
    (API_GEMINI, ArrayParser, GEMINI_ARRAY),
    (API_CONVERSE, EventStreamParser, CONVERSE_STREAM),
    (API_COHERE, SseParser, COHERE_STREAM),
    (API_OLLAMA_CHAT, LineParser, OLLAMA_STREAM),
]


@given(st.sampled_from(_METERED), st.data())
def test_what_a_receipt_says_does_not_depend_on_the_pieces(
    case: tuple[int, Parser, bytes], data: st.DataObject
) -> None:
    """Nor does it where the stream broke off."""
    api, make, stream = case
    stream = stream[: data.draw(st.integers(0, len(stream)) | st.just(len(stream)))]
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=20))
    found = []
    for places in ([], sorted(cuts), range(len(stream))):
        meter = Meter(api, streamed=True, parser=make(_NO_BOUND))
        start = 0
        for end in [*places, len(stream)]:
            meter.feed(stream[start:end])
            start = end
        meter.close()
        found.append(meter.result(hidden_ruled_out=False, all_shown=True, reached=True, cut=True))
    assert found[0] == found[1] == found[2]
