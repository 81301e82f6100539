"""A head that is known again means what it means to the parser, whatever comes before and after."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
import uvicorn
from hypothesis import example, given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from nous_ledger.gateway import connection
from nous_ledger.gateway.client import BODY, LINE, NOTES
from nous_ledger.gateway.connection import Connection, make_connections
from nous_ledger.gateway.repeated import learn_head
from nous_ledger.gateway.upstream import Limits

Seen = list[tuple[object, ...]]

PLAIN = b"POST /openai/v1/x?y=1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nX-A: b\r\n\r\n%b"
OURS = {BODY, LINE, NOTES, "trailers", "state", "headers", "asgi"}


class Wire(asyncio.Transport):
    """What the server writes, and whether it has closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Nothing comes by itself."""

    def resume_reading(self) -> None:
        """Nothing comes by itself."""


async def served(pieces: list[bytes]) -> tuple[Seen, bytes, bool, int]:
    """Return what an application sees of a connection, what was answered, and how it ended."""
    seen: Seen = []
    quick = 0

    async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        nonlocal quick
        quick += BODY in scope
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        told = tuple(sorted((k, str(v)) for k, v in scope.items() if k not in OURS))
        seen.append((told, tuple(scope["headers"]), tuple(scope["trailers"]), body))
        length = str(len(body)).encode()
        start = {"type": "http.response.start", "status": 200}
        await send({**start, "headers": [(b"content-length", length)]})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, lifespan="off", access_log=False, log_config=None)
    config.load()
    loop = asyncio.get_running_loop()
    made: Connection = make_connections(Limits())(
        config=config, server_state=ServerState(), app_state={}, _loop=loop
    )
    wire = Wire()
    made.connection_made(wire)
    for piece in pieces:
        if not wire.closed:
            made.data_received(piece)
        for _ in range(8):
            await asyncio.sleep(0)
    made.connection_lost(None)
    for _ in range(8):
        await asyncio.sleep(0)
    return seen, wire.written, wire.closed, quick


def both(pieces: list[bytes]) -> tuple[Seen, int]:
    """Check that nobody can tell whether heads are known again; return what was seen, how."""
    seen, written, closed, quick = asyncio.run(served(pieces))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "learn_head", lambda *_: None)
        assert asyncio.run(served(pieces)) == (seen, written, closed, 0)
    return seen, quick


LINES = st.sampled_from(
    [
        *[b"Host: a\r\n", b"X-A: b\r\n", b"X-A:  b \r\n", b"x-a:\r\n"] * 8,
        b"Content-Length: 3\r\n",
        b"content-length:3\r\n",
        b"Content-Length: +3\r\n",
        b"Content-Length: 03\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: close\r\n",
        b"Connection: keep-alive\r\n",
        b"Upgrade: h2c\r\n",
        b" folded\r\n",
        b"X-B: c\n",
        b"X-B: c\rd\r\n",
        b"X-C: a\r\nContent-Length: 4\r\n",
    ]
)
STARTS = st.sampled_from(
    [
        *[b"POST / HTTP/1.1\r\n"] * 12,
        b"POST /a HTTP/1.0\r\n",
        b"GET /a?b HTTP/1.1\r\n",
        b"HEAD / HTTP/1.1\r\n",
        b"\r\nPOST / HTTP/1.1\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
    ]
)
BODIES = st.sampled_from(
    [b"", b"a", b"abc", b"\r\n", b"abcd", b"abc\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n"]
)


@st.composite
def requests(draw: st.DrawFn) -> list[bytes]:
    """Requests of one head, some of them changed, cut or run together."""
    start, lines = draw(STARTS), draw(st.lists(LINES, max_size=4))
    at = draw(st.integers(0, len(lines)))
    pieces = []
    for body in draw(st.lists(BODIES, min_size=2, max_size=5)):
        told = draw(st.sampled_from([len(body)] * 9 + [3, 0]))
        length = draw(st.sampled_from([b"Content-Length: %d\r\n"] * 9 + [b"%.0d"])) % told
        request = start + b"".join([*lines[:at], length, *lines[at:]]) + b"\r\n" + body
        if draw(st.integers(0, 9)) == 9:
            spot = draw(st.integers(0, len(request) - 1))
            other = draw(st.sampled_from([b"", b"\r", b"\n", b" ", b"9", b":", b"x", b"\0"]))
            request = request[:spot] + other + request[spot + 1 :]
        cut = draw(st.sampled_from([0] * 9 + [1, len(request) // 2, len(request) - 2]))
        pieces += [piece for piece in (request[:cut], request[cut:]) if piece]
    if draw(st.integers(0, 3)) == 3:
        joined = draw(st.integers(0, len(pieces) - 1))
        pieces[joined : joined + 2] = [b"".join(pieces[joined : joined + 2])]
    return pieces


@given(requests())
@example([PLAIN % (1, b"a"), PLAIN % (2, b"ab") + PLAIN % (1, b"c"), PLAIN % (0, b"")])
@example(
    [PLAIN % (1, b"a"), b"\r\n" + PLAIN % (1, b"b"), PLAIN % (3, b"ab"), b"c", PLAIN % (0, b"")]
)
def test_a_head_that_is_known_again_says_what_the_parser_says(pieces: list[bytes]) -> None:
    both(pieces)


def test_the_same_head_is_known_again_whatever_the_length_of_its_body() -> None:
    bodies = [b"a", b"bc", b"", b"d" * 1000]
    seen, quick = both([PLAIN % (len(body), body) for body in bodies])
    assert [entry[-1] for entry in seen] == bodies
    assert quick == len(bodies) - 2  # the first two are parsed


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PLAIN, PLAIN.replace(b"/x", b"/z")),
        (PLAIN, PLAIN.replace(b"X-A: b", b"X-A: c")),
        (PLAIN, PLAIN.replace(b"X-A", b"x-a")),
        (PLAIN.replace(b"X-A: b", b"Expect: 100-continue"),) * 2,
        (PLAIN.replace(b"X-A: b", b"Connection: close"),) * 2,
        (PLAIN.replace(b"1.1", b"1.0"),) * 2,
        (PLAIN.replace(b"X-A: b", b"X-A: %b" % (b"b" * 20_000)),) * 2,
    ],
)
def test_other_heads_are_parsed(first: bytes, second: bytes) -> None:
    assert both([first % (1, b"a"), second % (1, b"b")] * 3)[1] == 0


def test_no_head_is_known_that_ends_elsewhere_than_its_lines() -> None:
    scope = {
        "http_version": "1.1",
        "headers": [(b"host", b"a"), (b"content-length", b"1")],
        NOTES: None,
    }
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"
    assert learn_head(head + b"a", scope) is not None
    for other in (
        head.replace(b"Host: a\r\n", b"Host: a\n"),
        head.replace(b": 1", b": 2"),
        head.replace(b"Host", b"\r\nHost"),
        head.replace(b"Host: a", b"Host:\r\n a"),
        b"\r\n" + head,
    ):
        assert learn_head(other + b"a", scope) is None, other
