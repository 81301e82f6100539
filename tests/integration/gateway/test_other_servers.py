"""The gateway is an ASGI application: it serves under other servers than its own as well."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Literal
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response

from nous_ledger.gateway.app import AppConfig, Gateway
from nous_ledger.gateway.bounds import Bounder
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.replies import Reply
from nous_ledger.ledger.work import Work
from nous_ledger.protocol.receipt import Receipt
from tests.integration.gateway.rig import (
    CHAT,
    STREAM_END,
    STREAM_HEAD,
    RawUpstream,
    Seen,
    answer,
    chunk,
    says,
    status,
    stream,
)
from tests.integration.gateway.wire import BODY, DONE, HELLO, STOP


def gateway(log: Ledger, upstream: RawUpstream) -> Gateway:
    return Gateway(log, AppConfig(upstreams={"openai": upstream.url}))


@contextlib.asynccontextmanager
async def running(app: Gateway) -> AsyncIterator[None]:
    """Run an application's lifespan."""
    told: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    heard: asyncio.Queue[object] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "state": {}}, told.get, heard.put))
    await told.put({"type": "lifespan.startup"})
    await heard.get()
    yield
    await told.put({"type": "lifespan.shutdown"})
    await task


@contextlib.contextmanager
def served(app: Gateway, http: Literal["h11", "httptools"]) -> Iterator[str]:
    """Serve an application by uvicorn as it is."""
    server = uvicorn.Server(uvicorn.Config(app, http=http, lifespan="on", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield f"http://localhost:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def receipts(log: Ledger) -> list[Receipt]:
    return [row.receipt for row in log.receipts() if row.receipt is not None]


def test_a_body_that_a_server_waits_for_comes_whole(log: Ledger) -> None:
    """What waits for the rest of a body is not dropped and begun again."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b'{"model":'
        await asyncio.sleep(0.05)
        yield b'"m"}'

    async def run(upstream: RawUpstream) -> None:
        app = gateway(log, upstream)
        through = httpx.ASGITransport(app)
        async with running(app), httpx.AsyncClient(transport=through) as client:
            got = await client.post(f"http://localhost{CHAT}", content=pieces())
            assert (got.status_code, got.content) == (200, BODY)

    with RawUpstream(says(answer(BODY))) as upstream:
        asyncio.run(run(upstream))
        assert [seen.body for seen in upstream.seen] == [b'{"model":"m"}']
    assert [status(receipt) for receipt in receipts(log)] == ["complete"]


def test_a_stream_passes_through_middleware(log: Ledger) -> None:
    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    async def run(upstream: RawUpstream) -> None:
        app = gateway(log, upstream)
        through = httpx.ASGITransport(BaseHTTPMiddleware(app, pass_on))
        async with running(app), httpx.AsyncClient(transport=through) as client:
            got = await client.post(f"http://localhost{CHAT}", json={"stream": True})
            assert (got.status_code, got.content) == (200, HELLO + STOP + DONE)

    with RawUpstream(says(stream(HELLO, STOP, DONE))) as upstream:
        asyncio.run(run(upstream))
    assert [status(receipt) for receipt in receipts(log)] == ["complete"]


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_who_hangs_up_is_noticed_under_any_server(
    log: Ledger, http: Literal["h11", "httptools"]
) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunk(HELLO))
        await writer.drain()
        await asyncio.sleep(0.2)
        writer.write(chunk(STOP) + chunk(DONE) + STREAM_END)

    with RawUpstream(script) as upstream, served(gateway(log, upstream), http) as url:
        got = httpx.post(url + CHAT, json={"stream": True})
        assert (got.status_code, got.content) == (200, HELLO + STOP + DONE)
        parts = urlsplit(url)
        with socket.create_connection(("127.0.0.1", parts.port or 0)) as client:
            asking = b'{"stream":true}'
            head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(asking)}"
            client.sendall(head.encode() + b"\r\n\r\n" + asking)
            assert client.recv(65_536)
        until = time.monotonic() + 10
        while len(receipts(log)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert [status(receipt) for receipt in receipts(log)] == ["complete", "client_aborted"]
    assert receipts(log)[1].response_commitment is None


@pytest.mark.parametrize("stage", ["intent", "labels"])
def test_a_call_that_a_server_cancels_has_its_receipt(
    log: Ledger, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    send_all = Ledger.send_all
    reached = threading.Event()

    def send_late(ledger: Ledger, group: Sequence[tuple[Work, Reply]]) -> None:
        reached.set()
        threading.Timer(0.3, send_all, (ledger, group)).start()

    async def label(*_: object) -> None:
        reached.set()
        await asyncio.sleep(60)

    if stage == "intent":
        monkeypatch.setattr(Ledger, "send_all", send_late)
    else:
        monkeypatch.setattr(Bounder, "label", label)

    async def run(upstream: RawUpstream) -> None:
        app = gateway(log, upstream)
        through = httpx.ASGITransport(app)
        async with running(app), httpx.AsyncClient(transport=through) as client:
            call = asyncio.create_task(client.post(f"http://localhost{CHAT}", json={}))
            await asyncio.to_thread(reached.wait)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert log.open_intents() == ()

    with RawUpstream(says(answer(BODY))) as upstream:
        asyncio.run(run(upstream))
    assert [status(receipt) for receipt in receipts(log)] == ["gateway_interrupted"]
