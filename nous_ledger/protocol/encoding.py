"""Canonical encoding of bodies: a strict subset of MessagePack.

    uint      shortest form, 0..2**53-1
    str, bin  shortest header; str is UTF-8 without control or bidi characters
    array     shortest header
    map       shortest header; keys are uints, strictly ascending

Nothing else exists: no nil, bool, float, negative number, extension type, and
no byte after the value. One value has exactly one encoding.

Decoding goes left to right and the first faulty header decides which error is
reported. The common library writes and reads the bytes; what it is lenient
about (longer forms, repeated keys, any order) is checked here.

Spec:
    PROTOCOL.md, section "Encoding".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias, Union

import msgpack

from nous_ledger.protocol.errors import EncodingError, InputError
from nous_ledger.protocol.types import MAX_UINT

Value: TypeAlias = Union[int, str, bytes, tuple["Value", ...], dict[int, "Value"]]
"""A decoded value; arrays are tuples, maps are dicts in ascending key order."""

MAX_BODY_BYTES: Final = 32_768
MAX_DEPTH: Final = 5
MAX_ITEMS: Final = 64
MAX_STR_BYTES: Final = 1_024

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


def encode(value: Value) -> bytes:
    """Return the canonical encoding of a value.

    Map keys are written in ascending order whatever their order in the dict.

    Raises:
        InputError: the value holds something that has no encoding (a bool, a
            float, a negative or too large number, a forbidden character).
    """
    packed: bytes = msgpack.packb(_checked(value), use_bin_type=True)
    return packed


def pack_checked(value: object) -> bytes:
    """Return the encoding of a value that is known to be canonical.

    For callers that have checked every item and sorted every map.
    """
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def _checked(value: Value) -> Value:
    if isinstance(value, bool) or value is None:
        raise InputError("input", f"{value!r} has no encoding")
    if isinstance(value, int):
        if not 0 <= value <= MAX_UINT:
            raise InputError("input", f"{value} is outside 0..2^53-1")
        return value
    if isinstance(value, str):
        if FORBIDDEN_CHARACTERS.search(value) or not _is_utf8(value):
            raise InputError("input", "the string has a character that cannot be encoded")
        return value
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return tuple(map(_checked, value))
    if isinstance(value, dict):
        return {_checked_key(key): _checked(value[key]) for key in sorted(value)}
    raise InputError("input", f"a {type(value).__name__} has no encoding")


def _checked_key(key: int) -> int:
    if type(key) is not int or not 0 <= key <= MAX_UINT:
        raise InputError("input", "a map key is a number in 0..2^53-1")
    return key


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def is_encodable_text(text: str, max_bytes: int) -> bool:
    """Return whether an outside string may stand in a field of `max_bytes` bytes."""
    if not text or FORBIDDEN_CHARACTERS.search(text) or not _is_utf8(text):
        return False
    return len(text.encode("utf-8")) <= max_bytes


def decode(
    data: bytes,
    *,
    max_bytes: int = MAX_BODY_BYTES,
    max_depth: int = MAX_DEPTH,
    max_items: int = MAX_ITEMS,
    max_str: int = MAX_STR_BYTES,
) -> Value:
    """Return the one value that the bytes encode.

    Args:
        data: the whole encoding.
        max_bytes: longest input.
        max_depth: deepest nesting; a top-level array or map has depth 1.
        max_items: most items of one array or map.
        max_str: longest string in UTF-8 bytes.

    Raises:
        EncodingError: truncated, trailing, non-minimal, duplicate-key, unsorted,
            forbidden-type, bad-string, int-range or limit.
    """
    if len(data) > max_bytes:
        raise EncodingError("limit", f"{len(data)} bytes are more than {max_bytes}")
    limits = (max_depth, max_items, max_str)
    try:
        value: Value = msgpack.unpackb(
            data,
            use_list=False,
            strict_map_key=False,
            max_array_len=max_items,
            max_map_len=max_items,
        )
        if _is_canonical(value, 1, limits) and msgpack.packb(value) == data:
            return value
    except Exception:  # noqa: BLE001, S110 - what this reader refuses, the strict one names
        pass
    return decode_strictly(data, limits)


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


def _is_canonical(value: Value, depth: int, limits: tuple[int, int, int]) -> bool:
    """Return whether a leniently read value breaks no rule that its bytes cannot show."""
    items: Iterable[Value]
    if type(value) is dict:
        keys = list(value)
        if not {int}.issuperset(map(type, keys)) or keys != sorted(keys):
            return False
        if keys and not 0 <= keys[0] <= keys[-1] <= MAX_UINT:
            return False
        items = value.values()
    elif type(value) is tuple:  # not a subclass: the library's extension type is one
        items = value
    else:
        return _is_canonical((value,), 0, limits)
    if depth > limits[0]:
        return False
    for item in items:
        kind = type(item)
        if kind is bytes:
            continue
        if kind is int:
            if not 0 <= item <= MAX_UINT:  # type: ignore[operator]
                return False
        elif kind is str:
            # Printable ASCII, the common case, is decided here: a call costs more.
            short = item.isascii() and item.isprintable() and len(item) <= limits[2]  # type: ignore[union-attr,arg-type]
            if not short and not _is_plain_text(item, limits[2]):  # type: ignore[arg-type]
                return False
        elif kind not in (dict, tuple) or not _is_canonical(item, depth + 1, limits):
            return False
    return True


def _is_plain_text(text: str, max_str: int) -> bool:
    return len(text.encode("utf-8")) <= max_str and not FORBIDDEN_CHARACTERS.search(text)


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
