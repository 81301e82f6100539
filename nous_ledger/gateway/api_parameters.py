"""What may be asked for in the paths, queries and headers of the read API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nous_ledger.gateway.api_schemas import TEXT, UINT, Schema, hex_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a route.

    Attributes:
        name: its name.
        place: path, query or header.
        text: what it means.
        schema: what it may be.
        required: whether it must be given; in a path it always is.
    """

    name: str
    place: str = "query"
    text: str
    schema: Schema
    required: bool = False


ID: Final = Parameter(
    name="id",
    place="path",
    text="the value of the header `nous-receipt-id` that came with the call",
    schema={"type": "string", "format": "uuid"},
)
INDEX: Final = Parameter(
    name="index", place="path", text="index of the record in the log", schema=UINT
)
TILE: Final = Parameter(
    name="path",
    place="path",
    text="`<L>/<N>`, `entries/<N>` or `bodies/<N>`, a partial one with `.p/<W>`",
    schema=TEXT,
)
OPENING: Final = Parameter(
    name="nous-opening",
    place="header",
    text="the opening of the call, which came with its answer",
    schema=hex_of(32),
)
SUBJECT: Final = Parameter(
    name="subject", text="whose; an auditor must name it, others may", schema=hex_of(32)
)
CURSOR: Final = Parameter(
    name="cursor", text="`next_cursor` of the answer before", schema={**TEXT, "default": "0"}
)
PAGE: Final = Parameter(
    name="limit",
    text="how many at most",
    schema={"type": "integer", "minimum": 1, "maximum": 500, "default": 100},
)
WALLET: Final = Parameter(
    name="wallet", text="also say which nonce this wallet signs next", schema=TEXT
)
ADDRESS: Final = Parameter(name="address", place="path", text="a wallet, `0x…`", schema=TEXT)
USER: Final = Parameter(name="user", place="path", text="a pseudonym", schema=hex_of(32))
MODEL: Final = Parameter(name="model", text="the model", schema=TEXT, required=True)
AFTER: Final = Parameter(
    name="after", text="the id before the first row", schema={**UINT, "default": 0}
)
ROWS: Final = Parameter(
    name="limit",
    text="how many at most; no answer has more than 1,000",
    schema={"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1_000},
)
RANKS: Final = Parameter(
    name="limit",
    text="how many at most",
    schema={"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100},
)
DAYS: Final = Parameter(
    name="days",
    text="of how many whole days (UTC) before today; 0: of all time",
    schema={"type": "integer", "minimum": 0, "maximum": 36_500, "default": 30},
)
_NAMES: Final = ["proxy", "embedded", "import", "manual"]
SOURCE: Final = Parameter(
    name="source",
    text="how the calls got into the log; they are never added up together",
    schema={"enum": _NAMES, "default": "proxy"},
)
ANY_SOURCE: Final = Parameter(
    name="source",
    text="how the calls got into the log; with `all` each row says it",
    schema={"enum": [*_NAMES, "all"], "default": "proxy"},
)
