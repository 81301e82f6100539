"""What forge tests: fuzzing against a naive tree, invariants among adversaries, gas, vectors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

from tests.contracts.solidity import CONTRACTS

INSTALLED = CONTRACTS / "node_modules/@foundry-rs/forge-linux-amd64/bin/forge"
FEWEST_TESTS = 35
# Of a fuzz test, of an invariant, and the calls in one run of the latter.
RUNS = {"fuzz": "12", "invariant": "2", "depth": "40"}
RUNS_FULL = {"fuzz": "1000", "invariant": "60", "depth": "60"}


@pytest.fixture(scope="module")
def forge(anvil_program: str) -> str:
    """Forge, which what brings anvil brings too; elsewhere one on the PATH serves."""
    assert anvil_program
    found = str(INSTALLED) if INSTALLED.exists() else shutil.which("forge")
    if not found:
        pytest.skip("no forge: npm brought none for this machine, and none is on the PATH")
    return found


def run_forge(forge: str, *arguments: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if "FOUNDRY" not in name}
    run = subprocess.run(
        [forge, *arguments, "--color", "never"],
        cwd=CONTRACTS,
        env=kept | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_forge(forge: str, full: bool) -> None:
    runs = RUNS_FULL if full else RUNS
    output = run_forge(
        forge,
        "test",
        FOUNDRY_FUZZ_RUNS=runs["fuzz"],
        FOUNDRY_INVARIANT_RUNS=runs["invariant"],
        FOUNDRY_INVARIANT_DEPTH=runs["depth"],
        # Gas is compared with contracts/snapshots; `forge test` alone writes what it measured.
        FORGE_SNAPSHOT_CHECK="true",
    )
    passed, skipped = re.findall(r"(\d+) tests passed, 0 failed, (\d+) skipped \(", output)[-1]
    assert int(passed) >= FEWEST_TESTS, output
    assert skipped == "0", output


def test_sources_are_formatted(forge: str) -> None:
    run_forge(forge, "fmt", "--check")
