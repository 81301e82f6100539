"""Reading responses off connections of the client library's pool.

While a plain request is under way, what its connection brings is read here, with the
parser that the server's side uses; at all other times the library's own protocol has it,
unless the connection is kept at hand for the next request.

What the parser lets pass is what it lets pass in the library: spaces and control
characters in the wrong places, which upstreams are known to send.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
import httptools
from aiohttp.connector import Connection

from nous_ledger.gateway.headers import RawHeaders
from nous_ledger.gateway.responses import DirectResponse

MAX_HEAD_BYTES: Final = 256 * 1024
"""Most bytes of a response that bring no part of its body."""
MAX_FIELDS: Final = 256

_INFORMATIONAL: Final = range(100, 200)
_SWITCHED: Final = 101


class Reader(asyncio.Protocol):
    """Stands before the library's protocol of one connection.

    Attributes:
        transport: of the connection.
        response: what is being read; None while there is no request under way.
        on_body: takes a part of the body.
    """

    def __init__(self, transport: asyncio.Transport, behind: asyncio.Protocol) -> None:
        """Stand before a protocol."""
        self.transport = transport
        self.response: DirectResponse | None = None
        self._connection: Connection | None = None  # None while the library has it
        self._keep: Callable[[Reader], None] | None = None
        self._behind = behind
        self._fields: RawHeaders = []
        self._unread = 0  # bytes since the last that were a head's end or of a body
        self._pieces: list[bytes] = []
        # The parser calls this for every chunk, so it is no method.
        self.on_body = self._pieces.append
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    @classmethod
    def of(cls, connection: Connection, keep: Callable[[Reader], None]) -> Reader | None:
        """Return what reads a connection from now on; None if that is lost already.

        Args:
            connection: from the pool.
            keep: called with this when a response was whole and the connection can be
                used again.
        """
        transport, behind = connection.transport, connection.protocol
        if transport is None or behind is None:
            return None
        found = transport.get_protocol()
        if isinstance(found, cls):
            reader = found
        else:
            reader = cls(transport, behind)
            transport.set_protocol(reader)
        reader._connection, reader._keep = connection, keep
        return reader

    @property
    def usable(self) -> bool:
        """Whether a request can be written: nothing came unasked, and the connection stands."""
        return self._connection is not None and not self.transport.is_closing()

    def drop(self) -> None:
        """Close the connection, if the library does not have it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def part(self, *, reusable: bool) -> None:
        """Read no more for the response; keep the connection if it can be used again."""
        self.response = None
        if reusable and self._keep is not None:
            self._keep(self)
        else:
            self.drop()

    def data_received(self, data: bytes) -> None:
        """Read a part of a response."""
        response = self.response
        if response is None:
            if self._connection is not None:
                self.drop()  # nobody has asked
            else:
                self._behind.data_received(data)
            return
        self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            pieces = self._taken()
            if self.response is response:
                response.heard(pieces)
            response.fail(aiohttp.ClientPayloadError(f"no HTTP response: {type(error).__name__}"))
            self.drop()  # if the response was whole, the connection is kept already
            return
        pieces = self._taken()
        if self.response is None:
            return
        if pieces:
            self._unread = 0
        if self._unread > MAX_HEAD_BYTES:
            response.fail(aiohttp.ClientPayloadError("a head is too long"))
        elif response.status:
            response.heard(pieces)

    def eof_received(self) -> bool | None:
        """Let the connection be closed."""
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is being read."""
        response = self.response
        if response is not None and exc is None and _ends_with_connection(response):
            response.complete([], reusable=False)
        elif response is not None:
            response.fail(_lost(exc))
        self._behind.connection_lost(exc)
        self.drop()
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
            self.drop()

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

    def on_message_complete(self) -> None:
        """End the response, if this was one and no announcement."""
        response = self.response
        if response is not None and response.status:
            response.complete(self._taken(), reusable=self._parser.should_keep_alive())

    def _taken(self) -> list[bytes]:
        pieces = self._pieces[:]
        self._pieces.clear()
        return pieces


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
