"""Servers and networks that do not answer, answer for ever, or answer with anything at all."""

from collections.abc import Callable, Iterator

from tests.zoo import wire
from tests.zoo.behaviour import Round, behaviour, honest, unchecked
from tests.zoo.heads import head_of
from tests.zoo.site import (
    Choice,
    Reply,
    Request,
    Script,
    but,
    everything,
    heads,
    switching,
    tiles,
    view_of,
)
from tests.zoo.zoo_history import begun

PAUSE_S = 0.02
_TILES = tiles()


def _answer(
    now_s: int,
    make: Callable[[bytes], Reply | Script],
    choice: Choice = _TILES,
    code: str = "source/unreachable",
) -> Iterator[Round]:
    """After an honest round some requests are answered so; then all is well again.

    Args:
        now_s: the time.
        make: makes the answer, given the newest head.
        choice: which requests are answered so.
        code: what is found.
    """
    log = begun(now_s)
    yield honest(view_of(log))
    head = head_of(log.grow(3))
    good = view_of(log, head)
    yield unchecked(but(good, choice, make(head)), code)
    yield honest(good)


def _fixed(now_s: int, answer: Reply | Script, choice: Choice = _TILES) -> Iterator[Round]:
    return _answer(now_s, lambda _head: answer, choice)


def _no_note(now_s: int, make: Callable[[bytes], bytes]) -> Iterator[Round]:
    """The head is answered with something else than a note."""
    return _answer(now_s, lambda head: Reply(make(head)), heads, "source/note-format")


@behaviour
def hangs_up(now_s: int) -> Iterator[Round]:
    """Connections are closed without an answer."""
    return _fixed(now_s, wire.hang_up, everything)


@behaviour
def never_answers(now_s: int) -> Iterator[Round]:
    """Requests are taken and never answered."""
    return _fixed(now_s, wire.silence, everything)


@behaviour
def tiles_never_come(now_s: int) -> Iterator[Round]:
    """The head comes at once; tiles never do."""
    return _fixed(now_s, wire.silence)


@behaviour
def slow_loris(now_s: int) -> Iterator[Round]:
    """A tile comes byte by byte, never silent for long and never at its end."""
    return _fixed(now_s, wire.dripping(PAUSE_S))


@behaviour
def slow_loris_of_headers(now_s: int) -> Iterator[Round]:
    """A header comes byte by byte and never ends."""
    return _fixed(now_s, wire.dripping_headers(PAUSE_S), everything)


@behaviour
def endless_body(now_s: int) -> Iterator[Round]:
    """A tile without length and end."""
    return _fixed(now_s, wire.endless_body)


@behaviour
def endless_head(now_s: int) -> Iterator[Round]:
    """A head without length and end."""
    return _fixed(now_s, wire.endless_body, heads)


@behaviour
def endless_chunks(now_s: int) -> Iterator[Round]:
    """A tile in chunks that never end."""
    return _fixed(now_s, wire.endless_chunks)


@behaviour
def endless_headers(now_s: int) -> Iterator[Round]:
    """Header lines that never end."""
    return _fixed(now_s, wire.endless_headers, everything)


@behaviour
def one_endless_header(now_s: int) -> Iterator[Round]:
    """One header line that never ends."""
    return _fixed(now_s, wire.one_endless_header, everything)


@behaviour
def endless_interim_answers(now_s: int) -> Iterator[Round]:
    """100 Continue, again and again."""
    return _fixed(now_s, wire.endless_interim_answers, heads)


@behaviour
def oversized_body(now_s: int) -> Iterator[Round]:
    """A bodies bundle of 16 MiB, with its true length."""
    return _fixed(now_s, Reply(bytes(16 << 20)), tiles("bodies"))


@behaviour
def oversized_length(now_s: int) -> Iterator[Round]:
    """A length of exabytes, and a few bytes."""
    return _fixed(now_s, wire.raw(wire.headed(b"x", length=2**62)))


@behaviour
def oversized_head(now_s: int) -> Iterator[Round]:
    """A head of a megabyte."""
    return _answer(now_s, lambda head: Reply(head + bytes(1 << 20)), heads)


@behaviour
def gzip_bomb(now_s: int) -> Iterator[Round]:
    """A small answer that unpacks to a gigabyte."""
    return _fixed(now_s, wire.raw(wire.headed(wire.bomb(), "content-encoding: gzip")))


@behaviour
def gzip_bomb_as_head(now_s: int) -> Iterator[Round]:
    """A head that unpacks to a gigabyte."""
    return _fixed(now_s, wire.raw(wire.headed(wire.bomb(), "content-encoding: gzip")), heads)


@behaviour
def gzip_in_gzip(now_s: int) -> Iterator[Round]:
    """A head that was packed twice and says so once."""
    return _answer(
        now_s,
        lambda head: wire.raw(
            wire.headed(wire.packed(wire.packed(head)), "content-encoding: gzip")
        ),
        heads,
        "source/note-format",
    )


@behaviour
def gzip_cut_short(now_s: int) -> Iterator[Round]:
    """A packed head that ends before its end."""
    return _answer(
        now_s,
        lambda head: wire.raw(wire.headed(wire.packed(head)[:-12], "content-encoding: gzip")),
        heads,
    )


@behaviour
def gzip_that_is_none(now_s: int) -> Iterator[Round]:
    """An answer that says it is packed, and is not."""
    return _answer(now_s, lambda head: wire.raw(wire.headed(head, "content-encoding: gzip")), heads)


@behaviour
def unknown_coding(now_s: int) -> Iterator[Round]:
    """An answer in a coding that nobody asked for."""
    return _answer(now_s, lambda head: wire.raw(wire.headed(head, "content-encoding: br")), heads)


@behaviour
def gzip_as_it_may_be(now_s: int) -> Iterator[Round]:
    """A head that was packed though nobody asked: caches do so, and nothing is wrong."""
    log = begun(now_s)
    head = head_of(log)
    answer = Reply(wire.packed(head), headers=(("content-encoding", "gzip"),))
    yield honest(but(view_of(log, head), heads, answer))


@behaviour
def redirect_to_itself(now_s: int) -> Iterator[Round]:
    """A redirect that leads to where it came from."""
    return _fixed(now_s, Reply(b"", 302, (("location", "/checkpoint"),)), everything)


@behaviour
def redirect_inside(now_s: int) -> Iterator[Round]:
    """A redirect to another machine of somebody's network."""
    where = (("location", "http://169.254.169.254/latest/meta-data"),)
    return _fixed(now_s, Reply(b"", 307, where), everything)


@behaviour
def redirect_to_a_file(now_s: int) -> Iterator[Round]:
    """A redirect to a file of the reader's machine."""
    return _fixed(now_s, Reply(b"", 301, (("location", "file:///etc/passwd"),)), everything)


@behaviour
def wrong_content_type(now_s: int) -> Iterator[Round]:
    """The page of a captive portal in the place of the head."""
    page = Reply(b"<html>Please log in</html>", headers=(("content-type", "text/html"),))
    return _answer(now_s, lambda _: page, heads, "source/note-format")


@behaviour
def portal_instead_of_tiles(now_s: int) -> Iterator[Round]:
    """The page of a captive portal in the place of every tile."""
    page = Reply(b"<html>Please log in</html>", headers=(("content-type", "text/html"),))
    return _fixed(now_s, page)


@behaviour
def garbage_as_head(now_s: int) -> Iterator[Round]:
    """Noise in the place of the head."""
    return _no_note(now_s, lambda _: bytes(range(256)) * 4)


@behaviour
def nothing_as_head(now_s: int) -> Iterator[Round]:
    """An empty head."""
    return _no_note(now_s, lambda _: b"")


@behaviour
def head_cut_short(now_s: int) -> Iterator[Round]:
    """A head whose last line is cut, with a length to fit."""
    return _no_note(now_s, lambda head: head[:-40])


@behaviour
def head_with_carriage_returns(now_s: int) -> Iterator[Round]:
    """A head whose lines somebody's editor ended in another way."""
    return _no_note(now_s, lambda head: head.replace(b"\n", b"\r\n"))


@behaviour
def head_of_too_many_lines(now_s: int) -> Iterator[Round]:
    """A head with hundreds of signature lines of strangers."""
    line = "— stranger.example AQIDBAUGBwg=\n".encode()
    return _no_note(now_s, lambda head: head + line * 500)


@behaviour
def garbage_on_the_wire(now_s: int) -> Iterator[Round]:
    """Bytes that are no HTTP."""
    return _fixed(now_s, wire.raw(b"\x16\x03\x01\x02\x00\x01" + bytes(99)), everything)


@behaviour
def answer_of_http_0_9(now_s: int) -> Iterator[Round]:
    """The head alone, without status and headers."""
    return _answer(now_s, wire.raw, heads)


@behaviour
def closed_in_mid_tile(now_s: int) -> Iterator[Round]:
    """The connection is closed before a tile's end."""
    return _fixed(now_s, wire.raw(wire.headed(b"\0\x78" + bytes(60), length=1342)))


@behaviour
def longer_than_it_says(now_s: int) -> Iterator[Round]:
    """More bytes come than the length says: the rest is not taken for another answer."""
    return _answer(
        now_s, lambda head: wire.raw(wire.headed(head + b"x" * 99, length=len(head) - 9)), heads
    )


@behaviour
def two_lengths(now_s: int) -> Iterator[Round]:
    """An answer with two lengths."""
    return _answer(
        now_s, lambda head: wire.raw(wire.headed(head, f"content-length: {len(head) - 7}")), heads
    )


@behaviour
def chunks_of_no_number(now_s: int) -> Iterator[Round]:
    """Chunks whose lengths are no numbers."""
    data = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"
    return _fixed(now_s, wire.raw(data), everything)


@behaviour
def no_content(now_s: int) -> Iterator[Round]:
    """204 in the place of tiles."""
    return _fixed(now_s, wire.raw(b"HTTP/1.1 204 No Content\r\n\r\n"))


@behaviour
def not_modified(now_s: int) -> Iterator[Round]:
    """304, though the reader named nothing that it has."""
    return _fixed(now_s, wire.raw(b"HTTP/1.1 304 Not Modified\r\n\r\n"), heads)


@behaviour
def partial_content(now_s: int) -> Iterator[Round]:
    """206, though the reader asked for all of it."""
    return _fixed(now_s, Reply(b"\0" * 32, 206))


@behaviour
def asks_for_a_password(now_s: int) -> Iterator[Round]:
    """401 with a realm."""
    headers = (("www-authenticate", 'Basic realm="give me your token"'),)
    return _fixed(now_s, Reply(b"", 401, headers), everything)


@behaviour
def asks_to_wait_for_years(now_s: int) -> Iterator[Round]:
    """429 with a Retry-After of centuries: it is not obeyed."""
    return _fixed(now_s, Reply(b"", 429, (("retry-after", "9999999999"),)), everything)


@behaviour
def outage(now_s: int) -> Iterator[Round]:
    """503 for everything."""
    return _fixed(now_s, Reply(b"", 503), everything)


@behaviour
def head_is_gone(now_s: int) -> Iterator[Round]:
    """404 in the place of the head."""
    return _fixed(now_s, Reply(b"", 404), heads)


@behaviour
def switches_between_requests(now_s: int) -> Iterator[Round]:
    """The log grows between the request for its head and those for its tiles: nothing is wrong."""
    log = begun(now_s)
    yield honest(view_of(log))
    small = head_of(log.grow(2))
    first, then = view_of(log, small), view_of(log.grow(3))
    yield honest(switching(lambda seen: first if seen < 2 else then))


@behaviour
def sets_cookies(now_s: int) -> Iterator[Round]:
    """Every answer sets cookies: none comes back."""
    log = begun(now_s)
    site = view_of(log)

    def serve(request: Request) -> Reply | Script:
        assert "cookie" not in request.headers
        reply = site(request)
        assert isinstance(reply, Reply)
        return Reply(reply.body, reply.status, (*reply.headers, ("set-cookie", "id=1; Path=/")))

    yield honest(serve)
    yield honest(serve)
