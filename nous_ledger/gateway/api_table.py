"""Every route of the read API: what is served, to whom, and what is said of it.

The router, the OpenAPI document and the table in `docs/read-api.md` are all made of this
one table, so none of them can know of a route that another does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nous_ledger.gateway import api_parameters as parameters
from nous_ledger.gateway.api_parameters import Parameter
from nous_ledger.gateway.api_schemas import Schema, of

JSON: Final = "application/json"
NOTE: Final = "text/plain; charset=utf-8"
OCTETS: Final = "application/octet-stream"
METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"

OPERATIONS: Final = "operations"
"""The part whose routes `operations` serves."""

EVERYONE: Final = "everyone"
OWNER: Final = "the caller; an auditor"
HOLDER: Final = "the caller; who holds the opening; an auditor"
CALLER: Final = "the caller"
IF_PUBLISHED: Final = "an auditor; everyone with `--publish-usage`"
OPERATOR: Final = "an operator, where such tokens are set; else everyone"
OWN_OR_PUBLISHED: Final = "the caller; an auditor; everyone with `--publish-usage`"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRoute:
    """One route.

    Attributes:
        name: of the handler, and the operation's id.
        method: GET or POST.
        path: as the router takes it.
        text: what it answers, for people.
        who: who gets it.
        part: under which heading it stands.
        status: of the answer.
        media: content type of the answer.
        schema: name of the answer's schema, if it is JSON.
        body: name of the request's schema, if it has a body.
        parameters: what may be asked for.
        errors: statuses of errors that it may answer with, beside 500 and 503.
    """

    name: str
    method: str = "GET"
    path: str
    text: str
    who: str = EVERYONE
    part: str = "log"
    status: int = 200
    media: str = JSON
    schema: str = ""
    body: str = ""
    parameters: tuple[Parameter, ...] = ()
    errors: tuple[int, ...] = ()

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return re.sub(r":[a-z]+}", "}", self.path)


ROUTES: Final = (
    ApiRoute(name="index", path="/", text="origin and log id", schema="Log"),
    ApiRoute(
        name="checkpoint",
        path="/checkpoint",
        text=(
            "the newest signed head, a signed note; a new one is signed if the log has grown."
            " With witnesses it may be one with more cosignatures that is little older"
        ),
        media=NOTE,
    ),
    ApiRoute(
        name="tile",
        path="/tile/{path:path}",
        text=(
            "hashes of the tree, records or bodies, as C2SP tlog-tiles has them; in a bodies"
            " bundle only an auditor sees more than key events"
        ),
        media=OCTETS,
        parameters=(parameters.TILE,),
        errors=(400, 404),
    ),
    ApiRoute(
        name="policy",
        path="/v1/policy",
        text="a trust policy with this log's keys; compare it with another source",
        media=NOTE,
    ),
    ApiRoute(
        name="stream_audit",
        path="/v1/audit",
        text=(
            "the audit of streams: what receipts with EXACT counts show of each model, with"
            " every parameter and assumption; what a first pass over the log comes to"
        ),
        who=IF_PUBLISHED,
        schema="StreamAudit",
        errors=(403,),
    ),
    ApiRoute(
        name="record_proof",
        path="/v1/records/{index}/proof",
        text="the `.tlog-proof` of any record, with its body for who may read that",
        media=NOTE,
        parameters=(parameters.INDEX, parameters.OPENING),
        errors=(400, 404),
    ),
    ApiRoute(
        name="receipt_proof",
        path="/v1/receipts/{id}/proof",
        text="the `.tlog-proof` of a receipt, with its body for who may read that",
        part="receipts",
        media=NOTE,
        parameters=(parameters.ID, parameters.OPENING),
        errors=(400, 404),
    ),
    ApiRoute(
        name="receipt",
        path="/v1/receipts/{id}",
        text="one receipt; `body` is null where it was erased; `reconciliations` came later",
        who=HOLDER,
        part="receipts",
        schema="Receipt",
        parameters=(parameters.ID, parameters.OPENING),
        errors=(400, 403, 404),
    ),
    ApiRoute(
        name="receipts",
        path="/v1/receipts",
        text="a subject's receipts in the order of its chain, some at a time",
        who=OWNER,
        part="receipts",
        schema="Receipts",
        parameters=(parameters.SUBJECT, parameters.CURSOR, parameters.PAGE),
        errors=(400, 401, 403),
    ),
    ApiRoute(
        name="make_statement",
        method="POST",
        path="/v1/statements",
        text="log a statement: the signed sums over a range of a subject's receipts",
        who=OWNER,
        part="receipts",
        status=201,
        schema="StatementLogged",
        body="StatementRequest",
        errors=(400, 401, 403, 404, 409, 413, 415),
    ),
    ApiRoute(
        name="binding",
        path="/v1/bindings",
        text="which wallet is bound to the caller, and what a wallet has to sign",
        who=CALLER,
        part="receipts",
        schema="BindingState",
        parameters=(parameters.WALLET,),
        errors=(400, 401),
    ),
    ApiRoute(
        name="bind",
        method="POST",
        path="/v1/bindings",
        text="log that a wallet is the caller's, by its EIP-712 signature; the zero wallet unbinds",
        who=CALLER,
        part="receipts",
        status=201,
        schema="BindingLogged",
        body="BindingRequest",
        errors=(400, 401, 403, 409, 413, 415),
    ),
    ApiRoute(
        name="chain",
        path="/api/chain",
        text="root, leaf count and peaks of the tree that the newest head covers",
        part="nous-token",
        schema="Chain",
    ),
    ApiRoute(
        name="pubkey",
        path="/api/pubkey",
        text="the key that signs records now: `kty` EC, `crv` secp256k1",
        part="nous-token",
        schema="PublicKey",
    ),
    ApiRoute(
        name="records",
        path="/api/records",
        text="receipts in the order of the log, as rows",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="UsageRecords",
        parameters=(parameters.AFTER, parameters.ROWS, parameters.ANY_SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="leaderboard",
        path="/api/leaderboard",
        text="who used most; subjects bound to one wallet are one",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Leaderboard",
        parameters=(parameters.DAYS, parameters.RANKS, parameters.SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="leaderboard_of_model",
        path="/api/leaderboard/model",
        text="the same of one model",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Leaderboard",
        parameters=(parameters.MODEL, parameters.DAYS, parameters.RANKS, parameters.SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="models",
        path="/api/models",
        text="what was used of each model, and by how many",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Models",
        parameters=(parameters.SOURCE,),
        errors=(400, 403),
    ),
    ApiRoute(
        name="stats",
        path="/api/stats",
        text="calls, tokens, users and models in all",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Stats",
        parameters=(parameters.SOURCE,),
        errors=(400, 403),
    ),
    ApiRoute(
        name="wallet",
        path="/api/wallet/{address}",
        text="what the subjects used that a wallet is bound to",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="WalletUsage",
        parameters=(parameters.ADDRESS, parameters.SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="user",
        path="/api/user/{user}",
        text="what one pseudonym used",
        who=OWN_OR_PUBLISHED,
        part="nous-token",
        schema="UserUsage",
        parameters=(parameters.USER, parameters.SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="user_receipts",
        path="/api/user/{user}/receipts",
        text="its receipts, as rows",
        who=OWN_OR_PUBLISHED,
        part="nous-token",
        schema="UsageRecords",
        parameters=(parameters.USER, parameters.AFTER, parameters.ROWS, parameters.ANY_SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="sign",
        method="POST",
        path="/api/sign",
        text="a signed summary of the caller's receipts: logs a statement",
        who=CALLER,
        part="nous-token",
        schema="SignedSummary",
        body="SignRequest",
        errors=(400, 401, 403, 404, 409, 413, 415),
    ),
    ApiRoute(
        name="bind_wallet",
        method="POST",
        path="/api/bind-wallet",
        text="gone (410): wallets are bound by `POST /v1/bindings`",
        part="nous-token",
        status=410,
        schema="Error",
    ),
    ApiRoute(
        name="health",
        path="/healthz",
        text="200 while calls are answered, else 503; a gap in the log, how each witness stands",
        part=OPERATIONS,
        schema="Health",
    ),
    ApiRoute(
        name="readiness",
        path="/readyz",
        text="200 while new calls should be sent here, else 503 and why not",
        who=OPERATOR,
        part=OPERATIONS,
        schema="Readiness",
        errors=(401,),
    ),
    ApiRoute(
        name="metrics",
        path="/metrics",
        text="counts and times for Prometheus",
        who=OPERATOR,
        part=OPERATIONS,
        media=METRICS,
        errors=(401,),
    ),
    ApiRoute(
        name="openapi",
        path="/openapi.json",
        text="this table as an OpenAPI 3.1 document",
        part="documents",
    ),
    ApiRoute(
        name="docs",
        path="/docs",
        text="the same as a page",
        part="documents",
        media="text/html; charset=utf-8",
    ),
)
"""Every route, in the order in which it is documented. A route with a fixed path comes before
any that would take its place."""

PARTS: Final = {
    "log": "The log",
    "receipts": "Receipts, statements and bindings",
    "nous-token": "As nous-token has it",
    OPERATIONS: "For operators",
    "documents": "Documents",
}
"""The headings, in order."""


def schema_of(route: ApiRoute) -> Schema:
    """Return the schema of a JSON answer."""
    return of(route.schema) if route.schema else {"type": "object"}
