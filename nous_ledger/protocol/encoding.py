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

from collections.abc import Iterable
from typing import Final

import msgpack

from nous_ledger.protocol.errors import EncodingError, InputError
from nous_ledger.protocol.strict import FORBIDDEN_CHARACTERS, Value, decode_strictly
from nous_ledger.protocol.types import MAX_UINT

MAX_BODY_BYTES: Final = 32_768
MAX_DEPTH: Final = 5
MAX_ITEMS: Final = 64
MAX_STR_BYTES: Final = 1_024


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


def _is_canonical(value: Value, depth: int, limits: tuple[int, int, int]) -> bool:
    """Return whether a leniently read value breaks no rule that its bytes cannot show."""
    items: Iterable[Value]
    if type(value) is dict:
        items = value.values() if _has_canonical_keys(value) else (None,)  # type: ignore[assignment]
    elif type(value) is tuple:  # not a subclass: the library's extension type is one
        items = value
    else:
        return _is_canonical((value,), 0, limits)
    return depth <= limits[0] and all(
        type(item) is bytes or _is_canonical_item(item, depth, limits) for item in items
    )


def _has_canonical_keys(value: dict[int, Value]) -> bool:
    keys = list(value)
    if not {int}.issuperset(map(type, keys)) or keys != sorted(keys):
        return False
    return not keys or 0 <= keys[0] <= keys[-1] <= MAX_UINT


def _is_canonical_item(item: Value, depth: int, limits: tuple[int, int, int]) -> bool:
    if type(item) is int:
        return 0 <= item <= MAX_UINT
    if type(item) is str:
        return _is_plain_text(item, limits[2])
    return type(item) in (dict, tuple) and _is_canonical(item, depth + 1, limits)


def _is_plain_text(text: str, max_str: int) -> bool:
    return len(text.encode("utf-8")) <= max_str and not FORBIDDEN_CHARACTERS.search(text)
