"""ASGI middleware: receipts of the calls that a program of one's own proxies.

    app = ReceiptMiddleware(app, writer, mounts={"/openai": "openai"})

The program forwards calls as it likes; here they are looked on from where its
clients stand. Bodies pass as they are, and the response gets the gateway's three
header fields: `nous-receipt-id`, `nous-subject` and `nous-opening`. A response ends
only when its receipt is durable.

Spec:
    PROTOCOL.md RCPT-12, COMM-1 to COMM-3.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from nous_ledger.embed.calls import EmbeddedCall
from nous_ledger.embed.targets import Target, make_target
from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.gateway import drafts
from nous_ledger.gateway.answers import LEDGER_DOWN
from nous_ledger.gateway.codings import narrow_accept_encoding
from nous_ledger.gateway.providers import Upstream
from nous_ledger.protocol.errors import InputError, LedgerError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

MAX_REQUEST_BYTES: Final = 64 * 1024 * 1024
"""Longest request that is committed to; a longer one passes, and its receipt says so."""

_GONE: Final = "http.disconnect"
# Ways of sending a file past whoever looks on.
_UNSEEN: Final = frozenset({"http.response.pathsend", "http.response.zerocopysend"})


class ReceiptMiddleware:
    """Writes a receipt of every LLM call that an ASGI application answers; for asyncio."""

    def __init__(
        self,
        app: App,
        writer: ReceiptWriter,
        *,
        mounts: Mapping[str, str],
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        """Stand before an application.

        Args:
            app: ASGI 3 application.
            writer: writes the receipts; its upstreams say where routes go.
            mounts: routes by the path prefix below which the application serves them,
                such as `{"/openai": "openai"}`; an empty prefix stands for all paths.
            max_request_bytes: longest request that is committed to.

        Raises:
            InputError: a prefix is not of this form, there is no such route, or it has
                no URL of its own and the writer knows none.
        """
        if any(prefix.endswith("/") or prefix[:1] not in ("", "/") for prefix in mounts):
            raise InputError("input", "a prefix begins with a slash and does not end with one")
        made = [(prefix, writer.targets.upstream(route)) for prefix, route in mounts.items()]
        # The longest first: one prefix may begin with another.
        self._mounts: list[tuple[str, Upstream]] = sorted(made, key=lambda m: -len(m[0]))
        self._app = app
        self._writer = writer
        self._max_bytes = max_request_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection of any kind."""
        target = self._target(scope) if scope["type"] == "http" else None
        if target is None:
            await self._app(scope, receive, send)
            return
        inbox = _Inbox(receive)
        body = await inbox.read(self._max_bytes)
        if inbox.gone:  # nothing was asked for in full, so there was no call
            await self._app(scope, inbox.receive, send)
            return
        try:
            call = await self._writer.begin_async(target, scope["headers"], body)
        except LedgerError:
            await _refuse(send, target.upstream.route.errors)
            return
        await _Exchange(self._writer, call, inbox, send).run(self._app, _readable(scope))

    def _target(self, scope: Message) -> Target | None:
        raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
        path = raw.decode("latin-1")
        for prefix, upstream in self._mounts:
            if path.startswith(f"{prefix}/"):
                below = path.removeprefix(prefix)
                return make_target(upstream, scope["method"], below, scope["query_string"])
        return None


class _Inbox:
    """What comes from the client: read once here, and given to the application again."""

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._read: deque[Message] = deque()
        self._whole = False
        self._left = asyncio.Event()

    async def read(self, max_bytes: int) -> bytes | None:
        """Return the request's body; None if it is longer, or the client left before its end."""
        pieces: list[bytes] = []
        while sum(map(len, pieces)) <= max_bytes:
            message = await self._next()
            self._read.append(message)
            if self.gone:
                return None
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                self._whole = sum(map(len, pieces)) <= max_bytes
                break
        return b"".join(pieces) if self._whole else None

    async def receive(self) -> Message:
        """Do for the application what the server's own callable does."""
        if self._read:
            return self._read.popleft()
        if not self._whole:
            return await self._next()
        await self._left.wait()
        return {"type": _GONE}

    async def watch(self) -> None:
        """Wait until the client is gone; an application need not listen for that."""
        while self._whole and not self.gone:
            await self._next()
        self._left.set()

    async def _next(self) -> Message:
        message = await self._receive()
        self.gone |= message["type"] == _GONE
        return message


class _Exchange:
    """One call while the application answers it."""

    def __init__(
        self, writer: ReceiptWriter, call: EmbeddedCall, inbox: _Inbox, send: Send
    ) -> None:
        self._writer = writer
        self._call = call
        self._inbox = inbox
        self._send = send
        self._end_shown = False

    async def run(self, app: App, scope: Message) -> None:
        """Let the application answer; however it ends there is one receipt."""
        watching = asyncio.create_task(self._inbox.watch())
        try:
            await app(scope, self._inbox.receive, self._pass)
        except Exception:
            await self._end(drafts.UPSTREAM_RESET)
            raise
        except BaseException:
            await self._end(drafts.INTERRUPTED)
            raise
        else:
            await self._end(drafts.UPSTREAM_RESET)
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching

    async def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            fields = list(message.get("headers", ()))
            self._call.answered(message["status"], fields)
            message = {**message, "headers": [*fields, *self._own_headers()]}
        elif message["type"] == "http.response.body":
            seen = not self._inbox.gone
            self._call.feed(message.get("body", b""))
            self._end_shown |= seen and self._call.told_its_end
            if not message.get("more_body", False):
                await self._end(None)
        try:
            await self._send(message)
        except OSError:  # how some servers say that the client is gone
            self._inbox.gone = True
            raise

    async def _end(self, cause: int | None) -> None:
        """Write the receipt, unless it is written.

        Args:
            cause: None if the response is whole, else what the application's silence means.
        """
        if self._inbox.gone and not self._end_shown:
            await self._writer.end_async(self._call, drafts.CLIENT_ABORTED, received=False)
        elif cause is not None and not self._call.has_answer:
            await self._writer.end_async(self._call, drafts.INTERRUPTED)
        else:
            await self._writer.end_async(self._call, cause)

    def _own_headers(self) -> list[tuple[bytes, bytes]]:
        draft = self._call.draft
        return [
            (b"nous-receipt-id", str(UUID(bytes=draft.id)).encode()),
            (b"nous-subject", draft.subject.hex().encode()),
            (b"nous-opening", self._call.opening.hex().encode()),
        ]


async def _refuse(send: Send, shape: str) -> None:
    body = LEDGER_DOWN.body(shape)
    fields = LEDGER_DOWN.headers(len(body))
    status = LEDGER_DOWN.http_status
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def _readable(scope: Message) -> Message:
    """Return the scope of a call: only what can be read is accepted, and nothing goes unseen."""
    fields = [
        (name, narrow_accept_encoding(value.decode("latin-1")).encode("latin-1"))
        if name.lower() == b"accept-encoding"
        else (name, value)
        for name, value in scope["headers"]
    ]
    offered = scope.get("extensions") or {}
    kept = {name: value for name, value in offered.items() if name not in _UNSEEN}
    return {**scope, "headers": fields, "extensions": kept}
