"""Every honest growth of a log is anchored, and what is stored is what was signed.

ANCH-3 to ANCH-7, ANCH-9, ANCH-12, ANCH-13.
"""

from __future__ import annotations

import random

from nous_ledger.protocol.signing import SigningKey
from tests.contracts.abi import AbiValue
from tests.contracts.anchoring import (
    FOREIGNER,
    LOG,
    NOW,
    REGISTRATION,
    Head,
    Stored,
    commitment,
    digest_of,
    rotation,
    sign_head,
    slot_of,
)
from tests.contracts.evm import Call, Contract, JsonRpc, Returned, State
from tests.contracts.naive_tree import Path, Tree
from tests.contracts.test_proofs import DISTINCT, edge_count

MOST = 64


def head_over(tree: Tree, size: int, *, epoch: int = 0, time: int = NOW) -> Head:
    return LOG, epoch, size, tree.root(0, size), time


def path_to(tree: Tree, old: int, new: int) -> Path:
    """Return the proof that `anchor` asks for; the first head needs none."""
    return tree.consistency(old, new) if old else ()


def stored_at(tree: Tree, size: int) -> Stored:
    """Return a log with this many leaves anchored; none for 0."""
    return Stored().after(head_over(tree, size)) if size else Stored()


def assert_anchored(contract: Contract, growths: list[tuple[Tree, int, int]]) -> None:
    """The contract accepts the head of each new count on top of each old one."""
    calls, states = [], []
    signed = {}
    for tree, old, new in growths:
        if (tree, new) not in signed:
            signed[tree, new] = sign_head(head_over(tree, new))
        calls.append(Call("anchor", (*signed[tree, new], path_to(tree, old, new))))
        states.append(stored_at(tree, old).state())
    outcomes = contract.run(calls, states)
    refused = [
        (growth[1:], outcome)
        for growth, outcome in zip(growths, outcomes, strict=True)
        if outcome != Returned()
    ]
    assert not refused


def test_every_growth_to_64_leaves_is_anchored(anchor: Contract) -> None:
    growths = [(DISTINCT, old, new) for new in range(1, MOST + 1) for old in range(new)]
    assert_anchored(anchor, growths)


def test_growth_up_to_2_to_40_leaves_is_anchored(anchor: Contract, full: bool) -> None:
    draw = random.Random("large growths")
    growths = []
    for _ in range(3_000 if full else 200):
        new = max(2, edge_count(draw, draw.randrange(1, 40)))
        old = draw.choice([1, new - 1, draw.randrange(1, new), 1 << ((new - 1).bit_length() - 1)])
        told = {0, old - 1, old, new - 1}
        growths.append((Tree({index: draw.randbytes(32) for index in told}), old, new))
    assert_anchored(anchor, growths)


def test_what_is_stored_is_what_was_signed(
    anvil: JsonRpc, new_anchor: Contract, block_time: int
) -> None:
    """A life of a log in transactions, with the storage compared after each."""
    expected, head = Stored(), head_over(DISTINCT, 1)
    new_anchor.send("register", *REGISTRATION)
    assert_stored(anvil, new_anchor, expected)
    for step, size in enumerate((1, 2, 7, 8, 31, 64)):
        if step in {3, 5}:
            new_anchor.send("rotate", *rotation(expected.epoch + 1, commitment(expected.epoch + 2)))
            expected = expected.rotated()
            assert_stored(anvil, new_anchor, expected)
        head = head_over(DISTINCT, size, epoch=expected.epoch, time=block_time + step)
        proof = path_to(DISTINCT, expected.size, size)
        receipt = new_anchor.send("anchor", *sign_head(head), proof)
        expected = expected.after(head)
        assert_stored(anvil, new_anchor, expected)
        assert receipt["logs"][0]["data"][-64:] == expected.chain.hex()
    new_anchor.send("rotate", *rotation(expected.epoch + 1, bytes(32)))
    assert_stored(anvil, new_anchor, expected.rotated(bytes(32)))
    assert new_anchor.call("head", LOG) == Returned((*head, expected.chain, 6))


def assert_stored(anvil: JsonRpc, contract: Contract, expected: Stored) -> None:
    words = expected.words()
    answers = anvil.batch(
        "eth_getStorageAt", [[contract.address, slot_of(offset), "latest"] for offset in words]
    )
    found = [bytes.fromhex(answer["result"][2:]) for answer in answers]
    assert found == list(words.values())


def test_a_batch_says_of_each_head_how_it_went(anchor: Contract) -> None:
    def item(new: int, old: int, key: SigningKey | None = None) -> tuple[AbiValue, ...]:
        return (*sign_head(head_over(DISTINCT, new), key), path_to(DISTINCT, old, new))

    items = (item(5, 0), item(5, 0), item(9, 4), item(9, 5), item(12, 9, FOREIGNER), item(12, 9))
    names = ("", "SizeNotGrown", "ProofLengthWrong", "", "SignatureMismatch", "")
    outcomes = tuple(anchor.selector(name) if name else bytes(4) for name in names)
    (outcome,) = anchor.run([Call("anchorBatch", (items,))], [Stored().state()])
    assert outcome == Returned((outcomes,))


def test_a_batch_without_gas_for_an_item_is_refused_as_a_whole(
    anvil: JsonRpc, anchor: Contract
) -> None:
    head = head_over(DISTINCT, 5)
    data = anchor.data(Call("anchorBatch", (((*sign_head(head), ()),) * 3,)))
    state = Stored().state()
    block = [{anchor.address: {"stateDiff": state.slots}}, {"time": hex(state.time)}]
    accepted = 0
    for gas in range(30_000, 130_000, 2_500):
        request = [{"to": anchor.address, "data": data, "gas": hex(gas)}, "latest", *block]
        (answer,) = anvil.batch("eth_call", [request])
        if "result" in answer:
            outcomes = bytes.fromhex(answer["result"][2:])[64:]
            assert outcomes[:4] == bytes(4) or outcomes[:4] in anchor.errors
            accepted += outcomes[:4] == bytes(4)
    assert accepted, "with gas enough it is accepted"


def test_digests_are_those_of_the_python_core(anchor: Contract) -> None:
    head = head_over(DISTINCT, 7)
    assert anchor.call("digest", head) == Returned((digest_of(head),))


def test_states_given_to_calls_are_not_kept(anchor: Contract) -> None:
    """The tests above would otherwise see each other's logs."""
    outcomes = anchor.run([Call("head", (LOG,))] * 2, [Stored().state(), State(slots={}, time=NOW)])
    assert isinstance(outcomes[0], Returned)
    assert not isinstance(outcomes[1], Returned)
