"""The tree of nous-v2 against a naive recursion, and the readings of its roots.

Requirements: V2-10, V2-11.
"""

import hashlib
from typing import Any

import pytest

from nous_ledger.protocol import legacy
from nous_ledger.protocol.errors import LegacyError

LEAVES = [hashlib.sha256(f"leaf {at}".encode()).hexdigest() for at in range(600)]


def naive_hash(*hashes: str) -> str:
    return hashlib.sha256("|".join(hashes).encode()).hexdigest()


def naive_mountain(leaves: list[str]) -> str:
    middle = len(leaves) // 2
    if not middle:
        return leaves[0]
    return naive_hash(naive_mountain(leaves[:middle]), naive_mountain(leaves[middle:]))


def naive_peaks(leaves: list[str]) -> list[str]:
    if not leaves:
        return []
    tallest = 1 << (len(leaves).bit_length() - 1)
    return [naive_mountain(leaves[:tallest]), *naive_peaks(leaves[tallest:])]


def naive_root(leaves: list[str]) -> str:
    peaks = naive_peaks(leaves)
    return naive_hash(*peaks) if len(peaks) > 1 else "".join(peaks)


def naive_path(leaves: list[str], index: int) -> list[str]:
    """Siblings from the leaf up to its peak, in a tree of any size."""
    tallest = 1 << (len(leaves).bit_length() - 1)
    if index >= tallest:
        return naive_path(leaves[tallest:], index - tallest)
    leaves = leaves[:tallest]
    path: list[str] = []
    while len(leaves) > 1:
        middle = len(leaves) // 2
        left, right = leaves[:middle], leaves[middle:]
        near, far = (left, right) if index < middle else (right, left)
        path.insert(0, naive_mountain(far))
        leaves, index = near, index % middle
    return path


@pytest.mark.parametrize("count", range(70))
def test_roots_and_paths_equal_the_naive_ones(count: int) -> None:
    leaves = LEAVES[:count]
    assert list(legacy.legacy_peaks(leaves)) == naive_peaks(leaves)
    root = naive_root(leaves)
    assert legacy.legacy_root(leaves) == root
    for index in range(count):
        legacy.verify_legacy_inclusion(
            leaves[index],
            index,
            naive_path(leaves, index),
            count=count,
            peaks=naive_peaks(leaves),
            root=root,
        )


def test_no_leaves_have_a_stored_and_a_served_root() -> None:
    assert legacy.legacy_root([]) == ""
    for form in ("", "empty"):
        assert legacy.verify_legacy_root([], form, 0).root == ""


@pytest.mark.parametrize("form", ["", "empty", "0" * 64, LEAVES[1], LEAVES[0].upper()])
def test_another_root_is_refused(form: str) -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_root(LEAVES[:1], form, 1)
    assert refused.value.code == "legacy-root"
    assert refused.value.attrs == {"computed": LEAVES[0], "stated": form}


def test_a_root_over_no_leaves_is_not_any_hash() -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_root([], "0" * 64, 0)
    assert refused.value.code == "legacy-root"


@pytest.mark.parametrize("count", [-1, 0, 2, 4])
def test_the_count_must_be_that_of_the_leaves(count: int) -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_root(LEAVES[:3], legacy.legacy_root(LEAVES[:3]), count)
    assert refused.value.code == "legacy-root"


@pytest.mark.parametrize("leaf", ["", "0" * 63, "0" * 65, "A" * 64, "0" * 63 + "\n"])
def test_a_leaf_that_is_no_hash_is_refused(leaf: str) -> None:
    for check in (legacy.legacy_root, lambda leaves: legacy.verify_legacy_root(leaves, "", 2)):
        with pytest.raises(LegacyError) as refused:
            check([LEAVES[0], leaf])
        assert refused.value.code == "legacy-format"


def test_a_bag_of_two_peaks_equals_a_parent_node() -> None:
    """Failure 6 of nous-v2: one root for three leaves and for two."""
    root = legacy.legacy_root(LEAVES[:3])
    pair = legacy.legacy_node(LEAVES[0], LEAVES[1])
    assert legacy.legacy_root([pair, LEAVES[2]]) == root
    assert legacy.verify_legacy_root(LEAVES[:3], root, 3).readings == ("parent-node",)
    assert legacy.verify_legacy_root([pair, LEAVES[2]], root, 2).readings == ("peak-bag",)


@pytest.mark.parametrize(
    ("count", "readings"),
    [
        (0, ()),
        (1, ()),
        (2, ("peak-bag",)),
        (3, ("parent-node",)),
        (4, ("peak-bag",)),
        (7, ()),
        (510, ()),
        (511, ("record",)),
    ],
)
def test_readings_of_a_root(count: int, readings: tuple[str, ...]) -> None:
    leaves = LEAVES[:count]
    assert legacy.verify_legacy_root(leaves, naive_root(leaves), count).readings == readings


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"index": 5}, "legacy-format"),
        ({"index": -1}, "legacy-format"),
        ({"count": 2**53}, "legacy-format"),
        ({"count": 0}, "legacy-format"),
        ({"path": []}, "legacy-format"),
        ({"path": ["x"] * 2}, "legacy-format"),
        ({"peaks": []}, "legacy-format"),
        ({"peaks": LEAVES[:2]}, "legacy-root"),
        ({"leaf": LEAVES[0]}, "legacy-root"),
        ({"root": LEAVES[0]}, "legacy-root"),
        ({"index": 0}, "legacy-root"),
        ({"index": 4}, "legacy-format"),
        # Counts 5 and 6 ask for proofs of the same shape: the root does not tell them apart.
        ({"count": 7}, "legacy-format"),
    ],
    ids=str,
)
def test_an_altered_inclusion_is_refused(change: dict[str, Any], code: str) -> None:
    leaves = LEAVES[:5]
    proof: dict[str, Any] = {
        "leaf": leaves[1],
        "index": 1,
        "path": naive_path(leaves, 1),
        "count": 5,
        "peaks": naive_peaks(leaves),
        "root": naive_root(leaves),
    }
    assert legacy.verify_legacy_inclusion(**proof).leaf_index == 1
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_inclusion(**{**proof, **change})
    assert refused.value.code == code


def test_the_root_does_not_commit_to_the_count() -> None:
    """The verified value repeats the count that was claimed; nothing here proves it."""
    leaves = LEAVES[:5]
    path, peaks, root = naive_path(leaves, 1), naive_peaks(leaves), naive_root(leaves)
    for count in (5, 6):
        verified = legacy.verify_legacy_inclusion(
            leaves[1], 1, path, count=count, peaks=peaks, root=root
        )
        assert verified.root.leaf_count == count
