"""Blocks as nodes tell of them, turned back into the bytes that they commit to.

Whatever a node says is checked by a hash: a header by the hash of its block, receipts by the
root in the header.
"""

from __future__ import annotations

from typing import Any, Final

from nous_ledger.anchor.errors import ChainContentError, ChainError
from nous_ledger.anchor.rpc import Endpoint, parse_data, parse_quantity
from nous_ledger.anchor.trie import build_trie
from nous_ledger.protocol.anchor_block import BlockHeader, parse_header
from nous_ledger.protocol.anchor_rlp import RlpItem, encode_rlp, rlp_uint

_DATA: Final = "data"
_NUMBER: Final = "number"
_HEADER: Final = (
    ("parentHash", _DATA),
    ("sha3Uncles", _DATA),
    ("miner", _DATA),
    ("stateRoot", _DATA),
    ("transactionsRoot", _DATA),
    ("receiptsRoot", _DATA),
    ("logsBloom", _DATA),
    ("difficulty", _NUMBER),
    ("number", _NUMBER),
    ("gasLimit", _NUMBER),
    ("gasUsed", _NUMBER),
    ("timestamp", _NUMBER),
    ("extraData", _DATA),
    ("mixHash", _DATA),
    ("nonce", _DATA),
    ("baseFeePerGas", _NUMBER),
    ("withdrawalsRoot", _DATA),
    ("blobGasUsed", _NUMBER),
    ("excessBlobGas", _NUMBER),
    ("parentBeaconBlockRoot", _DATA),
    ("requestsHash", _DATA),
)
"""In their order; forks add to the end, so a header has all of them up to one."""

_FIRST_OPTIONAL: Final = 16
_DEPOSIT: Final = 0x7E
_MAX_TRANSACTIONS: Final = 65_536


def read_header(endpoint: Endpoint, height: int) -> tuple[bytes, BlockHeader]:
    """Return the encoded header of the block at a height, checked by its hash.

    Raises:
        ChainError: rpc-unreachable, rpc-error.
        ChainContentError: chain-lies (the fields do not hash to the block's hash).
        AnchorUseError: wrong-chain.
    """
    block = endpoint.call("eth_getBlockByNumber", hex(height), False)  # noqa: FBT003 - JSON-RPC
    if not isinstance(block, dict):
        raise ChainError("rpc-unreachable", f"{endpoint.name} does not have block {height}")
    wanted = parse_data(block.get("hash"), endpoint.name, 32)
    present = [item for item in _HEADER if block.get(item[0]) is not None]
    items = [_field(block, name, kind, endpoint.name) for name, kind in present]
    # A node may show more than the header of that block holds, so a shorter one is tried too.
    for length in range(len(items), _FIRST_OPTIONAL - 1, -1):
        header = parse_header(encoded := encode_rlp(tuple(items[:length])))
        if header.hash == wanted and header.number == height:
            return encoded, header
    raise ChainContentError(
        "chain-lies",
        f"{endpoint.name}: the header of block {height} does not hash to its hash",
        hint="the chain may have headers of a newer form: update nous-ledger, or use another"
        " server",
    )


def prove_receipt(endpoint: Endpoint, header: BlockHeader, index: int) -> tuple[bytes, ...]:
    """Return the proof of a transaction's receipt.

    Args:
        endpoint: the server.
        header: of the block.
        index: place of the transaction in the block.

    Raises:
        ChainError: rpc-unreachable, rpc-error.
        ChainContentError: chain-lies (the receipts do not hash to the header's root).
    """
    receipts = _receipts(endpoint, header.number)
    values = {
        encode_rlp(rlp_uint(place)): encode_receipt(receipt, endpoint.name)
        for place, receipt in enumerate(receipts)
    }
    wanted = encode_rlp(rlp_uint(index))
    if wanted in values:
        root, proof = build_trie(values, wanted)
        if root == header.receipts_root:
            return proof
    raise ChainContentError(
        "chain-lies",
        f"{endpoint.name}: the receipts of block {header.number} do not hash to its root",
        hint="the chain may have receipts of a newer form: update nous-ledger, or use another"
        " server",
    )


def encode_receipt(receipt: dict[str, Any], name: str) -> bytes:
    """Return a receipt as the block's trie holds it.

    Args:
        receipt: as a node tells it.
        name: of the server, for messages.

    Raises:
        ChainError: rpc-unreachable, if a field is missing.
    """
    kind = parse_quantity(receipt.get("type", "0x0"), name)
    items: list[RlpItem] = [
        rlp_uint(parse_quantity(receipt.get("status"), name)),
        rlp_uint(parse_quantity(receipt.get("cumulativeGasUsed"), name)),
        parse_data(receipt.get("logsBloom"), name, 256),
        tuple(_event(event, name) for event in receipt.get("logs") or ()),
    ]
    if kind == _DEPOSIT:  # what a chain built on another takes from there has more fields
        items += [
            rlp_uint(parse_quantity(receipt[field], name))
            for field in ("depositNonce", "depositReceiptVersion")
            if receipt.get(field) is not None
        ]
    encoded = encode_rlp(tuple(items))
    return bytes([kind]) + encoded if kind else encoded


def _receipts(endpoint: Endpoint, height: int) -> list[dict[str, Any]]:
    try:
        receipts = endpoint.call("eth_getBlockReceipts", hex(height))
    except ChainError as error:
        if error.code != "rpc-error":
            raise
        receipts = _one_by_one(endpoint, height)
    if not isinstance(receipts, list) or not all(isinstance(one, dict) for one in receipts):
        raise ChainError("rpc-unreachable", f"{endpoint.name} answered with no receipts")
    return receipts[:_MAX_TRANSACTIONS]


def _one_by_one(endpoint: Endpoint, height: int) -> list[dict[str, Any]]:
    block = endpoint.call("eth_getBlockByNumber", hex(height), False)  # noqa: FBT003 - JSON-RPC
    hashes = block.get("transactions") if isinstance(block, dict) else None
    if not isinstance(hashes, list):
        raise ChainError("rpc-unreachable", f"{endpoint.name} does not have block {height}")
    return [endpoint.call("eth_getTransactionReceipt", one) for one in hashes[:_MAX_TRANSACTIONS]]


def _event(event: Any, name: str) -> RlpItem:  # noqa: ANN401 - JSON
    if not isinstance(event, dict):
        raise ChainError("rpc-unreachable", f"{name} answered with no event")
    topics = tuple(parse_data(topic, name, 32) for topic in event.get("topics") or ())
    return (
        parse_data(event.get("address"), name, 20),
        topics,
        parse_data(event.get("data"), name),
    )


def _field(block: dict[str, Any], field: str, kind: str, name: str) -> bytes:
    if kind == _NUMBER:
        return rlp_uint(parse_quantity(block[field], name))
    return parse_data(block[field], name)
