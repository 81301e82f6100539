"""Forward migrations: what brings a database of an earlier version up to date.

    version 1  the first one

A step is never changed once it was released, and there is none back: an older
program refuses a newer database. All steps of one database take place in one
transaction, whoever opens it first for writing; killed on the way, it is as before.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from nous_ledger.ledger.errors import StoreContentError, StoreError

Migration: TypeAlias = Callable[[sqlite3.Connection], None]
"""Changes the schema, and what is stored, from one version to the next; commits nothing."""

MIGRATIONS: tuple[Migration, ...] = ()
"""The step from version 1 to version 2, then the one to version 3, and so on."""

APPLICATION_ID: Final = 0x4E4C4544  # "NLED"


def schema_version() -> int:
    """Return the version of a database that is up to date."""
    return len(MIGRATIONS) + 1


def read_version(path: Path, connection: sqlite3.Connection) -> int:
    """Return the version of a database, which this program must know.

    Raises:
        StoreContentError: store-foreign.
        StoreError: store-newer.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID or version < 1:
        raise StoreContentError("store-foreign", f"{path} is a database of another program")
    if version > schema_version():
        raise StoreError(
            "store-newer", f"{path} has schema {version}, newer than {schema_version()}"
        )
    return int(version)


def bring_up_to_date(path: Path, connection: sqlite3.Connection, *, read_only: bool) -> None:
    """Migrate a database that is of an earlier version.

    Args:
        path: the file.
        connection: to it, in no transaction.
        read_only: whether nothing may be written.

    Raises:
        StoreContentError: store-foreign.
        StoreError: store-newer; store-older, if it is to be read only.
    """
    version = read_version(path, connection)
    if version == schema_version():
        return
    if read_only:
        raise StoreError("store-older", f"{path} has schema {version}, not {schema_version()} yet")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = read_version(path, connection)  # another process may have been quicker
        _run(connection, MIGRATIONS[version - 1 :])
        connection.execute(f"PRAGMA user_version = {schema_version()}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    for step in steps:
        step(connection)
        assert connection.in_transaction, "a step of a migration commits nothing"  # noqa: S101
