"""A stand-in for OpenAI and Anthropic on this machine, for the demo and the tests.

It speaks their wire formats (`demo_wire`) under `/v1/chat/completions`,
`/v1/responses`, `/v1/models` and `/v1/messages`, asks for a key as they do,
compresses whole bodies for who accepts it, and acts out by model name:

    …-tools   the answer calls a tool          …-bad     400
    …-think   hidden reasoning is billed       …-busy    429
    …-long    cut short by the length limit    …-error   an error event within the stream
    …-break   the stream breaks off            …-slow    the stream takes its time
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Final

from nous_ledger.cli import demo_wire as wire
from nous_ledger.cli.demo_wire import Json, Task
from nous_ledger.gateway.server import ServerThread

SLOW_EVENT_S: Final = 0.05
"""Seconds between two events of a slow stream."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_FORMATS: Final[dict[str, tuple[Callable[[Task], Json], Callable[[Task], Iterator[bytes]]]]] = {
    "/v1/chat/completions": (wire.chat_body, wire.chat_events),
    "/v1/responses": (wire.response_body, wire.response_events),
    "/v1/messages": (wire.message_body, wire.message_events),
}
_REFUSALS: Final[dict[str, tuple[int, str, str, str]]] = {
    "bad": (400, "The model does not take this request.", "invalid_request_error", "bad_request"),
    "busy": (429, "Too many requests, slow down.", "rate_limit_error", "rate_limit_exceeded"),
}


class DemoUpstream(ServerThread):
    """The stand-in, served by a thread on a free port of loopback."""

    def __init__(self) -> None:
        """Prepare to serve."""
        super().__init__(serve_upstream)


async def serve_upstream(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request; an ASGI 3 application."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    answer = _Answer(scope, send)
    body = await _read(receive)
    path: str = scope["path"]
    if not answer.has_key:
        await answer.refuse(401, "No API key was provided.", "authentication_error", None)
    elif path == "/v1/models":
        model = {"id": "gpt-demo", "object": "model", "created": wire.CREATED, "owned_by": "demo"}
        await answer.whole(200, {"object": "list", "data": [model]})
    elif path not in _FORMATS or scope["method"] != "POST":
        await answer.refuse(404, f"There is no {path}.", "not_found_error", None)
    else:
        await _call(answer, path, Task.of(json.loads(body)))


async def _call(answer: _Answer, path: str, task: Task) -> None:
    if task.scenario in _REFUSALS:
        await answer.refuse(*_REFUSALS[task.scenario])
        return
    make_body, make_events = _FORMATS[path]
    if not task.stream:
        await answer.whole(200, make_body(task))
        return
    events = list(make_events(task))
    if task.scenario == "error":
        events[len(events) // 2 :] = [answer.error_event()]
    if task.scenario == "break":
        await answer.stream(events[: len(events) // 2], ends=False)
    else:
        await answer.stream(events, pause=SLOW_EVENT_S if task.scenario == "slow" else 0)


class _Answer:
    """One response on its way out."""

    def __init__(self, scope: MutableMapping[str, Any], send: Send) -> None:
        self._send = send
        fields = dict(scope["headers"])
        self._anthropic = scope["path"].startswith("/v1/messages")
        self._gzip = b"gzip" in fields.get(b"accept-encoding", b"")
        self.has_key = bool(fields.get(b"x-api-key") or fields.get(b"authorization"))

    async def refuse(self, status: int, message: str, kind: str, code: str | None) -> None:
        """Answer with an error in the provider's shape."""
        if self._anthropic:
            await self.whole(*wire.anthropic_error(status, message, kind))
        else:
            await self.whole(*wire.openai_error(status, message, kind, code))

    async def whole(self, status: int, body: Json) -> None:
        """Answer with a whole body."""
        data = json.dumps(body, ensure_ascii=False, indent=2).encode()
        headers = [(b"content-type", b"application/json")]
        if self._gzip:
            data = gzip.compress(data, mtime=0)
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", str(len(data)).encode()))
        await self._start(status, headers)
        await self._send({"type": "http.response.body", "body": data})

    async def stream(self, events: list[bytes], *, pause: float = 0, ends: bool = True) -> None:
        """Answer with events; a stream that does not end breaks off."""
        await self._start(200, [(b"content-type", b"text/event-stream; charset=utf-8")])
        for event in events:
            await self._send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(pause)
        if ends:
            await self._send({"type": "http.response.body"})

    def error_event(self) -> bytes:
        """Return an error as an event within a stream."""
        if self._anthropic:
            _, error = wire.anthropic_error(529, "Overloaded", "overloaded_error")
            return b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n"
        _, error = wire.openai_error(500, "The server had an error.", "server_error", None)
        flat = {"type": "error", "sequence_number": 0, **error["error"], **error}
        return b"data: " + json.dumps(flat).encode() + b"\n\n"

    async def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        name = b"request-id" if self._anthropic else b"x-request-id"
        fields = [*headers, (name, b"req_demo")]
        await self._send({"type": "http.response.start", "status": status, "headers": fields})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _read(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            return bytes(body)
