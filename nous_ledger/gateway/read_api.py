"""The read API: what a log's readers and a call's owner get over HTTP.

    GET /checkpoint                    newest signed head (a signed note)
    GET /tile/<L>/<N>[.p/<W>]          hashes of the tree
    GET /tile/entries/<N>[.p/<W>]      records, each after its u16 length
    GET /tile/bodies/<N>[.p/<W>]       bodies, each after its u16 length; 0 = withheld
    GET /v1/policy                     trust policy of this log; compare it out of band
    GET /v1/receipts/{id}              one receipt: record and body, as JSON
    GET /v1/receipts/{id}/proof        its .tlog-proof
    GET /v1/records/{index}/proof      the .tlog-proof of any record
    GET /                              origin and log id

Paths without a version are those of C2SP tlog-tiles. Records, heads, tiles and
key events are public. The body of a receipt is given to who holds

    the call's own credential          sent as in the call
    the id and the opening             header `nous-opening`
    an auditor token                   header `authorization: Bearer …`

and to nobody else: without that right a proof comes with the body withheld, and
a bodies bundle (where only an auditor token counts) with length 0 in its place.
Errors are `{"error": {"code", "message", "hint"}}`.

Spec:
    PROTOCOL.md SERV-1, SERV-4 to SERV-7; sections "Read API" and "Read rights".
"""

from __future__ import annotations

import gzip
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nous_ledger import __version__
from nous_ledger.gateway.heads import Heads
from nous_ledger.gateway.identity import KIND_ACCESS_KEY_ID, KIND_NONE, find_credential
from nous_ledger.gateway.journal import Journal
from nous_ledger.ledger import Entry
from nous_ledger.ledger.headkeeper import PATIENCE_S
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError, LedgerError, ProofError, UnavailableError
from nous_ledger.protocol.hashing import opening_hash
from nous_ledger.protocol.jsonform import body_to_json, record_to_json
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_KEY, decode_record
from nous_ledger.protocol.tiles import (
    FULL_WIDTH,
    Tile,
    TileKind,
    encode_bodies,
    encode_entries,
    encode_tile,
    parse_tile_path,
    tile_nodes,
    tile_width,
)

IN_FLIGHT_WAIT_S: Final = 5.0
"""How long a question for a receipt waits for a call that is not over yet."""

_OCTETS: Final = "application/octet-stream"
_TEXT: Final = "text/plain; charset=utf-8"
_NEVER_CHANGES: Final = {"cache-control": "public, max-age=31536000, immutable"}
_ALWAYS_ASK: Final = {"cache-control": "no-cache"}
_PRIVATE: Final = {"cache-control": "no-store"}

_NO_WEIGHT: Final = re.compile(r"q\s*=\s*0(\.0*)?")
_WORTH_PACKING: Final = 1024
"""Bytes below which a bundle goes as it is."""
_FAST: Final = 1
"""Level of gzip: signatures and hashes do not shrink, whatever the effort."""

_Handler = Callable[[Request], Awaitable[Response]]


class ReadApi:
    """Answers readers from one ledger."""

    def __init__(self, journal: Journal, heads: Heads, auditor_tokens: frozenset[bytes]) -> None:
        """Serve a ledger.

        Args:
            journal: the ledger.
            heads: gives the heads that readers need.
            auditor_tokens: SHA-256 of each token that may read every body.
        """
        self._journal = journal
        self._heads = heads
        self._ledger = journal.ledger
        self._auditor_tokens = auditor_tokens

    def routes(self) -> list[Route]:
        """Return the routes of the API."""
        table: dict[str, _Handler] = {
            "/": self.index,
            "/checkpoint": self.checkpoint,
            "/tile/{path:path}": self.tile,
            "/v1/policy": self.policy,
            "/v1/receipts/{id}": self.receipt,
            "/v1/receipts/{id}/proof": self.receipt_proof,
            "/v1/records/{index}/proof": self.record_proof,
        }
        return [Route(path, partial(_answer, handler)) for path, handler in table.items()]

    async def index(self, _: Request) -> Response:
        """Say which log this is."""
        ledger = self._ledger
        return JSONResponse(
            {
                "service": f"nous-ledger {__version__}",
                "origin": ledger.origin,
                "log_id": ledger.log_id.hex(),
            },
            headers=_ALWAYS_ASK,
        )

    async def checkpoint(self, _: Request) -> Response:
        """Give a head over everything durable, or one that is little older and cosigned."""
        note = await self._heads.newest()
        return Response(note, headers=_ALWAYS_ASK, media_type=_TEXT)

    async def policy(self, _: Request) -> Response:
        """Give the log's own trust policy."""
        return Response(self._ledger.policy_text(), headers=_ALWAYS_ASK, media_type=_TEXT)

    async def tile(self, request: Request) -> Response:
        """Give a tile of hashes, records or bodies."""
        tile = parse_tile_path(f"tile/{request.path_params['path']}")
        all_bodies = self._is_auditor(request)
        data = await self._journal.read(partial(self._tile_bytes, tile, all_bodies=all_bodies))
        headers = dict(_PRIVATE if tile.kind == TileKind.BODIES else _NEVER_CHANGES)
        # Hashes look random and do not shrink. What shows bodies is not packed either:
        # its length would tell of one caller's body to whoever wrote the one beside it.
        if tile.kind == TileKind.ENTRIES:
            headers["vary"] = "accept-encoding"
            if len(data) >= _WORTH_PACKING and _takes_gzip(request):
                data = await self._journal.read(partial(gzip.compress, data, _FAST, mtime=0))
                headers["content-encoding"] = "gzip"
        return Response(data, headers=headers, media_type=_OCTETS)

    async def receipt(self, request: Request) -> Response:
        """Give one receipt with its record."""
        entry = await self._find(request)
        if not self._may_read(request, entry):
            raise _HttpError(403, "no-read-right", "this receipt's body is not yours to read")
        await self._heads.cover(entry.index)  # SERV-5: a head covers what is served
        body = decode_body(decode_record(entry.record).type, entry.body) if entry.body else None
        return JSONResponse(
            {
                "record": record_to_json(decode_record(entry.record)),
                "body": None if body is None else body_to_json(body),
            },
            headers=_PRIVATE,
        )

    async def receipt_proof(self, request: Request) -> Response:
        """Prove one receipt, with its body for who may read it."""
        return await self._proof(request, await self._find(request))

    async def record_proof(self, request: Request) -> Response:
        """Prove any record, with its body for who may read it."""
        text = request.path_params["index"]
        if not (text.isascii() and text.isdigit() and len(text) <= 16):
            raise InputError("input", "an index is a decimal number")
        return await self._proof(request, await self._journal.read(partial(self._entry, int(text))))

    async def _proof(self, request: Request, entry: Entry) -> Response:
        with_body = self._may_read(request, entry)
        await self._heads.cover(entry.index, patience_s=PATIENCE_S)
        prove = partial(self._ledger.prove, entry.index, with_body=with_body)
        return Response(await self._journal.read(prove), headers=_PRIVATE, media_type=_TEXT)

    async def _find(self, request: Request) -> Entry:
        try:
            receipt_id = UUID(request.path_params["id"]).bytes
        except ValueError:
            raise InputError("input", "a receipt id is a UUID") from None
        await self._journal.settled(receipt_id, IN_FLIGHT_WAIT_S)
        entry = await self._journal.read(partial(self._ledger.find_receipt, receipt_id))
        if entry is None:
            raise _HttpError(404, "not-found", "the log has no receipt of this id")
        return entry

    def _entry(self, index: int) -> Entry:
        """Return an entry by its index, a receipt with its opening hash."""
        entry = self._ledger.entry(index)
        receipt = _receipt_of(entry)
        found = None if receipt is None else self._ledger.find_receipt(receipt.id)
        return entry if found is None else found

    def _may_read(self, request: Request, entry: Entry) -> bool:
        """Return whether a request carries the right to an entry's body."""
        if decode_record(entry.record).type == TYPE_KEY or self._is_auditor(request):
            return True
        return self._knows_opening(request, entry) or self._is_caller(request, entry)

    def _is_caller(self, request: Request, entry: Entry) -> bool:
        receipt = _receipt_of(entry)
        credential = find_credential(request.headers.raw, request.scope["query_string"])
        if receipt is None or credential.kind in (KIND_NONE, KIND_ACCESS_KEY_ID):
            # All calls without a credential share one pseudonym. An access-key id is no
            # secret: it stands in every signed URL, and no signature is checked here.
            return False
        subject = self._ledger.subject(credential.kind, credential.value)
        return hmac.compare_digest(subject, receipt.subject)

    @staticmethod
    def _knows_opening(request: Request, entry: Entry) -> bool:
        try:
            opening = bytes.fromhex(request.headers.get("nous-opening", ""))
        except ValueError:
            return False
        if entry.opening_hash is None or len(opening) != 32:
            return False
        return hmac.compare_digest(opening_hash(opening), entry.opening_hash)

    def _is_auditor(self, request: Request) -> bool:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        digest = hashlib.sha256(token.strip().encode("latin-1")).digest()
        return digest in self._auditor_tokens  # a hash tells nothing by how long it takes

    def _tile_bytes(self, tile: Tile, *, all_bodies: bool) -> bytes:
        """Return a tile that the newest head covers in this width (SERV-5).

        Raises:
            _HttpError: 404, the head does not cover it.
        """
        ledger = self._ledger
        head = parse_checkpoint(parse_note(ledger.latest_head()).text)
        if tile.width > tile_width(tile.level, tile.index, head.leaf_count):
            raise _HttpError(404, "not-found", "no head covers this tile in this width yet")
        if tile.kind == TileKind.HASHES:
            return encode_tile(ledger.read_nodes(tile_nodes(tile)))
        lo = tile.index * FULL_WIDTH
        hi = lo + tile.width
        records = ledger.read_records(lo, hi)
        if tile.kind == TileKind.ENTRIES:
            return encode_entries(records)
        bodies = ledger.read_bodies(lo, hi)
        return encode_bodies(
            [
                body if all_bodies or decode_record(record).type == TYPE_KEY else b""
                for record, body in zip(records, bodies, strict=True)
            ]
        )


class _HttpError(Exception):
    """An answer other than 200 that is no error of the ledger."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


async def _answer(handler: _Handler, request: Request) -> Response:
    response = await _answer_or_error(handler, request)
    response.headers["x-content-type-options"] = "nosniff"
    return response


async def _answer_or_error(handler: _Handler, request: Request) -> Response:
    try:
        return await handler(request)
    except _HttpError as error:
        return error_response(error.status, error.code, str(error), "")
    except InputError as error:
        return error_response(400, error.code, error.message, error.hint)
    except ProofError as error:  # no such leaf
        return error_response(404, "not-found", error.message, error.hint)
    except UnavailableError as error:
        return error_response(503, error.code, error.message, error.hint)
    except LedgerError as error:
        return error_response(500, error.code, error.message, error.hint)


def _takes_gzip(request: Request) -> bool:
    """Return whether a client says that it takes gzip."""
    for item in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return not _NO_WEIGHT.fullmatch(weight.strip())
    return False


def error_response(status: int, code: str, message: str, hint: str) -> Response:
    """Return an error in the form of the read API."""
    content: dict[str, Any] = {"error": {"code": code, "message": message, "hint": hint}}
    return JSONResponse(content, status, headers=_PRIVATE)


def _receipt_of(entry: Entry) -> Receipt | None:
    """Return an entry's receipt; None if it is none, was erased or is damaged."""
    try:
        body = decode_body(decode_record(entry.record).type, entry.body)
    except LedgerError:
        return None
    return body if isinstance(body, Receipt) else None
