"""One call, from its first byte to its receipt.

    read the request → draft the receipt (durable) → forward → relay the response
    while it is metered → append the receipt (durable) → end the response

The response ends only when the receipt is durable: the last piece of a whole
body, and the end of a stream's transfer, wait for it. So a client that has its
answer can fetch the receipt. (A stream's last event does not wait; the read API
waits a moment for a call that is still in flight.)

When the client hangs up, the upstream is read to its end all the same, for as
long as the gateway allows: what it bills is known only then.

Spec:
    PROTOCOL.md RCPT-12, RCPT-13, COMM-1 to COMM-3.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Final

from nous_ledger.gateway import drafts
from nous_ledger.gateway.answers import (
    BAD_FIELD,
    BODY_LATE,
    LEDGER_DOWN,
    SHUTTING_DOWN,
    TOO_LARGE,
    Answer,
)
from nous_ledger.gateway.bounds import CallNotes
from nous_ledger.gateway.call_head import CallHead
from nous_ledger.gateway.client import BodyTooLargeError, Client, ClientGoneError, Scope
from nous_ledger.gateway.codings import decode_body
from nous_ledger.gateway.drafts import (
    RANDOM_LENGTH,
    complete_receipt,
    draft_receipt,
    new_ending,
    receipt_name,
)
from nous_ledger.gateway.drains import Drain
from nous_ledger.gateway.headers import (
    RawHeaders,
)
from nous_ledger.gateway.long_request import is_long, read_long_request
from nous_ledger.gateway.metering import Metered
from nous_ledger.gateway.recording import Recording
from nous_ledger.gateway.relay import HTTP_ERROR, Relay
from nous_ledger.gateway.request import RequestFacts, read_request
from nous_ledger.gateway.service import Service
from nous_ledger.gateway.upstream import (
    BrokenResponseError,
    NoResponseError,
)
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import (
    OPENING_LENGTH,
    commit_forwarded,
    commit_request,
    commit_response,
    opening_hash,
)
from nous_ledger.protocol.receipt import Receipt

_log: Final = logging.getLogger("nous_ledger.gateway")


class Call:
    """One admitted call. Its opening is known here and to the client, nowhere else."""

    def __init__(self, service: Service, head: CallHead, scope: Scope, client: Client) -> None:
        """Prepare for a call whose request head has come.

        Args:
            service: what all calls share.
            head: the head.
            scope: the ASGI scope of the request.
            client: who waits for the response.
        """
        self._service = service
        self._head = head
        self._upstream = head.upstream
        self._client = client
        self._trailers: list[object] = scope.get("trailers", [])  # filled while the body comes
        self._random = os.urandom(OPENING_LENGTH + RANDOM_LENGTH)
        self._opening = self._random[:OPENING_LENGTH]
        self._opening_hash = opening_hash(self._opening)
        self._started = time.monotonic()
        self._body: bytes | None = None  # of the request, without content codings
        self._relay: Relay | None = None
        self._recording: Recording | None = None
        self._settled = False

    async def run(self) -> None:
        """Serve the call; returns when it is over and its receipt is written."""
        limits = self._service.limits
        try:
            body = self._client.body_at_hand(limits.max_request_bytes)
            if body is None:
                body = await self._client.read_body(limits.max_request_bytes, limits.body_silence_s)
        except ClientGoneError:
            return  # nothing was asked for in full, so there was no call
        except BodyTooLargeError:
            await self._answer(TOO_LARGE, self._draft(None, RequestFacts()))
            return
        except TimeoutError:  # as above, but somebody may still be there
            await self._send(BODY_LATE, BODY_LATE.body(self._upstream.route.errors), [])
            return
        decoded = self._body = body if self._head.coding is None else self._decoded(body)
        facts = await self._read(decoded)
        draft = self._draft(decoded, facts)
        if self._head.refused is not None or self._trailers:
            await self._answer(self._head.refused or BAD_FIELD, draft)
            return
        try:
            await self._service.journal.begin(draft, self._opening_hash)
        except LedgerError as error:
            await self._forward_nothing(error)
            return
        except asyncio.CancelledError:  # it came after the promise
            await self._settle(draft, ())
            raise
        try:
            await self._serve(draft, facts, body if facts.altered is None else facts.altered)
        except (Exception, asyncio.CancelledError):
            if not self._settled:  # neither a fault in here nor a shutdown costs the receipt
                await self._settle(draft, ())
            raise

    async def _forward_nothing(self, error: LedgerError) -> None:
        _log.error("no call is forwarded: the ledger cannot be written: %s", error.code)
        if self._recording is not None:
            self._recording.end()
        await self._send(LEDGER_DOWN, LEDGER_DOWN.body(self._upstream.route.errors), [])

    def _decoded(self, body: bytes) -> bytes | None:
        """Return the request body without its content codings, None if they stay."""
        return decode_body(body, self._head.coding, self._service.limits.max_request_bytes)

    async def _read(self, body: bytes | None) -> RequestFacts:
        head = self._head
        not_with = head.upstream.route.asks_not_with
        if body is not None and is_long(body):
            return await read_long_request(
                head.shape, body, may_ask=head.may_ask, not_with=not_with
            )
        return read_request(head.shape, body, may_ask=head.may_ask, not_with=not_with)

    def _draft(self, body: bytes | None, facts: RequestFacts) -> Receipt:
        opening, altered = self._opening, facts.altered
        draft = draft_receipt(
            subject=self._head.subject,
            upstream=self._upstream,
            shape=self._head.shape,
            model=facts.model,
            request_commitment=None if body is None else commit_request(opening, body),
            forwarded_commitment=None if altered is None else commit_forwarded(opening, altered),
            claimed_wallet=self._head.claimed,
            random=self._random[OPENING_LENGTH:],
        )
        if self._service.recorder is not None:
            self._recording = self._service.recorder.begin(draft.id, opening, body, altered)
        return draft

    async def _serve(self, draft: Receipt, facts: RequestFacts, body: bytes) -> None:
        """Forward the call, relay the response, append the receipt, end the response."""
        try:
            broken = await self._exchange(body, draft, facts)
        except NoResponseError as error:
            await self._answer(error.answer, draft)
            return
        relay = self._relay
        if relay is None:
            await self._answer(SHUTTING_DOWN, draft, status=broken)
            return
        await relay.close()
        metered = relay.metered(
            hidden_ruled_out=facts.hidden_ruled_out,
            all_shown=facts.all_shown,
            cut=broken is not None,
        )
        status = self._status(relay, metered, broken)
        notes = CallNotes(
            body=self._body,
            allowance=facts.allowance,
            route=self._upstream.route.name,
            started=self._started,
            prompt=facts.prompt,
        )
        metered = await self._service.label(metered, draft, status, notes)
        ending = new_ending(
            status=status,
            http_status=relay.http_status,
            duration=self._milliseconds(),
            streamed=relay.streamed,
            metered=metered,
            response_commitment=relay.commitment(),
            too_long=relay.too_long,
            provider_request_id=relay.field(self._upstream.route.request_id_header),
        )
        await self._settle(complete_receipt(draft, ending), metered.raw_usage)
        await (relay.finish() if broken is None else relay.break_off())

    async def _exchange(self, body: bytes, draft: Receipt, facts: RequestFacts) -> int | None:
        """Return None when the response is whole, else the status for what broke it.

        Raises:
            NoResponseError: no response head came.
        """
        service, client, drain = self._service, self._client, Drain(self._service.drains)
        client.on_gone = drain.start
        if client.gone:
            drain.start()
        try:
            head = self._head.for_upstream(altered=facts.altered is not None)
            response = await self._head.session.open(head, body)
            try:
                self._relay = Relay(
                    response,
                    client,
                    shape=self._head.shape,
                    altered=facts.altered is not None,
                    opening=self._opening,
                    recording=self._recording,
                    cost=self._upstream.route.cost,
                    keep_text=service.recounter is not None
                    and service.recounter.wants(
                        draft.api, draft.provider, plain_request=facts.plain
                    ),
                )
                await self._relay.run(self._own_headers(draft))
            finally:
                response.close()
        except BrokenResponseError as error:
            return error.status
        except asyncio.CancelledError:  # no more time for reading on, or the gateway shuts down
            return drafts.CLIENT_ABORTED if drain.ended_call() else drafts.INTERRUPTED
        finally:
            client.on_gone = None
            drain.close()
        return None

    def _status(self, relay: Relay, metered: Metered, broken: int | None) -> int:
        """Return the receipt status; what happened first comes first."""
        if relay.http_status >= HTTP_ERROR or metered.failed:
            return drafts.UPSTREAM_ERROR
        if not relay.shown:
            return drafts.CLIENT_ABORTED
        if broken is not None and not relay.end_shown:
            return broken
        if not metered.ended:
            return drafts.UPSTREAM_RESET
        return drafts.INCOMPLETE if metered.incomplete else drafts.COMPLETE

    async def _answer(self, answer: Answer, draft: Receipt, *, status: int | None = None) -> None:
        """End a call that the upstream did not answer."""
        body = answer.body(self._upstream.route.errors)
        if self._recording is not None and not self._client.gone:
            self._recording.response(body)
        ending = new_ending(
            status=answer.status if status is None else status,
            duration=self._milliseconds(),
            response_commitment=None if self._client.gone else commit_response(self._opening, body),
            too_long=answer is TOO_LARGE,
        )
        await self._settle(complete_receipt(draft, ending), ())
        await self._send(answer, body, self._own_headers(draft))

    async def _settle(self, receipt: Receipt, raw_usage: tuple[bytes, ...]) -> None:
        self._settled = True
        if self._recording is not None:
            self._recording.end()
        await self._service.journal.settle(receipt, self._opening_hash, raw_usage)
        self._service.journal.metrics.ended(receipt)
        self._service.log.add(receipt)

    async def _send(self, answer: Answer, body: bytes, headers: RawHeaders) -> None:
        await self._client.start(answer.http_status, answer.headers(len(body)) + headers)
        await self._client.finish(body)

    def _own_headers(self, draft: Receipt) -> RawHeaders:
        return [
            (b"nous-receipt-id", receipt_name(draft.id).encode()),
            (b"nous-subject", draft.subject.hex().encode()),
            (b"nous-opening", self._opening.hex().encode()),
        ]

    def _milliseconds(self) -> int:
        return round((time.monotonic() - self._started) * 1000)
