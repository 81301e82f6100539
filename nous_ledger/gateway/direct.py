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
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from nous_ledger.gateway.headers import RawHeaders
from nous_ledger.gateway.responses import DirectResponse, Reader

MAX_BODY_BYTES: Final = 64 * 1024
"""Longest body that is written in one go; a larger one would hold up every other call."""

_MAX_ORIGINS: Final = 512


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
        self._silence_s = silence_s
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
        if lines.count(b"\r") != ends or lines.count(b"\n") != ends or b"\0" in lines:
            return None
        if not _is_plain(target):
            return None
        head = b"%b%b HTTP/1.1\r\nHost: %b\r\n%b\r\nContent-Length: %d\r\n\r\n" % (
            start,
            target.encode("ascii"),
            host,
            lines,
            len(body),
        )
        return await self._exchange(await self._connect(origin), head + body)

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
        reader = Reader.of(connection)
        if reader is None:
            raise aiohttp.ServerDisconnectedError
        response = DirectResponse(connection, reader, self._silence_s)
        reader.response = response
        try:
            reader.transport.write(request)
            await response.wait_for_head()
        except BaseException:
            response.close()
            raise
        return response


def _is_plain(target: str) -> bool:
    """Return whether a target can stand in a request line as it is."""
    return target.isascii() and target.isprintable() and " " not in target and target[:1] == "/"
