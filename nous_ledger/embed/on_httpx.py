"""Receipts for every LLM call of an `httpx` client.

    client = httpx.Client(transport=Transport(writer))
    client = httpx.AsyncClient(transport=AsyncTransport(writer))

Proxies, certificates and pools are options of the inner transport, which does the
sending. Requests that are no LLM call pass untouched.

Spec:
    PROTOCOL.md RCPT-12, COMM-1.
"""

from __future__ import annotations

import httpx

from nous_ledger.embed.transport import (
    AsyncReceiptTransport,
    MeteredAsyncStream,
    MeteredStream,
    ReceiptTransport,
)
from nous_ledger.embed.writer import ReceiptWriter


class _Body(MeteredStream, httpx.SyncByteStream):
    """A body of this library."""


class _AsyncBody(MeteredAsyncStream, httpx.AsyncByteStream):
    """A body of this library."""


class Transport(ReceiptTransport, httpx.BaseTransport):
    """Writes a receipt for every call that an inner transport makes."""

    RESPONSE = httpx.Response
    STREAM = httpx.SyncByteStream
    BODY = _Body

    def __init__(self, writer: ReceiptWriter, inner: httpx.BaseTransport | None = None) -> None:
        """Stand before a transport; None is the default one."""
        super().__init__(writer, httpx.HTTPTransport() if inner is None else inner)


class AsyncTransport(AsyncReceiptTransport, httpx.AsyncBaseTransport):
    """Writes a receipt for every call that an inner transport makes; for asyncio."""

    RESPONSE = httpx.Response
    STREAM = httpx.AsyncByteStream
    BODY = _AsyncBody

    def __init__(
        self, writer: ReceiptWriter, inner: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """Stand before a transport; None is the default one."""
        super().__init__(writer, httpx.AsyncHTTPTransport() if inner is None else inner)
