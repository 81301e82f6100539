"""Who a log is, read from its key events and compared with the keys at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from nous_ledger.ledger.errors import KeyFileError, StoreContentError
from nous_ledger.ledger.keys import LogKeys
from nous_ledger.ledger.store import View
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.keyhistory import KeyHistory, verify_key_history
from nous_ledger.protocol.signer import DigestSigner, MessageSigner
from nous_ledger.protocol.types import Epoch, LeafIndex, LogId


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A log and its keys in force.

    Attributes:
        log_id: 32 bytes.
        origin: name of the log.
        max_merge_delay_s: seconds within which a head covers every record.
        heartbeat_s: most seconds between two heads.
        epoch: the key epoch in force.
        key_event: the newest key event.
        secp256k1: public key of the epoch, 33 bytes.
        ed25519: public key of the epoch, 32 bytes.
        next_hash: commitment to the key of the next epoch; zeros = none.
        closed: whether the log has ended.
    """

    log_id: LogId
    origin: str
    max_merge_delay_s: int
    heartbeat_s: int
    epoch: Epoch
    key_event: LeafIndex
    secp256k1: bytes
    ed25519: bytes
    next_hash: bytes
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """The private keys of the epoch in force, ready for use.

    Attributes:
        secp256k1: signs records and heads.
        ed25519: signs heads.
        log_secret: keys the pseudonyms, 32 bytes.
    """

    secp256k1: DigestSigner
    ed25519: MessageSigner
    log_secret: bytes = field(repr=False)

    @classmethod
    def of(cls, keys: LogKeys, identity: Identity) -> Self:
        """Return the signer of a log.

        Raises:
            KeyFileError: key-mismatch, if the keys are not those in force.
        """
        signer = cls(
            secp256k1=keys.signing_key(),
            ed25519=keys.ed25519_key(),
            log_secret=keys.log_secret,
        )
        public = (signer.secp256k1.public_key, signer.ed25519.public_key)
        if public != (identity.secp256k1, identity.ed25519):
            raise KeyFileError(
                "key-mismatch",
                f"the log {identity.origin} is signed by {identity.secp256k1.hex()},"
                f" the keys at hand are {public[0].hex()}",
            )
        return signer


def read_history(view: View) -> KeyHistory:
    """Return the key history of the log in a database, verified.

    Raises:
        StoreContentError: store-corrupt, if the key events are not the key history of
            the log that the database names.
    """
    log_id, origin = view.log()
    try:
        return verify_key_history(
            [(view.record(leaf), view.body(leaf)) for leaf in view.key_events()],
            leaf_count=view.leaf_count(),
            origin=origin,
            pinned=frozenset({LogId(log_id)}),
        )
    except LedgerError as error:
        raise StoreContentError(
            "store-corrupt", f"the key events are damaged: {error.message}", inner=error.code
        ) from error


def read_identity(view: View) -> Identity:
    """Return who the log in a database is, after verifying its key events.

    Raises:
        StoreContentError: store-corrupt, as `read_history`.
    """
    history = read_history(view)
    keys = history.epochs[history.epoch]
    return Identity(
        log_id=history.log_id,
        origin=history.genesis.origin or "",
        max_merge_delay_s=history.genesis.max_merge_delay_s or 0,
        heartbeat_s=history.genesis.heartbeat_s or 0,
        epoch=history.epoch,
        key_event=history.records[-1].index,
        secp256k1=keys.secp256k1,
        ed25519=keys.ed25519,
        next_hash=history.next_hash,
        closed=history.closed_at is not None,
    )
