"""The published known answers of the IETF MMR draft: 39 nodes, every inclusion, every pair."""

from hashlib import sha256
from typing import Any

import pytest

from nous_ledger.protocol import mmr
from nous_ledger.protocol.proof_peaks import (
    prove_consistency_to_peaks,
    prove_inclusion_to_peak,
    verify_consistency_to_peaks,
    verify_inclusion_to_peak,
)
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos
from tests import outside_vectors

KAT: dict[str, Any] = outside_vectors.load("mmr_kat39.json")
NODES = tuple(Hash32(bytes.fromhex(node)) for node in KAT["nodes"])


def read(positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
    return tuple(NODES[position] for position in positions)


def nodes_at(positions: list[int]) -> tuple[Hash32, ...]:
    return tuple(NODES[position] for position in positions)


def leaf_at(index: int) -> Hash32:
    position = mmr.leaf_position(LeafIndex(index))
    return Hash32(sha256(position.to_bytes(8, "big")).digest())


def test_the_file_is_complete() -> None:
    assert len(NODES) == KAT["node_count"] == 39
    assert len(KAT["inclusion"]) == 417
    assert len(KAT["consistency"]["pairs"]) == 210


def test_the_39_nodes_and_all_accumulators() -> None:
    nodes: list[Hash32] = []
    peaks: tuple[Hash32, ...] = ()
    for index, accumulator in enumerate(KAT["accumulators"]):
        added = mmr.append_nodes(LeafCount(index), leaf_at(index), peaks, profile=mmr.IETF_MMR)
        nodes += added
        peaks = mmr.next_peaks(peaks, added)
        leaves = LeafCount(accumulator["leaves"])
        assert mmr.node_count(leaves) == accumulator["mmr_size"] == len(nodes)
        assert list(mmr.peak_positions(leaves)) == accumulator["peak_indices"]
        assert [peak.hex() for peak in peaks] == accumulator["peaks"]
    assert tuple(nodes) == NODES


def test_leaves_heights_and_sizes() -> None:
    indices = range(KAT["leaf_count"])
    assert [mmr.leaf_position(LeafIndex(at)) for at in indices] == KAT["leaf_mmr_indices"]
    assert [leaf_at(at).hex() for at in indices] == KAT["leaf_values"]
    assert [mmr.locate(NodePos(at)).height for at in range(39)] == KAT["heights"]
    assert [mmr.node_count(LeafCount(at + 1)) for at in indices] == KAT["complete_sizes"]


@pytest.mark.parametrize("size", KAT["complete_sizes"])
def test_inclusion_of_every_node(size: int) -> None:
    rows = [row for row in KAT["inclusion"] if row["mmr_size"] == size]
    assert [row["i"] for row in rows] == list(range(size))
    leaves = mmr.leaf_count_of(size)
    peaks = read(mmr.peak_positions(leaves))
    for row in rows:
        position = NodePos(row["i"])
        assert list(mmr.peak_positions(leaves)) == row["peaks"]
        path = prove_inclusion_to_peak(read, position, leaves)
        assert path == nodes_at(row["path"])
        peak = verify_inclusion_to_peak(
            NODES[position], position, leaves, path, peaks, profile=mmr.IETF_MMR
        )
        assert peak == peaks[row["peak_slot"]]


@pytest.mark.parametrize("old", range(1, 21))
def test_consistency_of_every_pair(old: int) -> None:
    rows = [row for row in KAT["consistency"]["pairs"] if row["leaves_from"] == old]
    assert [row["leaves_to"] for row in rows] == list(range(old + 1, 22))
    for row in rows:
        n, m = LeafCount(old), LeafCount(row["leaves_to"])
        assert mmr.node_count(n) == row["mmr_size_from"]
        assert mmr.node_count(m) == row["mmr_size_to"]
        assert list(mmr.peak_positions(n)) == row["from_peaks"]
        paths = prove_consistency_to_peaks(read, n, m)
        assert paths == tuple(nodes_at(path) for path in row["paths"])
        olds, news = read(mmr.peak_positions(n)), read(mmr.peak_positions(m))
        verified = verify_consistency_to_peaks(n, olds, m, news, paths, profile=mmr.IETF_MMR)
        assert verified == news
        # New peaks without an old one below them are the last ones.
        right = nodes_at(row["right_peaks"])
        assert verified[len(verified) - len(right) :] == right
