"""`nous-ledger publish`: the log as a folder of files that any web server can serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.options import PATH, json_option, ledger_folder, ledger_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import printable, say, tell

if TYPE_CHECKING:
    from nous_ledger.ledger.publish import Published


MANY_TILES: Final = 200
"""Tiles from which on a terminal gets a progress bar: 256 records have about three."""


@click.command(
    "publish",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger publish /srv/log --bodies none\n"
        "  nous-ledger publish /srv/log --ledger /var/lib/nous-ledger --bodies all --json\n"
        "  nous-ledger publish /srv/log --bodies none --verify\n"
        "\n"
        "Serve the folder with any web server; docs/nginx.conf has the content types and caching "
        "rules. Run it again at any time, from a timer for example."
    ),
)
@click.argument("folder", metavar="DIR", type=PATH)
@ledger_option
@click.option(
    "--bodies",
    type=click.Choice(["none", "all"]),
    required=True,
    help="Whose bodies everyone may read: none but those of key events, or all.",
)
@click.option(
    "--verify", is_flag=True, help="Compare what was published before as well, file by file."
)
@json_option
def command(*, folder: Path, named: Path | None, bodies: str, verify: bool, as_json: bool) -> None:
    """Write the log to DIR as static files, up to its newest signed head.

    DIR then is a complete log in the C2SP tlog-tiles layout: checkpoint, tiles,
    records, and bodies as --bodies says. A further run adds what is new. What is
    there already is never overwritten, but bodies that were erased meanwhile are
    erased there too. The checkpoint is written last and only moves forward, so
    the work may be interrupted at any time.
    """
    from nous_ledger.ledger.publish import publish

    with progress_bar("publishing", "tiles", at_least=MANY_TILES) as progress:
        done = publish(
            ledger_folder(named),
            folder,
            all_bodies=bodies == "all",
            verify=verify,
            progress=progress,
        )
    missing = done.leaf_count - done.checkpoint.leaf_count
    if missing > 0:
        tell(f"note: {missing} newer record{plural(missing)} are not covered by a head yet")
    say(json.dumps(_to_json(done), indent=2) if as_json else _render(done, folder))


def _render(done: Published, folder: Path) -> str:
    head = done.checkpoint
    count = f"{head.leaf_count} record{plural(head.leaf_count)}"
    removed = f", {done.removed} partial tiles removed" if done.removed else ""
    return (
        f"published   {count} of {printable(head.origin)} in {printable(folder)}\n"
        f"root        {head.root.hex()}\n"
        f"changes     {done.written} file{plural(done.written)} written{removed}"
    )


def _to_json(done: Published) -> dict[str, Any]:
    return {
        "origin": done.checkpoint.origin,
        "leaf_count": done.checkpoint.leaf_count,
        "root": done.checkpoint.root.hex(),
        "uncovered": done.leaf_count - done.checkpoint.leaf_count,
        "written": done.written,
        "removed": done.removed,
    }
