"""`nous-ledger backup`: a copy of a ledger, taken while a gateway writes to it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.files import check_folder_of
from nous_ledger.cli.options import PATH, json_option, ledger_folder, ledger_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import format_time, plural
from nous_ledger.cli.terminal import printable, say, tell

if TYPE_CHECKING:
    from nous_ledger.ledger.backup import Backup

LONG_COPY: Final = 20_000
"""Pages of a database from which on a terminal gets a progress bar."""


@click.command(
    "backup",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger backup --out /mnt/backup/ledger-2026-01-31\n"
        "  nous-ledger backup --ledger /srv/ledger --out ./copy --with-keys --json\n"
    ),
)
@ledger_option
@click.option(
    "--out", type=PATH, required=True, help="A new folder for the backup, outside of the ledger."
)
@click.option(
    "--with-keys", is_flag=True, help="Put keys.json into it too: who has it can sign for the log."
)
@json_option
def command(*, named: Path | None, out: Path, with_keys: bool, as_json: bool) -> None:
    """Copy a ledger as it stands now, to restore it from.

    A gateway may go on writing. The backup appears whole or not at all, readable by
    you alone. Not in it are the next key, which lies elsewhere, the high-water file,
    published folders, and keys.json unless you ask for it: without keys.json, or the
    next key, nobody can sign for the log again.
    """
    from nous_ledger.ledger.backup import back_up

    folder = ledger_folder(named)
    check_folder_of(out)
    with progress_bar("copying", "pages", at_least=LONG_COPY) as progress:
        done = back_up(folder, out, time.time_ns() // 1_000_000, keys=with_keys, progress=progress)
    if as_json:
        say(json.dumps(backup_to_json(done, out), indent=2))
        return
    say(render_backup(done, out))
    missing = "the next key" if done.has_keys else "keys.json and the next key"
    tell(f"note: not in it are {missing}, the high-water file and published folders")


def render_backup(backup: Backup, folder: Path) -> str:
    """Return what a backup holds, in lines."""
    count = f"{backup.leaf_count} record{plural(backup.leaf_count)}"
    taken = format_time(backup.taken_at / 1000)
    return (
        f"backup      {printable(folder)}\n"
        f"log         {printable(backup.origin)}\n"
        f"holds       {count}, {backup.bytes:,} bytes, as of {taken}\n"
        f"keys        {'in it' if backup.has_keys else 'not in it'}"
    )


def backup_to_json(backup: Backup, folder: Path) -> dict[str, Any]:
    """Return what a backup holds."""
    return {
        "backup": str(folder),
        "origin": backup.origin,
        "log_id": backup.log_id.hex(),
        "leaf_count": backup.leaf_count,
        "root": backup.root.hex(),
        "taken_at": backup.taken_at,
        "bytes": backup.bytes,
        "files": [name for name, _ in backup.files],
        "has_keys": backup.has_keys,
    }
