"""What a transaction may cost: fees per gas, and what a chain on top of another adds.

    most per gas = 2 x base fee + tip      (the base fee at least the chain's floor)
    most in all  = gas x most per gas + fee for the chain below

The second must fit under the cap that the operator set, whatever a server claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.anchor.chains import ETHER, GWEI, Chain
from nous_ledger.anchor.errors import ChainError
from nous_ledger.anchor.rpc import Endpoint, RpcPool, parse_data, parse_quantity

ORACLE: Final = "0x420000000000000000000000000000000000000f"
"""GasPriceOracle: the contract that tells the fee for the chain below, where there is one."""

DEFAULT_MAX_COST: Final = ETHER // 1000
_GET_L1_FEE: Final = bytes.fromhex("49948e0e")
_ENVELOPE_BYTES: Final = 180
"""What a transaction has around its calldata: numbers, addresses and signature."""

_LEAST_TIP: Final = GWEI // 1000
_MOST_TIP: Final = 100 * GWEI
_NODES_BUMP: Final = (9, 8)
"""A replacement pays at least one eighth more on both fees; most nodes ask for a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fees:
    """Fees per gas, in wei.

    Attributes:
        most: most that is paid per gas, the tip included.
        tip: what the block's maker gets of it.
    """

    most: int
    tip: int

    def above(self, replaced: Fees) -> Fees:
        """Return these fees, or as much above those of a transaction as nodes ask for."""
        up, down = _NODES_BUMP
        return Fees(
            most=max(self.most, replaced.most * up // down + 1),
            tip=max(self.tip, replaced.tip * up // down + 1),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a transaction may cost at most.

    Attributes:
        gas: limit that it carries.
        fees: per gas.
        below: wei for the chain below.
    """

    gas: int
    fees: Fees
    below: int

    @property
    def total(self) -> int:
        """Most wei in all."""
        return self.gas * self.fees.most + self.below


def market_fees(pool: RpcPool, chain: Chain) -> Fees:
    """Return the fees that get a transaction into one of the next blocks.

    Raises:
        ChainError: rpc-unreachable, rpc-error.
        AnchorUseError: wrong-chain.
    """

    def ask(endpoint: Endpoint) -> Fees:
        block = endpoint.call("eth_getBlockByNumber", "latest", False)  # noqa: FBT003 - JSON-RPC
        found = block.get("baseFeePerGas") if isinstance(block, dict) else None
        base = max(parse_quantity(found, endpoint.name), chain.base_fee_floor)
        tip = min(max(_suggested_tip(endpoint), _LEAST_TIP), _MOST_TIP)
        return Fees(most=2 * base + tip, tip=tip)

    return pool.ask_first(ask)


def fee_below(pool: RpcPool, data: bytes) -> int:
    """Return the wei that the chain below takes for a transaction with this calldata.

    Raises:
        ChainError: rpc-unreachable, rpc-error.
        AnchorUseError: wrong-chain.
    """
    size = len(data) + _ENVELOPE_BYTES
    # One argument of type bytes: its offset, its length, and the bytes padded to whole words.
    sample = data + b"\xff" * _ENVELOPE_BYTES + bytes(-size % 32)
    head = (32).to_bytes(32, "big") + size.to_bytes(32, "big")
    call = {"to": ORACLE, "data": f"0x{(_GET_L1_FEE + head + sample).hex()}"}

    def ask(endpoint: Endpoint) -> int:
        answer = parse_data(endpoint.call("eth_call", call, "latest"), endpoint.name)
        return int.from_bytes(answer[:32], "big")  # nothing, where no contract stands

    # A quarter more: the fee follows the chain below from block to block.
    return pool.ask_first(ask) * 5 // 4


def check_cost(cost: Cost, max_cost: int) -> None:
    """Refuse a transaction that may cost more than the operator allows.

    Raises:
        ChainError: fee-cap.
    """
    if cost.total > max_cost:
        raise ChainError(
            "fee-cap",
            f"the transaction may cost {format_ether(cost.total)} ETH, {format_ether(max_cost)}"
            " are allowed",
            total=cost.total,
        )


def check_funds(pool: RpcPool, address: bytes, cost: Cost) -> None:
    """Refuse a transaction that the account cannot pay.

    Raises:
        ChainError: insufficient-funds, rpc-unreachable, rpc-error.
        AnchorUseError: wrong-chain.
    """

    def ask(endpoint: Endpoint) -> int:
        answer: Any = endpoint.call("eth_getBalance", f"0x{address.hex()}", "latest")
        return parse_quantity(answer, endpoint.name)

    balance = pool.ask_first(ask)
    if balance < cost.total:
        raise ChainError(
            "insufficient-funds",
            f"the relayer 0x{address.hex()} has {format_ether(balance)} ETH, the transaction may"
            f" cost {format_ether(cost.total)}",
        )


def format_ether(wei: int) -> str:
    """Return an amount in ETH with as many digits as it needs.

    >>> format_ether(1_500_000_000_000_000), format_ether(0)
    ('0.0015', '0')
    """
    whole, rest = divmod(wei, ETHER)
    digits = f"{rest:018d}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def _suggested_tip(endpoint: Endpoint) -> int:
    try:
        return parse_quantity(endpoint.call("eth_maxPriorityFeePerGas"), endpoint.name)
    except ChainError as error:
        if error.code != "rpc-error":
            raise
        return _LEAST_TIP  # a node need not have an opinion
