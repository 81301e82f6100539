"""What the tests of the ledger share: an audit that trusts nothing, and what a stranger sees.

The audit reads the database with plain SQL and computes tree, chains and hashes in
its own naive way; only signatures are checked by the library.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.head import decode_head_signature, verify_head_signature
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record, verify_record
from nous_ledger.protocol.report import Report
from nous_ledger.protocol.types import LogId
from nous_ledger.protocol.verify import verify_bundle


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """The tree head of RFC 9162 section 2.1.1, by its definition."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    left, right = naive_root(leaves[:split]), naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found in a database that holds together."""

    records: tuple[bytes, ...]
    bodies: tuple[bytes, ...]
    receipts: dict[bytes, int]
    intents: frozenset[bytes]
    leaves: tuple[bytes, ...]

    def root(self, leaf_count: int) -> bytes:
        return naive_root(self.leaves[:leaf_count])


def audit(folder: Path) -> Audit:
    """Check everything that the database of a ledger says and return it."""
    connection = sqlite3.connect(folder / "ledger.db")
    try:
        return _audit(connection)
    finally:
        connection.close()


def _audit(connection: sqlite3.Connection) -> Audit:
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    ((log_id, origin),) = connection.execute("SELECT log_id, origin FROM log")
    rows = connection.execute("SELECT leaf, record FROM records ORDER BY leaf").fetchall()
    bodies = dict(connection.execute("SELECT leaf, body FROM bodies"))
    records = tuple(row[1] for row in rows)
    assert [row[0] for row in rows] == list(range(len(rows))), "the indices have gaps"
    genesis = decode_body(0, bodies[0])
    assert isinstance(genesis, KeyEvent)
    _check_records(records, bodies, LogId(log_id), genesis)
    receipts = _check_chains(records, bodies, connection)
    leaves = tuple(hashlib.sha256(b"\x00" + record).digest() for record in records)
    _check_nodes(leaves, connection)
    _check_heads(records, leaves, connection, (LogId(log_id), origin, genesis.secp256k1))
    intents = frozenset(row[0] for row in connection.execute("SELECT id FROM intents"))
    assert intents.isdisjoint(receipts), "a call has both an intent and a receipt"
    return Audit(
        records=records,
        bodies=tuple(bodies[leaf] for leaf in range(len(records))),
        receipts=receipts,
        intents=intents,
        leaves=leaves,
    )


def _check_records(
    records: Sequence[bytes], bodies: dict[int, bytes], log_id: LogId, genesis: KeyEvent
) -> None:
    before = 0
    for index, data in enumerate(records):
        record = verify_record(data, log_id, genesis.secp256k1)
        assert (record.index, record.epoch) == (index, 0)
        assert record.logged_at >= before, "logged_at went back"
        before = record.logged_at
        assert hashlib.sha256(bodies[index]).digest() == record.body_hash


def _check_chains(
    records: Sequence[bytes], bodies: dict[int, bytes], connection: sqlite3.Connection
) -> dict[bytes, int]:
    ends: dict[bytes, tuple[int, bytes | None]] = {}
    receipts: dict[bytes, int] = {}
    for index, data in enumerate(records[1:], start=1):
        body = decode_body(decode_record(data).type, bodies[index])
        assert isinstance(body, Receipt)
        sequence, previous = ends.get(body.subject, (0, None))
        assert (body.subject_seq, body.subject_prev) == (sequence, previous)
        ends[body.subject] = (sequence + 1, hashlib.sha256(bodies[index]).digest())
        assert body.id not in receipts, "a call has two receipts"
        receipts[body.id] = index
    stored = connection.execute("SELECT subject, next_seq, last_body_hash FROM subjects")
    assert {row[0]: (row[1], row[2]) for row in stored} == ends
    assert dict(connection.execute("SELECT id, leaf FROM receipts")) == receipts
    return receipts


def _check_nodes(leaves: Sequence[bytes], connection: sqlite3.Connection) -> None:
    expected: list[bytes] = []
    for index, leaf in enumerate(leaves):
        expected.append(leaf)
        size = 2
        while (index + 1) % size == 0:  # the leaf completes a subtree of this size
            expected.append(naive_root(leaves[index + 1 - size : index + 1]))
            size *= 2
    rows = connection.execute("SELECT position, hash FROM nodes ORDER BY position").fetchall()
    assert rows == list(enumerate(expected))


def _check_heads(
    records: Sequence[bytes],
    leaves: Sequence[bytes],
    connection: sqlite3.Connection,
    log: tuple[LogId, str, bytes],
) -> None:
    before = 0
    for leaf_count, timestamp, note in connection.execute("SELECT * FROM heads ORDER BY 1"):
        assert check_head(note, leaves[:leaf_count], log) == timestamp
        assert timestamp >= before, "the time of heads went back"
        assert timestamp >= decode_record(records[leaf_count - 1]).logged_at // 1000
        before = timestamp


def check_head(note: bytes, leaves: Sequence[bytes], log: tuple[LogId, str, bytes]) -> int:
    """Check a head against the leaves it covers; return its time."""
    log_id, origin, key = log
    parsed = parse_note(note)
    checkpoint = parse_checkpoint(parsed.text)
    assert checkpoint == Checkpoint(
        origin=origin,
        leaf_count=type(checkpoint.leaf_count)(len(leaves)),
        root=type(checkpoint.root)(naive_root(leaves)),
    )
    signature = decode_head_signature(parsed.signatures[1].payload)
    verify_head_signature(checkpoint, log_id, signature, key)
    return signature.timestamp


def error_code(work: Callable[[], object]) -> str:
    """Return the code of the error that some work fails with; it must say what to do."""
    with pytest.raises(LedgerError) as caught:
        work()
    assert caught.value.hint
    return caught.value.code


def head_time(note: bytes) -> int:
    return decode_head_signature(parse_note(note).signatures[1].payload).timestamp


def head_count(note: bytes) -> int:
    return parse_checkpoint(parse_note(note).text).leaf_count


def verified(ledger: Ledger, proof: bytes) -> Report:
    """What a stranger with the policy of the log finds in a proof."""
    return verify_bundle(proof, parse_policy(ledger.policy_text()))
