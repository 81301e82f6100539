"""Records of nous-v2, signed with a test key."""

from typing import Any

from vectors.generate.rules import curve, legacy
from vectors.generate.rules.primitives import sha256
from vectors.generate.suite import Json

SECRET = int.from_bytes(b"\x99" * 32, "big")
KEY = curve.public_point(curve.P256, SECRET)
ORDER = curve.P256.n


def row(number: int = 1, **changes: Any) -> Json:
    """Return a record; leaf and signature follow the changes unless they are given."""
    fields = {
        "id": number,
        "timestamp": f"2026-04-02T12:00:{number:02}.000Z",
        "user_hash": sha256(b"sk-test")[:16].hex(),
        "provider": "openai",
        "model": "gpt-4o-mini",
        "input_tokens": 20 + number,
        "output_tokens": 4,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "total_tokens": 24 + number,
    } | {name: value for name, value in changes.items() if name != "receipt_sig"}
    if "leaf_hash" not in fields:
        fields["leaf_hash"] = legacy.leaf(fields)
    fields["receipt_sig"] = changes.get("receipt_sig", signature(fields["leaf_hash"]))
    return fields


def signature(leaf: Any) -> str:
    """Return the gateway's signature over a leaf."""
    return curve.sign_p256(SECRET, sha256(str(leaf).encode())).hex()


def other_form(text: str) -> str:
    """Return (r, n - s)."""
    return text[:64] + f"{ORDER - int(text[64:], 16):064x}"
