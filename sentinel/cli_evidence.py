"""`nous-sentinel evidence`: what proves a finding, for whoever has to be convinced."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import click

from nous_ledger.protocol.errors import InputError
from sentinel.audit.confirm import verify_evidence
from sentinel.audit.evidence import MAX_EVIDENCE_BYTES
from sentinel.cli_options import (
    PATH,
    json_option,
    logs_of,
    one_state,
    read_file,
    read_policy,
    remembered_states,
    state_option,
)
from sentinel.errors import SentinelUseError
from sentinel.render import render_stored, stored_to_json
from sentinel.state_findings import StoredFinding, list_findings, read_finding
from sentinel.terminal import format_time, printable, say, tell

EXIT_USAGE: Final = 2

_origin_option: Final = click.option(
    "--origin", help="Name of the log, where several are remembered."
)
_number: Final = click.argument("number", metavar="ID", type=click.IntRange(min=1))


@click.group(
    "evidence",
    invoke_without_command=True,
    epilog=(
        "\b\nExamples:\n"
        "  nous-sentinel evidence list\n"
        "  nous-sentinel evidence show 7\n"
        "  nous-sentinel evidence export 7 -o fork.json\n"
        "  nous-sentinel evidence verify fork.json --policy trust.policy\n"
    ),
)
@click.pass_context
def command(context: click.Context) -> None:
    """List, show, export and verify evidence of what a log did wrong.

    An evidence file needs nobody's word: it is verified offline, from the log's own
    signatures and the keys that a policy pins.
    """
    if context.invoked_subcommand is None:
        tell(context.get_help())
        context.exit(EXIT_USAGE)


@command.command("list", epilog="\b\nExample:\n  nous-sentinel evidence list --json\n")
@state_option
@_origin_option
@json_option
def list_evidence(*, state_file: Path | None, origin: str | None, as_json: bool) -> None:
    """List the findings that have evidence."""
    shown = 0
    with remembered_states(state_file) as states:
        for state, row in logs_of(states, origin):
            for found in list_findings(state, row.number):
                if found.has_evidence:
                    shown += 1
                    json_line = json.dumps(stored_to_json(found, row.origin))
                    say(json_line if as_json else render_stored(found))
    if not shown and not as_json:
        say("there is no evidence of anything")


@command.command("show", epilog="\b\nExample:\n  nous-sentinel evidence show 7\n")
@_number
@state_option
@_origin_option
def show(*, number: int, state_file: Path | None, origin: str | None) -> None:
    """Print the evidence of the finding ID: JSON with everything that a verifier needs."""
    found, evidence = _read(number, state_file, origin)
    tell(render_stored(found))
    say(evidence.decode("utf-8").rstrip("\n"))


@command.command(
    "export",
    epilog="\b\nExample:\n  nous-sentinel evidence export 7 -o fork.json\n",
)
@_number
@click.option("-o", "--output", type=PATH, required=True, help="File to write; it must be new.")
@state_option
@_origin_option
def export(*, number: int, output: Path, state_file: Path | None, origin: str | None) -> None:
    """Write the evidence of the finding ID into a file, to be given to others."""
    _, evidence = _read(number, state_file, origin)
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError as error:
        raise InputError("input", f"{output} exists", hint="choose a new name") from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(evidence)
    tell(f"wrote {printable(output)}")


@command.command(
    "verify",
    epilog=(
        "\b\nExample:\n"
        "  nous-sentinel evidence verify fork.json --policy trust.policy\n"
        "\n"
        "Exit codes: 0 the log did what the file says, 1 the file proves nothing, 2 used wrongly, "
        "3 could not check, for example because the policy does not pin the log."
    ),
)
@click.argument("file", metavar="FILE", type=PATH)
@click.option(
    "--policy", "policy_file", type=PATH, required=True, help="Trust policy that pins the log."
)
@json_option
def verify(*, file: Path, policy_file: Path, as_json: bool) -> None:
    """Confirm offline, from the pinned keys alone, that a log misbehaved as FILE says."""
    policy = read_policy(policy_file)
    confirmed = verify_evidence(read_file(file, MAX_EVIDENCE_BYTES + 1), policy)
    if as_json:
        shown = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in confirmed._asdict().items()
        }
        say(json.dumps({"type": "confirmed", **shown}))
        return
    say(
        "\n".join(
            [
                click.style("confirmed", fg="red", bold=True) + f"   {printable(confirmed.text)}",
                f"log         {printable(confirmed.origin)}",
                f"log id      {confirmed.log_id.hex()}",
                f"finding     {printable(confirmed.code)} ({printable(confirmed.kind)})",
            ]
        )
    )


def _read(number: int, state_file: Path | None, origin: str | None) -> tuple[StoredFinding, bytes]:
    with remembered_states(state_file) as states:
        state, _ = one_state(states, origin)
        found, evidence = read_finding(state, number)
    if evidence is None:
        raise SentinelUseError(
            "no-such-finding",
            f"finding {number} of {format_time(found.first_at)} has no evidence",
            hint="`nous-sentinel evidence list` lists those that have",
        )
    return found, evidence
