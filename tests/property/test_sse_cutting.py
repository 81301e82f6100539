"""The same bytes give the same events, however they were cut."""

from collections.abc import Iterable

from hypothesis import example, given
from hypothesis import strategies as st

from nous_ledger.gateway.framing import StreamEvent
from nous_ledger.gateway.sse import SseParser

_PARTS = st.sampled_from(
    [
        b"data:",
        b"data: ",
        b"data",
        b"event: ping",
        b"event",
        b": comment",
        b"id: 7",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"a",
        b"\xe2\x82\xac",
        b"\xef\xbb\xbf",
        b"0123456789",
    ]
)
_STREAMS = st.lists(_PARTS, max_size=40).map(b"".join)
_NO_BOUND = 1_000_000


def _events(stream: bytes, cuts: Iterable[int], bound: int) -> list[StreamEvent]:
    parser = SseParser(bound)
    events: list[StreamEvent] = []
    start = 0
    for cut in [*sorted(cuts), len(stream)]:
        events += parser.feed(stream[start:cut])
        start = cut
    return events + parser.close()


def _readable(events: list[StreamEvent]) -> list[StreamEvent]:
    return [event for event in events if not event.oversized]


@given(_STREAMS, st.data(), st.sampled_from([12, 24, _NO_BOUND]))
@example(b"data: a\r\n\rdata: b\n\r\n", None, _NO_BOUND)
def test_cutting_changes_nothing(stream: bytes, data: st.DataObject | None, bound: int) -> None:
    places = st.lists(st.integers(0, len(stream)), max_size=30)
    cuts = data.draw(places) if data else [8]
    whole = _events(stream, [], bound)
    pieces = _events(stream, cuts, bound)
    single_bytes = _events(stream, range(len(stream)), bound)
    assert _readable(whole) == _readable(pieces) == _readable(single_bytes)
    for events in (whole, pieces, single_bytes):
        assert b"".join(event.raw for event in events) == stream
        assert any(e.oversized for e in events) == any(e.oversized for e in whole)


@given(_STREAMS)
def test_events_are_those_of_a_reader_that_works_line_by_line(stream: bytes) -> None:
    """An oracle that knows nothing of pieces, bounds or speed."""
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    expected: list[tuple[bytes, bytes]] = []
    name = b""
    data: list[bytes] = []
    for line in [*lines.split(b"\n"), b""]:
        if not line:
            if data:
                expected.append((name, b"\n".join(data)))
            name, data = b"", []
        elif line == b"data" or line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line == b"event" or line.startswith(b"event:"):
            name = line[6:].removeprefix(b" ")
    found = [(e.name, e.data) for e in _events(stream, [], _NO_BOUND) if e.data is not None]
    assert found == expected
