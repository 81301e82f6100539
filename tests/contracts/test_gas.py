"""Gas of a transaction that makes one check and nothing else, at its most expensive.

The bounds are the measured figures, which contracts/README.md lists, rounded up by about 1 %:
a change that makes a check dearer shows here.
"""

from __future__ import annotations

import random

import pytest

from tests.contracts.abi import AbiValue
from tests.contracts.evm import Contract
from tests.contracts.naive_tree import MAX_COUNT, Tree
from tests.contracts.test_identity import ED25519, LOG_ID, NEXT_HASH
from tests.contracts.test_proofs import consistency_case, inclusion_case
from tests.contracts.test_signatures import HEAD, HEAD_DIGEST, KEY, RECORD, SIGNER, split


def tree_of(count: int) -> Tree:
    """Return a tree with random hashes: calldata of few zero bytes is the dearest."""
    return Tree({}, random.Random(count).randbytes(32))


@pytest.mark.parametrize(
    ("count", "bound"), [(2**10, 38_300), (2**20, 51_200), (2**30, 64_100), (MAX_COUNT, 94_200)]
)
def test_inclusion(harness: Contract, count: int, bound: int) -> None:
    case = inclusion_case(tree_of(count), count // 3, count)
    assert 0.95 * bound < harness.gas("verifyInclusion", *case) <= bound


@pytest.mark.parametrize(
    ("count", "bound"), [(2**10, 39_600), (2**20, 52_600), (2**30, 65_400), (MAX_COUNT, 95_500)]
)
def test_consistency(harness: Contract, count: int, bound: int) -> None:
    tree = tree_of(count)
    old_counts = (count // 2 - 1, count // 3, count // 2 + 1, count - 1)
    gas = [harness.gas("verifyConsistency", *consistency_case(tree, n, count)) for n in old_counts]
    assert 0.95 * bound < max(gas) <= bound


@pytest.mark.parametrize(
    ("function", "arguments", "bound"),
    [
        ("verifyRecord", (RECORD, LOG_ID, SIGNER), 32_100),
        ("verifyHead", (HEAD, *split(KEY.sign(HEAD_DIGEST)), SIGNER), 29_900),
        ("addressOf", (KEY.public_key,), 28_800),
        ("logId", (b"ledger.example.com/main", KEY.public_key, ED25519, NEXT_HASH), 30_300),
        ("logId", (b"a" * 255, KEY.public_key, ED25519, NEXT_HASH), 72_000),
    ],
)
def test_other_checks(
    harness: Contract, function: str, arguments: tuple[AbiValue, ...], bound: int
) -> None:
    assert 0.95 * bound < harness.gas(function, *arguments) <= bound
