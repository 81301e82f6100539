"""The tree and the heads over it, compared with the records one after the other.

Every node is compared with the hash of its children as they are stored, so that a
fault is reported where it is and not once more for every node above it.
"""

from __future__ import annotations

import sqlite3
import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final

from nous_ledger.ledger.fsck_leaves import Fault, KeyEra
from nous_ledger.ledger.growing import grow
from nous_ledger.ledger.model import Tip
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import KeyHistoryError, LedgerError
from nous_ledger.protocol.head import SignedHead, verify_head
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.keyhistory import MAX_EPOCH, KeyHistory, verify_key_history
from nous_ledger.protocol.mmr import bag_peaks, hash_children
from nous_ledger.protocol.record import TYPE_KEY
from nous_ledger.protocol.types import Hash32, LeafCount, LogId, UnixMillis

MAX_KEY_EVENTS: Final = MAX_EPOCH + 2
"""Most key events that a log can have: 63 epochs, genesis, an uncounted close."""

Report = Callable[[Fault], None]


class Keys:
    """The keys of a log at each of its leaf counts, as far as the key history holds."""

    def __init__(self, log_id: LogId, origin: str, histories: list[KeyHistory]) -> None:
        """Take the histories after each of the key events.

        Args:
            log_id: identity of the log as the database names it.
            origin: its name there.
            histories: what the first, the first two, … key events make.
        """
        self.log_id = histories[0].log_id if histories else log_id
        self.origin = (histories[0].genesis.origin if histories else None) or origin
        self._histories = histories
        self._indices = [history.records[-1].index for history in histories]

    def at(self, leaf_count: int) -> KeyHistory | None:
        """Return the key history of a head over some leaves; None if there is none."""
        number = bisect_left(self._indices, leaf_count)
        return self._histories[number - 1] if number else None

    def eras(self) -> tuple[KeyEra, ...]:
        """Return the keys that sign records."""
        last = self._histories[-1].epochs if self._histories else ()
        return tuple(KeyEra(e.first_index, n, e.secp256k1) for n, e in enumerate(last))

    def merge_delay_s(self) -> int | None:
        """Return within how many seconds a head covers every record."""
        return self._histories[0].genesis.max_merge_delay_s if self._histories else None


def read_keys(connection: sqlite3.Connection, leaf_count: LeafCount, report: Report) -> Keys:
    """Return the keys that the records of type 0 establish; what stops them is reported."""
    log_id, origin = connection.execute("SELECT log_id, origin FROM log").fetchone()
    events = connection.execute(
        "SELECT leaf, record, coalesce(body, x'') FROM records LEFT JOIN bodies USING (leaf)"
        " WHERE substr(record, 2, 2) = x'0000' ORDER BY leaf LIMIT ?",
        (MAX_KEY_EVENTS + 1,),
    ).fetchall()
    _check_list(connection, [event[0] for event in events], report)
    if not events:
        _fault(report, "key-event-order", "records", 0, "the log has no key event")
    histories: list[KeyHistory] = []
    pinned = frozenset({LogId(log_id)})
    for number, (leaf, *_) in enumerate(events, start=1):
        entries = [(record, body) for _, record, body in events[:number]]
        try:
            try:
                found = verify_key_history(
                    entries, leaf_count=leaf_count, origin=origin, pinned=pinned
                )
            except KeyHistoryError as error:
                if error.code != "log-id" or number > 1:
                    raise
                _fault(report, "log-id", "log", 1, f"{error.message}, which is that of the table")
                origin, pinned = _named_by(entries[0][1]), frozenset()
                found = verify_key_history(entries, leaf_count=leaf_count, origin=origin)
        except LedgerError as error:
            _fault(report, error.code, "records", leaf, f"key event: {error.message}")
            break
        histories.append(found)
    return Keys(LogId(log_id), origin, histories)


def _named_by(genesis: bytes) -> str:
    body = decode_body(TYPE_KEY, genesis)
    return (body.origin if isinstance(body, KeyEvent) else None) or ""


def _check_list(connection: sqlite3.Connection, leaves: list[int], report: Report) -> None:
    rows = connection.execute("SELECT leaf FROM key_events ORDER BY leaf LIMIT 1000")
    listed = {row[0] for row in rows}
    for leaf in sorted(set(leaves) - listed):
        _fault(report, "row-missing", "key_events", leaf, "the record is a key event")
    for leaf in sorted(listed - set(leaves)):
        _fault(report, "row-leftover", "key_events", leaf, "no such record is a key event")


class TreeChecks:
    """Walks the node array in step with the leaves."""

    def __init__(self, connection: sqlite3.Connection, report: Report) -> None:
        """Read the nodes through a connection and report faults as they show."""
        self._rows = connection.execute("SELECT position, hash FROM nodes ORDER BY position")
        self._ahead: list[tuple[int, bytes]] = []  # read, and not yet taken
        self._report = report
        self._position = 0
        self._leaf_count = 0
        self.peaks: list[bytes] = []

    def take(self, leaf_hash: bytes | None) -> None:
        """Check the nodes that the next leaf adds.

        Args:
            leaf_hash: what the leaf's node must be; None if its record is not there.
        """
        node = self._take(leaf_hash, "the hash of its record")
        merged = self._leaf_count
        while merged & 1:
            left = self.peaks.pop()
            node = self._take(hash_children(left, node), "the hash of its children")
            merged >>= 1
        self.peaks.append(node)
        self._leaf_count += 1

    def take_run(self, leaf_hashes: Sequence[Hash32]) -> bool:
        """Take some leaves at once if all nodes that they add are as they must be.

        Returns:
            Whether they were; if not, nothing is taken or reported.
        """
        tip = Tip(
            leaf_count=LeafCount(self._leaf_count),
            logged_at=UnixMillis(0),
            peaks=tuple([Hash32(peak) for peak in self.peaks]),
        )
        nodes, tip = grow(tip, tip.logged_at, leaf_hashes)
        self._ahead.extend(islice(self._rows, max(0, len(nodes) - len(self._ahead))))
        if self._ahead[: len(nodes)] != list(enumerate(nodes, self._position)):
            return False
        del self._ahead[: len(nodes)]
        self._position += len(nodes)
        self._leaf_count, self.peaks = tip.leaf_count, list(tip.peaks)
        return True

    def root(self) -> Hash32:
        """Return the root over the leaves so far."""
        return bag_peaks([Hash32(peak) for peak in self.peaks])

    def finish(self) -> None:
        """Report nodes beyond those of the leaves."""
        row = self._peek()
        if row is not None:
            beyond = len(self._ahead) + sum(1 for _ in self._rows)
            text = f"{beyond} nodes lie beyond those of {self._leaf_count} leaves"
            _fault(self._report, "row-leftover", "nodes", row[0], text)

    def _take(self, expected: bytes | None, what: str) -> bytes:
        """Return the next node as it is stored, or what it must be if it is missing."""
        position, row = self._position, self._peek()
        self._position = position + 1
        if row is None or row[0] != position:
            _fault(self._report, "row-missing", "nodes", position, "the tree lacks this node")
            return expected or bytes(32)
        del self._ahead[0]
        node: bytes = row[1]
        if node != expected and expected is not None:
            _fault(self._report, "root-mismatch", "nodes", position, f"the node is not {what}")
        return node

    def _peek(self) -> tuple[int, bytes] | None:
        if not self._ahead:
            self._ahead.extend(islice(self._rows, 1))
        return self._ahead[0] if self._ahead else None


class HeadChecks:
    """Walks the stored heads in step with the leaves."""

    def __init__(self, connection: sqlite3.Connection, keys: Keys, report: Report) -> None:
        """Read the heads through a connection and report faults as they show."""
        self._rows = connection.execute(
            "SELECT leaf_count, timestamp, note FROM heads ORDER BY leaf_count"
        )
        self._next: Any = self._rows.fetchone()
        self._keys = keys
        self._report = report
        self._delay_s = keys.merge_delay_s()
        self._last_time = 0
        self.checked = 0
        if self._next is None:
            _fault(report, "row-missing", "heads", None, "the log has no signed head")

    def take(self, leaf_count: int, logged_at: int, root: Callable[[], Hash32]) -> None:
        """Check the head over the leaves so far, if there is one.

        Args:
            leaf_count: leaves so far, the last one included.
            logged_at: time of the last one in milliseconds; -1 if it cannot be read.
            root: returns the root over them.
        """
        if self._delay_s is not None and -1 < logged_at // 1000 < self._last_time - self._delay_s:
            text = f"the head before record {leaf_count - 1} is of a time when it was overdue"
            _fault(self._report, "late", "records", leaf_count - 1, text)
        while self._next is not None and self._next[0] <= leaf_count:
            count, timestamp, note = self._next
            self._next = self._rows.fetchone()
            self.checked += 1
            if count < leaf_count:
                _fault(self._report, "row-leftover", "heads", count, "no log has so few leaves")
                continue
            head = self._verified(count, note)
            if head is not None:
                self._check(head, (count, timestamp), logged_at, root())

    def leaves_before_next(self, leaf_count: int, logged_at: int) -> int:
        """Return how many leaves may follow without anything to check of a head.

        Args:
            leaf_count: leaves so far.
            logged_at: time of the first that follows, milliseconds; no other is earlier.
        """
        if self._delay_s is not None and logged_at // 1000 < self._last_time - self._delay_s:
            return 0
        return sys.maxsize if self._next is None else max(0, self._next[0] - 1 - leaf_count)

    def finish(self, leaf_count: int) -> None:
        """Report heads over leaves that are not there."""
        row = self._next
        while row is not None:
            text = f"a head was signed over {row[0]} leaves, the log has {leaf_count}"
            _fault(self._report, "rollback", "heads", row[0], text)
            row = self._rows.fetchone()

    def _verified(self, count: int, note: bytes) -> SignedHead | None:
        history = self._keys.at(count)
        if history is None:
            return None  # reported already: the key history holds no key for it
        keys = history.epochs[-1]
        try:
            return verify_head(
                note,
                origin=self._keys.origin,
                log_id=history.log_id,
                epoch=history.epoch,
                public_key=keys.secp256k1,
                ed25519=keys.ed25519,
            )
        except LedgerError as error:
            _fault(self._report, error.code, "heads", count, error.message)
            return None

    def _check(
        self, head: SignedHead, stored: tuple[int, int], logged_at: int, root: Hash32
    ) -> None:
        count, timestamp = stored
        checkpoint = head.checkpoint
        if (checkpoint.leaf_count, head.timestamp) != (count, timestamp):
            text = f"the row is of another head: {checkpoint.leaf_count} leaves, {head.timestamp}"
            _fault(self._report, "row-mismatch", "heads", count, text)
        elif checkpoint.root != root:
            text = f"the log signed {checkpoint.root.hex()}, its records lead to {root.hex()}"
            _fault(self._report, "fork", "heads", count, text)
        if head.timestamp < logged_at // 1000:
            text = f"the head is of {head.timestamp}, before its last record"
            _fault(self._report, "head-time", "heads", count, text)
        if head.timestamp < self._last_time:
            text = f"the head is of {head.timestamp}, before the one over fewer leaves"
            _fault(self._report, "head-time", "heads", count, text)
        self._last_time = max(self._last_time, head.timestamp)


def _fault(report: Report, code: str, table: str, index: int | None, message: str) -> None:
    report(Fault(code=code, table=table, index=index, message=message))
