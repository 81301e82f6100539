"""The node array, its positions, peaks and roots."""

from hashlib import sha256

import pytest

from nous_ledger.protocol import mmr
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, LeafIndex, NodePos
from tests.tree_oracle import all_given, leaf_of, span_of

COUNTS = 513


def grow(
    count: int, profile: mmr.Profile = mmr.RFC9162
) -> tuple[list[Hash32], list[tuple[Hash32, ...]]]:
    """Return the array over some leaves, and the peaks after every append."""
    nodes: list[Hash32] = []
    peaks: list[tuple[Hash32, ...]] = [()]
    for index in range(count):
        added = mmr.append_nodes(
            LeafCount(index), Hash32(leaf_of(index)), peaks[-1], profile=profile
        )
        nodes += added
        peaks.append(mmr.next_peaks(peaks[-1], added))
    return nodes, peaks


def test_every_count_to_512_has_the_rfc_6962_root() -> None:
    oracle = all_given(COUNTS)
    nodes, peaks = grow(COUNTS)
    for count in range(COUNTS):
        leaves = LeafCount(count)
        assert mmr.root_from_peaks(leaves, peaks[count]) == oracle.root(0, count)
        assert mmr.read_root(lambda at: tuple(nodes[p] for p in at), leaves) == oracle.root(
            0, count
        )
        assert tuple(nodes[p] for p in mmr.peak_positions(leaves)) == peaks[count]


def test_the_array_is_in_post_order() -> None:
    oracle = all_given(COUNTS)
    nodes, _ = grow(COUNTS)
    assert nodes == [oracle.node(position) for position in range(len(nodes))]


def test_positions_of_seven_leaves() -> None:
    # The picture in the module's docstring.
    assert [mmr.leaf_position(LeafIndex(i)) for i in range(7)] == [0, 1, 3, 4, 7, 8, 10]
    assert mmr.peak_positions(LeafCount(7)) == (6, 9, 10)
    assert mmr.peak_positions(LeafCount(0)) == ()


def test_node_counts_and_positions_agree_with_the_array() -> None:
    nodes = 0
    for count in range(COUNTS):
        assert mmr.node_count(LeafCount(count)) == nodes
        assert mmr.leaf_count_of(nodes) == count
        assert mmr.leaf_position(LeafIndex(count)) == nodes
        nodes += 1 + (count ^ (count + 1)).bit_length() - 1


def test_only_node_counts_of_whole_trees_have_a_leaf_count() -> None:
    whole = {mmr.node_count(LeafCount(count)) for count in range(COUNTS)}
    for nodes in set(range(max(whole))) - whole:
        with pytest.raises(InputError):
            mmr.leaf_count_of(nodes)


@pytest.mark.parametrize("nodes", [-1, -2, 2 * MAX_UINT, 2**60])
def test_impossible_node_counts_are_refused(nodes: int) -> None:
    with pytest.raises(InputError):
        mmr.leaf_count_of(nodes)


def test_the_largest_tree_has_positions() -> None:
    count = LeafCount(MAX_UINT)
    assert mmr.leaf_count_of(mmr.node_count(count)) == count
    assert len(mmr.peak_positions(count)) == 53
    assert mmr.locate(mmr.leaf_position(LeafIndex(MAX_UINT - 1))).start == MAX_UINT - 1


def test_locate_finds_the_span_of_every_position() -> None:
    for position in range(2 * COUNTS):
        subtree = mmr.locate(NodePos(position))
        assert (subtree.start, 1 << subtree.height) == span_of(position)
        assert mmr.subtree_position(subtree.start, subtree.height) == position


@pytest.mark.parametrize("position", [-1, 2 * MAX_UINT])
def test_positions_out_of_range_are_refused(position: int) -> None:
    with pytest.raises(InputError):
        mmr.locate(NodePos(position))


@pytest.mark.parametrize("count", [-1, MAX_UINT + 1])
def test_counts_out_of_range_are_refused(count: int) -> None:
    for function in (mmr.node_count, mmr.peak_positions, mmr.peak_subtrees):
        with pytest.raises(InputError):
            function(LeafCount(count))
    with pytest.raises(InputError):
        mmr.leaf_position(LeafIndex(count))


def test_a_full_log_takes_no_more() -> None:
    peaks = [Hash32(bytes(32))] * 53
    with pytest.raises(InputError):
        mmr.append_nodes(LeafCount(MAX_UINT), Hash32(bytes(32)), peaks)
    full = mmr.append_nodes(LeafCount(MAX_UINT - 1), Hash32(bytes(32)), peaks[:52])
    assert len(full) == 1


@pytest.mark.parametrize(
    ("count", "leaf", "peaks"),
    [
        (2, 32, []),
        (2, 32, [32, 32]),
        (2, 32, [31]),
        (2, 33, [32]),
        (2, 0, [32]),
    ],
)
def test_appends_to_other_peaks_are_refused(count: int, leaf: int, peaks: list[int]) -> None:
    hashes = [Hash32(bytes(length)) for length in peaks]
    with pytest.raises(InputError):
        mmr.append_nodes(LeafCount(count), Hash32(bytes(leaf)), hashes)


@pytest.mark.parametrize(("count", "peaks"), [(3, 1), (0, 1), (-1, 0), (MAX_UINT + 1, 1)])
def test_roots_of_other_peaks_are_refused(count: int, peaks: int) -> None:
    with pytest.raises(InputError):
        mmr.root_from_peaks(LeafCount(count), [Hash32(bytes(32))] * peaks)


def test_a_reader_that_returns_something_else_is_refused() -> None:
    with pytest.raises(InputError):
        mmr.read_root(lambda at: (Hash32(bytes(32)),) * (len(at) + 1), LeafCount(3))


def test_the_empty_tree_is_not_read() -> None:
    def never(_at: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        raise AssertionError

    assert mmr.read_root(never, LeafCount(0)) == mmr.EMPTY_ROOT == sha256(b"").digest()


def test_the_ietf_profile_binds_the_parents_position() -> None:
    """And is not the profile of the protocol (MMR-8)."""
    nodes, _ = grow(2, mmr.IETF_MMR)
    left, right = leaf_of(0), leaf_of(1)
    assert nodes == [left, right, sha256((3).to_bytes(8, "big") + left + right).digest()]
    other, _ = grow(2)
    assert other[2] == sha256(b"\x01" + left + right).digest()
