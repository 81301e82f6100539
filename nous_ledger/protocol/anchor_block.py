"""What an EVM block commits to: its header, an account, a storage slot, a transaction's logs.

Nothing here is trusted by itself: a header is as good as the block hash that somebody else
vouches for, and everything else as good as the header.

Spec:
    PROTOCOL.md, section "Anchor evidence" (EVID-5, EVID-9).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nous_ledger.protocol.anchor_rlp import (
    RlpItem,
    decode_rlp,
    encode_rlp,
    read_rlp_uint,
    rlp_uint,
)
from nous_ledger.protocol.anchor_trie import verify_trie
from nous_ledger.protocol.errors import AnchorError
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.types import Hash32, UnixSeconds
from nous_ledger.protocol.values import value

MAX_HEADER_BYTES: Final = 4096
MAX_LOGS: Final = 4096

_HEADER_ITEMS: Final = range(16, 33)  # from the fork that introduced the base fee on
_MAX_WORD: Final = (1 << 256) - 1
_SUCCESS: Final = b"\x01"
_TYPED: Final = range(1, 0x80)


@value
class BlockHeader:
    """What is used of a block's header.

    Attributes:
        hash: Keccak-256 of the encoded header, which names the block.
        number: height of the block.
        timestamp: seconds.
        state_root: root of the trie of accounts after the block.
        receipts_root: root of the trie of the block's transaction receipts.
    """

    hash: Hash32
    number: int
    timestamp: UnixSeconds
    state_root: Hash32
    receipts_root: Hash32


@value
class Account:
    """A contract in the state of a block.

    Attributes:
        storage_root: root of the trie of its storage.
        code_hash: Keccak-256 of its code.
    """

    storage_root: Hash32
    code_hash: Hash32


@value
class EventLog:
    """One event of a transaction.

    Attributes:
        address: contract that emitted it, 20 bytes.
        topics: 0..4 words of 32 bytes.
        data: the rest of it.
    """

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


def parse_header(data: bytes) -> BlockHeader:
    """Return what an encoded header says, and its hash.

    Args:
        data: RLP of the header, at most 4,096 bytes.

    Raises:
        AnchorError: anchor-rlp; anchor-format (no header).
    """
    if len(data) > MAX_HEADER_BYTES:
        raise _format(f"a header of {len(data)} bytes")
    items = decode_rlp(data)
    if not isinstance(items, tuple) or len(items) not in _HEADER_ITEMS:
        raise _format("a header is a list of 16 to 32 items")
    return BlockHeader(
        hash=keccak256(data),
        number=read_rlp_uint(items[8]),
        timestamp=UnixSeconds(read_rlp_uint(items[11])),
        state_root=Hash32(_sized(items[3], 32, "the state root")),
        receipts_root=Hash32(_sized(items[5], 32, "the receipts root")),
    )


def read_account(header: BlockHeader, address: bytes, proof: Sequence[bytes]) -> Account:
    """Return a contract's account in the state after a block.

    Args:
        header: of the block.
        address: 20 bytes.
        proof: nodes from the state root to the account.

    Raises:
        AnchorError: anchor-proof, anchor-rlp, anchor-format.
    """
    encoded = verify_trie(header.state_root, keccak256(address), proof)
    items = decode_rlp(encoded)
    if not isinstance(items, tuple) or len(items) != 4:
        raise _format("an account is a list of 4 items")
    read_rlp_uint(items[0])
    read_rlp_uint(items[1], limit=_MAX_WORD)
    return Account(
        storage_root=Hash32(_sized(items[2], 32, "a storage root")),
        code_hash=Hash32(_sized(items[3], 32, "a code hash")),
    )


def read_storage(account: Account, slot: int, proof: Sequence[bytes]) -> int:
    """Return the word in a storage slot, which is never 0.

    Args:
        account: of the contract.
        slot: number of the slot, below 2^256.
        proof: nodes from the storage root to the word.

    Raises:
        AnchorError: anchor-proof (also for a slot that is empty), anchor-rlp.
    """
    key = keccak256(slot.to_bytes(32, "big"))
    word = read_rlp_uint(decode_rlp(verify_trie(account.storage_root, key, proof)), limit=_MAX_WORD)
    if word == 0:
        raise AnchorError("anchor-proof", "the trie proof fails: a stored word is never 0")
    return word


def read_logs(header: BlockHeader, index: int, proof: Sequence[bytes]) -> tuple[EventLog, ...]:
    """Return the events of a transaction that succeeded.

    Args:
        header: of the block.
        index: place of the transaction in the block.
        proof: nodes from the receipts root to the transaction's receipt.

    Raises:
        AnchorError: anchor-proof, anchor-rlp; anchor-format (no receipt);
            anchor-event (the transaction failed).
    """
    encoded = verify_trie(header.receipts_root, encode_rlp(rlp_uint(index)), proof)
    if encoded[0] in _TYPED:
        encoded = encoded[1:]
    items = decode_rlp(encoded)
    # Chains built on others add items behind the four that every receipt has.
    if not isinstance(items, tuple) or not 4 <= len(items) <= 8:
        raise _format("a receipt is a list of 4 to 8 items")
    if items[0] != _SUCCESS:
        raise AnchorError("anchor-event", "the transaction failed: it emitted nothing")
    logs = items[3]
    if not isinstance(logs, tuple) or len(logs) > MAX_LOGS:
        raise _format(f"a receipt has at most {MAX_LOGS} events")
    return tuple(map(_read_log, logs))


def _read_log(item: RlpItem) -> EventLog:
    if not isinstance(item, tuple) or len(item) != 3:
        raise _format("an event is a list of 3 items")
    address, topics, data = item
    if not isinstance(topics, tuple) or len(topics) > 4 or not isinstance(data, bytes):
        raise _format("an event has at most 4 topics, and data")
    return EventLog(
        address=_sized(address, 20, "an address"),
        topics=tuple([_sized(topic, 32, "a topic") for topic in topics]),
        data=data,
    )


def _sized(item: RlpItem, length: int, name: str) -> bytes:
    if not isinstance(item, bytes) or len(item) != length:
        raise _format(f"{name} is not {length} bytes")
    return item


def _format(reason: str) -> AnchorError:
    return AnchorError("anchor-format", f"no anchor evidence: {reason}")
