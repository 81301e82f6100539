"""Proofs in trees of random size, up to the largest, against the RFC 6962 recursion."""

from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol import mmr
from nous_ledger.protocol.proof import (
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)
from nous_ledger.protocol.proof_peaks import (
    prove_consistency_to_peaks,
    prove_inclusion_to_peak,
    verify_consistency_to_peaks,
    verify_inclusion_to_peak,
)
from nous_ledger.protocol.types import MAX_UINT, Hash32, Height, LeafCount, LeafIndex, NodePos
from tests.refusals import code_of
from tests.tree_oracle import Oracle

# Most trees are of a size that a log may reach; some are as large as a log can be.
counts = st.integers(1, 2**20) | st.integers(1, MAX_UINT)


@st.composite
def two_below(draw: st.DrawFn) -> tuple[int, int, int]:
    """Return a leaf count and two numbers in 0..count-1, near an end as often as not."""
    count = draw(counts)
    below = st.integers(0, count - 1) | st.sampled_from([0, count // 2, count - 1])
    return count, draw(below), draw(below)


def reader(oracle: Oracle) -> mmr.NodeReader:
    return lambda at: tuple(Hash32(oracle.node(position)) for position in at)


def flip(data: bytes, bit: int) -> Hash32:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return Hash32(bytes(changed))


@given(two_below(), st.integers(0, 255))
def test_inclusion(where: tuple[int, int, int], bit: int) -> None:
    count, at, other = where
    oracle = Oracle({at: b"\x01" * 32, other: b"\x02" * 32})
    leaf, root = Hash32(oracle.leaf(at)), Hash32(oracle.root(0, count))
    index, leaves = LeafIndex(at), LeafCount(count)
    path = prove_inclusion(reader(oracle), index, leaves)
    assert path == oracle.inclusion(at, 0, count)
    assert verify_inclusion(leaf, index, leaves, path, root) == root
    assert code_of(verify_inclusion, flip(leaf, bit), index, leaves, path, root) == "root-mismatch"
    assert code_of(verify_inclusion, leaf, index, leaves, path, flip(root, bit)) == "root-mismatch"
    for slot, item in enumerate(path):
        wrong = (*path[:slot], flip(item, bit), *path[slot + 1 :])
        assert code_of(verify_inclusion, leaf, index, leaves, wrong, root) == "root-mismatch"


@given(two_below())
def test_a_leaf_stands_at_no_other_index(where: tuple[int, int, int]) -> None:
    count, at, other = where
    if at == other:
        return
    oracle = Oracle({at: b"\x01" * 32})
    path = prove_inclusion(reader(oracle), LeafIndex(at), LeafCount(count))
    leaf, root = Hash32(oracle.leaf(at)), Hash32(oracle.root(0, count))
    code = code_of(verify_inclusion, leaf, LeafIndex(other), LeafCount(count), path, root)
    assert code in {"proof-shape", "root-mismatch"}


@given(two_below(), st.integers(0, 255))
def test_consistency(where: tuple[int, int, int], bit: int) -> None:
    new, before, other = where
    old = before + 1
    oracle = Oracle({before: b"\x01" * 32, other: b"\x02" * 32})
    old_root, new_root = Hash32(oracle.root(0, old)), Hash32(oracle.root(0, new))
    n, m = LeafCount(old), LeafCount(new)
    path = prove_consistency(reader(oracle), n, m)
    assert path == oracle.consistency(old, new)
    assert verify_consistency(n, old_root, m, new_root, path) == new_root
    changed = flip(old_root, bit)
    assert code_of(verify_consistency, n, changed, m, new_root, path) == "root-mismatch"
    changed = flip(new_root, bit)
    assert code_of(verify_consistency, n, old_root, m, changed, path) == "root-mismatch"
    for slot, item in enumerate(path):
        wrong = (*path[:slot], flip(item, bit), *path[slot + 1 :])
        assert code_of(verify_consistency, n, old_root, m, new_root, wrong) == "root-mismatch"


@given(two_below(), st.integers(0, 255))
def test_peaks(where: tuple[int, int, int], bit: int) -> None:
    new, before, at = where
    oracle = Oracle({before: b"\x01" * 32, at: b"\x02" * 32})
    read = reader(oracle)
    n, m = LeafCount(before + 1), LeafCount(new)
    olds, news = read(mmr.peak_positions(n)), read(mmr.peak_positions(m))
    assert mmr.root_from_peaks(m, news) == oracle.root(0, new)
    paths = prove_consistency_to_peaks(read, n, m)
    assert verify_consistency_to_peaks(n, olds, m, news, paths) == news
    changed = (flip(olds[0], bit), *olds[1:])
    assert code_of(verify_consistency_to_peaks, n, changed, m, news, paths) == "root-mismatch"
    position = mmr.leaf_position(LeafIndex(at))
    path = prove_inclusion_to_peak(read, position, m)
    leaf = Hash32(oracle.leaf(at))
    assert verify_inclusion_to_peak(leaf, position, m, path, news) in news
    wrong = flip(leaf, bit)
    assert code_of(verify_inclusion_to_peak, wrong, position, m, path, news) == "root-mismatch"


@given(counts)
def test_appending_to_a_tree_of_any_size(count: int) -> None:
    oracle = Oracle({count - 1: b"\x01" * 32})
    read = reader(oracle)
    before, after = LeafCount(count - 1), LeafCount(count)
    peaks = read(mmr.peak_positions(before))
    added = mmr.append_nodes(before, Hash32(oracle.leaf(count - 1)), peaks)
    start, end = mmr.node_count(before), mmr.node_count(after)
    assert added == read(tuple(NodePos(at) for at in range(start, end)))
    assert mmr.root_from_peaks(after, mmr.next_peaks(peaks, added)) == oracle.root(0, count)


@given(counts)
def test_counts_and_positions_are_inverse(count: int) -> None:
    leaves = LeafCount(count)
    assert mmr.leaf_count_of(mmr.node_count(leaves)) == leaves
    last = mmr.leaf_position(LeafIndex(count - 1))
    assert mmr.locate(last) == mmr.Subtree(start=LeafIndex(count - 1), height=Height(0))
    peaks = mmr.peak_positions(leaves)
    assert list(peaks) == sorted(peaks)
    assert peaks[-1] == mmr.node_count(leaves) - 1
