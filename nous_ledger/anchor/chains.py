"""Chains that heads are anchored on: those with a name, and any other by its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nous_ledger.anchor.errors import AnchorUseError

GWEI: Final = 10**9
ETHER: Final = 10**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """An EVM chain.

    Attributes:
        chain_id: its number (EIP-155), at least 1.
        name: what it is called here.
        block_s: seconds between two blocks, about.
        base_fee_floor: least base fee that is reckoned with, wei per gas.
        explorer: where people look at its transactions; empty for none.
    """

    chain_id: int
    name: str
    block_s: float = 2.0
    base_fee_floor: int = 0
    explorer: str = ""


_FLOOR: Final = 5 * GWEI // 1000
"""Below this Base's base fee does not fall."""

CHAINS: Final = (
    Chain(chain_id=8453, name="base", base_fee_floor=_FLOOR, explorer="https://basescan.org"),
    Chain(
        chain_id=84532,
        name="base-sepolia",
        base_fee_floor=_FLOOR,
        explorer="https://sepolia.basescan.org",
    ),
)


def find_chain(text: str) -> Chain:
    """Return the chain of a name or number.

    >>> find_chain("base-sepolia").chain_id
    84532

    Raises:
        AnchorUseError: wrong-chain, for a text that is neither.
    """
    for chain in CHAINS:
        if text in (chain.name, str(chain.chain_id)):
            return chain
    if text.isascii() and text.isdigit() and 1 <= int(text) < 1 << 64:
        return Chain(chain_id=int(text), name=f"chain {int(text)}")
    names = ", ".join(chain.name for chain in CHAINS)
    raise AnchorUseError(
        "wrong-chain", f"{text[:80]!r} is no chain", hint=f"name {names}, or a chain id"
    )
