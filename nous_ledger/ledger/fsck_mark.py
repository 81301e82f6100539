"""The database beside its high-water file: a whole log can still be an old one."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path

from nous_ledger.ledger.fsck_leaves import Fault
from nous_ledger.ledger.guard import compare_with_mark, read_settings
from nous_ledger.ledger.highwater import HighWater
from nous_ledger.ledger.sqlite_view import SqliteView
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.types import LogId


def check_high_water(
    folder: Path,
    connection: sqlite3.Connection,
    log_id: bytes,
    report: Callable[[Fault], None],
    *,
    whole: bool,
) -> None:
    """Report a database that is behind its high-water file, or of another history.

    A bare copy, which has no such file beside it and is configured for none, is not
    compared with anything.

    Args:
        folder: of the ledger.
        connection: to its database.
        log_id: the log.
        report: told the fault.
        whole: whether no other fault was found; else another root shows no more than
            what was reported already.
    """
    place = Path()
    try:
        settings = read_settings(folder)
        place = settings.place(folder)
        if settings.high_water is None and not place.exists():
            return
        with contextlib.closing(HighWater(place, LogId(log_id))) as file:
            compare_with_mark(SqliteView(connection), file.read(), place)
    except LedgerError as error:
        if whole or error.code == "store-behind":
            fault = Fault(code=error.code, table="high-water", index=None, message=error.message)
            report(fault)
