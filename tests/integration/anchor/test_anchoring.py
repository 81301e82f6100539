"""Heads into the contract on a real chain, to finality."""

import random

from nous_ledger.anchor.outbox import Outcome, State
from tests.integration.anchor.harness import Node, Party, anchored_events, grow


def test_a_head_becomes_final(party: Party, node: Node) -> None:
    first = party.round()
    assert [slot.state for slot in first.slots[-1:]] == [State.SENT]
    node.mine()  # behind what waits, or after it was mined
    (mined,) = (slot for slot in party.round().slots if slot.purpose == "anchor")
    assert mined.state is State.MINED
    node.finalize()
    (final,) = (slot for slot in party.round().slots if slot.purpose == "anchor")
    assert (final.state, final.outcome, final.leaf_count) == (State.FINAL, Outcome.DONE, 5)
    assert party.state("finalized").leaf_count == 5
    assert party.round().slots == ()
    assert len(anchored_events(node)) == 1


def test_growth_is_anchored_with_a_consistency_proof(party: Party, node: Node) -> None:
    seed = random.Random(1)
    for records in (1, 3, 9):
        party.round()
        node.mine()
        grow(party.ledger, records, seed)
    party.round()
    node.finalize()
    party.round()
    assert party.state("finalized").leaf_count == party.ledger.leaf_count() == 18
    assert party.state("finalized").anchors == 4
    assert not party.outbox.slots(unfinished=True)
