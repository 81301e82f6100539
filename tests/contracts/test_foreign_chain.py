"""On a chain that lacks a precompile the library refuses; it never takes memory for a hash."""

from __future__ import annotations

import pytest

from tests.contracts.conftest import HARNESS
from tests.contracts.evm import Contract, JsonRpc, Reverted
from tests.contracts.solidity import compile_contract
from tests.contracts.test_identity import KEY
from tests.contracts.test_proofs import DISTINCT, consistency_case, inclusion_case

# A call to an address without code succeeds and returns nothing: what a missing precompile is.
NO_PRECOMPILES = {
    "staticcall(gas(), 2,": "staticcall(gas(), 0xdead,",
    "address(5).staticcall": "address(0xdead).staticcall",
}


@pytest.fixture(scope="module")
def foreign(anvil: JsonRpc) -> Contract:
    return Contract(anvil, compile_contract(*HARNESS, NO_PRECOMPILES))


def test_no_proof_verifies_without_sha_256(foreign: Contract) -> None:
    refused = Reverted("Sha256Unavailable")
    assert foreign.call("nodeHash", bytes(32), bytes(32)) == refused
    assert foreign.call("verifyInclusion", *inclusion_case(DISTINCT, 2, 5)) == refused
    assert foreign.call("verifyConsistency", *consistency_case(DISTINCT, 3, 5)) == refused


def test_no_key_has_an_address_without_modular_powers(foreign: Contract) -> None:
    assert foreign.call("addressOf", KEY) == Reverted("KeyInvalid", (KEY,))
