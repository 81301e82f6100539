"""The outbox: every transaction is written here before it is sent, and stays here.

    slots          one nonce of one account on one chain: what it is used for, what became of it
    transactions   every transaction that was ever signed for a slot, as it was sent

At most one transaction of a slot can ever be in a block, so nothing is sent twice by sending
it again, and a slot's transactions may replace each other. A lock beside the file lets one
process send at a time; any number may read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Self

from nous_ledger.anchor.errors import ChainError
from nous_ledger.anchor.fees import Fees
from nous_ledger.ledger.database import sqlite_errors
from nous_ledger.ledger.errors import StoreContentError, StoreError
from nous_ledger.ledger.files import PRIVATE_FILE, os_errors
from nous_ledger.protocol.hashing import keccak256

OUTBOX_NAME: Final = "anchor.db"
APPLICATION_ID: Final = 0x6E6C6F62
SCHEMA_VERSION: Final = 1
_BUSY_S: Final = 20.0

_SCHEMA: Final = """
CREATE TABLE slots (
    id INTEGER PRIMARY KEY, chain_id INTEGER NOT NULL, relayer BLOB NOT NULL,
    nonce INTEGER NOT NULL, purpose TEXT NOT NULL, contract BLOB NOT NULL,
    leaf_count INTEGER NOT NULL, root BLOB NOT NULL, state TEXT NOT NULL,
    outcome TEXT NOT NULL, transaction_hash BLOB, block_number INTEGER, block_hash BLOB,
    UNIQUE (chain_id, relayer, nonce)
) STRICT;
CREATE TABLE transactions (
    hash BLOB PRIMARY KEY, slot INTEGER NOT NULL REFERENCES slots, raw BLOB NOT NULL,
    max_fee TEXT NOT NULL, tip TEXT NOT NULL, base_count INTEGER NOT NULL,
    leaf_count INTEGER NOT NULL, root BLOB NOT NULL, signed_at INTEGER NOT NULL
) STRICT;
"""


class State(StrEnum):
    """How far a slot has come."""

    SENT = "sent"
    MINED = "mined"
    SAFE = "safe"
    FINAL = "final"


class Outcome(StrEnum):
    """What became of a slot that is final."""

    OPEN = ""
    DONE = "done"
    REVERTED = "reverted"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who sends where.

    Attributes:
        chain_id: the chain.
        relayer: address that pays, 20 bytes.
    """

    chain_id: int
    relayer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a transaction is in the chain.

    Attributes:
        transaction_hash: 32 bytes.
        block_number: height of its block.
        block_hash: of its block, 32 bytes.
        succeeded: False if the contract refused it.
    """

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    succeeded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signed transaction.

    Attributes:
        raw: as nodes take it.
        fees: what it pays per gas.
        base_count: leaves of the contract's head that it was made for.
        leaf_count: leaves of the head that it carries; 0 for none.
        root: of that head; zeros for none.
        signed_at: seconds.
    """

    raw: bytes
    fees: Fees
    base_count: int
    leaf_count: int
    root: bytes
    signed_at: int

    @property
    def hash(self) -> bytes:
        """What names it, 32 bytes."""
        return keccak256(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """One nonce and what it is used for.

    Attributes:
        id: number in the outbox.
        account: whose nonce.
        nonce: the nonce.
        purpose: anchor, register, rotate, ...
        contract: address that is called, 20 bytes.
        leaf_count: leaves of the newest head that was signed for it; 0 for none.
        root: of that head.
        state: how far it has come.
        outcome: what became of it.
        place: where its transaction is; None while in no block.
    """

    id: int
    account: Account
    nonce: int
    purpose: str
    contract: bytes
    leaf_count: int
    root: bytes
    state: State
    outcome: Outcome
    place: Place | None


_COLUMNS: Final = (
    "id, chain_id, relayer, nonce, purpose, contract, leaf_count, root, state, outcome,"
    " transaction_hash, block_number, block_hash"
)


class Outbox:
    """The outbox in one file."""

    def __init__(self, path: Path) -> None:
        """Open the file; it is made with mode 600 where none stands.

        Raises:
            StoreError: store-unwritable, store-full, store-io, store-locked, store-newer.
            StoreContentError: store-foreign, store-corrupt.
        """
        self.path = path
        with os_errors(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE))
        with sqlite_errors(path), contextlib.ExitStack() as on_failure:
            self._db = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            on_failure.callback(self._db.close)
            self._prepare()
            on_failure.pop_all()

    def _prepare(self) -> None:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._db.execute(f"PRAGMA {pragma}")
        with self._writing():
            found = self._db.execute("PRAGMA application_id").fetchone()[0]
            tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables and not found:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                return
        if found != APPLICATION_ID:
            raise StoreContentError("store-foreign", f"{self.path} is no outbox")
        if self._db.execute("PRAGMA user_version").fetchone()[0] > SCHEMA_VERSION:
            raise StoreError("store-newer", f"{self.path} has a newer schema")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Be the one process that sends.

        Raises:
            ChainError: outbox-busy.
            StoreError: store-unwritable.
        """
        lock = self.path.with_name(f"{self.path.name}-lock")
        with os_errors(lock):
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ChainError(
                    "outbox-busy", f"another process sends from {self.path}"
                ) from error
            yield
        finally:
            os.close(descriptor)  # which ends the lock

    def open_slot(
        self, account: Account, nonce: int, purpose: str, contract: bytes, signed: Signed
    ) -> Slot:
        """Write down a transaction for a nonce that was not used before; then it may be sent.

        Raises:
            StoreContentError: store-corrupt, if the nonce is in use.
            StoreError: it could not be written; then it must not be sent.
        """
        values = (account.chain_id, account.relayer, nonce, purpose, contract)
        with sqlite_errors(self.path), self._writing():
            cursor = self._db.execute(
                "INSERT INTO slots (chain_id, relayer, nonce, purpose, contract, leaf_count, root,"
                " state, outcome) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, signed.leaf_count, signed.root, State.SENT.value, Outcome.OPEN.value),
            )
            number = cursor.lastrowid or 0
            self._put(number, signed)
        return self.slot(number)

    def replace(self, slot: Slot, purpose: str, signed: Signed) -> Slot:
        """Write down one more transaction for the nonce of a slot; then it may be sent."""
        with sqlite_errors(self.path), self._writing():
            self._put(slot.id, signed)
            self._db.execute(
                "UPDATE slots SET purpose = ?, leaf_count = ?, root = ? WHERE id = ?",
                (purpose, signed.leaf_count, signed.root, slot.id),
            )
        return self.slot(slot.id)

    def record(
        self, slot: Slot, state: State, place: Place | None, outcome: Outcome = Outcome.OPEN
    ) -> Slot:
        """Write down how far a slot has come."""
        where = (
            (None, None, None)
            if place is None
            else (place.transaction_hash, place.block_number, place.block_hash)
        )
        with sqlite_errors(self.path), self._writing():
            self._db.execute(
                "UPDATE slots SET state = ?, outcome = ?, transaction_hash = ?, block_number = ?,"
                " block_hash = ? WHERE id = ?",
                (state.value, outcome.value, *where, slot.id),
            )
        return self.slot(slot.id)

    def slot(self, number: int) -> Slot:
        """Return one slot."""
        with sqlite_errors(self.path):
            row = self._db.execute(
                f"SELECT {_COLUMNS} FROM slots WHERE id = ?",  # noqa: S608 - our own names
                (number,),
            ).fetchone()
        return _slot(row)

    def slots(self, account: Account | None = None, *, unfinished: bool = False) -> list[Slot]:
        """Return slots by ascending nonce: all, those of one account, or those not final."""
        chosen, values = ["1"], []
        if account is not None:
            chosen.append("chain_id = ? AND relayer = ?")
            values += [account.chain_id, account.relayer]
        if unfinished:
            chosen.append("state <> ?")
            values.append(State.FINAL.value)
        where = " AND ".join(chosen)
        with sqlite_errors(self.path):
            rows = self._db.execute(
                f"SELECT {_COLUMNS} FROM slots WHERE {where}"  # noqa: S608 - our own names
                " ORDER BY chain_id, relayer, nonce",
                values,
            ).fetchall()
        return list(map(_slot, rows))

    def transactions(self, slot: Slot) -> list[Signed]:
        """Return what was signed for a slot, the newest first."""
        with sqlite_errors(self.path):
            rows = self._db.execute(
                "SELECT raw, max_fee, tip, base_count, leaf_count, root, signed_at"
                " FROM transactions WHERE slot = ? ORDER BY rowid DESC",
                (slot.id,),
            ).fetchall()
        return [
            Signed(
                raw=row[0],
                fees=Fees(most=int(row[1]), tip=int(row[2])),
                base_count=row[3],
                leaf_count=row[4],
                root=row[5],
                signed_at=row[6],
            )
            for row in rows
        ]

    def next_nonce(self, account: Account) -> int:
        """Return the nonce after those that a block has used up; 0 for none."""
        used = [
            slot.nonce
            for slot in self.slots(account)
            if slot.state is not State.SENT and slot.outcome is not Outcome.LOST
        ]
        return max(used, default=-1) + 1

    def _put(self, slot: int, signed: Signed) -> None:
        fees = (str(signed.fees.most), str(signed.fees.tip))
        self._db.execute(
            "INSERT INTO transactions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(signed.hash, slot, signed.raw, *fees, signed.base_count),
                *(signed.leaf_count, signed.root, signed.signed_at),
            ),
        )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _slot(row: tuple[Any, ...]) -> Slot:
    number, chain_id, relayer, nonce, purpose, contract, count, root, state, outcome, *where = row
    place = None
    if where[0] is not None:
        place = Place(
            transaction_hash=where[0],
            block_number=where[1],
            block_hash=where[2],
            succeeded=outcome != Outcome.REVERTED,
        )
    return Slot(
        id=number,
        account=Account(chain_id=chain_id, relayer=relayer),
        nonce=nonce,
        purpose=purpose,
        contract=contract,
        leaf_count=count,
        root=root,
        state=State(str(state)),
        outcome=Outcome(str(outcome)),
        place=place,
    )
