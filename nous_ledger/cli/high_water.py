"""`nous-ledger high-water`: is the database the newest of its log, and what if it is not?"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nous_ledger.cli.exits import EXIT_GOOD, exit_code_of
from nous_ledger.cli.files import check_folder_of
from nous_ledger.cli.options import PATH, json_option, ledger_folder, ledger_option
from nous_ledger.cli.render import format_time, plural
from nous_ledger.cli.terminal import printable, say, tell, warn
from nous_ledger.protocol.errors import InputError, LedgerError

if TYPE_CHECKING:
    from nous_ledger.ledger.acceptance import HighWaterState


@click.group(
    "high-water",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger high-water show\n"
        "  nous-ledger high-water set --file /mnt/other-disk/main.high-water\n"
        "  nous-ledger high-water accept\n"
    ),
)
def command() -> None:
    """See that no older copy of the database is extended.

    How far the log got is written to a small file after every commit. A database
    that was put back from an older copy is behind it, and the ledger then refuses
    to sign: a second history could be proved against it.
    """


@command.command(
    "show",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger high-water show\n"
        "  nous-ledger high-water show --ledger ./ledger --json\n"
        "\n"
        "Exit codes: 0 the ledger can go on, 1 it is behind or another history, 3 it could not "
        "be compared."
    ),
)
@ledger_option
@json_option
def show(*, named: Path | None, as_json: bool) -> int:
    """Compare the database with its high-water file and with the configured sources."""
    from nous_ledger.ledger.acceptance import read_state

    state = read_state(ledger_folder(named))
    for notice in state.seen.notices:
        warn(notice)
    say(json.dumps(_to_json(state), indent=2) if as_json else "\n".join(_render(state)))
    return EXIT_GOOD if state.refusal is None else exit_code_of(state.refusal)


@command.command(
    "set",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger high-water set --file /mnt/other-disk/main.high-water\n"
        "  nous-ledger high-water set --source /srv/log \\\n"
        "      --source https://log.example.com/checkpoint\n"
        "  nous-ledger high-water set --no-sources\n"
    ),
)
@ledger_option
@click.option(
    "--file",
    "place",
    type=PATH,
    help="Keep the high-water file here, best on another disk than the ledger.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="DIR|URL",
    help="Published folder or URL of a checkpoint to compare with at each start; replaces those "
    "that were set.",
)
@click.option("--no-sources", is_flag=True, help="Compare with no published heads any more.")
def set_(
    *, named: Path | None, place: Path | None, sources: tuple[str, ...], no_sources: bool
) -> None:
    """Say where the newest state of the log is known from.

    Whoever restores the whole folder of the ledger restores the high-water file in
    it too, and nothing is noticed: so keep it elsewhere. Start a running gateway
    again afterwards.
    """
    from nous_ledger.ledger.acceptance import move_high_water, read_state
    from nous_ledger.ledger.guard import MAX_SOURCES, GuardSettings, read_settings, write_settings
    from nous_ledger.ledger.seen import check_source

    if no_sources and sources:
        raise click.UsageError("give either --source or --no-sources")
    if place is None and not sources and not no_sources:
        raise click.UsageError("give --file, --source or --no-sources")
    if len(sources) > MAX_SOURCES:
        raise InputError("input", f"more than {MAX_SOURCES} sources")
    folder = ledger_folder(named)
    checked = tuple(_absolute(check_source(source)) for source in sources)
    before = read_settings(folder)
    if place is not None:
        check_folder_of(place)
        move_high_water(folder, place)
    after = GuardSettings(
        high_water=before.high_water if place is None else place.absolute(),
        sources=checked if sources or no_sources else before.sources,
    )
    write_settings(folder, after)
    if place is not None:
        before.place(folder).unlink(missing_ok=True)
    say(f"high-water file  {printable(after.place(folder))}")
    for source in after.sources:
        say(f"source           {printable(source)}")
    if sources:
        for notice in read_state(folder).seen.notices:
            warn(notice)


def _absolute(source: str) -> str:
    return source if "://" in source else str(Path(source).absolute())


@command.command(
    "accept",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger high-water accept\n"
        "  nous-ledger high-water accept --ledger ./restored --yes --json\n"
        "  nous-ledger high-water accept --file /mnt/new-disk/main.high-water\n"
    ),
)
@ledger_option
@click.option(
    "--file",
    "place",
    type=PATH,
    help="Keep the high-water file here from now on, as when its disk is lost.",
)
@click.option("--yes", is_flag=True, help="Do not ask whether to.")
@json_option
def accept(*, named: Path | None, place: Path | None, yes: bool, as_json: bool) -> None:
    """Let the log go on from an older database; what was logged after it is lost.

    Do so only if no head, proof or record from after it has left this machine. If
    one has, going on forks the log, and whoever holds it can prove that. Then make
    a successor instead, which names the last good head of this log:
    nous-ledger init --predecessor. A source that shows such a head is never
    overruled. What was accepted is written to accepted-losses.jsonl in the folder
    of the ledger.
    """
    from nous_ledger.ledger import system_clock
    from nous_ledger.ledger.acceptance import accept_loss, read_state

    folder = ledger_folder(named)
    if place is not None:
        check_folder_of(place)
    state = read_state(folder)
    for notice in state.seen.notices:
        warn(notice)
    if state.seen.fault is not None:
        raise _left_the_house(state, state.seen.fault)
    if not yes and state.refusal is not None:
        _ask(state)
    before = accept_loss(folder, system_clock, place=place)
    if as_json:
        say(json.dumps(_to_json(before), indent=2))
        return
    say(f"accepted: the log goes on after record {before.leaf_count - 1}")
    if before.lost:
        say(f"lost: {before.lost} record{plural(before.lost)} that had been logged")


def _left_the_house(state: HighWaterState, fault: LedgerError) -> LedgerError:
    return type(fault)(
        fault.code,
        fault.message,
        hint="others have that head, so going on would fork the log; make a successor:"
        f" nous-ledger init --ledger NEW --predecessor {_name(state)}",
        **fault.attrs,
    )


def _ask(state: HighWaterState) -> None:
    if not sys.stdin.isatty():
        raise InputError(
            "input", "what is lost cannot be brought back", hint="add --yes where nobody can answer"
        )
    tell("\n".join(_render(state)))
    tell("If any head or proof from after that left this machine, make a successor instead:")
    tell(f"  nous-ledger init --ledger NEW --predecessor {shlex.quote(_name(state))}")
    click.confirm("Go on from here all the same?", abort=True, err=True)


def _name(state: HighWaterState) -> str:
    return f"{state.log_id.hex()}:{state.leaf_count}:{state.root.hex()}"


def _to_json(state: HighWaterState) -> dict[str, Any]:
    mark = state.mark
    return {
        "origin": state.origin,
        "log_id": state.log_id.hex(),
        "leaf_count": state.leaf_count,
        "root": state.root.hex(),
        "file": str(state.place),
        "mark": None
        if mark is None
        else {
            "leaf_count": mark.leaf_count,
            "root": mark.root.hex(),
            "confirmed": mark.confirmed,
        },
        "seen": [
            {
                "source": head.source,
                "leaf_count": head.checkpoint.leaf_count,
                "root": head.checkpoint.root.hex(),
                "timestamp": head.timestamp,
                "code": "" if head.fault is None else head.fault.code,
            }
            for head in state.seen.heads
        ],
        "could_not_compare": list(state.seen.notices),
        "lost": state.lost,
        "code": "" if state.refusal is None else state.refusal.code,
        "message": "" if state.refusal is None else state.refusal.message,
    }


def _render(state: HighWaterState) -> Iterator[str]:
    yield f"log         {printable(state.origin)}"
    yield f"database    {state.leaf_count} record{plural(state.leaf_count)}"
    mark = "of no use" if state.mark is None else f"{state.mark.leaf_count} records"
    yield f"high water  {mark}, in {printable(state.place)}"
    for head in state.seen.heads:
        when = format_time(head.timestamp)
        count = head.checkpoint.leaf_count
        yield f"seen        {count} records, signed {when}, at {printable(head.source)}"
    if state.refusal is None:
        yield click.style("the ledger can go on", fg="green", bold=True)
        return
    if state.lost:
        yield f"lost        {state.lost} record{plural(state.lost)}"
    yield click.style(f"nothing can be signed: {printable(state.refusal.message)}", fg="red")
