"""Every way a call can end, on the wire: always exactly one receipt, with the right story."""

import asyncio
import gzip
import http.client
import json
import socket
import time
from typing import Any

import pytest

from nous_ledger.gateway.upstream import Limits
from nous_ledger.protocol.hashing import commit_forwarded, commit_request, commit_response
from nous_ledger.protocol.registries import ANOMALY, METERING
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    MESSAGES,
    RESPONSES,
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

USAGE = b'{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}'
HELLO = b'data: {"model":"m-1","choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n'
STOP = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE_CHUNK = b'data: {"choices":[],"usage":' + USAGE + b"}\n\n"
DONE = b"data: [DONE]\n\n"
ALL = (HELLO, STOP, USAGE_CHUNK, DONE)
BODY = (
    b'{"model":"m-1","choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}],'
    b'"usage":' + USAGE + b"}"
)
ASKING = {"model": "m", "stream": True, "stream_options": {"include_usage": True}}
UNASKED = {"model": "m", "stream": True}
FINAL, NONE, PARTIAL = METERING["final"], METERING["none"], METERING["partial"]
COUNTS = {"input_unsplit": 9, "output_unsplit": 2}


def _checked(rig: Rig, got: Answer, request: object) -> None:
    """Compare the only receipt with what the client sent and received."""
    receipt = rig.only_receipt()
    assert receipt.id == got.id
    assert receipt.subject.hex() == got.headers["nous-subject"]
    assert receipt.request_commitment == commit_request(got.opening, json.dumps(request).encode())
    assert receipt.response_commitment == commit_response(got.opening, got.body)


def test_a_whole_body(start: StartRig) -> None:
    """RCPT-12, RCPT-13, COMM-1: one receipt, three headers, both bodies committed to."""
    rig, upstream = start(says(answer(BODY, headers=("X-Request-Id: req-7",))))
    got = rig.call(CHAT + "?a=%2F", {"model": "m"})
    assert (got.status, got.body, got.whole) == (200, BODY, True)
    _checked(rig, got, {"model": "m"})
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.http_status, receipt.metering) == ("complete", 200, FINAL)
    assert counts(receipt) == COUNTS
    assert receipt.provider_request_id == "req-7"
    assert receipt.upstream == upstream.url.removeprefix("http://")
    assert receipt.provider == "custom"
    assert rig.ledger.read_raw_usage(1) == (USAGE,)
    assert upstream.seen[0].target == "/v1/chat/completions?a=%2F"
    assert upstream.seen[0].values("host") == [receipt.upstream]
    assert upstream.seen[0].body == json.dumps({"model": "m"}).encode()


def test_a_stream_passes_byte_for_byte(start: StartRig) -> None:
    rig, upstream = start(says(stream(*ALL)))
    got = rig.call(CHAT, ASKING)
    assert got.body == b"".join(ALL)
    _checked(rig, got, ASKING)
    receipt = rig.only_receipt()
    assert (status(receipt), receipt.streamed, counts(receipt)) == ("complete", 1, COUNTS)
    assert receipt.forwarded_commitment is None
    assert upstream.seen[0].body == json.dumps(ASKING).encode()


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_usage_that_was_not_asked_for_is_metered_and_taken_out(start: StartRig, step: int) -> None:
    """COMM-2: the receipt commits to both versions of the request."""
    whole = b"".join(ALL)
    pieces = [whole[i : i + step] for i in range(0, len(whole), step)]
    rig, upstream = start(says(stream(*pieces)))
    got = rig.call(CHAT, UNASKED)
    assert got.body == HELLO + STOP + DONE
    _checked(rig, got, UNASKED)
    receipt = rig.only_receipt()
    assert counts(receipt) == COUNTS
    forwarded = upstream.seen[0].body
    assert json.loads(forwarded) == {**UNASKED, "stream_options": {"include_usage": True}}
    assert receipt.forwarded_commitment == commit_forwarded(got.opening, forwarded)
    assert upstream.seen[0].values("accept-encoding") == ["identity"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("field", [b"data: ", b"data:"])
def test_forms_of_a_stream(start: StartRig, end: bytes, field: bytes) -> None:
    whole = b"".join(ALL).replace(b"data: ", field).replace(b"\n", end)
    rig, _ = start(says(stream(whole[:200], whole[200:].rstrip())))
    got = rig.call(CHAT, ASKING)
    assert got.body == whole.rstrip()
    assert counts(rig.only_receipt()) == COUNTS


@pytest.mark.parametrize("size", [100_000, 5_000_000])
def test_a_large_final_event(start: StartRig, size: int) -> None:
    usage = {"input_tokens": 9, "output_tokens": 2, "total_tokens": 11}
    response = {"output": [], "usage": usage, "padding": "€" * (size // 3)}
    event = json.dumps({"type": "response.completed", "response": response}, ensure_ascii=False)
    whole = b"event: response.completed\ndata: " + event.encode() + b"\n\n"
    rig, _ = start(says(stream(*[whole[i : i + 50_001] for i in range(0, len(whole), 50_001)])))
    got = rig.call(RESPONSES, {"stream": True})
    assert got.body == whole
    receipt = rig.only_receipt()
    assert (status(receipt), counts(receipt)) == ("complete", COUNTS)


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
    _checked(rig, got, ASKING)
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
    _checked(rig, got, {"model": "m"})
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
    _checked(rig, got, {"model": "m"})
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


def test_a_redirect_is_passed_on_and_not_followed(start: StartRig) -> None:
    rig, upstream = start(
        says(answer(b"", status=307, headers=("Location: http://127.0.0.1:1/x",)))
    )
    got = rig.call(CHAT, {"model": "m"})
    assert (got.status, got.headers["location"]) == (307, "http://127.0.0.1:1/x")
    assert len(upstream.seen) == 1
    assert status(rig.only_receipt()) == "complete"


@pytest.mark.parametrize("coding", ["gzip", "br"])
def test_compressed_bodies_pass_as_they_are(start: StartRig, coding: str) -> None:
    packed = gzip.compress(BODY) if coding == "gzip" else b"\x0b\x02\x80pretend\x03"
    rig, upstream = start(says(answer(packed, headers=(f"Content-Encoding: {coding}",))))
    fields = {"accept-encoding": "gzip, br, zstd"}
    got = rig.call(CHAT, {"model": "m"}, headers=fields)
    assert (got.body, got.headers["content-encoding"]) == (packed, coding)
    assert upstream.seen[0].values("accept-encoding") == ["gzip"]
    receipt = rig.only_receipt()
    if coding == "gzip":
        assert receipt.response_commitment == commit_response(got.opening, BODY)
        assert counts(receipt) == COUNTS
    else:  # it came although nobody had asked for it: nothing to commit to, nothing to count
        assert (receipt.response_commitment, receipt.metering) == (None, NONE)


def test_a_compressed_stream_loses_its_coding_only_where_a_chunk_is_taken_out(
    start: StartRig,
) -> None:
    packed = gzip.compress(b"".join(ALL))
    head = STREAM_HEAD[:-2] + b"Content-Encoding: gzip\r\n\r\n"
    rig, _ = start(says(head + chunk(packed[:70]) + chunk(packed[70:]) + b"0\r\n\r\n"))
    asked = rig.call(CHAT, ASKING)
    assert (gzip.decompress(asked.body), asked.headers["content-encoding"]) == (
        b"".join(ALL),
        "gzip",
    )
    unasked = rig.call(CHAT, UNASKED)
    assert (unasked.body, unasked.headers["content-encoding"]) == (HELLO + STOP + DONE, None)
    first, second = rig.receipts()
    assert counts(first) == counts(second) == COUNTS
    assert first.response_commitment == commit_response(asked.opening, b"".join(ALL))
    assert second.response_commitment == commit_response(unasked.opening, unasked.body)


def test_a_compressed_request_is_read_and_committed_to_plain(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    plain = json.dumps({"model": "m"}).encode()
    packed = gzip.compress(plain)
    got = rig.call(CHAT, packed, headers={"content-encoding": "gzip"})
    assert upstream.seen[0].body == packed
    assert upstream.seen[0].values("content-encoding") == ["gzip"]
    receipt = rig.only_receipt()
    assert receipt.model_requested == "m"
    assert receipt.request_commitment == commit_request(got.opening, plain)


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


def test_names_that_no_receipt_can_hold_are_left_out(start: StartRig) -> None:
    """ENC-25."""
    body = BODY.replace(b"m-1", b"m\\u0000")
    rig, _ = start(says(answer(body, headers=("x-request-id: " + "r" * 300,))))
    rig.call(CHAT, {"model": "x" * 257})
    receipt = rig.only_receipt()
    assert (receipt.model_requested, receipt.model_served) == (None, None)
    assert receipt.provider_request_id is None
    assert receipt.anomalies == (
        ANOMALY["model_unrepresentable"],
        ANOMALY["request_id_unrepresentable"],
    )
    assert counts(receipt) == COUNTS


def test_calls_without_a_credential_have_a_receipt(start: StartRig) -> None:
    rig, _ = start(says(answer(BODY)))
    rig.call(CHAT, {"model": "m"}, credential=None)
    assert rig.only_receipt().subject == rig.ledger.subject(6, b"")


def test_limits_suit_models_that_think_for_minutes() -> None:
    assert Limits().silence_s >= 600
