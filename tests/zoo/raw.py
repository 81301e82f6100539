"""Bodies that no encoder of the library would write."""

from typing import Any

from nous_ledger.protocol.encoding import decode, encode


def with_fields(body: bytes, fields: dict[int, Any]) -> bytes:
    """Return a body with other fields, whatever its rules say; None leaves a field out."""
    value = decode(body)
    assert isinstance(value, dict)
    wire: dict[int, Any] = value | fields
    return encode({key: wire[key] for key in sorted(wire) if wire[key] is not None})


def with_raw_field(body: bytes, key: int, data: bytes) -> bytes:
    """Return a body whose last field is one that is written byte for byte.

    Args:
        body: a map of at most 15 or at least 16 fields, whose keys are below the new one.
        key: 32..127.
        data: the value, as encoded.
    """
    value = decode(body)
    assert isinstance(value, dict)
    assert max(value) < key
    count = len(value) + 1
    inner = body[1:] if body[0] >> 4 == 8 else body[3:]
    head = bytes([0x80 | count]) if count < 16 else b"\xde" + count.to_bytes(2, "big")
    return head + inner + bytes([key]) + data
