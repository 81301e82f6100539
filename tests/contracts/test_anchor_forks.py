"""Whoever signed a fork is reported; whoever signed one history only cannot be (ANCH-10)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations, product

from tests.contracts.anchoring import (
    KEYS,
    LOG,
    NOW,
    REGISTRATION,
    Stored,
    commitment,
    rotation,
    sign_head,
    slot_of,
)
from tests.contracts.evm import Call, Contract, JsonRpc, Returned, Reverted
from tests.contracts.naive_tree import Path, Tree, consistency_roots, leaf_hash
from tests.contracts.test_anchor_growth import head_over
from tests.contracts.test_proofs import DISTINCT

MOST = 13
SAMPLE = 8
REFUSALS = {"ProofRootMismatch", "HeadsAgree", "ProofCountsInvalid", "ProofLengthWrong"}
Accusation = tuple[bytes, Path]


def forked_at(index: int) -> Tree:
    """Return DISTINCT with another leaf at this place."""
    leaves = {k: DISTINCT.leaf(k) for k in range(32)} | {index: leaf_hash(b"another")}
    return Tree(leaves)


def test_every_small_fork_is_reported(anchor: Contract) -> None:
    calls = []
    for larger in range(1, 10):
        for smaller in range(1, larger + 1):
            head = sign_head(head_over(DISTINCT, larger))
            prefix, path = DISTINCT.root(0, smaller), DISTINCT.consistency(smaller, larger)
            for index in range(smaller):
                other = sign_head(head_over(forked_at(index), smaller, time=NOW - 9))
                calls.append(Call("reportFork", (other, head, prefix, path)))
    outcomes = anchor.run(calls, [Stored().state()] * len(calls))
    assert outcomes == [Returned()] * len(calls)


def test_a_fork_flags_both_epochs_for_ever_and_blocks_nothing(
    anvil: JsonRpc, new_anchor: Contract, block_time: int
) -> None:
    new_anchor.send("register", *REGISTRATION)
    for epoch in (1, 2):
        new_anchor.send("rotate", *rotation(epoch, commitment(epoch + 1)))
    smaller = sign_head(head_over(forked_at(2), 5, epoch=0))
    larger = sign_head(head_over(DISTINCT, 9, epoch=2, time=block_time))
    report = (smaller, larger, DISTINCT.root(0, 5), DISTINCT.consistency(5, 9))
    for _ in range(2):
        new_anchor.send("reportFork", *report)
        slots = [[new_anchor.address, slot_of(4 + epoch), "latest"] for epoch in range(3)]
        answers = anvil.batch("eth_getStorageAt", slots)
        flags = [bytes.fromhex(answer["result"][2:])[11] for answer in answers]
        assert flags == [1, 0, 1]
    new_anchor.send("anchor", *larger, ())
    new_anchor.send("rotate", *rotation(3, bytes(32)))
    flagged = [new_anchor.call("signerOf", LOG, epoch) for epoch in range(4)]
    assert [outcome.values[1] for outcome in flagged if isinstance(outcome, Returned)] == [
        1,
        0,
        1,
        0,
    ]


def pool_of(count: int) -> list[bytes]:
    """Return every hash that an accuser finds in a tree: its leaves, nodes, and all roots."""
    nodes = {DISTINCT.leaf(k) for k in range(count)}
    for height in range(1, 5):
        step = 1 << height
        nodes |= {DISTINCT.root(k, k + step) for k in range(0, count - step + 1, step)}
    nodes |= {DISTINCT.root(0, size) for size in range(1, count + 1)}
    return sorted(nodes)


def substituted(old: int, new: int, words: dict[int, bytes]) -> list[Accusation]:
    """Return the honest path with these words in place of its own, and what it may be said to show.

    That is the prefix root which the path leads to: with another one it fails at once.
    """
    path = [*DISTINCT.consistency(old, new)]
    for place, word in words.items():
        path[place] = word
    roots = consistency_roots(old, DISTINCT.root(0, old), new, tuple(path))
    assert roots is not None
    accusations = [(roots[0], tuple(path))]
    if old & (old - 1) == 0:
        # The root of a perfect subtree is where the path begins, so the accuser chooses it.
        accusations += [(word, tuple(path)) for word in words.values()]
    return accusations


def every_accusation(old: int, new: int) -> Iterator[Accusation]:
    """Yield all that come of putting one or two hashes of the tree in the place of others."""
    pool, path = pool_of(new), DISTINCT.consistency(old, new)
    for prefix in pool:
        yield prefix, path
    for places in combinations(range(len(path)), min(2, len(path))) if path else ():
        for words in product(pool, repeat=len(places)):
            yield from substituted(old, new, dict(zip(places, words, strict=True)))


def some_accusations(draw: random.Random, old: int, new: int, count: int) -> Iterator[Accusation]:
    """Yield some of them."""
    pool, path = pool_of(new), DISTINCT.consistency(old, new)
    for _ in range(count):
        places = draw.sample(range(len(path)), min(2, len(path)))
        if places:
            yield from substituted(old, new, {place: draw.choice(pool) for place in places})
        yield draw.choice(pool), path


def test_an_honest_log_cannot_be_reported(anchor: Contract, full: bool) -> None:
    """Whichever hashes of its own tree an accuser puts in the place of others."""
    draw = random.Random("accusations")
    heads = {size: sign_head(head_over(DISTINCT, size)) for size in range(1, MOST + 1)}
    for new in range(1, MOST + 1):
        for old in range(1, new + 1):
            made = every_accusation(old, new) if full else some_accusations(draw, old, new, SAMPLE)
            calls = [
                Call("reportFork", (heads[old], heads[new], prefix, path)) for prefix, path in made
            ]
            calls.append(Call("reportFork", (heads[new], heads[old], *calls[0].args[2:])))
            outcomes = anchor.run(calls, [Stored().state()] * len(calls))
            refusals = {o.error if isinstance(o, Reverted) else "none" for o in outcomes}
            assert refusals <= REFUSALS, (old, new)


def test_no_path_between_other_sizes_accuses(anchor: Contract, full: bool) -> None:
    """Every honest path, every pair of honest heads, every root for the prefix."""
    heads = [sign_head(head_over(DISTINCT, size)) for size in range(1, MOST + 1)]
    roots = [DISTINCT.root(0, size) for size in range(1, MOST + 1)]
    pairs = [(n, m) for m in range(1, MOST + 1) for n in range(1, m + 1)]
    cases = list(product(pairs, pairs, roots))
    for part in range(0, len(cases), 10_000) if full else (0,):
        chosen = cases[part : part + 10_000] if full else random.Random(1).sample(cases, 700)
        calls = [
            Call("reportFork", (heads[a - 1], heads[b - 1], root, DISTINCT.consistency(n, m)))
            for (a, b), (n, m), root in chosen
        ]
        outcomes = anchor.run(calls, [Stored().state()] * len(calls))
        refusals = {o.error if isinstance(o, Reverted) else "none" for o in outcomes}
        assert refusals <= REFUSALS


def test_heads_of_another_signer_accuse_nobody(anchor: Contract) -> None:
    by_old_key = sign_head(head_over(forked_at(2), 5, epoch=1), KEYS[0])
    head = sign_head(head_over(DISTINCT, 9, epoch=1))
    report = (DISTINCT.root(0, 5), DISTINCT.consistency(5, 9))
    calls = [Call("reportFork", (by_old_key, head, *report))]
    other = sign_head(head_over(forked_at(2), 9, epoch=1), KEYS[2])
    calls.append(Call("reportFork", (head, other, DISTINCT.root(0, 9), ())))
    for outcome in anchor.run(calls, [Stored().rotated().state()] * 2):
        assert isinstance(outcome, Reverted)
        assert outcome.error == "SignatureMismatch"
