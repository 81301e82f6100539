"""`nous-ledger init`: make keys, write the genesis, sign the first head."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from nous_ledger.cli.files import ledger_option, read_passphrase


@click.command(
    "init",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger init --next-key-out /media/usb/next.key\n"
        "  nous-ledger init --ledger ./ledger --origin ledger.example.com/main \\\n"
        "      --next-key-out ~/offline/next.key --passphrase\n"
    ),
)
@ledger_option
@click.option("--origin", help="Name of the log, a URL without scheme. [default: a random name]")
@click.option(
    "--next-key-out",
    type=click.Path(path_type=Path),
    help="Where the key of the next epoch is written; keep it offline, outside the ledger folder.",
)
@click.option(
    "--no-rotation", is_flag=True, help="Make a log whose key can never be replaced, only closed."
)
@click.option(
    "--passphrase", "ask", is_flag=True, help="Ask for a passphrase and encrypt the keys."
)
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="File with the passphrase (0600)."
)
@click.option(
    "--max-merge-delay",
    type=click.IntRange(1, 86_400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="Promise: every record is covered by a head within this time.",
)
@click.option(
    "--heartbeat",
    type=click.IntRange(1, 31_536_000),
    default=86_400,
    show_default=True,
    metavar="SECONDS",
    help="Promise: a head is signed at least this often.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(  # noqa: PLR0913 - one parameter per option
    *,
    folder: Path,
    origin: str | None,
    next_key_out: Path | None,
    no_rotation: bool,
    ask: bool,
    passphrase_file: Path | None,
    max_merge_delay: int,
    heartbeat: int,
    as_json: bool,
) -> None:
    """Create a ledger.

    The next key can replace a stolen one and nothing else can: without it the
    log can never rotate. So it is written to a place of your choice outside the
    ledger, or you say with --no-rotation that you do without.
    """
    from nous_ledger.ledger import Ledger  # noqa: PLC0415 - only this command needs it

    if (next_key_out is None) == (not no_rotation):
        raise click.UsageError("give either --next-key-out FILE or --no-rotation")
    passphrase = read_passphrase(passphrase_file, ask=ask, confirm=True)
    with Ledger.create(
        folder,
        origin=origin,
        next_key_out=next_key_out,
        passphrase=passphrase,
        max_merge_delay_s=max_merge_delay,
        heartbeat_s=heartbeat,
    ) as ledger:
        notices, (ed25519, head) = ledger.notices, ledger.vkeys()
        made = {
            "ledger": str(folder),
            "origin": ledger.origin,
            "log_id": ledger.log_id.hex(),
            "vkeys": [ed25519, head],
            "next_key": None if next_key_out is None else str(next_key_out),
            "encrypted": passphrase is not None,
        }
    for notice in notices:
        click.echo(f"nous-ledger: warning: {notice}", err=True)
    click.echo(json.dumps(made, indent=2) if as_json else _render(made))


def _render(made: dict[str, Any]) -> str:
    next_key = made["next_key"]
    lines = [
        f"ledger    {made['ledger']}",
        f"origin    {made['origin']}",
        f"log id    {made['log_id']}",
        *(f"vkey      {vkey}" for vkey in made["vkeys"]),
        f"next key  {next_key or 'none: this log can never replace its key'}",
        "",
    ]
    if next_key:
        lines.append("Move the next key to a place that this machine cannot read.")
    lines += [
        "Publish the vkeys where your callers can compare them.",
        "Then run: nous-ledger gateway",
    ]
    return "\n".join(lines)
