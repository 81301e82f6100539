"""Every way a call can end, on the wire: always exactly one receipt, with the right story."""

import asyncio
import gzip
import http.client
import json
import socket
import threading
import time
from typing import Any

import pytest

from nous_ledger.gateway.upstream import Limits
from nous_ledger.protocol.hashing import commit_response
from nous_ledger.protocol.registries import ANOMALY
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    MESSAGES,
    STREAM_HEAD,
    Answer,
    Rig,
    Seen,
    answer,
    chunk,
    counts,
    reset,
    says,
    status,
    stream,
)
from tests.integration.gateway.wire import (
    ALL,
    ASKING,
    BODY,
    COUNTS,
    FINAL,
    HELLO,
    NONE,
    PARTIAL,
    STOP,
    UNASKED,
    checked,
)


@pytest.mark.parametrize("ending", ["reset", "closed", "truncated"])
@pytest.mark.parametrize(
    ("events", "metering"), [(ALL[:1], NONE), (ALL[:2], NONE), (ALL[:3], FINAL)]
)
def test_a_stream_that_breaks_off(
    start: StartRig, ending: str, events: tuple[bytes, ...], metering: int
) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, events)))
        if ending == "truncated":
            writer.write(b"ff\r\ndata: {")
        await writer.drain()
        await asyncio.sleep(0.1)
        if ending == "reset":
            reset(writer)

    rig, _ = start(script)
    got = rig.call(CHAT, ASKING)
    assert not got.whole
    assert got.body.startswith(b"".join(events))
    checked(rig, got, ASKING)
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.metering) == ("upstream_reset", metering)
    assert counts(receipt) == (COUNTS if metering == FINAL else {})


def test_a_stream_that_ends_without_its_end_mark(start: StartRig) -> None:
    """The transfer was whole, the answer was not."""
    rig, _ = start(says(stream(HELLO)))
    got = rig.call(CHAT, ASKING)
    assert got.whole
    assert status(rig.only_receipt()) == "upstream_reset"


def test_a_break_after_the_end_mark_cost_nobody_anything(start: StartRig) -> None:
    rig, _ = start(says(STREAM_HEAD + b"".join(map(chunk, ALL))))
    rig.call(CHAT, ASKING)
    receipt = rig.only_receipt()
    assert (status(receipt), counts(receipt)) == ("complete", COUNTS)


def test_an_interrupted_message_keeps_its_input(start: StartRig) -> None:
    usage = {"input_tokens": 25, "output_tokens": 1}
    begun = {"type": "message_start", "message": {"content": [], "usage": usage}}
    event = b"event: message_start\ndata: " + json.dumps(begun).encode() + b"\n\n"
    rig, _ = start(says(STREAM_HEAD + chunk(event)))
    rig.call(MESSAGES, {"stream": True})
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.metering) == ("upstream_reset", PARTIAL)
    assert counts(receipt) == {"input_uncached": 25}


def test_a_body_that_breaks_off(start: StartRig) -> None:
    rig, _ = start(says(answer(BODY[:40], length=len(BODY))))
    got = rig.call(CHAT, {"model": "m"})
    assert not got.whole
    assert got.body == BODY[:40]
    checked(rig, got, {"model": "m"})
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.metering, receipt.http_status) == ("upstream_reset", NONE, 200)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("how", ["nobody listens", "closes", "resets", "talks nonsense"])
def test_no_response_head(start: StartRig, path: str, how: str) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        if how == "resets":
            reset(writer)
        elif how == "talks nonsense":
            writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")

    rig, upstream = start(script)
    if how == "nobody listens":
        upstream.__exit__()
    got = rig.call(path, {"model": "m"})
    assert got.status == 502
    _shaped(path, got, "upstream_unreachable")
    checked(rig, got, {"model": "m"})
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.http_status) == ("upstream_unreachable", None)
    if how == "nobody listens":
        upstream.__enter__()


def _shaped(path: str, got: Answer, code: str) -> None:
    """Check that an error has the provider's shape."""
    error = json.loads(got.body)
    assert error["error"]["message"].startswith("nous-ledger: ")
    if path.startswith("/anthropic"):
        assert error["type"] == "error"
        assert error["error"]["type"].endswith(("_error", "_large"))
    else:
        assert (error["error"]["code"], error["error"]["param"]) == (code, None)


@pytest.mark.parametrize("before", ["head", "end of the stream"])
def test_an_upstream_that_falls_silent(start: StartRig, before: str) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        if before != "head":
            writer.write(STREAM_HEAD + chunk(HELLO))
            await writer.drain()
        await asyncio.sleep(30)

    rig, _ = start(script, silence_s=0.3)
    got = rig.call(CHAT, ASKING)
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.metering) == ("timeout", NONE)
    if before == "head":
        assert (got.status, got.headers["x-should-retry"]) == (504, "false")
        assert receipt.http_status is None
    else:
        assert (got.status, got.body, got.whole) == (200, HELLO, False)


@pytest.mark.parametrize("code", [400, 401, 429, 500, 529])
def test_error_statuses(start: StartRig, code: int) -> None:
    body = b'{"error":{"message":"no"}}'
    rig, _ = start(says(answer(body, status=code, headers=("retry-after: 7",))))
    got = rig.call(CHAT, ASKING)
    assert (got.status, got.body, got.headers["retry-after"]) == (code, body, "7")
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.http_status) == ("upstream_error", code)
    assert (receipt.metering, receipt.streamed) == (NONE, None)


def test_an_error_with_usage_still_bills(start: StartRig) -> None:
    rig, _ = start(says(answer(BODY, status=500)))
    rig.call(CHAT, {"model": "m"})
    receipt = rig.only_receipt()
    assert (status(receipt), counts(receipt)) == ("upstream_error", COUNTS)


def test_an_error_event_under_200(start: StartRig) -> None:
    event = b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'
    rig, _ = start(says(stream(event)))
    rig.call(MESSAGES, {"stream": True})
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.http_status) == ("upstream_error", 200)


def _hang_up_after(rig: Rig, received: int, request: dict[str, Any]) -> None:
    connection = rig.send(CHAT, request)
    sock = connection.sock
    assert isinstance(sock, socket.socket)
    if received:
        response = connection.getresponse()
        assert response.read(received)
        response.close()
    sock.shutdown(socket.SHUT_RDWR)
    connection.close()


@pytest.mark.parametrize("received", [0, 10, len(HELLO), len(HELLO + STOP)])
def test_the_client_hangs_up_and_usage_is_captured_all_the_same(
    start: StartRig, received: int
) -> None:
    """Before the first byte, mid-stream, and before the last events."""

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3 if received == 0 else 0)
        writer.write(STREAM_HEAD)
        for event in ALL:
            writer.write(chunk(event))
            await writer.drain()
            if event != HELLO or received <= len(HELLO):
                await asyncio.sleep(0.15)
        writer.write(b"0\r\n\r\n")

    rig, upstream = start(script)
    _hang_up_after(rig, received, ASKING)
    receipt = rig.only_receipt()
    assert upstream.finished.wait(5)
    assert (status(receipt), receipt.metering, receipt.http_status) == (
        "client_aborted",
        FINAL,
        200,
    )
    assert counts(receipt) == COUNTS
    # Nobody knows what the client got of it.
    assert receipt.response_commitment is None
    assert all(bucket.lower is None for bucket in receipt.usage or ())


def test_a_hang_up_is_noticed_even_in_a_call_of_milliseconds(start: StartRig) -> None:
    left = threading.Event()

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        await asyncio.to_thread(left.wait)
        await asyncio.sleep(0.02)
        writer.write(answer(BODY))

    rig, _ = start(script)
    connection = rig.send(CHAT, {"model": "m"})
    connection.close()
    left.set()
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.response_commitment) == ("client_aborted", None)
    assert counts(receipt) == COUNTS


def test_a_client_that_has_its_end_mark_did_not_hang_up(start: StartRig) -> None:
    """SDKs close the connection at the end mark, before the transfer is over."""

    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + b"".join(map(chunk, ALL)))
        await writer.drain()
        await asyncio.sleep(0.4)
        writer.write(b"0\r\n\r\n")

    rig, _ = start(script)
    _hang_up_after(rig, len(b"".join(ALL)), ASKING)
    receipt = rig.only_receipt()
    assert (status(receipt), counts(receipt)) == ("complete", COUNTS)
    assert receipt.response_commitment is not None


def test_reading_on_after_a_hang_up_is_bounded(start: StartRig) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(HELLO))
        await writer.drain()
        await asyncio.sleep(30)

    rig, _ = start(script, drain_s=0.3)
    started = time.monotonic()
    _hang_up_after(rig, 10, ASKING)
    receipt = rig.only_receipt()
    assert time.monotonic() - started < 5
    assert (status(receipt), receipt.metering) == ("client_aborted", NONE)


def test_without_a_place_to_be_read_on_a_call_ends_when_its_client_does(start: StartRig) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(HELLO))
        await writer.drain()
        await asyncio.sleep(30)

    rig, _ = start(script, max_drains=0)
    _hang_up_after(rig, 10, ASKING)
    assert status(rig.only_receipt()) == "client_aborted"


def test_shutdown_interrupts_what_does_not_end(start: StartRig) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(HELLO))
        await writer.drain()
        await asyncio.sleep(30)

    rig, _ = start(script)
    connection = rig.send(CHAT, ASKING)
    response = connection.getresponse()
    assert response.read(len(HELLO)) == HELLO
    rig.stop()
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()
    receipt = rig.only_receipt()
    assert status(receipt) == "gateway_interrupted"


def test_a_request_that_is_too_large_is_refused(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)), max_request_bytes=1000)
    got = rig.call(CHAT, b"x" * 1001)
    assert got.status == 413
    _shaped(CHAT, got, "request_too_large")
    receipt = rig.only_receipt()
    assert status(receipt) == "refused"
    assert receipt.anomalies == (ANOMALY["body_too_long_to_commit"],)
    assert receipt.request_commitment is None
    assert receipt.response_commitment == commit_response(got.opening, got.body)
    assert upstream.seen == []


def test_a_request_that_never_became_whole_is_no_call(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    connection = rig.send(CHAT, b"", headers={"content-length": "100"})
    connection.close()
    rig.call(CHAT, {"model": "second"})
    assert rig.only_receipt().model_requested == "second"
    assert len(upstream.seen) == 1


def test_limits_suit_models_that_think_for_minutes() -> None:
    assert Limits().silence_s >= 600


def test_a_damaged_stream_whose_usage_must_be_taken_out_breaks_off(start: StartRig) -> None:
    head = STREAM_HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    rig, _ = start(says(head + chunk(gzip.compress(HELLO)) + chunk(b"not gzip") + b"0\r\n\r\n"))
    got = rig.call(CHAT, UNASKED)
    assert (got.body, got.whole) == (HELLO, False)
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.response_commitment) == ("upstream_reset", None)


def test_a_body_beyond_the_bound_passes_unread(
    start: StartRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nous_ledger.gateway.metering.MAX_BODY_BYTES", 100)
    rig, _ = start(says(answer(BODY)))
    got = rig.call(CHAT, {"model": "m"})
    assert got.body == BODY
    checked(rig, got, {"model": "m"})
    receipt = rig.only_receipt()
    assert (receipt.metering, receipt.anomalies) == (NONE, (ANOMALY["usage_too_long"],))
