"""Every body that was erased is named by a redaction, and every redaction was carried out.

Spec:
    PROTOCOL.md RED-1, RED-2.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable

from nous_ledger.ledger.fsck_leaves import Fault
from nous_ledger.protocol.bodies import Redaction, decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.record import TYPE_REDACTION

Report = Callable[[Fault], None]


def check_erasures(connection: sqlite3.Connection, report: Report) -> None:
    """Compare the bodies that are empty with those that redactions name."""
    # A database without a name is a temporary file that SQLite keeps to itself.
    with contextlib.closing(sqlite3.connect("", isolation_level=None)) as named:
        named.execute("CREATE TABLE named (leaf INTEGER PRIMARY KEY)")
        _read_redactions(connection, named)
        for (leaf,) in connection.execute("SELECT leaf FROM bodies WHERE body = x''"):
            if not _has(named, "named", leaf):
                text = "the body is empty, and no redaction names it"
                report(Fault(code="row-missing", table="bodies", index=leaf, message=text))
        for (leaf,) in named.execute("SELECT leaf FROM named ORDER BY leaf"):
            if _has(connection, "bodies", leaf, " AND body != x''"):
                text = "a redaction names the body, and it is still there"
                report(Fault(code="row-leftover", table="bodies", index=leaf, message=text))


def _read_redactions(connection: sqlite3.Connection, named: sqlite3.Connection) -> None:
    rows = connection.execute(
        "SELECT body FROM records JOIN bodies USING (leaf) WHERE substr(record, 2, 2) = x'0005'"
    )
    named.execute("BEGIN")
    for (data,) in rows:
        try:
            body = decode_body(TYPE_REDACTION, data)
        except LedgerError:
            continue  # reported already
        if isinstance(body, Redaction):
            leaves = [(leaf,) for leaf in body.indices]
            named.executemany("INSERT OR IGNORE INTO named VALUES (?)", leaves)
    named.execute("COMMIT")


def _has(connection: sqlite3.Connection, table: str, leaf: int, more: str = "") -> bool:
    sql = f"SELECT 1 FROM {table} WHERE leaf = ?{more}"  # noqa: S608 - our own names
    return connection.execute(sql, (leaf,)).fetchone() is not None
