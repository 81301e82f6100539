"""What a sentinel remembers: it survives, it belongs to one process, it answers in O(log n)."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.protocol.errors import InputError, UnavailableError
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.types import LeafCount, LeafIndex
from sentinel.audit.findings import Finding, Place
from sentinel.audit.ports import ChainEnd, Changes, Claim, Receipt, Used, Withheld
from sentinel.errors import SENTINEL_ERROR_CODES, SentinelUseError, StateError
from sentinel.state import LogRow, State
from sentinel.state_file import default_state, state_folder
from sentinel.state_findings import (
    MAX_ALIKE,
    acknowledge,
    list_findings,
    mark_told,
    read_finding,
    untold_findings,
)
from sentinel.state_memory import LogMemory
from sentinel.state_schema import ERA_BITS, MIGRATIONS
from sentinel.state_tree import Tiles
from tests.integration.ledger_audit import naive_root

LOG = "log.example/main"
NOTHING = Changes(subjects={}, nonces={}, wallets={})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "state.sqlite"


@pytest.fixture
def state(path: Path) -> Iterator[State]:
    with State.held(path) as opened:
        yield opened


@pytest.fixture
def memory(state: State) -> LogMemory:
    return open_log(state)


def open_log(state: State, audited: int = 0) -> LogMemory:
    return LogMemory(state, state.log(LOG, b"i" * 32), LeafCount(audited))


def commit(memory: LogMemory, text: str = "{}") -> None:
    memory.commit(text, log_id=b"i" * 32, address="here", now=1)


def key(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def finding(index: int = 5, code: str = "mismatch", place: Place = Place.RECORD) -> Finding:
    return Finding(place=place, code=code, message="m", index=LeafIndex(index))


def error_code(path: Path, *, create: bool = False) -> str:
    with pytest.raises(StateError) as caught:
        State(path, create=create)
    assert caught.value.hint == SENTINEL_ERROR_CODES[caught.value.code].hint
    return caught.value.code


def test_a_new_file_is_its_owners_alone(state: State, path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert state.logs() == ()


def test_a_second_sentinel_is_refused(state: State, path: Path) -> None:
    with pytest.raises(StateError) as caught, State.held(path):
        pass
    assert caught.value.code == "state-busy"
    with State(path) as reader:  # reading, and acknowledging, go on
        assert reader.logs() == ()


def test_a_lock_ends_with_its_process(path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from sentinel.state import State\n"
        "with State.held(Path(sys.argv[1])):\n    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    with State.held(path) as again:
        assert again.logs() == ()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be one" * 9, b"x"])
def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other"
    file.write_bytes(content)
    assert error_code(file, create=True) == "state-foreign"
    assert file.read_bytes() == content


def test_a_database_of_another_program(tmp_path: Path) -> None:
    file = tmp_path / "other.sqlite"
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE x (y)")
    other.close()
    assert error_code(file) == "state-foreign"


def test_a_newer_state(state: State, path: Path) -> None:
    state.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 2}")
    assert error_code(path) == "state-newer"


def test_a_damaged_state(state: State, path: Path) -> None:
    open_log(state)
    state.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    state.connection.close()
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StateError) as caught, State(path) as opened:
        opened.logs()
    assert caught.value.code == "state-corrupt"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    assert error_code(tmp_path / "missing" / "x") == "state-io"
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StateError) as caught, State.held(tmp_path / "file" / "x"):
        pass
    assert caught.value.code == "state-io"


def test_an_older_state_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration runs once, and a failing one leaves the file as it was."""
    with State.held(path) as state:
        commit(open_log(state), '{"at": 1}')

    def fail(_: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError

    def grow(connection: sqlite3.Connection) -> None:
        connection.execute("ALTER TABLE logs ADD COLUMN note TEXT")

    for step in (fail, grow, grow):
        monkeypatch.setattr("sentinel.state.MIGRATIONS", (*MIGRATIONS, step))
        try:
            with State(path) as state:
                assert state.logs()[0].state == '{"at": 1}'
                state.connection.execute("SELECT note FROM logs")
        except StateError:
            assert step is fail


def test_receipts_of_a_state_without_streams_were_taken_by_none(path: Path) -> None:
    """A state of the first version has read receipts that no stream ever saw."""
    with State.held(path) as state:
        commit(open_log(state), '{"totals": {"receipts": 7}}')
        for table in ("streams", "samples", "stream_services", "stream_sums"):
            state.connection.execute(f"DROP TABLE {table}")
        state.connection.execute("PRAGMA user_version = 1")
    with State(path) as state:
        streams = open_log(state).streams.view.streams
        assert (streams.receipts, streams.unread) == (0, 7)


def test_where_states_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each log has its own, whatever its name."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    names = {default_state(origin) for origin in ("a/b", "a_b", "a" * 255, "a" * 254, "x/../y")}
    assert len(names) == 5
    assert {name.parent for name in names} == {tmp_path / "nous-sentinel"}
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home-of-nobody")
    assert state_folder() == Path("/home-of-nobody/.local/state/nous-sentinel")
    monkeypatch.delenv("HOME")
    with pytest.raises(InputError):
        state_folder()


def test_one_of_several_pinned_logs(state: State) -> None:
    unknown = state.pinned_log(LOG, {b"a" * 32, b"b" * 32})
    assert unknown.log_id == b""
    memory = LogMemory(state, unknown, LeafCount(0))
    memory.commit("{}", log_id=b"b" * 32, address="x", now=1)
    known = state.pinned_log(LOG, {b"a" * 32, b"b" * 32})
    assert (known.number, known.log_id) == (unknown.number, b"b" * 32)
    other = state.pinned_log(LOG, {b"c" * 32})
    assert other.number != known.number


@pytest.mark.parametrize("count", [1, 255, 256, 257, 700, 65_536 + 300])
def test_the_root_at_any_earlier_count(state: State, count: int) -> None:
    """HEAD-9, whether the leaves were committed or not, and after opening again."""
    leaves = [key(n % 777) for n in range(count)]
    memory = open_log(state)
    step = 256 if count < 1_000 else 4_096
    for at in range(0, count, step):
        memory.take(b"".join(leaves[at : at + step]), NOTHING)
        if at % 512 == 0:
            commit(memory)
    earlier = sorted({1, 2, count // 3, count - 1, count}.intersection(range(1, count + 1)))
    roots = [naive_root(leaves[:n]) for n in earlier]
    assert [read_root(memory.read_nodes, LeafCount(n)) for n in earlier] == roots
    commit(memory)
    again = open_log(state, count)
    assert [read_root(again.read_nodes, LeafCount(n)) for n in earlier] == roots
    with pytest.raises(UnavailableError):
        read_root(again.read_nodes, LeafCount(count + 1))


def test_leaves_go_on_where_they_were(state: State) -> None:
    """In steps of any size, each after opening anew."""
    leaves = [key(n) for n in range(600)]
    done = 0
    for step in (1, 2, 250, 3, 256, 88):
        memory = open_log(state, done)
        memory.take(b"".join(leaves[done : done + step]), NOTHING)
        commit(memory)
        done += step
    assert done == 600
    root = read_root(Tiles(state.connection, 1, LeafCount(600)).read_nodes, LeafCount(600))
    assert root == naive_root(leaves)


def changes(leaf: int = 3) -> Changes:
    return Changes(
        receipts=(Receipt(key(1)[:16], LeafIndex(leaf), key(2), 7),),
        subjects={key(2): ChainEnd(7, key(3), LeafIndex(leaf))},
        nonces={b"w" * 20: Used(9, LeafIndex(4))},
        wallets={key(2): b"w" * 20, key(4): None},
        withheld=(
            Withheld(LeafIndex(5), 1, key(5), 100),
            Withheld(LeafIndex(6), 4, key(6), 101),
        ),
        announced=(LeafIndex(7),),
        claims=(Claim(LeafIndex(8), 4),),
    )


def check_changes(memory: LogMemory) -> None:
    assert memory.receipts([key(1)[:16], key(9)[:16]]) == {key(1)[:16]: 3}
    assert memory.chain_ends([key(2), key(9)]) == {key(2): (7, key(3), 3)}
    assert memory.nonces([b"w" * 20, b"v" * 20]) == {b"w" * 20: (9, 4)}
    assert memory.wallets([key(2), key(4), key(9)]) == {key(2): b"w" * 20, key(4): None}
    assert memory.withheld([key(5), key(6), key(9)]) == {key(5): 5}
    assert set(memory.announced([LeafIndex(5), LeafIndex(7)])) == {7}


def test_what_was_taken_is_known_before_and_after_the_commit(state: State) -> None:
    memory = open_log(state)
    memory.take(b"", changes())
    check_changes(memory)
    commit(memory)
    check_changes(memory)
    memory = open_log(state)
    check_changes(memory)
    assert memory.claims(9) == ((8, 4),)
    memory.forget_claims([LeafIndex(8)])
    assert memory.claims(9) == ()
    assert memory.unannounced(101, 9) == ((5, 1, key(5), 100),)
    assert memory.unannounced(102, 1) == ((5, 1, key(5), 100),)
    announced = Changes(subjects={}, nonces={}, wallets={}, announced=(LeafIndex(5),))
    memory.take(b"", announced)
    commit(memory)
    assert memory.unannounced(102, 9) == ((6, 4, key(6), 101),)
    assert memory.withheld([key(5)]) == {key(5): 5}


def test_nothing_stays_of_what_was_not_committed(state: State, memory: LogMemory) -> None:
    memory.take(key(1), changes())
    memory.findings.add([finding()], now=1)
    state.connection.close()
    with State(state.path) as again:
        reopened = open_log(again)
        assert reopened.receipts([key(1)[:16]]) == {}
        assert list_findings(again) == ()
        with pytest.raises(UnavailableError):
            read_root(reopened.read_nodes, LeafCount(1))


def test_receipts_of_a_subject_across_eras(memory: LogMemory) -> None:
    for seq in range(6):
        leaf = LeafIndex(seq << (ERA_BITS - 1))
        receipt = Receipt(key(seq)[:16], leaf, key(99), seq)
        ends = {key(99): ChainEnd(seq, key(seq), leaf)}
        memory.take(b"", Changes(receipts=(receipt,), subjects=ends, nonces={}, wallets={}))
    commit(memory)
    assert memory.receipt_leaves(key(99), 1, 4) == {s: s << (ERA_BITS - 1) for s in (1, 2, 3, 4)}
    assert memory.receipt_leaves(key(98), 0, 9) == {}


def test_many_subjects_are_not_all_kept_in_memory(
    memory: LogMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentinel.state_memory._CACHED", 10)
    for at in range(0, 60, 20):
        ends = {key(n): ChainEnd(n, key(n), LeafIndex(n)) for n in range(at, at + 20)}
        memory.take(b"", Changes(subjects=ends, nonces={}, wallets={}))
        commit(memory)
    assert len(memory._ends) == 0
    assert len(memory.chain_ends([key(n) for n in range(80)])) == 60


def test_findings_are_counted_and_stand_until_acknowledged(state: State, memory: LogMemory) -> None:
    memory.findings.add([finding(), finding(), finding(6)], now=10)
    memory.findings.flush()
    memory.findings.add([finding()], now=20)
    memory.findings.add([finding(code="stale", place=Place.HEAD)], now=20)
    memory.findings.add([finding(9, code="stale", place=Place.HEAD)], now=21)
    memory.findings.flush()
    found = list_findings(state, memory.row.number)
    assert [(f.index, f.times, f.first_at, f.last_at) for f in found] == [
        (5, 3, 10, 20),
        (6, 1, 10, 10),
        (5, 2, 20, 21),
    ]
    assert memory.findings.open_count() == 2
    acknowledge(state, 1, by="ana", reason="known", now=30)
    done = acknowledge(state, 1, by="eve", reason="other", now=31)
    assert (done.acknowledged_by, done.reason, done.acknowledged_at) == ("ana", "known", 30)
    assert memory.findings.open_count() == 1
    with pytest.raises(SentinelUseError) as caught:
        acknowledge(state, 99, by="ana", reason="x", now=1)
    assert caught.value.code == "no-such-finding"


def test_what_is_acknowledged_and_happens_again(state: State, memory: LogMemory) -> None:
    """Known evidence says nothing new; what nobody can prove is listed anew."""
    proved = Finding(place=Place.HEAD, code="fork", message="m", evidence=b"{}")
    bare = finding(code="mismatch", place=Place.HEAD)
    memory.findings.add([proved, bare], now=1)
    memory.findings.flush()
    for number in (1, 2):
        acknowledge(state, number, by="ana", reason="known", now=2)
    memory.findings.add([proved, bare], now=3)
    memory.findings.flush()
    assert [(f.id, f.code, f.is_open) for f in list_findings(state)] == [
        (1, "fork", False),
        (2, "mismatch", False),
        (3, "mismatch", True),
    ]
    assert read_finding(state, 1)[1] == b"{}"


def test_a_flood_of_findings_is_counted(state: State, memory: LogMemory) -> None:
    memory.findings.add([finding(n) for n in range(MAX_ALIKE + 50)], now=1)
    memory.findings.add([finding(1, "backdated")], now=2)
    memory.findings.flush()
    found = list_findings(state)
    assert len(found) == MAX_ALIKE + 1
    assert found[MAX_ALIKE - 1].times == 51


def test_evidence_that_is_made_later(state: State, memory: LogMemory) -> None:
    late = Finding(
        place=Place.RECORD,
        code="late",
        message="m",
        index=LeafIndex(5),
        attrs={"records": 2},
        cites=(LeafIndex(5),),
    )
    memory.findings.add([late, finding()], now=1)
    memory.findings.flush()
    ((number, back),) = memory.findings.without_evidence(9)
    assert back == late
    memory.findings.set_evidence(number, b"proof")
    assert memory.findings.without_evidence(9) == ()
    assert read_finding(state, number)[1] == b"proof"


def test_who_was_told_what(state: State, memory: LogMemory) -> None:
    memory.findings.add([finding(n) for n in range(3)], now=1)
    memory.findings.add([finding(code="stale", place=Place.HEAD)], now=1)
    memory.findings.flush()
    log = memory.row.number
    assert [found.id for found in untold_findings(state, log, 2)] == [1, 2]
    mark_told(state, 2)
    mark_told(state, 1)
    assert [found.id for found in untold_findings(state, log, 9)] == [3]


def test_a_round_is_remembered(state: State, memory: LogMemory) -> None:
    memory.finish_round('{"outcome": "good"}')
    (row,) = state.logs()
    assert row == LogRow(1, LOG, b"i" * 32, "", "", '{"outcome": "good"}')
