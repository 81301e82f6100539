"""A client's connection as the server has it: what uvicorn does, and what a gateway needs more."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nous_ledger.gateway.client import LINE, Line, Scope


class Connection(HttpToolsProtocol):
    """One connection: says when it is lost, and keeps late fields apart.

    Fields that come after a body would join the header fields or not, by the chance of
    how the bytes arrive. The scope has them as `trailers`.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start a connection."""
        super().connection_made(transport)
        self.line = Line()

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection, and tell the call that it serves."""
        super().connection_lost(exc)
        self.line.hang_up()

    def on_headers_complete(self) -> None:
        """Start the request; what is still to come goes elsewhere."""
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # no upgrade, which reads them once more
            self.headers = []
            scope: Scope = self.scope  # type: ignore[assignment]
            scope["trailers"] = self.headers
            scope[LINE] = self.line

    def on_message_complete(self) -> None:
        """End the request; its client may hang up from now on, which only reading tells."""
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()
