"""`nous-ledger redact`: erase bodies and log that they are gone.

Spec:
    PROTOCOL.md RED-1 to RED-3.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from nous_ledger.cli.files import open_ledger
from nous_ledger.cli.lookup import find_entry, parse_target
from nous_ledger.cli.options import json_option, ledger_option, passphrase_file_option
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import say, warn

_REASONS: Final = ("data_subject_request", "retention", "legal_order", "secret_leaked")


@click.command(
    "redact",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger redact 17 --reason secret_leaked\n"
        "  nous-ledger redact 0199c0de-0000-7000-8000-000000000001 18 19 \\\n"
        "      --reason data_subject_request --json\n"
    ),
)
@click.argument("receipts", metavar="ID|INDEX...", nargs=-1, required=True)
@click.option("--reason", type=click.Choice(_REASONS), required=True, help="Why.")
@ledger_option
@passphrase_file_option
@json_option
def command(
    *,
    receipts: tuple[str, ...],
    reason: str,
    named: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Erase the bodies of receipts for good, and log which and why, at once.

    The bytes leave the ledger's files: body, raw usage and the hash of the
    opening. The signed records stay, so everything else stays provable; lists and
    totals show the bodies as withheld. Copies elsewhere are not reached: proofs that
    were handed out, backups, published folders.
    """
    targets = [parse_target(receipt) for receipt in receipts]
    with open_ledger(named, passphrase_file) as ledger:
        indices = [find_entry(ledger, target).index for target in targets]
        done = ledger.redact(indices, reason)
    for notice in done.notices:
        warn(notice)
    if as_json:
        made = {"indices": list(done.indices), "records": list(done.records), "reason": reason}
        say(json.dumps(made, indent=2))
        return
    count = len(done.indices)
    bodies = "the body" if count == 1 else f"{count} bodies"
    said = ", ".join(str(index) for index in done.records)
    say(f"erased {bodies}, logged by record{plural(len(done.records))} {said}")
