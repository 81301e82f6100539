"""Connections: what clients may take of them, and that those to upstreams are used again."""

import asyncio
import contextlib
import http.client
import logging
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from functools import partialmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import uvicorn

from nous_ledger.gateway.connection import MAX_HEAD_BYTES
from nous_ledger.ledger import Ledger
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    STREAM_END,
    STREAM_HEAD,
    Rig,
    Seen,
    answer,
    chunk,
    running_gateway,
    says,
    status,
)
from tests.integration.gateway.wire import BODY, DONE, HELLO

HEAD_S = 0.4
HEAD = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n".encode()
WHOLE = HEAD + b"content-length: 2\r\n\r\n{}"
SESSION = (
    b"GET /openai/v1/realtime HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n"
    b"upgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@contextlib.contextmanager
def connected(rig: Rig) -> Iterator[socket.socket]:
    parts = urlsplit(rig.url)
    assert parts.hostname is not None
    assert parts.port is not None
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as made:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield made


def rest_of(connection: socket.socket) -> bytes:
    """Return what comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := connection.recv(65_536):
            found += data
    return found


def make_call(connection: socket.socket) -> None:
    """Make a call and read its whole response."""
    connection.sendall(WHOLE)
    found = b""
    while not found.endswith(BODY):
        data = connection.recv(65_536)
        assert data, found
        found += data
    assert found.startswith(b"HTTP/1.1 200 ")


def dribble(connection: socket.socket, data: bytes, every_s: float) -> bytes:
    """Send byte by byte until the other side has had enough; return what it said."""
    with contextlib.suppress(OSError):
        for at in range(len(data)):
            connection.sendall(data[at : at + 1])
            time.sleep(every_s)
    return rest_of(connection)


@pytest.mark.parametrize("calls", [0, 1])
def test_a_head_that_dribbles_in_is_cut_off(start: StartRig, calls: int) -> None:
    rig, _ = start(says(answer(BODY)), head_s=HEAD_S)
    with connected(rig) as connection:
        for _ in range(calls):
            make_call(connection)
        began = time.monotonic()
        said = dribble(connection, HEAD + b"x-a: b\r\n" * 100, HEAD_S / 20)
        assert time.monotonic() - began < HEAD_S * 10
    assert said == b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    assert len(rig.receipts()) == calls


def test_a_connection_that_says_nothing_is_closed(start: StartRig) -> None:
    rig, _ = start(says(answer(BODY)), head_s=HEAD_S)
    with connected(rig) as connection:
        assert rest_of(connection) == b""


def test_time_for_a_head_is_no_time_for_a_body(start: StartRig) -> None:
    rig, _ = start(says(answer(BODY)), head_s=HEAD_S)
    with connected(rig) as connection:
        connection.sendall(HEAD + b"content-length: 2\r\n\r\n{")
        time.sleep(HEAD_S * 2)
        connection.sendall(b"}")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("line", [b"x-a: %s", b"%s: a"])
def test_a_head_is_bounded_in_bytes(start: StartRig, line: bytes) -> None:
    rig, _ = start(says(answer(BODY)))
    with connected(rig) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(HEAD + line % (b"a" * 4 * MAX_HEAD_BYTES))
        assert b" 431 " in rest_of(connection).partition(b"\r\n")[0]
    assert rig.receipts() == []


def test_what_follows_a_body_is_bounded_in_bytes(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    with connected(rig) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
        with contextlib.suppress(OSError):
            for _ in range(400):
                connection.sendall(b"x-a: %s\r\n" % (b"a" * 10_000))
        assert rest_of(connection) == b""
    assert (upstream.seen, rig.receipts()) == ([], [])


def test_a_peer_has_so_many_connections(start: StartRig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rig, _ = start(says(answer(BODY)), max_peer_connections=3)
    with contextlib.ExitStack() as exits:
        held = [exits.enter_context(connected(rig)) for _ in range(3)]
        for connection in held:
            make_call(connection)
        for _ in range(2):
            with connected(rig) as further:
                with contextlib.suppress(OSError):
                    further.sendall(WHOLE)
                assert rest_of(further) == b""
        held[0].close()
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with connected(rig) as another, contextlib.suppress(OSError):
                another.sendall(WHOLE)
                if another.recv(65_536):
                    break
            time.sleep(0.01)
        else:
            raise AssertionError
    said = [record.getMessage() for record in caplog.records if "gets no more" in record.message]
    assert said[0] == "127.0.0.1 has 3 connections and gets no more"
    assert len(rig.receipts()) == 4


def test_a_refused_session_gives_its_place_back(start: StartRig) -> None:
    rig, _ = start(says(answer(BODY)), max_peer_connections=2)
    for _ in range(4):
        with connected(rig) as connection:
            connection.sendall(SESSION)
            assert rest_of(connection).startswith(b"HTTP/1.1 426 ")
    with connected(rig) as connection:
        make_call(connection)


def test_a_session_is_not_begun_in_the_middle_of_a_call(start: StartRig) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(HELLO))
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(chunk(DONE) + STREAM_END)

    rig, _ = start(script)
    asking = b'{"stream":true}'
    with connected(rig) as connection:
        connection.sendall(HEAD + b"content-length: %d\r\n\r\n" % len(asking) + asking)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(SESSION)
        assert b"HTTP/1.1 426 " not in rest_of(connection)
    assert status(rig.only_receipt()) == "client_aborted"


@pytest.mark.parametrize(
    ("request_", "then"), [(WHOLE, b"\r\n"), (HEAD + b"content-length: 999\r\n\r\n", b"x")]
)
def test_what_belongs_to_no_request_keeps_no_connection(
    start: StartRig, monkeypatch: pytest.MonkeyPatch, request_: bytes, then: bytes
) -> None:
    brief = partialmethod(uvicorn.Config.__init__, timeout_keep_alive=1)
    monkeypatch.setattr(uvicorn.Config, "__init__", brief)
    rig, _ = start(says(answer(BODY)), max_request_bytes=100)
    with connected(rig) as connection:
        connection.sendall(request_)
        assert connection.recv(65_536)
        time.sleep(0.2)  # the timer is set by now
        connection.sendall(then)
        connection.settimeout(5)
        rest_of(connection)


def test_a_request_in_pieces_is_served_however_long_after_the_last(
    start: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.5)
        writer.write(answer(BODY))

    brief = partialmethod(uvicorn.Config.__init__, timeout_keep_alive=1)
    monkeypatch.setattr(uvicorn.Config, "__init__", brief)
    rig, _ = start(script)
    with connected(rig) as connection:
        connection.sendall(b"HEAD /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        for piece in (b"\r\n", WHOLE[:9], WHOLE[9:-1], WHOLE[-1:]):
            connection.sendall(piece)
            time.sleep(0.02)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_a_connection_to_an_upstream_is_used_again(log: Ledger) -> None:
    peers: list[tuple[str, int]] = []

    class Upstream(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            peers.append(self.client_address)
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            with running_gateway(log, f"http://127.0.0.1:{server.server_port}") as rig:
                assert [rig.call(CHAT, {"model": "m"}).status for _ in range(5)] == [200] * 5
        finally:
            server.shutdown()
    assert len(peers) == 5
    assert len(set(peers)) == 1


def test_answers_over_a_kept_connection_wait_for_no_acknowledgement(start: StartRig) -> None:
    rig, _ = start(says(b""))
    taken = []
    with contextlib.closing(http.client.HTTPConnection(urlsplit(rig.url).netloc)) as kept:
        for _ in range(20):
            started = time.monotonic()
            kept.request("GET", "/healthz")
            kept.getresponse().read()
            taken.append(time.monotonic() - started)
    assert statistics.median(taken) < 0.03  # a delayed one comes after 40 ms
