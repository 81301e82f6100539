"""Receipts for every LLM call of an `httpx2` client.

    client = httpx2.Client(transport=Transport(writer))
    client = httpx2.AsyncClient(transport=AsyncTransport(writer))

Proxies, certificates and pools are options of the inner transport, which does the
sending. Requests that are no LLM call pass untouched.

Spec:
    PROTOCOL.md RCPT-12, COMM-1.
"""

from __future__ import annotations

import httpx2

from nous_ledger.embed.transport import (
    AsyncReceiptTransport,
    MeteredAsyncStream,
    MeteredStream,
    ReceiptTransport,
)
from nous_ledger.embed.writer import ReceiptWriter


class _Body(MeteredStream, httpx2.SyncByteStream):
    """A body of this library."""


class _AsyncBody(MeteredAsyncStream, httpx2.AsyncByteStream):
    """A body of this library."""


class Transport(ReceiptTransport, httpx2.BaseTransport):
    """Writes a receipt for every call that an inner transport makes."""

    RESPONSE = httpx2.Response
    STREAM = httpx2.SyncByteStream
    BODY = _Body

    def __init__(self, writer: ReceiptWriter, inner: httpx2.BaseTransport | None = None) -> None:
        """Stand before a transport; None is the default one."""
        super().__init__(writer, httpx2.HTTPTransport() if inner is None else inner)


class AsyncTransport(AsyncReceiptTransport, httpx2.AsyncBaseTransport):
    """Writes a receipt for every call that an inner transport makes; for asyncio."""

    RESPONSE = httpx2.Response
    STREAM = httpx2.AsyncByteStream
    BODY = _AsyncBody

    def __init__(
        self, writer: ReceiptWriter, inner: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        """Stand before a transport; None is the default one."""
        super().__init__(writer, httpx2.AsyncHTTPTransport() if inner is None else inner)
