"""Many proofs under one head: what depends on the head alone is read and checked once.

key events, their paths, the head itself   once per head
the upper part of a path                   kept in memory: nodes never change
the lower part, record and body            read for each proof
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nous_ledger.ledger.identity import Identity
from nous_ledger.ledger.proofs import key_event_entries, own_checkpoint
from nous_ledger.ledger.store import View
from nous_ledger.protocol.bundle_writer import BundleWriter
from nous_ledger.protocol.errors import ProofError
from nous_ledger.protocol.mmr import (
    bag_peaks,
    peak_subtrees,
    read_nodes,
    sibling_positions,
    subtree_position,
)
from nous_ledger.protocol.types import Hash32, Height, LeafIndex, NodePos

_LOW: Final = 6
"""Levels of the tree that are read each time; above them the tree of 10^6 leaves has few nodes."""
_MAX_KEPT: Final = 65_536
"""Nodes that are kept, about 12 MB."""


class NodeCache:
    """Inner nodes of one log, which never change; any thread may use it."""

    def __init__(self) -> None:
        """Keep none yet."""
        self._kept: dict[NodePos, Hash32] = {}

    def siblings(self, view: View, index: int, height: int) -> tuple[Hash32, ...]:
        """Return the siblings on the way from a leaf to the root of its mountain, lowest first.

        Args:
            view: of the log; holds the whole mountain.
            index: the leaf.
            height: of the mountain.
        """
        wanted = sibling_positions(index, height)
        low, high = wanted[:_LOW], wanted[_LOW:]
        known = [*map(self._kept.get, high)]
        missing = [place for place, node in zip(high, known, strict=True) if node is None]
        found = read_nodes(view.nodes, (*low, *missing))
        added = found[len(low) :]
        if added:
            self._keep(zip(missing, added, strict=True))
        later = iter(added)
        return (*found[: len(low)], *[node or next(later) for node in known])

    def _keep(self, nodes: Iterable[tuple[NodePos, Hash32]]) -> None:
        if len(self._kept) > _MAX_KEPT:
            self._kept = {}
        self._kept.update(nodes)


class HeadProver:
    """Makes bundles under one head of a log.

    Attributes:
        note: the head.
    """

    def __init__(self, view: View, identity: Identity, note: bytes, cache: NodeCache) -> None:
        """Check the head and read what all its bundles share.

        Raises:
            HeadError: head-origin.
            ProofError: proof-counts, root-mismatch.
            FormatError: note-format, checkpoint-format.
        """
        self.note = note
        self._count = own_checkpoint(view, identity, note).leaf_count
        self._writer = BundleWriter(note, key_event_entries(view, self._count))
        self._cache = cache
        mountains = peak_subtrees(self._count)
        places = tuple([subtree_position(peak.start, peak.height) for peak in mountains])
        peaks = read_nodes(view.nodes, places)
        self._rest = {
            mountain.height: (
                *((bag_peaks(peaks[number + 1 :]),) if peaks[number + 1 :] else ()),
                *reversed(peaks[:number]),
            )
            for number, mountain in enumerate(mountains)
        }
        """What follows the siblings in the paths of each mountain's leaves."""

    def path(self, view: View, index: LeafIndex) -> tuple[Hash32, ...]:
        """Return the inclusion path of a leaf, as `prove_inclusion` does.

        Raises:
            ProofError: proof-index, if the head does not cover it.
        """
        if not 0 <= index < self._count:
            raise ProofError("proof-index", f"the head covers {self._count} leaves, not {index}")
        height = Height((index ^ self._count).bit_length() - 1)
        return self._cache.siblings(view, index, height) + self._rest[height]

    def bundle(self, view: View, index: LeafIndex, *, with_body: bool) -> bytes:
        """Return the bundle of one record.

        Args:
            view: the store.
            index: leaf to prove.
            with_body: whether the body goes with it; an erased one never does.

        Raises:
            ProofError: proof-index, if the head does not cover it.
        """
        path = self.path(view, index)
        record, body = view.record_and_body(index)
        return self._writer.write(index, path, record, body if with_body else b"")
