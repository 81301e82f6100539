"""The tree of a log by its definition, without the code under test, and its tiles."""

import hashlib
from collections.abc import Sequence

from nous_ledger.protocol.tiles import Tile, TileKind
from tests.zoo.forger import Entry


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """Return the tree head of RFC 9162, section 2.1.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    left, right = naive_root(leaves[:split]), naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def leaves_of(entries: Sequence[Entry]) -> list[bytes]:
    """Return the leaf hashes of some entries."""
    return [hashlib.sha256(b"\x00" + entry.record).digest() for entry in entries]


def root_of(entries: Sequence[Entry]) -> bytes:
    """Return the root over all of some entries."""
    return naive_root(leaves_of(entries))


def tile_bytes(entries: Sequence[Entry], tile: Tile) -> bytes | None:
    """Return what an honest log with these entries serves as a tile, None if it has none.

    A partial tile is served as long as it is no wider than what there is.
    """
    size = 256**tile.level
    first = tile.index * 256
    if (first + tile.width) * size > len(entries):
        return None
    if tile.kind == TileKind.HASHES:
        leaves = leaves_of(entries[first * size : (first + tile.width) * size])
        return b"".join(
            naive_root(leaves[at : at + size]) for at in range(0, tile.width * size, size)
        )
    parts = entries[first : first + tile.width]
    if tile.kind == TileKind.ENTRIES:
        return b"".join(prefixed(entry.record) for entry in parts)
    return b"".join(prefixed(entry.served) for entry in parts)


def prefixed(data: bytes) -> bytes:
    """Return some bytes behind their length."""
    return len(data).to_bytes(2, "big") + data
