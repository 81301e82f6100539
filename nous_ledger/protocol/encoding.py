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

from collections.abc import Iterable, Sized
from typing import Final

import msgpack

from nous_ledger.protocol.errors import EncodingError
from nous_ledger.protocol.strict import FORBIDDEN_CHARACTERS, Value, decode_strictly
from nous_ledger.protocol.types import MAX_UINT

MAX_BODY_BYTES: Final = 32_768
MAX_DEPTH: Final = 5
MAX_ITEMS: Final = 64
MAX_STR_BYTES: Final = 1_024

_BUFFER_BYTES: Final = 1_024
_UINT_FORMS: Final = (
    *[(b"\xcc", 1)] * 2,
    (b"\xcd", 2),
    *[(b"\xce", 4)] * 2,
    *[(b"\xcf", 8)] * 3,
)
"""Header and width of an unsigned integer of 0..7 bytes."""


def encode(value: Value, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the canonical encoding of a value.

    Map keys are written in ascending order whatever their order in the dict.

    Spec:
        PROTOCOL.md ENC-1, ENC-19.

    Args:
        value: what to encode.
        max_bytes: longest encoding.

    Raises:
        EncodingError: what `decode` would say of the encoding: int-range, bad-string
            or limit; forbidden-type for whatever is no value of the protocol (a bool,
            a float, a negative number, a list, a subclass of a value's class).
    """
    packed = pack_checked(_checked(value, 1))
    if len(packed) > max_bytes:
        raise EncodingError("limit", f"{len(packed)} bytes are more than {max_bytes}")
    return packed


def pack_checked(value: object) -> bytes:
    """Return the encoding of a value that is known to be canonical.

    For callers that have checked every item and sorted every map.
    """
    # A body is short: a packer's usual buffer of 256 KiB costs more than what is written to it.
    packed: bytes = msgpack.Packer(use_bin_type=True, buf_size=_BUFFER_BYTES).pack(value)
    return packed


def encode_uint(number: int) -> bytes:
    """Return the shortest form of an unsigned integer.

    Spec:
        PROTOCOL.md ENC-1, ENC-2.

    Raises:
        EncodingError: forbidden-type, int-range.
    """
    if _checked_uint(number) < 0x80:
        return bytes((number,))
    header, width = _UINT_FORMS[(number.bit_length() + 7) // 8]
    return header + number.to_bytes(width, "big")


def _checked(value: Value, depth: int) -> Value:
    """Return the value with its maps in order; its containers start at `depth`."""
    if type(value) is int:
        return _checked_uint(value)
    if type(value) is str:
        check_text(value)
        return value
    if type(value) is bytes:
        return value
    if type(value) is tuple:
        _check_container(value, depth)
        return tuple([_checked(item, depth + 1) for item in value])
    if type(value) is dict:
        _check_container(value, depth)
        keys = sorted([_checked_uint(key) for key in value])
        return {key: _checked(value[key], depth + 1) for key in keys}
    raise EncodingError("forbidden-type", f"a {type(value).__name__} has no encoding")


def _check_container(value: Sized, depth: int) -> None:
    if len(value) > MAX_ITEMS or depth > MAX_DEPTH:
        raise EncodingError("limit", f"more than {MAX_ITEMS} items or {MAX_DEPTH} levels")


def _checked_uint(number: int) -> int:
    if type(number) is not int or number < 0:
        raise EncodingError("forbidden-type", f"{number!r:.80} is no unsigned integer")
    if number > MAX_UINT:
        raise EncodingError("int-range", f"{number} is larger than 2^53-1")
    return number


def check_text(text: str) -> None:
    """Raise EncodingError, bad-string or limit, unless the text can be encoded."""
    if FORBIDDEN_CHARACTERS.search(text) or not _is_utf8(text):
        raise EncodingError("bad-string", "a string has a character that cannot be encoded")
    if len(text.encode("utf-8")) > MAX_STR_BYTES:
        raise EncodingError("limit", f"a string is longer than {MAX_STR_BYTES} bytes")


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def is_encodable_text(text: str, max_bytes: int) -> bool:
    """Return whether an outside string may stand in a field of `max_bytes` bytes."""
    if text.isascii() and text.isprintable():  # nothing that is forbidden is both
        return 0 < len(text) <= max_bytes
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
        value = read_leniently(data, max_items=max_items)
        if _is_canonical(value, 1, limits) and msgpack.packb(value) == data:
            return value
    except Exception:  # noqa: BLE001, S110 - what this reader refuses, the strict one names
        pass
    return decode_strictly(data, limits)


def read_leniently(data: bytes, *, max_items: int = MAX_ITEMS) -> Value:
    """Return what the common library reads: it lets pass much that is not canonical.

    For callers that encode the result again and compare.

    Raises:
        Exception: whatever the library raises.
    """
    value: Value = msgpack.unpackb(
        data,
        use_list=False,
        strict_map_key=False,
        max_array_len=max_items,
        max_map_len=max_items,
    )
    return value


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
