"""A client's connection as the server has it: what uvicorn does, and what a gateway needs more.

Nobody can hold more than so many connections, or take for ever to say what it wants: a
request's head must be whole in time, and what is not yet a part of a body is bounded.
(How long a body may be, and how long it may fall silent, is seen to where it is read.)
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from nous_ledger.gateway.admission import peer_name
from nous_ledger.gateway.client import LINE, WHOLE, Line, Scope
from nous_ledger.gateway.headers import RawHeaders
from nous_ledger.gateway.upstream import Limits

MAX_HEAD_BYTES: Final = 256 * 1024
"""Most bytes of a request that bring no part of its body: its head, or fields after it."""

_IN_ONE_GO: Final = 64 * 1024
_BODY_ALONE: Final = frozenset({b"connection", b"transfer-encoding"})
"""Fields that a response must not have to be its fields, an empty line and its body."""

_LATE: Final = b"408 Request Timeout"
_TOO_LONG: Final = b"431 Request Header Fields Too Large"

_log: Final = logging.getLogger("nous_ledger.gateway")


class Peers:
    """How many connections each peer has."""

    def __init__(self, most: int) -> None:
        """Start with none; nobody gets more than `most`."""
        self._most = most
        self._counts: Counter[str] = Counter()
        self._warned: set[str] = set()

    def come(self, peer: str) -> bool:
        """Count a connection, unless its peer has all that it may."""
        if self._counts[peer] >= self._most:
            if peer not in self._warned:
                self._warned.add(peer)
                _log.warning("%s has %s connections and gets no more", peer, self._most)
            return False
        self._counts[peer] += 1
        return True

    def go(self, peer: str) -> None:
        """Count a connection no longer."""
        self._counts[peer] -= 1
        if not self._counts[peer]:
            del self._counts[peer]
            self._warned.discard(peer)


class Connection(HttpToolsProtocol):
    """One connection: bounds what comes, says when it is lost, and keeps late fields apart.

    Fields that come after a body would join the header fields or not, by the chance of
    how the bytes arrive. The scope has them as `trailers`.
    """

    def __init__(self, *arguments: Any, peers: Peers, head_s: float, **more: Any) -> None:  # noqa: ANN401 - uvicorn's
        """Prepare.

        Args:
            arguments: uvicorn's.
            peers: who has how many connections.
            head_s: seconds in which the head of a request must come.
            more: uvicorn's.
        """
        super().__init__(*arguments, **more)
        self.line = Line()
        self._peers = peers
        self._peer: str | None = None
        self._head_s = head_s
        self._head_due: asyncio.TimerHandle | None = None
        self._in_head = False
        self._unread = 0  # bytes since the last that were a head's end or of a body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start a connection, unless its peer has too many."""
        super().connection_made(transport)
        peer = peer_name(self.client)
        if not self._peers.come(peer):
            transport.abort()
            return
        self._peer = peer
        self._head_due = self.loop.call_later(self._head_s, self._refuse, _LATE)

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection, and tell the call that it serves."""
        super().connection_lost(exc)
        self._stop_waiting()
        if self._peer is not None:
            self._peers.go(self._peer)
            self._peer = None
        if self.scope is not None:  # else only the collector would part the two
            self.scope.pop(WHOLE, None)  # type: ignore[typeddict-item]
        self.line.hang_up()

    def data_received(self, data: bytes) -> None:
        """Take bytes; see that a head ends."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES:
            self._refuse(_TOO_LONG)
        elif self._in_head and self._head_due is None:
            self._head_due = self.loop.call_later(self._head_s, self._refuse, _LATE)

    def on_message_begin(self) -> None:
        """Start the head of a request."""
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Start the request; what is still to come goes elsewhere."""
        self._in_head = False
        self._unread = 0
        if self._head_due is not None:
            self._stop_waiting()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # no upgrade, which reads them once more
            self.headers = []
            scope: Scope = self.scope  # type: ignore[assignment]
            scope["trailers"] = self.headers
            scope[LINE] = self.line
            scope[WHOLE] = self._send_whole

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; its client may hang up from now on, which only reading tells."""
        self._unread = 0
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    def _send_whole(self, scope: Scope, status: int, headers: RawHeaders, body: bytes) -> bool:
        """Send a whole response as the cycle would, in one go; False if it needs more than that.

        Args:
            scope: the request's.
            status: a final status.
            headers: fields, names in lower case.
            body: all of it.
        """
        cycle: RequestResponseCycle = self.cycle
        fields = dict(headers)
        head = b"\r\n".join([b"%b: %b" % field for field in headers])
        ends = len(headers) - 1
        if (
            cycle.scope is not scope  # a request that was sent ahead has come meanwhile
            or cycle.response_started
            or cycle.disconnected
            or self.flow.write_paused
            or self.server_state.default_headers
            or cycle.scope["method"] == "HEAD"
            or len(body) > _IN_ONE_GO
            or fields.get(b"content-length") != b"%d" % len(body)
            or not _BODY_ALONE.isdisjoint(fields)
            or len(fields) < len(headers)
            or head.count(b"\r") != ends
            or head.count(b"\n") != ends
        ):
            return False
        end = b"\r\n\r\n" if cycle.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], head, end, body)))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def _stop_waiting(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _answered(self) -> bool:
        """Return whether every request that was whole has its response."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _refuse(self, status: bytes) -> None:
        """Close the connection; say why if a request has begun and nothing else is answered."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self._in_head and self._answered():
            self.transport.write(
                b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status
            )
        self.transport.close()


def make_connections(limits: Limits) -> Callable[..., Connection]:
    """Return what makes the connections of one server.

    Args:
        limits: how many each peer may have, and how long a head may take.
    """
    peers = Peers(limits.max_peer_connections)

    def make(*arguments: Any, **more: Any) -> Connection:  # noqa: ANN401 - uvicorn's
        return Connection(*arguments, peers=peers, head_s=limits.head_s, **more)

    return make
