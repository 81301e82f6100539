"""Inclusion and consistency proofs to the peaks, in both profiles."""

from collections.abc import Sequence

import pytest

from nous_ledger.protocol import mmr
from nous_ledger.protocol.errors import ProofError
from nous_ledger.protocol.proof_peaks import (
    prove_consistency_to_peaks,
    prove_inclusion_to_peak,
    verify_consistency_to_peaks,
    verify_inclusion_to_peak,
)
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, NodePos
from tests.tree_oracle import leaf_of

COUNTS = 40


class Array:
    """The node array of one profile, built by appending."""

    def __init__(self, profile: mmr.Profile) -> None:
        self.profile = profile
        self.nodes: list[Hash32] = []
        self.peaks: list[tuple[Hash32, ...]] = [()]
        for index in range(COUNTS):
            added = mmr.append_nodes(
                LeafCount(index), Hash32(leaf_of(index)), self.peaks[-1], profile=profile
            )
            self.nodes += added
            self.peaks.append(mmr.next_peaks(self.peaks[-1], added))

    def read(self, at: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(self.nodes[position] for position in at)


@pytest.fixture(scope="module", params=[mmr.RFC9162, mmr.IETF_MMR], ids=lambda p: p.name)
def array(request: pytest.FixtureRequest) -> Array:
    profile = request.param
    assert isinstance(profile, mmr.Profile)
    return Array(profile)


def test_every_node_of_every_tree_is_below_its_peak(array: Array) -> None:
    for count in range(1, COUNTS + 1):
        leaves = LeafCount(count)
        peaks = array.peaks[count]
        for position in range(mmr.node_count(leaves)):
            path = prove_inclusion_to_peak(array.read, NodePos(position), leaves)
            peak = verify_inclusion_to_peak(
                array.nodes[position],
                NodePos(position),
                leaves,
                path,
                peaks,
                profile=array.profile,
            )
            # The first peak at or after a node in the array is the one over it.
            assert peak == next(
                peaks[slot] for slot, at in enumerate(mmr.peak_positions(leaves)) if at >= position
            )


def test_peaks_of_every_tree_extend_those_of_every_earlier_one(array: Array) -> None:
    for new in range(1, COUNTS + 1):
        for old in range(1, new + 1):
            paths = prove_consistency_to_peaks(array.read, LeafCount(old), LeafCount(new))
            verified = verify_consistency_to_peaks(
                LeafCount(old),
                array.peaks[old],
                LeafCount(new),
                array.peaks[new],
                paths,
                profile=array.profile,
            )
            assert verified == array.peaks[new]


def test_a_path_to_a_peak_stays_as_the_log_grows(array: Array) -> None:
    before = prove_inclusion_to_peak(array.read, NodePos(3), LeafCount(21))
    after = prove_inclusion_to_peak(array.read, NodePos(3), LeafCount(31))
    assert before == after


def flip(data: bytes, bit: int) -> Hash32:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return Hash32(bytes(changed))


def test_every_flipped_bit_is_refused(array: Array) -> None:
    count, position = LeafCount(11), NodePos(3)
    node, peaks = array.nodes[position], array.peaks[count]
    path = prove_inclusion_to_peak(array.read, position, count)

    def refused(a_node: Hash32, a_path: Sequence[Hash32], some_peaks: Sequence[Hash32]) -> None:
        with pytest.raises(ProofError) as caught:
            verify_inclusion_to_peak(
                a_node, position, count, a_path, some_peaks, profile=array.profile
            )
        assert caught.value.code == "root-mismatch"
        assert {"computed", "expected"} == set(caught.value.attrs)

    for bit in range(256):
        refused(flip(node, bit), path, peaks)
        refused(node, path, (flip(peaks[0], bit), *peaks[1:]))
        for at, item in enumerate(path):
            refused(node, (*path[:at], flip(item, bit), *path[at + 1 :]), peaks)


def test_changed_peaks_are_refused(array: Array) -> None:
    old, new = LeafCount(11), LeafCount(21)
    paths = prove_consistency_to_peaks(array.read, old, new)
    olds, news = array.peaks[old], array.peaks[new]

    def refused(some: Sequence[Hash32], others: Sequence[Hash32]) -> None:
        with pytest.raises(ProofError) as caught:
            verify_consistency_to_peaks(old, some, new, others, paths, profile=array.profile)
        assert caught.value.code == "root-mismatch"

    for slot, peak in enumerate(olds):
        refused((*olds[:slot], flip(peak, 7), *olds[slot + 1 :]), news)
    # 21 = 16 + 4 + 1 leaves: all eleven old ones stand below the first peak.
    refused(olds, (flip(news[0], 7), *news[1:]))
    unrelated = (news[0], flip(news[1], 7), news[2])
    verified = verify_consistency_to_peaks(old, olds, new, unrelated, paths, profile=array.profile)
    assert verified == unrelated


def test_another_position_is_refused(array: Array) -> None:
    count = LeafCount(11)
    path = prove_inclusion_to_peak(array.read, NodePos(3), count)
    for other in set(range(-1, 25)) - {3}:
        with pytest.raises(ProofError):
            verify_inclusion_to_peak(
                array.nodes[3],
                NodePos(other),
                count,
                path,
                array.peaks[count],
                profile=array.profile,
            )


@pytest.mark.parametrize(
    ("position", "count", "code"),
    [
        (0, 0, "proof-counts"),
        (0, -1, "proof-counts"),
        (0, MAX_UINT + 1, "proof-counts"),
        (19, 11, "proof-index"),
        (-1, 11, "proof-index"),
    ],
)
def test_nodes_outside_the_tree_are_refused(
    array: Array, position: int, count: int, code: str
) -> None:
    with pytest.raises(ProofError) as caught:
        prove_inclusion_to_peak(array.read, NodePos(position), LeafCount(count))
    assert caught.value.code == code
    with pytest.raises(ProofError) as caught:
        verify_inclusion_to_peak(
            Hash32(bytes(32)), NodePos(position), LeafCount(count), (), array.peaks[11]
        )
    assert caught.value.code == code


@pytest.mark.parametrize(("old", "new"), [(0, 1), (2, 1), (1, MAX_UINT + 1)])
def test_counts_must_ascend_from_one(array: Array, old: int, new: int) -> None:
    with pytest.raises(ProofError) as caught:
        prove_consistency_to_peaks(array.read, LeafCount(old), LeafCount(new))
    assert caught.value.code == "proof-counts"
    with pytest.raises(ProofError) as caught:
        verify_consistency_to_peaks(LeafCount(old), (), LeafCount(new), (), ())
    assert caught.value.code == "proof-counts"


def test_other_shapes_are_refused(array: Array) -> None:
    count, position = LeafCount(11), NodePos(3)
    node, peaks = array.nodes[position], array.peaks[count]
    path = prove_inclusion_to_peak(array.read, position, count)
    short = Hash32(bytes(31))
    for a_node, a_path, some_peaks in [
        (node, path[:-1], peaks),
        (node, (*path, node), peaks),
        (node, (*path[:-1], short), peaks),
        (short, path, peaks),
        (node, path, peaks[:-1]),
        (node, path, (*peaks, node)),
        (node, path, (short, *peaks[1:])),
    ]:
        with pytest.raises(ProofError) as caught:
            verify_inclusion_to_peak(a_node, position, count, a_path, some_peaks)
        assert caught.value.code == "proof-shape"


def test_other_shapes_of_consistency_are_refused(array: Array) -> None:
    old, new = LeafCount(11), LeafCount(21)
    paths = prove_consistency_to_peaks(array.read, old, new)
    olds, news = array.peaks[old], array.peaks[new]
    for some, others, some_paths in [
        (olds, news, paths[:-1]),
        (olds, news, (*paths, ())),
        (olds, news, (*paths[:-1], ())),
        (olds, news, ((*paths[0], olds[0]), *paths[1:])),
        (olds[:-1], news, paths),
        (olds, news[:-1], paths),
        (olds, (Hash32(b""), *news[1:]), paths),
    ]:
        with pytest.raises(ProofError) as caught:
            verify_consistency_to_peaks(old, some, new, others, some_paths)
        assert caught.value.code == "proof-shape"
