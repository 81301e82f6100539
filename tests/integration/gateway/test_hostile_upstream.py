"""Upstreams and faults that no call may pay for: still one receipt, and an answer if it can be."""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from pathlib import Path

import pytest

from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.relay import SLICE_BYTES
from nous_ledger.ledger import Ledger
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    STREAM_END,
    Seen,
    answer,
    running_gateway,
    says,
    status,
    stream,
)
from tests.integration.gateway.wire import ALL, ASKING, BODY, checked


@pytest.mark.parametrize("code", [99, 101, 199, 600, 999])
def test_a_status_that_is_no_final_one_is_no_answer(start: StartRig, code: int) -> None:
    rig, _ = start(says(b"HTTP/1.1 %03d Odd\r\nContent-Length: 3\r\n\r\nabc" % code))
    got = rig.call(CHAT, {"model": "m"})
    assert got.status == 502
    assert json.loads(got.body)["error"]["code"] == "upstream_unreachable"
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.http_status) == ("upstream_unreachable", None)


@pytest.mark.parametrize("control", [b"\x01", b"\x1b", b"\x7f"])
def test_a_control_character_in_a_header_costs_neither_answer_nor_receipt(
    start: StartRig, control: bytes
) -> None:
    whole = answer(BODY, headers=("X-A: a!b",)).replace(b"!", control)
    rig, _ = start(says(whole))
    got = rig.call(CHAT, {"model": "m"})
    assert (got.status, got.headers["x-a"], got.body) == (200, "a b", BODY)
    assert status(rig.only_receipt()) == "complete"


def test_not_modified_has_no_body_to_wait_for(start: StartRig) -> None:
    rig, _ = start(says(answer(b"", status=304, length=100)))
    got = rig.call("/openai/v1/models", method="GET")
    assert (got.status, got.body, got.whole) == (304, b"", True)
    assert status(rig.only_receipt()) == "complete"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("field", [b"Transfer-Encoding : chunked", b"Content-Length : 12"])
def test_a_space_before_the_colon_costs_neither_answer_nor_receipt(
    start: StartRig, field: bytes, method: str
) -> None:
    body = b'7\r\n{"a":1}\r\n' + STREAM_END
    sent = body if field.startswith(b"T") else b'{"a":123456}'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n%b\r\n\r\n" % field
    rig, _ = start(says(head + sent))
    got = rig.call("/openai/v1/models" if method == "GET" else CHAT, {"model": "m"}, method=method)
    assert (got.status, got.whole) == (200, True)
    assert got.body == (b'{"a":1}' if sent is body else sent)
    assert not any(name.endswith(" ") for name in got.headers)
    assert status(rig.only_receipt()) == "complete"


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_announcement_of_a_response_is_no_response(start: StartRig, size: int) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(30)

    rig, _ = start(script, connect_s=0.2, silence_s=0.2)
    assert rig.call(CHAT, {"model": "m" * size}).status == 504
    assert status(rig.only_receipt()) == "timeout"


def established(port: int) -> int:
    """Return how many connections to a port of this machine stand on our side."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def test_an_upstream_that_takes_no_body_is_not_waited_for_without_end(log: Ledger) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running_gateway(
            log,
            f"http://127.0.0.1:{(port := listener.getsockname()[1])}",
            connect_s=0.2,
            silence_s=0.2,
        ) as rig,
    ):
        assert rig.call(CHAT, b"x" * 16_000_000).status == 504
        assert status(rig.only_receipt()) == "timeout"
        until = time.monotonic() + 5
        while time.monotonic() < until and established(port):
            time.sleep(0.01)
        assert not established(port)


@pytest.mark.parametrize("where", ["relay.Relay.run", "relay.Relay.metered", "client.Client.start"])
def test_a_fault_of_the_gateway_costs_no_receipt(
    start: StartRig, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(f"nous_ledger.gateway.{where}", fail)
    rig, _ = start(says(stream(*ALL)))  # of a body that came whole, the head waits for the receipt
    with contextlib.suppress(http.client.HTTPException, OSError):
        rig.call(CHAT, {"model": "m"})
    assert status(rig.only_receipt()) == "gateway_interrupted"


def test_a_server_that_objects_costs_no_receipt(
    start: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uvicorn.protocols.http.httptools_impl.STATUS_LINE", {})
    rig, _ = start(says(stream(*ALL)))
    with pytest.raises((http.client.HTTPException, OSError)):
        rig.call(CHAT, {"model": "m"})
    assert status(rig.only_receipt()) == "client_aborted"


def test_a_large_piece_is_read_in_slices(start: StartRig, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    feed = Meter.feed

    def noted(meter: Meter, piece: bytes) -> bytes:
        lengths.append(len(piece))
        return feed(meter, piece)

    monkeypatch.setattr(Meter, "feed", noted)
    rig, _ = start(says(stream(b":\n\n" * 100_000, *ALL)))
    got = rig.call(CHAT, ASKING)
    assert got.body == b":\n\n" * 100_000 + b"".join(ALL)
    checked(rig, got, ASKING)
    assert max(lengths) <= SLICE_BYTES
