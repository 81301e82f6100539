"""Where each subject's receipts stand, and what was used each day: derived from the log.

The ledger finds a receipt by its id. Lists by subject, statements and the totals of many
receipts need another order, which is kept here, in a temporary SQLite file without a
name that ends with the gateway. It follows the log in a thread of its own, some records
at a time; what was erased from the ledger leaves it too. Nothing here is authoritative:
bodies are read from the ledger, and whoever makes a statement checks the chain again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from nous_ledger.ledger import Entry, Ledger
from nous_ledger.protocol.bodies import Redaction, decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT, TYPE_REDACTION, decode_record
from nous_ledger.protocol.registries import KIND, TOKEN_KINDS_END
from nous_ledger.protocol.statement_sums import model_of
from nous_ledger.protocol.types import LeafIndex

DAY_MS: Final = 86_400_000
ALL_TIME: Final = -1
"""Stands for a day where all days are added up."""

_AT_A_TIME: Final = 256
_SCHEMA: Final = """
PRAGMA secure_delete = ON;
PRAGMA cache_size = -4096;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE receipts (
    leaf INTEGER PRIMARY KEY, subject BLOB NOT NULL, seq INTEGER NOT NULL,
    source INTEGER NOT NULL, day INTEGER NOT NULL, provider TEXT NOT NULL,
    model TEXT NOT NULL, sums TEXT NOT NULL
) STRICT;
CREATE INDEX by_subject ON receipts (subject, seq);
CREATE INDEX by_source ON receipts (source, leaf);
CREATE TABLE usage (
    day INTEGER NOT NULL, subject BLOB NOT NULL, provider TEXT NOT NULL,
    model TEXT NOT NULL, source INTEGER NOT NULL, sums TEXT NOT NULL,
    PRIMARY KEY (day, subject, provider, model, source)
) STRICT, WITHOUT ROWID;
"""

_INPUT: Final = frozenset(
    KIND[name] for name in ("input_uncached", "input_unsplit", "tool_prompt")
) | frozenset(KIND[name] for name in ("input_audio", "input_image", "input_video"))
_CACHE_READ: Final = frozenset({KIND["cache_read"]})
_CACHE_WRITE: Final = frozenset(
    KIND[f"cache_write{ttl}"] for ttl in ("", "_5m", "_1h", "_30m", "_12h")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What some receipts add up to; numbers of any size.

    Attributes:
        calls: receipts.
        input: input tokens that were neither read from a cache nor written to one.
        output: output tokens of every kind, and those of kinds that are not known here.
        cache_read: tokens read from a cache.
        cache_write: tokens written to one.
        total: the provider's total, else the sum of the token buckets.
        cost: pico-USD that providers reported.
        costed: receipts with a reported cost.
    """

    calls: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    total: int = 0
    cost: int = 0
    costed: int = 0

    def numbers(self) -> tuple[int, ...]:
        """Return all of them in order."""
        tokens = (self.input, self.output, self.cache_read, self.cache_write, self.total)
        return (self.calls, *tokens, self.cost, self.costed)

    @classmethod
    def of(cls, numbers: Iterable[int]) -> Sums:
        """Return the sums with these numbers."""
        calls, input_, output, read, write, total, cost, costed = numbers
        return cls(
            calls=calls,
            input=input_,
            output=output,
            cache_read=read,
            cache_write=write,
            total=total,
            cost=cost,
            costed=costed,
        )

    def plus(self, other: Sums, sign: int = 1) -> Sums:
        """Return both together; with a sign of -1 what is left without the other."""
        pairs = zip(self.numbers(), other.numbers(), strict=True)
        return Sums.of(a + sign * b for a, b in pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """What one subject used of one model at one provider from one source, on one day."""

    day: int
    subject: bytes
    provider: str
    model: str
    source: int
    sums: Sums

    @property
    def key(self) -> tuple[int, bytes, str, str, int]:
        """What tells it apart from all others."""
        return self.day, self.subject, self.provider, self.model, self.source


def sums_of(receipt: Receipt) -> Sums:
    """Return what one receipt adds."""
    sums = {"input": 0, "output": 0, "cache_read": 0, "cache_write": 0}
    for bucket in receipt.usage or ():
        if bucket.kind < TOKEN_KINDS_END:
            sums[_part_of(bucket.kind)] += bucket.reported or 0
    total = receipt.provider_total
    return Sums(
        calls=1,
        total=sum(sums.values()) if total is None else total,
        cost=receipt.reported_cost or 0,
        costed=receipt.reported_cost is not None,
        **sums,
    )


def _part_of(kind: int) -> str:
    if kind in _INPUT:
        return "input"
    if kind in _CACHE_READ:
        return "cache_read"
    return "cache_write" if kind in _CACHE_WRITE else "output"


class UsageIndex:
    """The index of one ledger; for one thread at a time.

    Attributes:
        upto: leaves that were taken in.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Start with nothing taken in."""
        self._ledger = ledger
        self.upto = 0
        self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._rows.executescript(_SCHEMA)

    def close(self) -> None:
        """Drop it."""
        self._rows.close()

    def step(self) -> bool:
        """Take in the next records; return whether more are there.

        Raises:
            LedgerError: the ledger could not be read.
        """
        end = self._ledger.leaf_count()
        entries = self._ledger.read(range(self.upto, min(self.upto + _AT_A_TIME, end)))
        self._rows.execute("BEGIN")
        try:
            self._take_in(entries)
            self._rows.execute("COMMIT")
        except BaseException:
            # Without a journal nothing can be taken back: start over.
            self._rows.close()
            self._rows = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._rows.executescript(_SCHEMA)
            self.upto = 0
            raise
        self.upto += len(entries)
        return self.upto < end

    def chain(self, subject: bytes, first: int, limit: int) -> tuple[tuple[int, LeafIndex], ...]:
        """Return subject_seq and leaf of a subject's receipts from a place in its chain on."""
        found = self._rows.execute(
            "SELECT seq, leaf FROM receipts WHERE subject = ? AND seq >= ? ORDER BY seq LIMIT ?",
            (subject, first, limit),
        )
        return tuple(found.fetchall())

    def leaves(
        self, after: int, limit: int, *, source: int | None, subject: bytes | None = None
    ) -> tuple[LeafIndex, ...]:
        """Return the first leaves above one, ascending.

        Args:
            after: the leaf that comes before them; -1 to start.
            limit: how many at most.
            source: of which source; None for all.
            subject: whose; None for everybody's.
        """
        where, given = ["leaf > ?"], [after]
        if source is not None:
            where.append("source = ?")
            given.append(source)
        more: list[bytes] = []
        if subject is not None:
            where.append("subject = ?")
            more.append(subject)
        found = self._rows.execute(
            f"SELECT leaf FROM receipts WHERE {' AND '.join(where)} ORDER BY leaf LIMIT ?",  # noqa: S608 - constants
            (*given, *more, limit),
        )
        return tuple(row[0] for row in found)

    def usage(
        self,
        since_day: int | None,
        *,
        source: int,
        subject: bytes | None = None,
        model: str | None = None,
    ) -> Iterator[UsageRow]:
        """Yield what was used, of each day from one on, or of all time together.

        Args:
            since_day: days since 1970-01-01; None for all time.
            source: of which source.
            subject: by whom; None for everybody.
            model: of which model; None for all.
        """
        where = "day = ?" if since_day is None else "day >= ?"
        given: list[object] = [ALL_TIME if since_day is None else since_day]
        for column, wanted in (("subject", subject), ("model", model)):
            if wanted is not None:
                where += f" AND {column} = ?"
                given.append(wanted)
        rows = self._rows.execute(
            f"SELECT day, subject, provider, model, source, sums FROM usage WHERE {where}"  # noqa: S608 - constants
            " AND source = ?",
            (*given, source),
        )
        for row in rows:
            yield _usage_row(row)

    def calls_by_source(self) -> dict[int, int]:
        """Return how many receipts there are of each source."""
        rows = self._rows.execute("SELECT source, count(*) FROM receipts GROUP BY source")
        return dict(rows.fetchall())

    def _take_in(self, entries: Iterable[Entry]) -> None:
        changes: dict[tuple[int, bytes, str, str, int], Sums] = {}
        for entry in entries:
            body = _body_of(entry)
            if isinstance(body, Receipt):
                self._add(entry.index, body, changes)
            elif isinstance(body, Redaction):
                self._write(changes)
                changes = {}
                self._drop(body.indices, changes)
        self._write(changes)

    def _add(
        self, leaf: int, receipt: Receipt, changes: dict[tuple[int, bytes, str, str, int], Sums]
    ) -> None:
        occurred = receipt.import_.occurred_at if receipt.import_ is not None else None
        row = UsageRow(
            day=(receipt.time if occurred is None else occurred) // DAY_MS,
            subject=receipt.subject,
            provider=receipt.provider,
            model=model_of(receipt),
            source=receipt.source,
            sums=sums_of(receipt),
        )
        self._rows.execute(
            "INSERT INTO receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                leaf,
                row.subject,
                receipt.subject_seq,
                row.source,
                row.day,
                row.provider,
                row.model,
                json.dumps(row.sums.numbers()),
            ),
        )
        _count(row, 1, changes)

    def _drop(
        self,
        leaves: Iterable[int],
        changes: dict[tuple[int, bytes, str, str, int], Sums],
    ) -> None:
        for leaf in leaves:
            row = self._rows.execute(
                "DELETE FROM receipts WHERE leaf = ?"
                " RETURNING day, subject, provider, model, source, sums",
                (leaf,),
            ).fetchone()
            if row is not None:
                _count(_usage_row(row), -1, changes)

    def _write(self, changes: dict[tuple[int, bytes, str, str, int], Sums]) -> None:
        where = "day = ? AND subject = ? AND provider = ? AND model = ? AND source = ?"
        for key, sums in changes.items():
            row = self._rows.execute(f"SELECT sums FROM usage WHERE {where}", key).fetchone()  # noqa: S608 - constants
            now = sums if row is None else Sums.of(json.loads(row[0])).plus(sums)
            if now.calls:
                text = json.dumps(now.numbers())
                self._rows.execute(
                    "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?, ?, ?)", (*key, text)
                )
            else:
                self._rows.execute(f"DELETE FROM usage WHERE {where}", key)  # noqa: S608 - constants


def _count(row: UsageRow, sign: int, changes: dict[tuple[int, bytes, str, str, int], Sums]) -> None:
    for day in (row.day, ALL_TIME):
        key = (day, *row.key[1:])
        changes[key] = changes.get(key, Sums()).plus(row.sums, sign)


def _usage_row(row: tuple[int, bytes, str, str, int, str]) -> UsageRow:
    day, subject, provider, model, source, sums = row
    return UsageRow(
        day=day,
        subject=subject,
        provider=provider,
        model=model,
        source=source,
        sums=Sums.of(json.loads(sums)),
    )


def _body_of(entry: Entry) -> object:
    """Return the body of a receipt or redaction; None of all else, and where it is not whole."""
    record_type = decode_record(entry.record).type
    if record_type not in (TYPE_RECEIPT, TYPE_REDACTION) or not entry.body:
        return None
    try:
        return decode_body(record_type, entry.body)
    except LedgerError:
        return None
