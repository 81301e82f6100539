"""From a call to a signed transaction that stands in the outbox and went to every server.

The order is what makes it safe: the nonce is chosen, the transaction is signed and written
down, and only then sent. Whatever happens after that, the same bytes can be sent again.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nous_ledger.anchor.chains import Chain
from nous_ledger.anchor.errors import ChainError
from nous_ledger.anchor.fees import (
    DEFAULT_MAX_COST,
    Cost,
    Fees,
    check_cost,
    check_funds,
    fee_below,
    market_fees,
)
from nous_ledger.anchor.outbox import Account, Outbox, Signed, Slot, State
from nous_ledger.anchor.relayer import Relayer
from nous_ledger.anchor.rpc import Endpoint, RpcPool, parse_quantity
from nous_ledger.anchor.state import LATEST, refusal_of
from nous_ledger.anchor.steps import Step
from nous_ledger.protocol.hashing import keccak256

_KNOWN: Final = re.compile(
    r"already (known|imported|exists|in mempool)|known transaction|nonce too low", re.IGNORECASE
)
"""What nodes say of a transaction that they have; a nonce too low shows in its receipt."""

_GAS_MARGIN: Final = (6, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of sending a transaction to the servers.

    Attributes:
        taken_by: servers that have it now.
        troubles: what the others said.
    """

    taken_by: tuple[str, ...]
    troubles: tuple[str, ...]


class Sender:
    """Prices, signs, writes down and sends.

    Attributes:
        account: who pays, and where.
        pool: the servers of the chain.
    """

    def __init__(
        self,
        pool: RpcPool,
        chain: Chain,
        relayer: Relayer,
        outbox: Outbox,
        *,
        max_cost: int = DEFAULT_MAX_COST,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take who pays and where it is written down.

        Args:
            pool: the servers of the chain.
            chain: the chain.
            relayer: who pays; never the log's key.
            outbox: where transactions are written down.
            max_cost: most wei for one transaction, all fees together.
            clock: the time in seconds.
        """
        self.pool = pool
        self.account = Account(chain_id=chain.chain_id, relayer=relayer.address)
        self._chain = chain
        self._relayer = relayer
        self._outbox = outbox
        self._max_cost = max_cost
        self._clock = clock

    def send(self, step: Step, contract: bytes) -> tuple[Slot, Sent]:
        """Open a slot for a call and send its transaction.

        A slot whose transaction was overtaken and is in no block yet is used again.

        Raises:
            ChainContentError: refused (the contract would revert).
            ChainError: fee-cap, insufficient-funds, rpc-unreachable, rpc-error.
            AnchorUseError: wrong-chain, extra-missing.
            StoreError: the outbox could not be written; nothing was sent.
        """
        nonce = self.next_nonce()
        for slot in self._outbox.slots(self.account, unfinished=True):
            if slot.nonce == nonce and slot.state is State.SENT:
                return self.replace(slot, step)
        signed = self._sign(step, contract, nonce, None)
        slot = self._outbox.open_slot(self.account, nonce, step.purpose, contract, signed)
        return slot, self.broadcast(signed)

    def replace(self, slot: Slot, step: Step) -> tuple[Slot, Sent]:
        """Send another call with a slot's nonce, at fees above those of all before it.

        Raises:
            As `send`.
        """
        before = self._outbox.transactions(slot)
        highest = Fees(
            most=max(signed.fees.most for signed in before),
            tip=max(signed.fees.tip for signed in before),
        )
        signed = self._sign(step, slot.contract, slot.nonce, highest)
        slot = self._outbox.replace(slot, step.purpose, signed)
        return slot, self.broadcast(signed)

    def resend(self, slot: Slot) -> Sent:
        """Send the newest transaction of a slot to every server again, as it is."""
        return self.broadcast(self._outbox.transactions(slot)[0])

    def broadcast(self, signed: Signed) -> Sent:
        """Send a transaction that is written down to every server; trouble is no error here.

        Raises:
            AnchorUseError: wrong-chain.
        """
        raw = f"0x{signed.raw.hex()}"
        answers = self.pool.every(lambda endpoint: _send_raw(endpoint, raw))
        return Sent(
            taken_by=tuple(a.endpoint.name for a in answers if a.error is None),
            troubles=tuple(str(a.error) for a in answers if a.error is not None),
        )

    def cost(self, step: Step, contract: bytes, above: Fees | None = None) -> Cost:
        """Return what a call may cost.

        Args:
            step: the call.
            contract: address that is called, 20 bytes.
            above: fees of a transaction that is to be replaced.

        Raises:
            ChainContentError: refused.
            ChainError: rpc-unreachable, rpc-error.
            AnchorUseError: wrong-chain.
        """
        fees = market_fees(self.pool, self._chain)
        return Cost(
            gas=estimate_gas(self.pool, self.account.relayer, contract, step.data),
            fees=fees if above is None else fees.above(above),
            below=fee_below(self.pool, step.data),
        )

    def next_nonce(self) -> int:
        """Return the first nonce that no block has used.

        Transactions that wait elsewhere do not count: the account is the outbox's alone.

        Raises:
            ChainError: rpc-unreachable, rpc-error.
            AnchorUseError: wrong-chain.
        """
        address = f"0x{self.account.relayer.hex()}"

        def ask(endpoint: Endpoint) -> int:
            count = endpoint.call("eth_getTransactionCount", address, LATEST)
            return parse_quantity(count, endpoint.name)

        # A server that lags must not have a nonce used twice; the outbox knows what is used up.
        used = self.pool.reached(ask, "how many transactions the relayer has sent")
        return max(used, self._outbox.next_nonce(self.account))

    def _sign(self, step: Step, contract: bytes, nonce: int, above: Fees | None) -> Signed:
        cost = self.cost(step, contract, above)
        check_cost(cost, self._max_cost)
        check_funds(self.pool, self.account.relayer, cost)
        raw = self._relayer.sign(
            {
                "type": 2,
                "chainId": self.account.chain_id,
                "nonce": nonce,
                "to": _checksummed(contract),
                "value": 0,
                "data": f"0x{step.data.hex()}",
                "gas": cost.gas,
                "maxFeePerGas": cost.fees.most,
                "maxPriorityFeePerGas": cost.fees.tip,
            }
        )
        return Signed(
            raw=raw,
            fees=cost.fees,
            base_count=step.base_count,
            leaf_count=step.leaf_count,
            root=step.root,
            signed_at=int(self._clock()),
        )


def estimate_gas(pool: RpcPool, sender: bytes, to: bytes, data: bytes) -> int:
    """Return the gas limit for a call: what it needs now, and a fifth more.

    Raises:
        ChainContentError: refused, if the contract would revert.
        ChainError: rpc-unreachable, rpc-error.
        AnchorUseError: wrong-chain.
    """
    call = {"from": f"0x{sender.hex()}", "to": f"0x{to.hex()}", "data": f"0x{data.hex()}"}

    def ask(endpoint: Endpoint) -> int:
        # Not on top of what waits: that may be the very transaction that is to be replaced.
        return parse_quantity(endpoint.call("eth_estimateGas", call, LATEST), endpoint.name)

    try:
        needed = pool.ask_first(ask)
    except ChainError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise refusal from error
    up, down = _GAS_MARGIN
    return needed * up // down


def _send_raw(endpoint: Endpoint, raw: str) -> bool:
    try:
        endpoint.call("eth_sendRawTransaction", raw)
    except ChainError as error:
        if not _KNOWN.search(str(error.attrs.get("rpc_message", ""))):
            raise
    return True


def _checksummed(address: bytes) -> str:
    """Return an address in the spelling that libraries insist on (EIP-55)."""
    digits = address.hex()
    hashed = keccak256(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) >= 8 else digit
        for digit, nibble in zip(digits, hashed, strict=False)
    )
