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
from nous_ledger.gateway.client import BODY, LINE, NOTES, Line, Notes, Scope
from nous_ledger.gateway.headers import RawHeaders
from nous_ledger.gateway.repeated import RepeatedHead, learn_head
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


class _WholeCycle(RequestResponseCycle):
    """Serves a request that came whole, over a connection that is kept."""

    disconnected = False
    keep_alive = True
    waiting_for_100_continue = False
    more_body = False
    response_started = False
    response_complete = False
    chunked_encoding = None
    expected_content_length = 0

    def __init__(self, connection: Connection, scope: Scope, body: bytes) -> None:
        self.scope = scope  # type: ignore[assignment]
        self.transport = connection.transport
        self.flow = connection.flow
        self.logger = connection.logger
        self.access_logger = connection.access_logger
        self.access_log = connection.access_log
        self.default_headers = connection.server_state.default_headers
        self.on_response = connection.on_response_complete
        self.body = body  # type: ignore[assignment]
        self.message_event = asyncio.Event()
        self.message_event.set()


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
        self.line = Line(self._send_whole, self._send_part)
        self._peers = peers
        self._peer: str | None = None
        self._head_s = head_s
        self._head_due: asyncio.TimerHandle | None = None
        self._in_head = False
        self._unread = 0  # bytes since the last that were a head's end or of a body
        self._requests = 0  # that have begun
        self._between = True  # the parser waits for the beginning of a request
        self._known: RepeatedHead | None = None
        self._last_head: object = None  # what of it matters, and the notes on it
        self._repeats = False  # it was that of the request before, too
        self._notes = Notes()
        self._rests_since: float | None = None  # when the last response ended, if nothing came yet

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
        self._leave()

    def handle_websocket_upgrade(self) -> None:
        """Let another protocol refuse the session, unless a call is under way here.

        That protocol ends the connection at once, and this one does not get to know.
        """
        if self._answered():
            self._leave()
            super().handle_websocket_upgrade()
        else:
            self.transport.close()

    def _leave(self) -> None:
        """Have no more to do with a connection: whoever counts or waits for it is told."""
        self._stop_waiting()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        if self._peer is not None:
            self._peers.go(self._peer)
            self._peer = None
        self._known = self._last_head = None
        self._notes = Notes()
        self.line.hang_up()

    def data_received(self, data: bytes) -> None:
        """Take bytes; see that a head ends."""
        known = self._known
        cycle: RequestResponseCycle | None = self.cycle
        if known and cycle and self._between and cycle.response_complete:
            found = known.body_of(data)
            if found is not None and not self.transport.is_closing():
                self._start_again(known, *found)
                return
        self._unread += len(data)
        between, requests = self._between, self._requests
        super().data_received(data)
        if self._unread > MAX_HEAD_BYTES:
            self._refuse(_TOO_LONG)
        elif self._in_head:
            if self._head_due is None:
                self._head_due = self.loop.call_later(self._head_s, self._refuse, _LATE)
        elif between and self._between and self._requests == requests + 1:
            self._learn(data, cycle)
        elif requests and cycle is self.cycle and self._answered():
            self._rest()  # what came belongs to nothing that anybody waits for

    def on_message_begin(self) -> None:
        """Start the head of a request."""
        super().on_message_begin()
        self._in_head = True
        self._between = False
        self._requests += 1

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
            scope[NOTES] = self._notes_on(scope)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._unread = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; its client may hang up from now on, which only reading tells."""
        self._unread = 0
        self._between = True
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Go on with the next request, or wait for one, as uvicorn does with a timer for each."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.cycle.body = bytearray()
        self.flow.resume_reading()
        self._rest()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if nothing came for as long as it is kept."""
        self.timeout_keep_alive_task = None
        if self._rests_since is None:
            return  # it waits again when the response has ended
        left = self._rests_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._wait_for_request(left)
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._rests_since = None

    def _rest(self) -> None:
        self._rests_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._wait_for_request(self.timeout_keep_alive)

    def _wait_for_request(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def _notes_on(self, scope: Scope) -> Notes:
        """Return the notes on a request's head; the same as before if the head is the same."""
        fields = tuple([field for field in scope["headers"] if field[0] != b"content-length"])
        head = (scope["method"], scope["raw_path"], scope["query_string"], fields)
        self._repeats = head == self._last_head
        if not self._repeats:
            self._last_head, self._notes = head, Notes()
        return self._notes

    def _learn(self, data: bytes, before: RequestResponseCycle | None) -> None:
        """Know the head of a request again, which came whole and alone, and not for the first time.

        Where every head is another one, this costs nothing.
        """
        cycle: RequestResponseCycle = self.cycle
        self._known = None
        if not self._repeats or cycle is before:
            return
        if cycle.keep_alive and self.limit_concurrency is None:
            scope: Scope = cycle.scope  # type: ignore[assignment]
            self._known = learn_head(data, scope)

    def _start_again(self, known: RepeatedHead, length: bytes, body: bytes) -> None:
        """Start a request whose head is known, as the parser would.

        Args:
            known: its head.
            length: digits of the length of its body.
            body: all of it.
        """
        self._rests_since = None
        self.headers = []
        scope = known.scope(length)
        scope["state"] = self.app_state.copy()
        scope["trailers"] = self.headers
        scope[BODY] = body
        self.scope = scope  # type: ignore[assignment]
        self.cycle = cycle = _WholeCycle(self, scope, body)
        self._start_asgi_task(cycle, self.app)

    def _send_whole(self, scope: Scope, status: int, headers: RawHeaders, body: bytes) -> bool:
        """Send a whole response as the cycle would, in one go; False if it needs more than that.

        Args:
            scope: the request's.
            status: a final status.
            headers: fields, names in lower case.
            body: all of it.
        """
        cycle: RequestResponseCycle = self.cycle
        fields, count = dict(headers), len(headers)
        lines = b"\r\n".join(map(b": ".join, headers))
        if (
            cycle.scope is not scope  # a request that was sent ahead has come meanwhile
            or cycle.response_started
            or cycle.disconnected
            or self.flow.write_paused
            or self.server_state.default_headers
            or scope["method"] == "HEAD"
            or len(body) > _IN_ONE_GO
            or fields.get(b"content-length") != b"%d" % len(body)
            or not _BODY_ALONE.isdisjoint(fields)
            or len(fields) != count
            or not lines.count(b"\r") == lines.count(b"\n") == count - 1
        ):
            return False
        end = b"\r\n\r\n" if cycle.keep_alive else b"\r\nconnection: close\r\n\r\n"
        self.transport.write(b"".join((STATUS_LINE[status], lines, end, body)))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()
        return True

    def _send_part(self, scope: Scope, data: bytes) -> bool:
        """Send a part of a body as the cycle would; False if it needs more than that.

        Args:
            scope: the request's.
            data: the part; of an empty one it is only seen whether one could be sent.
        """
        cycle: RequestResponseCycle = self.cycle
        if (
            cycle.scope is not scope  # a request that was sent ahead has come meanwhile
            or not cycle.chunked_encoding
            or cycle.response_complete
            or cycle.disconnected
            or self.flow.write_paused
            or scope["method"] == "HEAD"
        ):
            return False
        if data:
            self.transport.write(b"%x\r\n%b\r\n" % (len(data), data))
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
