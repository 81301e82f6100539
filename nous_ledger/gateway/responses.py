"""Responses to plain requests, read off connections of the client library's pool.

The library hands every chunk of a stream through a queue of its own, from which it is
taken chunk by chunk. A stream has hundreds, and nobody needs to know where one ended. So
while a plain request is under way, what its connection brings is read here, with the
parser that the server's side uses; at all other times the library's own protocol has it.

What the parser lets pass is what it lets pass in the library: spaces and control
characters in the wrong places, which upstreams are known to send.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import httptools
from aiohttp.connector import Connection
from aiohttp.helpers import HeadersMixin
from aiohttp.tracing import Trace
from multidict import CIMultiDict, CIMultiDictProxy

from nous_ledger.gateway.headers import RawHeaders

MAX_HEAD_BYTES: Final = 256 * 1024
"""Most bytes of a response that bring no part of its body."""
MAX_HELD_BYTES: Final = 128 * 1024
"""Bytes of a body that wait to be taken, after which no more is read for a while."""
MAX_FIELDS: Final = 256

_MAX_UNUSABLE: Final = 16
"""Connections that are tried for one request."""
_INFORMATIONAL: Final = range(100, 200)
_SWITCHED: Final = 101


class DirectResponse(HeadersMixin):
    """The response to one request.

    Attributes:
        status: its status; 0 until its head has come.
        headers: its fields as text.
        raw_headers: its fields as they came.
    """

    def __init__(self, connection: Connection, reader: Reader, silence_s: float) -> None:
        """Wait for a response; the request is written next.

        Args:
            connection: from the pool.
            reader: what reads it.
            silence_s: most seconds between two arrivals.
        """
        self.status = 0
        self.headers: CIMultiDict[str] = CIMultiDict()
        self.raw_headers: RawHeaders = []
        self._connection: Connection | None = connection
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._silence_s = silence_s
        self._heard = self._loop.time()
        self._timer = self._loop.call_later(silence_s, self._check_silence)
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._paused = False
        self._complete = False
        self._error: Exception | None = None

    async def wait_for_head(self) -> None:
        """Return when the head has come.

        Raises:
            aiohttp.ClientError, OSError: there will be none.
            TimeoutError: nothing came in time.
        """
        while not self.status:
            if self._error is not None:
                raise self._error
            await self._wait()

    def at_once(self) -> bytes | None:
        """Return the body if all of it has come, else None."""
        return self._taken() if self._complete and self._error is None else None

    async def next_piece(self) -> bytes:
        """Return what has come of the body since the last time; nothing at its end.

        Raises:
            aiohttp.ClientError, OSError: it broke off; what came before was returned.
            TimeoutError: it fell silent.
        """
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._complete:
                return b""
            await self._wait()
        return self._taken()

    def close(self) -> None:
        """Take no more; a connection whose response was not read to its end is of no use."""
        self._end(reusable=False)

    # What follows is called by the reader.

    def head(self, status: int, raw_headers: RawHeaders) -> None:
        """Take the head."""
        self.status, self.raw_headers = status, raw_headers
        self.headers = CIMultiDict(
            [
                (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
                for name, value in raw_headers
            ]
        )
        self._headers = CIMultiDictProxy(self.headers)  # where the mixin looks

    def heard(self) -> None:
        """Note that something came, and wake who waits for it."""
        self._heard = self._loop.time()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def body(self, data: bytes) -> None:
        """Take a part of the body; stop reading if too much waits."""
        self._pieces.append(data)
        self._held += len(data)
        if self._held > MAX_HELD_BYTES and not self._paused:
            self._paused = True
            self._reader.transport.pause_reading()

    def complete(self, *, reusable: bool) -> None:
        """Take that all of it has come."""
        self._complete = True
        self._end(reusable=reusable)
        self.heard()

    def fail(self, error: Exception) -> None:
        """Take that no more will come."""
        if not self._complete:
            self._error = self._error or error
            self._end(reusable=False)
            self.heard()

    def _taken(self) -> bytes:
        pieces, self._pieces, self._held = self._pieces, [], 0
        if self._paused:
            self._paused = False
            self._heard = self._loop.time()
            if self._connection is not None:
                self._reader.transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _check_silence(self) -> None:
        """See whether the upstream has been silent for too long; while nobody reads, it is not."""
        now = self._loop.time()
        since = now if self._paused else self._heard
        if now - since >= self._silence_s:
            self.fail(TimeoutError("the upstream fell silent"))
        else:
            due = since + self._silence_s - now
            self._timer = self._loop.call_later(due, self._check_silence)

    def _end(self, *, reusable: bool) -> None:
        """Give the connection back, or close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._timer.cancel()
        self._reader.response = None
        if not reusable:
            connection.close()
            return
        if self._paused:
            self._reader.transport.resume_reading()
        connection.release()


class Connections(aiohttp.TCPConnector):
    """The library's pool, which gives out no connection on which something came unasked.

    What came while nobody used it would be the response to whoever uses it next.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the library's name
    ) -> Connection:
        """Return a connection on which nothing has come since it was last used."""
        for _ in range(_MAX_UNUSABLE):
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        raise aiohttp.ClientConnectionError("the upstream speaks before it is asked")


class Reader(asyncio.Protocol):
    """Stands before the library's protocol of one connection.

    Attributes:
        transport: of the connection.
        response: what is being read; None while the library has the connection.
    """

    def __init__(self, transport: asyncio.Transport, behind: asyncio.Protocol) -> None:
        """Stand before a protocol."""
        self.transport = transport
        self.response: DirectResponse | None = None
        self._behind = behind
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )
        self._fields: RawHeaders = []
        self._unread = 0  # bytes since the last that were a head's end or of a body

    @classmethod
    def of(cls, connection: Connection) -> Reader | None:
        """Return what reads a connection; None if that is lost already."""
        transport, behind = connection.transport, connection.protocol
        if transport is None or behind is None:
            return None
        found = transport.get_protocol()
        if isinstance(found, cls):
            return found
        reader = cls(transport, behind)
        transport.set_protocol(reader)
        return reader

    def data_received(self, data: bytes) -> None:
        """Read a part of a response."""
        response = self.response
        if response is None:
            self._behind.data_received(data)
            return
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            response.fail(aiohttp.ClientPayloadError(f"no HTTP response: {type(error).__name__}"))
            self.transport.close()  # if the response was whole, the library has it already
            return
        if self._unread > MAX_HEAD_BYTES:
            response.fail(aiohttp.ClientPayloadError("a head is too long"))
        elif response.status:
            response.heard()

    def eof_received(self) -> bool | None:
        """Let the connection be closed."""
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is being read."""
        response = self.response
        if response is not None and exc is None and self._ends_with_connection(response):
            response.complete(reusable=False)
        elif response is not None:
            response.fail(_lost(exc))
        self._behind.connection_lost(exc)
        del self._parser  # it has hold of this, and only the collector would part them

    def pause_writing(self) -> None:
        """Let the library know."""
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        """Let the library know."""
        self._behind.resume_writing()

    # What follows is called by the parser.

    def on_message_begin(self) -> None:
        """Start a response; one that nobody asked for makes the connection useless."""
        self._fields = []
        if self.response is None:
            self.transport.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field."""
        if b"\0" in value or len(self._fields) >= MAX_FIELDS:
            raise ValueError("no such field is taken")
        # The parser lets pass a space before the colon: the field means the same without.
        self._fields.append((name.rstrip(b" \t"), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Take the head, unless it only announces another one."""
        status = self._parser.get_status_code()
        response = self.response
        self._unread = 0
        if not status:
            raise ValueError("no such status is taken")
        if response is not None and (status not in _INFORMATIONAL or status == _SWITCHED):
            response.head(status, self._fields)
            self._fields = []  # fields after the body go nowhere

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unread = 0
        if self.response is not None:
            self.response.body(body)

    def on_message_complete(self) -> None:
        """End the response, if this was one and no announcement."""
        response = self.response
        if response is not None and response.status:
            response.complete(reusable=self._parser.should_keep_alive())

    @staticmethod
    def _ends_with_connection(response: DirectResponse) -> bool:
        """Return whether nothing else tells the end of a response."""
        if not response.status:
            return False
        codings = response.headers.getall("Transfer-Encoding", [])
        if not codings:
            return "Content-Length" not in response.headers
        return "chunked" not in ",".join(codings).lower()


def _lost(exc: Exception | None) -> Exception:
    if isinstance(exc, OSError):
        return aiohttp.ClientOSError(*exc.args)
    return exc or aiohttp.ServerDisconnectedError()
