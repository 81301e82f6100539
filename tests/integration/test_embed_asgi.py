"""The ASGI middleware before a proxy made with Starlette, over real sockets."""

import asyncio
import contextlib
import gzip
import http.client
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette

from nous_ledger.embed.asgi import App, Message, ReceiptMiddleware, Receive, Send
from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.gateway.server import ServerThread
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.hashing import commit_request, commit_response
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import ANOMALY, METERING
from tests.architecture.repository import ROOT
from tests.integration.embedding import (
    A_STREAM,
    EVENTS,
    HALF_A_STREAM,
    REQUEST,
    WHOLE,
    Heard,
    only_receipt,
)
from tests.integration.gateway.rig import (
    STREAM_END,
    STREAM_HEAD,
    Answer,
    RawUpstream,
    Script,
    answer,
    chunk,
    counts,
    reset,
    says,
    status,
)

CHAT = "/openai/v1/chat/completions"


@pytest.fixture
def log(folder: Any) -> Iterator[Ledger]:
    with Ledger.create(folder, next_key_out=None) as made:
        yield made


@pytest.fixture(scope="module")
def example() -> Iterator[Any]:
    """The example, which is no package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples"))
        import embed_asgi  # type: ignore[import-not-found]  # noqa: PLC0415

        yield embed_asgi
        del sys.modules["embed_asgi"]


class Proxy:
    """The example's proxy with receipts, before an upstream of the test's."""

    def __init__(self, log: Ledger, example: Any, exits: ExitStack) -> None:
        self._log, self._example, self._exits = log, example, exits
        self.heard = Heard()
        self.upstream: RawUpstream
        self.url = ""

    def start(self, script: Script) -> "Proxy":
        self.upstream = self._exits.enter_context(RawUpstream(script))
        proxy: Starlette = self._example.make_proxy(self.upstream.url)
        return self.serve(self._example.with_receipts(proxy, self.writer(self.upstream.url)))

    def writer(self, url: str) -> ReceiptWriter:
        return ReceiptWriter(self._log, upstreams={"openai": url}, on_receipt=self.heard)

    def serve(self, app: App) -> "Proxy":
        self.url = self._exits.enter_context(ServerThread(app)).url
        return self

    def send(self, path: str = CHAT, body: bytes = REQUEST, **headers: str) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        fields = {"authorization": "Bearer sk-made-up", "content-type": "application/json"}
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("POST", path, body, {**fields, **more})
        return connection

    def call(self, path: str = CHAT, body: bytes = REQUEST, **headers: str) -> Answer:
        with contextlib.closing(self.send(path, body, **headers)) as connection:
            response = connection.getresponse()
            try:
                return Answer(response.status, response.headers, response.read())
            except http.client.IncompleteRead as error:
                return Answer(response.status, response.headers, error.partial, whole=False)

    def receipt(self) -> Receipt:
        """Return the only receipt, once it is written."""
        until = time.monotonic() + 10
        while not self.heard.logged and time.monotonic() < until:
            time.sleep(0.01)
        return only_receipt(self._log)


@pytest.fixture
def proxy(log: Ledger, example: Any) -> Iterator[Proxy]:
    with ExitStack() as exits:
        yield Proxy(log, example, exits)


def test_a_whole_answer(log: Ledger, proxy: Proxy) -> None:
    got = proxy.start(says(answer(WHOLE))).call()
    receipt = only_receipt(log)  # which is durable before the answer ends
    assert (got.body, got.id) == (WHOLE, receipt.id)
    assert proxy.upstream.seen[0].body == REQUEST
    assert (status(receipt), receipt.http_status, receipt.provider) == ("complete", 200, "custom")
    assert sorted(counts(receipt).values(), key=str) == [1, 8]
    assert receipt.subject == log.subject(2, b"sk-made-up")
    assert got.headers["nous-subject"] == receipt.subject.hex()
    assert receipt.request_commitment == commit_request(got.opening, REQUEST)
    assert receipt.response_commitment == commit_response(got.opening, WHOLE)


def test_a_stream(log: Ledger, proxy: Proxy) -> None:
    got = proxy.start(says(A_STREAM)).call()
    receipt = only_receipt(log)
    assert got.body == b"".join(EVENTS)
    assert (status(receipt), receipt.streamed, receipt.provider_total) == ("complete", 1, 9)
    assert receipt.response_commitment == commit_response(got.opening, got.body)


def test_compressed_bodies_pass_as_they_are(log: Ledger, proxy: Proxy) -> None:
    packed = gzip.compress(WHOLE)
    proxy.start(says(answer(packed, headers=("Content-Encoding: gzip",))))
    got = proxy.call(accept_encoding="br, gzip")
    assert got.body == packed
    assert proxy.upstream.seen[0].values("accept-encoding") == ["gzip"]
    receipt = only_receipt(log)
    assert receipt.response_commitment == commit_response(got.opening, WHOLE)
    assert receipt.provider_total == 9


@pytest.mark.parametrize("path", ["/openai/v1/models", "/elsewhere", "/openaix/v1/responses"])
def test_what_is_no_call_passes_untouched(log: Ledger, proxy: Proxy, path: str) -> None:
    got = proxy.start(says(answer(b"[]"))).call(path)
    assert got.status in (200, 404)
    assert "nous-receipt-id" not in got.headers
    assert not [row for row in log.receipts() if row.receipt]
    assert not log.open_intents()


async def _resets_in_the_middle(_: object, writer: asyncio.StreamWriter) -> None:
    writer.write(HALF_A_STREAM)
    await writer.drain()
    await asyncio.sleep(0.1)
    reset(writer)


async def _resets_at_once(_: object, writer: asyncio.StreamWriter) -> None:
    reset(writer)


ENDINGS: list[Any] = [
    pytest.param(_resets_in_the_middle, ("upstream_reset", 200, "none"), id="reset"),
    pytest.param(_resets_at_once, ("upstream_error", 500, "none"), id="no answer"),
    pytest.param(
        says(answer(b'{"error":{}}', status=429)), ("upstream_error", 429, "none"), id="refused"
    ),
    pytest.param(says(HALF_A_STREAM + STREAM_END), ("upstream_reset", 200, "none"), id="cut"),
    pytest.param(
        says(answer(WHOLE.replace(b'"stop"', b'"length"'))),
        ("incomplete", 200, "final"),
        id="incomplete",
    ),
]


@pytest.mark.parametrize(("script", "expected"), ENDINGS)
def test_endings(proxy: Proxy, script: Script, expected: tuple[str, int | None, str]) -> None:
    with contextlib.suppress(http.client.HTTPException, ConnectionError):
        proxy.start(script).call()
    receipt = proxy.receipt()
    assert (status(receipt), receipt.http_status, METERING.name_of(receipt.metering)) == expected


def _hang_up_after(proxy: Proxy, first: bytes) -> None:
    connection = proxy.send()
    response = connection.getresponse()
    assert response.read(len(first)) == first
    response.close()
    connection.close()


def test_the_client_hangs_up(proxy: Proxy) -> None:
    async def script(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(HALF_A_STREAM)
        await writer.drain()
        await asyncio.sleep(1)
        writer.write(b"".join(map(chunk, EVENTS[1:])) + STREAM_END)

    _hang_up_after(proxy.start(script), EVENTS[0])
    receipt = proxy.receipt()
    assert status(receipt) == "client_aborted"
    assert receipt.response_commitment is None


def test_the_client_hangs_up_on_an_application_that_does_not_listen(proxy: Proxy) -> None:
    """What the upstream bills is still counted if the application reads on."""

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            for number, event in enumerate(EVENTS):
                await send({"type": "http.response.body", "body": event, "more_body": True})
                await asyncio.sleep(0 if number else 1)
            await send({"type": "http.response.body", "body": b""})

    writer = proxy.writer("http://127.0.0.1:1")
    proxy.serve(ReceiptMiddleware(app, writer, mounts={"": "openai"}))
    _hang_up_after(proxy, EVENTS[0])
    receipt = proxy.receipt()
    assert (status(receipt), receipt.response_commitment) == ("client_aborted", None)
    assert (receipt.provider_total, receipt.metering) == (9, METERING["final"])


def test_the_client_hangs_up_after_the_last_event(proxy: Proxy) -> None:
    async def script(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(b"".join(EVENTS)))
        await writer.drain()
        await asyncio.sleep(1)

    _hang_up_after(proxy.start(script), b"".join(EVENTS))
    receipt = proxy.receipt()
    assert (status(receipt), receipt.provider_total) == ("complete", 9)


@pytest.mark.parametrize("fails", [True, False])
def test_an_application_that_fails_or_says_nothing(proxy: Proxy, fails: bool) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert (await receive())["body"] == REQUEST
            if fails:
                raise ValueError

    writer = proxy.writer("http://127.0.0.1:1")
    got = proxy.serve(ReceiptMiddleware(app, writer, mounts={"": "openai"})).call()
    assert got.status == 500
    receipt = proxy.receipt()
    assert (status(receipt), receipt.http_status) == ("gateway_interrupted", None)


def test_a_long_request_passes_without_a_commitment(log: Ledger, proxy: Proxy) -> None:
    long = json.dumps({"model": "gpt-demo", "messages": ["x" * 300_000]}).encode()
    sizes: list[int] = []

    async def app(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            more = True
            while more:
                message = await receive()
                sizes.append(len(message["body"]))
                more = message.get("more_body", False)
            headers = [(b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": WHOLE})

    writer = proxy.writer("http://127.0.0.1:1")
    middleware = ReceiptMiddleware(app, writer, mounts={"": "openai"}, max_request_bytes=1_000)
    assert proxy.serve(middleware).call(body=long).body == WHOLE
    assert sum(sizes) == len(long)
    receipt = only_receipt(log)
    assert (receipt.request_commitment, receipt.model_requested) == (None, None)
    assert receipt.anomalies == (ANOMALY["body_too_long_to_commit"],)
    assert (status(receipt), receipt.provider_total) == ("complete", 9)


def test_no_call_without_its_draft(log: Ledger, proxy: Proxy) -> None:
    proxy.start(says(answer(WHOLE)))
    log.close()
    got = proxy.call()
    assert got.status == 503
    assert json.loads(got.body)["error"]["code"] == "ledger_unavailable"
    assert proxy.upstream.seen == []


@pytest.mark.parametrize("mounts", [{"/openai/": "openai"}, {"openai": "openai"}, {"": "nobody"}])
def test_mounts_are_checked(log: Ledger, proxy: Proxy, mounts: dict[str, str]) -> None:
    async def app(scope: Message, receive: Receive, send: Send) -> None:
        pytest.fail("nobody is served while mounts are checked")

    with pytest.raises(InputError):
        ReceiptMiddleware(app, proxy.writer("http://127.0.0.1:1"), mounts=mounts)
