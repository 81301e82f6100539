"""Receipts for every LLM call of an `httpx2` client.

    client = httpx2.Client(transport=Transport(writer))
    client = httpx2.AsyncClient(transport=AsyncTransport(writer))

Proxies, certificates and pools are options of the inner transport, which does the
sending. Requests that are no LLM call pass untouched.

Spec:
    PROTOCOL.md RCPT-12, COMM-1.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx2

from nous_ledger.embed.transport import (
    MeteredAsyncStream,
    MeteredStream,
    cause_of,
    find_target,
)
from nous_ledger.embed.writer import ReceiptWriter


class _Body(MeteredStream, httpx2.SyncByteStream):
    """A body of this library."""


class _AsyncBody(MeteredAsyncStream, httpx2.AsyncByteStream):
    """A body of this library."""


class Transport(httpx2.BaseTransport):
    """Writes a receipt for every call that an inner transport makes."""

    def __init__(self, writer: ReceiptWriter, inner: httpx2.BaseTransport | None = None) -> None:
        """Stand before a transport.

        Args:
            writer: writes the receipts.
            inner: does the sending, and is closed with this; None for the default one.
        """
        self._writer = writer
        self._inner = httpx2.HTTPTransport() if inner is None else inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
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
            body = _stream(response)
        except BaseException as error:
            self._writer.end(call, cause_of(error, call))
            raise
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Body(self._writer, call, body),
            extensions=response.extensions,
        )

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


class AsyncTransport(httpx2.AsyncBaseTransport):
    """Writes a receipt for every call that an inner transport makes; for asyncio."""

    def __init__(
        self, writer: ReceiptWriter, inner: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """Stand before a transport.

        Args:
            writer: writes the receipts.
            inner: does the sending, and is closed with this; None for the default one.
        """
        self._writer = writer
        self._inner = httpx2.AsyncHTTPTransport() if inner is None else inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
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
            body = _async_stream(response)
        except BaseException as error:
            await self._writer.end_async(call, cause_of(error, call))
            raise
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_AsyncBody(self._writer, call, body),
            extensions=response.extensions,
        )

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


def _stream(response: httpx2.Response) -> httpx2.SyncByteStream:
    if not isinstance(response.stream, httpx2.SyncByteStream):
        raise TypeError("the inner transport is none for threads")
    return response.stream


def _async_stream(response: httpx2.Response) -> httpx2.AsyncByteStream:
    if not isinstance(response.stream, httpx2.AsyncByteStream):
        raise TypeError("the inner transport is none for tasks")
    return response.stream
