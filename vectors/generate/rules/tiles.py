"""Tiles: the resources of C2SP tlog-tiles, and bodies beside them."""

import re

from vectors.generate.rules.checks import reject, require

FULL = 256
PATH = re.compile(
    r"tile/(0|[1-9][0-9]?|entries|bodies)/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


def path_of(level: str, number: int, width: int) -> str:
    """Return the path of a tile below the log's prefix."""
    text = f"{number % 1000:03}"
    while number := number // 1000:
        text = f"x{number % 1000:03}/{text}"
    return f"tile/{level}/{text}" + (f".p/{width}" if width < FULL else "")


def parse_path(path: str) -> tuple[str, int, int]:
    """Return level, number and width of the tile that a path names."""
    match = PATH.fullmatch(path)
    if not match:
        reject("input")
    level, groups, last, partial = match.groups()
    number = int(re.sub(r"[x/]", "", groups) + last)
    width = int(partial or FULL)
    require(level.isalpha() or int(level) <= 63, "input")
    require(width <= FULL and path_of(level, number, width) == path, "input")
    return level, number, width


def read_tile(data: bytes, width: int) -> list[bytes]:
    """Return the hashes of a tile."""
    require(len(data) >= 32 * width, "truncated")
    require(len(data) == 32 * width, "trailing")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def read_entries(data: bytes, width: int) -> list[bytes]:
    """Return the records of an entry bundle."""
    found, at = [], 0
    for _ in range(width):
        require(len(data) >= at + 2, "truncated")
        require(data[at : at + 2] == b"\x00\x78", "record-length")
        require(len(data) >= at + 122, "truncated")
        found.append(data[at + 2 : at + 122])
        at += 122
    require(at == len(data), "trailing")
    return found


def read_bodies(data: bytes, width: int) -> list[bytes]:
    """Return the bodies of a bodies bundle; an empty one is withheld."""
    found, at = [], 0
    for _ in range(width):
        require(len(data) >= at + 2, "truncated")
        length = int.from_bytes(data[at : at + 2], "big")
        require(length <= 32_768, "limit")
        require(len(data) >= at + 2 + length, "truncated")
        found.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    require(at == len(data), "trailing")
    return found
