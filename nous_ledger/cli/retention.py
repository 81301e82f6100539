"""`nous-ledger retention`: erase what is older than it is to be kept.

Spec:
    PROTOCOL.md RED-1 to RED-3.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.files import open_ledger
from nous_ledger.cli.options import json_option, ledger_option, passphrase_file_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import say, warn

if TYPE_CHECKING:
    from nous_ledger.ledger import Retained

LONG_RUN: Final = 20_000
"""Records from which on a terminal gets a progress bar."""
DAYS: Final = click.IntRange(1, 36_500)


@click.command(
    "retention",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger retention --bodies 90 --usage 30 --dry-run\n"
        "  nous-ledger retention --bodies 90 --usage 30\n"
        "  nous-ledger retention --ledger /srv/ledger --usage 7 --json\n"
        "\n"
        "The gateway does the same every hour with --retain-bodies and --retain-usage."
    ),
)
@ledger_option
@click.option(
    "--bodies", "bodies_days", type=DAYS, metavar="DAYS", help="Days that bodies are kept."
)
@click.option(
    "--usage",
    "usage_days",
    type=DAYS,
    metavar="DAYS",
    help="Days that the provider's raw usage is kept; without it, as long as the body.",
)
@click.option("--dry-run", is_flag=True, help="Only count what would be erased.")
@passphrase_file_option
@json_option
def command(
    *,
    named: Path | None,
    bodies_days: int | None,
    usage_days: int | None,
    dry_run: bool,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Erase bodies of receipts and raw usage that were logged longer ago than DAYS.

    The bytes leave the ledger's files, and records with the reason retention say
    which bodies are gone; raw usage goes without a record. The signed records stay,
    and so do key events and redactions. A gateway may run meanwhile: it waits for
    short transactions only. Interrupt it whenever you like and run it again. Copies
    elsewhere are not reached: proofs, backups, and published folders until the next
    publish.
    """
    if bodies_days is None and usage_days is None:
        raise click.UsageError("give --bodies DAYS, --usage DAYS or both")
    with (
        open_ledger(named, passphrase_file) as ledger,
        progress_bar("erasing", "records", at_least=LONG_RUN) as progress,
    ):
        done = ledger.retain(
            bodies_days=bodies_days, usage_days=usage_days, dry_run=dry_run, progress=progress
        )
    for notice in done.notices:
        warn(notice)
    if as_json:
        say(json.dumps(_to_json(done, dry_run=dry_run), indent=2))
        return
    bodies = f"{done.bodies} bod{'y' if done.bodies == 1 else 'ies'}"
    verb = "would erase" if dry_run else "erased"
    logged = f", logged by {done.records} record{plural(done.records)}" if done.records else ""
    say(f"{verb} {bodies}{logged}, and the raw usage of {done.usage} more")


def _to_json(done: Retained, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "bodies": done.bodies,
        "usage": done.usage,
        "records": done.records,
        "finished": done.finished,
    }
