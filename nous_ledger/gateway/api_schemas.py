"""What the answers of the read API look like, in JSON Schema as OpenAPI 3.1 has it."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]


def hex_of(length: int) -> Schema:
    """Return the schema of so many bytes in lower-case hex."""
    return {"type": "string", "pattern": f"^[0-9a-f]{{{2 * length}}}$"}


def of(name: str) -> Schema:
    """Return a reference to one of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def shape(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """Return the schema of an object with exactly these members."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def list_of(item: Schema) -> Schema:
    """Return the schema of an array."""
    return {"type": "array", "items": item}


def or_null(schema: Schema) -> Schema:
    """Return a schema that null fits too."""
    return {"anyOf": [schema, {"type": "null"}]}


UINT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}
SUM: Final[Schema] = {"type": "integer", "minimum": 0}
TEXT: Final[Schema] = {"type": "string"}
WALLET: Final[Schema] = {"type": "string", "pattern": "^0x[0-9a-f]{40}$"}
_GIVEN_WALLET: Final[Schema] = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
_OK: Final[Schema] = {"const": True}
_SOURCE: Final[Schema] = {"type": "string", "description": "proxy, embedded, import or manual"}

_NUMBER: Final[Schema] = {"type": "number", "minimum": 0}
_AUDIT_SUMS: Final = (
    *("receipts", "unread_receipts", "samples", "samples_beyond", "sampled_tokens"),
    *("output_tokens", "speaking", "contradicted"),
)
_STREAM_SUMS: Final = (
    *("number", "receipts", "reported", "counted", "contradicted", "over_at", "under_at"),
    *("inconsistent_at", "contradicted_at", "sampled_tokens", "output_tokens"),
)

_RECORD: Final = shape(
    {
        "version": {"const": 1},
        "type": UINT,
        "epoch": UINT,
        "index": UINT,
        "logged_at": UINT,
        "body_hash": hex_of(32),
        "r": hex_of(32),
        "s": hex_of(32),
        "v": {"enum": [0, 1]},
    }
)
_BODY: Final[Schema] = {
    "type": "object",
    "description": "The JSON form of a body: PROTOCOL.md, section 5.4.",
    "properties": {"type": TEXT},
    "required": ["type"],
}
_ENTRY: Final[dict[str, Schema]] = {"record": of("Record"), "body": or_null(of("Body"))}
_SUMS: Final[dict[str, Schema]] = {
    "total_tokens": SUM,
    "input_tokens": SUM,
    "output_tokens": SUM,
    "cache_read_tokens": SUM,
    "cache_write_tokens": SUM,
    "total_cost": {"type": ["number", "null"], "description": "USD; null: nothing was reported"},
    "total_cost_pico_usd": {"type": ["string", "null"], "pattern": "^[0-9]+$"},
    "call_count": SUM,
}
_MODEL: Final = shape({"provider": TEXT, "model": TEXT, "unique_users": SUM, **_SUMS})


def _ok(data: Schema, **more: Schema) -> Schema:
    return shape({"ok": _OK, "data": data, **more})


SCHEMAS: Final[dict[str, Schema]] = {
    "Error": shape({"error": shape({"code": TEXT, "message": TEXT, "hint": TEXT})}),
    "Record": _RECORD,
    "Body": _BODY,
    "Entry": shape(_ENTRY),
    "Receipt": shape({**_ENTRY, "reconciliations": list_of(of("Entry"))}),
    "Log": shape({"service": TEXT, "origin": TEXT, "log_id": hex_of(32)}),
    "Health": shape(
        {"status": TEXT},
        {
            "leaf_count": UINT,
            "error": TEXT,
            "gap": {"type": "object"},
            "witnesses": {"type": "object", "additionalProperties": TEXT},
        },
    ),
    "Readiness": shape({"ready": {"type": "boolean"}, "reasons": list_of(TEXT)}),
    "Receipts": shape(
        {
            "subject": hex_of(32),
            "receipts": list_of(of("Entry")),
            "withheld": UINT,
            "next_cursor": or_null(TEXT),
        }
    ),
    "BindingRequest": shape(
        {
            "wallet": _GIVEN_WALLET,
            "nonce": UINT,
            "deadline": UINT,
            "signature": {"type": "string", "pattern": "^(0x)?[0-9a-fA-F]{130}$"},
        },
        {"subject": hex_of(32)},
    ),
    "BindingState": shape(
        {
            "log_id": hex_of(32),
            "subject": hex_of(32),
            "wallet": or_null(WALLET),
            "index": or_null(UINT),
            "domain": shape({"name": TEXT, "version": TEXT}),
            "type": TEXT,
        },
        {"next_nonce": UINT},
    ),
    "BindingLogged": shape({"index": UINT, **_ENTRY}),
    "StatementRequest": shape({}, {"subject": hex_of(32), "first_seq": UINT, "last_seq": UINT}),
    "StatementLogged": shape({"index": UINT, **_ENTRY, "next_seq": or_null(UINT)}),
    "Chain": _ok(
        shape(
            {
                "merkle_root": hex_of(32),
                "leaf_count": UINT,
                "peak_count": UINT,
                "origin": TEXT,
                "log_id": hex_of(32),
            }
        )
    ),
    "PublicKey": shape(
        {
            "ok": _OK,
            "algorithm": {"const": "ECDSA-secp256k1-SHA256"},
            "pubkey": shape(
                {"kty": {"const": "EC"}, "crv": {"const": "secp256k1"}, "x": TEXT, "y": TEXT}
            ),
            "epoch": UINT,
            "log_id": hex_of(32),
        }
    ),
    "UsageRecord": shape(
        {
            "id": UINT,
            "timestamp": TEXT,
            "user_hash": hex_of(32),
            "provider": TEXT,
            "model": TEXT,
            "input_tokens": SUM,
            "output_tokens": SUM,
            "cache_read_tokens": SUM,
            "cache_write_tokens": SUM,
            "total_tokens": SUM,
            "leaf_hash": hex_of(32),
            "receipt_sig": hex_of(65),
            "receipt_id": {"type": "string", "format": "uuid"},
            "source": _SOURCE,
            "metering": TEXT,
        }
    ),
    "UsageRecords": _ok(list_of(of("UsageRecord")), source=_SOURCE, has_more={"type": "boolean"}),
    "Leaderboard": _ok(
        list_of(shape({"identity": TEXT, "wallet": or_null(WALLET), **_SUMS})),
        source=_SOURCE,
        period_days=UINT,
        model=or_null(TEXT),
    ),
    "ModelUsage": _MODEL,
    "Models": _ok(list_of(of("ModelUsage")), source=_SOURCE),
    "Stats": _ok(
        shape(
            {
                "total_calls": SUM,
                "total_tokens": SUM,
                "total_users": SUM,
                "total_models": SUM,
                "calls_by_source": {"type": "object", "additionalProperties": SUM},
            }
        ),
        source=_SOURCE,
    ),
    "StreamAudit": shape(
        {
            "log_id": hex_of(32),
            "records": UINT,
            "erased_receipts": UINT,
            "parameters": {"type": "object"},
            "assumptions": list_of(TEXT),
            "blind_spots": list_of(TEXT),
            "states": {"type": "object", "additionalProperties": UINT},
            "alpha": _NUMBER,
            "excess": _NUMBER,
            **dict.fromkeys(_AUDIT_SUMS, SUM),
            "streams": list_of(of("AuditedStream")),
        }
    ),
    "AuditedStream": shape(
        {
            **dict.fromkeys(("source", "provider", "upstream", "operation"), TEXT),
            **dict.fromkeys(("model", "method", "state"), TEXT),
            "vocab": hex_of(32),
            "offsets": list_of({"type": "integer"}),
            **dict.fromkeys(("over", "under", "evidence"), list_of(_NUMBER)),
            **dict.fromkeys(("level", "excess"), _NUMBER),
            **dict.fromkeys(_STREAM_SUMS, SUM),
            "remarks": list_of(TEXT),
        }
    ),
    "WalletUsage": _ok(
        shape(
            {
                "wallet": WALLET,
                "users": list_of(hex_of(32)),
                **_SUMS,
                "models": list_of(of("ModelUsage")),
            }
        ),
        source=_SOURCE,
    ),
    "UserUsage": _ok(
        shape(
            {
                "user_hash": hex_of(32),
                "wallet": or_null(WALLET),
                **_SUMS,
                "models": list_of(of("ModelUsage")),
            }
        ),
        source=_SOURCE,
    ),
    "SignRequest": shape(
        {},
        {
            "user_hash": hex_of(32),
            "receipt_ids": {"type": "array", "items": UINT, "minItems": 1, "maxItems": 100},
        },
    ),
    "SignedSummary": _ok(
        shape(
            {
                "summary": shape(
                    {
                        "p": TEXT,
                        "v": UINT,
                        "type": TEXT,
                        "user": hex_of(32),
                        "total_calls": UINT,
                        "ts": UINT,
                    }
                ),
                "algorithm": TEXT,
                "signature": hex_of(65),
                "index": UINT,
                "complete": {"type": "boolean"},
                "next_seq": or_null(UINT),
                "proof": TEXT,
                **_ENTRY,
            }
        )
    ),
}
"""The named schemas of the API's document."""
