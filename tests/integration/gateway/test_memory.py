"""What calls leave in memory once they are over: nothing, however they ended."""

import asyncio
import gc
import itertools
import json
import socket
import struct
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from nous_ledger.gateway.call import Call
from nous_ledger.gateway.client import Client
from nous_ledger.gateway.connection import Connection
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.relay import Relay
from nous_ledger.gateway.responses import DirectResponse
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    KEY,
    STREAM_HEAD,
    Rig,
    Script,
    Seen,
    answer,
    chunk,
    reset,
    says,
    stream,
)
from tests.integration.gateway.wire import ALL, ASKING, BODY, HELLO

OF_A_CALL = (Call, Client, Connection, DirectResponse, Meter, Relay)
SOON_S = 2
"""Seconds; a connection that is kept alive is given up after five."""
CALLS = 80
MAX_BYTES_PER_CALL = 500


async def _reset(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(HELLO))
    await writer.drain()
    await asyncio.sleep(0.01)
    reset(writer)


async def _slow(_: Seen, writer: asyncio.StreamWriter) -> None:
    writer.write(STREAM_HEAD + chunk(HELLO))
    await asyncio.sleep(0.03)
    writer.write(b"".join(map(chunk, ALL[1:])) + b"0\r\n\r\n")


_REQUEST = json.dumps(ASKING).encode()
_HEAD = (
    f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {KEY}\r\n"
    f"content-type: application/json\r\ncontent-length: {len(_REQUEST)}\r\n\r\n"
).encode()

ENDINGS: dict[str, tuple[Script, bytes]] = {
    "body": (says(answer(BODY)), BODY),
    "stream": (says(stream(*ALL)), b"0\r\n\r\n"),
    "broken off": (says(STREAM_HEAD + chunk(HELLO)), b""),
    "reset": (_reset, b""),
    "unreachable": (says(b""), b"}"),
    "left": (_slow, HELLO + b"\r\n"),
}
"""What the upstream does, and what the client has then read when it is content."""


def _call(rig: Rig, enough: bytes, *, rudely: bool) -> None:
    """Make a call; end the connection politely, or so that the gateway's next read fails."""
    parts = urlsplit(rig.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as client:
        client.sendall(_HEAD + _REQUEST)
        got = b""
        while piece := client.recv(65_536):
            got += piece
            if enough and got.endswith(enough):
                break
        if rudely:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _left() -> Counter[str]:
    """Return what there is of calls."""
    return Counter(type(one).__name__ for one in gc.get_objects() if isinstance(one, OF_A_CALL))


def _wait_until_over(rig: Rig, calls: int) -> None:
    until = time.monotonic() + 10
    while rig.ledger.leaf_count() <= calls or rig.ledger.open_intents():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let nothing be freed that something has hold of, even in a circle."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("rudely", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.usefixtures("no_collector")
def test_nothing_is_left_for_the_collector(start: StartRig, ending: str, rudely: bool) -> None:
    script, enough = ENDINGS[ending]
    rig, _ = start(script)
    for _ in range(3):
        _call(rig, enough, rudely=rudely)
    _wait_until_over(rig, 3)
    until = time.monotonic() + SOON_S
    while (left := _left()) and time.monotonic() < until:
        time.sleep(0.02)
    assert not left


def test_memory_does_not_grow_with_calls(start: StartRig) -> None:
    scripts = itertools.cycle(ENDINGS.values())
    rig, upstream = start(says(b""))

    def grow(until: int) -> int:
        for number in range(rig.ledger.leaf_count(), until + 1):
            upstream.script, enough = next(scripts)
            _call(rig, enough, rudely=number % 4 == 0)
            _wait_until_over(rig, number)
        upstream.seen.clear()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = grow(CALLS // 2)
        assert (grow(CALLS * 3 // 2) - before) / CALLS < MAX_BYTES_PER_CALL
    finally:
        tracemalloc.stop()
