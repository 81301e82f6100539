"""Append-only persistence: one log in one folder.

ledger, reader   what callers use: append, heads, proofs, lists
committer        many callers, one durable transaction
sequencer        index, time, chain and signature of each record
heads            when a head is signed
store, database  the SQLite file
creation         a new log, all or nothing
keys, keyuse     the key file, and which keys are in use on this machine
identity         who the log is, compared with the keys at hand
proofs, listing  bundles and policies; lists of receipts and their sums
files, errors    private files; what can go wrong
"""

from nous_ledger.ledger.errors import (
    LEDGER_ERROR_CODES,
    KeyFileError,
    LedgerUseError,
    StoreContentError,
    StoreError,
)
from nous_ledger.ledger.keys import LogKeys
from nous_ledger.ledger.ledger import Ledger, system_clock
from nous_ledger.ledger.listing import KindTotal, ReceiptRow, Totals, sum_receipts
from nous_ledger.ledger.model import Appended, Clock, Entry, Intent

__all__ = [
    "LEDGER_ERROR_CODES",
    "Appended",
    "Clock",
    "Entry",
    "Intent",
    "KeyFileError",
    "KindTotal",
    "Ledger",
    "LedgerUseError",
    "LogKeys",
    "ReceiptRow",
    "StoreContentError",
    "StoreError",
    "Totals",
    "sum_receipts",
    "system_clock",
]
