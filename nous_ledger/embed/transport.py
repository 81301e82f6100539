"""What the transport hooks of `httpx` and `httpx2` have in common.

The two libraries have the same interface under two names. Here stands all that is
done; `on_httpx` and `on_httpx2` make it a part of their library.

Spec:
    PROTOCOL.md RCPT-12, COMM-1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, ClassVar, Final, Protocol, Self

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


class ReceiptTransport:
    """Writes a receipt for every call that an inner transport makes.

    A library's transport is this before its own base class, with the types that it
    works with. Objects of the library are `Any` here, for there are two of each type.
    """

    RESPONSE: ClassVar[Any]
    STREAM: ClassVar[type]
    BODY: ClassVar[type[MeteredStream]]

    def __init__(self, writer: ReceiptWriter, inner: Any) -> None:  # noqa: ANN401
        """Stand before a transport.

        Args:
            writer: writes the receipts.
            inner: does the sending, and is closed with this.
        """
        self._writer = writer
        self._inner = inner

    def handle_request(self, request: Any) -> Any:  # noqa: ANN401
        """Send a request; the receipt of a call is written when its response is over.

        Raises:
            LedgerError: the ledger cannot be written, so the call was not made.
        """
        target = find_target(self._writer, request)
        if target is None:
            return self._inner.handle_request(request)
        call = self._writer.begin(target, request.headers.raw, request.read())
        try:
            response = self._inner.handle_request(request)
            call.answered(response.status_code, response.headers.raw)
            body = _body_of(response, self.STREAM, "threads")
        except BaseException as error:
            self._writer.end(call, cause_of(error, call))
            raise
        return _with_body(self.RESPONSE, response, self.BODY(self._writer, call, body))

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._inner.__exit__(exc_type, exc_value, traceback)


class AsyncReceiptTransport:
    """What `ReceiptTransport` is, for asyncio."""

    RESPONSE: ClassVar[Any]
    STREAM: ClassVar[type]
    BODY: ClassVar[type[MeteredAsyncStream]]

    def __init__(self, writer: ReceiptWriter, inner: Any) -> None:  # noqa: ANN401
        """Stand before a transport.

        Args:
            writer: writes the receipts.
            inner: does the sending, and is closed with this.
        """
        self._writer = writer
        self._inner = inner

    async def handle_async_request(self, request: Any) -> Any:  # noqa: ANN401
        """Send a request; the receipt of a call is written when its response is over.

        Raises:
            LedgerError: the ledger cannot be written, so the call was not made.
        """
        target = find_target(self._writer, request)
        if target is None:
            return await self._inner.handle_async_request(request)
        sent = await request.aread()
        call = await self._writer.begin_async(target, request.headers.raw, sent)
        try:
            response = await self._inner.handle_async_request(request)
            call.answered(response.status_code, response.headers.raw)
            body = _body_of(response, self.STREAM, "tasks")
        except BaseException as error:
            await self._writer.end_async(call, cause_of(error, call))
            raise
        return _with_body(self.RESPONSE, response, self.BODY(self._writer, call, body))

    async def aclose(self) -> None:
        """Close the inner transport."""
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._inner.__aexit__(exc_type, exc_value, traceback)


def _body_of(response: Any, stream: type, readers: str) -> Any:  # noqa: ANN401
    if not isinstance(response.stream, stream):
        raise TypeError(f"the inner transport is none for {readers}")
    return response.stream


def _with_body(make: Any, response: Any, body: object) -> Any:  # noqa: ANN401
    return make(
        response.status_code,
        headers=response.headers,
        stream=body,
        extensions=response.extensions,
    )


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
