"""`nous-ledger init`: make keys, write the genesis, sign the first head.

Spec:
    PROTOCOL.md KEY-1, KEY-2.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nous_ledger.cli.files import STDIN, check_folder_of, read_passphrase
from nous_ledger.cli.options import PATH, json_option, ledger_folder, ledger_option
from nous_ledger.cli.predecessor import predecessor_to_json, read_predecessor
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import printable, say, warn
from nous_ledger.protocol.errors import InputError


@click.command(
    "init",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger init --next-key-out /media/usb/next.key\n"
        "  nous-ledger init --ledger ./trial --no-rotation\n"
        "  nous-ledger init --ledger ./ledger --origin ledger.example.com/main \\\n"
        "      --next-key-out ~/offline/next.key --passphrase\n"
        "  nous-ledger init --ledger ./ledger-2 --predecessor ./ledger \\\n"
        "      --next-key-out ~/offline/next-of-2.key\n"
    ),
)
@ledger_option
@click.option("--origin", help="Name of the log, a URL without scheme.  [default: a random name]")
@click.option(
    "--next-key-out",
    type=PATH,
    help="File for the key of the next epoch: outside the ledger folder, to be kept offline.",
)
@click.option(
    "--no-rotation", is_flag=True, help="Make a log whose key can never be replaced, only closed."
)
@click.option(
    "--passphrase", "ask", is_flag=True, help="Ask for a passphrase and encrypt the keys."
)
@click.option(
    "--passphrase-file",
    type=PATH,
    help="Encrypt the keys with the passphrase in this file, readable by you alone; - for stdin.",
)
@click.option(
    "--predecessor",
    metavar="FOLDER|LOGID:COUNT:ROOT",
    help="The log that this one continues: its ledger, or its id, leaf count and root in hex.",
)
@click.option(
    "--high-water",
    type=PATH,
    help="File that tells an older copy of the ledger from the newest; best on another disk.  "
    "[default: in the folder]",
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
@json_option
def command(
    *,
    named: Path | None,
    origin: str | None,
    next_key_out: Path | None,
    no_rotation: bool,
    ask: bool,
    passphrase_file: Path | None,
    predecessor: str | None,
    high_water: Path | None,
    max_merge_delay: int,
    heartbeat: int,
    as_json: bool,
) -> None:
    """Create a ledger.

    The next key can replace a stolen one and nothing else can: without it the
    log can never rotate. So it is written to a place of your choice outside the
    ledger, or you say with --no-rotation that you do without.
    """
    from nous_ledger.ledger import Ledger

    if (next_key_out is None) == (not no_rotation):
        raise click.UsageError("give either --next-key-out FILE or --no-rotation")
    if ask and passphrase_file is not None:
        raise click.UsageError("give either --passphrase or --passphrase-file FILE")
    folder = ledger_folder(named)
    _check_next_key_place(next_key_out, folder)
    if high_water is not None:
        check_folder_of(high_water)
    continued = None if predecessor is None else read_predecessor(predecessor)
    passphrase = read_passphrase(passphrase_file, ask=ask, confirm=True)
    with Ledger.create(
        folder,
        origin=origin,
        next_key_out=next_key_out,
        passphrase=passphrase,
        max_merge_delay_s=max_merge_delay,
        heartbeat_s=heartbeat,
        predecessor=continued,
        high_water=high_water,
    ) as ledger:
        notices, (ed25519, head) = ledger.notices, ledger.vkeys()
        made = {
            "ledger": str(folder),
            "origin": ledger.origin,
            "log_id": ledger.log_id.hex(),
            "vkeys": [ed25519, head],
            "next_key": None if next_key_out is None else str(next_key_out),
            "encrypted": passphrase is not None,
            "predecessor": None if continued is None else predecessor_to_json(continued),
        }
    for notice in notices:
        warn(notice)
    say(json.dumps(made, indent=2) if as_json else _render(made))


def _check_next_key_place(path: Path | None, folder: Path) -> None:
    """Refuse a place where a private key would be shown, or cannot be written."""
    if path is None or path.resolve().is_relative_to(folder.resolve()):
        return  # a place within the ledger is refused there
    if path == STDIN:
        raise InputError(
            "input", "the next key is not written to stdout", hint="name a file on another medium"
        )
    if not path.parent.is_dir():
        raise InputError(
            "input",
            f"{path.parent}, where the next key is to be written, is no folder",
            hint="make it first, or attach the medium",
        )


def _render_predecessor(continued: dict[str, Any] | None) -> Iterator[str]:
    if continued is not None:
        count = continued["count"]
        yield f"continues {continued['log_id']}"
        yield f"          up to its head over {count} record{plural(count)}"


def _render(made: dict[str, Any]) -> str:
    next_key = made["next_key"]
    lines = [
        f"ledger    {printable(made['ledger'])}",
        f"origin    {made['origin']}",
        f"log id    {made['log_id']}",
        *(f"vkey      {vkey}" for vkey in made["vkeys"]),
        f"next key  {printable(next_key or 'none: this log can never replace its key')}",
        f"keys      {'encrypted' if made['encrypted'] else 'not encrypted'}, mode 600",
        *_render_predecessor(made["predecessor"]),
        "",
    ]
    if next_key:
        lines.append("Move the next key to a place that this machine cannot read.")
    lines += [
        "Publish the vkeys where your callers can compare them.",
        f"Then run: nous-ledger gateway --ledger {printable(shlex.quote(made['ledger']))}",
    ]
    return "\n".join(lines)
