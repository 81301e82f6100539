"""The contracts' library, compiled and deployed on a private chain, once per test process."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.evm import Contract, JsonRpc, running_anvil
from tests.contracts.solidity import CONTRACTS, compile_contract

SETUP = CONTRACTS.parent / "scripts" / "setup-contracts"
SETUP_SECONDS = 90
NOT_POSSIBLE_HERE = 3
HARNESS = ("test/NousLedgerHarness.sol", "NousLedgerHarness")
ANCHOR = ("src/NousAnchor.sol", "NousAnchor")


@pytest.fixture(scope="session")
def anvil_program() -> str:
    """Install npm's solc and anvil and return anvil; skip where that is not possible."""
    try:
        run = subprocess.run(
            [str(SETUP)], capture_output=True, text=True, timeout=SETUP_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"scripts/setup-contracts took more than {SETUP_SECONDS} s: run it by hand")
    if run.returncode == NOT_POSSIBLE_HERE:
        pytest.skip(run.stderr.strip().splitlines()[-1])
    assert run.returncode == 0, run.stdout + run.stderr
    installed = CONTRACTS / "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
    program = str(installed) if installed.exists() else shutil.which("anvil")
    assert program, "scripts/setup-contracts found an anvil and this fixture does not"
    return program


@pytest.fixture(scope="session")
def anvil(anvil_program: str) -> Iterator[JsonRpc]:
    """A private chain."""
    with running_anvil(anvil_program) as rpc:
        yield rpc


@pytest.fixture(scope="session")
def harness(anvil: JsonRpc) -> Contract:
    """The library's functions, compiled and deployed."""
    return Contract(anvil, compile_contract(*HARNESS))


@pytest.fixture(scope="session")
def anchor(anvil: JsonRpc) -> Contract:
    """The anchor contract, deployed; tests give their calls the state that they start from."""
    return Contract(anvil, compile_contract(*ANCHOR))


@pytest.fixture
def new_anchor(anvil: JsonRpc) -> Contract:
    """An anchor contract of its own, for tests that send transactions."""
    return Contract(anvil, compile_contract(*ANCHOR))


@pytest.fixture
def block_time(anvil: JsonRpc) -> int:
    """Unix seconds of the newest block."""
    return int(anvil("eth_getBlockByNumber", "latest", False)["timestamp"], 16)


@pytest.fixture(scope="session")
def copied_contracts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with nothing but the contracts and the script that sets them up."""
    top = tmp_path_factory.mktemp("checkout")
    skip = shutil.ignore_patterns("node_modules", "out")
    shutil.copytree(CONTRACTS, top / "contracts", ignore=skip)
    (top / "scripts").mkdir()
    shutil.copy2(SETUP, top / "scripts")
    return top
