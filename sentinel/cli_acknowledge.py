"""`nous-sentinel acknowledge`: record that somebody has dealt with a finding."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from nous_ledger.protocol.errors import InputError
from sentinel.cli_options import json_option, one_state, remembered_states, state_option
from sentinel.render import render_stored, stored_to_json
from sentinel.state_findings import acknowledge
from sentinel.terminal import say

MAX_TEXT = 1_000


@click.command(
    "acknowledge",
    epilog=(
        "\b\nExamples:\n"
        '  nous-sentinel acknowledge 7 --by ana --reason "operator restored a backup, see #12"\n'
        "  nous-sentinel acknowledge 7 --by ana --reason known --origin log.example/main\n"
        "\n"
        "Nothing is deleted: the finding and its evidence stay, with who acknowledged it, why and "
        "when. Exit codes: 0 recorded, 2 there is no such finding."
    ),
)
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@click.option("--by", required=True, metavar="WHO", help="Who has dealt with it.")
@click.option("--reason", required=True, metavar="WHY", help="Why it is no longer open.")
@state_option
@click.option("--origin", help="Name of the log, where several are remembered.")
@json_option
def command(
    *, number: int, by: str, reason: str, state_file: Path | None, origin: str | None, as_json: bool
) -> None:
    """Record that WHO has dealt with the finding ID, and WHY; a watch may be running."""
    for text, what in ((by, "--by"), (reason, "--reason")):
        if not text.strip() or len(text) > MAX_TEXT:
            raise InputError(
                "input", f"{what} takes 1 to {MAX_TEXT} letters", hint="say it shortly"
            )
    with remembered_states(state_file) as states:
        state, origins = one_state(states, origin)
        found = acknowledge(state, number, by=by, reason=reason, now=int(time.time()))
        name = origins[found.log]
    say(json.dumps(stored_to_json(found, name)) if as_json else render_stored(found))
