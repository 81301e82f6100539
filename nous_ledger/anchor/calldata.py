"""Records and statements as calldata of a transaction to oneself, and back from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.anchor.errors import ChainContentError, ChainError
from nous_ledger.anchor.rpc import Endpoint, RpcPool, parse_data, parse_quantity
from nous_ledger.anchor.state import FINALIZED, block_hash_at, height_of
from nous_ledger.anchor.steps import Step
from nous_ledger.anchor.tracking import place_at
from nous_ledger.protocol.anchor_calldata import CalldataRecord, format_calldata, parse_calldata
from nous_ledger.protocol.anchor_rlp import encode_rlp, rlp_uint
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.types import UnixSeconds

_TYPE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """A record that a final transaction holds.

    Attributes:
        content: what its calldata says.
        receiver: address that the transaction went to, 20 bytes; the relayer's own.
        block_number: height of its block.
        block_hash: hash of that block.
        block_time: time of that block, seconds: the record existed before.
    """

    content: CalldataRecord
    receiver: bytes
    block_number: int
    block_hash: bytes
    block_time: UnixSeconds


def calldata_step(content: CalldataRecord) -> Step:
    """Return the call that stores a record; it is sent to the relayer's own address."""
    kind = "with its body" if content.body else "without its body"
    return Step(
        purpose="calldata",
        data=format_calldata(content),
        summary=f"store a record {kind} for ever",
    )


def read_stored(pool: RpcPool, transaction_hash: bytes) -> StoredRecord:
    """Return the record in a transaction that servers agree is final.

    The transaction is hashed again, so that no server can show another one.

    Raises:
        ChainError: not-final, rpc-unreachable, rpc-disagree.
        ChainContentError: chain-lies, refused (the transaction failed).
        AnchorError: anchor-format (it holds no record).
        AnchorUseError: wrong-chain.
    """

    def ask(endpoint: Endpoint) -> tuple[int, bytes, bool] | None:
        place = place_at(endpoint, transaction_hash)
        if place is None or height_of(endpoint, FINALIZED) < place.block_number:
            return None
        return place.block_number, block_hash_at(endpoint, place.block_number), place.succeeded

    try:
        height, block_hash, succeeded = pool.agreed(ask, "where the transaction is")
    except ChainError as error:
        if error.code != "rpc-unreachable" or all(
            answer.error is not None for answer in pool.every(ask)
        ):
            raise
        raise ChainError(
            "not-final",
            f"the transaction 0x{transaction_hash.hex()} is not final, or of another chain",
            hint="check hash and --chain, or wait",
        ) from error
    if not succeeded:
        raise ChainContentError("refused", "the transaction failed")
    to, data = pool.ask_first(lambda endpoint: _read(endpoint, transaction_hash))
    time = pool.agreed(lambda endpoint: _time_of(endpoint, height), "the block's time")
    return StoredRecord(
        content=parse_calldata(data),
        receiver=to,
        block_number=height,
        block_hash=block_hash,
        block_time=UnixSeconds(time),
    )


def _time_of(endpoint: Endpoint, height: int) -> int:
    block = endpoint.call("eth_getBlockByNumber", hex(height), False)  # noqa: FBT003 - JSON-RPC
    found = block.get("timestamp") if isinstance(block, dict) else None
    return parse_quantity(found, endpoint.name)


def _read(endpoint: Endpoint, transaction_hash: bytes) -> tuple[bytes, bytes]:
    """Return where a transaction went and its calldata, after hashing it again."""
    shown = endpoint.call("eth_getTransactionByHash", f"0x{transaction_hash.hex()}")
    if not isinstance(shown, dict):
        raise ChainError("rpc-unreachable", f"{endpoint.name} does not have the transaction")
    if keccak256(_encode(shown, endpoint.name)) != transaction_hash:
        raise ChainContentError(
            "chain-lies", f"{endpoint.name} shows another transaction than was asked for"
        )
    name = endpoint.name
    return parse_data(shown.get("to"), name, 20), parse_data(shown.get("input"), name)


def _encode(shown: dict[str, Any], name: str) -> bytes:
    """Return an EIP-1559 transaction as it was signed and sent."""
    if parse_quantity(shown.get("type"), name) != _TYPE or shown.get("accessList"):
        raise ChainContentError("chain-lies", f"{name} shows a transaction of another kind")
    numbers = {
        field: rlp_uint(parse_quantity(shown.get(field), name))
        for field in (
            *("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas", "value"),
            *("v", "r", "s"),
        )
    }
    to, data = parse_data(shown.get("to"), name, 20), parse_data(shown.get("input"), name)
    fields = (
        *(numbers["chainId"], numbers["nonce"], numbers["maxPriorityFeePerGas"]),
        *(numbers["maxFeePerGas"], numbers["gas"], to, numbers["value"], data, ()),
        *(numbers["v"], numbers["r"], numbers["s"]),
    )
    return bytes([_TYPE]) + encode_rlp(fields)
