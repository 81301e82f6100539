"""The tree as the sentinel keeps it: tiles of hashes, from which any earlier root follows.

A tile holds up to 256 hashes of perfect subtrees of height 8 times its level. Leaves
come at the end only; what is full is written once and never again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.tiles import FULL_WIDTH, TILE_HEIGHT, tile_of_node
from nous_ledger.protocol.types import Hash32, LeafCount, NodePos

_HASH: Final = 32
_FULL: Final = _HASH * FULL_WIDTH
_KEPT: Final = 32
"""Tiles that are kept in memory for the next question."""


def subtree_root(hashes: bytes) -> Hash32:
    """Return the root over a power of two of hashes, 32 bytes each."""
    row = [hashes[at : at + _HASH] for at in range(0, len(hashes), _HASH)]
    while len(row) > 1:  # as `hash_children`, which would be called once for each record
        pairs = zip(row[::2], row[1::2], strict=True)
        row = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return Hash32(row[0])


class Tiles:
    """The hashes of one log's tree over the leaves that were audited."""

    def __init__(self, connection: sqlite3.Connection, log: int, leaves: LeafCount) -> None:
        """Go on after some leaves.

        Args:
            connection: to the state.
            log: number of the log in it.
            leaves: how many leaves it has hashes of.
        """
        self._connection = connection
        self._log = log
        self._unwritten: dict[tuple[int, int], bytes] = {}
        self._kept: dict[tuple[int, int], bytes] = {}
        self._ends: list[tuple[int, bytearray]] = []
        level, items = 0, int(leaves)
        while items:
            index, width = divmod(items, FULL_WIDTH)
            tail = self._stored(level, index)[: width * _HASH] if width else b""
            self._ends.append((index, bytearray(tail)))
            level, items = level + 1, items >> TILE_HEIGHT

    def append(self, leaves: bytes) -> None:
        """Add leaf hashes, 32 bytes each; they are written by `write`."""
        self._append(0, leaves)

    def _append(self, level: int, hashes: bytes) -> None:
        if level == len(self._ends):
            self._ends.append((0, bytearray()))
        index, tail = self._ends[level]
        while hashes:
            room = _FULL - len(tail)
            tail += hashes[:room]
            hashes = hashes[room:]
            self._unwritten[level, index] = bytes(tail)
            if len(tail) == _FULL:
                self._append(level + 1, subtree_root(bytes(tail)))
                index, tail = index + 1, bytearray()
        self._ends[level] = index, tail

    def write(self) -> None:
        """Write what was added, within the caller's transaction."""
        self._connection.executemany(
            "INSERT OR REPLACE INTO tiles VALUES (?, ?)",
            [(self._key(*place), hashes) for place, hashes in sorted(self._unwritten.items())],
        )
        self._unwritten.clear()
        self._kept.clear()

    def read_nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        """Return the hashes of nodes.

        Raises:
            UnavailableError: undecided, a node is not remembered.
        """
        return tuple(self._nodes(positions))

    def _nodes(self, positions: tuple[NodePos, ...]) -> Iterator[Hash32]:
        for position in positions:
            level, index, lo, hi = tile_of_node(position)
            tile = self._tile(level, index)
            if len(tile) < hi * _HASH:
                raise UnavailableError("undecided", f"node {position} of the tree is not known yet")
            yield subtree_root(tile[lo * _HASH : hi * _HASH])

    def _tile(self, level: int, index: int) -> bytes:
        place = level, index
        found = self._unwritten.get(place)
        if found is None:
            found = self._kept.get(place)
        if found is None:
            found = self._stored(level, index)
            if len(self._kept) >= _KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[place] = found
        return found

    def _stored(self, level: int, index: int) -> bytes:
        row = self._connection.execute(
            "SELECT hashes FROM tiles WHERE id = ?", (self._key(level, index),)
        ).fetchone()
        return b"" if row is None else bytes(row[0])

    def _key(self, level: int, index: int) -> int:
        return self._log << 52 | level << 46 | index
