"""Deploying the contract by the CREATE2 factory that stands on nearly every chain."""

from __future__ import annotations

from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.errors import AnchorUseError
from nous_ledger.anchor.fees import format_ether
from nous_ledger.anchor.rpc import RpcPool
from nous_ledger.anchor.state import code_at
from nous_ledger.anchor.steps import Step
from nous_ledger.protocol.hashing import keccak256


def is_deployed(pool: RpcPool) -> bool:
    """Return whether the contract stands at its one address.

    Raises:
        AnchorUseError: wrong-contract, wrong-chain.
        ChainError: rpc-unreachable, rpc-disagree.
    """
    artifact = load_artifact()
    code = pool.agreed(lambda one: code_at(one, artifact.address), "the contract's code")
    if code and keccak256(code) != artifact.code_hash:
        raise AnchorUseError(
            "wrong-contract", f"another contract stands at 0x{artifact.address.hex()}"
        )
    return bool(code)


def deploy_step(pool: RpcPool) -> Step:
    """Return the call of the factory that deploys the contract.

    Raises:
        AnchorUseError: no-factory, wrong-chain.
        ChainError: rpc-unreachable, rpc-disagree.
    """
    artifact = load_artifact()
    if not pool.agreed(lambda one: code_at(one, artifact.factory), "the factory's code"):
        raise AnchorUseError(
            "no-factory",
            f"no CREATE2 factory stands at 0x{artifact.factory.hex()}",
            hint=f"send {format_ether(artifact.factory_funding)} ETH to"
            f" 0x{artifact.factory_signer.hex()}, then broadcast the factory's transaction"
            " (docs/anchoring.md)",
        )
    return Step(
        purpose="deploy",
        data=artifact.salt + artifact.creation_code,
        summary=f"deploy the contract at 0x{artifact.address.hex()}",
    )
