"""Responses to plain requests, as who asked takes them.

The library hands every chunk of a stream through a queue of its own, from which it is
taken chunk by chunk. A stream has hundreds, and nobody needs to know where one ended. So
while a plain request is under way, what its connection brings is read by a `Reader` and
waits here until it is taken, all of it at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, Protocol

import aiohttp
from aiohttp.connector import Connection
from aiohttp.helpers import HeadersMixin
from aiohttp.tracing import Trace
from multidict import CIMultiDict

from nous_ledger.gateway.headers import NO_FIELDS, RawHeaders, layout_of

MAX_HELD_BYTES: Final = 128 * 1024
"""Bytes of a body that wait to be taken, after which no more is read for a while."""

_MAX_UNUSABLE: Final = 16
"""Connections that are tried for one request."""
_LONGEST_KIND: Final = 200
"""Characters of a Content-Type that is remembered."""


class Source(Protocol):
    """Where a response comes from.

    Attributes:
        transport: of the connection.
    """

    transport: asyncio.Transport

    def part(self, *, reusable: bool) -> None:
        """Take the connection back, which brings nothing more for this response."""


class Silences:
    """Sees that no response falls silent for too long, with one timer for all of them."""

    def __init__(self, most_s: float) -> None:
        """Watch nothing yet.

        Args:
            most_s: most seconds between two arrivals.
        """
        self._most_s = most_s
        self._watched: set[DirectResponse] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, response: DirectResponse) -> None:
        """Begin to watch; whoever is watched already is due earlier."""
        self._watched.add(response)
        if self._timer is None:
            loop = response.loop
            self._timer = loop.call_later(self._most_s, self._look, loop)

    def leave(self, response: DirectResponse) -> None:
        """Watch no longer."""
        self._watched.discard(response)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = first = loop.time()
        for response in tuple(self._watched):
            since = response.silent_since(now)
            if now - since >= self._most_s:
                response.fail(TimeoutError("the upstream fell silent"))
            else:
                first = min(first, since)
        if self._watched:
            self._timer = loop.call_later(first + self._most_s - now, self._look, loop)


class DirectResponse:
    """The response to one request.

    Attributes:
        status: its status; 0 until its head has come.
        raw_headers: its fields as they came.
        layout: where they stand.
        loop: where it is read.
        sink: takes a piece of the body as it comes, if somebody waits for one, and returns
            whether it did; else that is woken and takes it.
    """

    __slots__ = (
        "__weakref__",
        "_complete",
        "_error",
        "_headers",
        "_heard",
        "_held",
        "_paused",
        "_pieces",
        "_silences",
        "_source",
        "_waiter",
        "layout",
        "loop",
        "raw_headers",
        "sink",
        "status",
    )

    def __init__(self, source: Source, silences: Silences) -> None:
        """Wait for a response; the request is written next.

        Args:
            source: what reads it.
            silences: sees that it does not fall silent.
        """
        self.status = 0
        self.raw_headers: RawHeaders = []
        self.layout = NO_FIELDS
        self.loop = asyncio.get_running_loop()
        self.sink: Callable[[bytes], bool] | None = None
        self._headers: CIMultiDict[str] | None = None
        self._source: Source | None = source
        self._silences = silences
        self._heard = self.loop.time()
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._held = 0
        self._paused = False
        self._complete = False
        self._error: Exception | None = None
        silences.watch(self)

    @property
    def headers(self) -> CIMultiDict[str]:
        """Its fields as text."""
        if self._headers is None:
            self._headers = CIMultiDict(
                [
                    (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
                    for name, value in self.raw_headers
                ]
            )
        return self._headers

    @property
    def content_type(self) -> str:
        """Its kind, in lower case and without parameters."""
        return content_type(self.field("content-type"))

    def field(self, name: str) -> str | None:
        """Return the first field of a name, None if there is none.

        Args:
            name: in lower case.
        """
        return self.layout.field(self.raw_headers, name)

    async def wait_for_head(self) -> None:
        """Return when the head has come.

        Raises:
            aiohttp.ClientError, OSError: there will be none.
            TimeoutError: nothing came in time.
        """
        while not self.status:
            if self._error is not None:
                raise self._error
            waiter = self._waiter = self.loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None

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
            waiter = self._waiter = self.loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None
        return self._taken()

    def close(self) -> None:
        """Take no more; a connection whose response was not read to its end is of no use."""
        self._end(reusable=False)
        self.sink = None
        self._error = None  # raised, it has hold of this: only the collector would part the two

    # What follows is called by the reader.

    def head(self, status: int, fields: RawHeaders) -> None:
        """Take the head."""
        self.status, self.raw_headers, self.layout = status, fields, layout_of(fields)

    def silent_since(self, now: float) -> float:
        """Return when something came last; while nobody reads, it is not silent."""
        return now if self._paused else self._heard

    def heard(self, pieces: list[bytes]) -> None:
        """Take parts of the body; wake who waits, stop reading if too much waits.

        Args:
            pieces: what came of the body, if anything.
        """
        self._heard = self.loop.time()
        waiter = self._waiter
        waits = waiter is not None and not waiter.done()
        if pieces:
            if waits and self.sink is not None and self._sunk(self.sink, b"".join(pieces)):
                return
            self._pieces += pieces
            self._held += sum(map(len, pieces))
            if self._held > MAX_HELD_BYTES and not self._paused and self._source is not None:
                self._paused = True
                self._source.transport.pause_reading()
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _sunk(self, sink: Callable[[bytes], bool], piece: bytes) -> bool:
        """Return whether a piece is done with, or was the last because of a fault."""
        try:
            return sink(piece)
        except Exception as error:  # noqa: BLE001 - it belongs to who waits for the next piece
            self.fail(error)
            return True

    def complete(self, pieces: list[bytes], *, reusable: bool) -> None:
        """Take that all of it has come, with the last parts of the body."""
        self._complete = True
        self._pieces += pieces
        self._end(reusable=reusable)
        self._wake()

    def fail(self, error: Exception) -> None:
        """Take that no more will come."""
        if not self._complete:
            self._error = self._error or error
            self._end(reusable=False)
            self._wake()

    def _taken(self) -> bytes:
        pieces = self._pieces
        self._pieces, self._held = [], 0
        if self._paused:
            self._paused = False
            self._heard = self.loop.time()
            if self._source is not None:
                self._source.transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _end(self, *, reusable: bool) -> None:
        """Give the connection back."""
        source, self._source = self._source, None
        if source is None:
            return
        self._silences.leave(self)
        if self._paused:
            source.transport.resume_reading()
        source.part(reusable=reusable)


class Connections(aiohttp.TCPConnector):
    """The library's pool, which gives out no connection on which something came unasked.

    What came while nobody used it would be the response to whoever uses it next. And none
    stays because its upstream does not take what it was sent.
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
                connection.add_callback(partial(_forget_unsent, connection.transport))
                return connection
            connection.close()
        raise aiohttp.ClientConnectionError("the upstream speaks before it is asked")


def _forget_unsent(transport: asyncio.Transport | None) -> None:
    """End a connection that is given back while something is unsent: closing would wait for it."""
    if transport is not None and transport.get_write_buffer_size():
        transport.abort()


def content_type(field: str | None) -> str:
    """Return what a Content-Type names, in lower case and without parameters.

    >>> content_type("Text/Event-Stream; charset=utf-8"), content_type(None)
    ('text/event-stream', 'application/octet-stream')
    """
    if field is not None and len(field) > _LONGEST_KIND:
        return _read_kind.__wrapped__(field)
    return _read_kind(field)


@lru_cache(maxsize=64)
def _read_kind(field: str | None) -> str:
    return _Kind(field).content_type


class _Kind(HeadersMixin):
    """Reads a Content-Type as the library does."""

    def __init__(self, field: str | None) -> None:
        self._headers = CIMultiDict([] if field is None else [("Content-Type", field)])
