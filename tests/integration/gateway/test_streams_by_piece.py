"""Streams piece by piece: each goes on as it comes, and waits for a client that does not read."""

import asyncio
import socket
import threading
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import CHAT, STREAM_END, Seen, chunk, counts, status
from tests.integration.gateway.wire import ALL, ASKING, COUNTS, UNASKED, USAGE_CHUNK, checked

PIECE = b":%b\n\n" % (b"x" * 6_000)  # of a stream: a comment
PIECES = 5_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_a_stream_waits_for_a_client_that_does_not_read(start: StartRig) -> None:
    written = 0
    over = threading.Event()

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(HEAD)
        for event in [*[PIECE] * PIECES, *ALL]:
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
            written += 1
        writer.write(STREAM_END)
        over.set()

    rig, _ = start(script)
    parts = urlsplit(rig.url)
    body = b'{"model": "m", "stream": true, "stream_options": {"include_usage": true}}'
    with closing(socket.socket()) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.settimeout(60)
        client.connect((parts.hostname, parts.port))
        client.sendall(
            f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        before = -1
        while before < written or not written:  # until buffers on the way are full
            before = written
            time.sleep(0.4)
        assert written < PIECES * 0.8
        assert not over.is_set()
        got = b"".join(iter(lambda: client.recv(1 << 20), b""))
    head, _, chunks = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert _unchunked(chunks) == PIECE * PIECES + b"".join(ALL)
    assert status(rig.only_receipt()) == "complete"


@pytest.mark.parametrize("request_", [ASKING, UNASKED], ids=["asking", "unasked"])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_stream_is_the_same_however_it_comes(
    start: StartRig, request_: dict[str, object], size: int
) -> None:
    whole = b"".join(ALL)

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD)
        for at in range(0, len(whole), size):
            writer.write(chunk(whole[at : at + size]))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(STREAM_END)

    rig, _ = start(script)
    got = rig.call(CHAT, request_)
    assert got.body == (whole if request_ is ASKING else whole.replace(USAGE_CHUNK, b""))
    checked(rig, got, request_)
    receipt = rig.only_receipt()
    assert (status(receipt), counts(receipt)) == ("complete", COUNTS)


def _unchunked(data: bytes) -> bytes:
    """Return what stands in the chunks of a whole body."""
    parts, at = [], 0
    while size := int(data[at : (line := data.index(b"\r\n", at))], 16):
        parts.append(data[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    assert data[line:] == b"\r\n\r\n"
    return b"".join(parts)
