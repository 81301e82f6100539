"""Whatever a chain and its servers do, the outbox ends final with one consistent head."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.anchor import tracking
from nous_ledger.anchor.anchorer import goal_of
from nous_ledger.anchor.errors import ChainError
from nous_ledger.anchor.outbox import Outcome, Place, Slot, State
from nous_ledger.anchor.sender import Sender
from nous_ledger.anchor.tracking import find_place
from nous_ledger.ledger import Ledger
from tests.integration.anchor.harness import (
    SECRETS,
    Node,
    Party,
    anchored_events,
    grow,
    opened,
)
from tests.integration.anchor.proxies import (
    denying_receipts,
    dropping,
    lying_about_blocks,
    proxied,
)


def anchors(party: Party) -> list[Slot]:
    return [slot for slot in party.outbox.slots() if slot.purpose == "anchor"]


def wait_for_anchor(node: Node) -> None:
    """Wait until the node has mined what it took, which it does in its own time."""
    deadline = time.monotonic() + 10
    while not anchored_events(node) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(anchored_events(node)) == 1


def settle(party: Party, node: Node) -> None:
    """Let everything become final, as a watching process would."""
    for _ in range(3):
        party.round()
        node.finalize()
    party.round()


def check_settled(party: Party, node: Node, events: int = 1) -> None:
    """Check that all is final, that the contract covers the ledger, and nothing came twice."""
    slots = anchors(party)
    assert {slot.state for slot in slots} == {State.FINAL}
    assert goal_of(party.ledger).is_met_by(party.state("finalized"))
    found = anchored_events(node)
    assert len(found) == events
    done = [slot for slot in slots if slot.outcome is Outcome.DONE]
    assert len({slot.leaf_count for slot in done}) == len(done)
    assert party.round().slots == ()


def test_taken_in_between_two_questions(
    party: Party, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No block had it when its place was asked for; when its nonce was, one was final."""
    party.round()
    wait_for_anchor(node)
    node.finalize()
    asked: list[int] = []

    def found(*arguments: Any) -> Place | None:
        asked.append(1)
        return None if len(asked) == 1 else find_place(*arguments)

    monkeypatch.setattr(tracking, "find_place", found)
    party.round()
    assert len(asked) > 1
    monkeypatch.undo()
    settle(party, node)
    check_settled(party, node)
    assert {slot.outcome for slot in party.outbox.slots()} == {Outcome.DONE}


def test_reorganised_away(party: Party, node: Node) -> None:
    party.round()
    wait_for_anchor(node)
    assert party.round().slots[-1].state is State.MINED
    node.automine(on=False)
    node.rpc("anvil_reorg", 1, [])
    assert anchored_events(node) == []
    (slot,) = (slot for slot in party.round().slots if slot.purpose == "anchor")
    assert (slot.state, slot.place) == (State.SENT, None)
    node.mine()
    settle(party, node)
    check_settled(party, node)


def test_dropped_by_the_node(party: Party, node: Node) -> None:
    node.automine(on=False)
    (slot,) = (slot for slot in party.round().slots if slot.state is State.SENT)
    (signed,) = party.outbox.transactions(slot)
    assert node.rpc("anvil_dropTransaction", f"0x{signed.hash.hex()}")
    node.mine()
    assert anchored_events(node) == []
    party.round()  # sends the same bytes again
    assert len(party.outbox.transactions(slot)) == 1
    node.mine()
    settle(party, node)
    check_settled(party, node)


def test_stuck_is_replaced_with_the_newest_head(party: Party, node: Node) -> None:
    node.automine(on=False)
    party.round()
    for _ in range(2):  # fees rise beyond what it pays
        node.rpc("anvil_setNextBlockBaseFeePerGas", hex(50 * 10**9))
        node.mine()
    assert anchored_events(node) == []
    grow(party.ledger, 3, random.Random(5))
    party.round()
    (slot,) = anchors(party)
    assert len(party.outbox.transactions(slot)) == 1  # not old enough
    party.clock.now += 61
    party.round()
    (slot,) = anchors(party)
    newest, oldest = party.outbox.transactions(slot)
    assert (oldest.leaf_count, newest.leaf_count) == (5, 8)
    assert newest.fees.most * 8 > oldest.fees.most * 9
    assert newest.fees.tip * 8 > oldest.fees.tip * 9
    node.mine()
    settle(party, node)
    check_settled(party, node)
    assert party.state("finalized").leaf_count == 8


def test_no_answer_to_what_was_sent(log: Ledger, node: Node, tmp_path: Path) -> None:
    with (
        proxied(node.rpc.port) as proxy,
        opened(tmp_path / "party", log, [proxy.url]) as party,
    ):
        party.register()
        proxy.tamper = dropping("eth_sendRawTransaction")
        first = party.round()
        assert first.slots[-1].state is State.SENT
        assert len(first.troubles) == 1
        wait_for_anchor(node)  # the node took it all the same
        settle(party, node)
        check_settled(party, node)


def test_written_down_and_never_sent(
    log: Ledger, node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path / "party", log, [node.url]) as party:
        party.register()
        with monkeypatch.context() as patch:
            patch.setattr(Sender, "broadcast", _killed)
            with pytest.raises(KeyboardInterrupt):
                party.round()
        assert anchored_events(node) == []
    with opened(tmp_path / "party", log, [node.url]) as party:
        settle(party, node)
        check_settled(party, node)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("dead_first", [True, False])
def test_one_server_of_two_is_dead(
    log: Ledger, node: Node, tmp_path: Path, *, dead_first: bool
) -> None:
    urls = [node.url, "http://127.0.0.1:9"]
    with opened(tmp_path / "party", log, urls[::-1] if dead_first else urls) as party:
        party.register()
        settle(party, node)
        check_settled(party, node)


def test_one_server_dies_on_the_way(log: Ledger, node: Node, tmp_path: Path) -> None:
    with proxied(node.rpc.port) as proxy:
        urls = [proxy.url, node.url]
        with opened(tmp_path / "party", log, urls) as party:
            party.register()
            party.round()
            proxy.stop()
            settle(party, node)
            check_settled(party, node)
            proxy.start = lambda: None  # type: ignore[method-assign]
            proxy.stop = lambda: None  # type: ignore[method-assign]


def test_one_server_of_two_lies(log: Ledger, node: Node, tmp_path: Path) -> None:
    """While it lies nothing is final; without it everything is."""
    with proxied(node.rpc.port) as proxy:
        with opened(tmp_path / "party", log, [proxy.url, node.url]) as party:
            party.register()
            party.round()
            proxy.tamper = lying_about_blocks
            node.finalize()
            with pytest.raises(ChainError, match="disagree") as caught:
                party.round()
            assert caught.value.code == "rpc-disagree"
            proxy.tamper = denying_receipts
            with pytest.raises(ChainError, match="disagree"):
                party.round()
            assert {slot.state for slot in anchors(party)} != {State.FINAL}
        with opened(tmp_path / "party", log, [node.url]) as party:
            settle(party, node)
            check_settled(party, node)


@pytest.mark.parametrize("tamper", [lying_about_blocks, denying_receipts])
def test_one_server_of_three_lies(log: Ledger, node: Node, tmp_path: Path, tamper: Any) -> None:
    with (
        proxied(node.rpc.port, tamper) as liar,
        proxied(node.rpc.port) as second,
        opened(tmp_path / "party", log, [liar.url, second.url, node.url]) as party,
    ):
        party.register()
        settle(party, node)
        check_settled(party, node)


def test_another_relayer_is_faster_with_the_same_head(
    party: Party, node: Node, tmp_path: Path
) -> None:
    node.automine(on=False)
    party.round()
    with (
        opened(tmp_path / "other", party.ledger, [node.url], secret=SECRETS[1]) as other,
        other.outbox.sending(),
    ):
        step = other.step()
        assert step is not None
        slot, _ = other.sender.send(step, other.contract.address)
        other.sender.replace(slot, step)  # pays more, so it comes first
    node.mine()
    settle(party, node)
    (slot,) = anchors(party)
    assert slot.outcome is Outcome.REVERTED
    check_settled(party, node)


def test_another_relayer_is_faster_with_an_older_head(
    party: Party, node: Node, tmp_path: Path
) -> None:
    """Our proof starts from a head that is not stored any more: it is made anew, same nonce."""
    with opened(tmp_path / "other", party.ledger, [node.url], secret=SECRETS[1]) as other:
        older = other.step()
        assert older is not None
        grow(party.ledger, 3, random.Random(5))
        node.automine(on=False)
        party.round()
        (ours,) = anchors(party)
        (signed,) = party.outbox.transactions(ours)
        node.rpc("anvil_dropTransaction", f"0x{signed.hash.hex()}")
        with other.outbox.sending():
            other.sender.send(older, other.contract.address)
        node.mine()
    party.round()
    newest, _ = party.outbox.transactions(ours)
    assert (newest.base_count, newest.leaf_count) == (5, 8)
    node.mine()
    settle(party, node)
    check_settled(party, node, events=2)
    assert party.state("finalized").leaf_count == 8


def test_the_nonce_is_used_by_somebody_else(party: Party, node: Node) -> None:
    node.automine(on=False)
    (slot,) = (slot for slot in party.round().slots if slot.state is State.SENT)
    (signed,) = party.outbox.transactions(slot)
    node.rpc("anvil_dropTransaction", f"0x{signed.hash.hex()}")
    account = f"0x{party.sender.account.relayer.hex()}"
    node.rpc("eth_sendTransaction", {"from": account, "to": account, "value": "0x0"})
    node.mine()
    node.automine(on=True)
    settle(party, node)
    lost, done = anchors(party)
    assert (lost.outcome, done.outcome) == (Outcome.LOST, Outcome.DONE)
    check_settled(party, node)
