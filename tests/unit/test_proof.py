"""Inclusion and consistency proofs to the bagged root."""

from collections.abc import Iterator, Sequence

import pytest

from nous_ledger.protocol.errors import InputError, ProofError
from nous_ledger.protocol.mmr import NodeReader
from nous_ledger.protocol.proof import (
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, LeafIndex, NodePos
from tests.tree_oracle import Oracle, all_given

COUNTS = 513
SMALL = 24


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return all_given(COUNTS)


@pytest.fixture(scope="module")
def read(oracle: Oracle) -> NodeReader:
    nodes = [Hash32(oracle.node(position)) for position in range(2 * COUNTS)]
    return lambda at: tuple(nodes[position] for position in at)


def root_of(oracle: Oracle, count: int) -> Hash32:
    return Hash32(oracle.root(0, count))


def leaf_of(oracle: Oracle, index: int) -> Hash32:
    return Hash32(oracle.leaf(index))


def some_below(count: int, full: bool) -> Sequence[int]:
    """Return all numbers below a small count; else both ends, the middle and a spread."""
    if full or count <= 48:
        return range(count)
    step = count // 5
    return sorted({0, *range(count % step, count, step), count - 2, count - 1})


def test_inclusion_paths_are_those_of_the_rfc(oracle: Oracle, read: NodeReader, full: bool) -> None:
    for count in range(1, COUNTS):
        root = root_of(oracle, count)
        for index in some_below(count, full):
            path = prove_inclusion(read, LeafIndex(index), LeafCount(count))
            assert path == oracle.inclusion(index, 0, count)
            leaf = leaf_of(oracle, index)
            assert verify_inclusion(leaf, LeafIndex(index), LeafCount(count), path, root) == root


def test_consistency_from_every_earlier_count(oracle: Oracle, read: NodeReader, full: bool) -> None:
    for new in range(1, COUNTS):
        root = root_of(oracle, new)
        for before in some_below(new, full):
            old = before + 1
            path = prove_consistency(read, LeafCount(old), LeafCount(new))
            assert path == oracle.consistency(old, new)
            old_root = root_of(oracle, old)
            verified = verify_consistency(LeafCount(old), old_root, LeafCount(new), root, path)
            assert verified == root


def flips(data: bytes) -> Iterator[Hash32]:
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        yield Hash32(bytes(changed))


def flipped_paths(path: Sequence[Hash32]) -> Iterator[tuple[Hash32, ...]]:
    for at, item in enumerate(path):
        for changed in flips(item):
            yield (*path[:at], changed, *path[at + 1 :])


@pytest.mark.parametrize(("index", "count"), [(0, 1), (0, 2), (3, 4), (4, 7), (6, 7), (10, 23)])
def test_every_flipped_bit_of_an_inclusion_proof_is_refused(
    oracle: Oracle, read: NodeReader, index: int, count: int
) -> None:
    i, n = LeafIndex(index), LeafCount(count)
    leaf, root = leaf_of(oracle, index), root_of(oracle, count)
    path = prove_inclusion(read, i, n)
    wrong = [(changed, path, root) for changed in flips(leaf)]
    wrong += [(leaf, path, changed) for changed in flips(root)]
    wrong += [(leaf, changed, root) for changed in flipped_paths(path)]
    for a_leaf, a_path, a_root in wrong:
        with pytest.raises(ProofError) as caught:
            verify_inclusion(a_leaf, i, n, a_path, a_root)
        assert caught.value.code == "root-mismatch"


def test_every_other_index_is_refused(oracle: Oracle, read: NodeReader) -> None:
    for count in range(1, SMALL):
        root = root_of(oracle, count)
        for index in range(count):
            path = prove_inclusion(read, LeafIndex(index), LeafCount(count))
            for other in set(range(-1, 2 * SMALL)) - {index}:
                with pytest.raises(ProofError):
                    verify_inclusion(
                        leaf_of(oracle, index), LeafIndex(other), LeafCount(count), path, root
                    )


def test_another_count_is_accepted_only_where_the_path_reads_alike(
    oracle: Oracle, read: NodeReader
) -> None:
    """Counts come from signed heads: a path of RFC 9162 alone does not bind them."""

    def turns(index: int, count: int) -> str:
        """Return for each path hash the side it stands on, by the recursive definition."""
        if count == 1:
            return ""
        k = 1
        while k * 2 < count:
            k *= 2
        return turns(index, k) + "R" if index < k else turns(index - k, count - k) + "L"

    for count in range(1, SMALL):
        root = root_of(oracle, count)
        for index in range(count):
            path = prove_inclusion(read, LeafIndex(index), LeafCount(count))
            leaf = leaf_of(oracle, index)
            for other in set(range(index + 1, 2 * SMALL)) - {count}:
                same = turns(index, other) == turns(index, count)
                try:
                    verify_inclusion(leaf, LeafIndex(index), LeafCount(other), path, root)
                except ProofError:
                    assert not same
                else:
                    assert same


@pytest.mark.parametrize(("old", "new"), [(1, 1), (1, 2), (3, 3), (3, 7), (4, 6), (6, 23), (8, 9)])
def test_every_flipped_bit_of_a_consistency_proof_is_refused(
    oracle: Oracle, read: NodeReader, old: int, new: int
) -> None:
    n, m = LeafCount(old), LeafCount(new)
    old_root, new_root = root_of(oracle, old), root_of(oracle, new)
    path = prove_consistency(read, n, m)
    wrong = [(changed, new_root, path) for changed in flips(old_root)]
    wrong += [(old_root, changed, path) for changed in flips(new_root)]
    wrong += [(old_root, new_root, changed) for changed in flipped_paths(path)]
    for a_root, b_root, a_path in wrong:
        with pytest.raises(ProofError) as caught:
            verify_consistency(n, a_root, m, b_root, a_path)
        assert caught.value.code == "root-mismatch"


def test_a_mismatch_keeps_both_roots(oracle: Oracle) -> None:
    with pytest.raises(ProofError) as caught:
        verify_inclusion(leaf_of(oracle, 0), LeafIndex(0), LeafCount(1), (), Hash32(bytes(32)))
    assert caught.value.attrs == {"computed": oracle.leaf(0).hex(), "expected": bytes(32).hex()}


@pytest.mark.parametrize("change", [-1, 1])
def test_paths_of_another_length_are_refused(oracle: Oracle, read: NodeReader, change: int) -> None:
    for count in range(2, SMALL):
        root = root_of(oracle, count)
        path = prove_inclusion(read, LeafIndex(count // 2), LeafCount(count))
        other = path[:-1] if change < 0 else (*path, Hash32(bytes(32)))
        with pytest.raises(ProofError) as caught:
            verify_inclusion(
                leaf_of(oracle, count // 2), LeafIndex(count // 2), LeafCount(count), other, root
            )
        assert caught.value.code == "proof-shape"
        steps = prove_consistency(read, LeafCount(count - 1), LeafCount(count))
        others = steps[:-1] if change < 0 else (*steps, Hash32(bytes(32)))
        with pytest.raises(ProofError) as caught:
            verify_consistency(
                LeafCount(count - 1), root_of(oracle, count - 1), LeafCount(count), root, others
            )
        assert caught.value.code == "proof-shape"


@pytest.mark.parametrize("place", ["leaf", "path", "root"])
@pytest.mark.parametrize("length", [0, 12, 31, 33, 64])
def test_hashes_of_another_length_are_refused(place: str, length: int) -> None:
    good, bad = Hash32(bytes(32)), Hash32(bytes(length))
    leaf, path, root = (bad if place == name else good for name in ("leaf", "path", "root"))
    with pytest.raises(ProofError) as caught:
        verify_inclusion(leaf, LeafIndex(0), LeafCount(2), (path,), root)
    assert caught.value.code == "proof-shape"
    with pytest.raises(ProofError) as caught:
        verify_consistency(LeafCount(1), leaf, LeafCount(2), root, (path,))
    assert caught.value.code == "proof-shape"


def test_equal_counts_take_no_proof(oracle: Oracle, read: NodeReader) -> None:
    assert prove_consistency(read, LeafCount(6), LeafCount(6)) == ()
    root = root_of(oracle, 6)
    with pytest.raises(ProofError) as caught:
        verify_consistency(LeafCount(6), root, LeafCount(6), root, (root,))
    assert caught.value.code == "proof-shape"


@pytest.mark.parametrize(
    ("index", "count", "code"),
    [
        (0, 0, "proof-index"),
        (1, 1, "proof-index"),
        (-1, 1, "proof-index"),
        (7, 7, "proof-index"),
        (0, -1, "proof-index"),
        (MAX_UINT, MAX_UINT, "proof-index"),
        (0, MAX_UINT + 1, "proof-counts"),
    ],
)
def test_an_index_must_be_below_the_count(
    read: NodeReader, index: int, count: int, code: str
) -> None:
    with pytest.raises(ProofError) as caught:
        prove_inclusion(read, LeafIndex(index), LeafCount(count))
    assert caught.value.code == code
    zero = Hash32(bytes(32))
    with pytest.raises(ProofError) as caught:
        verify_inclusion(zero, LeafIndex(index), LeafCount(count), (), zero)
    assert caught.value.code == code


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (2, 1), (-1, 1), (1, MAX_UINT + 1)])
def test_counts_must_ascend_from_one(read: NodeReader, old: int, new: int) -> None:
    with pytest.raises(ProofError) as caught:
        prove_consistency(read, LeafCount(old), LeafCount(new))
    assert caught.value.code == "proof-counts"
    zero = Hash32(bytes(32))
    with pytest.raises(ProofError) as caught:
        verify_consistency(LeafCount(old), zero, LeafCount(new), zero, ())
    assert caught.value.code == "proof-counts"


def test_every_proof_is_read_in_one_call(oracle: Oracle) -> None:
    calls: list[tuple[NodePos, ...]] = []

    def read(at: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        calls.append(at)
        return tuple(Hash32(oracle.node(position)) for position in at)

    prove_inclusion(read, LeafIndex(300), LeafCount(511))
    prove_consistency(read, LeafCount(300), LeafCount(511))
    assert len(calls) == 2
    prove_inclusion(read, LeafIndex(0), LeafCount(1))
    prove_consistency(read, LeafCount(511), LeafCount(511))
    assert len(calls) == 2  # nothing to read: the reader is left alone


def test_a_reader_that_returns_something_else_is_refused() -> None:
    with pytest.raises(InputError):
        prove_inclusion(lambda _at: (), LeafIndex(0), LeafCount(2))


def test_a_proof_of_the_largest_tree_has_at_most_63_hashes() -> None:
    oracle = Oracle({12_345: b"\x01" * 32})

    def read(at: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(Hash32(oracle.node(position)) for position in at)

    count = LeafCount(MAX_UINT)
    for index in (0, 12_345, 2**52, MAX_UINT - 1):
        path = prove_inclusion(read, LeafIndex(index), count)
        assert len(path) <= 63
        verify_inclusion(
            leaf_of(oracle, index), LeafIndex(index), count, path, root_of(oracle, count)
        )
    for old in (1, 2**52, 2**52 + 1, MAX_UINT - 1):
        steps = prove_consistency(read, LeafCount(old), count)
        assert len(steps) <= 63
        verify_consistency(
            LeafCount(old), root_of(oracle, old), count, root_of(oracle, count), steps
        )
