"""`nous-ledger key`: show, rotate and revoke the key of a log.

Spec:
    PROTOCOL.md KEY-1, KEY-19 to KEY-21.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.files import (
    STDIN,
    check_folder_of,
    check_there,
    open_with_passphrase,
    read_ledger,
    read_passphrase,
)
from nous_ledger.cli.options import (
    PATH,
    json_option,
    ledger_folder,
    ledger_option,
    passphrase_file_option,
)
from nous_ledger.cli.render import format_time
from nous_ledger.cli.terminal import printable, say, warn
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import BodyError, InputError
from nous_ledger.protocol.hashing import ZERO_HASH
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.record import Record
from nous_ledger.protocol.registries import KEY_EVENT_KIND, KEY_REASON

if TYPE_CHECKING:
    from nous_ledger.ledger import KeysChanged, Ledger, NextKey

_SUSPECT: Final = ("suspected", "compromised")
_REASONS: Final = (*_SUSPECT, "lost")

next_key_option: Final = click.option(
    "--next-key",
    type=PATH,
    help="File that `init` or the last rotation wrote.  [default: ask for the key itself]",
)
next_key_passphrase_option: Final = click.option(
    "--next-key-passphrase-file",
    type=PATH,
    help="File with the passphrase of the next key, if it is another one.",
)
_next_key_out_option: Final = click.option(
    "--next-key-out",
    type=PATH,
    required=True,
    help="File for the key of the epoch after: outside the ledger folder, to be kept offline.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the options of a rotation say."""

    named: Path | None
    next_key: Path | None
    next_key_out: Path
    reason: str
    suspect_from: int | None
    new_ed25519: bool
    passphrase_file: Path | None
    next_key_passphrase_file: Path | None
    as_json: bool


@click.group(
    "key",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger key show\n"
        "  nous-ledger key rotate --next-key /media/usb/next.key \\\n"
        "      --next-key-out /media/usb/next-2.key\n"
        "  nous-ledger key revoke --reason compromised --suspect-from 1200 \\\n"
        "      --next-key /media/usb/next.key --next-key-out /media/usb/next-2.key\n"
    ),
)
def command() -> None:
    """Show, rotate or revoke the key of a log."""


@command.command(
    "rotate",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger key rotate --next-key /media/usb/next.key \\\n"
        "      --next-key-out /media/usb/next-2.key\n"
        "  nous-ledger key rotate --ledger ./ledger --next-key-out ~/offline/next-2.key \\\n"
        "      --new-ed25519 --json\n"
    ),
)
@ledger_option
@next_key_option
@_next_key_out_option
@click.option(
    "--new-ed25519",
    is_flag=True,
    help="Replace the Ed25519 key too: policies that list it must be exported again.",
)
@passphrase_file_option
@next_key_passphrase_option
@json_option
def rotate(**options: Any) -> None:  # noqa: ANN401 - click passes what the options above say
    """Replace the log's key by the next one, and commit to another.

    The next key signs the rotation; the key it replaces has no say. Receipts of
    earlier epochs stay valid.
    """
    _rotate(_Asked(reason="scheduled", suspect_from=None, **options))


@command.command(
    "revoke",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger key revoke --reason compromised --suspect-from 1200 \\\n"
        "      --next-key /media/usb/next.key --next-key-out /media/usb/next-2.key\n"
        "  nous-ledger key revoke --reason lost \\\n"
        "      --next-key /media/usb/next.key --next-key-out /media/usb/next-2.key\n"
    ),
)
@ledger_option
@next_key_option
@_next_key_out_option
@click.option(
    "--reason", type=click.Choice(_REASONS), required=True, help="What happened to the key."
)
@click.option(
    "--suspect-from",
    type=click.IntRange(0),
    metavar="INDEX",
    help="First record that somebody else may have signed; with suspected and compromised.",
)
@click.option(
    "--new-ed25519",
    is_flag=True,
    help="Replace the Ed25519 key too: policies that list it must be exported again.",
)
@passphrase_file_option
@next_key_passphrase_option
@json_option
def revoke(**options: Any) -> None:  # noqa: ANN401 - as above
    """Replace a key that is stolen or lost, and say from where on not to trust it.

    Records from INDEX up to the revocation are reported as suspect from then on:
    their attribution cannot be checked. With --reason lost, and keys.json gone,
    the next key alone is enough; the log's other secrets are made anew.
    """
    _rotate(_Asked(**options))


def _rotate(asked: _Asked) -> None:
    if asked.next_key_out == STDIN:
        raise InputError(
            "input", "the next key is not written to stdout", hint="name a file on another medium"
        )
    check_suspects(asked.reason, asked.suspect_from)
    check_folder_of(asked.next_key_out)
    next_key = read_next_key(asked.next_key)
    other = read_passphrase(asked.next_key_passphrase_file, ask=False)
    if asked.reason == "lost" and _keys_are_gone(asked.named):
        changed = _recover(asked, next_key, other)
    else:
        ledger, passphrase = open_with_passphrase(asked.named, asked.passphrase_file)
        with ledger, suspects_explained(asked.suspect_from):
            changed = ledger.rotate(
                next_key,
                next_key_out=asked.next_key_out,
                reason=asked.reason,
                suspect_from=asked.suspect_from,
                new_ed25519=asked.new_ed25519,
                passphrase=passphrase,
                next_key_passphrase=other,
            )
    for notice in changed.notices:
        warn(notice)
    made = {
        **changed_to_json(changed),
        "next_key": str(asked.next_key_out),
        "old_next_key": None if asked.next_key is None else str(asked.next_key),
    }
    if asked.as_json:
        say(json.dumps(made, indent=2))
    else:
        say("\n".join(_render_change(made, asked)))


def check_suspects(reason: str, suspect_from: int | None) -> None:
    """Refuse a --suspect-from that is missing, or does not go with --reason.

    Raises:
        InputError: it is or does.
    """
    needed = reason in _SUSPECT
    if needed == (suspect_from is None):
        raise InputError(
            "input",
            f"--reason {reason} {'needs' if needed else 'does not go with'} --suspect-from",
            hint="--suspect-from INDEX names the first record that somebody else may have signed;"
            " it goes with suspected and compromised. `nous-ledger receipts list` shows indices"
            " and times"
            if needed
            else "leave --suspect-from out, or say --reason suspected or compromised",
        )


@contextlib.contextmanager
def suspects_explained(suspect_from: int | None) -> Iterator[None]:
    """Say in terms of the options what does not fit about --suspect-from.

    Raises:
        InputError: it names a record that the log does not have.
    """
    try:
        yield
    except BodyError as error:
        if error.code != "index-order":
            raise
        raise InputError(
            "input",
            f"--suspect-from {suspect_from} lies beyond the last record of the log",
            hint="name the first record that somebody else may have signed;"
            " `nous-ledger receipts list` shows indices and times",
        ) from error


def _keys_are_gone(named: Path | None) -> bool:
    from nous_ledger.ledger import KEYS_NAME

    return not (ledger_folder(named) / KEYS_NAME).exists()


def _recover(asked: _Asked, next_key: NextKey, other: str | None) -> KeysChanged:
    from nous_ledger.ledger import Ledger

    ledger, changed = Ledger.recover(
        ledger_folder(asked.named),
        next_key,
        next_key_out=asked.next_key_out,
        passphrase=read_passphrase(asked.passphrase_file, ask=False),
        next_key_passphrase=other,
    )
    ledger.close()
    warn("Ed25519 key and pseudonyms are new: export the policy again, callers start anew")
    return changed


def read_next_key(path: Path | None) -> NextKey:
    """Return the file of the next key, or the key itself as it is typed unseen.

    Raises:
        InputError: the file does not exist; none was named and there is no terminal; or
            what was typed is not 64 hex digits.
    """
    if path is not None:
        if path == STDIN:
            raise InputError("input", "the next key is not read from stdin", hint="name its file")
        check_there(path)
        return path
    if not sys.stdin.isatty():
        raise InputError(
            "input", "there is no terminal to ask for the next key", hint="name it: --next-key FILE"
        )
    typed = click.prompt("Next key, 64 hex digits", hide_input=True, err=True).strip()
    try:
        secret = bytes.fromhex(typed)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise InputError(
            "input",
            "a private key has 64 hex digits",
            hint="they are the secret in the next-key file; a sealed one must be named instead",
        )
    return secret


def changed_to_json(changed: KeysChanged) -> dict[str, Any]:
    """Return what a key event changed."""
    return {
        "index": changed.index,
        "epoch": changed.epoch,
        "secp256k1": changed.secp256k1.hex(),
        "ed25519": changed.ed25519.hex(),
    }


def old_key_advice(path: str | None) -> str:
    """Return what to do with the file of a key that was revealed."""
    where = "The key that was typed" if path is None else f"The key in {printable(path)}"
    return (
        f"{where} signs the log from now on:\n"
        "destroy every copy of it, or keep one offline as a backup of the key."
    )


def _render_change(made: dict[str, Any], asked: _Asked) -> Iterator[str]:
    yield f"epoch      {made['epoch']}, from record {made['index']} on"
    yield f"secp256k1  {made['secp256k1']}"
    yield f"ed25519    {made['ed25519']}"
    yield f"next key   {printable(made['next_key'])}"
    yield ""
    yield "Move the new next key to a place that this machine cannot read."
    yield old_key_advice(made["old_next_key"])
    if asked.new_ed25519:
        yield "The Ed25519 key is new: export and hand out the policy again."
    yield "A running gateway takes the new key by itself; with encrypted keys, start it again."


@command.command(
    "show",
    epilog=(
        "\b\nExamples:\n  nous-ledger key show\n  nous-ledger key show --ledger ./ledger --json\n"
    ),
)
@ledger_option
@json_option
def show(*, named: Path | None, as_json: bool) -> None:
    """Show the keys in force and every key event of the log."""
    with read_ledger(named) as ledger:
        shown = _history_to_json(ledger, ledger.key_history())
    say(json.dumps(shown, indent=2) if as_json else "\n".join(_render_history(shown)))


def _history_to_json(ledger: Ledger, history: KeyHistory) -> dict[str, Any]:
    keys = history.epochs[history.epoch]
    rotates = history.next_hash != ZERO_HASH
    return {
        "origin": ledger.origin,
        "log_id": history.log_id.hex(),
        "epoch": history.epoch,
        "secp256k1": keys.secp256k1.hex(),
        "ed25519": keys.ed25519.hex(),
        "next_hash": history.next_hash.hex() if rotates else None,
        "closed_at": history.closed_at,
        "suspect": [list(span) for span in history.suspect],
        "events": [_event_to_json(ledger, record) for record in history.records],
    }


def _event_to_json(ledger: Ledger, record: Record) -> dict[str, Any]:
    event = decode_body(record.type, ledger.entry(record.index).body)
    assert isinstance(event, KeyEvent)  # noqa: S101 - the key history was verified
    return {
        "index": record.index,
        "epoch": record.epoch,
        "logged_at": record.logged_at,
        "kind": KEY_EVENT_KIND.name_of(event.kind),
        "reason": None if event.reason is None else KEY_REASON.name_of(event.reason),
        "suspect_from": event.suspect_from,
        "secp256k1": event.secp256k1.hex(),
        "ed25519": event.ed25519.hex(),
    }


def _render_history(shown: dict[str, Any]) -> Iterator[str]:
    closed = shown["closed_at"]
    yield f"origin     {shown['origin']}"
    yield f"log id     {shown['log_id']}"
    yield f"epoch      {shown['epoch']}{'' if closed is None else f', closed at record {closed}'}"
    yield f"secp256k1  {shown['secp256k1']}"
    yield f"ed25519    {shown['ed25519']}"
    yield f"next key   {shown['next_hash'] or 'none: this key cannot be replaced'}"
    yield ""
    yield "  epoch    record  logged at             event"
    for event in shown["events"]:
        reason = "" if event["reason"] is None else f", {event['reason']}"
        since = event["suspect_from"]
        suspect = "" if since is None else f", suspect from record {since}"
        yield (
            f"  {event['epoch']:>5}  {event['index']:>8}"
            f"  {format_time(event['logged_at'] / 1000)}  {event['kind']}{reason}{suspect}"
        )
