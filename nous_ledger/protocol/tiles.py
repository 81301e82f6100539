"""Tiles: the fixed resources in which a log serves its tree, records and bodies.

    tile/<L>/<N>[.p/<W>]          W hashes of perfect subtrees of height 8 L
    tile/entries/<N>[.p/<W>]      W records, each after its u16 length
    tile/bodies/<N>[.p/<W>]       W bodies, each after its u16 length; 0 = withheld

N is written in groups of three digits, all but the last behind an x. A full tile
is 256 wide; the rightmost of a level is partial and names its width.

Spec:
    PROTOCOL.md, section "Head and tiles" (SERV-1 to SERV-5); C2SP tlog-tiles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nous_ledger.protocol.encoding import MAX_BODY_BYTES
from nous_ledger.protocol.errors import EncodingError, InputError, RecordError
from nous_ledger.protocol.positions import locate, subtree_position
from nous_ledger.protocol.record import RECORD_LENGTH
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, NodePos

TILE_HEIGHT: Final = 8
FULL_WIDTH: Final = 256
MAX_LEVEL: Final = 63
ENTRY_BYTES: Final = 2 + RECORD_LENGTH
"""Bytes of one record in an entry bundle."""
MAX_BODIES_BUNDLE_BYTES: Final = FULL_WIDTH * (2 + MAX_BODY_BYTES)

_PATH: Final = re.compile(
    r"tile/(0|[1-9][0-9]?|entries|bodies)/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?"
)


class TileKind(StrEnum):
    """What a tile holds."""

    HASHES = "hashes"
    ENTRIES = "entries"
    BODIES = "bodies"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One resource of the tree.

    Attributes:
        kind: hashes, entries or bodies.
        level: 0..63 for hashes; 0 for entries and bodies.
        index: number of the tile on its level, from 0.
        width: items it has, 1..256; below 256 it is partial.
    """

    kind: TileKind = TileKind.HASHES
    level: int = 0
    index: int
    width: int = FULL_WIDTH

    def __post_init__(self) -> None:
        """Refuse what no path can name."""
        in_range = 0 <= self.index <= MAX_UINT and 1 <= self.width <= FULL_WIDTH
        if not in_range or not 0 <= self.level <= (0 if self.kind != "hashes" else MAX_LEVEL):
            raise InputError("input", "the level, index or width of a tile is out of range")


def format_tile_path(tile: Tile) -> str:
    """Return the path of a tile, relative to the log's prefix.

    >>> format_tile_path(Tile(level=1, index=1234067, width=8))
    'tile/1/x001/x234/067.p/8'
    """
    level = str(tile.level) if tile.kind == TileKind.HASHES else tile.kind.value
    digits = str(tile.index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    partial = f".p/{tile.width}" if tile.width < FULL_WIDTH else ""
    return f"tile/{level}/{'/'.join(['x' + g for g in groups[:-1]] + groups[-1:])}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Return the tile that a path names.

    Spec:
        PROTOCOL.md SERV-4.

    Args:
        path: relative to the log's prefix, without a leading slash.

    Raises:
        InputError: no tile has this path.
    """
    match = _PATH.fullmatch(path)
    if not match:
        raise InputError("input", "the path names no tile")
    where, number, width = match.groups()
    tile = Tile(
        kind=TileKind.HASHES if where.isdecimal() else TileKind(where),
        level=int(where) if where.isdecimal() else 0,
        index=int(number.replace("/", "").replace("x", "")),
        width=int(width or FULL_WIDTH),
    )
    if format_tile_path(tile) != path:  # a leading group x000, or .p/256
        raise InputError("input", "the path is not the one spelling of its tile")
    return tile


def tile_width(level: int, index: int, leaf_count: LeafCount) -> int:
    """Return how many items a tile has in a tree: 0 (no such tile) to 256.

    Args:
        level: 0..63; 0 also for entries and bodies.
        index: number of the tile on its level.
        leaf_count: leaves of the tree.

    >>> tile_width(0, 273, LeafCount(70000)), tile_width(1, 1, LeafCount(70000))
    (112, 17)
    """
    items = leaf_count >> (TILE_HEIGHT * level)
    return min(max(items - index * FULL_WIDTH, 0), FULL_WIDTH)


def tile_nodes(tile: Tile) -> tuple[NodePos, ...]:
    """Return the positions, in the node array, of the hashes of a tile.

    Raises:
        InputError: the tile lies outside any tree of 2^53-1 leaves, or holds no hashes.
    """
    height = TILE_HEIGHT * tile.level
    first = tile.index * FULL_WIDTH
    if tile.kind != TileKind.HASHES or (first + tile.width) << height > MAX_UINT:
        raise InputError("input", "the tile holds no hashes of any tree")
    return tuple(
        subtree_position(item << height, height) for item in range(first, first + tile.width)
    )


def tile_of_node(position: NodePos) -> tuple[int, int, int, int]:
    """Return where in the tiles the hash of a node can be made from.

    Args:
        position: node of the array.

    Returns:
        Level and index of the tile, and the range `[lo, hi)` of its hashes that
        are the leaves of the node's subtree; hi - lo is a power of two up to 128.

    Raises:
        InputError: position is out of range.

    >>> tile_of_node(NodePos(9))
    (0, 0, 4, 6)
    """
    subtree = locate(position)
    level, rest = divmod(subtree.height, TILE_HEIGHT)
    index, low = divmod(subtree.start >> (TILE_HEIGHT * level), FULL_WIDTH)
    return level, index, low, low + (1 << rest)


def encode_tile(hashes: Sequence[Hash32]) -> bytes:
    """Return the bytes of a tile of hashes.

    Args:
        hashes: 1..256 hashes of 32 bytes.

    Raises:
        InputError: another number of hashes, or of bytes.
    """
    if not 1 <= len(hashes) <= FULL_WIDTH or any(len(item) != 32 for item in hashes):
        raise InputError("input", "a tile has 1..256 hashes of 32 bytes")
    return b"".join(hashes)


def decode_tile(data: bytes, width: int) -> tuple[Hash32, ...]:
    """Return the hashes of a tile.

    Spec:
        PROTOCOL.md SERV-1.

    Args:
        data: exactly 32 bytes per hash.
        width: how many hashes the tile has, 1..256.

    Raises:
        EncodingError: truncated, trailing.
    """
    _check_length(data, 32 * width)
    return tuple(Hash32(data[at : at + 32]) for at in range(0, len(data), 32))


def encode_entries(records: Sequence[bytes]) -> bytes:
    """Return the bytes of an entry bundle.

    Args:
        records: 1..256 records of 120 bytes.

    Raises:
        InputError: another number of records.
        RecordError: record-length.
    """
    if not 1 <= len(records) <= FULL_WIDTH:
        raise InputError("input", "an entry bundle has 1..256 records")
    for record in records:
        _check_record_length(len(record))
    prefix = RECORD_LENGTH.to_bytes(2, "big")
    return b"".join(prefix + record for record in records)


def decode_entries(data: bytes, width: int) -> tuple[bytes, ...]:
    """Return the records of an entry bundle.

    Spec:
        PROTOCOL.md SERV-1, SERV-2.

    Args:
        data: exactly 122 bytes per record.
        width: how many records the bundle has, 1..256.

    Raises:
        EncodingError: truncated, trailing.
        RecordError: record-length (a length prefix is not 120).
    """
    _check_length(data, ENTRY_BYTES * width)
    records: list[bytes] = []
    for at in range(0, len(data), ENTRY_BYTES):
        _check_record_length(int.from_bytes(data[at : at + 2], "big"))
        records.append(data[at + 2 : at + ENTRY_BYTES])
    return tuple(records)


def encode_bodies(bodies: Sequence[bytes]) -> bytes:
    """Return the bytes of a bodies bundle.

    Args:
        bodies: 1..256 bodies of at most 32,768 bytes; an empty one is withheld.

    Raises:
        InputError: another number of bodies, or a longer one.
    """
    if not 1 <= len(bodies) <= FULL_WIDTH or any(len(body) > MAX_BODY_BYTES for body in bodies):
        raise InputError("input", "a bodies bundle has 1..256 bodies of at most 32,768 bytes")
    return b"".join(len(body).to_bytes(2, "big") + body for body in bodies)


def decode_bodies(data: bytes, width: int) -> tuple[bytes, ...]:
    """Return the bodies of a bodies bundle; an empty one is withheld.

    Spec:
        PROTOCOL.md SERV-3.

    Args:
        data: the bundle, at most 256 times 32,770 bytes.
        width: how many bodies it has, 1..256.

    Raises:
        EncodingError: limit (a body above 32,768 bytes, or a bundle above its
            limit), truncated, trailing.
    """
    if len(data) > MAX_BODIES_BUNDLE_BYTES:
        raise EncodingError("limit", f"{len(data)} bytes are more than {MAX_BODIES_BUNDLE_BYTES}")
    bodies: list[bytes] = []
    at = 0
    for _ in range(width):
        length = int.from_bytes(data[at : at + 2], "big")
        if length > MAX_BODY_BYTES:
            raise EncodingError("limit", f"a body of {length} bytes is too long", offset=at)
        if at + 2 + length > len(data):
            raise EncodingError("truncated", "the bundle ends inside a body", offset=at)
        bodies.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    if at != len(data):
        raise EncodingError("trailing", f"{len(data) - at} bytes follow the bodies", offset=at)
    return tuple(bodies)


def _check_length(data: bytes, length: int) -> None:
    if len(data) != length:
        code = "truncated" if len(data) < length else "trailing"
        raise EncodingError(code, f"a bundle of {length} bytes expected, not {len(data)}")


def _check_record_length(length: int) -> None:
    if length != RECORD_LENGTH:
        raise RecordError("record-length", f"a record has 120 bytes, not {length}")
