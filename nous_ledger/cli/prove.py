"""`nous-ledger prove`: everything that proves one receipt, in one file.

Spec:
    PROTOCOL.md BNDL-6, BNDL-7, SERV-6 to SERV-8.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from uuid import UUID

import click

from nous_ledger.cli.files import open_ledger, read_ledger, read_opening, write_output
from nous_ledger.cli.lookup import find_entry, parse_target, receipt_argument
from nous_ledger.cli.options import (
    force_option,
    ledger_option,
    output_option,
    passphrase_file_option,
)
from nous_ledger.cli.terminal import warn
from nous_ledger.cli.web import fetch, parse_answer
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES, Bundle, parse_bundle
from nous_ledger.protocol.errors import LedgerError, UnavailableError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record


@click.command(
    "prove",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger prove 0199c0de-0000-7000-8000-000000000001 -o receipt.tlog-proof\n"
        "  nous-ledger prove 17 --no-body -o 17.tlog-proof\n"
        "  nous-ledger prove 0199c0de-0000-7000-8000-000000000001 \\\n"
        "      --url http://127.0.0.1:8787 --opening @opening.hex -o receipt.tlog-proof\n"
    ),
)
@receipt_argument
@ledger_option
@click.option("--url", metavar="GATEWAY", help="Ask a running gateway instead of a local ledger.")
@click.option(
    "--opening",
    metavar="HEX|@FILE",
    help="With --url: the call's nous-opening, the right to read its body. "
    "@FILE keeps it out of the process list.",
)
@click.option("--no-body", is_flag=True, help="Withhold the body: prove inclusion only.")
@passphrase_file_option
@output_option
@force_option
def command(
    *,
    receipt: str,
    named: Path | None,
    url: str | None,
    opening: str | None,
    no_body: bool,
    passphrase_file: Path | None,
    output: Path | None,
    force: bool,
) -> None:
    """Write the proof of one receipt, named by its id or index.

    The file holds record, body, inclusion path, signed head and the log's key
    history: `nous-ledger verify` needs nothing else but a trust policy. Who gets
    it can read the body; --no-body leaves it out.
    """
    target = parse_target(receipt)
    if opening is not None and (url is None or no_body):
        raise click.UsageError("--opening goes with --url, and not with --no-body")
    if url is not None:
        given = None if opening is None else read_opening(opening)
        data = _from_gateway(url, target, given, with_body=not no_body)
    else:
        data = _from_ledger(named, target, passphrase_file, with_body=not no_body)
    write_output(output, data, force=force)


def _from_gateway(url: str, target: int | UUID, opening: bytes | None, *, with_body: bool) -> bytes:
    kind = "receipts" if isinstance(target, UUID) else "records"
    headers = {} if opening is None else {"nous-opening": opening.hex()}
    data = fetch(url, f"/v1/{kind}/{target}/proof", MAX_BUNDLE_BYTES, headers)
    bundle = parse_answer(data, parse_bundle, "a proof")
    if not _is_about(bundle, target):
        raise UnavailableError(
            "unreachable",
            f"the gateway answered with the proof of another record, index {bundle.index}",
            hint="ask the log's operator",
        )
    if with_body and not bundle.body:
        warn(
            "the body is withheld: the gateway gives it to who shows the call's own opening"
            if opening is None
            else "the body is withheld although an opening was shown: erased, or of another call"
        )
    return data


def _is_about(bundle: Bundle, target: int | UUID) -> bool:
    """Return whether a bundle is of the record asked for, as far as it shows."""
    if not isinstance(target, UUID):
        return bundle.index == target
    try:
        body = decode_body(decode_record(bundle.record).type, bundle.body)
    except LedgerError:
        return True  # withheld, or for `verify` to judge
    return isinstance(body, Receipt) and body.id == target.bytes


def _from_ledger(
    named: Path | None, target: int | UUID, passphrase_file: Path | None, *, with_body: bool
) -> bytes:
    with read_ledger(named) as ledger:
        prove = partial(ledger.prove, find_entry(ledger, target).index, with_body=with_body)
        try:
            return prove()
        except UnavailableError as error:
            if error.code != "not-covered":
                raise
    # No head covers the receipt yet: sign one, which takes the keys.
    with open_ledger(named, passphrase_file) as ledger:
        return ledger.prove(find_entry(ledger, target).index, with_body=with_body)
