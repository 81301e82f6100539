"""Sending one call and waiting until it has come as far as is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nous_ledger.anchor.errors import ChainContentError, ChainError
from nous_ledger.anchor.outbox import Outbox, Outcome, Slot, State
from nous_ledger.anchor.sender import Sender
from nous_ledger.anchor.steps import Step
from nous_ledger.anchor.tracking import Tracker

ORDER: Final = (State.SENT, State.MINED, State.SAFE, State.FINAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait, and what for.

    Attributes:
        until: state that is waited for.
        timeout_s: most seconds.
        poll_s: seconds between two looks.
        replace_s: seconds after which a transaction that is in no block is replaced.
    """

    until: State
    timeout_s: float
    poll_s: float
    replace_s: float = 60.0


Tell = Callable[[Slot | None, tuple[str, ...]], None]
"""Is told of every look: the slot, and what did not work."""


class Delivery:
    """Sends one call and waits; must be used within `Outbox.sending`."""

    def __init__(self, sender: Sender, outbox: Outbox, patience: Patience, tell: Tell) -> None:
        """Take who pays, where it is written down, how long to wait, and who is told."""
        self._sender = sender
        self._outbox = outbox
        self._tracker = Tracker(sender.pool, outbox)
        self._patience = patience
        self._tell = tell

    def send(self, step: Step, contract: bytes) -> Slot:
        """Send a call, unless it is under way already, and wait.

        Args:
            step: the call.
            contract: address that is called, 20 bytes.

        Raises:
            ChainContentError: refused (also if it was mined and reverted).
            ChainError: not-final, if the time is over; fee-cap, insufficient-funds,
                rpc-disagree, rpc-unreachable.
            AnchorUseError: wrong-chain, extra-missing.
        """
        slot = self._under_way(step, contract)
        if slot is None:
            slot, sent = self._sender.send(step, contract)
            self._tell(slot, sent.troubles)
        until, deadline = self._patience.until, time.monotonic() + self._patience.timeout_s
        while True:
            slot, troubles = self._look(slot, step)
            self._tell(slot, troubles)
            _check_outcome(slot)
            if ORDER.index(slot.state) >= ORDER.index(until):
                return slot
            if time.monotonic() >= deadline:
                raise ChainError(
                    "not-final",
                    f"{step.purpose} is {slot.state}, not {until}, after"
                    f" {self._patience.timeout_s:g} s",
                )
            time.sleep(self._patience.poll_s)

    def _under_way(self, step: Step, contract: bytes) -> Slot | None:
        """Return the slot of the same call that an earlier process left unfinished."""
        for slot in self._outbox.slots(self._sender.account, unfinished=True):
            if slot.contract == contract and step.data in self._outbox.transactions(slot)[0].raw:
                return slot
        return None

    def _look(self, slot: Slot, step: Step) -> tuple[Slot, tuple[str, ...]]:
        try:
            slot = self._tracker.advance(slot)
        except ChainError as error:
            if error.code != "rpc-unreachable":
                raise
            return slot, (error.message,)
        if slot.state is not State.SENT:
            return slot, ()
        newest = self._outbox.transactions(slot)[0]
        if time.time() - newest.signed_at >= self._patience.replace_s:
            try:
                slot, sent = self._sender.replace(slot, step)
            except (ChainError, ChainContentError) as error:
                troubles = self._sender.resend(slot).troubles
                return slot, (f"not replaced: {error.message}", *troubles)
            return slot, sent.troubles
        return slot, self._sender.resend(slot).troubles


def _check_outcome(slot: Slot) -> None:
    if slot.outcome is Outcome.LOST:
        raise ChainError(
            "not-final",
            f"another transaction of the relayer took nonce {slot.nonce}",
            hint="use the relayer's account for this outbox only, and send again",
        )
    if slot.place is not None and not slot.place.succeeded:
        raise ChainContentError(
            "refused",
            f"the transaction 0x{slot.place.transaction_hash.hex()} was mined and reverted",
            hint="look at it in an explorer, then try again",
        )
