"""The client's side of one call: its request body, its response, its hanging up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from nous_ledger.gateway.headers import RawHeaders, header

_log: Final = logging.getLogger("nous_ledger.gateway")

_UNWATCHED_S: Final = 0.05
_MESSAGES_IN_HAND: Final = 3
"""More than a server can have: the end of the request, and that the client hung up."""

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class ClientGoneError(Exception):
    """The client hung up before its request was whole."""


class BodyTooLargeError(Exception):
    """The request body is longer than the gateway accepts."""


class Client:
    """One client waiting for one response.

    Attributes:
        gone: the client has hung up; what is sent from then on goes nowhere.
        on_gone: called once when that is noticed.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap the two ends of an ASGI call."""
        self.headers: RawHeaders = list(scope["headers"])
        self.gone = False
        self.on_gone: Callable[[], None] | None = None
        self._receive = receive
        self._send = send
        self._soon: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

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
        announced = header(self.headers, b"content-length") or "0"
        if announced.isdecimal() and int(announced[:20]) > limit:
            raise BodyTooLargeError
        body = bytearray()
        while True:
            async with asyncio.timeout(silence_s):
                message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            body += message.get("body", b"")
            if len(body) > limit:
                raise BodyTooLargeError
            if not message.get("more_body"):
                return bytes(body)

    def watch(self) -> None:
        """Notice from now on when the client hangs up; `close` ends this.

        Most calls are over sooner than a task would be worth its while, so it starts a
        little later; `look` tells what happened until then.
        """
        self._soon = asyncio.get_running_loop().call_later(_UNWATCHED_S, self._start_watching)

    def look(self) -> None:
        """Notice now if the client has hung up."""
        for _ in range(_MESSAGES_IN_HAND):
            if self.gone or self._watcher is not None:
                return
            step: Any = self._receive()
            try:
                step.send(None)
            except StopIteration as over:  # a message was there
                if over.value["type"] == "http.disconnect":
                    self.lost()
            else:  # it would have waited for one
                step.close()
                return

    def close(self) -> None:
        """Stop watching."""
        if self._soon is not None:
            self._soon.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

    def _start_watching(self) -> None:
        self._watcher = asyncio.create_task(self._watch())

    async def start(self, status: int, headers: RawHeaders) -> None:
        """Send the head of the response."""
        await self._deliver({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, data: bytes) -> None:
        """Send a part of the body; returns when the connection can take more."""
        if data:
            await self._deliver({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body."""
        await self._deliver({"type": "http.response.body", "body": data, "more_body": False})

    def lost(self) -> None:
        """Note that the client is gone."""
        if not self.gone:
            self.gone = True
            if self.on_gone is not None:
                self.on_gone()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.lost()

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
