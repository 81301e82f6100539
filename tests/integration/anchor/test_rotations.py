"""Rotations and closes reach the contract; forks are reported to it."""

import json
import random
import shutil
from pathlib import Path

import pytest

from nous_ledger.anchor.abi import encode_call
from nous_ledger.anchor.anchorer import goal_of
from nous_ledger.anchor.errors import AnchorUseError, ChainContentError
from nous_ledger.anchor.forking import PrefixProof, fork_step
from nous_ledger.anchor.outbox import State
from nous_ledger.anchor.steps import Step, read_head, rotation_step
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, UnixSeconds
from tests.integration.anchor.harness import Node, Party, grow


def rotate(log: Ledger, place: Path, number: int) -> None:
    """Rotate to the key in one file and commit to one in another."""
    keys = place / "offline"
    before = keys / ("next.key" if number == 1 else f"next{number - 1}.key")
    log.rotate(before, next_key_out=keys / f"next{number}.key", reason="scheduled")


def settle(party: Party, node: Node) -> None:
    for _ in range(6):
        party.round()
        node.finalize()
    assert party.round().slots == ()


def purposes(party: Party) -> list[str]:
    return [slot.purpose for slot in party.outbox.slots()]


def test_rotations_go_before_the_heads_of_their_epochs(
    party: Party, node: Node, tmp_path: Path
) -> None:
    party.round()
    for number in (1, 2):
        rotate(party.ledger, tmp_path, number)
        grow(party.ledger, 2, random.Random(number))
    goal = goal_of(party.ledger)
    assert (goal.leaf_count, goal.epoch) == (11, 2)
    settle(party, node)
    assert purposes(party) == ["register", "anchor", "rotate", "rotate", "anchor"]
    state = party.state("finalized")
    assert (state.leaf_count, state.epoch, state.head_epoch) == (11, 2, 2)
    assert goal.is_met_by(state)
    assert {slot.state for slot in party.outbox.slots()} == {State.FINAL}


def test_the_last_head_goes_before_the_close(party: Party, node: Node, tmp_path: Path) -> None:
    """A head that covers the close is refused by the contract: the one before it is anchored."""
    party.ledger.close_log(tmp_path / "offline" / "next.key")
    assert goal_of(party.ledger).leaf_count == 5
    settle(party, node)
    assert purposes(party) == ["register", "anchor", "rotate"]
    state = party.state("finalized")
    assert (state.leaf_count, state.closed) == (5, True)
    assert goal_of(party.ledger).is_met_by(state)


def test_a_close_that_came_first(party: Party, tmp_path: Path) -> None:
    """Anybody can relay a close: then the newest head before it stays out."""
    log = party.ledger
    log.close_log(tmp_path / "offline" / "next.key")
    party.deliver(rotation_step(log, log.key_history(), Epoch(1)))
    assert party.step() is None
    with pytest.raises(AnchorUseError, match="the close before the head of 5") as caught:
        party.anchorer.state_at("latest")
    assert caught.value.code == "log-closed"


def forged(log: Ledger, head: Checkpoint, timestamp: int) -> bytes:
    """Sign a head with the log's keys, as whoever holds them could."""
    secrets = json.loads((log.folder / "keys.json").read_text("ascii"))["secrets"]
    return sign_head(
        head,
        log_id=log.log_id,
        epoch=Epoch(0),
        timestamp=UnixSeconds(timestamp),
        key=SigningKey(bytes.fromhex(secrets["secp256k1"])),
        ed25519=Ed25519Key(bytes.fromhex(secrets["ed25519"])),
    )


def test_a_fork_is_flagged_for_ever(party: Party, node: Node) -> None:
    log = party.ledger
    honest = log.latest_head()
    head = parse_checkpoint(parse_note(honest).text)
    other = Checkpoint(origin=head.origin, leaf_count=head.leaf_count, root=Hash32(b"\x07" * 32))
    assert not party.state().forked
    party.deliver(fork_step((honest, forged(log, other, 1_800_000_000)), log.log_id, None))
    assert party.state().forked
    settle(party, node)  # it blocks nothing
    assert party.state("finalized").leaf_count == 5


def test_a_head_that_is_no_prefix_is_a_fork(party: Party) -> None:
    log = party.ledger
    grow(log, 4, random.Random(1))
    smaller = Checkpoint(origin=log.origin, leaf_count=LeafCount(4), root=Hash32(b"\x07" * 32))
    notes = (forged(log, smaller, 1_800_000_000), log.latest_head())
    with pytest.raises(InputError, match="need the proof"):
        fork_step(notes, log.log_id, None)
    root = read_root(log.read_nodes, LeafCount(4))
    proof = PrefixProof(root=root, path=log.consistency(4, 9))
    party.deliver(fork_step(notes, log.log_id, proof))
    assert party.state().forked


def test_honest_heads_are_no_fork(party: Party) -> None:
    log = party.ledger
    first = log.latest_head()
    grow(log, 4, random.Random(1))
    root = read_root(log.read_nodes, LeafCount(5))
    with pytest.raises(AnchorUseError, match="prefix") as caught:
        fork_step((first, log.latest_head()), log.log_id, PrefixProof(root=root, path=()))
    assert caught.value.code == "no-fork"
    lie = PrefixProof(root=Hash32(b"\x01" * 32), path=log.consistency(5, 9))
    with pytest.raises(ChainContentError, match="ProofRootMismatch"):
        party.deliver(fork_step((log.latest_head(), first), log.log_id, lie))


def test_a_ledger_that_is_behind_the_contract_sends_nothing(
    party: Party, node: Node, tmp_path: Path
) -> None:
    shutil.copytree(party.ledger.folder, tmp_path / "copy")
    grow(party.ledger, 3, random.Random(1))
    party.round()
    node.mine()
    with Ledger.open(tmp_path / "copy", read_only=True) as older:
        behind = Party(ledger=older, pool=party.pool, outbox=party.outbox)
        with pytest.raises(ChainContentError, match="8 leaves, the ledger has 5") as caught:
            behind.round()
    assert caught.value.code == "chain-ahead"


def test_a_ledger_of_another_history_sends_nothing(party: Party) -> None:
    """Somebody who holds the key has anchored a head that this ledger never had."""
    log = party.ledger
    foreign = Checkpoint(origin=log.origin, leaf_count=LeafCount(3), root=Hash32(b"\x07" * 32))
    head = read_head(forged(log, foreign, 1_790_000_000), log.log_id)
    arguments = head.arguments(log.log_id)
    party.deliver(Step(purpose="anchor", data=encode_call("anchor", *arguments, ())))
    with pytest.raises(ChainContentError, match="another root than the ledger") as caught:
        party.round()
    assert caught.value.code == "chain-forked"
