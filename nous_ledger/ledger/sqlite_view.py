"""Reading and writing the tables of a ledger's SQLite file.

A statement takes all rows of a batch at once, in long values that SQL cuts apart.
While SQLite works on a statement, other threads can run: one statement for each row
would hand the interpreter from thread to thread at every row.
"""

# ruff: noqa: S608 - statements are put together from constants of this file.

from __future__ import annotations

import sqlite3
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final

from nous_ledger.ledger.errors import StoreContentError
from nous_ledger.ledger.model import Entry, NewLeaf, NewReceipts, StoredHead, SubjectHead
from nous_ledger.ledger.store import View, WriteTransaction
from nous_ledger.protocol.record import TYPE_KEY
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos

_ROWS: Final = (
    "WITH RECURSIVE n (i) AS (SELECT 0 WHERE ?1 > 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)"
)
"""Numbers the rows of a batch: i = 0, 1, …, ?1 - 1.

What joins them is looked up for each, never the other way round: CROSS JOIN says so.
"""
_PARTS: Final = (
    "WITH RECURSIVE n (i, at, size) AS ("
    " SELECT 0, 1, CAST(substr(?4, 1, 9) AS INTEGER) WHERE ?1 > 0 UNION ALL"
    " SELECT i + 1, at + size, CAST(substr(?4, (i + 1) * 9 + 1, 9) AS INTEGER)"
    " FROM n WHERE i + 1 < ?1)"
)
"""The same for values of various lengths, each of which stands in nine digits in ?4.

All are bytes: in a text, SQLite would count characters from the start each time.
"""
_HEAD: Final = "SELECT leaf_count, timestamp, note FROM heads"


class SqliteView(View):
    """What can be read through one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Read through a connection."""
        self._connection = connection

    def log(self) -> tuple[bytes, str]:
        """Return log id and origin."""
        row = self._one("SELECT log_id, origin FROM log")
        if row is None:
            raise StoreContentError("store-corrupt", "the database names no log")
        return row[0], row[1]

    def leaf_count(self) -> LeafCount:
        """Return the number of leaves."""
        row = self._one("SELECT leaf FROM records ORDER BY leaf DESC LIMIT 1")
        return LeafCount(0 if row is None else row[0] + 1)

    def node_total(self) -> int:
        """Return the number of nodes, counted up to the last one."""
        row = self._one("SELECT position FROM nodes ORDER BY position DESC LIMIT 1")
        return 0 if row is None else row[0] + 1

    def nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        """Return the nodes at some positions, in the order asked for."""
        rows = self._connection.execute(
            "SELECT position, hash FROM json_each(?) CROSS JOIN nodes ON position = value",
            (str(list(positions)),),
        )
        found = dict(rows.fetchall())
        try:
            return tuple([found[position] for position in positions])
        except KeyError as error:
            text = f"the tree has no node {error.args[0]}"
            raise StoreContentError("store-corrupt", text) from None

    def record(self, index: LeafIndex) -> bytes:
        """Return one record."""
        row = self._one("SELECT record FROM records WHERE leaf = ?", index)
        if row is None:
            raise StoreContentError("store-corrupt", f"the log has no record {index}")
        return bytes(row[0])

    def body(self, index: LeafIndex) -> bytes:
        """Return one body; empty if it was erased."""
        row = self._one("SELECT body FROM bodies WHERE leaf = ?", index)
        return b"" if row is None else row[0]

    def record_and_body(self, index: LeafIndex) -> tuple[bytes, bytes]:
        """Return one record and its body, empty if it was erased."""
        row = self._one(
            "SELECT record, body FROM records LEFT JOIN bodies USING (leaf) WHERE leaf = ?", index
        )
        if row is None:
            raise StoreContentError("store-corrupt", f"the log has no record {index}")
        return row[0], row[1] or b""

    def body_bytes(self, at_a_time: int) -> Iterator[tuple[int, int]]:
        """Yield number and length of each group of so many bodies, erased ones left out."""
        yield from self._connection.execute(
            "SELECT leaf / ?1, sum(length(body)) FROM bodies GROUP BY 1 ORDER BY 1", (at_a_time,)
        )

    def entries(self, lo: int, hi: int) -> tuple[Entry, ...]:
        """Return records and bodies of the leaves `[lo, hi)`, as far as the log goes."""
        rows = self._connection.execute(
            "SELECT leaf, record, body FROM records LEFT JOIN bodies USING (leaf)"
            " WHERE leaf >= ? AND leaf < ? ORDER BY leaf",
            (lo, hi),
        )
        return tuple(Entry(index=row[0], record=row[1], body=row[2] or b"") for row in rows)

    def raw_usage(self, index: LeafIndex) -> bytes:
        """Return the joined usage values of one leaf; empty if there are none."""
        row = self._one("SELECT usage FROM raw_usage WHERE leaf = ?", index)
        return b"" if row is None else row[0]

    def receipts_with_body(self, lo: int, hi: int, limit: int) -> tuple[LeafIndex, ...]:
        """Return the first receipts among `[lo, hi)` whose body was not erased, ascending."""
        rows = self._connection.execute(
            "SELECT leaf FROM bodies CROSS JOIN records USING (leaf) WHERE leaf >= ? AND leaf < ?"
            " AND length(body) > 0 AND substr(record, 2, 2) = x'0001' ORDER BY leaf LIMIT ?",
            (lo, hi, limit),
        )
        return tuple(row[0] for row in rows)

    def leaves_with_usage(self, lo: int, hi: int, limit: int) -> tuple[LeafIndex, ...]:
        """Return the first leaves among `[lo, hi)` whose raw usage was not erased, ascending."""
        rows = self._connection.execute(
            "SELECT leaf FROM raw_usage WHERE leaf >= ? AND leaf < ? AND length(usage) > 0"
            " ORDER BY leaf LIMIT ?",
            (lo, hi, limit),
        )
        return tuple(row[0] for row in rows)

    def leaves_of_type(
        self, record_type: int, lo: int, hi: int, limit: int
    ) -> tuple[LeafIndex, ...]:
        """Return the first leaves among `[lo, hi)` that are of a record type, ascending."""
        rows = self._connection.execute(
            "SELECT leaf FROM records WHERE leaf >= ? AND leaf < ? AND substr(record, 2, 2) = ?"
            " ORDER BY leaf LIMIT ?",
            (lo, hi, record_type.to_bytes(2, "big"), limit),
        )
        return tuple(row[0] for row in rows)

    def find_receipt(self, receipt_id: bytes) -> tuple[LeafIndex, Hash32 | None] | None:
        """Return leaf and opening hash of a receipt."""
        row = self._one("SELECT leaf, opening_hash FROM receipts WHERE id = ?", receipt_id)
        return None if row is None else (row[0], row[1])

    def find_receipts(self, receipt_ids: Sequence[bytes]) -> dict[bytes, LeafIndex]:
        """Return the leaves of those receipts that are logged."""
        rows = self._connection.execute(
            f"{_ROWS} SELECT id, leaf FROM n"
            " CROSS JOIN receipts ON id = substr(?2, i * 16 + 1, 16)",
            (len(receipt_ids), b"".join(receipt_ids)),
        )
        return dict(rows.fetchall())

    def key_events(self) -> tuple[LeafIndex, ...]:
        """Return the leaves that are key events, ascending."""
        rows = self._connection.execute("SELECT leaf FROM key_events ORDER BY leaf")
        return tuple(row[0] for row in rows)

    def last_head(self) -> StoredHead | None:
        """Return the newest signed head."""
        return next(iter(self.newest_heads(1)), None)

    def head_at(self, leaf_count: LeafCount) -> StoredHead | None:
        """Return the newest signed head over exactly so many leaves."""
        row = self._one(f"{_HEAD} WHERE leaf_count = ?", leaf_count)
        return row and StoredHead(leaf_count=row[0], timestamp=row[1], note=row[2])

    def newest_heads(self, limit: int) -> tuple[StoredHead, ...]:
        """Return at most so many signed heads, the one over the most leaves first."""
        rows = self._connection.execute(f"{_HEAD} ORDER BY leaf_count DESC LIMIT ?", (limit,))
        return tuple(StoredHead(leaf_count=row[0], timestamp=row[1], note=row[2]) for row in rows)

    def subjects(self, subjects: Sequence[bytes]) -> dict[bytes, SubjectHead]:
        """Return the ends of those subjects' chains that have begun."""
        rows = self._connection.execute(
            f"{_ROWS} SELECT subject, next_seq, last_body_hash FROM n"
            " CROSS JOIN subjects ON subject = substr(?2, i * 32 + 1, 32)",
            (len(subjects), b"".join(subjects)),
        )
        return {row[0]: SubjectHead(row[1], row[2]) for row in rows}

    def intents(self) -> tuple[tuple[bytes, Hash32 | None], ...]:
        """Return draft and opening hash of every open intent, oldest id first."""
        rows = self._connection.execute("SELECT draft, opening_hash FROM intents ORDER BY id")
        return tuple(rows.fetchall())

    def find_calls(self, receipt_ids: Sequence[bytes]) -> set[bytes]:
        """Return those ids of which there is a receipt or an open intent."""
        looked_up = "CROSS JOIN {} ON id = substr(?2, i * 16 + 1, 16)".format
        rows = self._connection.execute(
            f"{_ROWS} SELECT id FROM n {looked_up('receipts')}"
            f" UNION ALL SELECT id FROM n {looked_up('intents')}",
            (len(receipt_ids), b"".join(receipt_ids)),
        )
        return {row[0] for row in rows}

    def _one(self, sql: str, *parameters: object) -> Any:  # noqa: ANN401 - typed by the STRICT schema
        return self._connection.execute(sql, parameters).fetchone()


class SqliteTransaction(SqliteView, WriteTransaction):
    """Reads and writes of one transaction."""

    def __init__(
        self, connection: sqlite3.Connection, *, follows: Hashable, leads_to: Hashable
    ) -> None:
        """Write through a connection whose transaction has begun."""
        super().__init__(connection)
        self.follows = follows
        self.leads_to = leads_to

    def add_leaves(self, leaves: Sequence[NewLeaf]) -> None:
        """Write new leaves that are no receipts."""
        self._many("INSERT INTO records VALUES (?, ?)", [(n.index, n.record) for n in leaves])
        self._many("INSERT INTO bodies VALUES (?, ?)", [(n.index, n.body) for n in leaves])
        self._many(
            "INSERT INTO key_events VALUES (?)", [(n.index,) for n in leaves if n.type == TYPE_KEY]
        )

    def add_receipts(self, first: LeafIndex, receipts: NewReceipts) -> None:
        """Write what belongs to receipts but for their records; fulfilled intents go."""
        self._values("bodies", first, receipts.bodies)
        self._add_ids(first, receipts)
        if self._one("SELECT 1 FROM intents LIMIT 1") is not None:
            self._rows(
                f"{_ROWS} DELETE FROM intents WHERE id IN"
                " (SELECT substr(?2, i * 16 + 1, 16) FROM n)",
                (len(receipts.ids), b"".join(receipts.ids)),
            )
        if any(receipts.raw_usage):
            self._values("raw_usage", first, receipts.raw_usage)

    def add_records(self, first: LeafIndex, records: Sequence[bytes]) -> None:
        """Write the records of receipts."""
        self._rows(
            f"{_ROWS} INSERT INTO records SELECT ?2 + i, substr(?3, i * 120 + 1, 120) FROM n",
            (len(records), first, b"".join(records)),
        )

    def add_nodes(self, first: int, nodes: Sequence[Hash32]) -> None:
        """Write new nodes of the tree."""
        self._rows(
            f"{_ROWS} INSERT INTO nodes SELECT ?2 + i, substr(?3, i * 32 + 1, 32) FROM n",
            (len(nodes), first, b"".join(nodes)),
        )

    def put_subjects(self, heads: Mapping[bytes, SubjectHead]) -> None:
        """Write the new ends of some subjects' chains."""
        ends = heads.values()
        self._rows(
            f"{_ROWS} INSERT INTO subjects SELECT substr(?2, i * 32 + 1, 32),"
            " CAST(substr(?3, i * 16 + 1, 16) AS INTEGER), substr(?4, i * 32 + 1, 32)"
            " FROM n WHERE true ON CONFLICT (subject) DO UPDATE SET"
            " next_seq = excluded.next_seq, last_body_hash = excluded.last_body_hash",
            (
                len(heads),
                b"".join(heads),
                b"".join([b"%16d" % end.next_seq for end in ends]),
                b"".join([end.last_body_hash or b"" for end in ends]),
            ),
        )

    def add_intents(self, intents: Sequence[tuple[bytes, bytes, Hash32 | None]]) -> None:
        """Write calls that were admitted."""
        openings = [opening for _, _, opening in intents if opening is not None]
        if len(openings) < len(intents):
            self._many("INSERT INTO intents VALUES (?, ?, ?)", intents)
            return
        drafts = [draft for _, draft, _ in intents]
        self._rows(
            f"{_PARTS} INSERT INTO intents SELECT substr(?2, i * 16 + 1, 16),"
            " substr(?3, at, size), substr(?5, i * 32 + 1, 32) FROM n",
            (
                len(intents),
                b"".join([receipt_id for receipt_id, _, _ in intents]),
                b"".join(drafts),
                _lengths(drafts),
                b"".join(openings),
            ),
        )

    def put_head(self, head: StoredHead) -> None:
        """Write a signed head; one over the same leaves gives way to the newer."""
        self._many(
            "INSERT INTO heads VALUES (?, ?, ?) ON CONFLICT (leaf_count) DO UPDATE SET"
            " timestamp = excluded.timestamp, note = excluded.note",
            [(head.leaf_count, head.timestamp, head.note)],
        )

    def erase(self, leaves: Mapping[LeafIndex, bytes | None]) -> None:
        """Overwrite bodies, raw usage and opening hashes.

        The rows stay, emptied: taking them out would let SQLite move their neighbours to
        other pages, and leave stale copies of those where a later erasure does not reach.
        The drafts in `intents` did get moved about, so their pages are written anew.
        """
        rows = [(leaf,) for leaf in leaves]
        self._many("UPDATE bodies SET body = x'' WHERE leaf = ?", rows)
        self._many("UPDATE raw_usage SET usage = x'' WHERE leaf = ?", rows)
        known = [(receipt_id, leaf) for leaf, receipt_id in leaves.items() if receipt_id]
        unknown = [(leaf,) for leaf, receipt_id in leaves.items() if not receipt_id]
        self._many("UPDATE receipts SET opening_hash = NULL WHERE id = ? AND leaf = ?", known)
        self._many("UPDATE receipts SET opening_hash = NULL WHERE leaf = ?", unknown)
        intents = self._connection.execute("SELECT * FROM intents").fetchall()
        self._connection.execute("DELETE FROM intents")
        self._many("INSERT INTO intents VALUES (?, ?, ?)", intents)

    def erase_usage(self, leaves: Sequence[LeafIndex]) -> None:
        """Overwrite raw usage alone; the rows stay, as in `erase`."""
        rows = [(leaf,) for leaf in leaves]
        self._many("UPDATE raw_usage SET usage = x'' WHERE leaf = ?", rows)

    def _add_ids(self, first: LeafIndex, receipts: NewReceipts) -> None:
        openings = [opening for opening in receipts.opening_hashes if opening is not None]
        ids = receipts.ids
        if openings and len(openings) < len(ids):
            leaves = range(first, first + len(ids))
            rows = [*zip(ids, leaves, receipts.opening_hashes, strict=True)]
            self._many("INSERT INTO receipts VALUES (?, ?, ?)", rows)
            return
        opening = "substr(?4, i * 32 + 1, 32)" if openings else "nullif(?4, ?4)"
        self._rows(
            f"{_ROWS} INSERT INTO receipts SELECT substr(?3, i * 16 + 1, 16), ?2 + i, {opening}"
            " FROM n",
            (len(ids), first, b"".join(ids), b"".join(openings)),
        )

    def _values(self, table: str, first: LeafIndex, values: Sequence[bytes]) -> None:
        """Write values of leaves that follow each other; none where one is empty."""
        self._rows(
            f"{_PARTS} INSERT INTO {table} SELECT ?2 + i, substr(?3, at, size) FROM n"
            " WHERE size > 0",
            (len(values), first, b"".join(values), _lengths(values)),
        )

    def _rows(self, sql: str, parameters: tuple[object, ...]) -> None:
        self._connection.execute(sql, parameters)

    def _many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        if rows:
            self._connection.executemany(sql, rows)


def _lengths(values: Sequence[bytes]) -> bytes:
    return b"%9d" * len(values) % (*map(len, values),)
