"""A way behind the store, to what only SQLite has."""

import sqlite3

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.ledger.sqlite_view import SqliteView
from nous_ledger.ledger.store import View


def connection_of(view: View) -> sqlite3.Connection:
    """Return the connection that a view reads through."""
    assert isinstance(view, SqliteView)
    return view._connection


def store_of(ledger: Ledger) -> SqliteStore:
    """Return the store of a ledger."""
    assert isinstance(ledger._store, SqliteStore)
    return ledger._store
