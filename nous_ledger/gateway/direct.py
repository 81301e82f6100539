"""Plain requests, written in one go to a connection of the client library's pool.

Nearly every call is a POST with a body of some kilobytes, to an upstream that is reached
without a proxy. All that the library's session does for such a one (cookies, redirects,
authentication, codings, retries, further tasks) the gateway never uses; it costs several
times what the call itself does. So the head is put together here. Connections, names,
TLS and the reading of responses stay the library's business.

Whatever is not of that kind goes through the session, as `upstream` has it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
from aiohttp import StreamReader
from aiohttp.connector import Connection
from aiohttp.helpers import HeadersMixin
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from nous_ledger.gateway.headers import RawHeaders

MAX_BODY_BYTES: Final = 64 * 1024
"""Longest body that is written in one go; a larger one would hold up every other call."""
MAX_FIELD_BYTES: Final = 64 * 1024

_MAX_ORIGINS: Final = 512
_INFORMATIONAL: Final = range(100, 200)
_SWITCHED: Final = 101


class DirectResponse(HeadersMixin):
    """A response whose head has come.

    Attributes:
        status: its status.
        headers: its fields.
        raw_headers: the fields as they came.
        content: its body, as it arrives.
    """

    def __init__(
        self, connection: Connection, message: RawResponseMessage, content: StreamReader
    ) -> None:
        """Take over a connection until the body has come."""
        self._connection: Connection | None = connection
        self._headers = message.headers
        self.status = message.code
        self.headers = message.headers
        self.raw_headers = message.raw_headers
        self.content = content
        if message.code != _SWITCHED:
            content.on_eof(self._release)

    def close(self) -> None:
        """Take no more of the body; a connection whose body was not read is of no use."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _release(self) -> None:
        if self._connection is not None:
            self._connection.release()
            self._connection = None


class Direct:
    """Posts plain requests over the connections of a session."""

    def __init__(self, session: aiohttp.ClientSession, timeout: aiohttp.ClientTimeout) -> None:
        """Use the pool of a session, with its bounds of time."""
        self._session = session
        self._timeout = timeout
        self._origins: dict[str, tuple[aiohttp.ClientRequest, bytes, bytes]] = {}

    async def post(
        self, base_url: str, target: str, fields: RawHeaders, body: bytes
    ) -> DirectResponse | None:
        """Post a request and return its response once the head has come; the caller closes it.

        Args:
            base_url: scheme, host, port and path prefix of the upstream.
            target: path below that, with its query.
            fields: header fields, without Host and Content-Length.
            body: at most `MAX_BODY_BYTES`.

        Returns:
            None if nothing was sent, because the head is not as plain as it must be.

        Raises:
            aiohttp.ClientError, OSError: no connection, or no response.
            TimeoutError: no response in time; aiohttp.ConnectionTimeoutError: no connection.
        """
        origin, start, host = self._origins.get(base_url) or self._know(base_url)
        lines = b"\r\n".join([b"%b: %b" % field for field in fields])
        ends = len(fields) - 1
        if lines.count(b"\r") != ends or lines.count(b"\n") != ends or not _is_plain(target):
            return None
        head = b"%b%b HTTP/1.1\r\nHost: %b\r\n%b\r\nContent-Length: %d\r\n\r\n" % (
            start,
            target.encode("ascii"),
            host,
            lines,
            len(body),
        )
        connection = await self._connect(origin)
        try:
            return await self._exchange(connection, head + body)
        except BaseException:
            connection.close()
            raise

    def _know(self, base_url: str) -> tuple[aiohttp.ClientRequest, bytes, bytes]:
        """Return an upstream as the library knows it, and parts of each request to it."""
        url = URL(base_url, encoded=True)
        loop = asyncio.get_running_loop()
        origin = aiohttp.ClientRequest("POST", url, loop=loop, session=self._session)
        path = url.raw_path.removesuffix("/")
        if len(self._origins) >= _MAX_ORIGINS:
            self._origins.clear()
        known = origin, f"POST {path}".encode("ascii"), origin.headers["Host"].encode("ascii")
        self._origins[base_url] = known
        return known

    async def _connect(self, origin: aiohttp.ClientRequest) -> Connection:
        connector = self._session.connector
        if connector is None:
            raise aiohttp.ClientConnectionError("the session is closed")
        try:
            return await connector.connect(origin, [], self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError from error

    async def _exchange(self, connection: Connection, request: bytes) -> DirectResponse:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._timeout.sock_read,
            max_line_size=MAX_FIELD_BYTES,
            max_field_size=MAX_FIELD_BYTES,
        )
        transport.write(request)
        protocol.start_timeout()
        message: Any
        while True:
            try:
                message, content = await protocol.read()
            except HttpProcessingError as error:
                raise aiohttp.ClientPayloadError(error.message) from error
            if message.code not in _INFORMATIONAL or message.code == _SWITCHED:
                return DirectResponse(connection, message, content)


def _is_plain(target: str) -> bool:
    """Return whether a target can stand in a request line as it is."""
    return target.isascii() and target.isprintable() and " " not in target and target[:1] == "/"
