"""A process that signs beside the one that holds the ledger: it may fail, the log may not."""

import io
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, signing_pool, signing_process
from nous_ledger.ledger.errors import StoreError
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.signing_child import END, GREETING, HEADER, PROBE, serve
from nous_ledger.ledger.signing_process import SigningProcess, SigningProcessError
from nous_ledger.ledger.sqlite_view import SqliteTransaction
from nous_ledger.protocol.record import leaf_hash, sign_record
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Epoch, Hash32, LeafIndex, LogId, UnixMillis
from tests.integration.ledger_audit import audit
from tests.integration.ledger_drafts import make_draft
from tests.integration.ledger_keys import Keys
from tests.processes import is_alive, until

KEY = SigningKey(b"\x11" * 32)
LOG_ID = LogId(Hash32(b"\x22" * 32))
HASHES = [Hash32(bytes([number]) * 32) for number in range(5)]
EPOCH, FIRST, TIME = 1, 700, 1_790_000_000_000


def made_of(first: int, hashes: Sequence[Hash32]) -> bytes:
    """The answer to some body hashes, made by the function that makes one record."""
    answer = b""
    for index, body_hash in enumerate(hashes, first):
        record = sign_record(
            KEY,
            LOG_ID,
            type=1,
            epoch=Epoch(EPOCH),
            index=LeafIndex(index),
            logged_at=UnixMillis(TIME),
            body_hash=body_hash,
        )
        answer += record + leaf_hash(record)
    return answer


@pytest.fixture(autouse=True)
def started_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_pool, "_WORTH_PROCESS", 1)


@pytest.fixture
def process() -> Iterator[SigningProcess]:
    made = SigningProcess(KEY, LOG_ID)
    until(made.is_ready)
    yield made
    made.close()


@pytest.fixture
def helped(ledger: Ledger, seed: random.Random) -> Ledger:
    """A ledger whose process is ready."""
    grow(ledger, seed, 20)
    until(lambda: process_of(ledger).is_ready())
    return ledger


def process_of(ledger: Ledger) -> SigningProcess:
    found = ledger._pool._other
    assert found is not None
    return found


def has_given_up(ledger: Ledger) -> bool:
    return ledger._pool._alone and ledger._pool._other is None


def pid_of(made: SigningProcess) -> int:
    return made._process.pid


def grow(ledger: Ledger, seed: random.Random, number: int) -> None:
    ledger.append_many([make_draft(seed) for _ in range(number)])


def test_records_come_in_the_order_of_what_was_sent(process: SigningProcess) -> None:
    for group in (HASHES[:2], HASHES[2:], HASHES):
        assert process.send((EPOCH, FIRST, TIME), group)
    answers = [process.receive(number) for number in (2, 3, 5)]
    assert answers == [made_of(FIRST, group) for group in (HASHES[:2], HASHES[2:], HASHES)]
    assert not process.has_answer()


def test_nobody_waits_for_room_in_the_pipe(process: SigningProcess) -> None:
    """Else both could wait for each other, where pipes hold little."""
    os.kill(pid_of(process), signal.SIGSTOP)
    sent = 0
    while process.send((EPOCH, FIRST, TIME), HASHES):
        sent += 1
    os.kill(pid_of(process), signal.SIGCONT)
    assert {process.receive(len(HASHES)) for _ in range(sent)} == {made_of(FIRST, HASHES)}
    assert process.send((EPOCH, FIRST, TIME), HASHES[:1])
    assert process.receive(1) == made_of(FIRST, HASHES[:1])


def test_what_was_sent_in_part_is_not_signed() -> None:
    begin = KEY.secret() + LOG_ID
    asked = [HEADER.pack(number, EPOCH, FIRST, TIME) + HASHES[0] for number in (1, 2)]
    answers = io.BytesIO()
    serve(io.BytesIO(begin + b"".join(asked)), answers)
    assert answers.getvalue() == GREETING + KEY.sign(PROBE) + made_of(FIRST, HASHES[:1])
    answers = io.BytesIO()
    serve(io.BytesIO(begin[:-1]), answers)
    assert answers.getvalue() == GREETING


def test_another_program_never_gets_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be what `sys.executable` names where Python is embedded."""
    other, got = tmp_path / "other.py", tmp_path / "got"
    other.write_text(
        "import sys; print('x' * 40, flush=True);"
        f"open({str(got)!r}, 'wb').write(sys.stdin.buffer.read())"
    )
    monkeypatch.setattr(signing_process, "_PROGRAM", other)
    made = SigningProcess(KEY, LOG_ID)
    with pytest.raises(SigningProcessError):
        until(made.is_ready)
    made.close()
    assert got.read_bytes() in (b"", END)


def test_the_key_is_in_no_list_of_processes(process: SigningProcess) -> None:
    folder = Path("/proc") / str(pid_of(process))
    if not folder.is_dir():
        pytest.skip("this system shows no processes under /proc")
    for name in ("cmdline", "environ"):
        shown = (folder / name).read_bytes()
        assert KEY.secret() not in shown
        assert KEY.secret().hex().encode() not in shown


def test_batches_are_signed_by_both(helped: Ledger, folder: Path, seed: random.Random) -> None:
    """REC-10, SUBJ-3."""
    for number in (16, 1, 700, 64, 1_500):
        grow(helped, seed, number)
    assert process_of(helped).is_ready()
    assert len(audit(folder).records) == 1 + 20 + 16 + 1 + 700 + 64 + 1_500


def test_it_ends_with_the_ledger(helped: Ledger) -> None:
    made = process_of(helped)
    helped.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid_of(made), 0)


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time\n"
        "from nous_ledger.ledger.signing_process import SigningProcess\n"
        "from nous_ledger.protocol.signing import SigningKey\n"
        "made = SigningProcess(SigningKey(b'\\x11' * 32), b'\\x22' * 32)\n"
        "while not made.is_ready(): time.sleep(0.01)\n"
        "print(made._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()

    until(lambda: not is_alive(pid))


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_it_may_fail_at_any_time(
    helped: Ledger,
    folder: Path,
    seed: random.Random,
    monkeypatch: pytest.MonkeyPatch,
    blow: signal.Signals,
) -> None:
    """What it had is signed here, and it is not asked again."""
    monkeypatch.setattr(signing_process, "_PATIENCE_S", 0.2)
    os.kill(pid_of(process_of(helped)), blow)
    for number in (300, 20):
        grow(helped, seed, number)
    assert has_given_up(helped)
    assert len(audit(folder).records) == 1 + 20 + 300 + 20


def test_a_store_that_fails_meanwhile_leaves_no_answer_behind(
    helped: Ledger, folder: Path, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that nobody took would be taken for that to the next batch."""
    with monkeypatch.context() as patched:
        patched.setattr(SqliteTransaction, "add_receipts", full)
        with pytest.raises(StoreError):
            grow(helped, seed, 40)
    grow(helped, seed, 30)
    until(lambda: process_of(helped).is_ready())
    grow(helped, seed, 50)
    assert len(audit(folder).records) == 1 + 20 + 30 + 50


def full(*_: object) -> None:
    raise StoreError("store-full", "the disk is full")


@pytest.mark.parametrize(
    "program",
    [
        (
            "import sys; from nous_ledger.ledger.signing_child import GREETING;"
            "sys.stdout.buffer.write(GREETING + bytes(65)); sys.stdout.flush(); sys.stdin.read()"
        ),
        "pass",
        "raise SystemExit(3)",
    ],
    ids=["another key", "no answer", "an error"],
)
def test_what_is_not_our_program_is_not_used(
    ledger: Ledger,
    folder: Path,
    seed: random.Random,
    monkeypatch: pytest.MonkeyPatch,
    program: str,
) -> None:
    other = folder.parent / "other.py"
    other.write_text(program)
    monkeypatch.setattr(signing_process, "_PROGRAM", other)
    grow(ledger, seed, 20)
    deadline = time.monotonic() + 30
    while not has_given_up(ledger):
        assert time.monotonic() < deadline
        grow(ledger, seed, 16)
    assert len(audit(folder).records) > 1 + 20


@pytest.mark.parametrize("executable", ["", "/nonexistent/python"])
def test_where_none_can_be_started(
    ledger: Ledger,
    folder: Path,
    seed: random.Random,
    monkeypatch: pytest.MonkeyPatch,
    executable: str,
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    grow(ledger, seed, 40)
    assert has_given_up(ledger)
    assert len(audit(folder).records) == 1 + 40
    with pytest.raises(SigningProcessError):
        SigningProcess(KEY, LOG_ID)


def test_a_new_key_gets_a_new_process(
    rotating: Ledger, folder: Path, seed: random.Random, keys: Keys
) -> None:
    grow(rotating, seed, 20)
    before = process_of(rotating)
    rotating.rotate(keys[0], next_key_out=keys[1])
    grow(rotating, seed, 20)
    after = process_of(rotating)
    assert after.public_key != before.public_key
    until(after.is_ready)
    grow(rotating, seed, 40)
    assert fsck(folder).fault_count == 0


def test_it_ends_though_a_fork_holds_its_pipe_open(process: SigningProcess) -> None:
    held = os.dup(process._to)  # as a fork would hold it
    try:
        before = time.monotonic()
        process.close()
        assert time.monotonic() - before < signing_process._PATIENCE_S / 2
        assert process._process.returncode == 0
        process.close()
    finally:
        os.close(held)
