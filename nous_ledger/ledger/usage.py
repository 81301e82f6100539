"""The provider's usage values as they are stored beside a receipt."""

from __future__ import annotations

from collections.abc import Sequence


def join_usage(values: Sequence[bytes]) -> bytes:
    """Return usage values in one piece, each after its length: what their hash is over."""
    return b"".join([len(value).to_bytes(4, "big") + value for value in values])


def split_usage(data: bytes) -> tuple[bytes, ...]:
    """Return the values that `join_usage` joined."""
    values: list[bytes] = []
    while data:
        length = int.from_bytes(data[:4], "big")
        values.append(data[4 : 4 + length])
        data = data[4 + length :]
    return tuple(values)
