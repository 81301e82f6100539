"""A private chain with the contract on it, once per process; every test starts from one block."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.cli.main import run
from nous_ledger.ledger import Ledger
from tests.cli.harness import Call, Outcome
from tests.contracts.conftest import anvil_program
from tests.contracts.evm import running_anvil
from tests.integration.anchor.harness import (
    PASSPHRASE,
    SECRETS,
    Node,
    Party,
    deploy,
    grow,
    opened,
    write_weak_keystore,
)

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


@pytest.fixture
def nous(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, log: Ledger, node: Node
) -> Call:
    """Run the program in this process, with ledger and server named by the environment."""
    monkeypatch.setenv("NOUS_LEDGER_DIR", str(log.folder))
    monkeypatch.setenv("NOUS_LEDGER_RPC", node.url)
    monkeypatch.setenv("RELAYER_WORDS", PASSPHRASE)

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Outcome(code=code, out=printed.out, err=printed.err)

    return call


@pytest.fixture
def relayer(tmp_path: Path) -> Path:
    return write_weak_keystore(tmp_path / "relayer.json", SECRETS[0], PASSPHRASE)


@pytest.fixture
def pay(relayer: Path) -> tuple[object, ...]:
    """Options that name who pays."""
    return (
        *("--relayer-key", relayer, "--relayer-passphrase-env", "RELAYER_WORDS"),
        *("--max-cost", "0.1", "--poll", "0.05"),
    )
