"""A log over HTTP: bounded in bytes and time, without redirects, cookies or proxies.

One event loop in a thread of its own keeps a few connections open; any thread may ask
and waits for its answer. What is sent compressed is unpacked here, piece by piece, so
that a small answer cannot become a large one.

Spec:
    PROTOCOL.md, sections "Readers over HTTP" and "Limits" (SERV-8).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from nous_ledger.protocol.errors import InputError, UnavailableError
from sentinel.errors import MissingExtraError
from sentinel.sources import NotThereError, TileSource

if TYPE_CHECKING:
    import aiohttp

MAX_HEADER_BYTES: Final = 8_190
"""Longest line of an answer's head, and longest field."""
MAX_HEADERS: Final = 64
_BODIES: Final = "tile/bodies/"
_GZIP: Final = 16 + zlib.MAX_WBITS
_GRACE_S: Final = 5.0
_OK: Final = 200
_NOT_FOUND: Final = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long an answer may take.

    Attributes:
        idle_s: most seconds without a byte, and until a connection stands.
        total_s: most seconds for one answer as a whole.
        connections: most connections at a time.
    """

    idle_s: float = 10.0
    total_s: float = 60.0
    connections: int = 4


class HttpSource(TileSource):
    """Reads a log below a URL."""

    def __init__(
        self,
        url: str,
        *,
        auditor_token: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Name the log's prefix; nothing is asked yet.

        Args:
            url: http or https, without credentials, query or fragment.
            auditor_token: sent with requests for bodies only.
            patience: how long to wait.

        Raises:
            InputError: the URL is not of that form, or a token would go unencrypted to
                another machine.
            MissingExtraError: missing-extra.
        """
        self._aiohttp = _load_aiohttp()
        parts = _parts_of(url)
        if auditor_token is not None and parts.scheme == "http" and not _is_loopback(parts):
            raise InputError(
                "input",
                f"an auditor token does not go unencrypted to {parts.hostname}",
                hint="use https, or a tunnel to 127.0.0.1",
            )
        self.name = url.rstrip("/")
        self._token = auditor_token
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    def close(self) -> None:
        """Close all connections; what is still being asked for fails."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread.is_alive():
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _fetch(self, path: str, limit: int) -> bytes:
        headers = {"accept-encoding": "identity"}
        if self._token is not None and path.startswith(_BODIES):
            headers["authorization"] = f"Bearer {self._token}"
        url = f"{self.name}/{path}"
        work = self._get(url, limit, headers)
        asked: Future[bytes] | None = None
        try:
            asked = asyncio.run_coroutine_threadsafe(work, self._running_loop())
            # The loop keeps the deadline; a little later it no longer runs at all.
            return asked.result(self._patience.total_s + _GRACE_S)
        except TimeoutError as error:
            raise _unreachable(url, "did not answer in time") from error
        except (CancelledError, RuntimeError) as error:  # closed meanwhile
            raise _unreachable(url, "is not asked any more") from error
        except (self._aiohttp.ClientError, OSError, ValueError) as error:
            raise _unreachable(url, _reason(error)) from error
        finally:
            work.close() if asked is None else asked.cancel()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise UnavailableError("unreachable", f"{self.name} was closed")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="source", daemon=True
                )
                self._thread.start()
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
            open_tasks = asyncio.all_tasks(loop)
            for task in open_tasks:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*open_tasks, return_exceptions=True))
            if self._session is not None:
                loop.run_until_complete(self._session.close())
        finally:
            loop.close()

    def _open_session(self) -> aiohttp.ClientSession:
        aio, patience = self._aiohttp, self._patience
        session: aiohttp.ClientSession = aio.ClientSession(
            connector=aio.TCPConnector(limit=patience.connections),
            cookie_jar=aio.DummyCookieJar(),
            auto_decompress=False,
            headers={"user-agent": "nous-sentinel"},
            timeout=aio.ClientTimeout(
                total=patience.total_s,
                sock_connect=patience.idle_s,
                sock_read=patience.idle_s,
            ),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        return session

    async def _get(self, url: str, limit: int, headers: Mapping[str, str]) -> bytes:
        if self._session is None:
            self._session = self._open_session()
        async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
            if answer.status != _OK:
                answer.close()  # whatever else it says is not read
                kind = NotThereError if answer.status == _NOT_FOUND else UnavailableError
                raise _unreachable(url, f"answered {answer.status}", kind)
            try:
                return await _read(url, answer, limit)
            except UnavailableError:
                answer.close()
                raise


async def _read(url: str, answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return an answer's content, unpacked, of at most `limit` bytes."""
    unpack = _unpacker(url, answer)
    if isinstance(unpack, _Plain) and (answer.content_length or 0) > limit:
        raise _too_long(url, limit)
    data = bytearray()
    async for piece in answer.content.iter_any():
        data += unpack(piece, limit + 1 - len(data))
        if len(data) > limit:
            raise _too_long(url, limit)
    if unpack.cut_short:
        raise _unreachable(url, "ended its answer early")
    return bytes(data)


class _Plain:
    """Passes on what is not packed."""

    cut_short = False

    def __call__(self, piece: bytes, room: int) -> bytes:
        return piece[:room]


class _Gzip:
    """Unpacks gzip, never to more than there is room for."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stream = zlib.decompressobj(_GZIP)

    @property
    def cut_short(self) -> bool:
        return not self._stream.eof

    def __call__(self, piece: bytes, room: int) -> bytes:
        if self._stream.eof:
            raise _unreachable(self._url, "sent more behind the end of its packed answer")
        try:
            data = self._stream.decompress(self._stream.unconsumed_tail + piece, room)
        except zlib.error as error:
            raise _unreachable(self._url, f"sent what cannot be unpacked: {error}") from error
        if self._stream.unused_data:
            raise _unreachable(self._url, "sent more behind the end of its packed answer")
        return data


def _unpacker(url: str, answer: aiohttp.ClientResponse) -> _Plain | _Gzip:
    coding = answer.headers.get("content-encoding", "identity").strip().lower()
    if coding == "identity":
        return _Plain()
    if coding in ("gzip", "x-gzip"):
        return _Gzip(url)
    raise _unreachable(url, "answered in a content coding that was not asked for")


def _load_aiohttp() -> Any:  # noqa: ANN401 - the module itself
    """Return the HTTP library, which belongs to an extra.

    Raises:
        MissingExtraError: missing-extra.
    """
    try:
        import aiohttp  # noqa: PLC0415 - loaded where a log is read over HTTP, not before
    except ImportError as error:
        raise MissingExtraError(
            "missing-extra", "reading a log over HTTP needs aiohttp, which is not installed"
        ) from error
    return aiohttp


def _parts_of(url: str) -> SplitResult:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        plain = "@" not in parts.netloc and not parts.query and not parts.fragment
        if plain and parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    # The address is not repeated where it is refused: it may hold a password.
    raise InputError(
        "input",
        "the address of a log is an http or https URL without credentials or query",
        hint="for example https://log.example/main",
    )


def _is_loopback(parts: SplitResult) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    return parts.hostname == "localhost"


def _reason(error: Exception) -> str:
    """Return why nothing came, without what the other side wrote at length."""
    if isinstance(error, OSError) and error.strerror:
        return f"could not be read: {error.strerror}"
    return f"could not be read: {type(error).__name__}"


def _too_long(url: str, limit: int) -> UnavailableError:
    return _unreachable(url, f"answered with more than {limit} bytes")


def _unreachable(
    url: str, what: str, kind: type[UnavailableError] = UnavailableError
) -> UnavailableError:
    return kind("unreachable", f"{url} {what}")
