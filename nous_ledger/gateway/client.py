"""The client's side of one call: its request body, its response, its hanging up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from nous_ledger.gateway.headers import RawHeaders

_log: Final = logging.getLogger("nous_ledger.gateway")

LINE: Final = "nous_ledger.line"
"""Where the scope of a request has its `Line`, if the server is ours."""
NOTES: Final = "nous_ledger.notes"
"""Where it has the `Notes` on its head, if the server knows the head again."""
BODY: Final = "nous_ledger.body"
"""Where it has the body, if that has come whole."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
SendWhole = Callable[[Scope, int, RawHeaders, bytes], bool]
"""Sends status, fields and body; returns False, having done nothing, if that cannot be done."""
SendPart = Callable[[Scope, bytes], bool]
"""Sends a part of a body likewise."""


class ClientGoneError(Exception):
    """The client hung up before its request was whole."""


class BodyTooLargeError(Exception):
    """The request body is longer than the gateway accepts."""


class Notes:
    """What was found out of the head of a request; requests with the same head share it.

    Attributes:
        found: whatever follows from method, target and fields alone, but for the length
            of the body.
    """

    __slots__ = ("found",)

    def __init__(self) -> None:
        """Know nothing yet."""
        self.found: object = None


class Line:
    """A connection, as far as calls need to know of it.

    Attributes:
        lost: it stands no longer.
        on_lost: called once when that is noticed.
        send_whole: sends a whole response in one go, if the server can do that.
        send_part: sends a part of a body in one go, likewise.
    """

    __slots__ = ("lost", "on_lost", "send_part", "send_whole")

    def __init__(
        self, send_whole: SendWhole | None = None, send_part: SendPart | None = None
    ) -> None:
        """Stand."""
        self.lost = False
        self.on_lost: Callable[[], None] | None = None
        self.send_whole = send_whole
        self.send_part = send_part

    def hang_up(self) -> None:
        """Note that the connection is gone."""
        self.lost = True
        self.send_whole = self.send_part = None  # else only the collector would part the two
        if (on_lost := self.on_lost) is not None:
            on_lost()


class Client:
    """One client waiting for one response.

    Attributes:
        gone: the client has hung up; what is sent from then on goes nowhere.
        on_gone: called once when that is noticed.
    """

    __slots__ = ("_body", "_line", "_receive", "_scope", "_send", "_watch", "gone", "on_gone")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap the two ends of an ASGI call."""
        self.on_gone: Callable[[], None] | None = None
        self._receive = receive
        self._send = send
        self._scope = scope
        self._body: bytes | None = scope.pop(BODY, None)
        self._line: Line = scope.get(LINE) or Line()
        self._watch: asyncio.Task[None] | None = None  # where the server has no lines
        self._line.on_lost = self.lost
        self.gone = self._line.lost

    def body_at_hand(self, limit: int) -> bytes | None:
        """Return the request body if it has come whole and is short enough, else None.

        Args:
            limit: most bytes.
        """
        body, self._body = self._body, None
        return body if body is not None and len(body) <= limit and not self.gone else None

    async def read_body(self, limit: int, silence_s: float) -> bytes:
        """Return the whole request body.

        Args:
            limit: most bytes.
            silence_s: most seconds between two pieces.

        Raises:
            BodyTooLargeError: it has, or says that it has, more than `limit` bytes.
            ClientGoneError: the client hung up first.
            TimeoutError: it stopped in the middle.
        """
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value[:20]) > limit:
                raise BodyTooLargeError
        pieces: list[bytes] = []
        while True:
            message = self._at_hand() if LINE in self._scope else None
            if message is None:
                async with asyncio.timeout(silence_s):
                    message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            pieces.append(message.get("body", b""))
            limit -= len(pieces[-1])
            if limit < 0:
                raise BodyTooLargeError
            if not message.get("more_body"):
                if LINE not in self._scope:
                    self._watch = asyncio.create_task(self._wait_for_hang_up())
                return b"".join(pieces)

    def _at_hand(self) -> Message | None:
        """Return the next message if it has come; most requests have come whole.

        Only for a server of ours: what others do while they wait may not bear to be dropped.
        """
        step: Any = self._receive()
        try:
            step.send(None)
        except StopIteration as over:
            message: Message = over.value
            return message
        step.close()  # it would have waited
        return None

    async def _wait_for_hang_up(self) -> None:
        if (await self._receive())["type"] == "http.disconnect":
            self.lost()

    def close(self) -> None:
        """Take no more notice of the connection, which may serve another call."""
        self._line.on_lost = None
        if self._watch is not None:
            self._watch.cancel()

    async def answer(self, status: int, headers: RawHeaders, body: bytes) -> None:
        """Send a whole response."""
        send = self._line.send_whole
        if self.gone or (send and send(self._scope, status, headers, body)):
            return
        await self.start(status, headers)
        await self.finish(body)

    async def start(self, status: int, headers: RawHeaders) -> None:
        """Send the head of the response."""
        await self._deliver({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, data: bytes) -> None:
        """Send a part of the body; returns when the connection can take more."""
        if data and not self.send_at_once(data):
            await self._deliver({"type": "http.response.body", "body": data, "more_body": True})

    def send_at_once(self, data: bytes) -> bool:
        """Send a part of the body if the connection can take it now; return whether it did.

        Args:
            data: the part; of an empty one it is only seen whether one could be sent.
        """
        send = self._line.send_part
        return send is not None and not self.gone and send(self._scope, data)

    async def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._deliver({"type": "http.response.body", "body": data, "more_body": False})

    def lost(self) -> None:
        """Note that the client is gone."""
        if not self.gone:
            self.gone = True
            if self.on_gone is not None:
                self.on_gone()

    async def _deliver(self, message: Message) -> None:
        if self.gone:
            return
        try:
            await self._send(message)
        except OSError:  # how servers say that the connection is lost
            self.lost()
        except Exception as error:  # noqa: BLE001 - a server's objection costs no receipt
            _log.error("a response cannot be sent on: %s", type(error).__name__)
            self.lost()
