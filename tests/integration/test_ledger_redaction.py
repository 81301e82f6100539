"""Redaction: the bytes are gone from the files, the log says so, all else stays provable."""

import os
import random
import signal
import sqlite3
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, lifecycle, sum_receipts
from nous_ledger.protocol.bodies import Redaction, decode_body
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.hashing import raw_usage_hash
from nous_ledger.protocol.record import TYPE_REDACTION, decode_record
from nous_ledger.protocol.report import Outcome
from tests.integration.ledger_audit import error_code, head_count, verified
from tests.integration.ledger_drafts import ORIGIN, START_MS, Clock, make_draft, make_intent
from tests.integration.ledger_keys import Keys, good
from tests.integration.ledger_sqlite import store_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What was logged, to look for in the files afterwards."""

    index: int
    receipt_id: bytes
    secrets: tuple[bytes, ...]


def log_calls(ledger: Ledger, seed: random.Random, count: int) -> list[Logged]:
    """Log calls of every size that were begun before, ended in another order."""
    open_calls = []
    for number in range(count):
        usage = seed.randbytes(seed.choice([30, 90, 700, 5000]))
        draft = make_draft(
            seed,
            time_ms=START_MS + number,
            raw_usage_hash=raw_usage_hash((usage,)),
            model_requested=seed.randbytes(seed.choice([4, 100])).hex(),
            subject=seed.randbytes(1) * 32,
        )
        open_calls.append((draft, seed.randbytes(32), usage))
    for begun in [ledger.submit_call(d, opening_hash=h) for d, h, _ in open_calls]:
        begun.result()
    seed.shuffle(open_calls)
    futures = [ledger.submit_receipt(d, opening_hash=h, raw_usage=(u,)) for d, h, u in open_calls]
    logged = []
    for future, (draft, opening_hash, usage) in zip(futures, open_calls, strict=True):
        appended = future.result()
        assert draft.request_commitment is not None
        assert draft.response_commitment is not None
        ends = (appended.body[:40], appended.body[-24:], usage[:20], usage[-20:])
        fields = (draft.salt, draft.request_commitment, draft.response_commitment)
        secrets = (*ends, *fields, opening_hash, (draft.model_requested or "").encode())
        logged.append(Logged(index=appended.index, receipt_id=draft.id, secrets=secrets))
    return logged


def traces(folder: Path, logged: list[Logged]) -> list[tuple[str, int]]:
    """Every file of the ledger in which something of a call is still to be found."""
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    return [
        (name, call.index)
        for name, content in contents.items()
        for call in logged
        if any(len(secret) > 15 and secret in content for secret in call.secrets)
    ]


class TestErasing:
    def test_the_bytes_leave_the_files(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        calls = log_calls(ledger, seed, 60)
        assert len(traces(folder, calls)) >= 60
        gone, kept = calls[:20], calls[20:]
        done = ledger.redact([call.index for call in gone], "data_subject_request")
        assert done.notices == ()
        assert (folder / "ledger.db-wal").stat().st_size == 0
        assert traces(folder, gone) == []
        assert len(traces(folder, kept)) == 40

    def test_one_after_the_other_until_nothing_is_left(
        self, ledger: Ledger, folder: Path, seed: random.Random, full: bool
    ) -> None:
        """Rows that stay are not moved about, so no stale copy of one survives its erasure."""
        calls = log_calls(ledger, seed, 500 if full else 130)
        open_calls = [make_intent(seed) for _ in range(5)]
        for draft in open_calls:
            ledger.begin_call(draft)
        seed.shuffle(calls)
        step = len(calls) // 13
        for start in range(0, len(calls), step):
            ledger.redact([call.index for call in calls[start : start + step]], "retention")
            assert traces(folder, calls[: start + step]) == []
        assert {intent.draft.id for intent in ledger.open_intents()} == {
            draft.id for draft in open_calls
        }

    def test_the_log_says_so(self, ledger: Ledger, seed: random.Random) -> None:
        """RED-1, RED-2: at most 64 indices each, ascending, below their own."""
        ledger.append_many([make_draft(seed) for _ in range(70)])
        done = ledger.redact(range(70, 0, -1), "legal_order")
        assert (done.indices, done.records) == (tuple(range(1, 71)), (71, 72))
        named: list[int] = []
        for index in done.records:
            entry = ledger.entry(index)
            assert decode_record(entry.record).type == TYPE_REDACTION
            body = decode_body(TYPE_REDACTION, entry.body)
            assert isinstance(body, Redaction)
            assert body.reason == 3
            named += body.indices
            good(ledger, index)
        assert named == list(range(1, 71))
        assert head_count(ledger.latest_head()) == 73, "a head covers it at once"

    def test_what_is_left_is_withheld_and_provable(
        self, rotating: Ledger, keys: Keys, seed: random.Random
    ) -> None:
        """RED-3: also in an epoch after the receipt's."""
        (call,) = log_calls(rotating, seed, 1)
        rotating.rotate(keys[0], next_key_out=keys[1])
        rotating.redact([call.index], "secret_leaked")
        entry = rotating.find_receipt(call.receipt_id)
        assert entry is not None
        assert (entry.index, entry.body, entry.opening_hash) == (call.index, b"", None)
        assert rotating.read_raw_usage(call.index) == ()
        assert rotating.read_bodies(call.index, call.index + 1) == (b"",)
        totals = sum_receipts(rotating.receipts())
        assert (totals.calls, totals.withheld) == (3, 1)
        proof = rotating.prove(call.index)
        assert parse_bundle(proof).body == b""
        report = verified(rotating, proof)
        assert report.attribution.outcome is Outcome.ESTABLISHED
        assert report.inclusion.outcome is Outcome.ESTABLISHED
        assert (report.accuracy.outcome, report.accuracy.code) == (
            Outcome.COULD_NOT_CHECK,
            "withheld",
        )

    def test_the_chain_of_the_subject_goes_on(self, ledger: Ledger, seed: random.Random) -> None:
        """SUBJ-3."""
        first = ledger.append_receipt(make_draft(seed, subject=b"\1" * 32))
        ledger.redact([first.index], "retention")
        second = ledger.append_receipt(make_draft(seed, subject=b"\1" * 32))
        assert second.receipt.subject_seq == 1
        assert second.receipt.subject_prev == decode_record(first.record).body_hash

    def test_a_damaged_body_can_be_erased(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        (call,) = log_calls(ledger, seed, 1)
        with sqlite3.connect(folder / "ledger.db") as connection:
            connection.execute("UPDATE bodies SET body = x'81' WHERE leaf = ?", (call.index,))
        connection.close()
        ledger.redact([call.index], "retention")
        entry = ledger.find_receipt(call.receipt_id)
        assert entry is not None
        assert entry.opening_hash is None

    def test_a_reader_that_holds_the_log_back_is_told(
        self,
        ledger: Ledger,
        folder: Path,
        seed: random.Random,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("nous_ledger.ledger.database.BUSY_TIMEOUT_S", 0.2)
        calls = log_calls(ledger, seed, 3)
        store_of(ledger)._drop_writer()
        reader = sqlite3.connect(folder / "ledger.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM bodies").fetchone()
        done = ledger.redact([calls[0].index], "retention")
        reader.close()
        assert "ledger.db-wal" in done.notices[0]
        assert ledger.redact([calls[1].index], "retention").notices == ()
        assert traces(folder, calls[:2]) == []


class TestRefusals:
    def test_what_is_never_erased(self, rotating: Ledger, keys: Keys, seed: random.Random) -> None:
        rotating.rotate(keys[0], next_key_out=keys[1])
        done = rotating.redact([1], "retention")
        before = int(rotating.leaf_count())
        attempts = {
            0: "not-erasable",
            3: "not-erasable",
            done.records[0]: "not-erasable",
            1: "already-erased",
            before: "proof-index",
            -1: "proof-index",
        }
        for index, code in attempts.items():
            for indices in ([index], [2, index]):
                found = error_code(lambda: rotating.redact(indices, "retention"))  # noqa: B023
                assert found == code, index
        assert error_code(lambda: rotating.redact([], "retention")) == "input"
        assert error_code(lambda: rotating.redact(range(5000), "retention")) == "input"
        with pytest.raises(Exception, match="not one of"):
            rotating.redact([2], "boredom")
        assert rotating.leaf_count() == before
        assert rotating.entry(2).body, "all or nothing"
        assert rotating.append_receipt(make_draft(seed)).index == before

    def test_not_after_the_close(self, rotating: Ledger, keys: Keys) -> None:
        rotating.close_log(keys[0])
        assert error_code(lambda: rotating.redact([1], "retention")) == "log-closed"
        assert rotating.entry(1).body

    def test_read_only(self, ledger: Ledger) -> None:
        with Ledger.open(ledger.folder, read_only=True) as reader:
            assert error_code(lambda: reader.redact([0], "retention")) == "read-only"


def _redact_and_die(folder: Path, place: str) -> None:
    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    module = lifecycle if place == "empty_log" else __import__(
        "nous_ledger.ledger.redaction", fromlist=["redaction"]
    )  # fmt: skip
    setattr(module, place, die)
    with Ledger.open(folder) as ledger:
        ledger.redact([1, 2], "retention")


@pytest.mark.parametrize(("place", "taken"), [("renew_head", False), ("empty_log", True)])
def test_killed_on_the_way(
    folder: Path, clock: Clock, seed: random.Random, place: str, taken: bool
) -> None:
    """The bodies and the notice of their erasure go together."""
    with Ledger.create(folder, next_key_out=None, origin=ORIGIN, clock=clock) as ledger:
        calls = log_calls(ledger, seed, 3)
    process = get_context("spawn").Process(target=_redact_and_die, args=(folder, place))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with Ledger.open(folder) as ledger:
        assert ledger.leaf_count() == 4 + taken
        assert [bool(body) for body in ledger.read_bodies(1, 4)] == [not taken, not taken, True]
        for index in range(ledger.leaf_count()):
            good(ledger, index)
    assert traces(folder, calls[:2]) == [] or not taken
