"""The witness over HTTP: what it serves, and what a hostile client cannot do to it."""

import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nous_ledger.protocol.errors import LedgerError
from sentinel import witness_http
from sentinel.witness_http import parse_listen
from sentinel.witness_key import make_key
from sentinel.witness_wire import MAX_REQUEST_BYTES, SIZE_TYPE, origin_hash
from tests.integration.sentinel.forged_log import NOW, ForgedLog, history
from tests.integration.sentinel.witness_thread import WitnessThread

LOG = ForgedLog()
KEY = make_key("witness.example/w1", bytes(range(32)))
READ_S = 0.4


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WitnessThread]:
    logs = f"log {LOG.vkey}\n".encode()
    with WitnessThread(tmp_path / "state", KEY, logs, lambda: NOW, read_s=READ_S) as made:
        yield made


@pytest.fixture
def connection(server: WitnessThread) -> Iterator[http.client.HTTPConnection]:
    """A connection that is kept open from one request to the next."""
    made = http.client.HTTPConnection(*server.address, timeout=5)
    yield made
    made.close()


def ask(
    connection: http.client.HTTPConnection, body: bytes, **headers: str
) -> tuple[int, str, bytes]:
    connection.request("POST", "/add-checkpoint", body, headers)
    with connection.getresponse() as answer:
        return answer.status, answer.headers["content-type"], answer.read()


def get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    with connection.getresponse() as answer:
        return answer.status, answer.read()


class TestWhatIsServed:
    """WIT-8 to WIT-12."""

    def test_cosignatures_and_sizes_on_one_connection(
        self, connection: http.client.HTTPConnection
    ) -> None:
        status, kind, body = ask(connection, LOG.request(history(5)))
        assert (status, kind) == (200, "text/plain; charset=utf-8")
        assert body.startswith("— witness.example/w1 ".encode())
        assert ask(connection, LOG.request(history(9))) == (409, SIZE_TYPE, b"5\n")
        assert ask(connection, LOG.request(history(9), 5))[0] == 200
        for status, body in (
            (400, b"old 1\n\n"),
            (404, ForgedLog("other.example").request(history(2))),
            (422, LOG.request(history(12, fork_at=3), 9)),
        ):
            assert ask(connection, body)[0] == status

    def test_the_latest_head_for_monitors(self, connection: http.client.HTTPConnection) -> None:
        path = f"/{origin_hash(LOG.origin)}/checkpoint"
        assert get(connection, path)[0] == 404
        line = ask(connection, LOG.request(history(5)))[2]
        status, note = get(connection, path)
        assert status == 200
        assert note.endswith(line)
        assert note.startswith(LOG.head(history(5)).split(b"\n\n")[0])

    def test_there_is_nothing_else(self, connection: http.client.HTTPConnection) -> None:
        for path in ("/", "/checkpoint", "/add-checkpoint/", "/%61dd-checkpoint", "/" + "f" * 64):
            assert get(connection, path)[0] == 404
        assert get(connection, "/add-checkpoint")[0] == 405

    def test_a_restart_goes_on_where_it_was(self, tmp_path: Path) -> None:
        logs = f"log {LOG.vkey}\n".encode()
        for old, new in ((0, 5), (5, 6)):
            with (
                WitnessThread(tmp_path / "state", KEY, logs, lambda: NOW) as server,
                contextlib.closing(http.client.HTTPConnection(*server.address)) as connection,
            ):
                assert ask(connection, LOG.request(history(new), old))[0] == 200


class TestHostileClients:
    """WIT-14."""

    def test_a_body_that_is_too_large_is_not_read(self, server: WitnessThread) -> None:
        with socket.create_connection(server.address, timeout=5) as raw:
            size = 10**12
            raw.sendall(b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\n")
            raw.sendall(b"content-length: %d\r\n\r\nold 0\n" % size)
            assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
            _drain(raw)

    def test_an_endless_body_is_cut_off(self, server: WitnessThread) -> None:
        with socket.create_connection(server.address, timeout=5) as raw:
            raw.sendall(
                b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"
            with contextlib.suppress(ConnectionError):
                for _ in range(3 + MAX_REQUEST_BYTES // 0x10000):
                    raw.sendall(piece)
            with contextlib.suppress(ConnectionError):
                assert raw.recv(100).startswith(b"HTTP/1.1 413 ")
                _drain(raw)

    def test_a_slow_body_is_given_up(self, server: WitnessThread) -> None:
        with socket.create_connection(server.address, timeout=5) as raw:
            raw.sendall(
                b"POST /add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 99\r\n\r\nold"
            )
            assert raw.recv(100).startswith(b"HTTP/1.1 408 ")
            _drain(raw)

    @pytest.mark.parametrize("start", [b"", b"POST /add-ch", b"GET / HTTP/1.1\r\nx: "])
    def test_a_slow_head_is_cut_off(self, server: WitnessThread, start: bytes) -> None:
        with socket.create_connection(server.address, timeout=5) as raw:
            raw.sendall(start)
            assert raw.recv(100) == b""

    def test_compressed_bodies_are_not_unpacked(
        self, connection: http.client.HTTPConnection
    ) -> None:
        body = b"\x1f\x8b" + bytes(100)
        headers = {"content-encoding": "gzip"}
        connection.request("POST", "/add-checkpoint", body, headers)
        assert connection.getresponse().status == 415

    @pytest.mark.parametrize(
        "raw",
        [
            b"\x00\xff" * 500 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 500 + b"\r\n",
            b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
            b"POST /add-checkpoint HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
            b"POST /add-checkpoint HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        ],
    )
    def test_what_is_no_http_does_no_harm(self, server: WitnessThread, raw: bytes) -> None:
        made = socket.create_connection(server.address, timeout=5)
        with made as sent, contextlib.suppress(ConnectionError):
            sent.sendall(raw)
            assert sent.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400")
        with contextlib.closing(http.client.HTTPConnection(*server.address)) as connection:
            assert ask(connection, LOG.request(history(5)))[0] == 200

    def test_connections_beyond_the_limit_are_closed(
        self, server: WitnessThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(witness_http, "MAX_CONNECTIONS", 3)
        with contextlib.ExitStack() as kept:
            for _ in range(3):
                kept.enter_context(socket.create_connection(server.address, timeout=5))
            _wait_until_taken(server)
            with socket.create_connection(server.address, timeout=5) as refused:
                refused.settimeout(READ_S / 2)
                assert refused.recv(100) == b""

    def test_more_requests_than_may_wait_are_told_to_come_back(
        self, server: WitnessThread, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(witness_http, "MAX_WAITING", 2)
        gate, asked = threading.Event(), threading.Barrier(2)
        real = server._server._witness.add_checkpoint

        def slow(data: bytes) -> object:
            asked.wait(5)
            gate.wait(5)
            return real(data)

        monkeypatch.setattr(server._server._witness, "add_checkpoint", slow)

        def post(_: int) -> int:
            with contextlib.closing(http.client.HTTPConnection(*server.address)) as connection:
                return ask(connection, LOG.request(history(5)))[0]

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(post, 0)
            asked.wait(5)
            server._server._waiting += 1
            assert post(1) == 503
            server._server._waiting -= 1
            gate.set()
            assert first.result(5) == 200


def _drain(raw: socket.socket) -> None:
    """Read until the server closes."""
    with contextlib.suppress(ConnectionError):
        while raw.recv(65_536):
            pass


def _wait_until_taken(server: WitnessThread) -> None:
    """Go on once the server has seen the connections made so far."""
    done = threading.Event()
    server._loop.call_soon_threadsafe(server._loop.call_later, 0.05, done.set)
    assert done.wait(5)


class TestAddresses:
    def test_only_what_can_be_listened_on(self) -> None:
        for text in ("", ":", "127.0.0.1", ":80", "h:65536", "h:-1", "http://h:80", "a b:80"):
            with pytest.raises(LedgerError) as caught:
                parse_listen(text)
            assert caught.value.code == "input"
