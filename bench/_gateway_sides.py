"""The three processes of `bench/gateway.py`: an upstream, the gateway, and a bare pass-through.

    python -m bench._gateway_sides upstream
    python -m bench._gateway_sides gateway FOLDER UPSTREAM
    python -m bench._gateway_sides bare UPSTREAM

Each prints its base URL. For every line on stdin it prints the CPU time that the whole
process, all threads, has used until then, in nanoseconds; when stdin ends, so does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

EVENTS: Final = 203
PACE_S: Final = 0.01
FIRST_S: Final = 0.2

USAGE: Final = {
    "prompt_tokens": 9,
    "completion_tokens": 200,
    "total_tokens": 209,
    "completion_tokens_details": {"reasoning_tokens": 0},
}
BODY: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-bench",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "word " * 40},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
).encode()


def stream_events() -> list[bytes]:
    """Return the events of one stream of chat completions that tells its usage."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-bench"}

    def event(choices: list[object], **more: object) -> bytes:
        return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"

    words = [
        event([{"index": 0, "delta": {"content": f"word{n} "}, "finish_reason": None}])
        for n in range(EVENTS - 3)
    ]
    stop = event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    return [*words, stop, event([], usage=USAGE), b"data: [DONE]\n\n"]


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


_EVENTS: Final = [_chunk(event) for event in stream_events()]
_PLAIN: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req-1\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
)
_STREAM: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: req-1\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_END: Final = b"0\r\n\r\n"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection; the path's last part says what is wanted."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            _, _, rest = head.partition(b"content-length: ")
            body = await reader.readexactly(int(rest.partition(b"\r\n")[0] or 0))
            if b'"paced: ' in body:
                await asyncio.sleep(FIRST_S)
                writer.write(_STREAM)
                for event in _EVENTS[:20]:
                    writer.write(event)
                    await asyncio.sleep(PACE_S)
                writer.write(b"".join(_EVENTS[-3:]) + _END)
            elif b'"stream": true' in body or b'"stream":true' in body:
                writer.write(_STREAM)
                for event in _EVENTS:
                    writer.write(event)
                    await asyncio.sleep(0)
                writer.write(_END)
            else:
                writer.write(_PLAIN)
            await writer.drain()
    writer.close()


async def _serve_upstream() -> None:
    server = await asyncio.start_server(_answer, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


_DROPPED: Final = frozenset(
    {b"connection", b"keep-alive", b"transfer-encoding", b"te", b"trailer", b"upgrade", b"host"}
)


def bare_app(upstream: str) -> Callable[..., Any]:
    """Return a pass-through with nothing in it, on the gateway's own stack."""
    import aiohttp  # noqa: PLC0415 - only this side needs it
    from multidict import CIMultiDict  # noqa: PLC0415
    from yarl import URL  # noqa: PLC0415

    sessions: list[aiohttp.ClientSession] = []

    async def pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        async for piece in response.content.iter_any():
            yield piece

    async def app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                sessions.append(
                    aiohttp.ClientSession(
                        connector=aiohttp.TCPConnector(limit=0),
                        auto_decompress=False,
                        cookie_jar=aiohttp.DummyCookieJar(),
                    )
                )
                await send({"type": "lifespan.startup.complete"})
            assert message
            await sessions[0].close()
            await send({"type": "lifespan.shutdown.complete"})
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in _DROPPED
        )
        path = scope["raw_path"].decode("latin-1").removeprefix("/openai")
        async with sessions[0].request(
            scope["method"],
            URL(upstream + path, encoded=True),
            headers=headers,
            data=io.BytesIO(body),
            allow_redirects=False,
        ) as response:
            fields = [
                (name.lower(), value)
                for name, value in response.raw_headers
                if name.lower() not in _DROPPED
            ]
            start = {"type": "http.response.start", "status": response.status, "headers": fields}
            await send(start)
            async for piece in pieces(response):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def _run_bare(upstream: str) -> None:
    import uvicorn  # noqa: PLC0415

    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            bare_app(upstream),
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _run_gateway(folder: str, upstream: str) -> None:
    from nous_ledger.gateway.app import AppConfig  # noqa: PLC0415
    from nous_ledger.gateway.logs import log_to_stderr  # noqa: PLC0415
    from nous_ledger.gateway.server import GatewayConfig, run_gateway  # noqa: PLC0415
    from nous_ledger.ledger import Ledger  # noqa: PLC0415

    log_to_stderr("text", str)
    config = GatewayConfig(port=0, app=AppConfig(upstreams={"openai": upstream}))
    with Ledger.create(folder, next_key_out=None) as ledger:
        run_gateway(ledger, config, ready=lambda url: print(url, flush=True))


def _tell_cpu_time() -> None:
    profile = os.environ.get("BENCH_PROFILE")
    for _ in sys.stdin:
        print(time.process_time_ns(), flush=True)
    if profile:
        os.kill(os.getpid(), 2)
        return
    os._exit(0)


def main(role: str, *arguments: str) -> None:
    """Run one side until stdin ends."""
    threading.Thread(target=_tell_cpu_time, daemon=True).start()
    if role == "upstream":
        asyncio.run(_serve_upstream())
    elif role == "bare":
        _run_bare(*arguments)
    else:
        _run_gateway(*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
