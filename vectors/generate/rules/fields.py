"""Field tables of maps, and the checks that hold for every field alone.

A table is text in the notation of the protocol: number, name (a star if required), type.
Types: `u` a number; `u<=9` or `u1..9` a number in a range; `s64` 1 to 64 bytes of text;
`b32` exactly 32 bytes; any other word names a function that takes the value.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from vectors.generate.rules.checks import require
from vectors.generate.rules.msgpack import pack

Check = Callable[[Any], None]
Table = dict[int, tuple[str, bool, str]]
FIRST_EXTENSION = 64
MAX_EXTENSION_BYTES = 4_096
LINE = re.compile(r"(\d+) ([a-z0-9_]+)(\*?) (\S+)")


def table(text: str) -> Table:
    """Return {number: (name, required, type)}."""
    rows = [LINE.fullmatch(line.strip()) for line in text.strip().splitlines()]
    return {int(row[1]): (row[2], bool(row[3]), row[4]) for row in rows if row}


def check_type(value: Any, kind: str, checks: Mapping[str, Check]) -> None:
    """Refuse a value that does not fit the type word."""
    if kind in checks:
        checks[kind](value)
    elif kind[0] == "u":
        require(isinstance(value, int), "wrong-type")
        low, _, high = kind[1:].partition("..")
        require(not high or int(low) <= value <= int(high), "bad-value")
    elif kind[0] == "b":
        require(isinstance(value, bytes), "wrong-type")
        require(value, "empty-value")
        require(len(value) == int(kind[1:]), "bad-value")
    else:
        require(isinstance(value, str), "wrong-type")
        require(value, "empty-value")
        require(len(value.encode()) <= int(kind[1:]), "bad-value")


def check_list(value: Any, *, empty: bool = False, most: int = 64) -> None:
    """Refuse what is not a list, an empty list, or one that is too long."""
    require(isinstance(value, list), "wrong-type")
    require(empty or value, "empty-value")
    require(len(value) <= most, "bad-value")


def check_tuple(value: Any, kinds: str, checks: Mapping[str, Check]) -> None:
    """Refuse a list that does not have exactly these element types."""
    check_list(value)
    words = kinds.split()
    require(len(value) == len(words), "bad-value")
    for item, word in zip(value, words, strict=True):
        check_type(item, word, checks)


def check_map(value: Any, fields: Table, checks: Mapping[str, Check]) -> None:
    """Refuse unknown and missing fields, then each faulty field in ascending order."""
    require(isinstance(value, dict), "wrong-type")
    known = {key: item for key, item in value.items() if key < FIRST_EXTENSION}
    require(set(known) <= set(fields), "unknown-field")
    for key, (_, required, _) in fields.items():
        require(not required or key in known, "missing-field")
    for key, item in known.items():
        check_type(item, fields[key][2], checks)


def named(value: Mapping[int, Any], fields: Table) -> dict[str, Any]:
    """Return the known fields by name; absent ones are absent."""
    return {fields[key][0]: item for key, item in value.items() if key in fields}


def extension_bytes(value: Mapping[int, Any], nested: tuple[Mapping[int, Any], ...]) -> int:
    """Return the encoded length of all extension keys and values of these maps."""
    return sum(
        len(pack(key)) + len(pack(item))
        for part in (value, *nested)
        for key, item in part.items()
        if key >= FIRST_EXTENSION
    )
