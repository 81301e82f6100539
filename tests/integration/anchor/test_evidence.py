"""Evidence of an anchor: captured from a real chain, checked offline and against servers."""

import random

import pytest

from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.capture import Search, agreed_block_hash, capture
from nous_ledger.anchor.errors import ChainError
from nous_ledger.anchor.rpc import RpcPool
from nous_ledger.protocol.anchor_block import parse_header
from nous_ledger.protocol.anchor_evidence import format_evidence, parse_evidence
from nous_ledger.protocol.anchor_verify import AnchorTrust, add_anchor, block_hash_is
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.verify import verify_bundle
from tests.contracts.evm import CHAIN_ID
from tests.integration.anchor.harness import Node, Party, grow
from tests.integration.anchor.proxies import lying_about_blocks, proxied


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


def test_k_of_n_servers_vouch_for_a_block(node: Node) -> None:
    """EVID-13: a hash is taken only if as many servers say it as were asked for."""
    node.finalize()
    height = node.height - 6
    with (
        proxied(node.rpc.port, lying_about_blocks) as liar,
        proxied(node.rpc.port) as second,
    ):
        urls = [liar.url, second.url, node.url]
        true_hash = agreed_block_hash(RpcPool([node.url], CHAIN_ID), height)
        assert agreed_block_hash(RpcPool(urls, CHAIN_ID, quorum=2), height) == true_hash
        for chosen, quorum, code in (
            (urls, 3, "rpc-unreachable"),
            (urls[:2], 2, "rpc-disagree"),
            (urls[:2], 1, "rpc-disagree"),
            ([*urls[1:], "http://127.0.0.1:9"], 3, "rpc-unreachable"),
        ):
            with pytest.raises(ChainError) as caught:
                agreed_block_hash(RpcPool(chosen, CHAIN_ID, quorum=quorum), height)
            assert caught.value.code == code, (len(chosen), quorum)
    with pytest.raises(ChainError):  # of a block that is not final nobody vouches
        agreed_block_hash(RpcPool([node.url], CHAIN_ID), node.height)
