"""A private chain with the contract on it, a ledger, and who pays."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nous_ledger.anchor.anchorer import Anchorer, Round
from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.chains import Chain
from nous_ledger.anchor.deploying import deploy_step
from nous_ledger.anchor.outbox import Outbox, Slot, State
from nous_ledger.anchor.relayer import KeystoreRelayer, account_library
from nous_ledger.anchor.rpc import RpcPool
from nous_ledger.anchor.sender import Sender
from nous_ledger.anchor.state import ContractReader, ContractState
from nous_ledger.anchor.steps import Step, next_step, register_step
from nous_ledger.anchor.waiting import Delivery, Patience
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.anchor_contract import ANCHORED_TOPIC
from tests.contracts.evm import CHAIN_ID, JsonRpc
from tests.integration.ledger_drafts import make_draft

CHAIN = Chain(chain_id=CHAIN_ID, name="base")
ETHER = 10**18
PASSPHRASE = "sea lion"

# The accounts that anvil funds; their keys are known to everybody.
SECRETS = tuple(
    bytes.fromhex(text)
    for text in (
        "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
        "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
        "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
    )
)
AT_ONCE = Patience(until=State.MINED, timeout_s=10, poll_s=0.01)


@dataclass(slots=True)
class FakeTime:
    """A clock that stands still until it is moved; in seconds."""

    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The private chain."""

    rpc: JsonRpc

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.rpc.port}"

    def mine(self, blocks: int = 1) -> None:
        self.rpc("anvil_mine", hex(blocks))

    def finalize(self) -> None:
        """Let all that is mined become final: two epochs of two blocks, and one more."""
        self.mine(6)

    def automine(self, *, on: bool) -> None:
        self.rpc("evm_setAutomine", on)

    @property
    def height(self) -> int:
        return int(self.rpc("eth_blockNumber"), 16)


def deploy(node: Node, folder: Path) -> None:
    """Deploy the contract, as `anchor deploy` does."""
    pool = RpcPool([node.url], CHAIN_ID)
    with Outbox(folder / "deploy.db") as outbox, outbox.sending():
        sender = Sender(pool, CHAIN, KeystoreRelayer(SECRETS[2]), outbox, max_cost=ETHER)
        delivery = Delivery(sender, outbox, AT_ONCE, lambda _slot, _troubles: None)
        delivery.send(deploy_step(pool), load_artifact().factory)


@dataclass(slots=True, kw_only=True)
class Party:
    """One relayer of a ledger: its servers, its outbox, its account."""

    ledger: Ledger
    pool: RpcPool
    outbox: Outbox
    secret: bytes = SECRETS[0]
    clock: FakeTime = field(default_factory=FakeTime)
    max_cost: int = ETHER

    @property
    def contract(self) -> ContractReader:
        return ContractReader(self.pool, load_artifact().address)

    @property
    def sender(self) -> Sender:
        return Sender(
            self.pool,
            CHAIN,
            KeystoreRelayer(self.secret),
            self.outbox,
            max_cost=self.max_cost,
            clock=self.clock,
        )

    @property
    def anchorer(self) -> Anchorer:
        return Anchorer(
            self.ledger, self.contract, self.sender, self.outbox, replace_s=60, clock=self.clock
        )

    def register(self) -> None:
        self.deliver(register_step(self.ledger.key_history()))

    def deliver(self, step: Step) -> Slot:
        with self.outbox.sending():
            delivery = Delivery(self.sender, self.outbox, AT_ONCE, lambda _slot, _troubles: None)
            return delivery.send(step, load_artifact().address)

    def round(self, *, may_open: bool = True) -> Round:
        with self.outbox.sending():
            return self.anchorer.round(may_open=may_open)

    def state(self, tag: str = "latest") -> ContractState:
        found = self.contract.agreed_state(self.ledger.log_id, tag)
        assert found is not None
        return found

    def step(self) -> Step | None:
        return next_step(self.ledger, self.state())


def grow(ledger: Ledger, records: int, seed: random.Random) -> int:
    """Append records and sign a head over them; return its leaf count."""
    ledger.append_many([make_draft(seed) for _ in range(records)])
    ledger.head()
    return ledger.leaf_count()


def anchored_events(node: Node) -> list[dict[str, Any]]:
    """Return every event Anchored of the chain, in order."""
    wanted = {
        "address": f"0x{load_artifact().address.hex()}",
        "topics": [f"0x{ANCHORED_TOPIC.hex()}"],
        "fromBlock": "0x0",
        "toBlock": "latest",
    }
    events: list[dict[str, Any]] = node.rpc("eth_getLogs", wanted)
    return events


@contextmanager
def opened(party_folder: Path, ledger: Ledger, urls: list[str], **more: Any) -> Iterator[Party]:
    """Give a party whose outbox lies in a folder."""
    party_folder.mkdir(exist_ok=True)
    quorum = more.pop("quorum", None)
    timeout = more.pop("timeout_s", 5.0)
    pool = RpcPool(urls, CHAIN_ID, quorum=quorum, timeout_s=timeout)
    with Outbox(party_folder / "anchor.db") as outbox:
        yield Party(ledger=ledger, pool=pool, outbox=outbox, **more)


def write_weak_keystore(path: Path, secret: bytes, passphrase: str) -> Path:
    """Write a keystore whose sealing costs next to nothing, as tests open many."""
    document = account_library().Account.encrypt(secret, passphrase, kdf="pbkdf2", iterations=2)
    path.write_text(json.dumps(document), "ascii")
    path.chmod(0o600)
    return path
