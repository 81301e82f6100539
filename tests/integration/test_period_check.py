"""Receipts, report and invoice of a period: imported once, and held against each other."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.types import LeafIndex, PicoUsd, UnixMillis
from nous_ledger.reconcile.errors import ExportError
from nous_ledger.reconcile.exports.rows import RowFault, Statement
from nous_ledger.reconcile.period import PeriodCheck, PeriodReport
from nous_ledger.reconcile.prices import Cost
from nous_ledger.reconcile.statements_store import MAX_FAULTS, StatementStore
from tests.cli.sample import START_MS, make_draft

HOUR = 3_600_000
NOW = UnixMillis(START_MS)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StatementStore]:
    opened = StatementStore(tmp_path / "deep" / "imports.sqlite")
    yield opened
    opened.close()


def call(line: int, request_id: str, **changes: Any) -> Statement:
    values: dict[str, Any] = {"provider": "openai", "model": "gpt-4o"}
    values |= {"input_tokens": 12, "output_tokens": 5}
    values |= {"start": START_MS + line, "end": START_MS + line}
    return Statement(line=line, request_id=request_id, calls=1, **(values | changes))


def span(line: int, **changes: Any) -> Statement:
    values: dict[str, Any] = {"provider": "openai", "model": "gpt-4o"}
    values |= {"start": START_MS, "end": START_MS + HOUR}
    return Statement(line=line, **(values | changes))


class TestImport:
    def test_the_same_file_twice_changes_nothing(self, store: StatementStore) -> None:
        rows: list[Statement | RowFault] = [
            call(1, "a"),
            RowFault(line=2, message="no JSON"),
            call(3, "b"),
        ]
        first = store.take(b"1" * 32, "june.jsonl", "litellm", NOW, rows)
        assert (first.added, first.fault_count, first.known) == (2, 1, False)
        again = store.take(b"1" * 32, "june.jsonl", "litellm", NOW, rows)
        assert (again.known, again.added, again.changed) == (True, 0, 0)
        assert len(list(store.statements(UnixMillis(0), UnixMillis(2**53)))) == 2
        assert store.files() == (("june.jsonl", "litellm", NOW, 2, 1),)

    def test_a_longer_export_adds_and_replaces(self, store: StatementStore) -> None:
        store.take(b"1" * 32, "a", "litellm", NOW, [call(1, "a"), call(2, "b")])
        longer = [call(1, "a"), call(2, "b", output_tokens=6), call(3, "c")]
        found = store.take(b"2" * 32, "b", "litellm", NOW, longer)
        assert (found.added, found.changed, found.unchanged) == (1, 1, 1)

    def test_rows_on_one_matter_are_all_kept(self, store: StatementStore) -> None:
        rows = [span(1, cost=PicoUsd(5)), span(2, cost=PicoUsd(5)), span(3, cost=PicoUsd(7))]
        store.take(b"1" * 32, "a", "google", NOW, rows)
        told = store.statements(UnixMillis(0), UnixMillis(2**53))
        assert sorted(item.cost or 0 for item in told) == [5, 5, 7]

    def test_faults_are_bounded(self, store: StatementStore) -> None:
        faults = (RowFault(line=n, message="x") for n in range(1_000))
        found = store.take(b"1" * 32, "a", "litellm", NOW, faults)
        assert (len(found.faults), found.fault_count) == (MAX_FAULTS, 1_000)

    def test_what_breaks_off_leaves_nothing(self, store: StatementStore) -> None:
        def broken() -> Iterator[Statement]:
            yield call(1, "a")
            raise OSError("the disk went away")

        with pytest.raises(OSError, match="went away"):
            store.take(b"1" * 32, "a", "litellm", NOW, broken())
        assert not store.holds(b"1" * 32)
        assert list(store.statements(UnixMillis(0), UnixMillis(2**53))) == []

    def test_another_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "no.sqlite").write_bytes(b"something else" * 100)
        with pytest.raises(ExportError) as caught:
            StatementStore(tmp_path / "no.sqlite")
        assert caught.value.code == "exports-unusable"
        newer = sqlite3.connect(tmp_path / "newer.sqlite")
        newer.execute("PRAGMA user_version = 9")
        newer.close()
        with pytest.raises(ExportError, match="version is 9"):
            StatementStore(tmp_path / "newer.sqlite")


def receipt(check: PeriodCheck, index: int, request_id: str | None, **changes: Any) -> None:
    usage = (
        Bucket(kind=1, reported=12, label=3),
        Bucket(kind=16, reported=5, label=2, lower=1, upper=90, method="bytes/1"),
    )
    values: dict[str, Any] = {
        "time": START_MS + index,
        "model_served": "gpt-4o",
        "usage": usage,
        "provider_total": None,
        "provider_request_id": request_id,
    }
    draft = make_draft(random.Random(index), START_MS, **(values | changes))
    amount = None if draft.usage is None else PicoUsd(100)
    check.take_receipt(LeafIndex(index), draft, Cost(amount=amount))


def found(report: PeriodReport, kind: str) -> list[str]:
    return [item.request_id for item in report.call_differences if item.kind == kind]


class TestCheck:
    def test_calls_by_their_request_id(self) -> None:
        check = PeriodCheck()
        for index, request_id in enumerate(["a", "b", "c", None, "late"], start=1):
            receipt(check, index, request_id, **({"time": START_MS + 99} if index == 5 else {}))
        for statement in (call(1, "a"), call(2, "b", output_tokens=6), call(4, "x")):
            check.take_statement(statement)
        report = check.result()
        assert report.matched_calls == 1
        assert found(report, "differs") == ["b"]
        assert found(report, "extra") == ["x"]
        assert found(report, "missing") == ["c"]  # `late` lies after all that the report tells
        (differs,) = (item for item in report.call_differences if item.kind == "differs")
        assert (differs.index, differs.line) == (2, 2)
        assert (differs.receipt, differs.report) == ((12, 5), (12, 6))
        assert not report.agrees

    def test_what_a_report_does_not_say_does_not_differ(self) -> None:
        check = PeriodCheck()
        receipt(check, 1, "a")
        check.take_statement(call(1, "a", input_tokens=None, output_tokens=None))
        assert check.result().agrees

    def test_spans(self) -> None:
        check = PeriodCheck()
        for index in range(3):
            receipt(check, index, None)
        receipt(check, 3, None, model_served="gpt-5")
        receipt(check, 4, None, model_served=None, model_requested="gpt-4o")
        receipt(check, 5, None, time=START_MS + HOUR)
        check.take_statement(span(1, calls=3, input_tokens=40, output_tokens=15, detail="p1"))
        check.take_statement(span(2, calls=1, input_tokens=8, output_tokens=5, detail="p2"))
        check.take_statement(span(3, model="", calls=5))
        check.take_statement(span(4, model="gpt-5", output_tokens=6))
        report = check.result()
        assert report.matched_spans == 2  # projects are added up
        (differs,) = report.span_differences
        assert (differs.model, differs.receipts, differs.report) == (
            "gpt-5",
            (1, 12, 5),
            (None, None, 6),
        )

    def test_calls_without_known_ids_are_compared_by_hour_and_model(self) -> None:
        """A log with ids of its own, and rows without any."""
        check = PeriodCheck()
        hour = START_MS - START_MS % HOUR + HOUR
        for index in range(1, 5):
            receipt(check, index, f"req-{index}", time=hour + index)
        receipt(check, 9, "req-9", time=hour + HOUR)
        for line in range(1, 4):
            item = call(line, f"chatcmpl-{line}", start=hour + line, end=hour + line)
            check.take_statement(item)
        nameless = call(4, "", start=hour + 4, end=hour + 4)
        check.take_statement(nameless)
        report = check.result()
        assert report.call_counts == {"missing": 0, "extra": 0, "differs": 0}
        assert (report.by_hour, report.matched_spans, report.span_count) == (3, 1, 0)
        assert report.agrees

    def test_a_report_that_knows_no_snapshots_names_what_was_asked_for(self) -> None:
        check = PeriodCheck()
        receipt(check, 1, None, model_requested="gpt-4o", model_served="gpt-4o-2024-08-06")
        check.take_statement(span(1, calls=1, input_tokens=12, output_tokens=5))
        report = check.result()
        assert (report.matched_spans, report.span_count) == (1, 0)

    def test_money(self) -> None:
        check = PeriodCheck()
        receipt(check, 1, None)
        receipt(check, 2, None, usage=None, metering=0)
        receipt(check, 3, None, time=START_MS + HOUR)
        check.take_statement(span(1, cost=PicoUsd(90), model=""))
        check.take_statement(span(2, cost=PicoUsd(20), model="", detail="tax"))
        report = check.result()
        (line,) = report.money
        assert (line.invoiced, line.computed, line.unpriced) == (110, 100, 1)
        assert report.agrees  # money is shown, and never said to differ
