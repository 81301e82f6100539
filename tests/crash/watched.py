"""SQL statements as named points: connections that know what they are about to do."""

import sqlite3
from collections.abc import Callable
from typing import Any

from tests.crash.faults import arm, die
from tests.crash.points import Point

_connect = sqlite3.connect


class Watch:
    """Waits for a point in this process; every connection made from then on is watched."""

    def __init__(self, point: Point) -> None:
        """Watch for a point from now on."""
        self._point = point
        self._met = 0
        self._transactions = 0
        if point.call is not None and not point.transaction:
            arm(point.call)

    def run(self, sql: str, work: Callable[[], Any]) -> Any:
        """Run a statement of a transaction that writes, or the one that begins it."""
        if sql.startswith("BEGIN IMMEDIATE"):
            self._transactions += 1
            if self._point.call is not None and self._transactions == self._point.transaction:
                arm(self._point.call)
        if not self._point.sql or self._point.sql not in sql:
            return work()
        self._met += 1
        here = self._met == self._point.number
        if here and not self._point.after:
            die()
        found = work()
        if here:
            die()
        return found


_watches: list[Watch] = []


class _Connection(sqlite3.Connection):
    """A connection that reports what it does within a transaction that writes."""

    def execute(self, sql: str, *arguments: Any) -> Any:
        writes = self._writes or sql.startswith("BEGIN IMMEDIATE")
        self._writes = writes and sql not in ("COMMIT", "ROLLBACK")
        return self._watched(writes, sql, lambda: super(_Connection, self).execute(sql, *arguments))

    def executemany(self, sql: str, *arguments: Any) -> Any:
        work = super().executemany
        return self._watched(self._writes, sql, lambda: work(sql, *arguments))

    def executescript(self, sql: str) -> Any:
        self._writes = True
        return super().executescript(sql)

    _writes = False

    @staticmethod
    def _watched(writes: bool, sql: str, work: Callable[[], Any]) -> Any:
        return _watches[0].run(sql, work) if writes and _watches else work()


def _connect_watched(*arguments: Any, **named: Any) -> Any:
    return _connect(*arguments, factory=_Connection, **named)


def install() -> None:
    """Make every connection of this process one that can be watched."""
    sqlite3.connect = _connect_watched


def watch(point: Point) -> None:
    """End this process at a point."""
    _watches[:] = [Watch(point)]
