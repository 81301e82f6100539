"""`nous-ledger reconcile`: receipts beside usage reports, invoices and prices."""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE, EXIT_WRONG
from nous_ledger.cli.files import check_folder_of, check_there, read_bounded, read_ledger, write_new
from nous_ledger.cli.options import (
    PATH,
    Moment,
    json_option,
    ledger_folder,
    ledger_option,
    show_help_of_group,
)
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.reconcile_attach import command as attach
from nous_ledger.cli.reconcile_html import render_html
from nous_ledger.cli.reconcile_json import to_json
from nous_ledger.cli.reconcile_text import render_check, render_markdown, render_text
from nous_ledger.cli.reconcile_tokenizers import calibrate, tokenizers
from nous_ledger.cli.terminal import printable, say, tell

if TYPE_CHECKING:
    from nous_ledger.reconcile.exports.formats import Found
    from nous_ledger.reconcile.exports.tables import RowReader
    from nous_ledger.reconcile.prices import PriceTable
    from nous_ledger.reconcile.report import ReconcileReport
    from nous_ledger.reconcile.statements_store import StatementStore

LONG_LOG: Final = 20_000
"""Receipts from which on a terminal gets a progress bar."""
LONG_EXPORT: Final = 16 * 1024 * 1024
"""Bytes of an export from which on it gets one."""
IMPORTS: Final = "imports.sqlite"
_START_BYTES: Final = 65_536
_URL: Final = re.compile(r"https?://[A-Za-z0-9._~:/\[\]%-]+")
_FOREVER: Final = 2**53 - 1


@click.group(
    "reconcile",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger reconcile attach ./session\n"
        "  nous-ledger reconcile import usage-june.json\n"
        "  nous-ledger reconcile check --since 2026-06-01 --until 2026-07-01\n"
        "  nous-ledger reconcile report --html june.html\n"
    ),
)
@click.pass_context
def command(context: click.Context) -> None:
    """Hold receipts against usage reports, invoices and prices."""
    show_help_of_group(context)


command.add_command(attach)
command.add_command(calibrate)
command.add_command(tokenizers)

_imports_option = click.option(
    "--imports",
    "imports",
    type=PATH,
    metavar="FILE",
    help="Where imported statements are kept; beside the ledger unless given.",
)
_since_option = click.option(
    "--since", type=Moment(), help="Calls from this time on: a date or time (UTC), or an age (7d)."
)
_until_option = click.option("--until", type=Moment(), help="Calls before this time.")
_prices_option = click.option(
    "--prices",
    "prices",
    type=PATH,
    multiple=True,
    metavar="FILE",
    help="Price table of one's own; the first that knows a model counts. Repeat it for several.",
)


@command.command(
    "import",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger reconcile import usage-june.json\n"
        "  nous-ledger reconcile import costs.csv --format google\n"
        "  nous-ledger reconcile import calls.csv --format csv --mapping columns.toml\n"
        "\n"
        "Exit codes: 0 every row was read, 1 some rows are in error, 3 nothing could be kept."
    ),
)
@click.argument("file", type=PATH)
@click.option(
    "--format",
    "form",
    type=click.Choice(
        ("openai", "anthropic", "google", "azure", "litellm", "bedrock", "csv", "jsonl")
    ),
    help="What wrote the file; told by its beginning unless given.",
)
@click.option(
    "--mapping", type=PATH, metavar="FILE", help="Which columns of csv or jsonl are what."
)
@ledger_option
@_imports_option
@json_option
def import_command(
    *,
    file: Path,
    form: str | None,
    mapping: Path | None,
    named: Path | None,
    imports: Path | None,
    as_json: bool,
) -> int:
    """Keep what a usage report, an invoice or another system's log says.

    Nothing is logged or sent: the statements lie in a file beside the ledger. The same
    file twice changes nothing, and a longer export of the same time adds what is new.
    Rows in error are listed by line, and the rest is kept.
    """
    from nous_ledger.protocol.types import UnixMillis
    from nous_ledger.reconcile.exports.formats import read_export

    check_there(file)
    if imports is not None:
        check_folder_of(imports)
    with file.open("rb") as stream:
        form = form or _guessed(stream)
        found = read_export(stream, form, _mapped(form, mapping))
        with _opened(named, imports) as store:
            digest = _digest(stream)
            now = UnixMillis(time.time_ns() // 1_000_000)
            done = store.take(digest, file.name, form, now, _shown(found, stream))
    if as_json:
        faults = [{"line": fault.line, "message": fault.message} for fault in done.faults]
        counts = {"added": done.added, "changed": done.changed, "unchanged": done.unchanged}
        result = {"format": form, "known": done.known, **counts}
        say(json.dumps(result | {"fault_count": done.fault_count, "faults": faults}))
    elif done.known:
        say("this very file was imported before; nothing was changed")
    else:
        say(f"{form}: {done.added} added, {done.changed} changed, {done.unchanged} unchanged")
    for fault in done.faults if not as_json else ():
        tell(printable(f"line {fault.line}: {fault.message}"))
    if done.fault_count > len(done.faults) and not as_json:
        tell(f"… and {done.fault_count - len(done.faults)} more rows in error")
    if done.fault_count:
        return EXIT_WRONG
    return EXIT_GOOD


@command.command(
    "check",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger reconcile check --since 2026-06-01 --until 2026-07-01\n"
        "  nous-ledger reconcile check --json\n"
        "\n"
        "Exit codes: 0 both sides agree, 1 they differ, 3 nothing was imported for that time."
    ),
)
@ledger_option
@_imports_option
@_since_option
@_until_option
@_prices_option
@json_option
def check(
    *,
    named: Path | None,
    imports: Path | None,
    since: int | None,
    until: int | None,
    prices: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Compare receipts with what was imported, call by call and hour by hour.

    Calls are matched by the provider's request id where both sides have one, else by
    model over the spans that a report names. What differs is listed; why it does is not
    for arithmetic to say.
    """
    report = _report(named, imports, since, until, prices)
    say(json.dumps(to_json(report), indent=2) if as_json else render_check(report))
    if not report.period.statements:
        return EXIT_UNAVAILABLE
    return EXIT_GOOD if report.period.agrees else EXIT_WRONG


@command.command(
    "report",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger reconcile report --since 30d\n"
        "  nous-ledger reconcile report --since 2026-06-01 --until 2026-07-01 --html june.html\n"
        "  nous-ledger reconcile report --prices prices.toml --md > june.md\n"
        "  nous-ledger reconcile report --html june.html --base-url https://ledger.example.com\n"
    ),
)
@ledger_option
@_imports_option
@_since_option
@_until_option
@_prices_option
@click.option("--md", "as_markdown", is_flag=True, help="Print Markdown.")
@click.option(
    "--html", type=PATH, metavar="FILE", help="Write one self-contained page with charts."
)
@click.option("--force", is_flag=True, help="Replace the page if there is one.")
@click.option(
    "--base-url",
    metavar="URL",
    help="Where the log is read over HTTP: --html and --md link receipts to their proofs there.",
)
@json_option
def report_command(
    *,
    named: Path | None,
    imports: Path | None,
    since: int | None,
    until: int | None,
    prices: tuple[Path, ...],
    as_markdown: bool,
    html: Path | None,
    force: bool,
    base_url: str | None,
    as_json: bool,
) -> None:
    """Say how much of the bill has any ground truth.

    The headline is the share of tokens, and of money, that nothing but the provider's
    word stands for. Below it: tokens and money by label and bucket, counts outside of
    their evidence with the request ids to ask for, the audit of each stream, and what
    differs from reports and invoices.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --md exclude each other")
    base_url = _checked_url(base_url)
    report = _report(named, imports, since, until, prices)
    if html is not None:
        write_new(html, render_html(report, base_url).encode(), force=force)
        tell(f"written: {printable(html)}")
    if as_json:
        say(json.dumps(to_json(report), indent=2))
    elif as_markdown:
        say(render_markdown(report, base_url))
    elif html is None:
        say(render_text(report))


def _checked_url(base_url: str | None) -> str | None:
    if base_url is None:
        return None
    if not _URL.fullmatch(base_url):
        raise click.UsageError("--base-url is an http or https URL without query")
    return base_url.rstrip("/")


def _report(
    named: Path | None,
    imports: Path | None,
    since: int | None,
    until: int | None,
    prices: tuple[Path, ...],
) -> ReconcileReport:
    from nous_ledger.ledger.stream_follower import StreamFollower
    from nous_ledger.protocol.types import UnixMillis
    from nous_ledger.reconcile.period import PeriodCheck
    from nous_ledger.reconcile.prices import cost_of
    from nous_ledger.reconcile.report import ReconcileReport, Samples
    from nous_ledger.reconcile.summary import Summary

    if imports is not None:
        check_there(imports)
    tables = _tables(prices)
    check, summary, samples = PeriodCheck(), Summary(), Samples()
    with read_ledger(named) as ledger:
        count = ledger.leaf_count()
        reconciled = frozenset(ledger.reconciled())
        with progress_bar("reading", "records", at_least=LONG_LOG) as progress:
            for row in ledger.receipts(since=since, until=until, hi=count):
                progress(row.index, count)
                if row.receipt is None:
                    summary.withheld += 1
                    continue
                cost, table = cost_of(row.receipt, tables)
                if table is not None:
                    summary.tables[table.digest] = table.name
                later = ledger.reconciliations(row.index) if row.index in reconciled else None
                summary.take(row.index, row.receipt, cost, later.evidence if later else ())
                samples.take(row.index, row.receipt)
                check.take_receipt(row.index, row.receipt, cost)
        # Bets that began at a day chosen after the fact would bound no false alarm.
        follower = StreamFollower(ledger)
        with progress_bar("auditing", "records", at_least=LONG_LOG) as progress:
            while follower.upto < count:
                follower.step()
                progress(min(follower.upto, count), count)
    with _opened(named, imports) as store:
        span = (UnixMillis(since or 0), UnixMillis(_FOREVER if until is None else until))
        for statement in store.statements(*span):
            check.take_statement(statement)
        files = store.files()
    return ReconcileReport(
        since=since,
        until=until,
        summary=summary,
        streams=follower.streams,
        samples=samples,
        period=check.result(),
        files=files,
    )


def _tables(paths: tuple[Path, ...]) -> tuple[PriceTable, ...]:
    from nous_ledger.reconcile.errors import PriceError
    from nous_ledger.reconcile.packaged_prices import PackagedPrices
    from nous_ledger.reconcile.prices import MAX_TABLE_BYTES, OwnPrices

    own: list[PriceTable] = [
        OwnPrices(read_bounded(path, MAX_TABLE_BYTES, "input"), path.name) for path in paths
    ]
    try:
        return (*own, PackagedPrices())
    except PriceError as error:
        if not own:
            tell(f"{error.message}: no call has a price. {error.hint}")
        return tuple(own)


@contextmanager
def _opened(named: Path | None, imports: Path | None) -> Iterator[StatementStore]:
    from nous_ledger.reconcile.statements_store import StatementStore

    store = StatementStore(imports or ledger_folder(named) / IMPORTS)
    try:
        yield store
    finally:
        store.close()


def _guessed(stream: IO[bytes]) -> str:
    from nous_ledger.reconcile.exports.formats import guess_format

    start = stream.read(_START_BYTES)
    stream.seek(0)
    if (form := guess_format(start)) is None:
        raise click.UsageError("what wrote this file cannot be told: name it with --format")
    return form


def _mapped(form: str, mapping: Path | None) -> RowReader | None:
    from nous_ledger.reconcile.exports.tables import read_mapping

    if form not in ("csv", "jsonl"):
        if mapping is not None:
            raise click.UsageError("--mapping goes with --format csv or jsonl")
        return None
    if mapping is None:
        raise click.UsageError(f"--format {form} needs --mapping FILE")
    return read_mapping(read_bounded(mapping, _START_BYTES, "input"))


def _shown(found: Iterator[Found], stream: IO[bytes]) -> Iterator[Found]:
    """Yield rows, and show how far the file is read."""
    total = os.fstat(stream.fileno()).st_size
    with progress_bar("importing", "B", at_least=LONG_EXPORT) as progress:
        for item in found:
            yield item
            progress(stream.tell(), total)


def _digest(stream: IO[bytes]) -> bytes:
    digest = hashlib.file_digest(stream, "sha256").digest()  # type: ignore[arg-type]
    stream.seek(0)
    return digest
