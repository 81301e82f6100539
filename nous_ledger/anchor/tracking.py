"""How far a transaction has come, as far as the servers of a chain agree.

SENT    written down and sent; in no block
MINED   in a block
SAFE    in a block that the chain calls safe
FINAL   in a block that can no longer be reorganised away, say as many servers as needed
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nous_ledger.anchor.errors import ChainError
from nous_ledger.anchor.outbox import Outbox, Outcome, Place, Slot, State
from nous_ledger.anchor.rpc import Endpoint, RpcPool, parse_data, parse_quantity
from nous_ledger.anchor.state import FINALIZED, SAFE, block_hash_at, height_of

_ABSENT = "in no block"


class Tracker:
    """Follows the slots of an outbox."""

    def __init__(self, pool: RpcPool, outbox: Outbox) -> None:
        """Take the servers and the outbox."""
        self._pool = pool
        self._outbox = outbox

    def advance(self, slot: Slot) -> Slot:
        """Write down how far a slot has come, and return it.

        Raises:
            ChainError: rpc-disagree; rpc-unreachable, if no server answers.
            AnchorUseError: wrong-chain.
            StoreError, StoreContentError: the outbox could not be used.
        """
        hashes = [signed.hash for signed in self._outbox.transactions(slot)]
        mined = find_place(self._pool, hashes)
        if mined is None:
            # Asked again once the nonce is known to be used: between the two answers a block
            # may have taken the transaction in, which is then anything but lost.
            if self._is_lost(slot) and find_place(self._pool, hashes) is None:
                return self._outbox.record(slot, State.FINAL, None, Outcome.LOST)
            return self._outbox.record(slot, State.SENT, None)
        if (final := self._agreed(hashes, FINALIZED, mined)) is not None:
            outcome = Outcome.DONE if final.succeeded else Outcome.REVERTED
            return self._outbox.record(slot, State.FINAL, final, outcome)
        if (safe := self._agreed(hashes, SAFE, mined)) is not None:
            return self._outbox.record(slot, State.SAFE, safe)
        return self._outbox.record(slot, State.MINED, mined)

    def _agreed(self, hashes: Sequence[bytes], tag: str, mined: Place) -> Place | None:
        """Return where servers agree that a transaction stands, at or below a tagged block.

        Args:
            hashes: of the transactions, of which one can be in a block.
            tag: of the block.
            mined: where most servers say that it stands.

        Raises:
            ChainError: rpc-disagree.
        """

        def ask(endpoint: Endpoint) -> Place | str | None:
            place = _first_place(endpoint, hashes)
            height = height_of(endpoint, tag)
            if place is None:
                return _ABSENT if height >= mined.block_number else None
            if height < place.block_number:
                return None
            if block_hash_at(endpoint, place.block_number) != place.block_hash:
                return None  # between two of its answers the chain was reorganised
            return place

        try:
            agreed = self._pool.agreed(ask, "where a transaction is")
        except ChainError as error:
            # Short of finality a server may lag; at finality a contradiction is a lie.
            if error.code != "rpc-unreachable" and tag == FINALIZED:
                raise
            return None
        return agreed if isinstance(agreed, Place) else None

    def _is_lost(self, slot: Slot) -> bool:
        """Return whether another transaction has used the nonce for good."""
        address = f"0x{slot.account.relayer.hex()}"

        def ask(endpoint: Endpoint) -> int:
            count = endpoint.call("eth_getTransactionCount", address, FINALIZED)
            return parse_quantity(count, endpoint.name)

        try:
            return self._pool.reached(ask, "which nonces are used") > slot.nonce
        except ChainError:
            return False


def find_place(pool: RpcPool, hashes: Sequence[bytes]) -> Place | None:
    """Return where one of some transactions is, as most servers say that have it.

    Raises:
        ChainError: rpc-unreachable, if no server answers.
        AnchorUseError: wrong-chain.
    """
    answers = pool.every(lambda endpoint: _first_place(endpoint, hashes))
    if all(answer.error is not None for answer in answers):
        reasons = "; ".join(str(answer.error) for answer in answers)
        raise ChainError("rpc-unreachable", f"no RPC server answers: {reasons}")
    votes = Counter(answer.value for answer in answers if answer.value is not None)
    return votes.most_common(1)[0][0] if votes else None


def place_at(endpoint: Endpoint, transaction_hash: bytes) -> Place | None:
    """Return where a transaction is according to one server; None while it is in no block."""
    receipt = endpoint.call("eth_getTransactionReceipt", f"0x{transaction_hash.hex()}")
    if not isinstance(receipt, dict) or receipt.get("blockNumber") is None:
        return None
    return Place(
        transaction_hash=transaction_hash,
        block_number=parse_quantity(receipt["blockNumber"], endpoint.name),
        block_hash=parse_data(receipt.get("blockHash"), endpoint.name, 32),
        succeeded=parse_quantity(receipt.get("status"), endpoint.name) == 1,
    )


def _first_place(endpoint: Endpoint, hashes: Sequence[bytes]) -> Place | None:
    found = (place_at(endpoint, one) for one in hashes)
    return next((place for place in found if place is not None), None)
