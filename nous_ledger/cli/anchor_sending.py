"""What the anchor commands share that send: reckoning, waiting, and saying how it goes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.anchor_options import (
    Payment,
    Target,
    chain_options,
    open_outbox,
    outbox_option,
    paying_options,
    take_payment,
    take_target,
    tell_troubles,
)
from nous_ledger.cli.options import json_option
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import say, tell

if TYPE_CHECKING:
    from nous_ledger.anchor.outbox import Outbox, Slot
    from nous_ledger.anchor.steps import Step
    from nous_ledger.anchor.waiting import Patience
    from nous_ledger.ledger import Ledger

STATES: Final = ("sent", "mined", "safe", "final")


def waiting_options(
    until: str, poll_s: float = 4.0
) -> Callable[[click.decorators.FC], click.decorators.FC]:
    """Return what adds --wait, --timeout, --poll and --replace-after."""

    def add(function: click.decorators.FC) -> click.decorators.FC:
        for option in (
            click.option(
                "--replace-after",
                type=click.FloatRange(min=0),
                default=60.0,
                show_default=True,
                metavar="SECONDS",
                help="Age at which a transaction that is in no block is replaced.",
            ),
            click.option(
                "--poll",
                type=click.FloatRange(0.05, 3600),
                default=poll_s,
                show_default=True,
                metavar="SECONDS",
                help="Time between two looks.",
            ),
            click.option(
                "--timeout",
                type=click.FloatRange(min=0),
                default=3600.0,
                show_default=True,
                metavar="SECONDS",
                help="Longest wait; what was sent goes on without.",
            ),
            click.option(
                "--wait",
                "until",
                type=click.Choice(STATES),
                default=until,
                show_default=True,
                help="How far it has to come.",
            ),
        ):
            function = option(function)
        return function

    return add


def take_patience(options: dict[str, Any]) -> Patience:
    """Return what the options of `waiting_options` say, and take them out of the rest."""
    from nous_ledger.anchor.outbox import State
    from nous_ledger.anchor.waiting import Patience

    return Patience(
        until=State(options.pop("until")),
        timeout_s=options.pop("timeout"),
        poll_s=options.pop("poll"),
        replace_s=options.pop("replace_after"),
    )


class Teller:
    """Says each change of a slot once, on stderr."""

    def __init__(self) -> None:
        """Have said nothing yet."""
        self._said: set[str] = set()

    def __call__(self, slot: Slot | None, troubles: tuple[str, ...]) -> None:
        """Say what is new."""
        lines = [] if slot is None else [describe_slot(slot)]
        for line in (line for line in lines if line not in self._said):
            self._said.add(line)
            tell(line)
        new = tuple(trouble for trouble in troubles if trouble not in self._said)
        self._said.update(new)
        tell_troubles(new)


def describe_slot(slot: Slot) -> str:
    """Return one line on a slot."""
    count = slot.leaf_count
    what = f"{slot.purpose}{f' of {count} record{plural(count)}' if count else ''}"
    where = "" if slot.place is None else f" in block {slot.place.block_number}"
    outcome = "" if str(slot.outcome) in ("", "done") else f", {slot.outcome}"
    return f"nonce {slot.nonce}: {what}: {slot.state}{where}{outcome}"


def slot_to_json(slot: Slot) -> dict[str, Any]:
    """Return a slot as str, int and None."""
    place = slot.place
    return {
        "chain_id": slot.account.chain_id,
        "relayer": f"0x{slot.account.relayer.hex()}",
        "nonce": slot.nonce,
        "purpose": slot.purpose,
        "contract": f"0x{slot.contract.hex()}",
        "leaf_count": slot.leaf_count,
        "root": slot.root.hex() if slot.leaf_count else None,
        "state": str(slot.state),
        "outcome": str(slot.outcome),
        "transaction": None if place is None else f"0x{place.transaction_hash.hex()}",
        "block_number": None if place is None else place.block_number,
        "block_hash": None if place is None else f"0x{place.block_hash.hex()}",
    }


def show_cost(payment: Payment, step: Step, shown: dict[str, Any], *, as_json: bool) -> None:
    """Print what a step would cost at most."""
    if as_json:
        say(json.dumps({"dry_run": True, **shown}, indent=2))
        return
    usd = "" if shown["total_usd"] is None else f", ${shown['total_usd']}"
    say(f"would       {step.summary}")
    say(f"calldata    {shown['calldata_bytes']} bytes")
    say(f"gas         {shown['gas']} at most")
    say(f"gas price   {shown['max_fee_per_gas']} wei at most, tip {shown['tip_per_gas']} wei")
    say(f"L1 data fee {shown['fee_below']} wei at most")
    say(f"cost        {shown['total_eth']} ETH at most{usd}")
    if not shown["within_max_cost"]:
        say(f"that is more than --max-cost {payment.max_cost} allows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What one call of a command that sends is made of."""

    target: Target
    payment: Payment
    patience: Patience
    outbox: Outbox
    as_json: bool

    def send(self, step: Step, contract: bytes) -> None:
        """Send one call and wait, or show its cost; print what became of it."""
        from nous_ledger.anchor.waiting import Delivery

        sender = self.payment.sender(self.target, self.outbox)
        if self.payment.dry_run:
            shown = self.payment.cost_to_json(step, sender.cost(step, contract))
            show_cost(self.payment, step, shown, as_json=self.as_json)
            return
        with self.outbox.sending():
            slot = Delivery(sender, self.outbox, self.patience, Teller()).send(step, contract)
        say(json.dumps(slot_to_json(slot), indent=2) if self.as_json else describe_slot(slot))


@contextlib.contextmanager
def open_sending(options: dict[str, Any]) -> Iterator[Sending]:
    """Give what the options of a command that sends say, and take them out of the rest."""
    target, payment = take_target(options), take_payment(options)
    patience, as_json = take_patience(options), options.pop("as_json")
    with open_outbox(options.get("named"), options.pop("outbox_file")) as outbox:
        yield Sending(
            target=target,
            payment=payment,
            patience=patience,
            outbox=outbox,
            as_json=as_json,
        )


def sending_options(function: click.decorators.FC) -> click.decorators.FC:
    """Add all options of a command that sends one call."""
    return chain_options(
        paying_options(outbox_option(waiting_options("final")(json_option(function))))
    )


def check_relayer(ledger: Ledger, address: bytes) -> None:
    """Refuse a relayer whose key is one of the log's.

    Raises:
        KeyFileError: key-in-use.
    """
    from nous_ledger.ledger import KeyFileError
    from nous_ledger.protocol.signing import address_of

    if any(address_of(epoch.secp256k1) == address for epoch in ledger.key_history().epochs):
        raise KeyFileError(
            "key-in-use",
            "the relayer's key is a key of the log",
            hint="pay with a key of its own: `nous-ledger anchor new-relayer`",
        )
