"""Which key file of a ledger is in force, also after a key change was cut short.

    1  write keys.json.next          durable; the log is still in the old epoch
    2  commit the key event          from here on keys.json.next is in force
    3  move it over keys.json

All three happen while no other process can write to the log, or are repeated by
the next one that opens it: the epoch of the log says which file is right.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.errors import KeyFileError
from nous_ledger.ledger.files import fsync_folder, os_errors
from nous_ledger.ledger.identity import Identity, Signer, read_identity
from nous_ledger.ledger.keys import (
    KeyOwner,
    LogKeys,
    read_log_keys,
    read_public_keys,
    write_log_keys,
)
from nous_ledger.ledger.signer import NO_SIGNERS, Signers
from nous_ledger.ledger.store import Store

PENDING_NAME: Final = f"{KEYS_NAME}.next"
_ATTEMPTS: Final = 5


def load_keys(
    store: Store, folder: Path, passphrase: str | None, signers: Signers = NO_SIGNERS
) -> tuple[Identity, Signer]:
    """Return the log and the keys in force, completing a key change that was cut short.

    Args:
        store: open for writing.
        folder: of the ledger.
        passphrase: needed if the key file is sealed.
        signers: of keys that lie outside of the file.

    Raises:
        KeyFileError: key-missing, key-permissions, key-passphrase, key-format,
            key-mismatch, signer-missing.
        StoreError, StoreContentError: the database or a file could not be used.
    """
    for _ in range(_ATTEMPTS):
        identity = complete_change(store, folder)
        try:
            keys = read_log_keys(folder / KEYS_NAME, passphrase, signers)
            return identity, Signer.of(keys, identity)
        except KeyFileError as error:
            with store.read() as view:
                changed = view.key_events()[-1] != identity.key_event
            if error.code not in ("key-mismatch", "key-missing") or not changed:
                raise
    raise KeyFileError("key-mismatch", "the keys of the log change all the time")


def complete_change(store: Store, folder: Path) -> Identity:
    """Make keys.json that of the epoch in force; return the log.

    Raises:
        KeyFileError: key-permissions, key-format, if what a cut short change left
            cannot be read.
        StoreError, StoreContentError: the database or a file could not be used.
    """
    if not _left_over(folder):
        with store.read() as view:
            return read_identity(view)
    with store.write() as transaction:  # waits for a change that is under way
        identity = read_identity(transaction)
        settle_files(folder, identity)
    return identity


def settle_files(folder: Path, identity: Identity) -> None:
    """Put keys.json.next in its place if its keys are in force, else remove it.

    Args:
        folder: of the ledger, to whose log nobody else can write meanwhile.
        identity: the log as it stands.

    Raises:
        KeyFileError: key-permissions, key-format.
        StoreError: store-unwritable.
    """
    pending = folder / PENDING_NAME
    with os_errors(folder):
        for path in _left_over(folder):
            in_force = path == pending and (
                read_public_keys(path) == (identity.secp256k1, identity.ed25519)
            )
            if in_force:
                path.replace(folder / KEYS_NAME)
            else:  # the key of an epoch that never began must not lie in this folder
                path.unlink()
        fsync_folder(folder)


def write_pending(folder: Path, keys: LogKeys, identity: Identity, passphrase: str | None) -> None:
    """Write keys.json.next, durable when this returns.

    Raises:
        InputError: the passphrase is empty.
        StoreError: store-unwritable, store-full.
    """
    owner = KeyOwner(origin=identity.origin, log_id=identity.log_id)
    write_log_keys(folder / PENDING_NAME, keys, owner, passphrase)


def _left_over(folder: Path) -> list[Path]:
    """Return keys.json.next and parts of it, if there are any."""
    with os_errors(folder):
        return [
            path
            for path in folder.iterdir()
            if path.name == PENDING_NAME or path.name.startswith(f".{PENDING_NAME}.")
        ]
