"""A witness over HTTP: bounded in bytes, time and connections.

    POST /add-checkpoint                     a cosignature, if the head extends the last one
    GET  /<SHA-256 of the origin>/checkpoint the latest cosigned checkpoint, for monitors

One thread decides and stores; the loop only reads and writes. Nothing is unpacked that
was sent compressed, and no address of a client is written down.

Spec:
    PROTOCOL.md WIT-12, WIT-14; C2SP tlog-witness v1.1.0.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from nous_ledger.protocol.errors import InputError, UnavailableError
from sentinel.errors import MissingExtraError, WitnessError
from sentinel.witness import Witness
from sentinel.witness_wire import MAX_REQUEST_BYTES, Answer, refusal

if TYPE_CHECKING:
    from aiohttp import web

READ_S: Final = 10.0
"""Seconds within which the head of a request, and then its body, must have come."""
MAX_CONNECTIONS: Final = 256
MAX_WAITING: Final = 64
"""Requests that wait for the one thread; more are told to come back."""

_MAX_HEADER_BYTES: Final = 4096
_MAX_HEADERS: Final = 64
_GRACE_S: Final = 5.0
_MONITORED: Final = re.compile(r"/([0-9a-f]{64})/checkpoint")
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):([0-9]{1,5})")


class WitnessServer:
    """Serves a witness until it is told to stop."""

    def __init__(self, witness: Witness, *, read_s: float = READ_S) -> None:
        """Prepare; nothing listens yet.

        Args:
            witness: who answers; from now on used by this server's thread alone.
            read_s: seconds within which a request must have come.

        Raises:
            MissingExtraError: missing-extra.
        """
        self._web = _load_web()
        self._witness = witness
        self._read_s = read_s
        self._worker = ThreadPoolExecutor(1, "witness")
        self._waiting = 0

    async def serve(
        self, host: str, port: int, *, ready: Callable[[int], object], stopped: asyncio.Event
    ) -> None:
        """Listen until told to stop; what was begun is answered first.

        Args:
            host: address or name.
            port: 0 for any free one.
            ready: called with the port once connections are taken.
            stopped: is set to end it.

        Raises:
            UnavailableError: unreachable (the address cannot be listened on).
        """
        loop = asyncio.get_running_loop()
        server = self._make_server()
        try:
            listening = await loop.create_server(self._factory(server), host, port)
        except OSError as error:
            raise UnavailableError(
                "unreachable",
                f"cannot listen on {host}:{port}: {error.strerror or error}",
                hint="choose another address or port",
            ) from error
        try:
            ready(_port_of(listening.sockets[0]))
            await stopped.wait()
        finally:
            listening.close()
            server.pre_shutdown()
            await server.shutdown(_GRACE_S)
            self._worker.shutdown()

    def _make_server(self) -> web.Server:
        # The time for keeping a connection runs from its first moment, so that one which
        # sends the head of its request a byte at a time is cut off by it too.
        server: web.Server = self._web.Server(
            self._answer,
            keepalive_timeout=self._read_s,
            lingering_time=0.0,
            auto_decompress=False,
            access_log=None,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
        )
        return server

    def _factory(self, server: web.Server) -> Callable[[], asyncio.Protocol]:
        def connect() -> asyncio.Protocol:
            full = len(server.connections) >= MAX_CONNECTIONS
            return _Refusing() if full else server()

        return connect

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        if path == "/add-checkpoint":
            answer = await self._add_checkpoint(request)
        elif monitored := _MONITORED.fullmatch(path):
            answer = await self._monitor(request, monitored[1])
        else:
            answer = refusal(404, "there is nothing here")
        response: web.Response = self._web.Response(
            status=answer.status, body=answer.body, headers={"content-type": answer.kind}
        )
        if answer.retry_after is not None:
            response.headers["retry-after"] = str(answer.retry_after)
        if answer.status in (405, 408, 411, 413, 415):
            response.force_close()  # the rest of the request is not read
        return response

    async def _add_checkpoint(self, request: web.BaseRequest) -> Answer:
        if request.method != "POST":
            return refusal(405, "send a checkpoint with POST")
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            return refusal(415, "send it uncompressed")
        if (request.content_length or 0) > MAX_REQUEST_BYTES:
            return refusal(413, f"more than {MAX_REQUEST_BYTES} bytes")
        try:
            async with asyncio.timeout(self._read_s):
                data = await _read(request)
        except TimeoutError:
            return refusal(408, "the request did not come in time")
        if len(data) > MAX_REQUEST_BYTES:
            return refusal(413, f"more than {MAX_REQUEST_BYTES} bytes")
        return await self._decide(lambda: self._witness.add_checkpoint(data))

    async def _monitor(self, request: web.BaseRequest, hashed: str) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return refusal(405, "read a checkpoint with GET")
        return await self._decide(lambda: self._latest(hashed))

    def _latest(self, hashed: str) -> Answer:
        try:
            note = self._witness.latest(hashed)
        except WitnessError:
            return refusal(503, "the witness cannot read its state", retry_after=30)
        if note is None:
            return refusal(404, "this witness cosigned no such log")
        return Answer(status=200, body=note)

    async def _decide(self, decide: Callable[[], Answer]) -> Answer:
        if self._waiting >= MAX_WAITING:
            return refusal(503, "too many requests wait", retry_after=1)
        self._waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._worker, decide)
        # Counted until the thread is done with it, whether or not the client still waits.
        work.add_done_callback(self._done)
        return await asyncio.shield(work)

    def _done(self, _: object) -> None:
        self._waiting -= 1


class _Refusing(asyncio.Protocol):
    """Closes a connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of an address to listen on.

    Raises:
        InputError: it is not HOST:PORT with a port in 0..65535.

    >>> parse_listen("127.0.0.1:7380"), parse_listen("[::1]:0")
    (('127.0.0.1', 7380), ('::1', 0))
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match[3]) > 0xFFFF:
        raise InputError("input", f"{text!r} is not HOST:PORT", hint="for example 127.0.0.1:7380")
    return match[1] or match[2], int(match[3])


async def _read(request: web.BaseRequest) -> bytes:
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > MAX_REQUEST_BYTES:
            break
    return bytes(data)


def _port_of(listening: socket.socket) -> int:
    port: int = listening.getsockname()[1]
    return port


def _load_web() -> Any:  # noqa: ANN401 - the module itself
    """Return the server library, which belongs to an extra.

    Raises:
        MissingExtraError: missing-extra.
    """
    try:
        from aiohttp import web  # noqa: PLC0415 - loaded where a witness is served, not before
    except ImportError as error:
        raise MissingExtraError(
            "missing-extra", "serving a witness needs aiohttp, which is not installed"
        ) from error
    return web
