"""nous-v2 records made as that system makes them, with a key of the tests."""

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from nous_ledger.protocol import legacy

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRIVATE = ec.derive_private_key(0x1717, ec.SECP256R1())


def jwk_of(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    numbers = key.public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(value.to_bytes(32, "big")).decode().rstrip("=")
        for value in (numbers.x, numbers.y)
    )
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


KEY = legacy.parse_legacy_key(jwk_of(PRIVATE))


def sign(message: bytes, key: ec.EllipticCurvePrivateKey = PRIVATE) -> str:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return f"{r:064x}{s:064x}"


def twin(signature: str) -> str:
    return f"{signature[:64]}{ORDER - int(signature[64:], 16):064x}"


def record(number: int, **changes: Any) -> legacy.LegacyRecord:
    """Return a record that is hashed and signed as nous-v2 does it, whatever it holds."""
    row: dict[str, Any] = {
        "id": number,
        "timestamp": f"2026-04-02T12:00:00.{number:03}Z",
        "user_hash": "178ea61e753a78d64b99c7efb4cf1929",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "input_tokens": 9,
        "output_tokens": number,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "total_tokens": 9 + number,
        "leaf_hash": "",
        "receipt_sig": "",
        **changes,
    }
    leaf = legacy.legacy_leaf(legacy.parse_legacy_record(row))
    row["leaf_hash"] = leaf
    row["receipt_sig"] = changes.get("receipt_sig", sign(leaf.encode()))
    return legacy.parse_legacy_record(row)


LOG = tuple(record(number) for number in range(21))
