"""What the package carries is what the sources compile to, and stands at one address everywhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nous_ledger.protocol.hashing import keccak256
from scripts.build_contract import CONTRACT_JSON, create2_address, describe
from tests.contracts.conftest import ANCHOR
from tests.contracts.evm import JsonRpc, running_anvil, transact
from tests.contracts.solidity import compile_contract

# Instructions by which code could be replaced, destroyed, run in its place, or paid out.
FORBIDDEN = {
    0xF0: "CREATE",
    0xF2: "CALLCODE",
    0xF4: "DELEGATECALL",
    0xF5: "CREATE2",
    0xFF: "SELFDESTRUCT",
}
PUSH1, PUSH32 = 0x60, 0x7F


@pytest.fixture(scope="module")
def shipped() -> dict[str, Any]:
    """contract.json, as the package carries it."""
    document: dict[str, Any] = json.loads(CONTRACT_JSON.read_text(encoding="utf-8"))
    return document


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.mark.usefixtures("anvil_program")
def test_the_package_carries_what_the_sources_compile_to() -> None:
    text = describe(compile_contract(*ANCHOR))
    assert CONTRACT_JSON.read_bytes() == text.encode(), "run: python -m scripts.build_contract"


def test_hashes_and_address_follow_from_the_code(shipped: dict[str, Any]) -> None:
    code, salt = unhex(shipped["creationCode"]), unhex(shipped["salt"])
    assert unhex(shipped["initCodeHash"]) == keccak256(code)
    assert unhex(shipped["runtimeCodeHash"]) == keccak256(unhex(shipped["runtimeCode"]))
    assert code.endswith(unhex(shipped["runtimeCode"]))
    found = create2_address(unhex(shipped["factory"]), salt, code)
    assert found == unhex(shipped["address"])


def test_nothing_is_payable_and_no_one_owns_anything(shipped: dict[str, Any]) -> None:
    kinds = {entry["type"] for entry in shipped["abi"]}
    assert kinds == {"function", "event", "error"}, "no constructor, receive or fallback"
    functions = [entry for entry in shipped["abi"] if entry["type"] == "function"]
    assert {entry["stateMutability"] for entry in functions} == {"nonpayable", "view", "pure"}
    changing = {e["name"] for e in functions if e["stateMutability"] == "nonpayable"}
    assert changing == {"register", "anchor", "anchorBatch", "rotate", "reportFork"}


def test_the_code_cannot_be_replaced_or_run_other_code(shipped: dict[str, Any]) -> None:
    code, at, found = unhex(shipped["runtimeCode"]), 0, set()
    while at < len(code):
        found.add(code[at])
        at += 1 + (code[at] - PUSH1 + 1 if PUSH1 <= code[at] <= PUSH32 else 0)
    assert not {FORBIDDEN[one] for one in found & FORBIDDEN.keys()}
    assert len(code) <= 24_576, "EIP-170"


@pytest.mark.parametrize("chain_id", [8453, 1])
def test_anyone_deploys_it_at_the_known_address(
    anvil_program: str, shipped: dict[str, Any], chain_id: int
) -> None:
    """On a chain without the factory: the factory first, by its signed transaction."""
    options = ("--disable-default-create2-deployer", "--chain-id", str(chain_id))
    with running_anvil(anvil_program, *options) as rpc:
        assert rpc("eth_chainId") == hex(chain_id)
        assert code_at(rpc, shipped["factory"]) == b""
        sender = rpc("eth_accounts")[3]
        funding = hex(int(shipped["factoryFunding"]))
        transact(rpc, {"from": sender, "to": shipped["factorySigner"], "value": funding})
        rpc("eth_sendRawTransaction", shipped["factoryTransaction"])
        rpc("evm_mine")
        assert code_at(rpc, shipped["factory"])
        data = shipped["salt"] + shipped["creationCode"].removeprefix("0x")
        transact(rpc, {"from": sender, "to": shipped["factory"], "data": data})
        assert code_at(rpc, shipped["address"]) == unhex(shipped["runtimeCode"])
        # A second deployment of the same code fails: there is no other contract at the address.
        (again,) = rpc.batch("eth_call", [[{"to": shipped["factory"], "data": data}, "latest"]])
        assert "error" in again


def code_at(rpc: JsonRpc, address: str) -> bytes:
    return unhex(rpc("eth_getCode", address, "latest"))
