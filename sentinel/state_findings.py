"""What was found, with its evidence; it stays until somebody acknowledges it.

What is found again is counted, not listed again. Once acknowledged, the same evidence
raises nothing new; what nobody can prove is listed anew when it happens again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sentinel.audit.findings import Finding, Place, Severity
from sentinel.errors import SentinelUseError
from sentinel.state_file import state_errors

if TYPE_CHECKING:
    from sentinel.state import State

MAX_ALIKE: Final = 100
"""Open findings of one place and code that are listed; more are counted with the last one."""
LASTING: Final = frozenset({Severity.ALARM, Severity.FAULT})
"""Severities that stand until they are acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFinding:
    """A finding as it is remembered.

    Attributes:
        id: its number in the state, from 1.
        log: number of its log.
        severity: alarm, fault, unchecked or notice.
        place: where it was found.
        code: what it is.
        message: one sentence.
        index: leaf that it is about.
        count: leaf count of the head that it is about.
        attrs: further values.
        has_evidence: whether there is an evidence file.
        first_at: second at which it was found first.
        last_at: second at which it was found last.
        times: how often it was found.
        acknowledged_by: who dealt with it; empty as long as nobody has.
        reason: why it is no longer open.
        acknowledged_at: second at which it was acknowledged.
    """

    id: int
    log: int
    severity: Severity
    place: str
    code: str
    message: str
    index: int | None
    count: int | None
    attrs: dict[str, Any]
    has_evidence: bool
    first_at: int
    last_at: int
    times: int
    acknowledged_by: str
    reason: str
    acknowledged_at: int | None

    @property
    def is_open(self) -> bool:
        """Whether it stands: an alarm or fault that nobody acknowledged."""
        return self.severity in LASTING and not self.acknowledged_by


class Findings:
    """The findings of one log."""

    def __init__(self, state: State, log: int) -> None:
        """Name the log."""
        self._state = state
        self._log = log
        self._new: list[tuple[Finding, int]] = []

    def add(self, found: Iterable[Finding], now: int) -> None:
        """Remember findings; durable with the next commit or end of a round."""
        self._new += [(finding, now) for finding in found]

    def write(self) -> None:
        """Write what was added, within the transaction of the caller."""
        for finding, now in self._new:
            self._write(finding, now)
        self._new.clear()

    def flush(self) -> None:
        """Write what was added, in a transaction of its own."""
        if self._new:
            with self._state.writing():
                self.write()

    def open_count(self) -> int:
        """Return how many alarms and faults nobody has acknowledged."""
        (number,) = self._state.connection.execute(
            "SELECT count(*) FROM findings LEFT JOIN acknowledgements ON finding = id"
            " WHERE log = ? AND severity IN ('alarm', 'fault') AND finding IS NULL",
            (self._log,),
        ).fetchone()
        return int(number)

    def without_evidence(self, limit: int) -> tuple[tuple[int, Finding], ...]:
        """Return findings that could be proved and are not yet, with their numbers."""
        rows = self._state.connection.execute(
            "SELECT id, place, code, message, leaf, leaf_count, attrs, cites FROM findings"
            " WHERE log = ? AND evidence IS NULL AND cites != '[]' AND severity = 'alarm'"
            " ORDER BY id LIMIT ?",
            (self._log, limit),
        )
        return tuple((row[0], _finding(row[1:])) for row in rows)

    def set_evidence(self, number: int, evidence: bytes) -> None:
        """Store the evidence of a finding."""
        with self._state.writing() as connection:
            connection.execute("UPDATE findings SET evidence = ? WHERE id = ?", (evidence, number))

    def _write(self, finding: Finding, now: int) -> None:
        execute = self._state.connection.execute
        same = _identity(finding)
        known = execute(
            "SELECT id, evidence IS NOT NULL, finding IS NOT NULL FROM findings"
            " LEFT JOIN acknowledgements ON finding = id WHERE log = ? AND same = ?"
            " ORDER BY id DESC LIMIT 1",
            (self._log, same),
        ).fetchone()
        if known is not None and (known[1] or not known[2]):
            execute(
                "UPDATE findings SET last_at = ?, times = times + 1, message = ?,"
                " evidence = coalesce(evidence, ?) WHERE id = ?",
                (now, finding.message, finding.evidence, known[0]),
            )
            return
        number, newest = execute(
            "SELECT count(*), max(id) FROM findings LEFT JOIN acknowledgements ON finding = id"
            " WHERE log = ? AND place = ? AND code = ? AND finding IS NULL",
            (self._log, finding.place.value, finding.code),
        ).fetchone()
        if number >= MAX_ALIKE:
            execute(
                "UPDATE findings SET last_at = ?, times = times + 1 WHERE id = ?", (now, newest)
            )
            return
        execute(
            "INSERT INTO findings (log, same, severity, place, code, message, leaf, leaf_count,"
            " attrs, cites, evidence, first_at, last_at, times)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
            (
                self._log,
                same,
                finding.severity.value,
                finding.place.value,
                finding.code,
                finding.message,
                finding.index,
                finding.count,
                json.dumps(dict(finding.attrs), sort_keys=True),
                json.dumps(finding.cites),
                finding.evidence,
                now,
                now,
            ),
        )


def _finding(row: tuple[Any, ...]) -> Finding:
    place, code, message, index, count, attrs, cites = row
    return Finding(
        place=Place(place),
        code=code,
        message=message,
        index=index,
        count=count,
        attrs=json.loads(attrs),
        cites=tuple(json.loads(cites)),
    )


def _identity(finding: Finding) -> bytes:
    """Return what two findings have in common if they are the same one seen again.

    What could not be checked is one matter however often it happens; what is wrong, and
    what a stream comes to, is another one at every leaf and head.
    """
    parts: list[Any] = [finding.place, finding.code]
    if finding.severity in LASTING or finding.severity is Severity.VERDICT:
        parts += [finding.index, finding.count, sorted(finding.attrs.items())]
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]


_COLUMNS: Final = (
    "id, log, severity, place, code, message, leaf, leaf_count, attrs, evidence IS NOT NULL,"
    " first_at, last_at, times, coalesce(by, ''), coalesce(reason, ''), at"
)


def list_findings(state: State, log: int | None = None) -> tuple[StoredFinding, ...]:
    """Return all findings in the order of their numbers.

    Args:
        state: the file.
        log: number of a log; None for those of all logs.
    """
    with state_errors(state.path):
        rows = state.connection.execute(
            f"SELECT {_COLUMNS} FROM findings LEFT JOIN acknowledgements ON finding = id"  # noqa: S608
            " WHERE log = coalesce(?, log) ORDER BY id",
            (log,),
        ).fetchall()
    return tuple(map(_stored, rows))


def untold_findings(state: State, log: int, limit: int) -> tuple[StoredFinding, ...]:
    """Return alarms, faults and verdicts that nobody was told of yet, the oldest first."""
    with state_errors(state.path):
        rows = state.connection.execute(
            f"SELECT {_COLUMNS} FROM findings LEFT JOIN acknowledgements ON finding = id"  # noqa: S608
            " WHERE log = ? AND severity IN ('alarm', 'fault', 'verdict')"
            " AND id > (SELECT told FROM logs WHERE id = ?) ORDER BY id LIMIT ?",
            (log, log, limit),
        ).fetchall()
    return tuple(map(_stored, rows))


def mark_told(state: State, number: int) -> None:
    """Remember that somebody was told of a finding, and of those of its log before it."""
    with state.writing() as connection:
        connection.execute(
            "UPDATE logs SET told = max(told, ?)"
            " WHERE id = (SELECT log FROM findings WHERE id = ?)",
            (number, number),
        )


def read_finding(state: State, number: int) -> tuple[StoredFinding, bytes | None]:
    """Return one finding and its evidence.

    Raises:
        SentinelUseError: no-such-finding.
    """
    with state_errors(state.path):
        row = state.connection.execute(
            f"SELECT {_COLUMNS}, evidence FROM findings"  # noqa: S608
            " LEFT JOIN acknowledgements ON finding = id WHERE id = ?",
            (number,),
        ).fetchone()
    if row is None:
        raise SentinelUseError("no-such-finding", f"there is no finding {number}")
    return _stored(row[:-1]), row[-1]


def acknowledge(state: State, number: int, *, by: str, reason: str, now: int) -> StoredFinding:
    """Record that somebody dealt with a finding, and return it; a second time changes nothing.

    Args:
        state: the file.
        number: of the finding.
        by: who.
        reason: why it is no longer open.
        now: second by this machine's clock.

    Raises:
        SentinelUseError: no-such-finding.
    """
    read_finding(state, number)
    with state.writing() as connection:
        connection.execute(
            "INSERT INTO acknowledgements VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (number, by, reason, now),
        )
    return read_finding(state, number)[0]


def _stored(row: tuple[Any, ...]) -> StoredFinding:
    return StoredFinding(
        id=row[0],
        log=row[1],
        severity=Severity(row[2]),
        place=row[3],
        code=row[4],
        message=row[5],
        index=row[6],
        count=row[7],
        attrs=json.loads(row[8]),
        has_evidence=bool(row[9]),
        first_at=row[10],
        last_at=row[11],
        times=row[12],
        acknowledged_by=row[13],
        reason=row[14],
        acknowledged_at=row[15],
    )
