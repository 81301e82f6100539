"""Plain requests over the pool: the response is the same however its bytes arrive."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from nous_ledger.gateway.direct import Direct, RequestHead
from nous_ledger.gateway.reader import MAX_HEAD_BYTES
from nous_ledger.gateway.responses import MAX_HELD_BYTES, Connections, DirectResponse
from nous_ledger.gateway.upstream import Egress, Limits, make_session

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5)
FIELDS = [(b"authorization", b"Bearer k"), (b"x-name", "pythön".encode())]

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; a=b\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
)
UNTIL_THE_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base"
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)


@asynccontextmanager
async def direct(serve: Serve, silence_s: float = 5.0) -> AsyncIterator[tuple[Direct, str]]:
    async with serving(serve) as url, make_session(Limits(), Egress()) as session:
        yield Direct(session, TIMEOUT, silence_s), url


async def post(direct: Direct, url: str, body: bytes = b"{}") -> DirectResponse:
    response = await direct.post(RequestHead("POST", url, "/v1?q=1", FIELDS), body)
    assert response is not None
    return response


async def whole(response: DirectResponse) -> bytes:
    body = b""
    while piece := await response.next_piece():
        body += piece
    return body


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def writes(pieces: Iterable[bytes], *, ends: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.001)
            if ends:
                break
        writer.close()
        await writer.wait_closed()

    return serve


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, UNTIL_THE_END, EMPTY])
def test_a_response_is_the_same_wherever_it_is_cut(answer: bytes) -> None:
    ends = answer is UNTIL_THE_END
    body = b"" if answer is EMPTY else b"hello"

    async def run() -> None:
        for at in range(1, len(answer), 7):
            async with direct(writes((answer[:at], answer[at:]), ends=ends)) as (client, url):
                for _ in range(2):
                    response = await post(client, url)
                    assert response.status == (204 if answer is EMPTY else 200)
                    assert await whole(response) == body
                    assert (response.at_once(), response.headers.get("Link")) == (b"", None)

    asyncio.run(run())


def test_the_request_stands_on_the_wire_as_it_was_given() -> None:
    seen: list[bytes] = []
    connections: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        for _ in range(2):
            seen.append(await read_request(reader))
            writer.write(LENGTH)
        await writer.drain()

    async def run() -> str:
        async with direct(serve) as (client, url):
            for _ in range(2):
                response = await post(client, url, b'{"a":1}')
                assert response.content_type == "text/plain"
                assert await whole(response) == b"hello"
            return url

    host = asyncio.run(run()).removeprefix("http://").removesuffix("/base")
    assert seen == 2 * [
        f"POST /base/v1?q=1 HTTP/1.1\r\nHost: {host}\r\nauthorization: Bearer k\r\n"
        'x-name: pythön\r\nContent-Length: 7\r\n\r\n{"a":1}'.encode()
    ]
    assert len(connections) == 1  # the second went over the same


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/a b", (b"a", b"b")),
        ("/ü", (b"a", b"b")),
        ("/a", (b"a", b"b\r\nc: d")),
        ("/", (b"a", b"\n")),
        ("/", (b"a", b"b\0c")),
    ],
)
def test_what_cannot_stand_in_one_line_is_not_sent(target: str, field: tuple[bytes, bytes]) -> None:
    async def run() -> None:
        async with direct(writes([LENGTH])) as (client, url):
            assert await client.post(RequestHead("POST", url, target, [field]), b"") is None

    asyncio.run(run())


def test_a_connection_with_more_than_its_response_is_not_used_again() -> None:
    connections: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        await writes([LENGTH + LENGTH])(reader, writer)

    async def run() -> None:
        async with direct(serve) as (client, url):
            for _ in range(3):
                assert await whole(await post(client, url)) == b"hello"
                await asyncio.sleep(0.01)

    asyncio.run(run())
    assert len(connections) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (MAX_HEAD_BYTES + 1),
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=[
        "other protocol",
        "no status",
        "two lengths",
        "long line",
        "many fields",
        "null",
        "nothing",
    ],
)
def test_what_is_no_response_is_an_error(answer: bytes) -> None:
    async def run() -> None:
        async with direct(writes([answer], ends=True)) as (client, url):
            with pytest.raises((aiohttp.ClientError, OSError)):
                await post(client, url)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("ways", "unasked"),
    [("direct", LENGTH), ("session", LENGTH), ("mixed", LENGTH), ("mixed", LENGTH[:20])],
)
def test_what_came_unasked_answers_nobody(unasked: bytes, ways: str) -> None:
    connections: list[object] = []
    said = asyncio.Event()
    second = LENGTH.replace(b"hello", b"other")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        if len(connections) > 1:
            await writes([second])(reader, writer)
        await read_request(reader)
        writer.write(LENGTH)
        await asyncio.sleep(0.01)
        writer.write(unasked)
        said.set()
        await reader.read()

    async def run() -> None:
        async with serving(serve) as url, make_session(Limits(), Egress()) as session:
            client = Direct(session, TIMEOUT, 5)
            for expected in (b"hello", b"other"):
                if ways == "direct" or (ways == "mixed" and expected == b"hello"):
                    assert await whole(await post(client, url)) == expected
                else:
                    async with session.post(url, data=b"{}") as response:
                        assert await response.read() == expected
                await said.wait()
                await asyncio.sleep(0.03)

    asyncio.run(run())
    assert len(connections) == 2


def test_an_upstream_that_speaks_first_is_not_asked_for_ever() -> None:
    connections: list[object] = []

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.write(LENGTH)
        await asyncio.sleep(1)

    class Late(Connections):
        """Takes so long that what the upstream says first has come."""

        async def _create_connection(self, *args: Any) -> Any:
            made = await super()._create_connection(*args)
            await asyncio.sleep(0.01)
            return made

    async def run() -> None:
        async with serving(serve) as url, aiohttp.ClientSession(connector=Late()) as session:
            with pytest.raises(aiohttp.ClientConnectionError, match="before it is asked"):
                await post(Direct(session, TIMEOUT, 5), url)

    asyncio.run(run())
    assert 1 < len(connections) < 100


@pytest.mark.parametrize(
    "coding",
    [
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: gzip, Chunked",
        b"Content-Length : 9",
    ],
)
def test_a_body_that_tells_its_end_does_not_end_with_the_connection(coding: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\n%b\r\n\r\n9\r\nhello" % coding

    async def run() -> None:
        async with direct(writes([answer], ends=True)) as (client, url):
            response = await post(client, url)
            assert not any(name.endswith(b" ") for name, _ in response.raw_headers)
            with pytest.raises((aiohttp.ClientError, OSError)):
                await whole(response)

    asyncio.run(run())


@pytest.mark.parametrize("answer", [LENGTH[:-1], CHUNKED[:-20]])
def test_what_came_of_a_response_that_breaks_off_is_returned_first(answer: bytes) -> None:
    async def run() -> bytes:
        body = b""
        async with direct(writes([answer], ends=True)) as (client, url):
            response = await post(client, url)
            with pytest.raises((aiohttp.ClientError, OSError)):  # noqa: PT012 - at some piece
                while True:
                    body += await response.next_piece()
        return body

    assert b"hello".startswith(asyncio.run(run()) or b"?")


def test_silence_ends_a_response_before_and_in_its_body() -> None:
    async def run() -> None:
        for answer in (b"", LENGTH[:-2]):
            async with direct(writes([answer]), silence_s=0.1) as (client, url):
                with pytest.raises(TimeoutError):  # noqa: PT012 - before or after the head
                    response = await post(client, url)
                    await response.next_piece()
                    await response.next_piece()

    asyncio.run(run())


def test_a_body_that_nobody_takes_is_not_read_on_and_no_silence_either() -> None:
    size = 8 * 1024 * 1024
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size

    async def run() -> None:
        async with direct(writes([head + b"x" * size]), silence_s=0.2) as (client, url):
            response = await post(client, url)
            await asyncio.sleep(0.5)
            assert response.at_once() is None
            piece = await response.next_piece()
            assert len(piece) <= 4 * MAX_HELD_BYTES
            assert len(piece) + len(await whole(response)) == size

    asyncio.run(run())


def test_a_sink_takes_what_comes_while_somebody_waits_and_a_refused_piece_is_not_lost() -> None:
    pieces = [b"2\r\nab\r\n", b"2\r\ncd\r\n", b"2\r\nef\r\n", b"0\r\n\r\n"]
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    sunk: list[bytes] = []

    def sink(piece: bytes) -> bool:
        if piece == b"cd":
            return False
        sunk.append(piece)
        return True

    async def run() -> list[bytes]:
        async with direct(slowly([head, *pieces])) as (client, url):
            response = await post(client, url)
            response.sink = sink
            woken = []
            while piece := await response.next_piece():
                woken.append(piece)
            response.close()
            return woken

    assert asyncio.run(run()) == [b"cd"]
    assert sunk == [b"ab", b"ef"]


def test_a_fault_of_a_sink_is_that_of_who_waits() -> None:
    def sink(_: bytes) -> bool:
        raise LookupError("a fault")

    async def run() -> None:
        async with direct(slowly([LENGTH[:-5], b"he", b"llo"])) as (client, url):
            response = await post(client, url)
            response.sink = sink
            with pytest.raises(LookupError, match="a fault"):
                await response.next_piece()

    asyncio.run(run())


def slowly(pieces: Iterable[bytes]) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(0.03)
        await reader.read()

    return serve


def test_a_kept_connection_is_closed_when_nobody_uses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nous_ledger.gateway.direct.KEPT_S", 0.05)
    ended: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await writes([LENGTH])(reader, writer)
        ended.append(True)

    async def run() -> None:
        async with direct(serve) as (client, url):
            for _ in range(2):
                assert await whole(await post(client, url)) == b"hello"
            assert not ended
            await asyncio.sleep(0.3)
            assert ended == [True]
            assert await whole(await post(client, url)) == b"hello"

    asyncio.run(run())
