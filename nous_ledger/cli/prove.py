"""`nous-ledger prove`: everything that proves one receipt, in one file."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import click

from nous_ledger.cli.files import ledger_option, open_ledger, read_ledger, read_opening, write_new
from nous_ledger.cli.web import fetch
from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES, parse_bundle
from nous_ledger.protocol.errors import InputError, UnavailableError


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
@click.argument("receipt", metavar="ID|INDEX")
@ledger_option
@click.option("--url", metavar="GATEWAY", help="Ask a running gateway instead of a local ledger.")
@click.option(
    "--opening", metavar="HEX|@FILE", help="The call's nous-opening: the right to read its body."
)
@click.option("--no-body", is_flag=True, help="Withhold the body: prove inclusion only.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Passphrase of the keys.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write. [default: -]")
@click.option("--force", is_flag=True, help="Replace the file.")
def command(  # noqa: PLR0913 - one parameter per option
    *,
    receipt: str,
    folder: Path,
    url: str | None,
    opening: str | None,
    no_body: bool,
    passphrase_file: Path | None,
    output: Path | None,
    force: bool,
) -> None:
    """Write the proof of one receipt, named by its id or index.

    The file holds record, body, inclusion path, signed head and the log's key
    history: `nous-ledger verify` needs nothing else but a trust policy.
    """
    if url is not None:
        data = _from_gateway(url, receipt, opening, no_body=no_body)
    else:
        data = _from_ledger(folder, receipt, passphrase_file, no_body=no_body)
    if output is None or str(output) == "-":
        click.echo(data.decode("utf-8"), nl=False)
    else:
        write_new(output, data, force=force)
        click.echo(f"wrote {output}", err=True)


def _from_gateway(url: str, receipt: str, opening: str | None, *, no_body: bool) -> bytes:
    base = url.rstrip("/")
    number = _index(receipt)
    path = (
        f"/v1/receipts/{_uuid(receipt)}/proof" if number is None else f"/v1/records/{number}/proof"
    )
    headers = {}
    if opening is not None and not no_body:
        headers["nous-opening"] = read_opening(opening).hex()
    data = fetch(base + path, MAX_BUNDLE_BYTES, headers)
    parse_bundle(data)
    return data


def _from_ledger(
    folder: Path, receipt: str, passphrase_file: Path | None, *, no_body: bool
) -> bytes:
    with read_ledger(folder) as ledger:
        index = _index(receipt)
        if index is None:
            entry = ledger.find_receipt(_uuid(receipt).bytes)
            if entry is None:
                raise InputError(
                    "input", f"no receipt {receipt} in {folder}", hint="see `receipts list`"
                )
            index = entry.index
        try:
            return ledger.prove(index, with_body=not no_body)
        except UnavailableError as error:
            if error.code != "not-covered":
                raise
    # No head covers the receipt yet: sign one, which takes the keys.
    with open_ledger(folder, passphrase_file) as ledger:
        return ledger.prove(index, with_body=not no_body)


def _index(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 16 else None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise InputError(
            "input", f"{text[:80]} is neither a receipt id nor an index", hint="see `receipts list`"
        ) from error
