"""The sentinel beside a real chain: what is anchored against what the log shows."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.anchor.abi import encode_call
from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.forking import fork_step
from nous_ledger.anchor.steps import Step, read_head
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.types import Hash32, LeafCount
from sentinel.audit.findings import Finding, Place, Severity
from sentinel.cli import run
from sentinel.evm import AnchorContract
from sentinel.folder_source import FolderSource
from sentinel.log_audit import LogAudit
from sentinel.log_options import Options
from sentinel.state import State
from tests.integration.anchor.harness import Node, Party, grow
from tests.integration.anchor.proxies import proxied
from tests.integration.anchor.test_rotations import forged


@dataclass
class Watch:
    """A sentinel of one log, with a memory."""

    log: Ledger
    base: Path
    urls: list[str]
    options: dict[str, Any] = field(default_factory=dict)

    def publish(self) -> None:
        publish(self.log.folder, self.base / "public", all_bodies=True)

    def look(self, **more: Any) -> dict[str, Finding]:
        """Look once with everything opened anew, and return what was found about anchors."""
        contract = AnchorContract(self.urls, load_artifact().address)
        options = Options(
            policy=parse_policy(self.log.policy_text()),
            origin=self.log.origin,
            anchors=contract,
            **more,
        )
        source = FolderSource(self.base / "public")
        with State.held(self.base / "sentinel.sqlite") as state:
            report = LogAudit(state, source, options).round()
        return {found.code: found for found in report.findings if found.place is Place.ANCHOR}


@pytest.fixture
def watch(party: Party, node: Node, tmp_path: Path) -> Watch:
    made = Watch(log=party.ledger, base=tmp_path, urls=[node.url])
    made.publish()
    node.finalize()
    return made


def anchor(party: Party, node: Node) -> None:
    party.round()
    node.mine()
    node.finalize()
    party.round()


def test_an_honest_log_is_not_accused(watch: Watch, party: Party, node: Node) -> None:
    """SENT-24 to SENT-28: before the first anchor, after it, and as the log grows."""
    assert watch.look() == {}
    for records in (2, 5):
        anchor(party, node)
        assert watch.look(anchor_max_age_s=10**6) == {}
        grow(party.ledger, records, random.Random(records))
        watch.publish()
        assert watch.look() == {}


def test_an_anchored_head_of_another_tree(watch: Watch, party: Party, node: Node) -> None:
    """SENT-25: the log's own signature accuses it."""
    log = party.ledger
    foreign = Checkpoint(origin=log.origin, leaf_count=LeafCount(3), root=Hash32(b"\x07" * 32))
    head = read_head(forged(log, foreign, 1_790_000_000), log.log_id)
    party.deliver(
        Step(purpose="other", data=encode_call("anchor", *head.arguments(log.log_id), ()))
    )
    node.finalize()
    found = watch.look()["contradiction"]
    assert found.severity is Severity.FAULT
    assert found.attrs["anchored_root"] == "07" * 32
    assert found.attrs["signature"] == head.signature.signature.hex()


def test_a_root_without_the_logs_signature(watch: Watch, party: Party, node: Node) -> None:
    """SENT-25: servers alone accuse nobody."""
    anchor(party, node)

    def tamper(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            for event in answer["result"]:
                data = bytearray.fromhex(event["data"][2:])
                data[70] ^= 1  # within the root
                event["data"] = f"0x{data.hex()}"
        return answer

    with proxied(node.rpc.port, tamper) as liar:
        watch.urls = [liar.url]
        assert set(watch.look()) == {"unproved"}


def test_a_withheld_event(watch: Watch, party: Party, node: Node) -> None:
    """SENT-26; what was not proved is not remembered, so an honest server clears it."""
    anchor(party, node)
    assert watch.look() == {}
    grow(party.ledger, 2, random.Random(1))
    watch.publish()
    anchor(party, node)

    def tamper(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getLogs":
            answer["result"] = []
        return answer

    with proxied(node.rpc.port, tamper) as liar:
        watch.urls = [liar.url]
        assert watch.look()["event-missing"].severity is Severity.FAULT
    watch.urls = [node.url]
    assert watch.look() == {}


def test_a_chain_that_goes_back(watch: Watch, party: Party, node: Node) -> None:
    """SENT-26."""
    snapshot = node.rpc("evm_snapshot")
    anchor(party, node)
    assert watch.look() == {}
    assert node.rpc("evm_revert", snapshot)
    assert set(watch.look()) == {"rewound"}


def test_a_fork_flag(watch: Watch, party: Party, node: Node) -> None:
    """SENT-27."""
    log = party.ledger
    other = Checkpoint(origin=log.origin, leaf_count=LeafCount(5), root=Hash32(b"\x07" * 32))
    notes = (log.latest_head(), forged(log, other, 1_800_000_000))
    party.deliver(fork_step(notes, log.log_id, None))
    node.finalize()
    assert watch.look()["forked"].severity is Severity.FAULT


def test_a_log_that_stopped_anchoring(watch: Watch, party: Party, node: Node) -> None:
    """SENT-28."""
    anchor(party, node)
    node.rpc("evm_increaseTime", hex(1000))
    node.finalize()
    assert watch.look(anchor_max_age_s=500) == {}  # nothing newer waits
    grow(party.ledger, 1, random.Random(1))
    watch.publish()
    assert watch.look(anchor_max_age_s=10**6) == {}
    assert watch.look(anchor_max_age_s=500)["stopped"].severity is Severity.FAULT


def test_more_is_anchored_than_is_shown(watch: Watch, party: Party, node: Node) -> None:
    """SENT-25."""
    grow(party.ledger, 3, random.Random(1))
    anchor(party, node)
    assert watch.look()["ahead"].info.required


@contextmanager
def other_chain(node: Node) -> Iterator[str]:
    """A server whose final blocks have other hashes."""

    def tamper(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if request["method"] == "eth_getBlockByNumber":
            answer["result"]["hash"] = "0x" + "66" * 32
        return answer

    with proxied(node.rpc.port, tamper) as liar:
        yield liar.url


def test_trouble_with_servers_is_no_accusation(watch: Watch, node: Node) -> None:
    """SENT-24."""
    honest = watch.urls
    watch.urls = [*honest, "http://127.0.0.1:9/secretkey"]
    found = watch.look()["unreachable"]
    assert found.info.required
    assert found.severity is Severity.UNCHECKED
    assert "secretkey" not in found.message
    with other_chain(node) as url:
        watch.urls = [*honest, url]
        assert "contradict each other" in watch.look()["unreachable"].message


def test_the_command(watch: Watch, party: Party, node: Node, tmp_path: Path) -> None:
    anchor(party, node)
    policy = tmp_path / "trust.policy"
    policy.write_bytes(party.ledger.policy_text())
    command = [
        *(str(tmp_path / "public"), "--policy", str(policy)),
        *("--state", str(tmp_path / "s.sqlite"), "--anchor-rpc", node.url, "--anchor-contract"),
    ]
    address = f"0x{load_artifact().address.hex()}"
    assert run([*command, address]) == 0
    assert run([*command, f"0x{load_artifact().factory.hex()}"]) == 3
    assert run([*command, "0x12"]) == 2
