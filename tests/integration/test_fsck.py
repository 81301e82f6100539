"""The check of a whole ledger: an honest one is clean, and every alteration is found."""

# ruff: noqa: S608 - the tests name tables and rows in the SQL that damages them.

import random
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import LEDGER_ERROR_CODES, Ledger
from nous_ledger.ledger import fsck as fsck_module
from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.fsck import FsckReport, fsck
from nous_ledger.ledger.fsck_chains import ChainEnds
from nous_ledger.ledger.keys import read_log_keys
from nous_ledger.protocol import batch
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import ERROR_CODES
from nous_ledger.protocol.hashing import raw_usage_hash, sha256
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.mmr import append_nodes, node_count, peak_positions
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import leaf_hash, sign_record
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    LogId,
    UnixMillis,
    UnixSeconds,
)
from tests.integration.ledger_audit import error_code
from tests.integration.ledger_damage import CASES, NOT_SHOWN, alter, flip, read, sign_again
from tests.integration.ledger_drafts import ORIGIN, START_MS, Clock, make_draft, make_intent

LEAVES = 14
USAGE = (b'{"input_tokens":120}', b'{"output_tokens":45}')


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with receipts of five subjects, raw usage, heads and an open intent."""
    base = tmp_path_factory.mktemp("made")
    clock, seed = Clock(), random.Random(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(base / "state"))
        ledger = Ledger.create(base / "ledger", next_key_out=None, origin=ORIGIN, clock=clock)
    with ledger:
        with_usage = make_draft(seed, raw_usage_hash=raw_usage_hash(USAGE))
        ledger.append_receipt(with_usage, raw_usage=USAGE)
        for number in range(LEAVES - 2):
            clock.now_ms += 1000
            ledger.append_receipt(make_draft(seed), opening_hash=bytes([number]) * 32)
            if number % 3 == 0:
                ledger.head()
        ledger.begin_call(make_intent(seed))
        ledger.head()
    return base / "ledger"


@pytest.fixture
def closed(made: Path, tmp_path: Path) -> Path:
    """A copy of it that nobody has open."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


def codes(report: FsckReport) -> set[tuple[str, str]]:
    assert len(report.faults) == report.fault_count >= report.unchecked_count
    for fault in report.faults:
        assert fault.code in ERROR_CODES.keys() | LEDGER_ERROR_CODES.keys()
        assert fault.message
    return {(fault.code, fault.table) for fault in report.faults}


def test_an_honest_ledger_is_clean(closed: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = fsck(closed, progress=lambda done, total: seen.append((done, total)))
    assert report.faults == ()
    assert (report.origin, report.leaf_count, report.erased) == (ORIGIN, LEAVES, 0)
    assert report.heads == len(read(closed, "SELECT * FROM heads")) > 3
    assert seen == [(LEAVES, LEAVES)]


def test_a_ledger_in_use_is_clean(folder: Path, clock: Clock, seed: random.Random) -> None:
    with Ledger.create(folder, next_key_out=None, clock=clock) as ledger:
        assert fsck(folder).fault_count == 0
        ledger.append_many([make_draft(seed) for _ in range(3)])
        assert fsck(folder).fault_count == 0  # not yet covered by a head

        def append(_done: int, _total: int) -> None:
            ledger.append(make_draft(seed))  # beyond the snapshot that is checked

        report = fsck(folder, progress=append)
        assert (report.leaf_count, report.faults) == (4, ())
        assert ledger.leaf_count() > 4


def test_processes_find_what_threads_find(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck_module, "WORTH_PROCESSES", 1)
    monkeypatch.setattr(fsck_module, "_AT_A_TIME", 4)
    assert fsck(closed, processes=2).fault_count == 0
    alter(closed, flip("records", "leaf", "record", 60, row=7))
    assert fsck(closed, processes=2) == fsck(closed)


@pytest.mark.parametrize("name", CASES)
def test_every_alteration_is_found(
    closed: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the signatures are checked one by one or, as of a long log, together."""
    edit, expected = CASES[name]
    alter(closed, edit)
    report = fsck(closed)
    assert codes(report) == expected
    assert bool(expected) or name in NOT_SHOWN
    monkeypatch.setattr(batch, "WORTH_TOGETHER", 1)
    assert fsck(closed) == report


def test_a_fault_is_reported_at_its_place(closed: Path) -> None:
    alter(closed, flip("records", "leaf", "record", 60, row=5))
    places = {(fault.table, fault.index) for fault in fsck(closed).faults}
    assert places == {("records", 5), ("nodes", 8)}
    alter(closed, flip("nodes", "position", "hash", 0, row=9))  # parent of 7 and 8
    more = {(fault.table, fault.index) for fault in fsck(closed).faults}
    assert more == {*places, ("nodes", 9), ("nodes", 13), ("heads", 6)}


def test_a_damaged_time_puts_no_other_record_in_the_wrong(closed: Path) -> None:
    alter(closed, flip("records", "leaf", "record", 16, row=3))
    found = {(f.code, f.index) for f in fsck(closed).faults if f.table == "records"}
    assert found == {("mismatch", 3)}


def test_swapped_records(closed: Path) -> None:
    def swap(connection: sqlite3.Connection) -> None:
        rows = dict(connection.execute("SELECT leaf, record FROM records WHERE leaf IN (5, 6)"))
        connection.execute("UPDATE records SET record = ? WHERE leaf = 5", (rows[6],))
        connection.execute("UPDATE records SET record = ? WHERE leaf = 6", (rows[5],))

    alter(closed, swap)
    report = fsck(closed)
    assert {("record-index", "records"), ("body-hash", "bodies")} <= codes(report)
    assert {f.index for f in report.faults if f.code == "record-index"} == {5, 6}
    assert {f.index for f in report.faults if f.code == "head-time"} == {6}


def test_a_rolled_back_database(closed: Path) -> None:
    """Everything above nine leaves is gone but the heads: the log must not go on from there."""

    def roll_back(connection: sqlite3.Connection) -> None:
        for table in ("records", "bodies", "receipts", "raw_usage"):
            connection.execute(f"DELETE FROM {table} WHERE leaf >= 9")
        connection.execute("DELETE FROM nodes WHERE position >= 16")

    alter(closed, roll_back)
    report = fsck(closed)
    assert report.leaf_count == 9
    assert ("rollback", "heads") in codes(report)
    assert [f.index for f in report.faults if f.code == "rollback"] == [12, 14]


def _forged_head(folder: Path, root: bytes, count: int, timestamp: int) -> bytes:
    """Return a head that the log's own keys signed."""
    keys = read_log_keys(folder / KEYS_NAME, None)
    ((log_id,),) = read(folder, "SELECT log_id FROM log")
    return sign_head(
        Checkpoint(origin=ORIGIN, leaf_count=LeafCount(count), root=Hash32(root)),
        log_id=LogId(log_id),
        epoch=Epoch(0),
        timestamp=UnixSeconds(timestamp),
        key=keys.signing_key(),
        ed25519=keys.ed25519_key(),
    )


def _put_head(folder: Path, note: bytes, count: int, timestamp: int) -> None:
    alter(
        folder,
        lambda connection: connection.execute(
            "INSERT OR REPLACE INTO heads VALUES (?, ?, ?)", (count, timestamp, note)
        ),
    )


def test_two_heads_that_disagree(closed: Path) -> None:
    """HEAD-15."""
    timestamp = START_MS // 1000 + 6
    _put_head(closed, _forged_head(closed, bytes(32), 7, timestamp), 7, timestamp)
    (fault,) = fsck(closed).faults
    assert (fault.code, fault.table, fault.index) == ("fork", "heads", 7)


def test_a_head_that_another_key_signed(closed: Path) -> None:
    ((note, count, timestamp),) = read(
        closed, "SELECT note, leaf_count, timestamp FROM heads ORDER BY 2 DESC LIMIT 1"
    )
    _put_head(closed, note.replace(b"\n14\n", b"\n13\n"), 13, timestamp)
    assert codes(fsck(closed)) == {("mismatch", "heads")}
    _put_head(closed, note[:-1], count, timestamp)
    assert ("note-format", "heads") in codes(fsck(closed))


@pytest.mark.parametrize(("shift", "code"), [(-100_000, "head-time"), (100_000, "late")])
def test_heads_out_of_time(closed: Path, shift: int, code: str) -> None:
    """HEAD-8, HEAD-13."""
    ((note, timestamp),) = read(closed, "SELECT note, timestamp FROM heads WHERE leaf_count = 6")
    root = _root_of(note)
    moved = timestamp + shift
    _put_head(closed, _forged_head(closed, root, 6, moved), 6, moved)
    found = fsck(closed)
    assert code in {fault.code for fault in found.faults}
    assert {fault.code for fault in found.faults} <= {"head-time", "late"}


def _root_of(note: bytes) -> bytes:
    return parse_checkpoint(parse_note(note).text).root


@pytest.mark.parametrize("changes", [{"subject_seq": 90}, {"subject_prev": bytes(32)}])
def test_a_wrong_subject_chain(closed: Path, changes: dict[str, Any]) -> None:
    """SUBJ-3."""
    last = LEAVES - 1
    alter(closed, lambda c: c.execute("DELETE FROM heads WHERE leaf_count > 12"))
    body = decode_body(1, read(closed, f"SELECT body FROM bodies WHERE leaf = {last}")[0][0])
    assert isinstance(body, Receipt)
    assert body.subject_seq
    sign_again(closed, last, lambda body: replace(body, **changes))
    assert ("subject-chain", "bodies") in codes(fsck(closed))


def test_a_record_of_a_newer_kind_could_not_be_checked(closed: Path, clock: Clock) -> None:
    """REC-9: what is not known here is not called wrong."""
    clock.now_ms += 10**6
    keys = read_log_keys(closed / KEYS_NAME, None)
    ((log_id,),) = read(closed, "SELECT log_id FROM log")
    record = sign_record(
        keys.signing_key(),
        LogId(log_id),
        type=700,
        epoch=Epoch(0),
        index=LeafIndex(LEAVES),
        logged_at=UnixMillis(clock.now_ms),
        body_hash=sha256(b"new"),
    )
    nodes = append_nodes(LeafCount(LEAVES), leaf_hash(record), _peaks(closed))

    def append(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO records VALUES (?, ?)", (LEAVES, record))
        connection.execute("INSERT INTO bodies VALUES (?, ?)", (LEAVES, b"new"))
        rows = list(enumerate(nodes, node_count(LeafCount(LEAVES))))
        connection.executemany("INSERT INTO nodes VALUES (?, ?)", rows)

    alter(closed, append)
    report = fsck(closed)
    assert codes(report) == {("unknown-type", "bodies")}
    assert (report.fault_count, report.unchecked_count) == (1, 1)


def _peaks(folder: Path) -> list[Hash32]:
    stored = dict(read(folder, "SELECT position, hash FROM nodes"))
    return [Hash32(stored[position]) for position in peak_positions(LeafCount(LEAVES))]


def test_a_body_that_breaks_a_rule(closed: Path) -> None:
    """BODY-10."""
    sign_again(closed, 5, lambda body: replace(body, time=START_MS + 10**9))
    assert ("time-order", "bodies") in codes(fsck(closed))


def test_redacted_bodies_are_no_fault(closed: Path, clock: Clock) -> None:
    """RED-1, RED-2: chains skip what was erased, at their beginning, middle and end."""
    clock.now_ms += 10**6
    with Ledger.open(closed, clock=clock) as ledger:
        for indices in ((3,), (4, 5, 6), (1, 12, 13)):
            ledger.redact(indices, "retention")
            assert fsck(closed).faults == ()
        assert fsck(closed).erased == 7
        ledger.redact((2, 7, 8, 9, 10, 11), "retention")
    assert fsck(closed).faults == ()


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM receipts WHERE leaf = 4", "row-missing"),
        ("UPDATE receipts SET leaf = 5 WHERE leaf = 4", "row-missing"),
        ("UPDATE receipts SET leaf = 5 WHERE leaf = 4", "row-mismatch"),
        ("INSERT INTO receipts VALUES (zeroblob(16), 5, NULL)", "row-mismatch"),
        ("UPDATE receipts SET id = x'05' WHERE leaf = 4", "row-mismatch"),
        ("UPDATE receipts SET opening_hash = zeroblob(32) WHERE leaf = 4", "row-leftover"),
    ],
)
def test_ids_of_erased_receipts(closed: Path, clock: Clock, sql: str, code: str) -> None:
    with Ledger.open(closed, clock=clock) as ledger:
        ledger.redact((4, 5), "retention")
    assert fsck(closed).faults == ()
    alter(closed, sql)
    assert (code, "receipts") in codes(fsck(closed))


def test_a_redaction_that_was_not_carried_out(closed: Path, clock: Clock) -> None:
    ((body,),) = read(closed, "SELECT body FROM bodies WHERE leaf = 5")
    clock.now_ms += 10**6
    with Ledger.open(closed, clock=clock) as ledger:
        ledger.redact((4, 5), "retention")
    alter(closed, lambda c: c.execute("UPDATE bodies SET body = ? WHERE leaf = 5", (body,)))
    (fault,) = fsck(closed).faults
    assert (fault.code, fault.table, fault.index) == ("row-leftover", "bodies", 5)


def test_a_wrong_key_history(closed: Path, folder: Path) -> None:
    """KEY-25: a record of type 0 that is no key event."""
    alter(
        closed,
        "UPDATE records SET record ="
        " CAST(substr(record, 1, 1) || x'0000' || substr(record, 4) AS BLOB)"
        " WHERE leaf = 9",
    )
    found = codes(fsck(closed))
    assert ("row-missing", "key_events") in found
    assert {table for code, table in found if code == "mismatch"} == {"records"}
    assert any(f.message.startswith("key event: ") and f.index == 9 for f in fsck(closed).faults)


def test_random_bits_of_the_file(closed: Path, seed: random.Random) -> None:
    """A flipped bit in any value that stands in the file is found, or nothing can be read."""
    data = (closed / "ledger.db").read_bytes()
    values = [row[0] for row in read(closed, "SELECT record FROM records")]
    values += [row[0] for row in read(closed, "SELECT body FROM bodies")]
    values += [row[0] for row in read(closed, "SELECT hash FROM nodes")]
    for value in seed.sample(values, 12):
        altered = bytearray(data)
        altered[data.index(value) + seed.randrange(len(value))] ^= 1 << seed.randrange(8)
        (closed / "ledger.db").write_bytes(altered)
        assert fsck(closed).fault_count
    (closed / "ledger.db").write_bytes(data)
    assert fsck(closed).fault_count == 0


def test_damaged_pages(closed: Path) -> None:
    data = (closed / "ledger.db").read_bytes()
    found: set[str] = set()
    for page in range(1, len(data) // 4096):
        altered = bytearray(data)
        altered[page * 4096 : page * 4096 + 8] = b"\xff" * 8
        (closed / "ledger.db").write_bytes(altered)
        found.update(fault.code for fault in fsck(closed).faults)
        assert fsck(closed).fault_count
    assert "store-corrupt" in found


def test_what_cannot_be_checked(tmp_path: Path, closed: Path) -> None:
    assert error_code(lambda: fsck(tmp_path / "absent")) == "not-a-ledger"
    alter(closed, "PRAGMA user_version = 99")
    assert error_code(lambda: fsck(closed)) == "store-newer"
    (closed / "ledger.db").write_bytes(b"no database" * 300)
    assert error_code(lambda: fsck(closed)) == "store-foreign"


def test_many_faults_are_counted(closed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck_module, "MAX_LISTED", 5)
    alter(closed, "UPDATE bodies SET body = x'80' WHERE leaf > 0")
    report = fsck(closed)
    assert (len(report.faults), report.fault_count) == (5, LEAVES - 1)


def test_chains_of_more_subjects_than_memory_holds() -> None:
    with ChainEnds(max_in_memory=3) as ends:
        for number in range(20):
            ends.put(bytes([number % 10]), (number, bytes(32)))
            assert ends.get(bytes([number % 10])) == (number, bytes(32))
        assert ends.get(b"\xff") is None
        assert [row[:2] for row in ends.all()] == [(bytes([n]), n + 10) for n in range(10)]
