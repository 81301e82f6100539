"""Refuses to extend a log whose database is not the newest one.

An older copy that was put back would be extended by records and heads that contradict
those which were shown before: a fork, which anyone who has one of each can prove. So
the database is compared with what is known from elsewhere, before anything is signed:

    the high-water file      in every transaction
    the file itself          in every transaction: is it the one that was opened?
    heads seen elsewhere     when the ledger is opened (`seen`)

Where to look is written in guard.json, in the folder of the ledger:

    {"version": 1, "high_water": "/mnt/other-disk/main.high-water" or null,
     "sources": ["/srv/log", "https://log.example.com/checkpoint"]}
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nous_ledger.ledger.errors import KeyFileError, LedgerUseError, StoreError
from nous_ledger.ledger.files import os_errors, read_private_file, replace_file
from nous_ledger.ledger.highwater import HIGH_WATER_NAME, HighWater, Mark, behind, forked
from nous_ledger.ledger.model import Tip
from nous_ledger.ledger.seen import look_elsewhere
from nous_ledger.ledger.store import Store, View
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.mmr import read_root, root_from_peaks
from nous_ledger.protocol.types import LogId

SETTINGS_NAME: Final = "guard.json"
VERSION: Final = 1
MAX_SOURCES: Final = 16
_MAX_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """Where the newest state of a log is known from.

    Attributes:
        high_water: the high-water file; None for the one in the ledger's folder.
        sources: published folders, and URLs of checkpoints.
    """

    high_water: Path | None = None
    sources: tuple[str, ...] = ()

    def place(self, folder: Path) -> Path:
        """Return where the high-water file of a ledger lies."""
        return self.high_water or folder / HIGH_WATER_NAME


@dataclass(slots=True, kw_only=True)
class Guard:
    """Compares a database with what is known of its log, before anything is signed.

    Attributes:
        database: the file of the ledger.
        high_water: place of the high-water file.
        log_id: the log, 32 bytes.
        notices: what the owner should be told of the comparison.
    """

    # _last is the mark that this database was found, or made, to agree with. Whoever
    # appends and whoever only asks for `refusal` take turns by _turn.

    database: Path
    high_water: Path
    log_id: LogId
    notices: tuple[str, ...] = ()
    _file: HighWater | None = None
    _inode: tuple[int, int] = (0, 0)
    _last: Mark | None = None
    _owed: Mark | None = None
    _seen: LedgerError | None = None
    _process: int = field(default_factory=os.getpid)
    _turn: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        """Remember which file is the database."""
        self._inode = _inode(self.database)

    def check(self, view: View) -> None:
        """Refuse a database that is not the newest of its log.

        Args:
            view: what is to be extended; in a transaction, before anything is signed.

        Raises:
            StoreContentError: store-behind, store-forked.
            StoreError: store-replaced, store-unconfirmed, high-water-unusable.
        """
        if self._seen is not None:
            raise _again(self._seen)
        with self._turn:
            self._compare(view)

    def _compare(self, view: View) -> None:
        if _inode(self.database) != self._inode:
            raise StoreError("store-replaced", f"{self.database} is another file than was opened")
        self._write_owed()
        mark = self._opened().read()
        if not mark.confirmed:
            raise StoreError(
                "store-unconfirmed",
                f"the ledger was restored from a backup of {mark.leaf_count} leaves, and whether"
                " more were logged after it is not known",
            )
        if mark != self._last or view.leaf_count() < mark.leaf_count:
            compare_with_mark(view, mark, self.high_water)
            self._last = mark

    def refusal(self, view: View) -> LedgerError | None:
        """Return why nothing may be signed; None if it may."""
        try:
            self.check(view)
        except LedgerError as error:
            return error
        return None

    def raise_to(self, tip: Tip) -> None:
        """Note how far the log got; after the commit and before anyone hears of it.

        Args:
            tip: what is durable now.

        Raises:
            StoreContentError: store-forked.
            StoreError: high-water-unusable: the records are in the log all the same.
        """
        with self._turn:
            if self._last is None or tip.leaf_count != self._last.leaf_count:
                root = root_from_peaks(tip.leaf_count, tip.peaks)
                self._owed = Mark(leaf_count=tip.leaf_count, root=root)
                self._write_owed()

    def note_seen(self, error: LedgerError) -> None:
        """Refuse from now on, because of what was seen elsewhere."""
        self._seen = self._seen or error

    def sync(self) -> None:
        """Make the mark survive a power loss; before a signed head leaves.

        Raises:
            StoreError: high-water-unusable.
        """
        with self._turn:
            self._opened().sync()

    def check_process(self) -> None:
        """Refuse to go on after a fork, whose threads and locks are not here.

        Raises:
            LedgerUseError: other-process.
        """
        if self._process != os.getpid():
            raise LedgerUseError("other-process", "the ledger was opened before this fork")

    def close(self) -> None:
        """Sync and close the file; a second call does nothing.

        Raises:
            StoreError: high-water-unusable.
        """
        if self._file is not None:
            file, self._file = self._file, None
            if self._process == os.getpid():
                file.close()
            else:  # its descriptor is shared with the parent, and so is its lock
                file.forget()

    def _write_owed(self) -> None:
        """Write the mark of the last commit; what could not be written is tried again."""
        if self._owed is not None:
            self._opened().raise_to(self._owed.leaf_count, self._owed.root)
            self._last, self._owed = self._owed, None

    def _opened(self) -> HighWater:
        if self._file is None:
            self._file = HighWater(self.high_water, self.log_id)
        return self._file


def stand_guard(
    folder: Path,
    store: Store,
    log_id: LogId,
    high_water: Path | str | None = None,
    sources: Sequence[str] = (),
) -> Guard:
    """Return the guard of a ledger after looking at what others hold.

    Args:
        folder: of the ledger.
        store: its database.
        log_id: its log.
        high_water: the high-water file; None for the one in guard.json.
        sources: where heads may be seen, beside those in guard.json.

    Raises:
        KeyFileError, StoreError: guard.json cannot be used.
        StoreContentError: store-corrupt.
    """
    settings = read_settings(folder)
    place = Path(high_water or settings.place(folder))
    guard = Guard(database=store.path, high_water=place, log_id=log_id)
    seen = look_elsewhere(store, tuple(dict.fromkeys((*settings.sources, *sources))))
    if seen.fault is not None:
        guard.note_seen(seen.fault)
    with store.read() as view:
        refusal = guard.refusal(view)
    refused = () if refusal is None else (f"nothing can be signed: {refusal.message}",)
    guard.notices = (*seen.notices, *refused)
    return guard


def compare_with_mark(view: View, mark: Mark, place: Path) -> None:
    """Refuse a database that the high-water file shows to be behind or another one.

    Raises:
        StoreContentError: store-behind, store-forked.
    """
    leaf_count = view.leaf_count()
    if leaf_count < mark.leaf_count:
        raise behind(leaf_count, mark.leaf_count, f"the high-water file {place}")
    root = read_root(view.nodes, mark.leaf_count)
    if root != mark.root:
        raise forked(mark.leaf_count, mark.root, root, f"the high-water file {place}")


def read_settings(folder: Path) -> GuardSettings:
    """Return where the newest state of the log in a folder is known from.

    Raises:
        KeyFileError: key-permissions; key-format, if guard.json is damaged.
        StoreError: store-unwritable.
    """
    path = folder / SETTINGS_NAME
    try:
        version, place, *sources = _entries(json.loads(read_private_file(path, _MAX_BYTES)))
    except KeyFileError as error:
        if error.code == "key-missing":
            return GuardSettings()
        raise
    except (ValueError, KeyError, TypeError, RecursionError):
        version, place, sources = 0, "", []
    if version != VERSION or not all(isinstance(text, str) for text in (place, *sources)):
        raise KeyFileError(
            "key-format",
            f"{path} is not a list of places to compare the log with",
            hint="write it anew: `nous-ledger high-water set`",
        )
    return GuardSettings(high_water=Path(place) if place else None, sources=tuple(sources))


def _entries(document: Any) -> tuple[Any, ...]:  # noqa: ANN401 - JSON
    return document["version"], document["high_water"] or "", *document["sources"]


def write_settings(folder: Path, settings: GuardSettings) -> None:
    """Write guard.json; durable when this returns.

    Raises:
        StoreError: store-unwritable, store-full.
    """
    place = settings.high_water
    document = {
        "version": VERSION,
        "high_water": None if place is None else str(place.absolute()),
        "sources": list(settings.sources),
    }
    replace_file(folder / SETTINGS_NAME, json.dumps(document, indent=1).encode("utf-8") + b"\n")


def _inode(path: Path) -> tuple[int, int]:
    with os_errors(path):
        status = os.stat(path)  # noqa: PTH116 - a few µs less in every commit
    return status.st_dev, status.st_ino


def _again(error: LedgerError) -> LedgerError:
    """Return an error that this caller can raise while others raise theirs."""
    return type(error)(error.code, error.message, hint=error.hint, **error.attrs)
