"""Bringing a ledger's newest head into the contract, and seeing it through to finality.

Every round looks at what is under way and does what it needs: a block was reorganised away:
send the same bytes again; nothing moves: replace at the same nonce, with the newest head;
somebody else anchored: make the proof anew from the head that the contract holds now. What
counts in the end is that the contract's head at finality covers ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nous_ledger.anchor.errors import AnchorUseError, ChainContentError, ChainError
from nous_ledger.anchor.outbox import Outbox, Slot, State
from nous_ledger.anchor.sender import Sender
from nous_ledger.anchor.state import ContractReader, ContractState
from nous_ledger.anchor.steps import (
    ANCHOR,
    ROTATE,
    HeadSource,
    Step,
    check_agreement,
    newest_head,
    next_step,
)
from nous_ledger.anchor.tracking import Tracker
from nous_ledger.protocol.types import Epoch

DEFAULT_REPLACE_S: Final = 60
"""On Base a transaction that pays enough is in a block after a few seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round found and did.

    Attributes:
        slots: what is not final yet, by nonce, and what became final in this round.
        troubles: what did not work, for people; the next round tries again.
        opened: whether a new slot was opened.
    """

    slots: tuple[Slot, ...]
    troubles: tuple[str, ...]
    opened: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the contract is to hold.

    Attributes:
        leaf_count: at least so many leaves.
        epoch: at least this key epoch in force.
    """

    leaf_count: int
    epoch: int

    def is_met_by(self, state: ContractState | None) -> bool:
        """Return whether the contract holds that, or more."""
        if state is None:
            return False
        return state.leaf_count >= self.leaf_count and state.epoch >= self.epoch


def goal_of(ledger: HeadSource) -> Goal:
    """Return what the contract is to hold of a ledger as it is now.

    The head over a close cannot be anchored where the close is a rotation: the one before can.
    """
    history = ledger.key_history()
    closing = history.closed_at is not None and history.epochs[-1].first_index == history.closed_at
    try:
        head = newest_head(ledger, Epoch(history.epoch - 1 if closing else history.epoch))
    except AnchorUseError:  # no head of that epoch is kept any more
        return Goal(leaf_count=0, epoch=history.epoch)
    return Goal(leaf_count=head.checkpoint.leaf_count, epoch=history.epoch)


def contract_state(contract: ContractReader, ledger: HeadSource) -> ContractState:
    """Return what the contract holds of a log at the newest block.

    Raises:
        AnchorUseError: not-registered, wrong-chain.
        ChainError: rpc-unreachable, rpc-error.
    """
    state = contract.state(ledger.log_id)
    if state is None:
        raise AnchorUseError(
            "not-registered", f"the contract does not know the log {ledger.origin}"
        )
    return state


class Anchorer:
    """One log, one contract, one account that pays.

    Only one process at a time may use it: within `Outbox.sending`.
    """

    def __init__(
        self,
        ledger: HeadSource,
        contract: ContractReader,
        sender: Sender,
        outbox: Outbox,
        *,
        replace_s: float = DEFAULT_REPLACE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take what it works with.

        Args:
            ledger: the log; read only.
            contract: the contract.
            sender: who pays.
            outbox: where transactions are written down.
            replace_s: seconds after which a transaction that is in no block is replaced.
            clock: the time in seconds.
        """
        self._ledger = ledger
        self._contract = contract
        self._sender = sender
        self._outbox = outbox
        self._tracker = Tracker(sender.pool, outbox)
        self._replace_s = replace_s
        self._clock = clock
        self._troubles: list[str] = []

    def round(self, *, may_open: bool = True) -> Round:
        """Look at everything that is under way, and do what it needs.

        Args:
            may_open: whether a new slot may be opened for what the contract lacks.

        Raises:
            ChainContentError: chain-ahead, chain-forked, refused.
            ChainError: fee-cap, insufficient-funds; rpc-disagree; rpc-unreachable, if no
                server answers.
            AnchorUseError: not-registered, wrong-chain, extra-missing.
            LedgerError: the ledger or the outbox could not be used.
        """
        self._troubles = []
        slots = self.look()
        waiting = [slot for slot in slots if slot.state is State.SENT]
        state = contract_state(self._contract, self._ledger)
        step = next_step(self._ledger, state)
        if waiting:
            # Those behind the lowest nonce rest on what it will have changed.
            slots = [
                slot
                if slot not in waiting
                else self._push(slot, step if slot is waiting[0] else None, state)
                for slot in slots
            ]
        opened = not waiting and step is not None and may_open
        if opened and step is not None:
            slots.append(self._open(step))
        return Round(slots=tuple(slots), troubles=tuple(self._troubles), opened=opened)

    def look(self) -> list[Slot]:
        """Write down how far everything that was not final has come, and return it.

        Raises:
            ChainError: rpc-disagree; rpc-unreachable, if no server answers.
            AnchorUseError: wrong-chain.
        """
        before = self._outbox.slots(self._sender.account, unfinished=True)
        return [self._tracker.advance(slot) for slot in before]

    def state_at(self, tag: str) -> ContractState | None:
        """Return what servers agree that the contract holds at a tagged block.

        Raises:
            AnchorUseError: log-closed (the contract took the close before the last head).
            ChainContentError: chain-ahead, chain-forked.
            ChainError: rpc-disagree, rpc-unreachable.
        """
        state = self._contract.agreed_state(self._ledger.log_id, tag)
        if state is not None:
            check_agreement(self._ledger, state)
            goal = goal_of(self._ledger)
            if state.closed and not goal.is_met_by(state):
                raise AnchorUseError(
                    "log-closed",
                    f"the contract took the close before the head of {goal.leaf_count} leaves",
                )
        return state

    def _open(self, step: Step) -> Slot:
        slot, sent = self._sender.send(step, self._contract.address)
        self._troubles += sent.troubles
        return slot

    def _push(self, slot: Slot, step: Step | None, state: ContractState) -> Slot:
        """Get a slot's transaction into a block: by sending it again, or by replacing it."""
        newest = self._outbox.transactions(slot)[0]
        overtaken = newest.leaf_count > 0 and newest.leaf_count <= state.leaf_count
        moved = newest.leaf_count > 0 and newest.base_count != state.leaf_count
        stuck = self._clock() - newest.signed_at >= self._replace_s
        # Only a head or a rotation gives way: whatever else was to be sent is still wanted.
        is_ours = slot.purpose in (ANCHOR, ROTATE) and slot.contract == self._contract.address
        if step is not None and is_ours and (moved or stuck):
            try:
                slot, sent = self._sender.replace(slot, step)
            except (ChainError, ChainContentError) as error:
                # It may still get into a block as it is.
                self._troubles.append(f"not replaced: {error.message}")
            else:
                self._troubles += sent.troubles
                return slot
        if not overtaken:
            self._troubles += self._sender.resend(slot).troubles
        return slot
