"""What the contract holds of a log, at the newest block or at one that servers agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.anchor.abi import decode_result, describe_revert, encode_call, error_name
from nous_ledger.anchor.artifact import load_artifact
from nous_ledger.anchor.errors import AnchorUseError, ChainContentError, ChainError
from nous_ledger.anchor.rpc import Endpoint, RpcPool, parse_data, parse_quantity
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId, UnixSeconds

LATEST: Final = "latest"
SAFE: Final = "safe"
FINALIZED: Final = "finalized"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractState:
    """What the contract holds of one log.

    Attributes:
        leaf_count: leaves of the anchored head; 0 before the first.
        root: its root.
        timestamp: its time, seconds.
        head_epoch: key epoch that signed it.
        chain: running hash over all anchored heads.
        anchors: how many there were.
        epoch: key epoch in force.
        next_hash: commitment to the key of the next epoch; zeros for none.
        closed: whether the log's close was sent.
        forked: whether a fork under the key in force was proved.
    """

    leaf_count: LeafCount
    root: Hash32
    timestamp: UnixSeconds
    head_epoch: Epoch
    chain: Hash32
    anchors: int
    epoch: Epoch
    next_hash: Hash32
    closed: bool
    forked: bool


class ContractReader:
    """Reads one contract through the servers of a chain.

    Attributes:
        address: of the contract, 20 bytes.
    """

    def __init__(self, pool: RpcPool, address: bytes) -> None:
        """Take a contract; nothing is asked yet."""
        self.address = address
        self._pool = pool

    def check_code(self) -> None:
        """Refuse an address at which not exactly this contract stands.

        Raises:
            AnchorUseError: no-contract, wrong-contract, wrong-chain.
            ChainError: rpc-unreachable, rpc-disagree.
        """
        wanted = load_artifact().code_hash
        found = self._pool.agreed(
            lambda endpoint: keccak256(code_at(endpoint, self.address)), "the contract's code"
        )
        if found == keccak256(b""):
            raise AnchorUseError("no-contract", f"no contract stands at {self._shown()}")
        if found != wanted:
            raise AnchorUseError(
                "wrong-contract",
                f"another contract stands at {self._shown()}: its code hashes to 0x{found.hex()}",
            )

    def state(self, log_id: LogId, block: str = LATEST) -> ContractState | None:
        """Return what the first server that answers says of a log; None if it is not registered.

        Args:
            log_id: the log.
            block: a tag, such as latest.

        Raises:
            ChainError: rpc-unreachable, rpc-error.
            AnchorUseError: wrong-chain, extra-missing.
        """

        def ask(endpoint: Endpoint) -> ContractState | None:
            # The views are asked for at one height: the newest block may change between them.
            return self.state_at(endpoint, log_id, hex(height_of(endpoint, block)))

        return self._pool.ask_first(ask)

    def agreed_state(self, log_id: LogId, tag: str = FINALIZED) -> ContractState | None:
        """Return what a quorum of servers says of a log at one block that has this tag.

        Raises:
            ChainError: rpc-unreachable, rpc-disagree, rpc-error.
            AnchorUseError: wrong-chain, extra-missing.
        """
        height = agreed_height(self._pool, tag)

        def ask(endpoint: Endpoint) -> tuple[ContractState | None] | None:
            if height_of(endpoint, tag) < height:
                return None
            return (self.state_at(endpoint, log_id, hex(height)),)

        return self._pool.agreed(ask, f"the contract at block {height}")[0]

    def state_at(self, endpoint: Endpoint, log_id: LogId, block: str) -> ContractState | None:
        """Return what one server says of a log."""
        newest, chain, anchors = self._call(endpoint, block, "head", log_id) or (None,) * 3
        keys = self._call(endpoint, block, "keys", log_id)
        if newest is None or keys is None:
            return None
        epoch, _, next_hash, closed = keys
        signer = self._call(endpoint, block, "signerOf", log_id, epoch)
        _, head_epoch, count, root, timestamp = newest
        return ContractState(
            leaf_count=LeafCount(count),
            root=Hash32(root),
            timestamp=UnixSeconds(timestamp),
            head_epoch=Epoch(head_epoch),
            chain=Hash32(chain),
            anchors=anchors,
            epoch=Epoch(epoch),
            next_hash=Hash32(next_hash),
            closed=closed,
            forked=signer is not None and bool(signer[1]),
        )

    def _call(
        self, endpoint: Endpoint, block: str, function: str, *args: object
    ) -> tuple[Any, ...] | None:
        """Return what a view gives; None if the contract does not know the log."""
        call = {"to": self._shown(), "data": f"0x{encode_call(function, *args).hex()}"}
        try:
            answer = endpoint.call("eth_call", call, block)
        except ChainError as error:
            data = error.attrs.get("data", b"")
            if isinstance(data, bytes) and error_name(data) == "LogUnknown":
                return None
            raise
        data = parse_data(answer, endpoint.name)
        if not data:  # no contract stood there at that block
            return None
        return decode_result(function, data, endpoint.name)

    def _shown(self) -> str:
        return f"0x{self.address.hex()}"


def code_at(endpoint: Endpoint, address: bytes) -> bytes:
    """Return the code at an address at the newest block."""
    return parse_data(endpoint.call("eth_getCode", f"0x{address.hex()}", LATEST), endpoint.name)


def height_of(endpoint: Endpoint, tag: str) -> int:
    """Return the height of the block that has a tag at one server."""
    return _number_of(endpoint.call("eth_getBlockByNumber", tag, False), endpoint)  # noqa: FBT003


def block_hash_at(endpoint: Endpoint, height: int) -> bytes:
    """Return the hash of the block at a height at one server."""
    block = endpoint.call("eth_getBlockByNumber", hex(height), False)  # noqa: FBT003 - JSON-RPC
    found = block.get("hash") if isinstance(block, dict) else None
    return parse_data(found, endpoint.name, 32)


def agreed_height(pool: RpcPool, tag: str) -> int:
    """Return the largest height that a quorum of servers gives this tag or has passed.

    Raises:
        ChainError: rpc-unreachable.
        AnchorUseError: wrong-chain.
    """
    return pool.reached(lambda endpoint: height_of(endpoint, tag), f"their {tag} block")


def refusal_of(error: ChainError) -> ChainContentError | None:
    """Return what the contract said where a server's refusal is the contract's own."""
    data = error.attrs.get("data", b"")
    if isinstance(data, bytes) and data:
        return ChainContentError(
            "refused", f"the contract refuses: {describe_revert(data)}", error=error_name(data)
        )
    return None


def _number_of(block: object, endpoint: Endpoint) -> int:
    found = block.get("number") if isinstance(block, dict) else None
    return parse_quantity(found, endpoint.name)
