"""Reading and writing what the user names: bounded, and one clear line when it fails.

Spec:
    PROTOCOL.md VER-24, BNDL-1, LIM-1.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from nous_ledger.cli.options import ledger_folder
from nous_ledger.cli.terminal import tell, warn, write_result
from nous_ledger.protocol.errors import FormatError, InputError, LedgerError, UnavailableError

if TYPE_CHECKING:
    from nous_ledger.ledger import Ledger

STDIN: Final = Path("-")
MAX_SECRET_BYTES: Final = 64 * 1024
PUBLIC: Final = 0o644
PRIVATE: Final = 0o600

_OTHERS: Final = 0o077
_NO_SUCH: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_CLASSES: Final[dict[str, type[LedgerError]]] = {
    "input": InputError,
    "unreachable": UnavailableError,
}


def read_bounded(path: Path, limit: int, code: str) -> bytes:
    """Return a file's bytes.

    Args:
        path: a file, or `-` for standard input.
        limit: most bytes; not one more is kept in memory than limit + 1.
        code: code of the error for a longer file; its class follows from it.

    Raises:
        InputError: the path does not exist or is a directory; or `code`.
        UnavailableError: unreachable (it cannot be read); or `code`.
        FormatError: `code`.
    """
    data = _read(path, limit, private=False)
    if len(data) > limit:
        error = _CLASSES.get(code, FormatError)
        raise error(code, f"{_name(path)} has more than {limit} bytes")
    return data


def read_secret(path: Path) -> bytes:
    """Return the bytes of a file that nobody else can read, or of a pipe.

    Raises:
        InputError: the path does not exist, is a directory, or holds more than 64 KiB.
        KeyFileError: key-permissions.
        UnavailableError: unreachable.
    """
    data = _read(path, MAX_SECRET_BYTES, private=True)
    if len(data) > MAX_SECRET_BYTES:
        raise InputError("input", f"{_name(path)} has more than {MAX_SECRET_BYTES} bytes")
    return data


def check_there(path: Path) -> None:
    """Refuse a path that does not exist; whether it can be read shows when it is.

    Raises:
        InputError: it does not.
    """
    if not _may_be(path):
        hint = "check the spelling of the path, and whether its medium is attached"
        raise InputError("input", f"{path} does not exist", hint=hint)


def check_folder_of(path: Path) -> None:
    """Refuse a path at which something is to be made, in a folder that does not exist.

    Raises:
        InputError: it does not.
    """
    if not _may_be(path.parent, stat.S_ISDIR):
        hint = "check the spelling of the path, or make the folder"
        raise InputError("input", f"{path} is to be in a folder that does not exist", hint=hint)


def _may_be(path: Path, fits: Callable[[int], bool] = bool) -> bool:
    """Return whether a path exists and its mode fits, or it cannot be looked at."""
    try:
        return fits(path.stat().st_mode)
    except OSError as error:
        return error.errno not in _NO_SUCH


def _name(path: Path) -> str:
    return "standard input" if path == STDIN else str(path)


def _read(path: Path, limit: int, *, private: bool) -> bytes:
    try:
        if path == STDIN:
            return sys.stdin.buffer.read(limit + 1)
        with path.open("rb") as file:
            if private:
                _check_private(path, file)
            return file.read(limit + 1)
    except IsADirectoryError as error:
        raise InputError(
            "input", f"{_name(path)} is a directory, not a file", hint="name a file in it"
        ) from error
    except OSError as error:
        if error.errno in _NO_SUCH:
            hint = "check the spelling of the path"
            raise InputError("input", f"{_name(path)} does not exist", hint=hint) from error
        raise UnavailableError(
            "unreachable",
            f"{_name(path)} cannot be read: {error.strerror or error}",
            hint="check its permissions",
        ) from error


def _check_private(path: Path, file: BinaryIO) -> None:
    from nous_ledger.ledger import KeyFileError

    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_mode & _OTHERS:
        mode = stat.S_IMODE(status.st_mode)
        raise KeyFileError(
            "key-permissions",
            f"{path} has mode {mode:03o}: others than its owner can reach it",
            hint=f"run: chmod 600 {path}",
        )


def write_new(path: Path, data: bytes, *, force: bool = False, mode: int = PUBLIC) -> None:
    """Write a file that is not there yet, or replace it when forced; whole or not at all.

    A device or pipe is written to as it is.

    Args:
        path: the file.
        data: its content.
        force: whether a file that stands there is replaced.
        mode: permissions of the file, less the process's umask.

    Raises:
        InputError: the file exists already, or its folder does not.
        UnavailableError: unreachable (it cannot be written).
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            path.write_bytes(data)
        elif force:
            _replace(path.resolve(), data, mode)
        else:
            _create(path, data, mode)
    except FileExistsError as error:
        raise InputError(
            "input", f"{path} exists already", hint="name another file, or add --force"
        ) from error
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(
            "input",
            f"{path} cannot be created: {error.strerror}",
            hint="name a file in a folder that exists",
        ) from error
    except OSError as error:
        raise UnavailableError(
            "unreachable",
            f"{path} cannot be written: {error.strerror or error}",
            hint="check permissions and space",
        ) from error


def _create(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _replace(path: Path, data: bytes, mode: int) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    beside = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}")
    _create(beside, data, mode)
    try:
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_output(output: Path | None, data: bytes, *, force: bool) -> None:
    """Write a result to the file that was named, or to stdout."""
    if output is None or output == STDIN:
        write_result(data)
    else:
        write_new(output, data, force=force)
        tell(f"wrote {output}")


def read_opening(text: str) -> bytes:
    """Return an opening given as 64 hex digits or as @FILE that holds them.

    Raises:
        InputError: it is neither; the message does not repeat it.
    """
    if text.startswith("@"):
        text = read_bounded(Path(text[1:]), 1024, "input").decode("ascii", "replace").strip()
    try:
        opening = bytes.fromhex(text)
    except ValueError:
        opening = b""
    if len(opening) != 32 or len(text) != 64:
        raise InputError(
            "input",
            "an opening is 64 hex digits, or @FILE that holds them",
            hint="it is in the nous-opening header of the call's response",
        )
    return opening


def read_passphrase(path: Path | None, *, ask: bool, confirm: bool = False) -> str | None:
    """Return the passphrase from a file or the terminal; None if neither is asked for.

    Raises:
        InputError: the file is not there, the passphrase is empty, or there is no
            terminal to ask at.
        KeyFileError: key-permissions, if others can read the file.
    """
    if path is not None:
        passphrase = read_secret(path).decode("utf-8", "surrogateescape").rstrip("\r\n")
    elif ask:
        if not sys.stdin.isatty():
            hint = "use --passphrase-file FILE, or - for standard input"
            raise InputError("input", "there is no terminal to ask for the passphrase", hint=hint)
        passphrase = click.prompt(
            "Passphrase", hide_input=True, confirmation_prompt=confirm, err=True
        )
    else:
        return None
    if not passphrase:
        raise InputError("input", "the passphrase is empty")
    return passphrase


def open_ledger(named: Path | None, passphrase_file: Path | None = None) -> Ledger:
    """Open a ledger for writing; asks for the passphrase if its keys are encrypted.

    Args:
        named: its folder; None for the default.
        passphrase_file: file with the passphrase of its keys.

    Raises:
        InputError: as `ledger_folder`.
        LedgerError: as `Ledger.open`.
    """
    return open_with_passphrase(named, passphrase_file)[0]


def open_with_passphrase(
    named: Path | None, passphrase_file: Path | None
) -> tuple[Ledger, str | None]:
    """Open a ledger as `open_ledger` does; return the passphrase too, to seal what follows."""
    from nous_ledger.ledger import Ledger

    folder = ledger_folder(named)
    passphrase = read_passphrase(passphrase_file, ask=False)
    try:
        ledger = Ledger.open(folder, passphrase=passphrase)
    except UnavailableError as error:
        if error.code != "key-passphrase" or passphrase is not None or not sys.stdin.isatty():
            raise
        passphrase = read_passphrase(None, ask=True)
        ledger = Ledger.open(folder, passphrase=passphrase)
    for notice in ledger.notices:
        warn(notice)
    return ledger, passphrase


def read_ledger(named: Path | None) -> Ledger:
    """Open a ledger for reading: no key is read and nothing is signed."""
    from nous_ledger.ledger import Ledger

    return Ledger.open(ledger_folder(named), read_only=True)
