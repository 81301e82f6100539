"""What the stream parser makes of the shapes that services really send."""

import time

import pytest

from nous_ledger.gateway.sse import SseParser


def _data(*pieces: bytes) -> list[bytes | None]:
    parser = SseParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [event.data for event in events + parser.close()]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: {}\n\n", [b"{}"]),
        (b"data:{}\n\n", [b"{}"]),
        (b"data:  {}\n\n", [b" {}"]),
        (b"data: {}\r\n\r\n", [b"{}"]),
        (b"data: {}\r\r", [b"{}"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b": ping\n\ndata: a\n\n", [None, b"a"]),
        (b"data: [DONE]", [b"[DONE]"]),
        (b"data: a\n\n\n\ndata: b\n", [b"a", None, b"b"]),
        (b"", []),
    ],
)
def test_forms_of_an_event(stream: bytes, expected: list[bytes | None]) -> None:
    assert _data(stream) == expected


def test_a_character_cut_in_two_is_whole_again() -> None:
    euro = "€".encode()
    assert _data(b"data: " + euro[:1], euro[1:] + b"\n\n") == [euro]


def test_the_event_name_is_kept() -> None:
    (event,) = SseParser().feed(b"event: message_stop\ndata: {}\n\n")
    assert (event.name, event.data) == (b"message_stop", b"{}")


def test_an_event_beyond_the_bound_comes_in_fragments_without_data() -> None:
    parser = SseParser(64)
    stream = b"data: " + b"x" * 1000 + b"\n\ndata: after\n\n"
    events = []
    held = 0
    for start in range(0, len(stream), 10):
        events += parser.feed(stream[start : start + 10])
        held = max(held, len(parser._buffer))
    events += parser.close()
    assert b"".join(event.raw for event in events) == stream
    assert [event.data for event in events if not event.oversized] == [b"after"]
    assert held <= 64 + 10


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_one_large_event_in_small_pieces_takes_linear_time(size: int) -> None:
    stream = b"data: " + b"x" * size + b"\n\n"
    parser = SseParser()
    started = time.process_time()
    events = [e for i in range(0, size + 8, 1024) for e in parser.feed(stream[i : i + 1024])]
    # A parser that looks again at what it has seen needs minutes for the larger one.
    assert time.process_time() - started < 5
    assert [len(event.data or b"") for event in events] == [size]
