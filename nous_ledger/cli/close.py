"""`nous-ledger close`: end a log.

Spec:
    PROTOCOL.md KEY-21, KEY-23, KEY-24.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Final

import click

from nous_ledger.cli.files import open_with_passphrase, read_ledger, read_passphrase
from nous_ledger.cli.key import (
    changed_to_json,
    check_suspects,
    next_key_passphrase_option,
    old_key_advice,
    read_next_key,
    suspects_explained,
)
from nous_ledger.cli.options import (
    PATH,
    json_option,
    ledger_folder,
    ledger_option,
    passphrase_file_option,
)
from nous_ledger.cli.terminal import printable, say
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.hashing import ZERO_HASH

_REASONS: Final = ("closed", "suspected", "compromised", "lost")


@click.command(
    "close",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger close --next-key /media/usb/next.key\n"
        "  nous-ledger close --ledger ./trial --yes\n"
        "  nous-ledger close --next-key /media/usb/next.key --reason compromised \\\n"
        "      --suspect-from 1200 --yes --json\n"
    ),
)
@ledger_option
@click.option(
    "--next-key",
    type=PATH,
    help="File of the next key; a log without one is closed by its own.  [default: ask for it]",
)
@click.option(
    "--reason",
    type=click.Choice(_REASONS),
    default="closed",
    show_default=True,
    help="Why, if something happened to the key.",
)
@click.option(
    "--suspect-from",
    type=click.IntRange(0),
    metavar="INDEX",
    help="First record that somebody else may have signed; with suspected and compromised.",
)
@click.option("--yes", is_flag=True, help="Do not ask whether to.")
@passphrase_file_option
@next_key_passphrase_option
@json_option
def command(
    *,
    named: Path | None,
    next_key: Path | None,
    reason: str,
    suspect_from: int | None,
    yes: bool,
    passphrase_file: Path | None,
    next_key_passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """End a log for good: nothing can follow, neither receipts nor redactions.

    Stop its gateway first. Calls that have no receipt yet get one that says they
    were interrupted. What was logged stays provable; heads over the same records
    can still be signed. Another log can continue it: init --predecessor.
    """
    check_suspects(reason, suspect_from)
    folder = ledger_folder(named)
    with read_ledger(named) as ledger:
        history, origin = ledger.key_history(), ledger.origin
    revealed = None
    if next_key is not None or (history.closed_at is None and history.next_hash != ZERO_HASH):
        revealed = read_next_key(next_key)
    other = read_passphrase(next_key_passphrase_file, ask=False)
    ledger, passphrase = open_with_passphrase(named, passphrase_file)
    with ledger, suspects_explained(suspect_from):
        if not yes:
            _ask(origin)
        changed = ledger.close_log(
            revealed,
            reason=reason,
            suspect_from=suspect_from,
            passphrase=passphrase,
            next_key_passphrase=other,
        )
    if as_json:
        say(json.dumps(changed_to_json(changed), indent=2))
        return
    say(f"closed by record {changed.index}, in epoch {changed.epoch}")
    if revealed is not None:
        say(old_key_advice(None if next_key is None else str(next_key)))
    shown = printable(shlex.quote(str(folder)))
    say(f"To continue it: nous-ledger init --ledger NEW --predecessor {shown} --next-key-out FILE")


def _ask(origin: str) -> None:
    if not sys.stdin.isatty():
        raise InputError(
            "input", "closing a log cannot be undone", hint="add --yes where nobody can be asked"
        )
    question = f"Close {printable(origin)} for good?"
    click.confirm(question, abort=True, err=True)
