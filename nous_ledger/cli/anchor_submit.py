"""`nous-ledger anchor submit` and `watch`: the newest head into the contract, to finality."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path
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
)
from nous_ledger.cli.anchor_sending import (
    Teller,
    check_relayer,
    describe_slot,
    show_cost,
    slot_to_json,
    take_patience,
    waiting_options,
)
from nous_ledger.cli.files import read_ledger
from nous_ledger.cli.options import json_option, ledger_option
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import say, warn
from nous_ledger.protocol.errors import LedgerError, UnavailableError

if TYPE_CHECKING:
    from nous_ledger.anchor.anchorer import Anchorer, Round
    from nous_ledger.anchor.outbox import Outbox
    from nous_ledger.anchor.waiting import Patience
    from nous_ledger.ledger import Ledger

_MAX_REFUSALS: Final = 3
_CALM: Final = 4
"""How much longer to wait between two looks while only finality is waited for."""
_TAGS: Final = {"mined": "latest", "safe": "safe", "final": "finalized"}


@click.command(
    "submit",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor submit --dry-run --eth-price 3000 --relayer-key relayer.json \\\n"
        "      --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor submit --relayer-key relayer.json --wait mined \\\n"
        "      --rpc https://mainnet.base.org --rpc https://base.example.com\n"
    ),
)
@ledger_option
@chain_options
@paying_options
@outbox_option
@waiting_options("final")
@json_option
def submit(
    *,
    named: Path | None,
    outbox_file: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Anchor the newest signed head, and wait until that is final.

    Key rotations that the contract does not know yet go first. What an earlier call left
    unfinished is taken up again: nothing is sent twice.
    """
    target, payment = take_target(options), take_payment(options)
    patience = take_patience(options)
    target.contract.check_code()
    with read_ledger(named) as ledger, open_outbox(named, outbox_file) as outbox:
        anchorer = _anchorer(ledger, target, payment, outbox, patience)
        if payment.dry_run:
            _reckon(ledger, target, payment, outbox, as_json=as_json)
            return
        with outbox.sending():
            slots, count = _submit(ledger, anchorer, patience)
    if as_json:
        shown = {"leaf_count": count, "state": str(patience.until), "slots": slots}
        say(json.dumps(shown, indent=2))
    else:
        say(f"the contract's head covers {count} record{plural(count)} ({patience.until})")


def _anchorer(
    ledger: Ledger, target: Target, payment: Payment, outbox: Outbox, patience: Patience
) -> Anchorer:
    from nous_ledger.anchor.anchorer import Anchorer

    sender = payment.sender(target, outbox)
    check_relayer(ledger, sender.account.relayer)
    return Anchorer(ledger, target.contract, sender, outbox, replace_s=patience.replace_s)


def _reckon(
    ledger: Ledger, target: Target, payment: Payment, outbox: Outbox, *, as_json: bool
) -> None:
    from nous_ledger.anchor.anchorer import contract_state
    from nous_ledger.anchor.steps import next_step

    step = next_step(ledger, contract_state(target.contract, ledger))
    if step is None:
        say(json.dumps({"dry_run": True, "purpose": None}) if as_json else "nothing to be sent")
        return
    cost = payment.sender(target, outbox).cost(step, target.contract.address)
    show_cost(payment, step, payment.cost_to_json(step, cost), as_json=as_json)


def _submit(
    ledger: Ledger, anchorer: Anchorer, patience: Patience
) -> tuple[list[dict[str, Any]], int]:
    """Go round until the contract's head covers ours; return the slots that were seen."""
    from nous_ledger.anchor.anchorer import goal_of
    from nous_ledger.anchor.errors import ChainError

    goal = goal_of(ledger)
    deadline = time.monotonic() + patience.timeout_s
    tell_of, seen, refusals = Teller(), {}, 0
    while True:
        try:
            done = anchorer.round()
            for slot in done.slots:
                tell_of(slot, done.troubles)
                seen[slot.id] = slot_to_json(slot)
            if patience.until == "sent" or goal.is_met_by(anchorer.state_at(_TAGS[patience.until])):
                seen |= {slot.id: slot_to_json(slot) for slot in anchorer.look()}
                return list(seen.values()), goal.leaf_count
        except LedgerError as error:
            refusals += error.code == "refused"
            if not _passes(error, seen=bool(seen)) or refusals > _MAX_REFUSALS:
                raise
            tell_of(None, (error.message,))
        if time.monotonic() >= deadline:
            raise ChainError(
                "not-final",
                f"the head of {goal.leaf_count} records is not {patience.until} after"
                f" {patience.timeout_s:g} s",
            )
        waits = not any(slot["state"] == "sent" for slot in seen.values())
        time.sleep(patience.poll_s * (_CALM if waits else 1))


def _passes(error: LedgerError, *, seen: bool) -> bool:
    """Return whether an error may be gone in the next round."""
    if error.code == "refused":
        return True  # somebody may have anchored between our look and our call
    # What was sent goes on without us.
    return seen and error.code in ("rpc-unreachable", "rpc-error")


@click.command(
    "watch",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor watch --relayer-key relayer.json \\\n"
        "      --relayer-passphrase-file pass.txt --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor watch --every 21600 --relayer-key relayer.json \\\n"
        "      --relayer-passphrase-env RELAYER_PASSPHRASE --rpc @rpc-urls.txt --json\n"
    ),
)
@ledger_option
@chain_options
@paying_options
@outbox_option
@click.option(
    "--every",
    type=click.FloatRange(min=0),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="Least time between two anchors.",
)
@waiting_options("final", poll_s=30.0)
@json_option
def watch(
    *,
    named: Path | None,
    outbox_file: Path | None,
    every: float,
    as_json: bool,
    **options: Any,  # noqa: ANN401 - click passes what the options above say
) -> None:
    """Anchor again and again, until SIGTERM or Ctrl-C: a line for all that became final.

    Trouble with servers, fees or funds is told and waited out. A contract that holds
    another history than the ledger ends it.
    """
    target, payment = take_target(options), take_payment(options)
    patience = take_patience(options)
    if payment.dry_run:
        raise click.UsageError("--dry-run goes with submit")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    target.contract.check_code()
    with (
        read_ledger(named) as ledger,
        open_outbox(named, outbox_file) as outbox,
        outbox.sending(),
    ):
        anchorer = _anchorer(ledger, target, payment, outbox, patience)
        tell_of, opened = Teller(), time.monotonic() - _age_of_newest(outbox)
        while not stop.is_set():
            now = time.monotonic()
            done = _round(anchorer, may_open=now - opened >= every)
            if done is not None:
                _show_round(done, tell_of, as_json=as_json)
                opened = now if done.opened else opened
            stop.wait(patience.poll_s)


def _age_of_newest(outbox: Outbox) -> float:
    """Return the seconds since the newest head was sent: a restart is no reason to send one."""
    sent = [
        signed.signed_at
        for slot in outbox.slots()
        if slot.leaf_count
        for signed in outbox.transactions(slot)
    ]
    return time.time() - max(sent, default=0)


def _round(anchorer: Anchorer, *, may_open: bool) -> Round | None:
    try:
        return anchorer.round(may_open=may_open)
    except LedgerError as error:
        if not isinstance(error, UnavailableError) and error.code != "refused":
            raise
        warn(error.message)
        return None


def _show_round(done: Round, tell_of: Teller, *, as_json: bool) -> None:
    from nous_ledger.anchor.outbox import State

    for slot in done.slots:
        if slot.state is State.FINAL:
            say(json.dumps(slot_to_json(slot)) if as_json else describe_slot(slot))
        else:
            tell_of(slot, ())
    tell_of(None, done.troubles)
