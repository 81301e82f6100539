"""Rotation and close as their owner asks for them: from key files to key files.

    1  read the next key and compare it with what the log committed to
    2  write the key after it          outside the folder, taken back after a failure
    3  log the key event               `change_keys`
    4  note the new keys as in use on this machine, and put them in their place

Spec:
    PROTOCOL.md KEY-1, KEY-2, KEY-19 to KEY-21.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from nous_ledger.ledger.creation import DATABASE_NAME, KEYS_NAME, check_next_key_place
from nous_ledger.ledger.database import check_database_file
from nous_ledger.ledger.errors import KeyFileError, StoreError
from nous_ledger.ledger.files import check_private_folder
from nous_ledger.ledger.guard import Guard, stand_guard
from nous_ledger.ledger.identity import Identity, Signer, read_identity
from nous_ledger.ledger.keychange import KeyChange, change_keys, check_change, reason_of
from nous_ledger.ledger.keyfiles import PENDING_NAME, complete_change
from nous_ledger.ledger.keys import (
    KeyOwner,
    is_sealed,
    read_next_key,
    write_next_key,
)
from nous_ledger.ledger.keyuse import KeyUse, claim_keys, default_path
from nous_ledger.ledger.model import KeysChanged
from nous_ledger.ledger.nextkey import NextKeyPair
from nous_ledger.ledger.signer import NO_SIGNERS, Signers
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.ledger.store import Store
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import ZERO_HASH, next_key_hash
from nous_ledger.protocol.keyevent import CLOSE, ROTATE
from nous_ledger.protocol.keyhistory import MAX_EPOCH
from nous_ledger.protocol.signer import DigestSigner

WARN_FROM_EPOCH: Final = 56
NextKey: TypeAlias = Path | str | bytes | DigestSigner
"""A next-key file, the private key itself (32 bytes), or its signer."""
NextKeyOut: TypeAlias = Path | str | bytes
"""A file for a new private key, or the public key (33 bytes) of one that lies elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A rotation, or a close, as it is asked for.

    Attributes:
        next_key: the key that the log committed to.
        next_key_out: where the private key after it goes, or the public key of one
            that lies elsewhere; None closes the log.
        reason: its name.
        suspect_from: first leaf that somebody else may have signed.
        new_ed25519: whether the Ed25519 key is replaced too.
        lost: whether keys.json is gone.
        passphrase: of keys.json.
        next_key_passphrase: of the next-key file; None = the same.
        signers: of the keys in force that lie outside of keys.json.
    """

    next_key: NextKey = field(repr=False)
    next_key_out: NextKeyOut | None
    reason: str
    suspect_from: int | None = None
    new_ed25519: bool = False
    lost: bool = False
    passphrase: str | None = field(repr=False)
    next_key_passphrase: str | None = field(default=None, repr=False)
    signers: Signers = NO_SIGNERS


def rotate_log(
    store: Store, folder: Path, rotation: Rotation, now: int, guard: Guard
) -> tuple[Identity, Signer, KeysChanged]:
    """Change the keys of a log; return the log, its keys, and what to tell.

    Raises:
        InputError: the reason, suspect_from or next_key_out do not fit.
        LedgerUseError: log-closed, cannot-rotate, last-epoch, already-exists.
        KeyFileError: key-mismatch, if the key is not the one committed to; and those of
            reading the files.
        BodyError: index-order, if suspect_from lies beyond the log.
        StoreError, StoreContentError: the database or a file could not be used.
    """
    reason = reason_of(rotation.reason, rotation.suspect_from)
    revealed, seal = _read_next(folder, rotation)
    following = NextKeyPair.of(rotation.next_key_out)
    change = KeyChange(
        kind=CLOSE if following is None else ROTATE,
        reason=reason,
        suspect_from=rotation.suspect_from,
        revealed=revealed,
        next_hash=ZERO_HASH if following is None else next_key_hash(following.public_key),
        new_ed25519=rotation.new_ed25519,
        lost=rotation.lost,
        passphrase=rotation.passphrase,
        signers=rotation.signers,
    )
    with store.read() as view:
        guard.check(view)
        before = read_identity(view)
    check_change(before, change)  # before anything is written
    with contextlib.ExitStack() as made:
        if following is not None and following.place is not None:
            check_next_key_place(following.place, folder)
            owner = KeyOwner(origin=before.origin, log_id=before.log_id)
            write_next_key(following.place, following.secret, owner, seal)
            made.enter_context(_removed_unless_committed(store, following.place, change))
        identity, signer = change_keys(store, folder, change, now, guard)
    notices = (
        *_note_use(folder, before, identity),
        *_put_in_place(store, folder),
        *_epoch_notices(identity),
    )
    changed = KeysChanged(
        index=identity.key_event,
        epoch=identity.epoch,
        secp256k1=identity.secp256k1,
        ed25519=identity.ed25519,
        notices=notices,
    )
    return identity, signer, changed


def recover_log(folder: Path, rotation: Rotation, now: int) -> KeysChanged:
    """Rotate a log whose key file is lost.

    Raises:
        LedgerError: as `rotate_log` and `Store`; already-exists, if keys.json is there.
    """
    check_database_file(folder / DATABASE_NAME)
    check_private_folder(folder)
    with contextlib.closing(SqliteStore(folder / DATABASE_NAME, read_only=False)) as store:
        with store.read() as view:
            log_id = read_identity(view).log_id
        with contextlib.closing(stand_guard(folder, store, log_id)) as guard:
            return rotate_log(store, folder, rotation, now, guard)[2]


def _read_next(folder: Path, rotation: Rotation) -> tuple[bytes | DigestSigner, str | None]:
    """Return the key to reveal, and what seals the one after it: as it was itself."""
    if not isinstance(rotation.next_key, Path | str):
        keys = folder / KEYS_NAME
        sealed = rotation.lost or is_sealed(keys)
        return rotation.next_key, rotation.passphrase if sealed else None
    path = Path(rotation.next_key)
    passphrase = rotation.next_key_passphrase or rotation.passphrase
    secret = read_next_key(path, passphrase)
    return secret, passphrase if is_sealed(path) else None


@contextlib.contextmanager
def _removed_unless_committed(store: Store, path: Path, change: KeyChange) -> Iterator[None]:
    """Take a next key back after a failure, unless the log committed to it after all."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(LedgerError), store.read() as view:
            if read_identity(view).next_hash != change.next_hash:
                path.unlink(missing_ok=True)
        raise


def _note_use(folder: Path, before: Identity, after: Identity) -> Iterator[str]:
    """Note the new keys as in use; a rotation does not fail because that cannot be done."""
    use = KeyUse(log_id=after.log_id.hex(), origin=after.origin, folder=str(folder.resolve()))
    new = [after.secp256k1]
    if after.ed25519 != before.ed25519:
        new.append(after.ed25519)
    try:
        claim_keys(default_path(os.environ), new, use, again=True)
    except (KeyFileError, StoreError) as error:
        yield f"the new keys were not noted as in use on this machine: {error.message}"


def _put_in_place(store: Store, folder: Path) -> Iterator[str]:
    try:
        complete_change(store, folder)
    except LedgerError as error:
        yield (
            f"the keys are changed, but {PENDING_NAME} could not be put in the place of"
            f" {KEYS_NAME}: {error.message}; opening the ledger will try it again"
        )


def _epoch_notices(identity: Identity) -> Iterator[str]:
    if identity.epoch < WARN_FROM_EPOCH or identity.closed:
        return
    left = MAX_EPOCH - identity.epoch
    if left == 1:
        yield "the log cannot rotate any more: close it with its next key, and make a successor"
        return
    yield (
        f"epoch {identity.epoch} of {MAX_EPOCH}: {left} key events left, the last of them for the"
        " close; close the log in time, and make a successor"
    )
