"""What a nous-v2 gateway answers: parsed, bounded, and not believed.

Spec:
    PROTOCOL.md, section "Auditing nous-v2" (WIT-19 to WIT-25).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from nous_ledger.protocol.errors import LegacyError, UnavailableError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.legacy import LegacyPublicKey, parse_legacy_key
from nous_ledger.protocol.legacy_record import is_hash_hex
from nous_ledger.protocol.types import MAX_UINT
from sentinel.audit.legacy_memory import NO_SIGNATURE, LegacyChain

CONTENT_LENGTH: Final = 16
_FIELDS: Final = (
    "timestamp",
    "user_hash",
    "provider",
    "model",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "total_tokens",
)
_SCALARS: Final = (str, int, float, type(None))
_NO_LEAF: Final = "0" * 64
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")


def parse_chain(answer: object) -> LegacyChain:
    """Return what `GET /api/chain` answered.

    Raises:
        UnavailableError: unreachable (it is another answer).
    """
    data = _data(answer)
    root, count = data.get("merkle_root"), data.get("leaf_count")
    if not isinstance(root, str) or len(root) > 64 or type(count) is not int:
        raise _other("the chain has no root and count")
    if not 0 <= count <= MAX_UINT:
        raise _other(f"the chain's count is {count}")
    return LegacyChain("" if root == "empty" else root, count)


def parse_page(answer: object, limit: int) -> tuple[list[Mapping[str, object]], bool]:
    """Return the rows that `GET /api/records` answered, and whether it says there are more.

    Raises:
        UnavailableError: unreachable (it is another answer, or has more than `limit` rows).
    """
    members = _ok(answer)
    rows, more = members.get("data"), members.get("has_more")
    if not isinstance(rows, list) or len(rows) > limit or not all(type(r) is dict for r in rows):
        raise _other("a page is no list of records, or longer than asked for")
    return rows, more is not False


def parse_key_answer(answer: object) -> LegacyPublicKey:
    """Return the key in an answer of `GET /api/pubkey`, or in a JWK on its own.

    Raises:
        UnavailableError: unreachable (it is another answer).
        LegacyError: legacy-format (no P-256 key).
    """
    members = answer if isinstance(answer, dict) else {}
    jwk = members if "kty" in members else _ok(answer).get("pubkey")
    if not isinstance(jwk, dict):
        raise LegacyError("legacy-format", "the answer has no key")
    return parse_legacy_key(jwk)


def parse_json(data: bytes) -> object:
    """Return the value in some JSON text.

    Raises:
        UnavailableError: unreachable (it is none, or has numbers beyond all bounds).
    """
    try:
        value: object = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _other("the answer is not JSON") from error
    return value


def _data(answer: object) -> Mapping[str, Any]:
    data = _ok(answer).get("data")
    if not isinstance(data, dict):
        raise _other("the answer has no data")
    return data


def _ok(answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict) or answer.get("ok") is not True:
        raise _other("the answer does not say ok")
    return answer


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _other(what: str) -> UnavailableError:
    return UnavailableError("unreachable", f"this is no answer of a nous-v2 gateway: {what}")


def stated_leaf(row: Mapping[str, object]) -> str:
    """Return the leaf hash that a row states, 64 hex digits; zeros where it states none."""
    leaf = row.get("leaf_hash")
    return leaf if isinstance(leaf, str) and is_hash_hex(leaf) else _NO_LEAF


def stated_signature(row: Mapping[str, object]) -> bytes:
    """Return the 64 bytes of a row's signature; zeros where it has none of that form."""
    text = row.get("receipt_sig")
    if isinstance(text, str) and _SIGNATURE.fullmatch(text):
        return bytes.fromhex(text)
    return NO_SIGNATURE


def content_of(row: Mapping[str, object]) -> bytes:
    """Return the first 16 bytes of a hash over the fields that a leaf is made of."""
    # What is no scalar is no field, and may be nested as deep as no encoder goes.
    values = (row.get(name) for name in _FIELDS)
    text = json.dumps([v if isinstance(v, _SCALARS) else "" for v in values])
    return sha256(text.encode())[:CONTENT_LENGTH]


def id_of(row: Mapping[str, object]) -> int | None:
    """Return the id of a row; None where it is no integer."""
    number = row.get("id")
    return number if type(number) is int else None
