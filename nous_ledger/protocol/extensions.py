"""What a body may hold beyond its table: values under keys from 64 on.

They are kept as they are, so that an older reader loses nothing.

Spec:
    PROTOCOL.md, section "Bodies".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nous_ledger.protocol.encoding import MAX_DEPTH, MAX_ITEMS, decode, encode, pack_checked
from nous_ledger.protocol.errors import BodyError, EncodingError

if TYPE_CHECKING:
    from nous_ledger.protocol.fields import MapShape, Shape
    from nous_ledger.protocol.strict import Value

FIRST_EXTENSION_KEY: Final = 64
MAX_EXTENSION_BYTES: Final = 4_096


def read_extensions(
    value: dict[int, Value], names: dict[int, str]
) -> tuple[tuple[int, Value], ...]:
    """Return the pairs of a map that its table does not name.

    Raises:
        EncodingError: unknown-field.
    """
    extensions = tuple((key, item) for key, item in value.items() if key not in names)
    if extensions[0][0] < FIRST_EXTENSION_KEY:
        raise EncodingError("unknown-field", f"key {extensions[0][0]} is not defined here")
    return extensions


def check_extensions(shape: MapShape, extensions: tuple[tuple[int, Value], ...]) -> None:
    """Hold extensions to the rules of the encoding: what is made can be read again.

    Raises:
        BodyError: wrong-type.
        EncodingError: duplicate-key, unsorted, unknown-field, limit, and those of `encode`.
    """
    if type(extensions) is not tuple or not all(map(_is_pair, extensions)):
        raise BodyError("wrong-type", "extensions are a tuple of (number, value) pairs")
    pairs = dict(extensions)
    if len(pairs) != len(extensions):
        raise EncodingError("duplicate-key", "two extensions have the same key")
    data = encode(pairs)
    if pack_checked(pairs) != data:
        raise EncodingError("unsorted", "extensions and maps in them have ascending keys")
    if extensions[0][0] < FIRST_EXTENSION_KEY:
        raise EncodingError("unknown-field", f"key {extensions[0][0]} is not defined here")
    present = sum(getattr(shape, field.name) is not None for field in shape.FIELDS)
    if present + len(pairs) > MAX_ITEMS:
        raise EncodingError("limit", f"a map of more than {MAX_ITEMS} fields")
    # The extensions stand in the shape's own map, so they begin as deep as it does.
    decode(data, max_depth=MAX_DEPTH + 1 - shape.DEPTH)


def _is_pair(item: object) -> bool:
    return type(item) is tuple and len(item) == 2 and type(item[0]) is int


def extension_bytes(shape: Shape) -> int:
    """Return the encoded size of all extensions in a body, nested ones included."""
    total = 0
    extensions = getattr(shape, "extensions", ())
    if extensions:
        total = sum(len(encode(key)) + len(encode(value)) for key, value in extensions)
    for name in shape.NESTED:
        value = getattr(shape, name)
        if value is not None:
            items = value if type(value) is tuple else (value,)
            total += sum(map(extension_bytes, items))
    return total
