"""`nous-sentinel history`: everything that was ever found."""

from __future__ import annotations

import json
from pathlib import Path

import click

from sentinel.audit.findings import Severity
from sentinel.cli_options import json_option, logs_of, remembered_states, state_option
from sentinel.render import render_stored, stored_to_json
from sentinel.state_findings import list_findings
from sentinel.terminal import printable, say

_LISTED = (Severity.ALARM, Severity.FAULT, Severity.VERDICT)


@click.command(
    "history",
    epilog=(
        "\b\nExamples:\n"
        "  nous-sentinel history\n"
        "  nous-sentinel history --open\n"
        "  nous-sentinel history --all --json\n"
        "\n"
        "Exit codes: 0 listed, 2 used wrongly, 3 what is remembered cannot be read."
    ),
)
@state_option
@click.option("--origin", help="Only the log of this name.")
@click.option("--open", "only_open", is_flag=True, help="Only what nobody has acknowledged.")
@click.option(
    "--all", "everything", is_flag=True, help="What could not be checked and notices too."
)
@json_option
def command(
    *, state_file: Path | None, origin: str | None, only_open: bool, everything: bool, as_json: bool
) -> None:
    """List findings with their numbers: alarms, faults and verdicts, acknowledged or not."""
    shown = 0
    with remembered_states(state_file) as states:
        for state, row in logs_of(states, origin):
            if not as_json:
                say(f"{printable(row.origin)}  ({printable(state.path)})")
            for found in list_findings(state, row.number):
                listed = everything or found.severity in _LISTED
                if found.is_open if only_open else listed:
                    shown += 1
                    json_line = json.dumps(stored_to_json(found, row.origin))
                    say(json_line if as_json else render_stored(found))
    if not shown and not as_json:
        say("nothing was found")
