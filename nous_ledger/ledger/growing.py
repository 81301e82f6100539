"""A tree, grown by several leaves at once.

Spec:
    PROTOCOL.md MMR-5.
"""

from __future__ import annotations

from collections.abc import Sequence

from nous_ledger.ledger.model import Tip
from nous_ledger.protocol.mmr import hash_children
from nous_ledger.protocol.types import Hash32, LeafCount, UnixMillis


def grow(tip: Tip, logged_at: UnixMillis, leaves: Sequence[Hash32]) -> tuple[list[Hash32], Tip]:
    """Return the nodes that new leaves add to a tree, and where it stands then.

    Spec:
        PROTOCOL.md MMR-5.

    Args:
        tip: the tree before.
        logged_at: time of the records, milliseconds.
        leaves: leaf hashes of the records, in the order of the log.
    """
    count, peaks = tip.leaf_count, list(tip.peaks)
    added: list[Hash32] = []
    for before, leaf in enumerate(leaves, count):
        number, node = before, leaf
        added.append(node)
        while number & 1:  # each trailing one bit of the count is a peak as tall as the node
            node = hash_children(peaks.pop(), node)
            added.append(node)
            number >>= 1
        peaks.append(node)
    last = logged_at if added else tip.logged_at
    return added, Tip(leaf_count=LeafCount(count + len(leaves)), logged_at=last, peaks=tuple(peaks))
