"""A batch grows the tree as its leaves would one after the other."""

import random

from nous_ledger.ledger.growing import grow
from nous_ledger.ledger.model import Tip
from nous_ledger.protocol.mmr import append_nodes, next_peaks
from nous_ledger.protocol.types import Hash32, LeafCount, UnixMillis


def _one_by_one(tip: Tip, leaves: list[Hash32]) -> tuple[list[Hash32], tuple[Hash32, ...]]:
    nodes: list[Hash32] = []
    peaks = tip.peaks
    for count, leaf in enumerate(leaves, tip.leaf_count):
        new = append_nodes(LeafCount(count), leaf, peaks)
        peaks = next_peaks(peaks, new)
        nodes += new
    return nodes, peaks


def test_every_batch_over_every_small_tree() -> None:
    """MMR-5."""
    seed = random.Random(7)
    tip = Tip(leaf_count=LeafCount(0), logged_at=UnixMillis(5), peaks=())
    while tip.leaf_count < 200:
        leaves = [Hash32(seed.randbytes(32)) for _ in range(seed.randrange(10))]
        nodes, after = grow(tip, UnixMillis(tip.logged_at + 1), leaves)
        assert (nodes, after.peaks) == _one_by_one(tip, leaves)
        assert after.leaf_count == tip.leaf_count + len(leaves)
        assert after.logged_at == tip.logged_at + bool(leaves)
        tip = after
