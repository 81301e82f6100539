"""Inclusion and consistency on the EVM against trees and checks transcribed from the RFC."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.proof import verify_consistency, verify_inclusion
from tests.contracts.evm import Call, Contract, Returned, Reverted
from tests.contracts.expected import meets
from tests.contracts.naive_tree import (
    MAX_COUNT,
    Path,
    Tree,
    consistency_length,
    inclusion_length,
    judge_consistency,
    judge_inclusion,
    leaf_hash,
    node_hash,
)

SMALL = 32
Inclusion = tuple[bytes, int, int, Path, bytes]
Consistency = tuple[int, bytes, int, bytes, Path]
Case = TypeVar("Case", Inclusion, Consistency)

DISTINCT = Tree({index: leaf_hash(index.to_bytes(8, "big")) for index in range(128)})


def python_code(check: Callable[..., object], case: tuple[object, ...]) -> str:
    try:
        check(*case)
    except LedgerError as error:
        return error.code
    return ""


JUDGES: dict[str, tuple[Callable[..., str], Callable[..., object]]] = {
    "verifyInclusion": (judge_inclusion, verify_inclusion),
    "verifyConsistency": (judge_consistency, verify_consistency),
}


def judge_everywhere(harness: Contract, function: str, cases: Sequence[Case]) -> Counter[str]:
    """The RFC's own words, the Python core and the EVM agree on every case; count the verdicts."""
    judge, check = JUDGES[function]
    codes = [judge(*case) for case in cases]
    outcomes = harness.run([Call(function, case) for case in cases])
    for case, code, outcome in zip(cases, codes, outcomes, strict=True):
        assert meets(outcome, code), (function, case, code, outcome)
        assert python_code(check, case) == code, (function, case, code)
    return Counter(codes)


def inclusion_case(tree: Tree, index: int, count: int) -> Inclusion:
    return tree.leaf(index), index, count, tree.inclusion(index, 0, count), tree.root(0, count)


def consistency_case(tree: Tree, old: int, new: int) -> Consistency:
    return old, tree.root(0, old), new, tree.root(0, new), tree.consistency(old, new)


def test_every_honest_inclusion_in_small_trees_is_accepted(harness: Contract) -> None:
    cases = [inclusion_case(DISTINCT, i, n) for n in range(1, SMALL + 1) for i in range(n)]
    assert judge_everywhere(harness, "verifyInclusion", cases) == {"": len(cases)}


def test_every_honest_growth_of_small_trees_is_accepted(harness: Contract) -> None:
    cases = [consistency_case(DISTINCT, n, m) for m in range(1, SMALL + 1) for n in range(1, m + 1)]
    assert judge_everywhere(harness, "verifyConsistency", cases) == {"": len(cases)}


def test_no_leaf_passes_for_another_position(harness: Contract) -> None:
    cases = []
    for count in range(2, 12):
        for index in range(count):
            leaf, _, _, path, root = inclusion_case(DISTINCT, index, count)
            cases += [(leaf, other, count, path, root) for other in range(count) if other != index]
    assert "" not in judge_everywhere(harness, "verifyInclusion", cases)


def test_an_inner_node_passes_for_no_leaf(harness: Contract) -> None:
    leaf, index, count, path, root = inclusion_case(DISTINCT, 5, 16)
    parent = node_hash(path[0], leaf)
    cases = [(parent, index >> 1, n, path[1:], root) for n in (count >> 1, count, count + 1)]
    verdicts = judge_everywhere(harness, "verifyInclusion", cases)
    # With the count of the tree above the leaves the path fits: counts come from a signed head.
    assert verdicts == {"": 1, "proof-shape": 2}


def test_a_consistency_path_does_not_bind_the_counts(harness: Contract) -> None:
    _, old_root, _, new_root, path = consistency_case(DISTINCT, 4, 6)
    cases = [(1, old_root, 2, new_root, path), (2, old_root, 3, new_root, path)]
    assert judge_everywhere(harness, "verifyConsistency", cases) == {"": 2}


def test_every_flipped_bit_is_refused(harness: Contract) -> None:
    def flips(value: bytes) -> list[bytes]:
        number = int.from_bytes(value, "big")
        return [(number ^ 1 << bit).to_bytes(32, "big") for bit in range(0, 256, 5)]

    leaf, index, count, path, root = inclusion_case(DISTINCT, 37, 99)
    inclusions = [(one, index, count, path, root) for one in flips(leaf)]
    inclusions += [(leaf, index, count, path, one) for one in flips(root)]
    for k, word in enumerate(path):
        for one in flips(word):
            inclusions.append((leaf, index, count, (*path[:k], one, *path[k + 1 :]), root))
    verdicts = judge_everywhere(harness, "verifyInclusion", inclusions)
    assert verdicts == {"root-mismatch": len(inclusions)}

    old, old_root, new, new_root, path = consistency_case(DISTINCT, 37, 99)
    growths = [(old, one, new, new_root, path) for one in flips(old_root)]
    growths += [(old, old_root, new, one, path) for one in flips(new_root)]
    for k, word in enumerate(path):
        for one in flips(word):
            growths.append((old, old_root, new, new_root, (*path[:k], one, *path[k + 1 :])))
    verdicts = judge_everywhere(harness, "verifyConsistency", growths)
    assert verdicts == {"root-mismatch": len(growths)}


def test_missing_and_left_over_words_are_refused_with_both_lengths(harness: Contract) -> None:
    leaf, index, count, path, root = inclusion_case(DISTINCT, 37, 99)
    long = path * 3
    for length in {*range(len(long)), 500} - {len(path)}:
        words = (long * 50)[:length]
        refused = Reverted("ProofLengthWrong", (len(path), length))
        assert harness.call("verifyInclusion", leaf, index, count, words, root) == refused
    old, old_root, new, new_root, path = consistency_case(DISTINCT, 37, 99)
    for length in {*range(len(long)), 500} - {len(path)}:
        words = (long * 50)[:length]
        refused = Reverted("ProofLengthWrong", (len(path), length))
        assert harness.call("verifyConsistency", old, old_root, new, new_root, words) == refused


def test_a_wrong_root_is_refused_with_both_roots(harness: Contract) -> None:
    leaf, index, count, path, root = inclusion_case(DISTINCT, 3, 9)
    wrong = bytes(32)
    refused = Reverted("ProofRootMismatch", (wrong, root))
    assert harness.call("verifyInclusion", leaf, index, count, path, wrong) == refused
    old, old_root, new, new_root, path = consistency_case(DISTINCT, 3, 9)
    refused = Reverted("ProofRootMismatch", (wrong, old_root))
    assert harness.call("verifyConsistency", old, wrong, new, new_root, path) == refused
    refused = Reverted("ProofRootMismatch", (wrong, new_root))
    assert harness.call("verifyConsistency", old, old_root, new, wrong, path) == refused


def test_an_empty_path_proves_equal_trees_and_single_leaves_only(harness: Contract) -> None:
    root, other = DISTINCT.root(0, 6), DISTINCT.root(0, 7)
    growths: list[Consistency] = [
        (6, root, 6, root, ()),
        (6, root, 6, other, ()),
        (6, root, 6, root, (root,)),
        (6, root, 7, other, ()),
        (6, root, 7, root, ()),
        (4, root, 8, root, ()),
        (0, root, 6, root, ()),
        (0, root, 0, root, ()),
        (7, other, 6, root, ()),
    ]
    codes = ["", "root-mismatch", *["proof-shape"] * 4, *["proof-counts"] * 3]
    for growth, code in zip(growths, codes, strict=True):
        assert judge_everywhere(harness, "verifyConsistency", [growth]) == {code: 1}
    leaf = DISTINCT.leaf(0)
    inclusions: list[Inclusion] = [
        (leaf, 0, 1, (), leaf),
        (leaf, 0, 1, (), root),
        (leaf, 0, 1, (leaf,), leaf),
        (root, 0, 6, (), root),
        (leaf, 0, 0, (), leaf),
        (leaf, 1, 1, (), leaf),
    ]
    codes = ["", "root-mismatch", "proof-shape", "proof-shape", "proof-index", "proof-index"]
    for inclusion, code in zip(inclusions, codes, strict=True):
        assert judge_everywhere(harness, "verifyInclusion", [inclusion]) == {code: 1}


@pytest.mark.parametrize("above", [2**53, 2**64 - 1, 2**64, 2**255, 2**256 - 1])
def test_counts_above_2_to_53_are_refused(harness: Contract, above: int) -> None:
    root = DISTINCT.root(0, 1)
    refused = Reverted("ProofCountsInvalid", (above, above))
    assert harness.call("verifyInclusion", root, 0, above, (), root) == refused
    assert harness.call("inclusionLength", 0, above) == refused
    assert harness.call("verifyConsistency", above, root, above, root, ()) == refused
    refused = Reverted("ProofCountsInvalid", (1, above))
    assert harness.call("verifyConsistency", 1, root, above, root, ()) == refused
    assert harness.call("consistencyLength", 1, above) == refused
    outside = Reverted("ProofIndexOutOfRange", (above, MAX_COUNT))
    assert harness.call("verifyInclusion", root, above, MAX_COUNT, (), root) == outside


def test_path_lengths_follow_from_the_counts(harness: Contract) -> None:
    draw = random.Random("lengths")
    pairs = [(n, m) for m in range(1, 40) for n in range(1, m + 1)]
    for bits in range(1, 54):
        m = draw.randrange(1 << (bits - 1), 1 << bits)
        n = draw.randrange(1, m + 1)
        pairs += [(n, m), (m, (1 << bits) - 1), (1 << (bits - 1), m), (m, m)]
    calls = [Call("consistencyLength", pair) for pair in pairs]
    calls += [Call("inclusionLength", (n - 1, m)) for n, m in pairs]
    lengths = [consistency_length(n, m) for n, m in pairs]
    lengths += [inclusion_length(n - 1, m) for n, m in pairs]
    assert harness.run(calls) == [Returned((length,)) for length in lengths]
    assert max(lengths) == 54


def edge_count(draw: random.Random, bits: int) -> int:
    """Draw a count at or beside a power of two, or anywhere of that size."""
    power = 1 << bits
    return draw.choice([power - 1, power, power + 1, draw.randrange(1, 2 * power)])


def random_tree(draw: random.Random) -> tuple[Tree, int, int]:
    """Return a tree and two of its counts, 1 <= n <= m, from small to the largest there are."""
    bits = draw.choice([*range(1, 7), *range(1, 7), *range(7, 52)])
    m = max(1, edge_count(draw, bits))
    n = draw.choice([1, m, max(1, m - 1), draw.randrange(1, m + 1), 1 << (m.bit_length() - 1)])
    told = {n - 1, m - 1, 0, *(draw.randrange(m) for _ in range(4))}
    return Tree({index: draw.randbytes(32) for index in told}), n, m


def mutate_path(draw: random.Random, path: Path, others: tuple[bytes, ...]) -> Path:
    """Change a path in one of the ways that have fooled verifiers."""
    words = list(path)
    extra = draw.choice([*others, *words, bytes(32), draw.randbytes(32)])
    at = draw.randrange(len(words) + 1)
    if not words or draw.random() < 0.25:
        words.insert(at, extra)
        return tuple(words)
    at %= len(words)
    how = draw.randrange(5)
    if how == 0:
        del words[at]
    elif how == 1:
        words[at] = extra
    elif how == 2:
        flipped = int.from_bytes(words[at], "big") ^ 1 << draw.randrange(256)
        words[at] = flipped.to_bytes(32, "big")
    elif how == 3:
        other = draw.randrange(len(words))
        words[at], words[other] = words[other], words[at]
    else:
        words.reverse()
    return tuple(words)


def mutate_number(draw: random.Random, number: int) -> int:
    changed = [
        number + 1,
        number - 1,
        number * 2,
        number // 2,
        number ^ 1 << draw.randrange(max(1, number.bit_length())),
        0,
        draw.choice([MAX_COUNT, MAX_COUNT + 1, 2**64 - 1]),
    ]
    return max(0, draw.choice(changed))


def mutate_inclusion(draw: random.Random, case: Inclusion) -> Inclusion:
    leaf, index, count, path, root = case
    how = draw.randrange(6)
    if how == 0:
        return leaf, mutate_number(draw, index), count, path, root
    if how == 1:
        return leaf, index, mutate_number(draw, count), path, root
    if how == 2:
        return draw.choice([root, bytes(32), *path]), index, count, path, root
    if how == 3:
        return leaf, index, count, path, draw.choice([leaf, bytes(32), *path])
    return leaf, index, count, mutate_path(draw, path, (leaf, root)), root


def mutate_consistency(draw: random.Random, case: Consistency) -> Consistency:
    old, old_root, new, new_root, path = case
    how = draw.randrange(7)
    if how == 0:
        return mutate_number(draw, old), old_root, new, new_root, path
    if how == 1:
        return old, old_root, mutate_number(draw, new), new_root, path
    if how == 2:
        return old, draw.choice([new_root, bytes(32), *path]), new, new_root, path
    if how == 3:
        return old, old_root, new, draw.choice([old_root, bytes(32), *path]), path
    if how == 4:
        return new, new_root, old, old_root, path
    return old, old_root, new, new_root, mutate_path(draw, path, (old_root, new_root))


def test_random_and_mutated_proofs_are_judged_alike_everywhere(
    harness: Contract, full: bool
) -> None:
    draw = random.Random("proofs")
    inclusions: list[Inclusion] = []
    growths: list[Consistency] = []
    for _ in range(5_000 if full else 400):
        tree, n, m = random_tree(draw)
        inclusion, growth = inclusion_case(tree, n - 1, m), consistency_case(tree, n, m)
        inclusions += [inclusion, mutate_inclusion(draw, inclusion)]
        growths += [growth, mutate_consistency(draw, growth)]
    verdicts = {
        "inclusion": judge_everywhere(harness, "verifyInclusion", inclusions),
        "consistency": judge_everywhere(harness, "verifyConsistency", growths),
    }
    for name, codes in verdicts.items():
        missing = {"", "proof-counts", "proof-shape", "root-mismatch"} - set(codes)
        assert not missing, (name, codes)
        assert codes[""] >= codes.total() // 2, "every honest proof is accepted"
    assert verdicts["inclusion"]["proof-index"]
    assert sum(codes.total() for codes in verdicts.values()) >= 500
