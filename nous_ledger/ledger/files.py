"""Files that must be private, whole or absent: keys, and what names them.

A file is written beside its place, made durable, and then moved there: a crash
leaves the old file or the new one, never a part.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nous_ledger.ledger.errors import KeyFileError, LedgerUseError, StoreError

PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
_OTHERS: Final = 0o077
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter; an empty one becomes private.

    Raises:
        KeyFileError: key-permissions, if the folder holds files and is open to others.
        LedgerUseError: already-exists, if something else stands there.
        StoreError: store-unwritable.
    """
    with os_errors(folder):
        try:
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True)
            fsync_folder(folder.parent)
        except FileExistsError:
            if not folder.is_dir():
                raise LedgerUseError("already-exists", f"{folder} is not a folder") from None
            if not any(folder.iterdir()):
                folder.chmod(PRIVATE_FOLDER)
    check_private_folder(folder)


def check_private_folder(folder: Path) -> None:
    """Refuse a folder that others than its owner can enter.

    Raises:
        KeyFileError: key-permissions.
        StoreError: store-unwritable.
    """
    with os_errors(folder):
        _check_mode(folder, folder.stat().st_mode, "700")


def read_private_file(path: Path, max_bytes: int) -> bytes:
    """Return the content of a file that nobody but its owner can reach.

    Args:
        path: the file.
        max_bytes: most bytes it may have.

    Raises:
        KeyFileError: key-missing, key-permissions, key-format (longer, or no file).
        StoreError: store-unwritable, if it cannot be opened.
    """
    try:
        with os_errors(path, FileNotFoundError, IsADirectoryError), path.open("rb") as file:
            _check_mode(path, os.fstat(file.fileno()).st_mode, "600")
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise KeyFileError("key-missing", f"there is no key file {path}") from error
    except IsADirectoryError as error:
        raise KeyFileError("key-format", f"{path} is a folder, not a key file") from error
    if len(data) > max_bytes:
        raise KeyFileError("key-format", f"{path} is longer than a key file can be")
    return data


def write_new_file(path: Path, data: bytes) -> None:
    """Write a private file where none stands; durable when this returns.

    Raises:
        LedgerUseError: already-exists.
        StoreError: store-unwritable, store-full; then the file is not there.
    """
    made: tuple[int, int] | None = None
    try:
        with _written_beside(path, data) as beside:
            made = _identity(beside)
            try:
                _move_to_free_place(beside, path)
            except FileExistsError as error:
                raise LedgerUseError("already-exists", f"{path} exists already") from error
    except BaseException:
        with contextlib.suppress(OSError):  # whether it was moved is not what the error says
            if _identity(path) == made:
                path.unlink()
        raise


def replace_file(path: Path, data: bytes) -> None:
    """Write a private file, replacing the one that stands there; durable when this returns.

    Raises:
        StoreError: store-unwritable.
    """
    with _written_beside(path, data) as beside:
        beside.replace(path)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Be the only one who serves a ledger, or who does what its server must not see.

    The folder itself is locked: a file in it could be removed and made anew.

    Raises:
        StoreError: gateway-running, if another one holds it; store-unwritable.
    """
    with os_errors(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _take(descriptor, folder)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    try:
        with os_errors(folder, BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise StoreError(
            "gateway-running", f"another gateway serves the ledger in {folder}"
        ) from error


@contextlib.contextmanager
def os_errors(path: Path, *expected: type[OSError]) -> Iterator[None]:
    """Turn what the system refuses into an error of ours.

    Args:
        path: what the work is about.
        expected: errors whose meaning the caller knows; they pass as they are.

    Raises:
        StoreError: store-full, store-unwritable.
    """
    try:
        yield
    except expected:
        raise
    except OSError as error:
        code = "store-full" if error.errno in _NO_ROOM else "store-unwritable"
        message = f"{path}: {error.strerror or error}"
        raise StoreError(code, message, hint=_missing_folder(path, error)) from error


def _missing_folder(path: Path, error: OSError) -> str:
    """Return what to do if there is no folder to write into; empty if that is not it."""
    if not isinstance(error, FileNotFoundError) or path.parent.exists():
        return ""
    return f"make the folder first: mkdir -p {shlex.quote(str(path.parent))}"


def _move_to_free_place(beside: Path, path: Path) -> None:
    try:
        os.link(beside, path)  # unlike a rename, this never replaces a file
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links, as on many USB media: an empty file takes the place first.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
        try:
            beside.replace(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _written_beside(path: Path, data: bytes) -> Iterator[Path]:
    """Give a durable private file in the folder of `path`; gone afterwards if not moved."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os_errors(path, FileExistsError):
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield beside
            beside.unlink(missing_ok=True)
            fsync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _check_mode(path: Path, mode: int, wanted: str) -> None:
    if stat.S_IMODE(mode) & _OTHERS:
        raise KeyFileError(
            "key-permissions",
            f"{path} has mode {stat.S_IMODE(mode):03o}: others than its owner can reach it",
            hint=f"run: chmod {wanted} {shlex.quote(str(path))}",
        )
