"""The response on its way from the upstream to the client.

Pieces go on as they arrive; a decoded copy is metered and committed to. Of a
body that is not streamed the last piece is held until the call's receipt is
durable. Where the usage chunk must be taken out of a stream, events go on once
they are whole.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

from nous_ledger.gateway.client import Client
from nous_ledger.gateway.codings import Decoder
from nous_ledger.gateway.formats import is_readable, make_parser
from nous_ledger.gateway.headers import RawHeaders
from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.providers import API_OTHER
from nous_ledger.gateway.recording import Recording
from nous_ledger.gateway.upstream import (
    BrokenResponseError,
    Response,
    client_fields,
    field_of,
    next_piece,
    read_at_once,
    set_sink,
)
from nous_ledger.protocol.hashing import RunningCommitment, commit_response
from nous_ledger.protocol.registries import STATUS
from nous_ledger.protocol.types import Hash32

_RESET: Final = STATUS["upstream_reset"]
_BODILESS: Final = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
HTTP_ERROR: Final = 400
SLICE_BYTES: Final = 8 * 1024
"""Most bytes of a stream that are read in one go: they may be thousands of events."""


class Relay:
    """One response passing through.

    Attributes:
        http_status: status of the upstream's response.
        streamed: the response is an event stream.
        end_shown: the client got the stream's own end mark.
    """

    def __init__(
        self,
        response: Response,
        client: Client,
        *,
        shape: CallShape,
        altered: bool,
        opening: bytes,
        cost: tuple[str, ...] = (),
        keep_text: bool = False,
        recording: Recording | None = None,
    ) -> None:
        """Prepare for a response whose head has come.

        Args:
            response: the upstream's response.
            client: who gets it.
            shape: what the call is.
            altered: the request was altered, so a usage chunk must be taken out.
            opening: the call's secret for commitments, 32 bytes.
            cost: where in the usage the price in US dollars stands.
            keep_text: keep the answer, for its tokens to be counted.
            recording: where a copy of what the client receives goes, if anywhere.
        """
        self.http_status = response.status
        kind = response.content_type
        is_stream = shape.stream and self.http_status < HTTP_ERROR
        parser = make_parser(kind, is_stream=is_stream)
        self.streamed = parser is not None
        self.end_shown = False
        self._response = response
        self._client = client
        self._decoder = Decoder(field_of(response, "content-encoding"))
        self._strip = altered and self.streamed and not self._decoder.failed
        self._meter = Meter(
            shape.api if is_readable(kind) else API_OTHER,
            streamed=self.streamed,
            parser=parser,
            strip=self._strip,
            cost=cost,
            keep_text=keep_text,
        )
        self._opening = opening
        self._running: RunningCommitment | None = None
        self._recording = recording
        self._head: RawHeaders | None = None  # the head of the response, if it is held
        self._held = b""
        self._whole = b""  # the body as it came, if it came at once

    @property
    def too_long(self) -> bool:
        """Whether the body was too long to be committed to."""
        return self._decoder.too_long

    def field(self, name: str) -> str | None:
        """Return a header field of the upstream's response."""
        return field_of(self._response, name)

    async def run(self, own_headers: RawHeaders) -> None:
        """Pass the response on, all but what is held until `finish`.

        Args:
            own_headers: the gateway's own fields, added to the upstream's.

        Raises:
            BrokenResponseError: the body broke off, fell silent or cannot be altered.
        """
        # These have no body but may tell the length of one; our server would wait for it.
        bodiless = self.http_status in _BODILESS
        headers = client_fields(self._response, altered=self._strip, bodiless=bodiless)
        headers += own_headers
        if not self.streamed and (whole := read_at_once(self._response)) is not None:
            # All of it has come already: it goes out in one go, after the receipt.
            self._head = headers
            if self._decoder.passes(len(whole)):
                self._take_whole(whole)
            else:
                await self._take(whole)
            return
        self._running = RunningCommitment("response", self._opening)
        await self._client.start(self.http_status, headers)
        response = self._response
        if self.streamed:
            set_sink(response, self._take_now)
        while piece := await next_piece(response):
            await self._take(piece)

    def _take_whole(self, body: bytes) -> None:
        """Meter all of a body, which is as it came; it is committed to when that is asked for."""
        self._whole = self._held = body
        self._meter.feed(body)
        if not self._client.gone:
            if self._recording is not None:
                self._recording.response(body)
            self.end_shown = self._meter.ended

    def _take_now(self, piece: bytes) -> bool:
        """Take a piece of a stream as `_take` does, if nothing has to be waited for.

        Returns:
            Whether it was taken; if not, nothing has happened.
        """
        client, decoder, length = self._client, self._decoder, len(piece)
        if length > SLICE_BYTES or length > decoder.left or not decoder.identity:
            return False
        if not client.gone and not client.send_at_once(b"" if self._strip else piece):
            return False
        decoder.left -= length
        kept = self._meter.feed(piece)
        self._commit(kept)
        if self._strip and kept:
            client.send_at_once(kept)
        if self._meter.ended and not client.gone:
            self.end_shown = True
        return True

    async def _take(self, piece: bytes) -> None:
        """Meter a piece, commit to it and pass it on."""
        decoder = self._decoder
        if len(piece) <= SLICE_BYTES and decoder.passes(len(piece)):  # nearly every piece
            kept = self._meter.feed(piece)
            self._commit(kept)
            await self._pass(kept)
            return
        for decoded in decoder.feed(piece):
            kept = await self._look(decoded)
            if self._strip:
                await self._pass(kept)
        if not self._strip:
            await self._pass(piece)
        elif decoder.failed:
            raise BrokenResponseError(_RESET)

    async def close(self) -> None:
        """Take the end of the body, whole or not."""
        if self._decoder.failed:
            self._meter.lose_sight()
        rest = self._meter.close()
        if rest:
            self._commit(rest)
        await self._pass(rest)

    async def finish(self) -> None:
        """Send what was held and end the response."""
        if self._head is not None:
            await self._client.answer(self.http_status, self._head, self._held)
        else:
            await self._client.finish(self._held)

    async def break_off(self) -> None:
        """Send what was held; the response stays without an end, as it came."""
        if self._head is not None:
            await self._client.start(self.http_status, self._head)
        await self._client.send(self._held)

    def metered(self, *, hidden_ruled_out: bool, all_shown: bool, cut: bool) -> Metered:
        """Return what was metered.

        Args:
            hidden_ruled_out: the request left no room for hidden thinking.
            all_shown: it left no room for output that is not shown.
            cut: the body broke off.
        """
        reached = self.shown and (self.end_shown or not cut) and self.http_status < HTTP_ERROR
        return self._meter.result(
            hidden_ruled_out=hidden_ruled_out, all_shown=all_shown, reached=reached, cut=cut
        )

    @property
    def shown(self) -> bool:
        """Whether the client got everything that was sent to it."""
        return self.end_shown or not self._client.gone

    def commitment(self) -> Hash32 | None:
        """Return the commitment to what the client received, None if that is not known."""
        if not self.shown or self._decoder.failed:
            return None
        if self._running is not None:
            return self._running.digest()
        return commit_response(self._opening, self._whole)

    async def _look(self, decoded: bytes) -> bytes:
        """Meter and commit to decoded bytes; return what the client gets of them.

        They may be thousands of events, so they are read in slices: a few bytes on
        the wire can hold megabytes of them.
        """
        kept = bytearray()
        length = SLICE_BYTES if self.streamed else len(decoded) or 1
        for start in range(0, len(decoded), length):
            if start:
                await asyncio.sleep(0)  # other calls have their turn
            shown = self._meter.feed(decoded[start : start + length])
            self._commit(shown)
            if self._strip:
                kept += shown
        return bytes(kept)

    def _commit(self, shown: bytes) -> None:
        if not self._client.gone:
            if self._running is None:
                self._running = RunningCommitment("response", self._opening)
            self._running.update(shown)
            if self._recording is not None:
                self._recording.response(shown)

    async def _pass(self, data: bytes) -> None:
        if self.streamed:
            if data and not self._client.send_at_once(data):
                await self._client.send(data)
        elif data:
            if self._held:
                await self._client.send(self._held)
            self._held = data
        if self._meter.ended and not self._client.gone:
            self.end_shown = True
