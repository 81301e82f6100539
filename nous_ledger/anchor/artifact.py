"""The anchor contract as it is deployed: its ABI, its code and its one address."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

from nous_ledger.protocol.types import Hash32

CONTRACT_FILE = "contract.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """The compiled contract.

    Attributes:
        abi: functions, events and errors, as the compiler describes them.
        creation_code: what deploys it.
        code_hash: Keccak-256 of the code of a deployed contract.
        address: 20 bytes; where the factory puts it, the same on every chain.
        factory: address of the CREATE2 factory, 20 bytes.
        salt: 32 bytes.
        factory_signer: account that deploys the factory where it is absent, 20 bytes.
        factory_funding: wei that this account needs.
        factory_transaction: its one signed transaction.
    """

    abi: tuple[dict[str, Any], ...]
    creation_code: bytes
    code_hash: Hash32
    address: bytes
    factory: bytes
    salt: bytes
    factory_signer: bytes
    factory_funding: int
    factory_transaction: bytes


@lru_cache(maxsize=1)
def load_artifact() -> Artifact:
    """Return the contract of this version."""
    file = resources.files("nous_ledger.anchor").joinpath(CONTRACT_FILE)
    found = json.loads(file.read_text("ascii"))
    return Artifact(
        abi=tuple(found["abi"]),
        creation_code=_bytes(found["creationCode"]),
        code_hash=Hash32(_bytes(found["runtimeCodeHash"])),
        address=_bytes(found["address"]),
        factory=_bytes(found["factory"]),
        salt=_bytes(found["salt"]),
        factory_signer=_bytes(found["factorySigner"]),
        factory_funding=int(found["factoryFunding"]),
        factory_transaction=_bytes(found["factoryTransaction"]),
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))
