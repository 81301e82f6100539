"""The log as it is: heads, tiles, records, receipts by id, and their proofs.

Spec:
    PROTOCOL.md SERV-1, SERV-4 to SERV-7; section "Read API".
"""

from __future__ import annotations

import gzip
import re
from functools import partial
from typing import Any, Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nous_ledger import __version__
from nous_ledger.gateway.heads import Heads
from nous_ledger.gateway.http_errors import ALWAYS_ASK, PRIVATE, HttpError, number_of
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.read_rights import ReadRights, body_of
from nous_ledger.ledger import Entry
from nous_ledger.ledger.headkeeper import PATIENCE_S
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError
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
from nous_ledger.protocol.types import MAX_UINT

IN_FLIGHT_WAIT_S: Final = 5.0
"""How long a question for a receipt waits for a call that is not over yet."""

_OCTETS: Final = "application/octet-stream"
_TEXT: Final = "text/plain; charset=utf-8"
_NEVER_CHANGES: Final = {"cache-control": "public, max-age=31536000, immutable"}

_NO_WEIGHT: Final = re.compile(r"q\s*=\s*0(\.0*)?")
_WORTH_PACKING: Final = 1024
"""Bytes below which a bundle goes as it is."""
_FAST: Final = 1
"""Level of gzip: signatures and hashes do not shrink, whatever the effort."""


class LogApi:
    """Answers readers from one ledger."""

    def __init__(self, journal: Journal, heads: Heads, rights: ReadRights) -> None:
        """Serve a ledger.

        Args:
            journal: the ledger.
            heads: gives the heads that readers need.
            rights: who may read what.
        """
        self._journal = journal
        self._heads = heads
        self._ledger = journal.ledger
        self._rights = rights

    async def index(self, _: Request) -> Response:
        """Say which log this is."""
        ledger = self._ledger
        return JSONResponse(
            {
                "service": f"nous-ledger {__version__}",
                "origin": ledger.origin,
                "log_id": ledger.log_id.hex(),
            },
            headers=ALWAYS_ASK,
        )

    async def checkpoint(self, _: Request) -> Response:
        """Give a head over everything durable, or one that is little older and cosigned."""
        note = await self._heads.newest()
        return Response(note, headers=ALWAYS_ASK, media_type=_TEXT)

    async def policy(self, _: Request) -> Response:
        """Give the log's own trust policy."""
        return Response(self._ledger.policy_text(), headers=ALWAYS_ASK, media_type=_TEXT)

    async def tile(self, request: Request) -> Response:
        """Give a tile of hashes, records or bodies."""
        tile = parse_tile_path(f"tile/{request.path_params['path']}")
        all_bodies = self._rights.is_auditor(request)
        data = await self._journal.read(partial(self._tile_bytes, tile, all_bodies=all_bodies))
        headers = dict(PRIVATE if tile.kind == TileKind.BODIES else _NEVER_CHANGES)
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
        if not self._rights.may_read(request, entry):
            raise HttpError(403, "no-read-right", "this receipt's body is not yours to read")
        later = await self._journal.read(partial(self._later, entry.index))
        last = max((one.index for one in later), default=entry.index)
        await self._heads.cover(last)  # SERV-5: a head covers what is served
        evidence = {"reconciliations": [entry_to_json(one) for one in later]}
        return JSONResponse(entry_to_json(entry) | evidence, headers=PRIVATE)

    async def receipt_proof(self, request: Request) -> Response:
        """Prove one receipt, with its body for who may read it."""
        return await self._proof(request, await self._find(request))

    async def record_proof(self, request: Request) -> Response:
        """Prove any record, with its body for who may read it."""
        index = number_of(request.path_params["index"], "an index", 0, MAX_UINT)
        return await self._proof(request, await self._journal.read(partial(self._entry, index)))

    async def _proof(self, request: Request, entry: Entry) -> Response:
        with_body = self._rights.may_read(request, entry)
        await self._heads.cover(entry.index, patience_s=PATIENCE_S)
        prove = partial(self._ledger.prove, entry.index, with_body=with_body)
        return Response(await self._journal.read(prove), headers=PRIVATE, media_type=_TEXT)

    async def _find(self, request: Request) -> Entry:
        try:
            receipt_id = UUID(request.path_params["id"]).bytes
        except ValueError:
            raise InputError("input", "a receipt id is a UUID") from None
        await self._journal.settled(receipt_id, IN_FLIGHT_WAIT_S)
        entry = await self._journal.read(partial(self._ledger.find_receipt, receipt_id))
        if entry is None:
            raise HttpError(404, "not-found", "the log has no receipt of this id")
        return entry

    def _later(self, index: int) -> tuple[Entry, ...]:
        """Return the reconciliations that name a receipt."""
        self._ledger.reconciled()
        found = self._ledger.reconciliations(index)
        return tuple(self._ledger.entry(leaf) for leaf, _ in found.claims) if found else ()

    def _entry(self, index: int) -> Entry:
        """Return an entry by its index, a receipt with its opening hash."""
        entry = self._ledger.entry(index)
        receipt = body_of(entry)
        found = self._ledger.find_receipt(receipt.id) if isinstance(receipt, Receipt) else None
        return entry if found is None else found

    def _tile_bytes(self, tile: Tile, *, all_bodies: bool) -> bytes:
        """Return a tile that the newest head covers in this width (SERV-5).

        Raises:
            HttpError: 404, the head does not cover it.
        """
        ledger = self._ledger
        head = parse_checkpoint(parse_note(ledger.latest_head()).text)
        if tile.width > tile_width(tile.level, tile.index, head.leaf_count):
            raise HttpError(404, "not-found", "no head covers this tile in this width yet")
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


def _takes_gzip(request: Request) -> bool:
    """Return whether a client says that it takes gzip."""
    for item in request.headers.get("accept-encoding", "").lower().split(","):
        coding, _, weight = item.partition(";")
        if coding.strip() in ("gzip", "x-gzip"):
            return not _NO_WEIGHT.fullmatch(weight.strip())
    return False


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """Return the JSON form of a record and its body, which is None if it was erased."""
    body = decode_body(decode_record(entry.record).type, entry.body) if entry.body else None
    return {
        "record": record_to_json(decode_record(entry.record)),
        "body": None if body is None else body_to_json(body),
    }
