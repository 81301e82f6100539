"""A strict reader of the canonical encoding that names every fault.

It goes left to right; the first faulty header decides which error is reported.

Spec:
    PROTOCOL.md, section "decode" (ENC-1 to ENC-19).
"""

from __future__ import annotations

import re
from typing import Final, TypeAlias

from nous_ledger.protocol.errors import EncodingError
from nous_ledger.protocol.types import MAX_UINT

Value: TypeAlias = int | str | bytes | tuple["Value", ...] | dict[int, "Value"]
"""A decoded value; arrays are tuples, maps are dicts in ascending key order."""

# Control characters, line separators, bidirectional controls and the byte order
# mark: what could make two different strings look alike or break a line of text.
FORBIDDEN_CHARACTERS: Final = re.compile(
    "[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]"
)

_UINT_SIZES: Final = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}
_STR_SIZES: Final = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_BIN_SIZES: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4}
_ARRAY_SIZES: Final = {0xDC: 2, 0xDD: 4}
_MAP_SIZES: Final = {0xDE: 2, 0xDF: 4}


def decode_strictly(data: bytes, limits: tuple[int, int, int]) -> Value:
    """Return what `decode` returns, by a reader of our own that names every fault.

    `decode` comes here only with bytes that are not canonical, so this returns
    a value only when it is called directly; tests compare the two readers.

    Args:
        data: the whole encoding.
        limits: deepest nesting, most items, longest string.

    Raises:
        EncodingError: as `decode`.
    """
    decoder = _Decoder(data, *limits)
    value = decoder.value(1)
    if decoder.at != len(data):
        raise EncodingError(
            "trailing", f"{len(data) - decoder.at} bytes follow the value", offset=decoder.at
        )
    return value


class _Decoder:
    """One pass over the bytes; `at` is the offset of the next unread byte."""

    __slots__ = ("at", "data", "max_depth", "max_items", "max_str")

    def __init__(self, data: bytes, max_depth: int, max_items: int, max_str: int) -> None:
        self.data = data
        self.at = 0
        self.max_depth = max_depth
        self.max_items = max_items
        self.max_str = max_str

    def value(self, depth: int) -> Value:
        """Read one value whose containers start at `depth`."""
        head = self._header()
        if head < 0x80 or head in _UINT_SIZES:
            return self._uint(head)
        if 0xA0 <= head < 0xC0 or head in _STR_SIZES:
            return self._str(head)
        if head in _BIN_SIZES:
            return self._take(self._length(_BIN_SIZES[head], _min_bin(head)))
        if 0x90 <= head < 0xA0 or head in _ARRAY_SIZES:
            count = self._count(head, _ARRAY_SIZES, depth)
            return tuple(self.value(depth + 1) for _ in range(count))
        if 0x80 <= head < 0x90 or head in _MAP_SIZES:
            return self._map(self._count(head, _MAP_SIZES, depth), depth)
        raise self._error("forbidden-type", f"header {head:#04x} is not allowed")

    def _map(self, count: int, depth: int) -> dict[int, Value]:
        result: dict[int, Value] = {}
        previous = -1
        for _ in range(count):
            head = self._header()
            if head >= 0x80 and head not in _UINT_SIZES:
                raise self._error("forbidden-type", "a map key is not an unsigned integer")
            key = self._uint(head)
            if key <= previous:
                code = "duplicate-key" if key == previous else "unsorted"
                raise self._error(code, f"key {key} follows key {previous}")
            previous = key
            result[key] = self.value(depth + 1)
        return result

    def _uint(self, head: int) -> int:
        if head < 0x80:
            return head
        size = _UINT_SIZES[head]
        number = int.from_bytes(self._take(size), "big")
        if number < (0x80 if size == 1 else 1 << size * 4):
            raise self._error("non-minimal", f"{number} stands in {size} bytes")
        if number > MAX_UINT:
            raise self._error("int-range", f"{number} is larger than 2^53-1")
        return number

    def _str(self, head: int) -> str:
        size = _STR_SIZES.get(head, 0)
        length = self._length(size, 32 if size == 1 else 1 << size * 4) if size else head & 0x1F
        if length > self.max_str:
            raise self._error("limit", f"a string of {length} bytes is too long")
        raw = self._take(length)
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise self._error("bad-string", "a string is not valid UTF-8") from error
        if FORBIDDEN_CHARACTERS.search(text):
            raise self._error("bad-string", "a string has a forbidden character")
        return text

    def _count(self, head: int, sizes: dict[int, int], depth: int) -> int:
        size = sizes.get(head, 0)
        count = self._length(size, 16 if size == 2 else 1 << 16) if size else head & 0x0F
        if count > self.max_items:
            raise self._error("limit", f"{count} items are more than {self.max_items}")
        if depth > self.max_depth:
            raise self._error("limit", f"nesting is deeper than {self.max_depth}")
        return count

    def _length(self, size: int, smallest: int) -> int:
        length = int.from_bytes(self._take(size), "big")
        if length < smallest:
            raise self._error("non-minimal", f"length {length} stands in {size} bytes")
        return length

    def _header(self) -> int:
        if self.at >= len(self.data):
            raise self._error("truncated", "the bytes end where an item should begin")
        head = self.data[self.at]
        self.at += 1
        return head

    def _take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            raise self._error(
                "truncated", f"{length} bytes expected, {len(self.data) - self.at} left"
            )
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def _error(self, code: str, text: str) -> EncodingError:
        return EncodingError(code, f"{text} (at byte {self.at})", offset=self.at)


def _min_bin(head: int) -> int:
    return {0xC4: 0, 0xC5: 1 << 8, 0xC6: 1 << 16}[head]
