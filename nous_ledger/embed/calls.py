"""One call of a program: what it sent, what it received, and the receipt of it.

Nothing is altered. Bodies are committed to as this program has them, without
content codings, and the answer is metered while it passes.

Spec:
    PROTOCOL.md RCPT-12, COMM-1 to COMM-3.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from nous_ledger.embed.targets import Target
from nous_ledger.gateway import drafts
from nous_ledger.gateway.codings import Decoder, decode_body
from nous_ledger.gateway.drafts import Ending, complete_receipt, draft_receipt
from nous_ledger.gateway.formats import is_readable, make_parser
from nous_ledger.gateway.identity import CLIENT_TOKEN_HEADER, find_credential
from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.providers import API_OTHER
from nous_ledger.gateway.recording import Recorder
from nous_ledger.gateway.request import read_request
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.hashing import (
    OPENING_LENGTH,
    RunningCommitment,
    commit_request,
    opening_hash,
)
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import SOURCE
from nous_ledger.protocol.types import SubjectId

HTTP_ERROR: Final = 400

RawHeaders = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is to be logged of a call that is over."""

    receipt: Receipt
    raw_usage: tuple[bytes, ...] = ()


class EmbeddedCall:
    """One call, used by one thread or task at a time.

    Use `answered` when the response's head has come, `feed` for every piece of its
    body as it stands on the wire, and `end` once.

    Attributes:
        draft: the receipt as it stands if the program dies during the call.
        opening: the call's secret for commitments, 32 bytes.
        opening_hash: what the ledger keeps of it.
        has_answer: the head of the response has come.
    """

    def __init__(
        self,
        ledger: Ledger,
        target: Target,
        headers: RawHeaders,
        body: bytes | None,
        recorder: Recorder | None = None,
    ) -> None:
        """Start a call whose request is known in full.

        Args:
            ledger: makes the caller's pseudonym.
            target: where the call goes and what it is.
            headers: of the request.
            body: of the request as it stands on the wire; None if it was too long to keep.
            recorder: keeps the content, if anything does.
        """
        fields = _lowered(headers)
        self._started = time.monotonic()
        self._target = target
        self.opening = secrets.token_bytes(OPENING_LENGTH)
        self.opening_hash = opening_hash(self.opening)
        coding = _field(fields, b"content-encoding")
        plain = None if body is None else decode_body(body, coding)
        self._request_too_long = body is None
        self._facts = read_request(target.shape, plain, may_ask=False)
        self.draft = replace(
            draft_receipt(
                subject=_subject(ledger, fields, target.query),
                upstream=target.upstream,
                shape=target.shape,
                model=self._facts.model,
                request_commitment=None if plain is None else commit_request(self.opening, plain),
            ),
            source=SOURCE["embedded"],
        )
        self._recording = (
            recorder.begin(self.draft.id, self.opening, plain, None) if recorder else None
        )
        self._commitment = RunningCommitment("response", self.opening)
        self._http_status: int | None = None
        self._decoder = Decoder(None)
        self._meter = Meter(API_OTHER, streamed=False)
        self._streamed = False
        self._request_id: str | None = None
        self._over = False

    @property
    def has_answer(self) -> bool:
        """Whether the head of the response has come."""
        return self._http_status is not None

    @property
    def told_its_end(self) -> bool:
        """Whether the stream's own end mark has passed."""
        return self._meter.ended

    def answered(self, http_status: int, headers: RawHeaders) -> None:
        """Take the head of the response."""
        fields, route = _lowered(headers), self._target.upstream.route
        shape = self._target.shape
        kind = (_field(fields, b"content-type") or "").partition(";")[0].strip().lower()
        parser = make_parser(kind, is_stream=shape.stream and http_status < HTTP_ERROR)
        self._http_status = http_status
        self._streamed = parser is not None
        self._decoder = Decoder(_field(fields, b"content-encoding"))
        self._request_id = _field(fields, route.request_id_header.encode())
        self._meter = Meter(
            shape.api if is_readable(kind) else API_OTHER,
            streamed=self._streamed,
            parser=parser,
            cost=route.cost,
        )

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the response's body; once the call is over it is ignored."""
        if self._over:
            return
        for plain in self._decoder.feed(piece):
            self._meter.feed(plain)
            self._commitment.update(plain)
            if self._recording is not None:
                self._recording.response(plain)

    def end(self, cause: int | None, *, received: bool = True) -> Ended:
        """Return what is to be logged.

        Args:
            cause: None if the response came to its end, else the receipt status for
                what ended it before.
            received: all that was fed has reached whoever called.
        """
        self._over = True
        if self._recording is not None:
            self._recording.end()
        if self._decoder.failed:
            self._meter.lose_sight()
        self._meter.close()
        # A stream that has told its own end is whole, however its transfer ends.
        cut = cause is not None and not (received and self._meter.ended)
        metered = Metered()
        if self._http_status is not None:
            metered = self._meter.result(
                hidden_ruled_out=self._facts.hidden_ruled_out,
                all_shown=self._facts.all_shown,
                reached=not cut and self._http_status < HTTP_ERROR,
                cut=cut,
            )
        known = self.has_answer and not self._decoder.failed and (received or not cut)
        ending = Ending(
            status=self._status(metered, cause, cut=cut),
            http_status=self._http_status,
            duration=round((time.monotonic() - self._started) * 1000),
            streamed=self._streamed,
            metered=metered,
            response_commitment=self._commitment.digest() if known else None,
            too_long=self._request_too_long or self._decoder.too_long,
            provider_request_id=self._request_id,
        )
        return Ended(receipt=complete_receipt(self.draft, ending), raw_usage=metered.raw_usage)

    def give_up(self) -> None:
        """End a call that was not made."""
        self._over = True
        if self._recording is not None:
            self._recording.end()

    def _status(self, metered: Metered, cause: int | None, *, cut: bool) -> int:
        """Return the receipt status; what happened first comes first."""
        if self._http_status is None:
            return drafts.INTERRUPTED if cause is None else cause
        if self._http_status >= HTTP_ERROR or metered.failed:
            return drafts.UPSTREAM_ERROR
        if cut and cause is not None:
            return cause
        if not metered.ended:
            return drafts.UPSTREAM_RESET
        return drafts.INCOMPLETE if metered.incomplete else drafts.COMPLETE


def _lowered(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers]


def _field(fields: list[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    found = [value.decode("latin-1") for name, value in fields if name == wanted]
    return ", ".join(found) or None


def _subject(ledger: Ledger, fields: list[tuple[bytes, bytes]], query: bytes) -> SubjectId:
    # The token of a gateway proves nothing where no gateway has checked it.
    others = [field for field in fields if field[0] != CLIENT_TOKEN_HEADER]
    credential = find_credential(others, query)
    return ledger.subject(credential.kind, credential.value)
