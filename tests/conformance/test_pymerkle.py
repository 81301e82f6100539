"""Roots and inclusion paths against an unrelated library."""

from hashlib import sha256

from pymerkle import InmemoryTree

from nous_ledger.protocol import mmr
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos

COUNT = 130


def test_roots_and_paths_agree() -> None:
    other = InmemoryTree(algorithm="sha256")
    nodes: list[Hash32] = []
    peaks: tuple[Hash32, ...] = ()

    def read(positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(nodes[position] for position in positions)

    for before in range(COUNT):
        entry = before.to_bytes(8, "big")
        other.append_entry(entry)
        leaf = Hash32(sha256(b"\x00" + entry).digest())
        added = mmr.append_nodes(LeafCount(before), leaf, peaks)
        nodes += added
        peaks = mmr.next_peaks(peaks, added)
        count = LeafCount(before + 1)
        assert other.get_root() == mmr.root_from_peaks(count, peaks)
        for index in {0, before // 2, before}:
            # That library's path starts with the leaf itself.
            leaf_and_path = other.prove_inclusion(index + 1, count).path
            assert tuple(leaf_and_path[1:]) == prove_inclusion(read, LeafIndex(index), count)
