"""scripts/setup-contracts: exact pins, quick when nothing is to be done, clear when it cannot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.contracts.conftest import NOT_POSSIBLE_HERE, SETUP
from tests.contracts.solidity import CONTRACTS

CLOSED_PORT = "http://127.0.0.1:9/"


def run_setup(top: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(top / "scripts" / "setup-contracts")],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_lock_pins_hashes_and_names_no_host() -> None:
    lock = json.loads((CONTRACTS / "package-lock.json").read_text(encoding="utf-8"))
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert "node_modules/solc" in packages
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name


def test_direct_dependencies_are_exact_versions() -> None:
    manifest = json.loads((CONTRACTS / "package.json").read_text(encoding="utf-8"))
    pins = {**manifest["dependencies"], **manifest["optionalDependencies"]}
    assert {"solc", "@foundry-rs/anvil-linux-amd64"} <= set(pins)
    assert all(version.replace(".", "").isdigit() for version in pins.values()), pins


def test_a_second_run_does_nothing_and_is_quick(anvil_program: str) -> None:
    started = time.monotonic()
    run = run_setup(SETUP.parents[1])
    assert run.returncode == 0, run.stderr
    assert time.monotonic() - started < 5
    assert "up to date" in run.stdout
    assert "solc 0.8.37" in run.stdout


def test_without_npm_it_says_so(copied_contracts: Path, tmp_path: Path) -> None:
    for tool in ("bash", "dirname", "env", "cat"):
        found = shutil.which(tool)
        assert found
        (tmp_path / tool).symlink_to(found)
    run = run_setup(copied_contracts, PATH=str(tmp_path))
    assert run.returncode == NOT_POSSIBLE_HERE
    assert "node is not installed" in run.stderr.splitlines()[-1]


@pytest.mark.usefixtures("anvil_program")
def test_without_a_registry_it_says_so(copied_contracts: Path, tmp_path: Path) -> None:
    run = run_setup(
        copied_contracts, npm_config_registry=CLOSED_PORT, npm_config_cache=str(tmp_path)
    )
    assert run.returncode == NOT_POSSIBLE_HERE, run.stdout + run.stderr
    assert "cannot get the packages" in run.stderr.splitlines()[-1]
    assert not (copied_contracts / "contracts/node_modules/.nous-setup").exists()


@pytest.mark.usefixtures("anvil_program")
def test_a_package_that_does_not_match_its_hash_is_an_error(copied_contracts: Path) -> None:
    lock = copied_contracts / "contracts" / "package-lock.json"
    text = lock.read_text(encoding="utf-8")
    solc = json.loads(text)["packages"]["node_modules/solc"]["integrity"]
    lock.write_text(text.replace(solc, "sha512-" + "A" * 86 + "=="), encoding="utf-8")
    run = run_setup(copied_contracts)
    lock.write_text(text, encoding="utf-8")
    if run.returncode == NOT_POSSIBLE_HERE:
        pytest.skip(run.stderr.strip().splitlines()[-1])
    assert run.returncode == 1, run.stdout + run.stderr
    assert "EINTEGRITY" in run.stderr
