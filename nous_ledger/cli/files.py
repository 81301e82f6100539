"""Reading what the user names: bounded, and with one clear line when it cannot be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from typing import TYPE_CHECKING

import click

from nous_ledger.protocol.errors import FormatError, InputError, UnavailableError

if TYPE_CHECKING:
    from nous_ledger.ledger import Ledger


def read_bounded(path: Path, limit: int, code: str) -> bytes:
    """Return a file's bytes.

    Args:
        path: a file, or `-` for standard input.
        limit: most bytes; not one more is kept in memory than limit + 1.
        code: FormatError code for a longer file.

    Raises:
        InputError: the path does not exist or is a directory.
        UnavailableError: unreachable (it cannot be read).
        FormatError: `code`, the file is longer than the limit.
    """
    if str(path) == "-":
        data = sys.stdin.buffer.read(limit + 1)
    else:
        data = _read_file(path, limit)
    if len(data) > limit:
        raise FormatError(code, f"{path}: longer than {limit} bytes")
    return data


def _read_file(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except FileNotFoundError as error:
        raise InputError(
            "input", f"{path} does not exist", hint="check the path's spelling"
        ) from error
    except IsADirectoryError as error:
        raise InputError(
            "input", f"{path} is a directory, not a file", hint="name a file in it"
        ) from error
    except OSError as error:
        raise UnavailableError(
            "unreachable", f"{path} cannot be read: {error.strerror}", hint="check its permissions"
        ) from error


def write_new(path: Path, data: bytes, *, force: bool = False) -> None:
    """Write a file that is not there yet, or replace it when forced.

    Raises:
        InputError: the file exists already, or its folder does not.
        UnavailableError: unreachable (it cannot be written).
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, 0o644), "wb") as file:
            file.write(data)
    except FileExistsError as error:
        raise InputError(
            "input", f"{path} exists already", hint="name another file, or add --force"
        ) from error
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError("input", f"{path} cannot be created: {error.strerror}") from error
    except OSError as error:
        raise UnavailableError(
            "unreachable", f"{path} cannot be written: {error.strerror}", hint="check the disk"
        ) from error


def read_opening(text: str) -> bytes:
    """Return an opening given as 64 hex digits or as @FILE that holds them.

    Raises:
        InputError: it is neither.
    """
    if text.startswith("@"):
        raw = read_bounded(Path(text[1:]), 1024, "json-format")
        text = raw.decode("ascii", "replace").strip()
    try:
        opening = bytes.fromhex(text)
    except ValueError:
        opening = b""
    if len(opening) != 32:
        raise InputError(
            "input",
            "an opening is 64 hex digits, or @FILE that holds them",
            hint="it is in the nous-opening header of the call's response",
        )
    return opening


def read_passphrase(path: Path | None, *, ask: bool, confirm: bool = False) -> str | None:
    """Return the passphrase from a file or the terminal; None if neither is asked for.

    Raises:
        InputError: the file is not there, or the passphrase is empty.
    """
    if path is not None:
        raw = read_bounded(path, 4096, "json-format")
        passphrase = raw.decode("utf-8", "replace").rstrip("\r\n")
    elif ask:
        passphrase = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)
    else:
        return None
    if not passphrase:
        raise InputError("input", "the passphrase is empty")
    return passphrase


def open_ledger(folder: Path, passphrase_file: Path | None = None) -> Ledger:
    """Open a ledger for writing; asks for the passphrase if its keys are encrypted.

    Raises:
        LedgerError: as `Ledger.open`.
    """
    from nous_ledger.ledger import Ledger  # noqa: PLC0415 - not every command

    passphrase = read_passphrase(passphrase_file, ask=False)
    try:
        ledger = Ledger.open(folder, passphrase=passphrase)
    except UnavailableError as error:
        if error.code != "key-passphrase" or passphrase is not None or not sys.stdin.isatty():
            raise
        ledger = Ledger.open(folder, passphrase=read_passphrase(None, ask=True))
    for notice in ledger.notices:
        click.echo(f"nous-ledger: warning: {notice}", err=True)
    return ledger


def read_ledger(folder: Path) -> Ledger:
    """Open a ledger for reading: no key is read and nothing is signed."""
    from nous_ledger.ledger import Ledger  # noqa: PLC0415 - not every command

    return Ledger.open(folder, read_only=True)


def ledger_option(function: click.decorators.FC) -> click.decorators.FC:
    """Add --ledger, the folder of the ledger."""
    return click.option(
        "--ledger",
        "folder",
        type=click.Path(path_type=Path),
        envvar="NOUS_LEDGER_DIR",
        default=default_ledger,
        show_default="the nous-ledger folder in your data home",
        help="Folder of the ledger.",
    )(function)


def default_ledger() -> Path:
    """Return the folder of the ledger when none is named."""
    home = os.environ.get("XDG_DATA_HOME") or ""
    base = Path(home) if home.startswith("/") else Path.home() / ".local" / "share"
    return base / "nous-ledger"
