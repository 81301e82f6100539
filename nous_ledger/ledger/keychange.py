"""Rotation, revocation and close: the next key takes over, in one transaction.

The key that is revealed signs. The key it replaces has no say, so a thief of the
current key cannot rotate, and its owner can even where it was lost.

Spec:
    PROTOCOL.md KEY-14, KEY-17 to KEY-24, BODY-11 to BODY-13.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.errors import KeyFileError, LedgerUseError
from nous_ledger.ledger.guard import Guard
from nous_ledger.ledger.heads import renew_head
from nous_ledger.ledger.identity import Identity, Signer, read_identity
from nous_ledger.ledger.keyfiles import complete_change, settle_files, write_pending
from nous_ledger.ledger.keys import LogKeys, digest_signer, is_sealed, read_log_keys
from nous_ledger.ledger.model import Draft
from nous_ledger.ledger.sequencer import Sequencer
from nous_ledger.ledger.signer import NO_SIGNERS, Signers
from nous_ledger.ledger.single import append_entry
from nous_ledger.ledger.store import Store, WriteTransaction
from nous_ledger.ledger.work import AppendWork
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.eip712 import rotation_digest
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.hashing import ZERO_HASH, next_key_hash
from nous_ledger.protocol.keyevent import CLOSE, ROTATE, KeyEvent
from nous_ledger.protocol.keyhistory import MAX_EPOCH
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.registries import KEY_REASON
from nous_ledger.protocol.signer import DigestSigner
from nous_ledger.protocol.types import Epoch

_SUSPECT: Final = (KEY_REASON["suspected"], KEY_REASON["compromised"])


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyChange:
    """A key event under the next key, as it is asked for.

    Attributes:
        kind: ROTATE or CLOSE.
        reason: number of the reason.
        suspect_from: first index whose signature is suspect; with reasons 1 and 2.
        revealed: the private key that was committed to, 32 bytes; or its signer.
        next_hash: commitment to the key after it; zeros for a close.
        new_ed25519: whether the Ed25519 key is replaced too.
        lost: whether keys.json is gone, so that nothing of it can be kept.
        passphrase: of keys.json; with `lost` it seals the new one.
        signers: of the keys in force that lie outside of keys.json.
    """

    kind: int
    reason: int
    suspect_from: int | None
    revealed: bytes | DigestSigner = field(repr=False)
    next_hash: bytes
    new_ed25519: bool = False
    lost: bool = False
    passphrase: str | None = field(repr=False)
    signers: Signers = NO_SIGNERS


def reason_of(name: str, suspect_from: int | None) -> int:
    """Return the number of a reason.

    Raises:
        InputError: there is no such reason, or suspect_from does not go with it.
    """
    reason = KEY_REASON[name]
    if (suspect_from is None) == (reason in _SUSPECT):
        raise InputError(
            "input",
            f"a key that is {name} {'needs' if reason in _SUSPECT else 'has no'} suspect_from",
            hint="suspect_from is the first index that somebody else may have signed; it goes"
            " with the reasons suspected and compromised, and with no other",
        )
    return reason


def check_change(identity: Identity, change: KeyChange) -> None:
    """Refuse a change that the log cannot make, or a key that it did not commit to.

    Raises:
        LedgerUseError: log-closed, cannot-rotate, last-epoch.
        KeyFileError: key-mismatch.
    """
    check_open(identity)
    if identity.next_hash == ZERO_HASH:
        raise LedgerUseError(
            "cannot-rotate",
            f"the log {identity.origin} has no next key",
            hint="close it without one" if change.kind == CLOSE else "",
        )
    revealed = digest_signer(change.revealed).public_key
    if next_key_hash(revealed) != identity.next_hash:
        raise KeyFileError(
            "key-mismatch",
            f"{revealed.hex()} is not the next key that the log {identity.origin} committed to"
            f" for epoch {identity.epoch + 1}",
            hint="give the file that the last rotation wrote, or `init` if there was none;"
            " `nous-ledger key show` prints the commitment",
        )
    # A close takes an epoch too, so the last one is kept for it.
    if identity.epoch >= (MAX_EPOCH if change.kind == CLOSE else MAX_EPOCH - 1):
        raise LedgerUseError(
            "last-epoch",
            f"the log is in epoch {identity.epoch} of {MAX_EPOCH}, and the last is kept for its"
            " close",
        )


def check_open(identity: Identity) -> None:
    """Refuse a log that has ended.

    Raises:
        LedgerUseError: log-closed.
    """
    if identity.closed:
        raise LedgerUseError("log-closed", f"the log {identity.origin} was closed")


def change_keys(
    store: Store, folder: Path, change: KeyChange, now: int, guard: Guard
) -> tuple[Identity, Signer]:
    """Log a rotation or counted close; return the log and its keys after it.

    Every record of the old epoch stands before it: the transaction holds the lock that
    every process writes under, and each compares the epoch once it has that lock.
    keys.json.next is written and not yet moved to its place: `complete_change` does.

    Raises:
        LedgerUseError: as `check_change`; already-exists, if nothing is lost.
        KeyFileError: as `read_log_keys`; key-mismatch.
        BodyError: index-order.
        StoreError, StoreContentError: the database or a file could not be used.
    """
    with _tidy_after_failure(store, folder):
        with store.write() as transaction:
            guard.check(transaction)
            before = read_identity(transaction)
            settle_files(folder, before)
            check_change(before, change)
            old = _keys_before(folder, before, change)
            if change.kind == CLOSE and old is not None:
                log_open_calls(transaction, before, Signer.of(old, before), now)
            keys, passphrase = _keys_after(folder, old, change)
            write_pending(folder, keys, before, passphrase)
            _, tip = append_entry(
                transaction,
                _key_event(before, change, keys),
                key=keys.signing_key(),
                log_id=before.log_id,
                epoch=Epoch(before.epoch + 1),
                now=now,
            )
            identity = read_identity(transaction)  # verified as anyone will, before it counts
            signer = Signer.of(keys, identity)
            renew_head(transaction, tip, identity, signer, now)
        guard.raise_to(tip)
        guard.sync()
    return identity, signer


def close_by_current_key(
    transaction: WriteTransaction,
    before: Identity,
    signer: Signer,
    event: KeyEvent,
    now: int,
) -> Identity:
    """Close a log that committed to no next key: its key signs, its epoch stays.

    Args:
        transaction: what it is written with.
        before: the log.
        signer: its keys in force.
        event: the close.
        now: milliseconds.

    Raises:
        StoreContentError: store-corrupt.
    """
    log_open_calls(transaction, before, signer, now)
    _, tip = append_entry(
        transaction, event, key=signer.secp256k1, log_id=before.log_id, epoch=before.epoch, now=now
    )
    identity = read_identity(transaction)
    renew_head(transaction, tip, identity, signer, now)
    return identity


def log_open_calls(
    transaction: WriteTransaction, identity: Identity, signer: Signer, now: int
) -> None:
    """Give every call without a receipt the one that its intent holds: no other can follow."""
    drafts = tuple(
        Draft.of(receipt, opening_hash)
        for draft, opening_hash in transaction.intents()
        if isinstance(receipt := decode_body(TYPE_RECEIPT, draft), Receipt)
    )
    if drafts:
        work = AppendWork(drafts=drafts)
        (outcome,) = Sequencer(identity, signer, lambda: now).run(transaction, [work])
        if isinstance(outcome, LedgerError):
            raise outcome


def _key_event(before: Identity, change: KeyChange, keys: LogKeys) -> KeyEvent:
    key = keys.signing_key()
    digest = rotation_digest(before.log_id, Epoch(before.epoch + 1), change.next_hash)
    return KeyEvent(
        kind=change.kind,
        secp256k1=key.public_key,
        ed25519=keys.ed25519_key().public_key,
        next_hash=change.next_hash if change.kind == ROTATE else None,
        reason=change.reason,
        suspect_from=change.suspect_from,
        rotation_sig=key.sign(digest),
    )


def _keys_before(folder: Path, before: Identity, change: KeyChange) -> LogKeys | None:
    """Return the keys of the old epoch; None if they are lost."""
    path = folder / KEYS_NAME
    if not change.lost:
        keys = read_log_keys(path, change.passphrase, change.signers)
        Signer.of(keys, before)
        return keys
    if path.exists():
        raise LedgerUseError(
            "already-exists",
            f"{path} exists: the keys are not lost",
            hint="if it cannot be opened any more, move it away first",
        )
    return None


def _keys_after(folder: Path, old: LogKeys | None, change: KeyChange) -> tuple[LogKeys, str | None]:
    """Return the keys of the new epoch and what seals them: as keys.json was."""
    fresh = secrets.token_bytes(32)
    if old is None:
        keys = LogKeys(secp256k1=change.revealed, ed25519=fresh, log_secret=secrets.token_bytes(32))
        return keys, change.passphrase
    ed25519 = fresh if change.new_ed25519 else old.ed25519
    keys = replace(old, secp256k1=change.revealed, ed25519=ed25519)
    return keys, change.passphrase if is_sealed(folder / KEYS_NAME) else None


@contextlib.contextmanager
def _tidy_after_failure(store: Store, folder: Path) -> Iterator[None]:
    """Leave no key of an epoch that did not begin; if it did after all, its keys stay."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(LedgerError):  # else whoever opens the ledger next does it
            complete_change(store, folder)
        raise
