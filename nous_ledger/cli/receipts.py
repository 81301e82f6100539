"""`nous-ledger receipts`: what the ledger on this machine holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from nous_ledger.cli.files import read_ledger
from nous_ledger.cli.listing import CsvListing, JsonListing, Listing, TextListing
from nous_ledger.cli.lookup import find_entry, parse_target, receipt_argument
from nous_ledger.cli.options import Moment, json_option, ledger_option, show_help_of_group
from nous_ledger.cli.render import render_body, render_record
from nous_ledger.cli.terminal import say
from nous_ledger.protocol.bodies import check_body_hash, decode_body
from nous_ledger.protocol.jsonform import body_to_json, record_to_json
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.registries import KIND, LABEL
from nous_ledger.protocol.report import verdicts_of

if TYPE_CHECKING:
    from nous_ledger.ledger import ReceiptRow

_FORMS: Final[dict[str, Callable[[], Listing]]] = {
    "text": TextListing,
    "csv": CsvListing,
    "json": JsonListing,
}


@click.group(
    "receipts",
    invoke_without_command=True,
    subcommand_metavar="COMMAND [ARGS]...",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger receipts list --since 7d\n"
        "  nous-ledger receipts list --model gpt-4o --csv > calls.csv\n"
        "  nous-ledger receipts show 17 --json\n"
    ),
)
@click.pass_context
def command(context: click.Context) -> None:
    """List and show receipts."""
    show_help_of_group(context)


@command.command(
    "list",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger receipts list --since 7d\n"
        "  nous-ledger receipts list --since 2026-01-01 --until 2026-02-01 --csv > january.csv\n"
        "  nous-ledger receipts list --model gpt-4o --json\n"
    ),
)
@ledger_option
@click.option(
    "--since", type=Moment(), help="Calls from this time on: a date or time (UTC), or an age (7d)."
)
@click.option("--until", type=Moment(), help="Calls before this time.")
@click.option("--model", help="Calls that asked for or got this model.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead, one line per bucket.")
@json_option
def list_command(
    *,
    named: Path | None,
    since: int | None,
    until: int | None,
    model: str | None,
    as_csv: bool,
    as_json: bool,
) -> None:
    """List receipts, oldest first, with totals per label and the count withheld.

    in and out are the reported tokens with their labels: E exact, B bounded,
    U unverifiable.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv and --json exclude each other")
    from nous_ledger.ledger import sum_receipts

    listing = _FORMS["csv" if as_csv else "json" if as_json else "text"]()
    with read_ledger(named) as ledger:
        found = ledger.receipts(since=since, until=until, model=model)
        listing.end(sum_receipts(_passing(found, listing.row)))


def _passing(
    rows: Iterable[ReceiptRow], look: Callable[[ReceiptRow], None]
) -> Iterator[ReceiptRow]:
    """Yield rows after each was looked at: any number passes in bounded memory."""
    for row in rows:
        look(row)
        yield row


@command.command(
    "show",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger receipts show 0199c0de-0000-7000-8000-000000000001\n"
        "  nous-ledger receipts show 17 --json\n"
    ),
)
@receipt_argument
@ledger_option
@json_option
def show(*, receipt: str, named: Path | None, as_json: bool) -> None:
    """Show one receipt, or any other record, named by its id or index."""
    target = parse_target(receipt)
    with read_ledger(named) as ledger:
        entry = find_entry(ledger, target)
        ledger.reconciled()
        later = ledger.reconciliations(entry.index)
    record = decode_record(entry.record)
    body = None
    if entry.body:
        check_body_hash(record, entry.body)  # an edited one is not shown as the log's
        body = decode_body(record.type, entry.body)
    if as_json:
        shown = {"record": record_to_json(record), "body": body_to_json(body) if body else None}
        claims = [{"index": at, **body_to_json(one)} for at, one in later.claims] if later else []
        evidence = {"reconciliations": claims} if claims else {}
        say(json.dumps({**shown, **evidence}, indent=2))
        return
    verdicts = verdicts_of(body) if isinstance(body, Receipt) else ()
    say(f"{render_record(record)}\n")
    say("withheld: the body was erased" if body is None else render_body(body, verdicts))
    for one in () if later is None else later.evidence:
        bucket, at = one.bucket, f"record {one.index}"
        told = f"{KIND.name_of(bucket.kind)} {LABEL.name_of(bucket.label)} by {bucket.method}"
        say(f"later evidence: {told}, {bucket.lower} to {bucket.upper} ({one.source}, {at})")
