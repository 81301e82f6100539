"""Requests to the upstreams: one pool of connections, and errors of our own.

Nothing is added to a request and nothing of a response is interpreted: no
redirect is followed, no cookie kept, no coding taken off, no proxy or password
file of the environment used.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict
from yarl import URL

from nous_ledger.gateway.addresses import AddressRefusedError
from nous_ledger.gateway.answers import ADDRESS_REFUSED, TIMED_OUT, UNREACHABLE, Answer
from nous_ledger.gateway.direct import MAX_BODY_BYTES, Direct, RequestHead
from nous_ledger.gateway.headers import RawHeaders, client_headers
from nous_ledger.gateway.responses import Connections, DirectResponse
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.registries import STATUS

_TRIED_SERIES: Final = "3.14."
"""Versions of the client library whose pool `direct` is known to get along with."""
_RESET: Final = STATUS["upstream_reset"]
_TIMEOUT: Final = STATUS["timeout"]
_MAX_FIELD_BYTES: Final = 64 * 1024
_LOWEST: Final = 200
_BEYOND: Final = 600  # statuses of final responses
Response: TypeAlias = aiohttp.ClientResponse | DirectResponse

_NOTHING_ADDED: Final = ("Accept", "Content-Type", "User-Agent")
"""Fields that the client library would add where they are absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of calls, suited to models that think for minutes, and of connections.

    Attributes:
        max_peer_connections: connections that one address, or /64 network, may have.
        head_s: seconds in which the head of a request must come.
        max_request_bytes: longest request body.
        body_silence_s: seconds that a client may be silent in the middle of its request.
        connect_s: seconds until a connection to the upstream must stand.
        silence_s: seconds that the upstream may be silent, before its response
            and between any two pieces of it.
        drain_s: seconds for which an upstream is read on after the client hung up.
        max_drains: calls that may be read on at once; beyond, they are cut off.
    """

    max_peer_connections: int = 1_024
    head_s: float = 30.0
    max_request_bytes: int = 64 * 1024 * 1024
    body_silence_s: float = 60.0
    connect_s: float = 10.0
    silence_s: float = 600.0
    drain_s: float = 300.0
    max_drains: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """How upstreams are reached.

    Attributes:
        proxy: http or https URL of a proxy that all calls go through; empty for none.
            It may hold a name and a password, so it never shows in a repr.
        trust: whose certificates are believed; None for the system's authorities.
    """

    proxy: str = field(default="", repr=False)
    trust: ssl.SSLContext | None = None


def check_proxy(url: str) -> str:
    """Return the URL of an egress proxy.

    Raises:
        InputError: it is not http or https with a host, or has more than that.
    """
    try:
        parts = urlsplit(url)
        named = parts.hostname and (parts.port or 1)
    except ValueError:
        named, parts = None, urlsplit("")
    if not named or parts.scheme not in ("http", "https") or parts.path not in ("", "/"):
        # The URL itself is not repeated: it may hold a password.
        raise InputError(
            "input",
            "an egress proxy is an http or https URL with a host and no path",
            hint="for example http://proxy.example.com:3128",
        )
    return url


def read_trust(path: Path) -> ssl.SSLContext:
    """Return the system's authorities and those of a PEM file.

    Raises:
        InputError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise InputError(
            "input",
            f"{path} holds no certificates of authorities that could be read",
            hint="name a file in PEM form",
        ) from error
    return context


class NoResponseError(Exception):
    """No response head came; `answer` is what the client gets instead."""

    def __init__(self, answer: Answer) -> None:
        """Keep the answer."""
        super().__init__(answer.message)
        self.answer = answer


class BrokenResponseError(Exception):
    """A response broke off; `status` is what the receipt says of it."""

    def __init__(self, status: int) -> None:
        """Keep the receipt status."""
        super().__init__(STATUS.name_of(status))
        self.status = status


def make_session(
    limits: Limits, egress: Egress, resolver: AbstractResolver | None = None
) -> aiohttp.ClientSession:
    """Return a pool of connections; it must be made and closed in a running loop.

    Args:
        limits: bounds of one call.
        egress: how upstreams are reached.
        resolver: asked anew for each connection; None for the system's, whose answers
            are kept for some seconds.
    """
    return aiohttp.ClientSession(
        connector=Connections(
            limit=0,
            resolver=resolver,
            use_dns_cache=resolver is None,
            ssl=True if egress.trust is None else egress.trust,
        ),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_timeout(limits),
        auto_decompress=False,
        max_line_size=_MAX_FIELD_BYTES,
        max_field_size=_MAX_FIELD_BYTES,
    )


class Pool:
    """Connections to upstreams, and the ways of sending requests over them."""

    def __init__(self, session: aiohttp.ClientSession, limits: Limits, egress: Egress) -> None:
        """Send over the connections of a session that `make_session` made."""
        self._session = session
        self._proxy = egress.proxy or None
        self._most_s = limits.connect_s + 2 * limits.silence_s  # one for sending, one for waiting
        tried = aiohttp.__version__.startswith(_TRIED_SERIES)
        plain = tried and self._proxy is None
        self._direct = Direct(session, _timeout(limits), limits.silence_s) if plain else None

    async def open(self, head: RequestHead, body: bytes) -> Response:
        """Send a request and return its response once the head has come; the caller closes it.

        A body that was not read to its end leaves a connection nobody can use.

        Args:
            head: its head.
            body: its body.

        Raises:
            NoResponseError: no connection, no response in time, closed without one, or a
                status that is no final one of HTTP (101 among them: nothing is upgraded).
        """
        try:
            response: Response | None = None
            if self._direct and head.method == "POST" and len(body) <= MAX_BODY_BYTES:
                response = await self._direct.post(head, body)
            if response is None:
                response = await self._send(head, body)
        except aiohttp.ClientConnectorDNSError as error:
            refused = isinstance(error.os_error, AddressRefusedError)
            raise NoResponseError(ADDRESS_REFUSED if refused else UNREACHABLE) from error
        except aiohttp.ConnectionTimeoutError as error:
            raise NoResponseError(UNREACHABLE) from error
        except TimeoutError as error:
            raise NoResponseError(TIMED_OUT) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoResponseError(UNREACHABLE) from error
        if not _LOWEST <= response.status < _BEYOND:
            response.close()
            raise NoResponseError(UNREACHABLE)
        return response

    async def _send(self, head: RequestHead, body: bytes) -> Response:
        """Send a request that is not plain."""
        headers = CIMultiDict(
            [(name.decode("latin-1"), value.decode()) for name, value in head.headers]
        )
        absent = [name for name in _NOTHING_ADDED if name not in headers]
        # A file-like body is written in pieces.
        data = body if len(body) <= MAX_BODY_BYTES else io.BytesIO(body)
        # The library waits without end while a body is not taken, and after a status below 200.
        async with asyncio.timeout(self._most_s):
            return await self._session.request(
                head.method,
                URL(head.base_url + head.target, encoded=True),
                headers=headers,
                skip_auto_headers=absent or None,
                data=data if body else None,
                allow_redirects=False,
                proxy=self._proxy,
            )


def _timeout(limits: Limits) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, sock_connect=limits.connect_s, sock_read=limits.silence_s
    )


def read_at_once(response: Response) -> bytes | None:
    """Return the body if all of it has come, without an end in the middle; else None."""
    if isinstance(response, DirectResponse):
        return response.at_once()
    content = response.content
    if not content.is_eof() or content.exception() is not None:
        return None
    return content.read_nowait(-1)


def set_sink(response: Response, sink: Callable[[bytes], bool]) -> None:
    """Have pieces of the body taken as they come, while somebody waits for the next one.

    Args:
        response: the response; one of the library's is read piece by piece all the same.
        sink: takes a piece and returns True, or does nothing and returns False.
    """
    if isinstance(response, DirectResponse):
        response.sink = sink


async def next_piece(response: Response) -> bytes:
    """Return what has come of the body since the last time; nothing at its end.

    Raises:
        BrokenResponseError: it broke off (upstream_reset) or fell silent (timeout).
    """
    try:
        if isinstance(response, DirectResponse):
            return await response.next_piece()
        return await response.content.readany()
    except TimeoutError as error:
        raise BrokenResponseError(_TIMEOUT) from error
    except (aiohttp.ClientError, OSError) as error:
        raise BrokenResponseError(_RESET) from error


def field_of(response: Response, name: str) -> str | None:
    """Return a header field of a response, None if it has none of that name."""
    if isinstance(response, DirectResponse):
        return response.field(name)
    return response.headers.get(name)


def client_fields(response: Response, *, altered: bool, bodiless: bool) -> RawHeaders:
    """Return the fields of a response for the client, as `client_headers`."""
    if isinstance(response, DirectResponse):
        fields, layout = response.raw_headers, response.layout
        return client_headers(fields, layout, altered=altered, bodiless=bodiless)
    return client_headers(list(response.raw_headers), altered=altered, bodiless=bodiless)
