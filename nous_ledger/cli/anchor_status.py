"""`nous-ledger anchor status`: what the contract holds, and what is under way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.anchor_options import chain_options, outbox_option, take_target
from nous_ledger.cli.anchor_sending import describe_slot, slot_to_json
from nous_ledger.cli.files import read_ledger
from nous_ledger.cli.options import json_option, ledger_folder, ledger_option
from nous_ledger.cli.render import format_time, plural
from nous_ledger.cli.terminal import say

if TYPE_CHECKING:
    from nous_ledger.anchor.outbox import Slot
    from nous_ledger.anchor.state import ContractState

_TAGS: Final = ("latest", "safe", "finalized")


@click.command(
    "status",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger anchor status --rpc https://mainnet.base.org\n"
        "  nous-ledger anchor status --chain base-sepolia --rpc https://sepolia.base.org --json\n"
    ),
)
@ledger_option
@chain_options
@outbox_option
@json_option
def status(
    *,
    named: Path | None,
    outbox_file: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Show the contract's head of this log at the newest, safe and final block.

    What this ledger sent and is not final yet stands below. A contract that holds another
    history than the ledger is an error.
    """
    from nous_ledger.anchor.anchorer import contract_state
    from nous_ledger.anchor.steps import check_agreement

    target = take_target(options)
    target.contract.check_code()
    with read_ledger(named) as ledger:
        check_agreement(ledger, contract_state(target.contract, ledger))
        states = {tag: target.contract.agreed_state(ledger.log_id, tag) for tag in _TAGS}
        for state in states.values():
            if state is not None:
                check_agreement(ledger, state)
        shown = {
            "origin": ledger.origin,
            "log_id": ledger.log_id.hex(),
            "leaf_count": ledger.leaf_count(),
            "chain_id": target.chain.chain_id,
            "contract": f"0x{target.contract.address.hex()}",
            **{tag: _state_to_json(state) for tag, state in states.items()},
            "under_way": [slot_to_json(slot) for slot in _slots(named, outbox_file)],
        }
    lines = _render(shown, _slots(named, outbox_file))
    say(json.dumps(shown, indent=2) if as_json else "\n".join(lines))


def _slots(named: Path | None, outbox_file: Path | None) -> list[Slot]:
    from nous_ledger.anchor.outbox import OUTBOX_NAME, Outbox

    path = outbox_file or ledger_folder(named) / OUTBOX_NAME
    if not path.exists():
        return []
    with Outbox(path) as outbox:
        return outbox.slots(unfinished=True)


def _state_to_json(state: ContractState | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "leaf_count": state.leaf_count,
        "root": state.root.hex(),
        "timestamp": state.timestamp,
        "epoch": state.epoch,
        "anchors": state.anchors,
        "chain": state.chain.hex(),
        "closed": state.closed,
        "forked": state.forked,
    }


def _render(shown: dict[str, Any], slots: list[Slot]) -> Iterator[str]:
    count = shown["leaf_count"]
    yield f"log         {shown['origin']}, {count} record{plural(count)} here"
    yield f"contract    {shown['contract']} on chain {shown['chain_id']}"
    for tag in _TAGS:
        state = shown[tag]
        if state is None:
            yield f"{tag:<12}not registered"
        else:
            flags = f"{', closed' * state['closed']}{', FORKED' * state['forked']}"
            yield (
                f"{tag:<12}{state['leaf_count']} record{plural(state['leaf_count'])}, head of"
                f" {format_time(state['timestamp'])}, epoch {state['epoch']},"
                f" {state['anchors']} anchor{plural(state['anchors'])}{flags}"
            )
    for slot in slots:
        yield f"under way   {describe_slot(slot)}"
