"""Plain requests, written in one go to a connection of the client library's pool.

Nearly every call is a POST with a body of some kilobytes, to an upstream that is reached
without a proxy. All that the library's session does for such a one (cookies, redirects,
authentication, codings, retries, further tasks) the gateway never uses; it costs several
times what the call itself does. So the head is put together here, and a connection whose
response was whole is kept at hand for the next request. Names, TLS and the making of
connections stay the library's business.

Whatever is not of that kind goes through the session, as `upstream` has it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from nous_ledger.gateway.headers import RawHeaders
from nous_ledger.gateway.reader import Reader
from nous_ledger.gateway.responses import DirectResponse, Silences

MAX_BODY_BYTES: Final = 64 * 1024
"""Longest body that is written in one go; a larger one would hold up every other call."""
KEPT_S: Final = 15.0
"""Seconds for which a connection that nobody uses is kept, as the library does."""

_MAX_ORIGINS: Final = 512


class RequestHead:
    """The head of a request as it goes to the upstream.

    Attributes:
        method: its method.
        base_url: scheme, host, port and path prefix of the upstream.
        target: path below that, with its query.
        headers: its fields, values in UTF-8, without Host and Content-Length.
        written: what of it stands on the wire of a plain request, up to the length of the
            body; empty if it is not as plain as it must be, None if nobody knows yet.
    """

    __slots__ = ("base_url", "headers", "method", "target", "written")

    def __init__(self, method: str, base_url: str, target: str, headers: RawHeaders) -> None:
        """Take the parts of a head."""
        self.method = method
        self.base_url = base_url
        self.target = target
        self.headers = headers
        self.written: bytes | None = None


class _Origin:
    """An upstream as the library knows it, parts of each request to it, and its connections."""

    __slots__ = ("_sweep", "host", "kept", "request", "start")

    def __init__(self, base_url: str, session: aiohttp.ClientSession) -> None:
        url = URL(base_url, encoded=True)
        loop = asyncio.get_running_loop()
        self.request = aiohttp.ClientRequest("POST", url, loop=loop, session=session)
        self.start = f"POST {url.raw_path.removesuffix('/')}".encode("ascii")
        self.host = self.request.headers["Host"].encode("ascii")
        self.kept: deque[tuple[Reader, float]] = deque()  # since when; the oldest first
        self._sweep: asyncio.TimerHandle | None = None

    def take(self, loop: asyncio.AbstractEventLoop) -> Reader | None:
        """Return a connection that was kept, if one can be used."""
        kept, now = self.kept, loop.time()
        while kept:
            reader, since = kept.popleft()
            if now - since <= KEPT_S and reader.usable:
                return reader
            reader.drop()
        return None

    def keep(self, reader: Reader) -> None:
        """Keep a connection for the next request."""
        loop = asyncio.get_running_loop()
        self.kept.append((reader, loop.time()))
        if self._sweep is None:
            self._sweep = loop.call_later(KEPT_S, self.forget, KEPT_S)

    def forget(self, unused_s: float) -> None:
        """Close what nobody has used for so long."""
        kept, loop = self.kept, asyncio.get_running_loop()
        before = loop.time() - unused_s
        while kept and (kept[0][1] <= before or not kept[0][0].usable):
            kept.popleft()[0].drop()
        self._sweep = loop.call_later(KEPT_S, self.forget, KEPT_S) if kept else None


class Direct:
    """Posts plain requests over the connections of a session."""

    def __init__(
        self, session: aiohttp.ClientSession, timeout: aiohttp.ClientTimeout, silence_s: float
    ) -> None:
        """Use the pool of a session.

        Args:
            session: whose pool it is.
            timeout: bounds of making a connection.
            silence_s: seconds that an upstream may be silent.
        """
        self._session = session
        self._timeout = timeout
        self._silences = Silences(silence_s)
        self._origins: dict[str, _Origin] = {}

    async def post(self, head: RequestHead, body: bytes) -> DirectResponse | None:
        """Post a request and return its response once the head has come; the caller closes it.

        Args:
            head: its head.
            body: at most `MAX_BODY_BYTES`.

        Returns:
            None if nothing was sent, because the head is not as plain as it must be.

        Raises:
            aiohttp.ClientError, OSError: no connection, or no response.
            TimeoutError: no response in time; aiohttp.ConnectionTimeoutError: no connection.
        """
        origin = self._origins.get(head.base_url) or self._know(head.base_url)
        written = head.written
        if written is None:
            written = head.written = _written(head, origin)
        if not written:
            return None
        reader = origin.take(asyncio.get_running_loop())
        if reader is None:
            reader = Reader.of(await self._connect(origin.request), origin.keep)
            if reader is None:
                raise aiohttp.ServerDisconnectedError
        response = reader.response = DirectResponse(reader, self._silences)
        try:
            reader.transport.write(b"%b%d\r\n\r\n%b" % (written, len(body), body))
            await response.wait_for_head()
        except BaseException:
            response.close()
            raise
        return response

    def _know(self, base_url: str) -> _Origin:
        """Return an upstream that was not asked yet."""
        if len(self._origins) >= _MAX_ORIGINS:
            for origin in self._origins.values():
                origin.forget(0)
            self._origins.clear()
        known = self._origins[base_url] = _Origin(base_url, self._session)
        return known

    async def _connect(self, request: aiohttp.ClientRequest) -> Connection:
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("the session is closed")
        try:
            return await connector.connect(request, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error


def _written(head: RequestHead, origin: _Origin) -> bytes:
    """Return a head up to the length of the body, nothing if it cannot stand on the wire so."""
    fields = head.headers
    lines = b"\r\n".join([b"%b: %b" % field for field in fields])
    ends = len(fields) - 1
    if lines.count(b"\r") != ends or lines.count(b"\n") != ends or b"\0" in lines:
        return b""
    if not _is_plain(head.target):
        return b""
    target = head.target.encode("ascii")
    return b"%b%b HTTP/1.1\r\nHost: %b\r\n%b\r\nContent-Length: " % (
        origin.start,
        target,
        origin.host,
        lines,
    )


def _is_plain(target: str) -> bool:
    """Return whether a target can stand in a request line as it is."""
    return target.isascii() and target.isprintable() and " " not in target and target[:1] == "/"
