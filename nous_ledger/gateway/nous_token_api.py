"""The routes of nous-token, with the pseudonyms, keys and records of this log.

Answers have the members that programs written for nous-token look for, and some more.
What differs: a user is a pseudonym of 64 hex digits, an id is the index of a record,
signatures are those of records under the log's secp256k1 key, and no answer mixes what
was observed with what was embedded, imported or entered by hand: each is about one
`source`, by default `proxy`.

What shows others' usage is for auditors, unless the gateway publishes usage.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nous_ledger.gateway.heads import Heads
from nous_ledger.gateway.http_errors import (
    ALWAYS_ASK,
    PRIVATE,
    HttpError,
    bytes_of,
    check_members,
    number_of,
    read_object,
)
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.log_api import entry_to_json
from nous_ledger.gateway.read_rights import ReadRights, body_of
from nous_ledger.gateway.subject_api import SubjectApi
from nous_ledger.gateway.usage_follower import UsageFollower
from nous_ledger.gateway.usage_index import DAY_MS, UsageIndex, UsageRow, sums_of
from nous_ledger.gateway.usage_totals import by_model, leaderboard, sums_to_json, whole
from nous_ledger.ledger import Entry
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.jsonform import format_uuid
from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record, leaf_hash
from nous_ledger.protocol.registries import METERING, SOURCE
from nous_ledger.protocol.signing import point_of
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.statement_sums import model_of
from nous_ledger.protocol.types import MAX_UINT, LeafIndex, SubjectId

ALGORITHM: Final = "ECDSA-secp256k1-SHA256"
"""Of records: recoverable, r || s || v, over the digest that PROTOCOL.md defines."""
MAX_ROWS: Final = 1_000
MAX_DAYS: Final = 36_500
MAX_SIGNED: Final = 100

_DEFAULT_SOURCE: Final = "proxy"
_ALL_SOURCES: Final = "all"
_FRESH_S: Final = 2.0
"""How long totals of many receipts are shown again rather than added up anew."""
_MAX_KEPT: Final = 128


class NousTokenApi:
    """Answers programs that were written for nous-token."""

    def __init__(
        self,
        journal: Journal,
        heads: Heads,
        rights: ReadRights,
        index: UsageFollower,
        subjects: SubjectApi,
    ) -> None:
        """Serve a ledger.

        Args:
            journal: the ledger.
            heads: gives the heads that readers need.
            rights: who may read what.
            index: knows where receipts stand and what they add up to.
            subjects: makes statements.
        """
        self._journal = journal
        self._ledger = journal.ledger
        self._heads = heads
        self._rights = rights
        self._index = index
        self._subjects = subjects
        self._kept: dict[tuple[object, ...], tuple[float, Any]] = {}

    async def chain(self, _: Request) -> Response:
        """Give the tree that the newest head covers."""
        head = parse_checkpoint(parse_note(await self._heads.newest()).text)
        data = {
            "merkle_root": head.root.hex(),
            "leaf_count": head.leaf_count,
            "peak_count": head.leaf_count.bit_count(),
            "origin": head.origin,
            "log_id": self._ledger.log_id.hex(),
        }
        return _ok(data, headers=ALWAYS_ASK)

    async def pubkey(self, _: Request) -> Response:
        """Give the key that signs records now, as a JSON Web Key."""
        history: KeyHistory = await self._journal.read(self._ledger.key_history)
        x, y = point_of(history.epochs[history.epoch].secp256k1)
        content = {
            "ok": True,
            "algorithm": ALGORITHM,
            "pubkey": {"kty": "EC", "crv": "secp256k1", "x": _base64url(x), "y": _base64url(y)},
            "epoch": history.epoch,
            "log_id": self._ledger.log_id.hex(),
        }
        return JSONResponse(content, headers=ALWAYS_ASK)

    async def records(self, request: Request) -> Response:
        """List receipts in the order of the log."""
        self._check_published(request)
        return await self._list(request, None)

    async def user_receipts(self, request: Request) -> Response:
        """List one user's receipts in the order of the log."""
        return await self._list(request, self._user(request))

    async def leaderboard(self, request: Request) -> Response:
        """Rank users by tokens."""
        self._check_published(request)
        return await self._ranked(request, None)

    async def leaderboard_of_model(self, request: Request) -> Response:
        """Rank users by tokens of one model."""
        self._check_published(request)
        model = request.query_params.get("model", "")
        if not model:
            raise InputError("input", "`model` says which model")
        return await self._ranked(request, model)

    async def models(self, request: Request) -> Response:
        """Give what was used of each model."""
        self._check_published(request)
        source = _source(request)
        data = await self._totals("models", (source,), lambda index: by_model(_all(index, source)))
        return _ok(data, source=SOURCE.name_of(source))

    async def stats(self, request: Request) -> Response:
        """Give the totals of the log."""
        self._check_published(request)
        source = _source(request)

        def count(index: UsageIndex) -> dict[str, Any]:
            rows = list(_all(index, source))
            sums = whole(rows)
            calls = sorted(index.calls_by_source().items())
            return {
                "total_calls": sums.calls,
                "total_tokens": sums.total,
                "total_users": len({row.subject for row in rows}),
                "total_models": len({(row.provider, row.model) for row in rows}),
                "calls_by_source": {SOURCE.name_of(number): n for number, n in calls},
            }

        data = await self._totals("stats", (source,), count)
        return _ok(data, source=SOURCE.name_of(source))

    async def wallet(self, request: Request) -> Response:
        """Give what the subjects used that a wallet is bound to."""
        self._check_published(request)
        wallet = bytes_of(request.path_params["address"], "the wallet", 20)
        source = _source(request)
        bound = await self._journal.read(self._ledger.bound_wallets)
        subjects = sorted(who for who, of in bound.items() if of.wallet == wallet)

        def add_up(index: UsageIndex) -> list[UsageRow]:
            return [row for who in subjects for row in _all(index, source, who)]

        rows = await self._index.ask(add_up)
        data = {
            "wallet": f"0x{wallet.hex()}",
            "users": [subject.hex() for subject in subjects],
            **sums_to_json(whole(rows)),
            "models": by_model(rows),
        }
        return _ok(data, source=SOURCE.name_of(source))

    async def user(self, request: Request) -> Response:
        """Give what one user used."""
        subject, source = self._user(request), _source(request)
        rows = await self._index.ask(lambda index: list(_all(index, source, subject)))
        bound = (await self._journal.read(self._ledger.bound_wallets)).get(subject)
        data = {
            "user_hash": subject.hex(),
            "wallet": None if bound is None else f"0x{bound.wallet.hex()}",
            **sums_to_json(whole(rows)),
            "models": by_model(rows),
        }
        return _ok(data, source=SOURCE.name_of(source))

    async def sign(self, request: Request) -> Response:
        """Sign a summary of the caller's own receipts: a statement in the log."""
        own = self._rights.the_caller(request)
        given = check_members(await read_object(request), frozenset({"user_hash", "receipt_ids"}))
        if "user_hash" in given and bytes_of(given["user_hash"], "user_hash", 32) != own:
            raise HttpError(403, "no-read-right", "this user is not the caller")
        first, last = 0, MAX_UINT
        if "receipt_ids" in given:
            first, last = await self._journal.read(partial(self._range, own, given["receipt_ids"]))
        entry, next_seq = await self._subjects.state(own, first, last)
        await self._heads.cover(entry.index)
        return _ok(_summary(entry, next_seq), headers=PRIVATE)

    async def bind_wallet(self, _: Request) -> Response:
        """Say where wallets are bound now."""
        raise HttpError(
            410,
            "gone",
            "wallets are bound by POST /v1/bindings: an EIP-712 signature for this log and subject",
            "GET /v1/bindings says what to sign",
        )

    def _check_published(self, request: Request) -> None:
        if not (self._rights.publish_usage or self._rights.is_auditor(request)):
            raise HttpError(
                403,
                "not-published",
                "this gateway does not publish what others used",
                "ask as an auditor, or start it with --publish-usage",
            )

    def _user(self, request: Request) -> SubjectId:
        """Return the user of a path, if the request may know of it."""
        subject = SubjectId(bytes_of(request.path_params["user"], "the user", 32))
        if self._rights.caller(request) != subject:
            self._check_published(request)
        return subject

    async def _list(self, request: Request, subject: SubjectId | None) -> Response:
        query = request.query_params
        after = number_of(query.get("after", "0"), "after", 0, MAX_UINT)
        limit = min(number_of(query.get("limit", "1000"), "limit", 1, 10_000), MAX_ROWS)
        name = query.get("source", _DEFAULT_SOURCE)
        source = None if name == _ALL_SOURCES else _source(request)
        leaves = await self._index.ask(
            lambda index: index.leaves(after, limit + 1, source=source, subject=subject)
        )
        if leaves:
            await self._heads.cover(leaves[-1])
        rows = await self._journal.read(partial(self._rows, leaves[:limit]))
        return _ok(rows, source=name, has_more=len(leaves) > limit)

    def _rows(self, leaves: tuple[LeafIndex, ...]) -> list[dict[str, Any]]:
        entries = [self._ledger.entry(leaf) for leaf in leaves]
        pairs = ((entry, body_of(entry)) for entry in entries)
        return [_record_row(entry, body) for entry, body in pairs if isinstance(body, Receipt)]

    async def _ranked(self, request: Request, model: str | None) -> Response:
        query = request.query_params
        days = number_of(query.get("days", "30"), "days", 0, MAX_DAYS)
        limit = number_of(query.get("limit", "100"), "limit", 1, MAX_ROWS)
        source = _source(request)
        today = time.time_ns() // 1_000_000 // DAY_MS
        since = None if days == 0 else today - days
        bound = await self._journal.read(self._ledger.bound_wallets)

        def rank(index: UsageIndex) -> list[dict[str, Any]]:
            return leaderboard(index.usage(since, source=source, model=model), bound, limit)

        data = await self._totals("leaderboard", (source, since, limit, model), rank)
        return _ok(data, source=SOURCE.name_of(source), period_days=days, model=model)

    async def _totals(
        self, name: str, given: tuple[object, ...], add_up: Callable[[UsageIndex], Any]
    ) -> Any:  # noqa: ANN401 - whatever JSON is asked for
        """Return totals that were added up within the last seconds, or add them up."""
        key = (name, *given)
        now = time.monotonic()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < _FRESH_S:
            return kept[1]
        data = await self._index.ask(add_up)
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[key] = (now, data)
        return data

    def _range(self, own: SubjectId, ids: object) -> tuple[int, int]:
        """Return the range of a subject's chain that some records of it are.

        Raises:
            HttpError: 403, one of them is not the subject's; 409, one is withheld.
            InputError: they are no ids, too many, or not consecutive.
        """
        if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_SIGNED:
            raise InputError("input", f"receipt_ids are 1..{MAX_SIGNED} record indices")
        seqs: set[int] = set()
        for index in ids:
            if type(index) is not int or index < 0:
                raise InputError("input", "a receipt id is the index of its record")
            body = body_of(self._ledger.entry(index))
            if not isinstance(body, Receipt) or body.subject != own:
                raise HttpError(403, "no-read-right", f"record {index} is no receipt of the caller")
            seqs.add(body.subject_seq)
        if max(seqs) - min(seqs) + 1 != len(seqs):
            raise InputError(
                "input",
                "a signed summary is over consecutive receipts, and these are not",
                hint="leave receipt_ids out, or ask for each range apart",
            )
        return min(seqs), max(seqs)


def _all(index: UsageIndex, source: int, subject: bytes | None = None) -> list[UsageRow]:
    return list(index.usage(None, source=source, subject=subject))


def _ok(data: object, *, headers: Mapping[str, str] = PRIVATE, **more: object) -> Response:
    return JSONResponse({"ok": True, "data": data, **more}, headers=headers)


def _source(request: Request) -> int:
    return SOURCE[request.query_params.get("source", _DEFAULT_SOURCE)]


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _timestamp(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03}Z"


def _record_row(entry: Entry, receipt: Receipt) -> dict[str, Any]:
    sums, record = sums_of(receipt), decode_record(entry.record)
    return {
        "id": entry.index,
        "timestamp": _timestamp(receipt.time),
        "user_hash": receipt.subject.hex(),
        "provider": receipt.provider,
        "model": model_of(receipt),
        "input_tokens": sums.input,
        "output_tokens": sums.output,
        "cache_read_tokens": sums.cache_read,
        "cache_write_tokens": sums.cache_write,
        "total_tokens": sums.total,
        "leaf_hash": leaf_hash(entry.record).hex(),
        "receipt_sig": record.signature.hex(),
        "receipt_id": format_uuid(receipt.id),
        "source": SOURCE.name_of(receipt.source),
        "metering": METERING.name_of(receipt.metering),
    }


def _summary(entry: Entry, next_seq: int | None) -> dict[str, Any]:
    statement, record = body_of(entry), decode_record(entry.record)
    assert isinstance(statement, Statement)  # noqa: S101 - it was made just now
    return {
        "summary": {
            "p": "nous-ledger",
            "v": 1,
            "type": "statement",
            "user": statement.subject.hex(),
            "total_calls": sum(row.calls for row in statement.rows),
            "ts": record.logged_at // 1000,
        },
        "algorithm": ALGORITHM,
        "signature": record.signature.hex(),
        "index": entry.index,
        "complete": next_seq is None,
        "next_seq": next_seq,
        "proof": f"/v1/records/{entry.index}/proof",
        **entry_to_json(entry),
    }
