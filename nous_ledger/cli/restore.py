"""`nous-ledger restore`: a ledger from a backup, checked before it stands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.backup import backup_to_json, render_backup
from nous_ledger.cli.fsck import LONG_LOG, processors
from nous_ledger.cli.options import PATH, json_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.terminal import printable, say, tell

if TYPE_CHECKING:
    from nous_ledger.ledger.restore import Restored

LONG_COPY: Final = 100 * 1024 * 1024
"""Bytes of a database from which on a terminal gets a progress bar."""


@click.command(
    "restore",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger restore /mnt/backup/ledger-2026-01-31 --into ./ledger\n"
        "  nous-ledger restore ./copy --into ./ledger \\\n"
        "      --high-water /mnt/other-disk/main.high-water --json\n"
        "\n"
        "Exit codes: 0 restored, 1 the backup is damaged or faulty, 2 used wrongly, 3 it could not "
        "be read or written."
    ),
)
@click.argument("backup", metavar="BACKUP", type=PATH)
@click.option("--into", type=PATH, required=True, help="Folder of the ledger to be made.")
@click.option(
    "--high-water",
    type=PATH,
    help="High-water file of the log that survived elsewhere, to compare with.",
)
@json_option
def command(*, backup: Path, into: Path, high_water: Path | None, as_json: bool) -> None:
    """Make a ledger from a backup, after checking everything in it as fsck does.

    Nothing is overwritten. What was logged after the backup is not in it, and
    logging on would contradict it: so the ledger signs nothing until a high-water
    file that survived agrees with it, or until you accept the loss (high-water
    accept). Bodies that were erased after the backup are back: erase them again.
    """
    from nous_ledger.ledger.restore import restore

    with (
        progress_bar("copying", "bytes", at_least=LONG_COPY) as copying,
        progress_bar("checking", "records", at_least=LONG_LOG) as checking,
    ):
        done = restore(
            backup,
            into,
            high_water=high_water,
            processes=processors(),
            copying=copying,
            checking=checking,
        )
    if as_json:
        say(json.dumps(_to_json(done, backup, into), indent=2))
        return
    say(render_backup(done.backup, backup))
    say(f"ledger      {printable(into)}, every record checked")
    for line in _next_steps(done, into):
        tell(line)


def _next_steps(done: Restored, into: Path) -> Iterator[str]:
    shown = printable(shlex.quote(str(into)))
    if not done.backup.has_keys:
        yield f"note: keys.json is not in the backup: put that of this log into {shown}, mode 600"
    if not done.confirmed:
        yield "note: it signs nothing before somebody says that nothing was logged after the backup"
    yield f"Look first: nous-ledger high-water show --ledger {shown}"


def _to_json(done: Restored, backup: Path, into: Path) -> dict[str, Any]:
    return backup_to_json(done.backup, backup) | {
        "ledger": str(into),
        "high_water": str(done.high_water),
        "confirmed": done.confirmed,
    }
