"""Records that were audited before, read again: for claims about them, and for evidence.

What comes back is compared with the hash that was remembered when it was audited, so
whatever the source says now, it is the same record. What a finding cites is kept, and is
not asked for again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.mmr import leaf_position
from nous_ledger.protocol.record import leaf_hash
from nous_ledger.protocol.tiles import FULL_WIDTH, decode_bodies, decode_entries
from nous_ledger.protocol.types import LeafCount, LeafIndex
from sentinel.audit.claims import Cited
from sentinel.fetching import width_of
from sentinel.sources import Source
from sentinel.state_memory import LogMemory

_BODY_HASH: Final = slice(23, 55)
_BUNDLES: Final = 32
"""Bundles that are kept for the next question."""


class Rereader:
    """Reads records again."""

    def __init__(self, source: Source, memory: LogMemory, audited: LeafCount) -> None:
        """Read from a source.

        Args:
            source: where.
            memory: what was remembered.
            audited: how many leaves.
        """
        self._source = source
        self._memory = memory
        self._audited = audited
        self._entries = lru_cache(_BUNDLES)(self._read_entries)
        self._bodies = lru_cache(_BUNDLES)(self._read_bodies)

    def cited(self, leaf: LeafIndex) -> Cited:
        """Return a record, with its body if that can be read.

        Raises:
            UnavailableError: unreachable (also if another record is served there now).
        """
        kept = self._memory.cited.find(leaf)
        if kept is not None and kept[1] is not None:
            return _cited(leaf, kept[0], kept[1])
        bundle, at = divmod(leaf, FULL_WIDTH)
        record = self._entries(bundle)[at] if kept is None else kept[0]
        if (leaf_hash(record),) != self._memory.read_nodes((leaf_position(leaf),)):
            text = f"{self._source.name} serves another record at leaf {leaf} than before"
            raise UnavailableError("unreachable", text)
        return _cited(leaf, record, self._bodies(bundle)[at])

    def _read_entries(self, bundle: int) -> tuple[bytes, ...]:
        width = width_of(bundle, self._audited)
        return decode_entries(self._source.entries(bundle, width), width)

    def _read_bodies(self, bundle: int) -> tuple[bytes, ...]:
        width = width_of(bundle, self._audited)
        return decode_bodies(self._source.bodies(bundle, width), width)


def _cited(leaf: LeafIndex, record: bytes, body: bytes) -> Cited:
    # By its place in the bytes: a record that breaks a rule has to be shown too.
    readable = body and sha256(body) == record[_BODY_HASH]
    return Cited(leaf, record, body if readable else None)
