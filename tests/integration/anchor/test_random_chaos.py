"""Faults in random order: whatever happened, the outbox ends final with one consistent head."""

import random
from collections.abc import Callable
from pathlib import Path

from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.errors import ChainContentError, ChainError
from nous_ledger.anchor.outbox import Outcome, State
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.anchor_block import EventLog
from nous_ledger.protocol.anchor_contract import read_anchored
from nous_ledger.protocol.mmr import read_root
from tests.integration.anchor.harness import (
    SECRETS,
    Node,
    Party,
    anchored_events,
    grow,
    opened,
)
from tests.integration.anchor.proxies import Proxy, dropping, honest, proxied


class Storm:
    """What can happen between two rounds."""

    def __init__(self, party: Party, other: Party, node: Node, proxy: Proxy, seed: int) -> None:
        self.party, self.other, self.node, self.proxy = party, other, node, proxy
        self.seed = random.Random(seed)
        self.mined = 0

    def happen(self) -> None:
        faults: tuple[Callable[[], None], ...] = (
            self.grow,
            self.mine,
            self.mine,
            self.reorganise,
            self.drop,
            self.fees_rise,
            self.time_passes,
            self.answers_are_lost,
            self.other_relays,
        )
        self.seed.choice(faults)()

    def grow(self) -> None:
        grow(self.party.ledger, self.seed.randrange(1, 4), self.seed)

    def mine(self) -> None:
        self.proxy.tamper = honest
        self.node.mine(self.seed.randrange(1, 3))
        self.mined += 1

    def reorganise(self) -> None:
        """Only what is not final: the last block, and only one that was mined here."""
        if self.mined:
            self.node.rpc("anvil_reorg", 1, [])

    def drop(self) -> None:
        self.node.rpc("anvil_dropAllTransactions")

    def fees_rise(self) -> None:
        self.node.rpc("anvil_setNextBlockBaseFeePerGas", hex(self.seed.randrange(1, 8) * 10**9))

    def time_passes(self) -> None:
        self.party.clock.now += 61

    def answers_are_lost(self) -> None:
        self.proxy.tamper = dropping("eth_sendRawTransaction")

    def other_relays(self) -> None:
        step = self.other.step()
        if step is None:
            return
        with self.other.outbox.sending():
            self.other.sender.send(step, self.other.contract.address)

    def round(self) -> None:
        try:
            self.party.round()
        except (ChainError, ChainContentError) as error:
            # Somebody else's transaction may be in the way of an estimate; fees may be too high.
            if error.code not in ("refused", "rpc-error", "rpc-unreachable"):
                raise


def calm(party: Party, node: Node, proxy: Proxy) -> None:
    """Let the storm end: blocks of usual fees, servers that answer, and time."""
    proxy.tamper = honest
    for _ in range(12):
        node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
        party.clock.now += 61
        party.round()
        node.mine(6)


def seeds(full: bool) -> range:
    return range(24 if full else 1)


def test_storms(log: Ledger, node: Node, tmp_path: Path, full: bool) -> None:
    for seed in seeds(full):
        snapshot = node.rpc("evm_snapshot")
        place = tmp_path / str(seed)
        place.mkdir()
        with proxied(node.rpc.port) as proxy:
            weather(log, node, proxy, place, seed)
        node.rpc("anvil_dropAllTransactions")
        assert node.rpc("evm_revert", snapshot)
        node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))


def weather(log: Ledger, node: Node, proxy: Proxy, place: Path, seed: int) -> None:
    with (
        opened(place / "party", log, [proxy.url], timeout_s=10) as party,
        opened(place / "other", log, [node.url], secret=SECRETS[1]) as other,
    ):
        party.register()
        node.finalize()
        node.automine(on=False)
        storm = Storm(party, other, node, proxy, seed)
        for _ in range(14):
            storm.happen()
            storm.round()
        calm(party, node, proxy)
        node.automine(on=True)
        check(party, node)


def check(party: Party, node: Node) -> None:
    """One consistent head that covers the log, each head once, nothing left under way."""
    log = party.ledger
    assert party.state("finalized").leaf_count == log.leaf_count()
    slots = party.outbox.slots()
    assert {slot.state for slot in slots} == {State.FINAL}, slots
    nonces = [slot.nonce for slot in slots if slot.outcome is not Outcome.LOST]
    assert nonces == sorted(set(nonces))
    sizes = []
    for event in anchored_events(node):
        found = read_anchored(
            EventLog(
                address=bytes.fromhex(event["address"][2:]),
                topics=tuple(bytes.fromhex(topic[2:]) for topic in event["topics"]),
                data=bytes.fromhex(event["data"][2:]),
            ),
            load_artifact().address,
        )
        assert found is not None
        assert found.head.root == read_root(log.read_nodes, found.head.leaf_count)
        sizes.append(found.head.leaf_count)
    assert sizes == sorted(set(sizes))
