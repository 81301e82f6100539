"""Going on from an older database, once its owner has been told what is lost.

What was logged after it is gone. If nobody else has seen any of that, the log can go
on from where the database ends. If a head over it left the house, it cannot: going on
would make a second history, which whoever has that head can prove. Then the right way
is a successor, which names the last good head of this log.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nous_ledger.ledger.creation import DATABASE_NAME
from nous_ledger.ledger.errors import LedgerUseError, StoreError
from nous_ledger.ledger.files import PRIVATE_FILE, check_private_folder, only_one, os_errors
from nous_ledger.ledger.guard import Guard, read_settings, write_settings
from nous_ledger.ledger.highwater import HighWater, Mark, replace_high_water
from nous_ledger.ledger.identity import read_identity
from nous_ledger.ledger.model import Clock
from nous_ledger.ledger.seen import Seen, look_elsewhere
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.ledger.store import Store, View
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.types import Hash32, LeafCount, LogId

ACCEPTED_NAME: Final = "accepted-losses.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class HighWaterState:
    """What the database has, and what is known of its log from elsewhere.

    Attributes:
        origin: name of the log.
        log_id: its identity.
        leaf_count: leaves of the database.
        root: root over them.
        place: the high-water file.
        mark: what it says; None if it is of no use.
        seen: what the configured sources said.
        refusal: why nothing can be signed; None if it can.
    """

    origin: str
    log_id: LogId
    leaf_count: LeafCount
    root: Hash32
    place: Path
    mark: Mark | None
    seen: Seen
    refusal: LedgerError | None

    @property
    def lost(self) -> int:
        """How many leaves were released, as far as is known, that the database lacks."""
        known = [head.checkpoint.leaf_count for head in self.seen.heads]
        if self.mark is not None:
            known.append(self.mark.leaf_count)
        return max(0, max(known, default=0) - self.leaf_count)


def read_state(folder: Path) -> HighWaterState:
    """Return how a ledger stands beside what is known of its log.

    Raises:
        LedgerUseError: not-a-ledger.
        KeyFileError, StoreError, StoreContentError: a file could not be used.
    """
    with contextlib.closing(SqliteStore(folder / DATABASE_NAME, read_only=True)) as store:
        seen = look_elsewhere(store, read_settings(folder).sources)
        with store.read() as view:
            return _state(folder, view, seen)


def accept_loss(folder: Path, clock: Clock, *, place: Path | None = None) -> HighWaterState:
    """Let a log go on from where its database ends; return how it stood before.

    Args:
        folder: the ledger's; nobody serves it.
        clock: the time in milliseconds.
        place: where the high-water file is to be from now on, if its disk is lost; None
            for where it was.

    Raises:
        LedgerUseError: nothing-to-accept; not-a-ledger.
        StoreContentError: store-behind, store-forked, if a source holds a head that
            the database contradicts: the loss left the house.
        StoreError: gateway-running; a file could not be used.
        KeyFileError: guard.json cannot be used.
    """
    check_private_folder(folder)
    with only_one(folder), contextlib.closing(_store(folder)) as store:
        settings = read_settings(folder)
        seen = look_elsewhere(store, settings.sources)
        if seen.fault is not None:
            raise seen.fault
        with store.write() as transaction:  # nobody appends meanwhile
            before = _state(folder, transaction, seen)
            if before.refusal is None:
                raise LedgerUseError(
                    "nothing-to-accept", "the database is not behind anything that is known"
                )
            _write_down(folder, before, clock())
            mark = Mark(leaf_count=before.leaf_count, root=before.root)
            replace_high_water(place or before.place, before.log_id, mark)
            if place is not None:
                write_settings(folder, replace(settings, high_water=place))
    return before


def move_high_water(folder: Path, place: Path) -> None:
    """Make a high-water file at another place, with the mark that the log has now.

    The old file stays: it is to be removed once guard.json names the new one.

    Raises:
        StoreContentError, StoreError: the mark does not allow to go on; see `Guard`.
        LedgerUseError: already-exists; not-a-ledger.
        StoreError: gateway-running; a file could not be used.
    """
    old = read_settings(folder).place(folder)
    with (
        only_one(folder),
        contextlib.closing(_store(folder)) as store,
        store.write() as transaction,
    ):
        log_id = read_identity(transaction).log_id
        guard = Guard(database=store.path, high_water=old, log_id=log_id)
        with contextlib.closing(guard):
            guard.check(transaction)
        count = transaction.leaf_count()
        root = read_root(transaction.nodes, count)
        HighWater.create(place, log_id, Mark(leaf_count=count, root=root))


def _store(folder: Path) -> Store:
    return SqliteStore(folder / DATABASE_NAME, read_only=False)


def _state(folder: Path, view: View, seen: Seen) -> HighWaterState:
    identity = read_identity(view)
    place = read_settings(folder).place(folder)
    guard = Guard(database=folder / DATABASE_NAME, high_water=place, log_id=identity.log_id)
    if seen.fault is not None:
        guard.note_seen(seen.fault)
    with contextlib.closing(guard):
        refusal = guard.refusal(view)
    leaf_count = view.leaf_count()
    return HighWaterState(
        origin=identity.origin,
        log_id=identity.log_id,
        leaf_count=leaf_count,
        root=read_root(view.nodes, leaf_count),
        place=place,
        mark=_mark(place, identity.log_id),
        seen=seen,
        refusal=refusal,
    )


def _mark(place: Path, log_id: LogId) -> Mark | None:
    try:
        with contextlib.closing(HighWater(place, log_id)) as file:
            return file.read()
    except StoreError:
        return None


def _write_down(folder: Path, state: HighWaterState, now: int) -> None:
    """Add a line to the list of accepted losses; durable when this returns."""
    mark = state.mark
    line = {
        "time": now,
        "log_id": state.log_id.hex(),
        "leaf_count": state.leaf_count,
        "root": state.root.hex(),
        "high_water": None if mark is None else mark.leaf_count,
        "high_water_root": None if mark is None else mark.root.hex(),
        "why": "" if state.refusal is None else state.refusal.code,
        "could_not_compare": list(state.seen.notices),
    }
    path = folder / ACCEPTED_NAME
    with os_errors(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(json.dumps(line).encode("utf-8") + b"\n")
            file.flush()
            os.fsync(file.fileno())
