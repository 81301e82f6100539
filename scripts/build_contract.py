"""Compile the anchor contract and write what the Python package carries of it.

`python -m scripts.build_contract` writes nous_ledger/anchor/contract.json, and with `--check`
only says whether the file is what the sources and the pinned compiler give. It needs what
`scripts/setup-contracts` installs.
"""

import argparse
import json
import sys
from pathlib import Path

from nous_ledger.protocol.hashing import keccak256
from tests.contracts.solidity import CONTRACTS, Artifact, compile_contract

CONTRACT_JSON = CONTRACTS.parent / "nous_ledger" / "anchor" / "contract.json"
SOURCE = ("src/NousAnchor.sol", "NousAnchor")

# The deterministic deployment proxy: whoever calls it with salt and code makes the same contract
# at the same address. Its own creation is signed once and for all, with an r and s that nobody
# could have computed from a key, so its address is the same on every chain that takes the
# transaction (which, older than EIP-155, names no chain).
FACTORY = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
FACTORY_SIGNER = "0x3fAB184622Dc19b6109349B94811493BF2a45362"
FACTORY_FUNDING = 10**16
FACTORY_CODE = (
    "604580600e600039806000f350fe"
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "e03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
)
FACTORY_TRANSACTION = (
    "0xf8a58085174876e800830186a08080b853" + FACTORY_CODE + "1ba0" + "2" * 64 + "a0" + "2" * 64
)
SALT = bytes(32)


def create2_address(factory: bytes, salt: bytes, creation_code: bytes) -> bytes:
    """Return the address (EIP-1014) that a factory of this address gives the code, 20 bytes."""
    return keccak256(b"\xff" + factory + salt + keccak256(creation_code))[-20:]


def checksummed(address: bytes) -> str:
    """Write an address with the capitals that guard against typing errors (EIP-55)."""
    digits = address.hex()
    nibbles = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit
        for digit, nibble in zip(digits, nibbles, strict=False)
    )


def describe(artifact: Artifact) -> str:
    """Return the text of contract.json for a compiled contract."""
    settings = json.loads((CONTRACTS / "solc.json").read_text(encoding="utf-8"))
    package = json.loads((CONTRACTS / "node_modules/solc/package.json").read_text(encoding="utf-8"))
    address = create2_address(bytes.fromhex(FACTORY[2:]), SALT, artifact.creation_code)
    document = {
        "contract": SOURCE[1],
        "compiler": {"solc": package["version"], "evmVersion": settings["evmVersion"]},
        "address": checksummed(address),
        "factory": FACTORY,
        "salt": "0x" + SALT.hex(),
        "initCodeHash": "0x" + keccak256(artifact.creation_code).hex(),
        "runtimeCodeHash": "0x" + keccak256(artifact.deployed_code).hex(),
        "factorySigner": FACTORY_SIGNER,
        "factoryFunding": str(FACTORY_FUNDING),
        "factoryTransaction": FACTORY_TRANSACTION,
        "creationCode": "0x" + artifact.creation_code.hex(),
        "runtimeCode": "0x" + artifact.deployed_code.hex(),
        "abi": artifact.abi,
    }
    return json.dumps(document, indent=1) + "\n"


def main() -> int:
    """Write or check the file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--out", type=Path, default=CONTRACT_JSON, help="the file")
    options = parser.parse_args()
    text = describe(compile_contract(*SOURCE))
    if options.check:
        if options.out.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(
            f"build_contract: error: {options.out} is not what the sources compile to\n"
            "hint: run python -m scripts.build_contract\n"
        )
        return 1
    options.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
