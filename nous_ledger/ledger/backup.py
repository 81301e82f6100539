"""A backup of a ledger, taken while others write to it, and the way back.

    ledger.db     one snapshot of the database
    backup.json   which log, how far, when, and the SHA-256 of each file
    guard.json    where the newest state of the log is known from, if that was set
    keys.json     only if it was asked for

A backup appears under its name whole or not at all. It never holds the next key,
which lies elsewhere, nor the high-water file: that would make an old copy look new.
So a ledger that was restored signs nothing until the mark that survived elsewhere
agrees with it, or until its owner says that nothing was logged after the backup.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nous_ledger.ledger.creation import DATABASE_NAME, KEYS_NAME
from nous_ledger.ledger.database import check_database_file, open_connection, sqlite_errors
from nous_ledger.ledger.errors import KeyFileError, LedgerUseError, StoreContentError
from nous_ledger.ledger.files import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    fsync_folder,
    os_errors,
    read_private_file,
    write_new_file,
)
from nous_ledger.ledger.guard import SETTINGS_NAME
from nous_ledger.ledger.heads import check_store
from nous_ledger.ledger.identity import Identity, read_identity
from nous_ledger.ledger.keys import MAX_KEY_FILE_BYTES, read_public_keys
from nous_ledger.ledger.sqlite_view import SqliteView
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.mmr import root_from_peaks
from nous_ledger.protocol.types import Hash32, LeafCount, LogId

MANIFEST_NAME: Final = "backup.json"
VERSION: Final = 1
_NAMES: Final = (SETTINGS_NAME, KEYS_NAME, DATABASE_NAME)
_MAX_BYTES: Final = 65_536
_PAGES: Final = 2_048
_CHUNK: Final = 1 << 20

Progress = Callable[[int, int], None]
"""Is told how much of how much is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """What a backup holds.

    Attributes:
        origin: name of the log.
        log_id: its identity.
        leaf_count: leaves in it.
        root: root over them.
        taken_at: milliseconds; when it was taken.
        files: name of each file, with its SHA-256.
        bytes: size of the database.
    """

    origin: str
    log_id: LogId
    leaf_count: LeafCount
    root: Hash32
    taken_at: int
    files: tuple[tuple[str, bytes], ...]
    bytes: int

    @property
    def has_keys(self) -> bool:
        """Whether the key file is in it."""
        return any(name == KEYS_NAME for name, _ in self.files)


def back_up(
    folder: Path,
    target: Path,
    now: int,
    *,
    keys: bool = False,
    progress: Progress | None = None,
) -> Backup:
    """Write a backup of a ledger and return what it holds; durable when this returns.

    Args:
        folder: the ledger's; others may write to it meanwhile.
        target: a new folder for the backup, outside of the ledger's.
        now: milliseconds.
        keys: whether the key file goes with it.
        progress: told how many pages of how many were copied.

    Raises:
        InputError: the target lies in the ledger folder.
        LedgerUseError: already-exists; not-a-ledger.
        KeyFileError: the key file cannot be read, or is not that of the snapshot.
        StoreError, StoreContentError: the database could not be read or a file written.
    """
    check_database_file(folder / DATABASE_NAME)
    if target.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "input", "a backup must lie outside the ledger folder", hint="best on another disk"
        )
    with new_folder(target) as beside:
        _copy_database(folder / DATABASE_NAME, beside / DATABASE_NAME, progress)
        identity, leaf_count, root = _look_at(beside / DATABASE_NAME)
        if keys:
            _copy_keys(folder / KEYS_NAME, beside / KEYS_NAME, identity)
        if (folder / SETTINGS_NAME).exists():
            data = read_private_file(folder / SETTINGS_NAME, _MAX_BYTES)
            write_new_file(beside / SETTINGS_NAME, data)
        backup = Backup(
            origin=identity.origin,
            log_id=identity.log_id,
            leaf_count=leaf_count,
            root=root,
            taken_at=now,
            files=tuple(
                # SQLite's own files may be left, and hold nothing.
                (path.name, _hash(path))
                for path in (beside / name for name in _NAMES)
                if path.exists()
            ),
            bytes=(beside / DATABASE_NAME).stat().st_size,
        )
        write_new_file(beside / MANIFEST_NAME, _format(backup))
    return backup


def read_backup(folder: Path) -> Backup:
    """Return what a backup says that it holds; its files are not looked at.

    Raises:
        LedgerUseError: not-a-backup.
        KeyFileError: key-permissions.
        StoreContentError: backup-damaged.
    """
    path = folder / MANIFEST_NAME
    try:
        document = json.loads(read_private_file(path, _MAX_BYTES))
        if document["version"] == VERSION:
            return _parse(document)
    except KeyFileError as error:
        if error.code != "key-missing":
            raise
        raise LedgerUseError("not-a-backup", f"there is no backup in {folder}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StoreContentError("backup-damaged", f"{path} is damaged") from error
    raise StoreContentError("backup-damaged", f"{path} is of a version that is not known here")


def copy_files(source: Path, target: Path, backup: Backup, progress: Progress | None) -> None:
    """Copy the files of a backup, comparing each with its SHA-256; durable when it returns.

    Raises:
        StoreContentError: backup-damaged.
        StoreError: store-unwritable, store-full.
    """
    done = 0
    for name, expected in backup.files:
        digest = hashlib.sha256()
        if not (source / name).is_file():
            raise StoreContentError("backup-damaged", f"{source / name} is missing")
        with os_errors(source / name), (source / name).open("rb") as read:
            descriptor = os.open(target / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
            with os.fdopen(descriptor, "wb") as written:
                while chunk := read.read(_CHUNK):
                    digest.update(chunk)
                    written.write(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(min(done, backup.bytes), backup.bytes)
                written.flush()
                os.fsync(written.fileno())
        if digest.digest() != expected:
            raise StoreContentError(
                "backup-damaged", f"{source / name} is not the file that was backed up"
            )


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Give a private folder beside a place, which moves there if all goes well.

    Raises:
        LedgerUseError: already-exists, unless an empty folder stands there.
        StoreError: store-unwritable, store-full.
    """
    with os_errors(target):
        if target.is_symlink() or (
            target.exists() and not (target.is_dir() and not any(target.iterdir()))
        ):
            raise LedgerUseError("already-exists", f"{target} exists already")
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        beside.mkdir(mode=PRIVATE_FOLDER)
    try:
        yield beside
        with os_errors(target):
            fsync_folder(beside)
            beside.rename(target)  # replaces nothing but an empty folder
            fsync_folder(target.parent)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def _copy_database(source: Path, target: Path, progress: Progress | None) -> None:
    def tell(_status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    with os_errors(target):
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    with (
        sqlite_errors(target),
        contextlib.closing(open_connection(source, read_only=True)) as read,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as written,
    ):
        # One snapshot for the whole copy: else it would begin anew with every commit.
        read.execute("BEGIN")
        read.execute("SELECT count(*) FROM log").fetchone()
        written.execute("PRAGMA synchronous = OFF")  # the file is synced at its end
        read.backup(written, pages=_PAGES, progress=tell)


def _look_at(path: Path) -> tuple[Identity, LeafCount, Hash32]:
    """Return what a copy holds, after comparing its records, tree and newest head; sync it."""
    # Opened for writing, as only then SQLite leaves no further files beside it.
    with contextlib.closing(open_connection(path, read_only=False)) as connection:
        view = SqliteView(connection)
        identity = read_identity(view)
        check_store(view, identity.origin)
        tip = view.tip()
    with os_errors(path), path.open("rb") as file:
        os.fsync(file.fileno())
    return identity, tip.leaf_count, root_from_peaks(tip.leaf_count, tip.peaks)


def _copy_keys(source: Path, target: Path, identity: Identity) -> None:
    write_new_file(target, read_private_file(source, MAX_KEY_FILE_BYTES))
    if read_public_keys(target) != (identity.secp256k1, identity.ed25519):
        raise KeyFileError(
            "key-mismatch", "the keys changed while the backup was taken", hint="take it again"
        )


def _hash(path: Path) -> bytes:
    with os_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _format(backup: Backup) -> bytes:
    document = {
        "version": VERSION,
        "origin": backup.origin,
        "log_id": backup.log_id.hex(),
        "leaf_count": backup.leaf_count,
        "root": backup.root.hex(),
        "taken_at": backup.taken_at,
        "bytes": backup.bytes,
        "files": {name: digest.hex() for name, digest in backup.files},
    }
    return json.dumps(document, indent=1).encode("ascii") + b"\n"


def _parse(document: dict[str, Any]) -> Backup:
    files = tuple((name, bytes.fromhex(text)) for name, text in document["files"].items())
    numbers = (document["leaf_count"], document["taken_at"], document["bytes"])
    if not {name for name, _ in files} <= set(_NAMES) or (DATABASE_NAME not in dict(files)):
        raise ValueError(files)
    if not all(isinstance(number, int) for number in numbers):
        raise TypeError(numbers)
    return Backup(
        origin=str(document["origin"]),
        log_id=LogId(bytes.fromhex(document["log_id"])),
        leaf_count=LeafCount(document["leaf_count"]),
        root=Hash32(bytes.fromhex(document["root"])),
        taken_at=document["taken_at"],
        files=files,
        bytes=document["bytes"],
    )
