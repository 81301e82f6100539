"""What belongs to one subject: its receipts, its statements, the wallet it is bound to.

Spec:
    PROTOCOL.md SERV-6, BIND-1 to BIND-3, STMT-1 to STMT-5.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nous_ledger.gateway.heads import Heads
from nous_ledger.gateway.http_errors import (
    PRIVATE,
    HttpError,
    bytes_of,
    check_members,
    number_of,
    read_object,
)
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.log_api import entry_to_json
from nous_ledger.gateway.read_rights import ReadRights
from nous_ledger.gateway.usage_follower import UsageFollower
from nous_ledger.gateway.usage_index import UsageIndex
from nous_ledger.ledger import Entry
from nous_ledger.ledger.statements import MAX_STATED
from nous_ledger.protocol.bodies import Binding, decode_body
from nous_ledger.protocol.eip712 import BINDING_TYPE
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.record import TYPE_STATEMENT
from nous_ledger.protocol.signing import normalise_recovery_id
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.types import MAX_UINT, LeafIndex, SubjectId

DEFAULT_PAGE: Final = 100
MAX_PAGE: Final = 500

_BINDING_MEMBERS: Final = frozenset({"subject", "wallet", "nonce", "deadline", "signature"})
_STATEMENT_MEMBERS: Final = frozenset({"subject", "first_seq", "last_seq"})
_DOMAIN: Final = {"name": "nous-ledger", "version": "1"}


class SubjectApi:
    """Answers callers about themselves, and auditors about any subject."""

    def __init__(
        self, journal: Journal, heads: Heads, rights: ReadRights, index: UsageFollower
    ) -> None:
        """Serve a ledger.

        Args:
            journal: the ledger.
            heads: gives the heads that readers need.
            rights: who may read what.
            index: knows where a subject's receipts stand.
        """
        self._journal = journal
        self._heads = heads
        self._ledger = journal.ledger
        self._rights = rights
        self._index = index

    async def receipts(self, request: Request) -> Response:
        """Give some of a subject's receipts in the order of its chain."""
        query = request.query_params
        subject = self._rights.subject_asked_for(request, query.get("subject"))
        first = number_of(query.get("cursor", "0"), "cursor", 0, MAX_UINT)
        limit = number_of(query.get("limit", str(DEFAULT_PAGE)), "limit", 1, MAX_PAGE)
        found = await self._index.ask(
            partial(UsageIndex.chain, subject=subject, first=first, limit=limit + 1)
        )
        end = await self._journal.read(partial(self._ledger.subject_head, subject))
        page = found[:limit]
        entries = await self._journal.read(partial(self._entries, [leaf for _, leaf in page]))
        shown = [entry for entry in entries if entry.body]  # one may be erased meanwhile
        if shown:
            await self._heads.cover(shown[-1].index)  # SERV-5
        more = len(found) > limit
        next_seq = page[-1][0] + 1 if more else end.next_seq
        return JSONResponse(
            {
                "subject": subject.hex(),
                "receipts": [entry_to_json(entry) for entry in shown],
                "withheld": max(0, next_seq - first - len(shown)),
                "next_cursor": str(next_seq) if more else None,
            },
            headers=PRIVATE,
        )

    async def binding(self, request: Request) -> Response:
        """Say which wallet is bound, and what a wallet has to sign to be."""
        subject = self._rights.the_caller(request)
        wallet = request.query_params.get("wallet")
        bound = (await self._journal.read(self._ledger.bound_wallets)).get(subject)
        content: dict[str, Any] = {
            "log_id": self._ledger.log_id.hex(),
            "subject": subject.hex(),
            "wallet": None if bound is None else f"0x{bound.wallet.hex()}",
            "index": None if bound is None else bound.index,
            "domain": _DOMAIN,
            "type": BINDING_TYPE,
        }
        if wallet is not None:
            last = partial(self._ledger.last_nonce, bytes_of(wallet, "wallet", 20))
            used = await self._journal.read(last)
            content["next_nonce"] = 1 if used is None else used + 1
        return JSONResponse(content, headers=PRIVATE)

    async def bind(self, request: Request) -> Response:
        """Log a binding that a wallet signed."""
        subject = self._rights.the_caller(request)
        given = check_members(await read_object(request), _BINDING_MEMBERS)
        if "subject" in given and bytes_of(given["subject"], "subject", 32) != subject:
            raise HttpError(403, "no-read-right", "this subject is not the caller's")
        signature = normalise_recovery_id(bytes_of(given.get("signature"), "signature", 65))
        binding = Binding(
            salt=secrets.token_bytes(16),
            subject=subject,
            wallet=bytes_of(given.get("wallet"), "wallet", 20),
            nonce=_uint(given.get("nonce"), "nonce"),
            deadline=_uint(given.get("deadline"), "deadline"),
            signature=signature,
        )
        entry = await self._journal.read(partial(self._ledger.bind, binding))
        return await self._created(entry)

    async def make_statement(self, request: Request) -> Response:
        """Log a statement over a subject's receipts."""
        given = check_members(await read_object(request), _STATEMENT_MEMBERS)
        subject = self._rights.subject_asked_for(request, given.get("subject"))
        first = _uint(given.get("first_seq", 0), "first_seq")
        last = _uint(given.get("last_seq", MAX_UINT), "last_seq")
        entry, next_seq = await self.state(subject, first, last)
        return await self._created(entry, next_seq=next_seq)

    async def state(self, subject: SubjectId, first: int, last: int) -> tuple[Entry, int | None]:
        """Log a statement and return it, and where the next one would begin.

        Args:
            subject: whose receipts.
            first: subject_seq of the first receipt.
            last: subject_seq of the last; the end of the chain if that is less.

        Raises:
            HttpError: 404, there is no such receipt; 409, one is withheld.
            LedgerError: as `Ledger.make_statement`.
        """
        end = await self._journal.read(partial(self._ledger.subject_head, subject))
        last = min(last, end.next_seq - 1)
        if first > last:
            raise HttpError(404, "not-found", "the subject has no receipts in this range")
        limit = min(last - first + 1, MAX_STATED)
        chain = await self._index.ask(
            partial(UsageIndex.chain, subject=subject, first=first, limit=limit)
        )
        leaves = _without_gaps(chain, first, limit)
        entry = await self._index.read(partial(self._ledger.make_statement, subject, first, leaves))
        statement = decode_body(TYPE_STATEMENT, entry.body)
        assert isinstance(statement, Statement)  # noqa: S101 - by the type asked for
        return entry, None if statement.last_seq == last else statement.last_seq + 1

    async def _created(self, entry: Entry, **more: object) -> Response:
        await self._heads.cover(entry.index)
        content = {"index": entry.index, **entry_to_json(entry), **more}
        headers = {**PRIVATE, "location": f"/v1/records/{entry.index}/proof"}
        return JSONResponse(content, 201, headers=headers)

    def _entries(self, leaves: list[LeafIndex]) -> list[Entry]:
        return [self._ledger.entry(leaf) for leaf in leaves]


def _without_gaps(
    chain: tuple[tuple[int, LeafIndex], ...], first: int, count: int
) -> tuple[LeafIndex, ...]:
    """Return the leaves of consecutive receipts.

    Raises:
        HttpError: 409, one of them is withheld.
    """
    places = dict(chain)
    for seq in range(first, first + count):
        if seq not in places:
            raise HttpError(
                409,
                "withheld",
                f"receipt {seq} of the subject was erased: no statement can be made over it",
                "ask for a range without it: `first_seq` and `last_seq`",
            )
    return tuple(places[seq] for seq in range(first, first + count))


def _uint(value: object, name: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_UINT:
        raise InputError("input", f"{name} is a whole number of 0..2^53-1")
    return value
