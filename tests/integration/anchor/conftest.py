"""A private chain with the contract on it, once per process; every test starts from one block."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from tests.contracts.conftest import anvil_program
from tests.contracts.evm import running_anvil
from tests.integration.anchor.harness import Node, Party, deploy, grow, opened

__all__ = ["anvil_program"]


@pytest.fixture(scope="session")
def shared_node(anvil_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Chain 8453 with the contract on it; `safe` and `finalized` move with every few blocks."""
    with running_anvil(anvil_program, "--slots-in-an-epoch", "2") as rpc:
        node = Node(rpc=rpc)
        deploy(node, tmp_path_factory.mktemp("deploy"))
        node.finalize()
        yield node


@pytest.fixture
def node(shared_node: Node) -> Iterator[Node]:
    """The chain as it was after the deployment."""
    snapshot = shared_node.rpc("evm_snapshot")
    yield shared_node
    # What waits, and the fee of the next block, are no part of a snapshot.
    shared_node.rpc("anvil_dropAllTransactions")
    assert shared_node.rpc("evm_revert", snapshot) is True
    shared_node.rpc("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    shared_node.automine(on=True)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Ledger]:
    """A log of five leaves whose newest head covers them; its clock is the machine's."""
    keys = tmp_path / "offline"
    keys.mkdir(mode=0o700)
    with Ledger.create(
        tmp_path / "ledger", next_key_out=keys / "next.key", origin="test.example.com/anchored"
    ) as made:
        grow(made, 4, random.Random(7))
        yield made


@pytest.fixture
def party(tmp_path: Path, log: Ledger, node: Node) -> Iterator[Party]:
    """Who relays this log's heads; the log is registered."""
    time_of_chain = int(node.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    assert abs(time_of_chain - time.time()) < 300
    with opened(tmp_path / "party", log, [node.url]) as made:
        made.register()
        yield made
