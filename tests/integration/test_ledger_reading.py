"""Heads, proofs and lists, checked by the library's verifier and a naive tree."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import Any

from nous_ledger.ledger import Ledger, sum_receipts
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.proof import verify_consistency
from nous_ledger.protocol.receipt import Context, Receipt
from nous_ledger.protocol.types import Hash32, LeafCount
from nous_ledger.protocol.vkey import parse_vkey
from tests.integration.ledger_audit import (
    audit,
    error_code,
    head_count,
    head_time,
    naive_root,
    verified,
)
from tests.integration.ledger_drafts import ORIGIN, START_MS, Clock, make_draft, make_intent


class TestHeads:
    def test_a_head_covers_all_that_is_durable(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        """HEAD-15."""
        for count in range(2, 12):
            ledger.append_receipt(make_draft(seed))
            note = ledger.head()
            assert head_count(note) == count
            root = parse_checkpoint(parse_note(note).text).root
            assert root == audit(folder).root(count)

    def test_it_has_both_lines(self, ledger: Ledger) -> None:
        """HEAD-16."""
        lines = parse_note(ledger.head()).signatures
        ids = [parse_vkey(text).key_id for text in ledger.vkeys()]
        assert [(line.name, line.key_id) for line in lines] == [(ORIGIN, key) for key in ids]
        assert [len(line.payload) for line in lines] == [64, 77]

    def test_without_growth_it_stays_until_half_of_the_heartbeat(
        self, folder: Path, clock: Clock
    ) -> None:
        with Ledger.create(folder, next_key_out=None, heartbeat_s=100, clock=clock) as ledger:
            first = ledger.head()
            clock.now_ms += 49_999
            assert ledger.head() == first
            clock.now_ms += 1
            second = ledger.head()
            assert head_count(second) == 1
            assert head_time(second) == head_time(first) + 50
            clock.now_ms -= 1_000_000
            assert ledger.head() == second
        audit(folder)

    def test_its_time_never_goes_back(
        self, ledger: Ledger, folder: Path, seed: random.Random, clock: Clock
    ) -> None:
        """HEAD-12, and HEAD-8: not before a record that it covers."""
        times = [head_time(ledger.head())]
        for step in (5_000, -9_000, 1, -50_000, 70_000, 0):
            clock.now_ms += step
            ledger.append_receipt(make_draft(seed))
            clock.now_ms -= 2_000
            times.append(head_time(ledger.head()))
        assert times == sorted(times)
        audit(folder)

    def test_it_is_stored_before_it_is_shown(
        self, ledger: Ledger, folder: Path, seed: random.Random, clock: Clock
    ) -> None:
        ledger.append_receipt(make_draft(seed))
        note = ledger.head()
        with Ledger.open(folder, read_only=True, clock=clock) as other:
            assert other.latest_head() == other.head() == note

    def test_heads_are_consistent_with_each_other(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        roots: dict[int, Hash32] = {}
        for count in range(2, 20):
            ledger.append_receipt(make_draft(seed))
            roots[count] = parse_checkpoint(parse_note(ledger.head()).text).root
        for (old, old_root), (new, new_root) in combinations(roots.items(), 2):
            path = ledger.prove_consistency(old, new)
            verify_consistency(LeafCount(old), old_root, LeafCount(new), new_root, path)
        assert error_code(lambda: ledger.prove_consistency(2, 20)) == "proof-counts"
        assert error_code(lambda: ledger.prove_consistency(0, 2)) == "proof-counts"


class TestProofs:
    def test_every_leaf_is_proved_under_every_head(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        heads = []
        for _ in range(12):
            ledger.append_receipt(make_draft(seed))
            heads.append(ledger.head())
        for head in heads:
            for index in range(head_count(head)):
                report = verified(ledger, ledger.prove(index, head=head))
                assert report.exit_code() == 0
                assert (report.index, report.leaf_count) == (index, head_count(head))

    def test_a_body_can_be_left_out(self, ledger: Ledger, seed: random.Random) -> None:
        ledger.append_receipt(make_draft(seed))
        proof = ledger.prove(1, with_body=False)
        assert parse_bundle(proof).body == b""
        report = verified(ledger, proof)
        assert (report.exit_code(), report.accuracy.code) == (0, "withheld")

    def test_there_is_no_proof_of_what_is_not_there(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        first = ledger.head()
        ledger.append_receipt(make_draft(seed))
        assert error_code(lambda: ledger.prove(2)) == "proof-index"
        assert error_code(lambda: ledger.prove(-1)) == "proof-index"
        assert error_code(lambda: ledger.prove(1, head=first)) == "proof-index"

    def test_only_heads_of_this_log_are_proved_under(
        self, tmp_path: Path, ledger: Ledger, seed: random.Random, clock: Clock
    ) -> None:
        ledger.append_receipt(make_draft(seed))
        with Ledger.create(tmp_path / "o", next_key_out=None, clock=clock) as other:
            foreign = other.head()
        same_name = tmp_path / "s"
        with Ledger.create(same_name, next_key_out=None, origin=ORIGIN, clock=clock) as twin:
            one_leaf = twin.head()
            twin.append_many([make_draft(seed) for _ in range(4)])
            longer = twin.head()
        assert error_code(lambda: ledger.prove(0, head=foreign)) == "head-origin"
        assert error_code(lambda: ledger.prove(0, head=one_leaf)) == "root-mismatch"
        assert error_code(lambda: ledger.prove(0, head=longer)) == "proof-counts"
        assert error_code(lambda: ledger.prove(0, head=b"no note")) == "note-format"

    def test_the_policy_names_both_keys(self, ledger: Ledger) -> None:
        policy = parse_policy(ledger.policy_text())
        ed25519, head = (parse_vkey(text) for text in ledger.vkeys())
        assert [log.vkey for log in policy.logs] == [ed25519, head]
        assert (policy.quorum, head.log_id) == (b"none", ledger.log_id)
        assert head.name == ORIGIN


class TestReading:
    def test_ranges_are_what_was_logged(self, ledger: Ledger, seed: random.Random) -> None:
        logged = ledger.append_many([make_draft(seed) for _ in range(9)])
        records, bodies = ledger.read_records(0, 10), ledger.read_bodies(0, 10)
        assert records[1:] == tuple(item.record for item in logged)
        assert bodies[1:] == tuple(item.body for item in logged)
        assert ledger.read_records(3, 5) == records[3:5]
        assert ledger.read_bodies(4, 4) == ()
        assert error_code(lambda: ledger.read_records(0, 11)) == "input"
        assert error_code(lambda: ledger.read_bodies(-1, 3)) == "input"
        assert error_code(lambda: ledger.read_bodies(5, 4)) == "input"

    def test_nodes_are_those_of_the_tree(self, ledger: Ledger, seed: random.Random) -> None:
        ledger.append_many([make_draft(seed) for _ in range(7)])
        leaves = [sha256(b"\x00" + record) for record in ledger.read_records(0, 8)]
        positions: Any = (14, 0, 2, 6)
        assert ledger.read_nodes(positions) == tuple(
            naive_root(part) for part in (leaves, leaves[:1], leaves[:2], leaves[:4])
        )
        beyond: Any = (15,)
        assert error_code(lambda: ledger.read_nodes(beyond)) == "input"

    def test_receipts_are_found_by_time_and_model(
        self, ledger: Ledger, seed: random.Random, clock: Clock
    ) -> None:
        drafts = []
        for n in range(1_200):
            model = "claude-5" if n % 3 else "gpt-5"
            drafts.append(make_draft(seed, time_ms=START_MS + n * 1000, model_served=model))
        for at in range(0, 1_200, 100):
            clock.now_ms = drafts[at + 99].time + 5_000
            ledger.append_many(drafts[at : at + 100])

        def found(**wanted: Any) -> list[bytes]:
            return [row.receipt.id for row in ledger.receipts(**wanted) if row.receipt]

        def expected(take: Callable[[Receipt], bool]) -> list[bytes]:
            return [draft.id for draft in drafts if take(draft)]

        low, high = START_MS + 333_000, START_MS + 900_500
        assert found() == expected(lambda _: True)
        assert found(since=low) == expected(lambda d: d.time >= low)
        assert found(until=high) == expected(lambda d: d.time < high)
        assert found(since=low, until=high, model="claude-5") == expected(
            lambda d: low <= d.time < high and d.model_served == "claude-5"
        )
        assert found(model="gpt-5") == expected(lambda _: True)[: len(drafts)]
        assert found(lo=5, hi=9) == [draft.id for draft in drafts[4:8]]
        assert found(since=START_MS * 2) == []

    def test_totals_are_per_kind_and_label(self, ledger: Ledger, seed: random.Random) -> None:
        ledger.append_many([make_draft(seed) for _ in range(3)])
        ledger.append_receipt(make_intent(seed))
        buckets = (
            Bucket(kind=1, reported=5, label=3),
            Bucket(kind=16, label=2, lower=0, upper=9, method="bytes/1"),
        )
        ledger.append_receipt(make_draft(seed, usage=buckets, provider_total=None))
        totals = sum_receipts(ledger.receipts())
        assert (totals.calls, totals.unmetered, totals.withheld) == (5, 1, 0)
        assert [(k.kind, k.label, k.reported, k.buckets) for k in totals.kinds] == [
            (1, 3, 365, 4),
            (16, 2, 135, 4),
        ]

    def test_an_erased_body_is_counted_as_withheld(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        """RED-3."""
        logged = ledger.append_many([make_draft(seed) for _ in range(3)])
        with closing(sqlite3.connect(folder / "ledger.db")) as connection, connection:
            connection.execute("DELETE FROM bodies WHERE leaf = 2")
        rows = list(ledger.receipts())
        assert [row.receipt is None for row in rows] == [False, True, False]
        assert sum_receipts(rows).withheld == 1
        assert list(ledger.receipts(model="gpt-5")) == [rows[0], rows[2]]
        assert list(ledger.receipts(since=rows[1].logged_at)) == rows
        assert ledger.read_bodies(1, 4) == (logged[0].body, b"", logged[2].body)
        report = verified(ledger, ledger.prove(2))
        assert (report.exit_code(), report.accuracy.code) == (0, "withheld")

    def test_text_of_callers_comes_back(self, ledger: Ledger, seed: random.Random) -> None:
        context = Context(session="s-1", tag="caf\u00e9 \U0001f600")
        ledger.append_receipt(make_draft(seed, context=context))
        (row,) = ledger.receipts()
        assert row.receipt is not None
        assert row.receipt.context == context
