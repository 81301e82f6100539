"""Every route of the read API: what is served, to whom, and what is said of it.

The router, the OpenAPI document and the table in `docs/read-api.md` are all made of this
one table, so none of them can know of a route that another does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from nous_ledger.gateway.api_schemas import TEXT, UINT, Schema, hex_of, of

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
class Parameter:
    """One parameter of a route.

    Attributes:
        name: its name.
        place: path, query or header.
        text: what it means.
        schema: what it may be.
    """

    name: str
    place: str = "query"
    text: str
    schema: Schema


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


_ID: Final = Parameter(
    name="id",
    place="path",
    text="the value of the header `nous-receipt-id` that came with the call",
    schema={"type": "string", "format": "uuid"},
)
_INDEX: Final = Parameter(
    name="index", place="path", text="index of the record in the log", schema=UINT
)
_TILE: Final = Parameter(
    name="path",
    place="path",
    text="`<L>/<N>`, `entries/<N>` or `bodies/<N>`, a partial one with `.p/<W>`",
    schema=TEXT,
)
_OPENING: Final = Parameter(
    name="nous-opening",
    place="header",
    text="the opening of the call, which came with its answer",
    schema=hex_of(32),
)
_SUBJECT: Final = Parameter(
    name="subject", text="whose; an auditor must name it, others may", schema=hex_of(32)
)
_CURSOR: Final = Parameter(
    name="cursor", text="`next_cursor` of the answer before", schema={**TEXT, "default": "0"}
)
_PAGE: Final = Parameter(
    name="limit",
    text="how many at most",
    schema={"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
)
_WALLET: Final = Parameter(
    name="wallet", text="also say which nonce this wallet signs next", schema=TEXT
)
_ADDRESS: Final = Parameter(name="address", place="path", text="a wallet, `0x…`", schema=TEXT)
_USER: Final = Parameter(name="user", place="path", text="a pseudonym", schema=hex_of(32))
_MODEL: Final = Parameter(name="model", text="the model", schema=TEXT)
_AFTER: Final = Parameter(
    name="after", text="the id before the first row", schema={**UINT, "default": 0}
)
_ROWS: Final = Parameter(
    name="limit",
    text="how many at most; no answer has more than 1,000",
    schema={"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1_000},
)
_RANKS: Final = Parameter(
    name="limit",
    text="how many at most",
    schema={"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100},
)
_DAYS: Final = Parameter(
    name="days",
    text="of how many whole days (UTC) before today; 0: of all time",
    schema={"type": "integer", "minimum": 0, "maximum": 36_500, "default": 30},
)
_NAMES: Final = ["proxy", "embedded", "import", "manual"]
_SOURCE: Final = Parameter(
    name="source",
    text="how the calls got into the log; they are never added up together",
    schema={"enum": _NAMES, "default": "proxy"},
)
_ANY_SOURCE: Final = Parameter(
    name="source",
    text="how the calls got into the log; with `all` each row says it",
    schema={"enum": [*_NAMES, "all"], "default": "proxy"},
)

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
        parameters=(_TILE,),
        errors=(400, 404),
    ),
    ApiRoute(
        name="policy",
        path="/v1/policy",
        text="a trust policy with this log's keys; compare it with another source",
        media=NOTE,
    ),
    ApiRoute(
        name="record_proof",
        path="/v1/records/{index}/proof",
        text="the `.tlog-proof` of any record, with its body for who may read that",
        media=NOTE,
        parameters=(_INDEX, _OPENING),
        errors=(400, 404),
    ),
    ApiRoute(
        name="receipt_proof",
        path="/v1/receipts/{id}/proof",
        text="the `.tlog-proof` of a receipt, with its body for who may read that",
        part="receipts",
        media=NOTE,
        parameters=(_ID, _OPENING),
        errors=(400, 404),
    ),
    ApiRoute(
        name="receipt",
        path="/v1/receipts/{id}",
        text="one receipt; `body` is null where it was erased",
        who=HOLDER,
        part="receipts",
        schema="Entry",
        parameters=(_ID, _OPENING),
        errors=(400, 403, 404),
    ),
    ApiRoute(
        name="receipts",
        path="/v1/receipts",
        text="a subject's receipts in the order of its chain, some at a time",
        who=OWNER,
        part="receipts",
        schema="Receipts",
        parameters=(_SUBJECT, _CURSOR, _PAGE),
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
        parameters=(_WALLET,),
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
        parameters=(_AFTER, _ROWS, _ANY_SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="leaderboard",
        path="/api/leaderboard",
        text="who used most; subjects bound to one wallet are one",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Leaderboard",
        parameters=(_DAYS, _RANKS, _SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="leaderboard_of_model",
        path="/api/leaderboard/model",
        text="the same of one model",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Leaderboard",
        parameters=(_MODEL, _DAYS, _RANKS, _SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="models",
        path="/api/models",
        text="what was used of each model, and by how many",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Models",
        parameters=(_SOURCE,),
        errors=(400, 403),
    ),
    ApiRoute(
        name="stats",
        path="/api/stats",
        text="calls, tokens, users and models in all",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="Stats",
        parameters=(_SOURCE,),
        errors=(400, 403),
    ),
    ApiRoute(
        name="wallet",
        path="/api/wallet/{address}",
        text="what the subjects used that a wallet is bound to",
        who=IF_PUBLISHED,
        part="nous-token",
        schema="WalletUsage",
        parameters=(_ADDRESS, _SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="user",
        path="/api/user/{user}",
        text="what one pseudonym used",
        who=OWN_OR_PUBLISHED,
        part="nous-token",
        schema="UserUsage",
        parameters=(_USER, _SOURCE),
        errors=(400, 403),
    ),
    ApiRoute(
        name="user_receipts",
        path="/api/user/{user}/receipts",
        text="its receipts, as rows",
        who=OWN_OR_PUBLISHED,
        part="nous-token",
        schema="UsageRecords",
        parameters=(_USER, _AFTER, _ROWS, _ANY_SOURCE),
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
