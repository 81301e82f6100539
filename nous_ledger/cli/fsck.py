"""`nous-ledger fsck`: compute everything in a ledger again and report what differs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE, EXIT_WRONG
from nous_ledger.cli.options import json_option, ledger_folder, ledger_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import printable, say

if TYPE_CHECKING:
    from nous_ledger.ledger.fsck import FsckReport
    from nous_ledger.ledger.fsck_leaves import Fault

LONG_LOG: Final = 10_000
"""Records from which on a terminal gets a progress bar."""


@click.command(
    "fsck",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger fsck\n"
        "  nous-ledger fsck --ledger /srv/ledger --json\n"
        "\n"
        "Exit codes: 0 nothing is wrong, 1 at least one fault, 3 it could not be checked."
    ),
)
@ledger_option
@json_option
def command(*, named: Path | None, as_json: bool) -> int:
    """Check a whole ledger; nothing is changed, and a gateway may go on writing.

    Every record, signature, body, node of the tree, signed head, key event, subject
    chain and list of the database is read and computed again. Each fault is
    reported with its code and its place: the table and the row in it.
    """
    from nous_ledger.ledger.fsck import fsck

    with progress_bar("checking", "records", at_least=LONG_LOG) as progress:
        report = fsck(ledger_folder(named), processes=processors(), progress=progress)
    say(json.dumps(_to_json(report), indent=2) if as_json else _render(report))
    if report.fault_count > report.unchecked_count:
        return EXIT_WRONG
    return EXIT_UNAVAILABLE if report.fault_count else EXIT_GOOD


def processors() -> int:
    """Return how many processors this process may use; 0 where only one, for no others."""
    if sys.platform == "linux":
        found = len(os.sched_getaffinity(0))
    else:
        found = os.cpu_count() or 1
    return min(found, 8) if found > 1 else 0


def _render(report: FsckReport) -> str:
    bodies = "1 body" if report.erased == 1 else f"{report.erased} bodies"
    erased = f", {bodies} erased" if report.erased else ""
    heads = f"{report.heads} head{plural(report.heads)}{erased}"
    lines = [
        f"log         {printable(report.origin) or '-'}",
        f"log id      {report.log_id.hex() or '-'}",
        f"checked     {report.leaf_count} record{plural(report.leaf_count)}, {heads}",
        *map(_render_fault, report.faults),
    ]
    unlisted = report.fault_count - len(report.faults)
    if unlisted:
        lines.append(f"… and {unlisted} more")
    if report.fault_count:
        verdict = f"{report.fault_count} fault{plural(report.fault_count)}"
        lines.append(click.style(verdict, fg="red", bold=True))
    else:
        lines.append(click.style("no fault", fg="green", bold=True))
    return "\n".join(lines)


def _render_fault(fault: Fault) -> str:
    place = fault.table if fault.index is None else f"{fault.table} {fault.index}"
    return printable(f"{fault.code}  {place}: {fault.message}")


def _to_json(report: FsckReport) -> dict[str, Any]:
    return {
        "origin": report.origin,
        "log_id": report.log_id.hex(),
        "leaf_count": report.leaf_count,
        "heads": report.heads,
        "erased": report.erased,
        "fault_count": report.fault_count,
        "unchecked_count": report.unchecked_count,
        "faults": [asdict(fault) for fault in report.faults],
    }
