"""`nous-ledger audit`: do the receipts of a stream show more tokens than there were?

Spec:
    PROTOCOL.md, section "Stream audit", AUD-1 to AUD-15.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_WRONG
from nous_ledger.cli.files import check_folder_of, read_ledger
from nous_ledger.cli.options import PATH, json_option, ledger_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import format_table, format_time, plural
from nous_ledger.cli.terminal import printable, say
from nous_ledger.protocol.audit_report import shows_something
from nous_ledger.protocol.stream_audit import ALPHA, AuditState

if TYPE_CHECKING:
    from nous_ledger.ledger import Ledger
    from nous_ledger.ledger.stream_follower import StreamFollower

LONG_LOG: Final = 20_000
"""Records from which on a terminal gets a progress bar."""
COLUMNS: Final = (
    *("stream", "provider", "model", "method", "receipts", "reported", "counted"),
    *("evidence", "needs", "excess", "coverage", "state"),
)


@click.command(
    "audit",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger audit\n"
        "  nous-ledger audit --alpha 0.01 --json\n"
        "  nous-ledger audit --watch --interval 60\n"
        "  nous-ledger audit --state streams.state\n"
        "\n"
        "Columns: evidence is the smallest bet over the known offsets, needs what it must reach, "
        "excess the share of the re-count that the excess was shown to pass, coverage the share of "
        "the model's reported output tokens that was counted again.\n"
        "\n"
        "Exit codes: 0 no stream shows anything, 1 at least one does, 2 used wrongly, 3 it could "
        "not be checked. A receipt whose body was erased is counted as not read."
    ),
)
@ledger_option
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=ALPHA,
    show_default=True,
    help="Chance of any false alarm over all streams together.",
)
@click.option("--watch", is_flag=True, help="Go on with every new receipt until interrupted.")
@click.option(
    "--interval",
    type=click.IntRange(1, 86_400),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks for new receipts.",
)
@click.option(
    "--state",
    type=PATH,
    metavar="FILE",
    help="Go on from what this file keeps, and keep it there; one that does not fit is made anew.",
)
@json_option
def command(
    *,
    named: Path | None,
    alpha: float,
    watch: bool,
    interval: int,
    state: Path | None,
    as_json: bool,
) -> int:
    """Test each stream of receipts for reported tokens beyond a re-count.

    A stream is one model at one upstream whose visible output was counted again by
    one method; only EXACT counts are samples. A single receipt says nothing: honest
    providers show small gaps. What a stream shows is excess over the re-count, under
    the assumptions printed with it, and never whether anybody meant it.
    """
    from nous_ledger.ledger.stream_follower import StreamFollower  # quick --help

    if state is not None:
        check_folder_of(state)
    with read_ledger(named) as ledger:
        audit = StreamFollower(ledger, alpha, state)
        _follow(audit, ledger)
        _show(audit, as_json=as_json)
        while watch:
            time.sleep(interval)
            if _follow(audit, ledger):
                _show(audit, as_json=as_json, at=None if as_json else time.time())
    return EXIT_WRONG if any(map(shows_something, audit.streams.streams.values())) else EXIT_GOOD


def _follow(audit: StreamFollower, ledger: Ledger) -> int:
    """Take the records from where the audit is; return how many there were."""
    first, count = audit.upto, ledger.leaf_count()
    with progress_bar("auditing", "records", at_least=LONG_LOG) as progress:
        while audit.upto < count:
            audit.step()
            progress(min(audit.upto, count) - first, count - first)
    if audit.upto > first:
        audit.keep()
    return audit.upto - first


def _show(audit: StreamFollower, *, as_json: bool, at: float | None = None) -> None:
    found = audit.to_json()
    if as_json:
        say(json.dumps(found))
        return
    if at is not None:
        say(f"\n{format_time(int(at))}  {audit.upto} records")
    for line in _lines(found):
        say(line)


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield the result for people.

    Spec:
        AUD-11, AUD-12, AUD-14.
    """
    streams = found["streams"]
    if streams:
        yield from _table([_row(stream) for stream in streams])
    else:
        yield "no receipt has an EXACT count: there is nothing to audit"
    for stream in streams:
        for remark in stream["remarks"]:
            yield click.style(f"stream {stream['number']}: {remark}", fg="red")
    for name, text in (
        ("unread_receipts", "could not be read, and nothing is said of them"),
        ("erased_receipts", "were erased after they had been taken"),
        ("samples_beyond", "were not taken: there are too many streams"),
    ):
        if count := found[name]:
            yield f"{count} receipt{plural(count)} {text}"
    if not streams:
        return
    yield (
        f"{found['samples']} samples of {found['receipts']} receipts,"
        f" {_share(found['sampled_tokens'], found['output_tokens'])} of all reported output tokens."
    )
    names = ("kappa", "rho", "kappa_under", "rho_under", "max_ratio")
    stated = ", ".join(f"{name} {found['parameters'][name]:g}" for name in names)
    yield f"alpha {found['alpha']:g} over all streams, {stated}."
    yield f"Assumed: {'; '.join(found['assumptions'])}."
    yield f"Not seen: {'; '.join(found['blind_spots'])}."


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield a table, or a list where the terminal is too narrow for it."""
    lines = format_table(COLUMNS, rows, "rlllrrrrrrrl").splitlines()
    if not sys.stdout.isatty() or max(map(len, lines)) <= shutil.get_terminal_size().columns:
        yield from lines
        return
    for row in rows:
        pairs = list(zip(COLUMNS, row, strict=True))
        yield f"stream {row[0]}: {row[-1]}"
        yield from (f"  {name:<9} {value}" for name, value in pairs[1:-1])


def _row(stream: dict[str, Any]) -> tuple[str, ...]:
    # What has too many and too few of a token bounds nothing that a provider did.
    stated = stream["excess"] and stream["state"] != AuditState.TWO_SIDED
    return (
        str(stream["number"]),
        printable(stream["provider"]),
        printable(stream["model"]),
        stream["method"],
        str(stream["receipts"]),
        str(stream["reported"]),
        str(stream["counted"]),
        f"{min(stream['evidence']):.3g}",
        f"{stream['level']:.3g}",
        f"{stream['excess']:.2%}" if stated else "-",
        _share(stream["sampled_tokens"], stream["output_tokens"]),
        stream["state"],
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
