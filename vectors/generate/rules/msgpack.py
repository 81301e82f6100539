"""Canonical MessagePack: a writer, and a strict reader that stops at the first faulty header.

Values are int, str, bytes, list and dict with int keys. The reader is a transcription of the
header table, byte by byte; nothing is decoded leniently and compared afterwards.
"""

from dataclasses import dataclass
from typing import Any

from vectors.generate.rules.checks import MAX_UINT, reject, require

Value = Any

FORBIDDEN_CHARACTERS = frozenset(
    [
        *range(0x20),
        *range(0x7F, 0xA0),
        *range(0x2028, 0x202F),
        *range(0x2066, 0x206A),
        0xFEFF,
    ]
)


@dataclass(frozen=True)
class Limits:
    """The bounds of one use of the encoding; the defaults are those of a body."""

    max_bytes: int = 32_768
    max_depth: int = 5
    max_items: int = 64
    max_str: int = 1_024


BODY = Limits()
EXTRA = Limits(max_bytes=256 * 1024)

# first byte -> (kind, bytes of the length or number, smallest value that needs this form)
HEADERS = {
    0xCC: ("uint", 1, 0x80),
    0xCD: ("uint", 2, 0x100),
    0xCE: ("uint", 4, 0x1_0000),
    0xCF: ("uint", 8, 0x1_0000_0000),
    0xD9: ("str", 1, 32),
    0xDA: ("str", 2, 0x100),
    0xDB: ("str", 4, 0x1_0000),
    0xC4: ("bin", 1, 0),
    0xC5: ("bin", 2, 0x100),
    0xC6: ("bin", 4, 0x1_0000),
    0xDC: ("array", 2, 16),
    0xDD: ("array", 4, 0x1_0000),
    0xDE: ("map", 2, 16),
    0xDF: ("map", 4, 0x1_0000),
}


def header(kind: str, number: int) -> bytes:
    """Return the shortest header of `kind` for a value, length or item count."""
    if kind == "uint" and number < 0x80:
        return bytes([number & 0xFF])  # -32 to -1 have headers that a decoder refuses
    if kind == "str" and number < 32:
        return bytes([0xA0 | number])
    if kind in ("array", "map") and number < 16:
        return bytes([(0x90 if kind == "array" else 0x80) | number])
    for first, (name, width, _) in HEADERS.items():
        if name == kind and number < 256**width:
            return bytes([first]) + number.to_bytes(width, "big")
    raise AssertionError(kind, number)


def pack(value: Value) -> bytes:
    """Return the canonical bytes; a dict is written in ascending key order."""
    if isinstance(value, int):
        return header("uint", value)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")  # a decoder then refuses it
        return header("str", len(data)) + data
    if isinstance(value, bytes):
        return header("bin", len(value)) + value
    if isinstance(value, dict):
        pairs = [pack(key) + pack(value[key]) for key in sorted(value)]
        return header("map", len(pairs)) + b"".join(pairs)
    return header("array", len(value)) + b"".join(pack(item) for item in value)


def short_header(first: int) -> tuple[str, int, int] | None:
    """Return (kind, 0, number) of a header that holds its number itself."""
    if first < 0x80:
        return "uint", 0, first
    if first < 0xA0:
        return ("map" if first < 0x90 else "array"), 0, first & 0x0F
    return ("str", 0, first & 0x1F) if first < 0xC0 else None


class _Reader:
    """Reads values from left to right."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data, self.at, self.limits = data, 0, limits

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        require(self.at + count <= len(self.data), "truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def header(self, allowed: str = "uint str bin array map") -> tuple[str, int]:
        """Return (kind, number): type, then presence, then shortest form, then range."""
        first = self.take(1)[0]
        kind, width, smallest = short_header(first) or HEADERS.get(first, ("none", 0, 0))
        require(kind in allowed.split(), "forbidden-type")
        if not width:
            return kind, smallest
        number = int.from_bytes(self.take(width), "big")
        require(number >= smallest, "non-minimal")
        require(kind != "uint" or number <= MAX_UINT, "int-range")
        return kind, number

    def value(self, depth: int) -> Value:
        """Return the next value; `depth` counts the containers around it."""
        kind, number = self.header()
        if kind == "uint":
            return number
        if kind == "bin":
            return self.take(number)
        if kind == "str":
            require(number <= self.limits.max_str, "limit")
            return self.text(self.take(number))
        require(number <= self.limits.max_items and depth < self.limits.max_depth, "limit")
        if kind == "array":
            return [self.value(depth + 1) for _ in range(number)]
        return self.map(number, depth + 1)

    def text(self, raw: bytes) -> str:
        """Return the string if all of its characters are allowed."""
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            reject("bad-string")
        require(not FORBIDDEN_CHARACTERS & {ord(char) for char in text}, "bad-string")
        return text

    def map(self, count: int, depth: int) -> dict[int, Value]:
        """Return a map whose uint keys ascend."""
        result: dict[int, Value] = {}
        last = -1
        for _ in range(count):
            _, key = self.header("uint")
            require(key != last, "duplicate-key")
            require(key > last, "unsorted")
            result[key], last = self.value(depth), key
        return result


def unpack(data: bytes, limits: Limits = BODY) -> Value:
    """Return the one value that `data` encodes."""
    require(len(data) <= limits.max_bytes, "limit")
    reader = _Reader(data, limits)
    value = reader.value(0)
    require(reader.at == len(data), "trailing")
    return value
