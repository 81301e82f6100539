"""Named points at which a ledger's process is killed.

A point is a system call on some file, or an SQL statement; both outlast changes of
the code between them. Each belongs to one of the `lives`, and is counted from the
moment at which that life begins what it is about.
"""

from dataclasses import dataclass, replace
from typing import Final

from tests.crash.faults import (
    KILL_AFTER,
    KILL_BEFORE,
    KILL_HALF,
    LINK,
    RENAME,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
    CallFault,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A moment in a life.

    Attributes:
        name: says which.
        life: whose.
        sql: part of the statement; empty for a system call. COMMIT is that of a
            transaction that writes.
        number: which of these statements, from 1.
        after: whether the statement is done.
        call: the system call.
        transaction: writing transaction from which on system calls are counted;
            0 for at once.
    """

    name: str
    life: str
    sql: str = ""
    number: int = 1
    after: bool = False
    call: CallFault | None = None
    transaction: int = 0


def _sql(life: str, name: str, sql: str, number: int = 1) -> tuple[Point, Point]:
    before = Point(name=f"{life}: before {name}", life=life, sql=sql, number=number)
    return before, replace(before, name=f"{life}: after {name}", after=True)


def _call(
    life: str, name: str, kinds: int, pattern: str, *, first: int = 1, transaction: int = 0
) -> tuple[Point, ...]:
    how = {"before": KILL_BEFORE, "after": KILL_AFTER}
    if kinds == WRITE:
        how["halfway through"] = KILL_HALF
    return tuple(
        Point(
            name=f"{life}: {when} {name}",
            life=life,
            call=CallFault(kinds=kinds, pattern=pattern, first=first, action=action),
            transaction=transaction,
        )
        for when, action in how.items()
    )


# Writing transactions of the life "call".
INTENT, RECEIPT, BATCH, HEAD = 1, 2, 5, 6
POINTS: Final[tuple[Point, ...]] = (
    # A call: its intent, its receipt; a batch; a head; closing, which moves the WAL.
    *_sql("call", "the intent is written", "INSERT INTO intents"),
    *_sql("call", "the commit of the intent", "COMMIT", INTENT),
    *_sql("call", "the record is written", "INSERT INTO records"),
    *_sql("call", "the body is written", "INSERT INTO bodies"),
    *_sql("call", "the tree grows", "INSERT INTO nodes"),
    *_sql("call", "the end of the chain moves", "INSERT INTO subjects"),
    *_sql("call", "the receipt is indexed", "INSERT INTO receipts"),
    *_sql("call", "the intent is removed", "DELETE FROM intents"),
    *_sql("call", "the commit of the receipt", "COMMIT", RECEIPT),
    *_sql("call", "the commit of a batch", "COMMIT", BATCH),
    *_sql("call", "the head is stored", "INSERT INTO heads"),
    *_sql("call", "the commit of the head", "COMMIT", HEAD),
    *_call("call", "a write to the WAL", WRITE, "*.db-wal", first=3, transaction=RECEIPT),
    *_call("call", "the sync of the WAL", SYNC, "*.db-wal", transaction=RECEIPT),
    *_call("call", "the high-water mark", WRITE, "*/high-water", transaction=RECEIPT),
    *_call("call", "the sync of the high-water mark", SYNC, "*/high-water", transaction=HEAD),
    *_call("call", "a page moves from the WAL", WRITE, "*/ledger.db", first=2),
    *_call("call", "the sync of the database", SYNC, "*/ledger.db"),
    *_call("call", "the removal of the WAL", UNLINK, "*.db-wal"),
    # A new log.
    *_call("create", "the keys are claimed", RENAME, "*/nous-ledger/keys.json"),
    *_call("create", "the next key's sync", SYNC, "*/.next-0.key.*"),
    *_call("create", "the next key is in place", LINK, "*/next-0.key"),
    *_call("create", "the keys are in place", LINK, "*/ledger/keys.json"),
    *_sql("create", "the schema is committed", "COMMIT", 1),
    *_sql("create", "the commit of the genesis", "COMMIT", 2),
    *_call("create", "the mark is in place", LINK, "*/ledger/high-water"),
    *_call("create", "the database is in place", RENAME, "*/ledger/ledger.db"),
    # A start after a crash, and one with a newer program.
    *_sql("recover", "the first receipt is committed", "COMMIT", 1),
    *_sql("recover", "the second receipt is committed", "COMMIT", 2),
    *_sql("migrate", "the schema changes", "CREATE TABLE notes"),
    *_sql("migrate", "the version is written", "PRAGMA user_version = 2"),
    *_sql("migrate", "the commit of the migration", "COMMIT", 1),
    # New keys.
    *_call("rotate", "the next key's sync", SYNC, "*/.next-1.key.*"),
    *_call("rotate", "the next key is in place", LINK, "*/next-1.key"),
    *_call("rotate", "the pending keys' sync", SYNC, "*/.keys.json.next.*"),
    *_call("rotate", "the pending keys are in place", LINK, "*/ledger/keys.json.next"),
    *_sql("rotate", "the key event is written", "INSERT INTO records"),
    *_sql("rotate", "the commit of the key event", "COMMIT"),
    *_call("rotate", "the keys are claimed", RENAME, "*/nous-ledger/keys.json"),
    *_call("rotate", "the keys are replaced", RENAME, "*/ledger/keys.json"),
    # Erased bodies.
    *_sql("redact", "a body is erased", "UPDATE bodies"),
    *_sql("redact", "the notice is written", "INSERT INTO records"),
    *_sql("redact", "the commit of the notice", "COMMIT"),
    *_call("redact", "the WAL is emptied", TRUNCATE, "*.db-wal"),
    # The end of a log.
    *_sql("close", "open calls get their receipts", "INSERT INTO records", 1),
    *_sql("close", "the commit of the close", "COMMIT"),
    # Published files.
    *_call("publish", "a tile is written", WRITE, "*/tile/0/*unfinished"),
    *_call("publish", "a tile's sync", SYNC, "*/tile/0/*unfinished"),
    *_call("publish", "a tile is in place", LINK, "*/tile/0/*"),
    *_call("publish", "records are in place", LINK, "*/tile/entries/*"),
    *_call("publish", "bodies are in place", RENAME, "*/tile/bodies/*"),
    *_call("publish", "the checkpoint is written", WRITE, "*/public/.*.unfinished"),
    *_call("publish", "the checkpoint is in place", RENAME, "*/public/checkpoint"),
    *_call("publish", "a partial tile is removed", UNLINK, "*/public/tile/*.p/*"),
    # Copies.
    *_call("backup", "the copy's sync", SYNC, "*/.backup.*/ledger.db"),
    *_call("backup", "the list of its files is in place", LINK, "*/.backup.*/backup.json"),
    *_call("backup", "the backup is in place", RENAME, "*/copies/backup"),
    *_call("restore", "the copy's sync", SYNC, "*/.ledger.*/ledger.db"),
    *_call("restore", "the mark is in place", LINK, "*/.ledger.*/high-water"),
    *_call("restore", "the ledger is in place", RENAME, "*/copies/ledger"),
)  # fmt: skip
