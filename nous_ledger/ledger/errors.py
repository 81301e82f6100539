"""Errors of a ledger on this machine: its folder, its keys, its database.

They hang below the protocol's tree, so that every caller maps them to exit codes
the same way:

    InputError
    └── LedgerUseError       the ledger was asked for something it cannot do
    UnavailableError
    ├── StoreError           the database could not be read or written
    └── KeyFileError         the keys could not be used
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
    (LedgerUseError, "last-epoch", "the log has used up its 63 epochs", "make a successor: `nous-ledger init --predecessor`"),
    (StoreError, "store-locked", "another process holds the database for too long", "end the process that holds it, then try again"),
    (StoreError, "store-full", "there is no room for the database to grow", "free some space, then try again; nothing was half-written"),
    (StoreError, "store-unwritable", "the folder or database cannot be opened or written", "check owner and permissions of the folder and its files"),
    (StoreError, "store-io", "reading from or writing to the disk failed", "check the disk; whether the last write took place is known after reopening"),
    (StoreError, "store-newer", "the database has a newer schema", "update nous-ledger"),
    (StoreError, "overloaded", "more work waits for the disk than the ledger accepts", "try again later, or with fewer calls at once"),
    (StoreError, "check-cut-short", "a process that shared the check ended before it was done", "run it again; the machine may be short of memory"),
    (StoreError, "publish-busy", "another process publishes to the folder", "wait until it is done"),
    (StoreError, "not-covered", "no signed head covers the record yet", "open the ledger with its keys, or wait for the next head"),
    (KeyFileError, "key-missing", "the key file is not there", "restore keys.json of this ledger from its backup"),
    (KeyFileError, "key-permissions", "others than its owner can reach a key", "take the permission from group and others"),
    (KeyFileError, "key-passphrase", "the passphrase is missing or wrong", "give the passphrase that was chosen at init, on a terminal or with --passphrase-file"),
    (KeyFileError, "key-format", "the file is not a key file, or is damaged", "restore the file from its backup"),
    (KeyFileError, "key-mismatch", "the keys are not those of this log", "use the key file that belongs to this ledger"),
    (KeyFileError, "key-in-use", "the key is in use by another log of this machine", "make the log with keys of its own"),
    (StoreContentError, "store-foreign", "the file is not a database of nous-ledger", "name the folder of a ledger"),
    (StoreContentError, "store-corrupt", "the database contradicts itself or its log", "keep a copy as it is, then restore the last backup"),
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
