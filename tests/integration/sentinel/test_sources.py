"""A source gives what was asked for, in bounds of bytes and time, or could not be checked."""

import asyncio
import gzip
import os
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError
from nous_ledger.protocol.note import MAX_NOTE_BYTES
from nous_ledger.protocol.tiles import ENTRY_BYTES, FULL_WIDTH, encode_bodies
from sentinel.http_source import HttpSource, Patience
from sentinel.sources import TileSource, open_source
from tests.integration.gateway.rig import (
    AUDITOR,
    RawUpstream,
    Script,
    Seen,
    answer,
    chunk,
    says,
)
from tests.integration.published_log import PublishedLog, published_log

QUICK = Patience(idle_s=0.2, total_s=0.6)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublishedLog]:
    with published_log(tmp_path_factory.mktemp("log")) as made:
        made.grow(300)
        made.publish()
        yield made


@pytest.fixture
def server() -> Iterator[RawUpstream]:
    with RawUpstream(says(b"")) as upstream:
        yield upstream


def ask(server: RawUpstream, script: Script, what: str = "head") -> bytes:
    server.script = script
    with HttpSource(server.url, patience=QUICK) as source:
        if what == "head":
            return source.head()
        if what == "tile":
            return source.tile(0, 0, 256)
        got: bytes = getattr(source, what)(0, 256)
        return got


def refusal(server: RawUpstream, script: Script, what: str = "head") -> str:
    with pytest.raises(UnavailableError) as caught:
        ask(server, script, what)
    assert caught.value.code == "unreachable"
    assert caught.value.hint
    return caught.value.message


def peak_while(call: Callable[[], str]) -> tuple[int, str]:
    """Return how many bytes a call had at most, and what it returned."""
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def test_a_published_folder(log: PublishedLog) -> None:
    with open_source(str(log.target)) as source:
        assert source.head() == (log.target / "checkpoint").read_bytes()
        assert source.entries(1, 44) == (log.target / "tile/entries/001.p/44").read_bytes()
        assert source.bodies(0, 256) == (log.target / "tile/bodies/000").read_bytes()
        assert source.tile(1, 0, 1) == (log.target / "tile/1/000.p/1").read_bytes()


@pytest.mark.parametrize(
    ("what", "bytes_of_one"), [("tile", 32), ("entries", ENTRY_BYTES), ("bodies", 0)]
)
def test_a_partial_tile_that_became_full(log: PublishedLog, what: str, bytes_of_one: int) -> None:
    """The log grew between the reading of its head and that of its tiles."""
    with open_source(str(log.target)) as source:
        level = (0,) if what == "tile" else ()
        whole = getattr(source, what)(*level, 0, 256)
        part = getattr(source, what)(*level, 0, 10)
    assert whole.startswith(part)
    assert 0 < len(part) < len(whole)
    assert not bytes_of_one or len(part) == 10 * bytes_of_one


def test_a_folder_with_other_things_in_it(tmp_path: Path) -> None:
    (tmp_path / "tile" / "0").mkdir(parents=True)
    os.mkfifo(tmp_path / "checkpoint")
    (tmp_path / "tile" / "0" / "000").write_bytes(b"x" * (32 * FULL_WIDTH + 1))
    with open_source(str(tmp_path)) as source:
        for ask_for, what in (
            (source.head, "no regular file"),
            (lambda: source.tile(0, 0, 256), "more than 8192 bytes"),
            (lambda: source.entries(0, 256), "is not there"),
        ):
            with pytest.raises(UnavailableError, match=what):
                ask_for()
        (tmp_path / "checkpoint").unlink()
        (tmp_path / "checkpoint").symlink_to("/dev/zero")
        with pytest.raises(UnavailableError, match="no regular file"):
            source.head()
        (tmp_path / "tile" / "0" / "000").write_bytes(b"x" * 31)
        with pytest.raises(UnavailableError, match="31 bytes are not 256 hashes"):
            source.tile(0, 0, 256)


def test_a_log_over_http(server: RawUpstream) -> None:
    """Whatever content type it has."""
    assert ask(server, says(answer(b"a head", kind="image/png"))) == b"a head"
    assert server.seen[-1].target == "/checkpoint"
    assert ask(server, says(answer(b"h" * 8192)), "tile") == b"h" * 8192
    assert server.seen[-1].target == "/tile/0/000"
    bodies = encode_bodies([b"body"] * 256)
    assert ask(server, says(answer(bodies)), "bodies") == bodies


def test_connections_are_used_again() -> None:
    ports: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            ports.append(self.client_address[1])
            self.wfile.write(answer(b"head"))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with HttpSource(f"http://127.0.0.1:{server.server_port}") as source:
            assert [source.head() for _ in range(5)] == [b"head"] * 5
        server.shutdown()
        thread.join()
    assert len(ports) == 5
    assert len(set(ports)) == 1


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_what_a_cache_packed(server: RawUpstream, coding: str) -> None:
    """Random bytes get longer when packed; the limit counts what is unpacked."""
    head = os.urandom(MAX_NOTE_BYTES)
    packed = answer(gzip.compress(head), headers=(f"Content-Encoding: {coding}",))
    assert ask(server, says(packed)) == head
    assert ("accept-encoding", "identity") in [
        (name.lower(), value) for name, value in server.seen[-1].headers
    ]


def _packed(data: bytes, coding: str = "gzip") -> Script:
    return says(answer(data, headers=(f"Content-Encoding: {coding}",)))


@pytest.mark.parametrize(
    ("script", "what"),
    [
        (_packed(gzip.compress(bytes(1 << 24), 1)), "more than 131072 bytes"),
        (_packed(gzip.compress(b"head")[:-1]), "ended its answer early"),
        (_packed(gzip.compress(b"head") * 2), "behind the end"),
        (_packed(b"head"), "cannot be unpacked"),
        (_packed(b"head", "br"), "not asked for"),
        (says(answer(b"x" * (MAX_NOTE_BYTES + 1))), "more than 131072 bytes"),
        (says(answer(b"x", length=10**15)), "more than 131072 bytes"),
        (says(answer(b"x", length=100)), "could not be read"),
        (says(answer(b"", status=404)), "answered 404"),
        (says(answer(b"", status=500)), "answered 500"),
        (says(answer(b"x" * 9, status=206)), "answered 206"),
        (says(answer(b"", status=301, headers=("Location: /other",))), "answered 301"),
        (says(answer(b"x", headers=("X: " + "y" * 100_000,))), "could not be read"),
        (says(answer(b"x", headers=tuple(f"X-{i}: y" for i in range(500)))), "could not be read"),
        (says(b"SSH-2.0-OpenSSH_9.9\r\n"), "could not be read"),
        (says(b""), "could not be read"),
        (says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "could not be read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_answers_that_are_none(server: RawUpstream, script: Script, what: str) -> None:
    """SERV-8: bounded, not followed, and never "wrong"."""
    peak, message = peak_while(lambda: refusal(server, script))
    assert what in message
    assert peak < 4 << 20


async def _endless_body(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(chunk(b"x" * 65_536))
        await writer.drain()


async def _endless_head(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X: y\r\n" * 100)
        await writer.drain()


async def _endless_interim(_: Seen, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10)
        await writer.drain()
        await asyncio.sleep(0.001)


async def _drip(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _silence(_: Seen, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def _stops(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    await asyncio.sleep(30)


@pytest.mark.parametrize(
    "script", [_endless_body, _endless_head, _endless_interim, _drip, _silence, _stops]
)
def test_answers_without_end(server: RawUpstream, script: Script) -> None:
    """SERV-8: neither a slow nor an endless answer holds the reader up."""
    started = time.monotonic()
    peak, _ = peak_while(lambda: refusal(server, script))
    assert time.monotonic() - started < 5
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("tile", b"x" * 8191),
        ("tile", b"x" * 8193),
        ("entries", b"\x00\x79" + bytes(ENTRY_BYTES * 256 - 2)),
        ("entries", b"<html>not here</html>"),
        ("bodies", b"\xff\xff" + bytes(100)),
        ("bodies", bytes(511)),
        ("bodies", bytes(513)),
    ],
)
def test_bundles_that_are_none(server: RawUpstream, what: str, data: bytes) -> None:
    """SERV-1 to SERV-3."""
    refusal(server, says(answer(data)), what)


def test_nobody_listens(server: RawUpstream) -> None:
    port = server.url.rpartition(":")[2]
    server.__exit__()
    try:
        with HttpSource(f"http://127.0.0.1:{port}", patience=QUICK) as source:
            with pytest.raises(UnavailableError, match="could not be read"):
                source.head()
            with pytest.raises(UnavailableError, match="could not be read"):
                source.head()
    finally:
        server.__enter__()


def test_the_token_goes_with_requests_for_bodies_alone(server: RawUpstream) -> None:
    server.script = says(answer(encode_bodies([b""])))
    with HttpSource(server.url, auditor_token=AUDITOR, patience=QUICK) as source:
        source.bodies(0, 1)
        source.head()
        with pytest.raises(UnavailableError):
            source.tile(0, 0, 1)
        with pytest.raises(UnavailableError):
            source.entries(0, 1)
    sent = [(seen.target, seen.values("authorization")) for seen in server.seen]
    with_token = [f"Bearer {AUDITOR}"]
    assert [path for path, found in sent if found] == ["/tile/bodies/000.p/1"]
    assert sent[0][1] == with_token


@pytest.mark.parametrize(
    "url",
    [
        "ftp://log.example",
        "http://",
        "http://user:secret@log.example",
        "http://log.example/?x=1",
        "http://log.example/#x",
        "http://log.example:0/",
        "http://[::1",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(InputError) as caught:
        open_source(url)
    assert "secret" not in f"{caught.value.message}{caught.value.hint}"


def test_a_token_stays_on_this_machine_or_goes_encrypted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not go unencrypted"):
        open_source("http://log.example", auditor_token="secret")
    with pytest.raises(InputError, match="takes no auditor token"):
        open_source(str(tmp_path), auditor_token="secret")
    for url in (
        "https://log.example",
        "http://localhost:1",
        "http://[::1]:1",
        "http://127.0.0.1:1",
    ):
        open_source(url, auditor_token="secret").close()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        open_source(str(tmp_path / "x"))


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(LedgerError) as caught:
        open_source("https://log.example")
    assert caught.value.code == "missing-extra"
    assert "nous-ledger[sentinel]" in caught.value.hint


def test_a_closed_source_is_not_asked(server: RawUpstream) -> None:
    source: TileSource = HttpSource(server.url, patience=QUICK)
    source.close()
    with pytest.raises(UnavailableError, match="was closed"):
        source.head()


def test_closing_ends_what_is_being_asked(server: RawUpstream) -> None:
    arrived = threading.Event()

    async def script(_: Seen, __: asyncio.StreamWriter) -> None:
        arrived.set()
        await asyncio.sleep(30)

    server.script = script
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        source = HttpSource(server.url)
        asked = pool.submit(source.head)
        assert arrived.wait(10)
        source.close()
        with pytest.raises(UnavailableError, match="not asked any more"):
            asked.result()
    assert time.monotonic() - started < 5
