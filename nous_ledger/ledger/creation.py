"""Making a new log: its keys, its folder, its genesis.

    1  claim the keys on this machine       taken back if a later step fails
    2  write the next key                   never overwrites, outside the folder
    3  write keys.json                      never overwrites
    4  write the database beside its place  genesis and first head in it
    5  write the high-water file            never overwrites
    6  move the database to its place       only now there is a ledger

Spec:
    PROTOCOL.md KEY-1, KEY-2, sections "Key event" and "Log id".
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nous_ledger.ledger.database import create_database
from nous_ledger.ledger.errors import KeyFileError, LedgerUseError, StoreError
from nous_ledger.ledger.files import fsync_folder, make_private_folder, os_errors
from nous_ledger.ledger.growing import grow
from nous_ledger.ledger.guard import SETTINGS_NAME, GuardSettings, write_settings
from nous_ledger.ledger.heads import renew_head
from nous_ledger.ledger.highwater import HIGH_WATER_NAME, HighWater, Mark
from nous_ledger.ledger.identity import Signer, read_identity
from nous_ledger.ledger.keys import (
    KeyOwner,
    LogKeys,
    write_log_keys,
    write_next_key,
)
from nous_ledger.ledger.keyuse import KeyUse, claim_keys, default_path, release_keys
from nous_ledger.ledger.model import NewLeaf, Tip
from nous_ledger.ledger.nextkey import NextKeyPair
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.ledger.store import Store
from nous_ledger.protocol.bodies import encode_body
from nous_ledger.protocol.checkpoint import is_origin
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.hashing import ZERO_HASH, compute_log_id, next_key_hash, sha256
from nous_ledger.protocol.keyevent import GENESIS, KeyEvent, Predecessor
from nous_ledger.protocol.mmr import root_from_peaks
from nous_ledger.protocol.record import TYPE_KEY, leaf_hash, sign_record
from nous_ledger.protocol.types import MAX_UINT, Epoch, LeafIndex, LogId, UnixMillis

DATABASE_NAME: Final = "ledger.db"
KEYS_NAME: Final = "keys.json"
_UNFINISHED: Final = "ledger.db.unfinished"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLog:
    """What a new log is to be.

    Attributes:
        folder: where its ledger will lie.
        origin: its name; None for a random one.
        keys: its secrets.
        fresh: whether the keys were made for it.
        next_key_out: where the next private key goes, or the public key of one that
            lies elsewhere; None for a log that cannot rotate.
        passphrase: seals both key files; None leaves them plain.
        max_merge_delay_s: seconds within which a head covers every record.
        heartbeat_s: most seconds between two heads.
        now: milliseconds.
        predecessor: the log that it continues.
        high_water: place of the high-water file; None for the folder.
    """

    folder: Path
    origin: str | None
    keys: LogKeys
    fresh: bool
    next_key_out: Path | str | bytes | None
    passphrase: str | None
    max_merge_delay_s: int
    heartbeat_s: int
    now: int
    predecessor: Predecessor | None = None
    high_water: Path | str | None = None


def create_log(new: NewLog) -> tuple[str, ...]:
    """Make a log and return what its owner should be told.

    Raises:
        InputError: an argument is out of range, or the next key would lie in the folder.
        LedgerUseError: already-exists.
        KeyFileError: key-in-use, key-permissions.
        StoreError: the files could not be written.
    """
    _check_request(new)
    origin = new.origin or f"nous.invalid/{secrets.token_hex(16)}"
    next_key = NextKeyPair.of(new.next_key_out)
    genesis, log_id = _genesis(new, origin, next_key)
    owner = KeyOwner(origin=origin, log_id=log_id)
    make_private_folder(new.folder)
    _check_free(new.folder)
    with contextlib.ExitStack() as made:
        notices = made.enter_context(_claimed(new, owner))
        if next_key is not None and next_key.place is not None:
            write_next_key(next_key.place, next_key.secret, owner, new.passphrase)
            made.enter_context(_removed_on_failure(next_key.place))
        keys_path = new.folder / KEYS_NAME
        write_log_keys(keys_path, new.keys, owner, new.passphrase)
        made.enter_context(_removed_on_failure(keys_path))
        place = Path(new.high_water or new.folder / HIGH_WATER_NAME)
        if new.high_water is not None:
            write_settings(new.folder, GuardSettings(high_water=place))
            made.enter_context(_removed_on_failure(new.folder / SETTINGS_NAME))
        with _database(new, owner, genesis) as mark:
            HighWater.create(place, owner.log_id, mark)
            made.enter_context(_removed_on_failure(place))
    return notices


def _check_request(new: NewLog) -> None:
    if new.origin is not None and not is_origin(new.origin):
        raise InputError(
            "input",
            f"{new.origin!r} cannot be the origin of a log",
            hint="1..255 of a-z 0-9 . _ ~ / -, a letter or digit at both ends",
        )
    for name in ("max_merge_delay_s", "heartbeat_s"):
        if not 1 <= getattr(new, name) <= MAX_UINT // 1000:
            raise InputError("input", f"{name} is a number of seconds, at least 1")
    if isinstance(new.next_key_out, Path | str):
        check_next_key_place(Path(new.next_key_out), new.folder)


def check_next_key_place(place: Path, folder: Path) -> None:
    """Refuse a place for the next key where something stands, or within the ledger.

    Raises:
        InputError: it lies in the ledger folder.
        LedgerUseError: already-exists.
        StoreError: store-unwritable, if its folder may not be looked into.
    """
    if place.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            "input",
            f"the next key must lie outside the ledger folder, not at {place}",
            hint="who takes the folder must not get the next key with it",
        )
    with os_errors(place):
        taken = place.exists()
    if taken:
        if place.is_dir():
            raise InputError(
                "input", f"{place} is a folder", hint="name a new file in it, such as next.key"
            )
        raise LedgerUseError("already-exists", f"{place} exists already")


def _check_free(folder: Path) -> None:
    for name in (DATABASE_NAME, KEYS_NAME, HIGH_WATER_NAME, SETTINGS_NAME):
        if (folder / name).exists():
            raise LedgerUseError(
                "already-exists",
                f"{folder / name} exists already",
                hint="open the ledger that is there, restore it from its backup if it is"
                " incomplete, or choose another folder",
            )


def _genesis(new: NewLog, origin: str, next_key: NextKeyPair | None) -> tuple[KeyEvent, LogId]:
    next_hash = ZERO_HASH if next_key is None else next_key_hash(next_key.public_key)
    secp256k1, ed25519 = _public_keys(new.keys)
    genesis = KeyEvent(
        kind=GENESIS,
        origin=origin,
        secp256k1=secp256k1,
        ed25519=ed25519,
        next_hash=next_hash,
        max_merge_delay_s=new.max_merge_delay_s,
        heartbeat_s=new.heartbeat_s,
        predecessor=new.predecessor,
    )
    return genesis, compute_log_id(origin, secp256k1, ed25519, next_hash)


def _public_keys(keys: LogKeys) -> tuple[bytes, bytes]:
    return keys.signing_key().public_key, keys.ed25519_key().public_key


@contextlib.contextmanager
def _claimed(new: NewLog, owner: KeyOwner) -> Iterator[tuple[str, ...]]:
    """Hold the claim on the keys; take it back if the log could not be made."""
    public = _public_keys(new.keys)
    use = KeyUse(log_id=owner.log_id.hex(), origin=owner.origin, folder=str(new.folder.resolve()))
    try:
        path = default_path(os.environ)
        claim_keys(path, public, use)
    except (KeyFileError, StoreError) as error:
        # Keys made a moment ago cannot be in use; others may not pass unchecked.
        if not new.fresh or error.code == "key-in-use":
            raise
        yield (f"these keys were not noted as in use on this machine: {error.message}",)
        return
    try:
        yield ()
    except BaseException:
        release_keys(path, public, use)
        raise


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _database(new: NewLog, owner: KeyOwner, genesis: KeyEvent) -> Iterator[Mark]:
    """Write the database, and put it in its place if all goes well until then."""
    unfinished = new.folder / _UNFINISHED
    _remove_database(unfinished)  # left by an attempt that was cut short
    try:
        create_database(unfinished, owner.log_id, owner.origin)
        with contextlib.closing(SqliteStore(unfinished, read_only=False)) as store:
            tip = _write_genesis(store, new, owner, genesis)
        yield Mark(leaf_count=tip.leaf_count, root=root_from_peaks(tip.leaf_count, tip.peaks))
        _put_in_place(unfinished, new.folder / DATABASE_NAME)
    except BaseException:
        _remove_database(unfinished)
        raise


def _write_genesis(store: Store, new: NewLog, owner: KeyOwner, genesis: KeyEvent) -> Tip:
    body = encode_body(genesis)
    logged_at = UnixMillis(new.now)
    record = sign_record(
        new.keys.signing_key(),
        owner.log_id,
        type=TYPE_KEY,
        epoch=Epoch(0),
        index=LeafIndex(0),
        logged_at=logged_at,
        body_hash=sha256(body),
    )
    with store.write() as transaction:
        nodes, tip = grow(transaction.tip(), logged_at, [leaf_hash(record)])
        leaf = NewLeaf(index=LeafIndex(0), type=TYPE_KEY, record=record, body=body)
        transaction.add_leaves([leaf])
        transaction.add_nodes(0, nodes)
        identity = read_identity(transaction)
        renew_head(transaction, tip, identity, Signer.of(new.keys, identity), new.now)
    return tip


def _put_in_place(unfinished: Path, place: Path) -> None:
    # Closing the last connection moves everything into the file itself, unless that fails.
    if unfinished.with_name(f"{unfinished.name}-wal").exists():
        raise StoreError("store-io", f"{unfinished} could not be written to its end")
    try:
        with os_errors(unfinished):
            unfinished.rename(place)
            fsync_folder(place.parent)
    except BaseException:
        # It may have been moved all the same; its keys are about to be removed.
        if not unfinished.exists():
            _remove_database(place)
        raise
    with contextlib.suppress(StoreError):
        _remove_database(unfinished)  # SQLite does not say if it could not remove its own files


def _remove_database(path: Path) -> None:
    with os_errors(path):
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            path.with_name(name).unlink(missing_ok=True)
