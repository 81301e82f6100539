"""The SQLite file of what a sentinel remembers: how it is opened, locked and brought up to date.

One process at a time audits with a file; others may read it, and acknowledge findings
in it, meanwhile. Every commit is durable before it returns: killed at any moment, the
sentinel goes on from its last commit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import quote

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.hashing import sha256
from sentinel.errors import StateError

APPLICATION_ID: Final = 0x4E53454E  # "NSEN"
BUSY_TIMEOUT_S: Final = 20.0
SUFFIX: Final = ".sqlite"
_HEADER_BYTES: Final = 100
_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
_CORRUPT: Final = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT}
)

Migration: TypeAlias = Callable[[sqlite3.Connection], None]
"""Changes schema and content from one version to the next; commits nothing."""


def state_folder() -> Path:
    """Return where states lie unless a file is named.

    Raises:
        InputError: the environment names no home.
    """
    for variable, below in (("XDG_STATE_HOME", ""), ("HOME", ".local/state")):
        base = Path(os.environ.get(variable, ""))
        if base.is_absolute():  # a relative one is to be ignored
            return base / below / "nous-sentinel"
    raise InputError(
        "input", "neither HOME nor XDG_STATE_HOME is set", hint="name a file with --state"
    )


def default_state(origin: str) -> Path:
    """Return the state of a log: each has its own, so that each can be watched by itself.

    Args:
        origin: name of the log.

    Raises:
        InputError: the environment names no home.
    """
    plain = origin.replace("/", "_")[:80]
    return state_folder() / f"{plain}-{sha256(origin.encode()).hex()[:8]}{SUFFIX}"


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other sentinels from auditing with a state; its folder is made if it is missing.

    Raises:
        StateError: state-busy, state-io.
    """
    beside = path.with_name(f"{path.name}.lock")
    with state_errors(path):
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError("state-busy", f"another sentinel works with {path}") from error
        yield
    finally:
        os.close(descriptor)


def open_database(
    path: Path, schema: str, migrations: tuple[Migration, ...], *, create: bool
) -> sqlite3.Connection:
    """Return a connection to a state that is up to date.

    Args:
        path: the file.
        schema: statements that make the first version.
        migrations: the step from version 1 to 2, then to 3, and so on; none is ever changed.
        create: make the file if it is missing.

    Raises:
        StateError: state-foreign, state-newer, state-corrupt, state-io.
    """
    with state_errors(path), contextlib.ExitStack() as on_failure:
        if create and not path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _PRIVATE_FILE))
        if 0 < path.stat().st_size < _HEADER_BYTES:  # SQLite would take it for an empty one
            raise StateError("state-foreign", f"{path} is no database")
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path.absolute()))}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT_S,
            isolation_level=None,  # transactions begin and end where the code says so
            check_same_thread=False,
        )
        on_failure.callback(connection.close)
        for pragma in (
            "synchronous = FULL",
            "trusted_schema = OFF",
            "cache_size = -8192",  # KiB
            "wal_autocheckpoint = 4000",  # pages
            "journal_size_limit = 16777216",
        ):
            connection.execute(f"PRAGMA {pragma}")
        _bring_up_to_date(path, connection, schema, migrations)
        on_failure.pop_all()
    return connection


def _bring_up_to_date(
    path: Path, connection: sqlite3.Connection, schema: str, migrations: tuple[Migration, ...]
) -> None:
    newest = len(migrations) + 1
    if _version(path, connection, newest) == newest:
        return
    if _version(path, connection, newest) == 0:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(path, connection, newest)  # another process may have been quicker
        if version == 0:
            _run_all(connection, schema)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for step in migrations[max(version, 1) - 1 :]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _run_all(connection: sqlite3.Connection, schema: str) -> None:
    for statement in filter(str.strip, schema.split(";\n")):
        connection.execute(statement)


def _version(path: Path, connection: sqlite3.Connection, newest: int) -> int:
    """Return the schema's version, 0 for a file that is still empty."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION_ID or version < 1:
        raise StateError("state-foreign", f"{path} is a database of another program")
    if version > newest:
        raise StateError("state-newer", f"{path} has schema {version}, newer than {newest}")
    return int(version)


@contextlib.contextmanager
def state_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the file system into errors of ours.

    Raises:
        StateError: state-foreign, state-corrupt, state-io.
    """
    try:
        yield
    except sqlite3.Error as error:
        # An extended code has its primary code in the low byte.
        primary = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if primary == sqlite3.SQLITE_NOTADB:
            raise StateError("state-foreign", f"{path} is no database: {error}") from error
        code = "state-corrupt" if primary in _CORRUPT else "state-io"
        raise StateError(code, f"{path}: {error}") from error
    except OSError as error:
        raise StateError("state-io", f"{path}: {error.strerror or error}") from error
