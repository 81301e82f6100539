"""What passes through on the wire: every byte, but for the two documented changes."""

import gzip
import json
from contextlib import ExitStack

import aiohttp
import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.hashing import commit_forwarded, commit_request, commit_response
from nous_ledger.protocol.registries import ANOMALY
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    RESPONSES,
    STREAM_HEAD,
    Rig,
    answer,
    chunk,
    counts,
    says,
    status,
    stream,
)
from tests.integration.gateway.wire import (
    ALL,
    ASKING,
    BODY,
    COUNTS,
    DONE,
    FINAL,
    HELLO,
    NONE,
    STOP,
    UNASKED,
    USAGE,
    checked,
)


@pytest.fixture(params=["over the pool", "through the session"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send requests both ways: an unknown version of the client library has the second alone."""
    if request.param == "through the session":
        monkeypatch.setattr(aiohttp, "__version__", "3.99.0")


def test_a_whole_body(start: StartRig) -> None:
    """RCPT-12, RCPT-13, COMM-1: one receipt, three headers, both bodies committed to."""
    rig, upstream = start(says(answer(BODY, headers=("X-Request-Id: req-7",))))
    got = rig.call(CHAT + "?a=%2F", {"model": "m"})
    assert (got.status, got.body, got.whole) == (200, BODY, True)
    checked(rig, got, {"model": "m"})
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
    checked(rig, got, ASKING)
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
    checked(rig, got, UNASKED)
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


def test_a_redirect_is_passed_on_and_not_followed(start: StartRig) -> None:
    rig, upstream = start(
        says(answer(b"", status=307, headers=("Location: http://127.0.0.1:1/x",)))
    )
    got = rig.call(CHAT, {"model": "m"})
    assert (got.status, got.headers["location"]) == (307, "http://127.0.0.1:1/x")
    assert len(upstream.seen) == 1
    assert status(rig.only_receipt()) == "complete"


@pytest.mark.parametrize("code", [204, 304])
def test_a_response_without_a_body_tells_no_length(start: StartRig, code: int) -> None:
    rig, _ = start(says(answer(b"", status=code, length=40)))
    got = rig.call(CHAT, {"model": "m"})
    assert (got.status, got.body, got.headers["content-length"]) == (code, b"", None)
    assert got.headers["connection"] is None
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


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("127.0.0.1:8787", True),
        ("[::1]:8787", True),
        ("LocalHost", True),
        ("app.localhost:1", True),
        ("tunnel.example", True),
        ("evil.example", False),
        ("evil.example:8787", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_a_page_whose_name_was_made_to_lead_here_gets_nothing(
    log: Ledger, demo_url: str, host: str, *, answered: bool
) -> None:
    config = AppConfig(upstreams={"openai": demo_url}, hosts=frozenset({"tunnel.example"}))
    with GatewayThread(log, config) as gateway, ExitStack() as exits:
        rig = Rig(log, gateway.url, exits)
        for path in ("/checkpoint", "/v1/policy", "/openai/v1/models"):
            got = rig.call(path, method="GET", headers={"host": host})
            assert (got.status == 400) is not answered
        assert len(rig.receipts()) == answered
