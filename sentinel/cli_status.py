"""`nous-sentinel status`: how every remembered log stands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sentinel.cli_options import json_option, logs_of, remembered_states, state_option
from sentinel.render_streams import render_streams
from sentinel.state import LogRow, State
from sentinel.state_findings import list_findings
from sentinel.state_streams import read_streams
from sentinel.terminal import format_time, plural, printable, say

EXIT_GOOD, EXIT_WRONG, EXIT_UNAVAILABLE = 0, 1, 3


@click.command(
    "status",
    epilog=(
        "\b\nExamples:\n"
        "  nous-sentinel status\n"
        "  nous-sentinel status --state audit.sqlite --json\n"
        "\n"
        "Exit codes: 1 if any finding is open, else 3 if the last round of any log could not check "
        "something, else 0. Nothing is read from any log."
    ),
)
@state_option
@click.option("--origin", help="Only the log of this name.")
@json_option
def command(*, state_file: Path | None, origin: str | None, as_json: bool) -> int:
    """Say how every remembered log stood after its last round."""
    with remembered_states(state_file) as states:
        shown = [_status(state, row) for state, row in logs_of(states, origin)]
    for status in shown:
        say(json.dumps(status) if as_json else _render(status))
    if not shown and not as_json:
        say("no log is remembered yet")
    outcomes = {status["outcome"] for status in shown}
    if "wrong" in outcomes:
        return EXIT_WRONG
    return EXIT_GOOD if outcomes <= {"good"} else EXIT_UNAVAILABLE


def _status(state: State, row: LogRow) -> dict[str, Any]:
    """Return the last round, with what was acknowledged or found since."""
    last = json.loads(row.round) if row.round else {}
    still_open = sum(found.is_open for found in list_findings(state, row.number))
    outcome = last.get("outcome", "could-not-check")
    if still_open:
        outcome = "wrong"
    elif outcome == "wrong":  # all that was wrong is acknowledged; the rest of the round counts
        outcome = last.get("otherwise", "could-not-check")
    return {
        "type": "status",
        "origin": row.origin,
        "log_id": row.log_id.hex() or None,
        "address": row.address,
        "state": str(state.path),
        "outcome": outcome,
        "open_findings": still_open,
        "last_round": last or None,
        "streams": read_streams(state, row).to_json(),
    }


def _render(status: dict[str, Any]) -> str:
    last = status["last_round"] or {}
    colour = {"good": "green", "wrong": "red"}.get(status["outcome"], "yellow")
    records = "-"
    if "leaf_count" in last:
        records = f"{last['audited']:,} of {plural(last['leaf_count'], 'record')} audited"
        records += f", head signed {format_time(last['head_time'])}"
    return "\n".join(
        [
            f"log         {printable(status['origin'])}",
            f"log id      {status['log_id'] or '-'}",
            f"read from   {printable(status['address'])}",
            f"state       {printable(status['state'])}",
            f"last round  {format_time(last.get('at'))}",
            f"records     {records}",
            f"open        {plural(status['open_findings'], 'finding')}",
            *render_streams(status["streams"]),
            click.style(status["outcome"].replace("-", " "), fg=colour, bold=True),
            "",
        ]
    )
