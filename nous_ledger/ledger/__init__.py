"""Append-only persistence: one log in one folder.

ledger, reader   what callers use: heads, proofs, lists; appending: what they append
aio              the same for asyncio
committer        many callers, one durable transaction; replies: how they hear of it
work             what callers want, in the order in which they want it
sequencer        index, time, chain and signature of each record
staging          the receipts of one transaction; signing_pool: signed on two cores
signing_process  a process that signs beside this one; signing_child: its program
lifecycle        rotation, close and redaction, as a ledger offers them
rotation         from the next key to the one after it; keychange: its one transaction
keyfiles         which key file is in force; single: one record that is no receipt
bindings         wallets that are bound to subjects; statements: sums over a subject's receipts
reconciling      later evidence for receipts, and what of it counts
redaction        bodies that are erased, and the records that say so; retention: by age
heads            when a head is signed; headkeeper: that it is in time
witnesses        who cosigns heads; witness_wire, _http, _rounds, _quorum: how they are asked
cosigned         cosignatures in stored heads; which head is shown for them
store            what a ledger asks of its storage: the port
sqlite_store     a SQLite file behind it; sqlite_view: its statements
database         the file's schema; migrations: from the schemas before it
creation         a new log, all or nothing
keys, keyuse     the key file, and which keys are in use on this machine
signer           keys that lie in a hardware module or with a key service
guard, highwater no older copy of a database is extended; seen: heads that others hold
backup, restore  copies while others write, and the way back; acceptance: what is lost
identity         who the log is, compared with the keys at hand
proofs, listing  bundles and policies; lists of receipts and their sums
proving          many proofs under one head; usage: the provider's values as they are stored
files, errors    private files; what can go wrong
"""

from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.errors import (
    LEDGER_ERROR_CODES,
    KeyFileError,
    LedgerUseError,
    SignerError,
    StoreContentError,
    StoreError,
)
from nous_ledger.ledger.keys import LogKeys, generate_keys
from nous_ledger.ledger.ledger import Ledger, system_clock
from nous_ledger.ledger.listing import KindTotal, ReceiptRow, Totals, sum_receipts
from nous_ledger.ledger.model import Appended, Clock, Entry, Intent, KeysChanged, Redacted
from nous_ledger.ledger.reconciling import Reconciled
from nous_ledger.ledger.retention import Retained, RetentionKeeper
from nous_ledger.ledger.rotation import NextKey
from nous_ledger.ledger.signer import ExternalEd25519, ExternalSigner, Signers

__all__ = [
    "KEYS_NAME",
    "LEDGER_ERROR_CODES",
    "Appended",
    "Clock",
    "Entry",
    "ExternalEd25519",
    "ExternalSigner",
    "Intent",
    "KeyFileError",
    "KeysChanged",
    "KindTotal",
    "Ledger",
    "LedgerUseError",
    "LogKeys",
    "NextKey",
    "ReceiptRow",
    "Reconciled",
    "Redacted",
    "Retained",
    "RetentionKeeper",
    "SignerError",
    "Signers",
    "StoreContentError",
    "StoreError",
    "Totals",
    "generate_keys",
    "sum_receipts",
    "system_clock",
]
