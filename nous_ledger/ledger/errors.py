"""Errors of a ledger on this machine: its folder, its keys, its database.

They hang below the protocol's tree, so that every caller maps them to exit codes
the same way:

    InputError
    └── LedgerUseError       the ledger was asked for something it cannot do
    UnavailableError
    ├── StoreError           the database could not be read or written
    ├── KeyFileError         the keys could not be used
    └── SignerError          a signer outside of this process did not sign
    LedgerError
    └── StoreContentError    the database was read, and what it says is wrong
"""

# ruff: noqa: E501 - the table has one line per code.

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.protocol.errors import ErrorInfo, InputError, LedgerError, UnavailableError


def _hint(code: str, hint: str) -> str:
    return hint or LEDGER_ERROR_CODES[code].hint


class LedgerUseError(InputError):
    """The ledger was asked for something that it cannot do; nothing was changed."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class StoreError(UnavailableError):
    """The database could not be read or written."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class KeyFileError(UnavailableError):
    """The keys of the log could not be used."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class SignerError(UnavailableError):
    """A signer outside of this process did not sign; nothing was logged."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


class StoreContentError(LedgerError):
    """The database was read, and what it says is wrong."""

    def __init__(self, code: str, message: str, *, hint: str = "", **attrs: object) -> None:
        """Make an error with one of the codes of this class."""
        super().__init__(code, message, hint=_hint(code, hint), **attrs)


_TABLE: Final[tuple[tuple[type[LedgerError], str, str, str], ...]] = (
    (LedgerUseError, "not-a-ledger", "the folder holds no ledger", "make one with `nous-ledger init`, or name another folder"),
    (LedgerUseError, "already-exists", "a file stands where a new one was to be written", "choose another place; existing keys and ledgers are never overwritten"),
    (LedgerUseError, "duplicate-receipt", "a receipt or intent of this id exists already", "every call has one receipt; make a new id for a new call"),
    (LedgerUseError, "closed", "the ledger was closed", "open it again"),
    (LedgerUseError, "other-process", "the ledger was opened by another process, of which this one is a fork", "open the ledger after the fork, once in each process"),
    (LedgerUseError, "read-only", "the ledger was opened for reading only", "open it with its keys"),
    (LedgerUseError, "log-closed", "the log is closed: no record can follow its close", "make a successor: `nous-ledger init --predecessor`"),
    (LedgerUseError, "not-erasable", "the body of this record is always public", "erase the bodies of receipts only"),
    (LedgerUseError, "already-erased", "the body was erased before", "leave the record out"),
    (LedgerUseError, "cannot-rotate", "the log committed to no next key", "close it, and make a successor: `nous-ledger init --predecessor`"),
    (LedgerUseError, "last-epoch", "the log has used up its 63 epochs, of which the last is kept for its close", "close it, and make a successor: `nous-ledger init --predecessor`"),
    (LedgerUseError, "nonce-used", "the wallet signed this nonce or a higher one for this log before", "sign again with a higher nonce"),
    (LedgerUseError, "not-bound", "an unbind is not signed by the wallet that is bound", "sign it with the wallet that was bound last"),
    (LedgerUseError, "already-reconciled", "later evidence whose text was checked says otherwise", "bring the opening of the call with its text, so that the text can be checked"),
    (LedgerUseError, "not-a-backup", "the folder holds no backup", "name the folder that `nous-ledger backup` made"),
    (LedgerUseError, "nothing-to-accept", "the database is not behind anything that is known of its log", "open the ledger as it is"),
    (StoreError, "store-locked", "another process holds the database for too long", "end the process that holds it, then try again"),
    (StoreError, "store-full", "there is no room for the database to grow", "free some space, then try again; nothing was half-written"),
    (StoreError, "store-unwritable", "the folder or database cannot be opened or written", "check owner and permissions of the folder and its files"),
    (StoreError, "store-io", "reading from or writing to the disk failed", "check the disk; whether the last write took place is known after reopening"),
    (StoreError, "store-newer", "the database has a newer schema", "update nous-ledger"),
    (StoreError, "store-older", "the database has an older schema, and may only be read here", "open it for writing once: `nous-ledger head --sign` brings it up to date"),
    (StoreError, "overloaded", "more work waits for the disk than the ledger accepts", "try again later, or with fewer calls at once"),
    (StoreError, "check-cut-short", "a process that shared the check ended before it was done", "run it again; the machine may be short of memory"),
    (StoreError, "publish-busy", "another process publishes to the folder", "wait until it is done"),
    (StoreError, "store-replaced", "another file was put in the place of the open database", "open the ledger again; never put files back under a running one"),
    (StoreError, "store-unconfirmed", "the ledger was restored, and nobody said that nothing was logged after that backup", "see `nous-ledger high-water accept --help`"),
    (StoreError, "high-water-unusable", "the high-water file is missing, damaged, of another log or cannot be written", "attach its disk or bring the file back; if it is lost for good, see `nous-ledger high-water accept --help`"),
    (StoreError, "gateway-running", "a gateway serves the ledger", "end it first"),
    (StoreError, "not-covered", "no signed head covers the record yet", "open the ledger with its keys, or wait for the next head"),
    (KeyFileError, "key-missing", "the key file is not there", "restore keys.json of this ledger from its backup"),
    (KeyFileError, "key-permissions", "others than its owner can reach a key", "take the permission from group and others"),
    (KeyFileError, "key-passphrase", "the passphrase is missing or wrong", "give the passphrase that was chosen at init, on a terminal or with --passphrase-file"),
    (KeyFileError, "key-format", "the file is not a key file, or is damaged", "restore the file from its backup"),
    (KeyFileError, "key-mismatch", "the keys are not those of this log", "use the key file that belongs to this ledger"),
    (KeyFileError, "key-in-use", "the key is in use by another log of this machine", "make the log with keys of its own"),
    (KeyFileError, "signer-missing", "a key of the log lies outside of the key file", "open the ledger from the program that has its signer"),
    (SignerError, "signer-failed", "the signer raised an error", "check that the module or service that holds the key can be reached"),
    (SignerError, "signer-timeout", "the signer took too long", "check the module or service that holds the key, or allow more time"),
    (SignerError, "signer-malformed", "the signer returned something that is no signature", "have it return DER, 64 bytes r and s, or 65 bytes with a recovery id"),
    (SignerError, "signer-mismatch", "the signer signed with another key or something else", "check key and algorithm: ECDSA over the 32 bytes as they are, not over their hash"),
    (StoreContentError, "store-foreign", "the file is not a database of nous-ledger", "name the folder of a ledger"),
    (StoreContentError, "store-corrupt", "the database contradicts itself or its log", "keep a copy as it is, then restore the last backup"),
    (StoreContentError, "store-behind", "the database is older than what the log has shown already", "bring the newest database back; if it is lost, see `nous-ledger high-water accept --help`"),
    (StoreContentError, "store-forked", "the database has another history than what the log has shown already", "keep a copy as it is, then restore the last backup of this log"),
    (StoreContentError, "backup-damaged", "the backup is incomplete, damaged or faulty", "use another backup"),
    (StoreContentError, "row-missing", "a row that belongs to the log is missing", "keep a copy as it is, then restore the last backup"),
    (StoreContentError, "row-leftover", "a row belongs to nothing in the log", "keep a copy as it is, then restore the last backup"),
    (StoreContentError, "row-mismatch", "a row says something else than the log", "keep a copy as it is, then restore the last backup"),
    (StoreContentError, "subject-chain", "a receipt is not at its place in its subject's chain", "keep a copy as it is, then restore the last backup"),
    (StoreContentError, "usage-hash", "stored usage values are not those that their receipt names", "keep a copy as it is, then restore the last backup"),
    (StoreContentError, "publish-conflict", "a published file has other content than the log", "keep the folder as evidence and find out who wrote it; publish to another folder"),
)  # fmt: skip

LEDGER_ERROR_CODES: Final[Mapping[str, ErrorInfo]] = MappingProxyType(
    {
        code: ErrorInfo(family=family.__name__, meaning=meaning, hint=hint)
        for family, code, meaning, hint in _TABLE
    }
)
"""Every code of this package: its class, what it means and what to do."""
