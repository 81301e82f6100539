"""From a backup to a ledger, which is checked before it stands.

1  copy the files beside the place       each compared with its SHA-256
2  fsck the copy                         every record, signature, body and head
3  write a high-water file               not confirmed, unless one survived elsewhere
4  move the copy to its place            only now there is a ledger
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from nous_ledger.ledger.backup import Backup, copy_files, new_folder, read_backup
from nous_ledger.ledger.creation import DATABASE_NAME
from nous_ledger.ledger.errors import StoreContentError
from nous_ledger.ledger.files import os_errors
from nous_ledger.ledger.fsck import FsckReport, fsck
from nous_ledger.ledger.guard import GuardSettings, read_settings, write_settings
from nous_ledger.ledger.highwater import HIGH_WATER_NAME, HighWater, Mark

Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A ledger that was restored.

    Attributes:
        backup: what it was made from.
        high_water: the file that it is compared with when it is opened.
        confirmed: whether that file survived elsewhere; if not, nothing is signed
            until somebody says that nothing was logged after the backup.
    """

    backup: Backup
    high_water: Path
    confirmed: bool


def restore(
    source: Path,
    folder: Path,
    *,
    high_water: Path | None = None,
    processes: int = 0,
    copying: Progress | None = None,
    checking: Progress | None = None,
) -> Restored:
    """Make a ledger from a backup where none stands; whole or not at all.

    Args:
        source: folder of the backup.
        folder: place of the ledger; nothing may stand there but an empty folder.
        high_water: a high-water file of the log that survived elsewhere.
        processes: as for `fsck`.
        copying: told how many bytes of how many were copied.
        checking: told how many records of how many were checked.

    Raises:
        LedgerUseError: not-a-backup, already-exists.
        StoreContentError: backup-damaged.
        KeyFileError: key-permissions.
        StoreError: a file could not be read or written; high-water-unusable.
    """
    backup = read_backup(source)
    if high_water is not None:
        HighWater(high_water, backup.log_id).forget()  # refuses what is of no use
    with new_folder(folder) as beside:
        copy_files(source, beside, backup, copying)
        _check(backup, fsck(beside, processes=processes, progress=checking), source)
        with os_errors(beside):
            for name in (f"{DATABASE_NAME}-wal", f"{DATABASE_NAME}-shm"):
                (beside / name).unlink(missing_ok=True)  # empty ones, left by reading
        settings = read_settings(beside)
        if high_water is not None:
            settings = GuardSettings(high_water=high_water, sources=settings.sources)
            write_settings(beside, settings)
        if settings.high_water is None:
            mark = Mark(leaf_count=backup.leaf_count, root=backup.root, confirmed=False)
            HighWater.create(beside / HIGH_WATER_NAME, backup.log_id, mark)
    place = settings.place(folder)
    return Restored(backup=backup, high_water=place, confirmed=settings.high_water is not None)


def _check(backup: Backup, report: FsckReport, source: Path) -> None:
    faults = [fault for fault in report.faults if fault.table != "high-water"]
    if faults:
        first = faults[0]
        place = first.table if first.index is None else f"{first.table} {first.index}"
        raise StoreContentError(
            "backup-damaged", f"the ledger in {source} is faulty: {first.code}, {place}"
        )
    if (report.log_id, report.leaf_count) != (backup.log_id, backup.leaf_count):
        raise StoreContentError("backup-damaged", f"{source} holds another log than it says")
