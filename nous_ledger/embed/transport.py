"""What the transport hooks of `httpx` and `httpx2` have in common.

The two libraries have the same interface under two names. Here stands what looks
on; `on_httpx` and `on_httpx2` make it a part of their library.

Spec:
    PROTOCOL.md RCPT-12, COMM-1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Protocol

from nous_ledger.embed.calls import EmbeddedCall
from nous_ledger.embed.targets import Target
from nous_ledger.embed.writer import ReceiptWriter
from nous_ledger.gateway import drafts
from nous_ledger.gateway.codings import narrow_accept_encoding
from nous_ledger.protocol.registries import STATUS

_UNREACHABLE: Final = STATUS["upstream_unreachable"]
_ACCEPT: Final = "accept-encoding"


class Stream(Protocol):
    """A body that is read by a thread."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield its pieces as they stand on the wire."""

    def close(self) -> None:
        """Let go of the connection."""


class AsyncStream(Protocol):
    """A body that is read by a task."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield its pieces as they stand on the wire."""

    async def aclose(self) -> None:
        """Let go of the connection."""


class MeteredStream:
    """A response's body that is metered while a thread reads it."""

    def __init__(self, writer: ReceiptWriter, call: EmbeddedCall, stream: Stream) -> None:
        """Stand before a body."""
        self._writer = writer
        self._call = call
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._stream:
                self._call.feed(piece)
                yield piece
        except GeneratorExit:
            raise  # the reader stopped; `close` follows
        except BaseException as error:
            self._writer.end(self._call, cause_of(error, self._call))
            raise
        self._writer.end(self._call, None)

    def close(self) -> None:
        """Let go of the connection; a body that was not read to its end was not wanted."""
        try:
            self._stream.close()
        finally:
            self._writer.end(self._call, drafts.CLIENT_ABORTED)


class MeteredAsyncStream:
    """A response's body that is metered while a task reads it."""

    def __init__(self, writer: ReceiptWriter, call: EmbeddedCall, stream: AsyncStream) -> None:
        """Stand before a body."""
        self._writer = writer
        self._call = call
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                self._call.feed(piece)
                yield piece
        except GeneratorExit:
            raise  # the reader stopped; `aclose` follows
        except BaseException as error:
            await self._writer.end_async(self._call, cause_of(error, self._call))
            raise
        await self._writer.end_async(self._call, None)

    async def aclose(self) -> None:
        """Let go of the connection; a body that was not read to its end was not wanted."""
        try:
            await self._stream.aclose()
        finally:
            await self._writer.end_async(self._call, drafts.CLIENT_ABORTED)


def find_target(writer: ReceiptWriter, request: Any) -> Target | None:  # noqa: ANN401
    """Return where a request goes, None if it is no LLM call.

    Of a call only such content codings are accepted as can be taken off.

    Args:
        writer: knows the places.
        request: a Request of either library.
    """
    url = request.url
    origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
    target = writer.targets.find(request.method, origin, url.raw_path)
    if target is not None and _ACCEPT in request.headers:
        request.headers[_ACCEPT] = narrow_accept_encoding(request.headers[_ACCEPT])
    return target


def cause_of(error: BaseException, call: EmbeddedCall) -> int:
    """Return the receipt status for an error that ended a call.

    Args:
        error: of either library, or what stopped the thread or task.
        call: the call.
    """
    if not isinstance(error, Exception):  # cancelled, interrupted, exited
        return drafts.CLIENT_ABORTED
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"ConnectTimeout", "PoolTimeout"}:
        return _UNREACHABLE
    if names & {"TimeoutException", "TimeoutError"}:
        return drafts.TIMEOUT
    return drafts.UPSTREAM_RESET if call.has_answer else _UNREACHABLE
