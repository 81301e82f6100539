"""What transactions of the anchor contract cost on a chain: bounds, and the snapshot's figures.

`contracts/snapshots/anchor.json` is what forge measured; the README's table shows it.
"""

from __future__ import annotations

import json
import random

import pytest

from tests.contracts.anchoring import LOG, REGISTRATION, commitment, rotation, sign_head
from tests.contracts.evm import Contract
from tests.contracts.naive_tree import Tree
from tests.contracts.solidity import CONTRACTS
from tests.contracts.test_anchor_growth import head_over, path_to

# Calldata has more or fewer zero bytes from one tree to another.
TOLERANCE = 0.01
BOUNDS = {10: 70_000, 20: 86_000, 30: 102_000}
SNAPSHOT: dict[str, int] = {
    name: int(gas)
    for name, gas in json.loads((CONTRACTS / "snapshots/anchor.json").read_text("utf-8")).items()
}


def assert_measured(name: str, gas: int) -> None:
    assert abs(gas - SNAPSHOT[name]) <= TOLERANCE * SNAPSHOT[name], (name, gas, SNAPSHOT[name])


@pytest.mark.parametrize("height", BOUNDS)
def test_no_anchor_costs_more_than_its_bound(
    new_anchor: Contract, block_time: int, height: int
) -> None:
    new_anchor.send("register", *REGISTRATION)
    size = 1 << height
    tree = Tree({}, random.Random(height).randbytes(32))
    before, worst = 0, 0
    # Paths of every kind, the longest with two hashes on every level among them.
    for count in (size // 3, size // 2 - 1, size // 2, size // 2 + 1, size - 1, size):
        head = sign_head(head_over(tree, count, time=block_time))
        gas = new_anchor.gas("anchor", *head, path_to(tree, before, count))
        before, worst = count, max(worst, gas)
    assert worst <= BOUNDS[height]
    assert_measured(f"anchor, 2^{height}", worst)


def test_other_transactions(new_anchor: Contract, block_time: int) -> None:
    assert_measured("register", new_anchor.gas("register", *REGISTRATION))
    tree = Tree({}, random.Random("gas").randbytes(32))
    first = sign_head(head_over(tree, 1 << 20, time=block_time))
    assert_measured("anchor the first head", new_anchor.gas("anchor", *first, ()))
    assert_measured("rotate", new_anchor.gas("rotate", *rotation(1, commitment(2))))
    path = tree.inclusion((1 << 20) // 3, 0, 1 << 20)
    gas = new_anchor.gas("verifyInclusion", LOG, tree.leaf(0), (1 << 20) // 3, path)
    assert_measured("inclusion, 2^20", gas)
