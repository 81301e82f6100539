"""The read API: what a log's readers and a call's owner get over HTTP.

Which routes there are stands in `api_table`; what they answer is made by

    log_api         heads, tiles, proofs, receipts by id: public but for bodies
    subject_api     a subject's receipts, statements and bindings
    stream_audit    what streams of receipts show
    nous_token_api  the routes that nous-token had
    api_document    the table of routes, as OpenAPI and as a page

Records, heads, tiles and key events are public. A body is given to who holds the call's
own credential, sent as in the call; the receipt's id and opening (header `nous-opening`);
or an auditor token (header `authorization: Bearer …`). Errors are
`{"error": {"code", "message", "hint"}}`.

Spec:
    PROTOCOL.md SERV-1, SERV-4 to SERV-7; sections "Read API" and "Read rights".
"""

from __future__ import annotations

import json
from functools import partial

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from nous_ledger.gateway.api_document import PAGE_POLICY, make_document, make_page
from nous_ledger.gateway.api_table import JSON, OPERATIONS, ROUTES
from nous_ledger.gateway.heads import Heads
from nous_ledger.gateway.http_errors import (
    ALWAYS_ASK,
    Handler,
    answer,
    error_response,
    wrong_method,
)
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.log_api import LogApi
from nous_ledger.gateway.nous_token_api import NousTokenApi
from nous_ledger.gateway.read_rights import ReadRights
from nous_ledger.gateway.stream_audit import StreamAuditApi
from nous_ledger.gateway.subject_api import SubjectApi
from nous_ledger.gateway.usage_follower import UsageFollower

__all__ = ["ReadApi", "error_response", "wrong_method"]


class ReadApi:
    """Answers readers from one ledger.

    Attributes:
        streams: the audit of the ledger's streams.
    """

    def __init__(
        self,
        journal: Journal,
        heads: Heads,
        auditor_tokens: frozenset[bytes],
        *,
        publish_usage: bool = False,
    ) -> None:
        """Serve a ledger.

        Args:
            journal: the ledger.
            heads: gives the heads that readers need.
            auditor_tokens: SHA-256 of each token that may read every body.
            publish_usage: whether everyone may see what each pseudonym used.
        """
        rights = ReadRights(journal.ledger, auditor_tokens, publish_usage=publish_usage)
        self._index = UsageFollower(journal.ledger)
        self.streams = StreamAuditApi(journal.ledger, rights)
        subjects = SubjectApi(journal, heads, rights, self._index)
        self._parts = (
            self,
            LogApi(journal, heads, rights),
            subjects,
            NousTokenApi(journal, heads, rights, self._index, subjects),
            self.streams,
        )

    def routes(self) -> list[Route]:
        """Return the routes of the API."""
        return [
            Route(
                route.path,
                partial(answer, self._handler(route.name)),
                methods=[route.method],
                name=f"{route.method} {route.path}",
            )
            for route in ROUTES
            if route.part != OPERATIONS
        ]

    async def close(self) -> None:
        """End what was started to answer; nothing can be asked afterwards."""
        await self._index.close()
        await self.streams.close()

    async def openapi(self, _: Request) -> Response:
        """Give the OpenAPI document."""
        text = json.dumps(make_document(), indent=1)
        return Response(text, headers=ALWAYS_ASK, media_type=JSON)

    async def docs(self, _: Request) -> Response:
        """Give the page."""
        headers = {**ALWAYS_ASK, "content-security-policy": PAGE_POLICY}
        return HTMLResponse(make_page(), headers=headers)

    def _handler(self, name: str) -> Handler:
        found: list[Handler] = [getattr(p, name) for p in self._parts if hasattr(p, name)]
        (handler,) = found
        return handler
