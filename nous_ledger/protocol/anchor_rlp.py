"""RLP, the encoding of an EVM chain's blocks and tries: a strict reader and its writer.

Every value has one encoding, and the reader refuses all others. Its depth and its number
of items are bounded; its input is bounded by whoever calls it.

Spec:
    PROTOCOL.md, section "Anchor evidence" (EVID-3).
"""

from __future__ import annotations

from typing import Final, TypeAlias

from nous_ledger.protocol.errors import AnchorError
from nous_ledger.protocol.types import MAX_UINT

RlpItem: TypeAlias = bytes | tuple["RlpItem", ...]
"""A decoded item: a byte string, or a list of items."""

MAX_RLP_BYTES: Final = 1024 * 1024
MAX_RLP_DEPTH: Final = 8
MAX_RLP_ITEMS: Final = 65_536

_SHORT: Final = 55
_STRING: Final = 0x80
_LIST: Final = 0xC0


def decode_rlp(data: bytes) -> RlpItem:
    r"""Return the one item that the bytes encode.

    >>> decode_rlp(bytes.fromhex("c483646f67"))
    (b'dog',)

    Args:
        data: at most 1 MiB.

    Raises:
        AnchorError: anchor-rlp (not the one encoding of an item, or beyond a limit).
    """
    if len(data) > MAX_RLP_BYTES:
        raise _wrong(f"{len(data)} bytes are more than {MAX_RLP_BYTES}")
    reader = _Reader(data)
    item, end = reader.item(0, len(data), 1)
    if end != len(data):
        raise _wrong(f"{len(data) - end} bytes follow the item")
    return item


def encode_rlp(item: RlpItem) -> bytes:
    r"""Return the encoding of an item.

    >>> encode_rlp((b"dog", b"\x05")).hex()
    'c583646f6705'
    """
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < _STRING:
            return item
        return _head(_STRING, len(item)) + item
    payload = b"".join(map(encode_rlp, item))
    return _head(_LIST, len(payload)) + payload


def rlp_uint(number: int) -> bytes:
    """Return the byte string that stands for a number: big-endian without leading zeros."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def read_rlp_uint(item: RlpItem, *, limit: int = MAX_UINT) -> int:
    """Return the number that a byte string stands for.

    Args:
        item: a decoded item.
        limit: largest number that is taken.

    Raises:
        AnchorError: anchor-rlp (a list, a leading zero, or above the limit).
    """
    if not isinstance(item, bytes):
        raise _wrong("a list stands where a number belongs")
    if item[:1] == b"\0":
        raise _wrong("a number has a leading zero")
    if len(item) > 32 or (number := int.from_bytes(item, "big")) > limit:
        raise _wrong(f"a number is above {limit}")
    return number


def _head(kind: int, length: int) -> bytes:
    if length <= _SHORT:
        return bytes([kind + length])
    size = rlp_uint(length)
    return bytes([kind + _SHORT + len(size)]) + size


class _Reader:
    """One pass over the bytes; counts items so that a small input cannot become a large value."""

    __slots__ = ("data", "items")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.items = 0

    def item(self, at: int, end: int, depth: int) -> tuple[RlpItem, int]:
        """Return the item that begins at an offset and the offset behind it."""
        self.items += 1
        if self.items > MAX_RLP_ITEMS or depth > MAX_RLP_DEPTH:
            raise _wrong("it has too many items or levels")
        if at >= end:
            raise _wrong("it ends where an item should begin")
        first = self.data[at]
        if first < _STRING:
            return self.data[at : at + 1], at + 1
        kind = _LIST if first >= _LIST else _STRING
        start, stop = self._span(at, end, first - kind)
        if kind == _LIST:
            return self._list(start, stop, depth), stop
        text = self.data[start:stop]
        if len(text) == 1 and text[0] < _STRING:
            raise _wrong("a byte below 0x80 stands behind a length")
        return text, stop

    def _list(self, at: int, stop: int, depth: int) -> tuple[RlpItem, ...]:
        items: list[RlpItem] = []
        while at < stop:
            item, at = self.item(at, stop, depth + 1)
            items.append(item)
        return tuple(items)

    def _span(self, at: int, end: int, length: int) -> tuple[int, int]:
        """Return where the content of a string or list begins and ends."""
        start = at + 1
        if length > _SHORT:
            size = self.data[start : start + length - _SHORT]
            start += length - _SHORT
            length = int.from_bytes(size, "big")
            if start > end or size[0] == 0 or length <= _SHORT:
                raise _wrong("a length is not in its shortest form")
        if start + length > end:
            raise _wrong("an item reaches beyond its end")
        return start, start + length


def _wrong(reason: str) -> AnchorError:
    return AnchorError("anchor-rlp", f"not canonical RLP: {reason}")
