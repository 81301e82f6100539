"""Evidence of an anchor: captured from a real chain, checked offline and against servers."""

import random

from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.capture import Search, agreed_block_hash, capture
from nous_ledger.protocol.anchor_block import parse_header
from nous_ledger.protocol.anchor_evidence import format_evidence, parse_evidence
from nous_ledger.protocol.anchor_verify import AnchorTrust, add_anchor, block_hash_is
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.verify import verify_bundle
from tests.integration.anchor.harness import Node, Party, grow


def test_a_receipt_existed_before_the_block_of_its_anchor(party: Party, node: Node) -> None:
    bundle = party.ledger.prove(2)
    grow(party.ledger, 7, random.Random(3))
    party.round()
    node.mine()
    grow(party.ledger, 2, random.Random(4))
    party.round()
    node.finalize()
    head = parse_bundle(bundle).head
    evidence = capture(party.pool, party.contract, party.ledger, head, Search())
    assert (evidence.from_count, evidence.head.leaf_count) == (5, 12)  # the earliest that covers it
    data = format_evidence(evidence)
    assert parse_evidence(data) == evidence
    number = parse_header(evidence.header).number
    block = agreed_block_hash(party.pool, number)
    trust = AnchorTrust(
        contract=load_artifact().address,
        code_hash=load_artifact().code_hash,
        block=block_hash_is(block),
    )
    report = verify_bundle(bundle, parse_policy(party.ledger.policy_text()))
    found = add_anchor(report, bundle, data, trust)
    assert found.anchor is not None
    assert found.anchor.outcome is Outcome.ESTABLISHED, found.anchor
    assert found.anchored is not None
    assert found.anchored.block_number == number
