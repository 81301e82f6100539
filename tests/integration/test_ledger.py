"""Writing: index, time and chain of every receipt, and intents that never get lost."""

import json
import random
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Appended, Ledger
from nous_ledger.ledger.model import Draft
from nous_ledger.ledger.work import AppendWork, Work
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.hashing import opening_hash, raw_usage_hash, sha256, subject_id
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.report import Outcome
from tests.integration.ledger_audit import audit, error_code, head_time, verified
from tests.integration.ledger_drafts import START_MS, Clock, make_draft, make_intent


class TestAppending:
    def test_a_receipt_is_logged_and_proved(
        self, ledger: Ledger, folder: Path, seed: random.Random, clock: Clock
    ) -> None:
        draft = make_draft(seed)
        clock.now_ms += 1_234
        logged = ledger.append_receipt(draft)
        assert logged.index == 1
        assert sha256(logged.body) == decode_record(logged.record).body_hash
        assert decode_body(1, logged.body) == logged.receipt == draft
        assert decode_record(logged.record).logged_at == START_MS + 1_234
        report = verified(ledger, ledger.prove(1))
        assert report.exit_code() == 0
        assert report.inclusion.outcome is Outcome.ESTABLISHED
        assert report.attribution.outcome is Outcome.ESTABLISHED
        assert report.body == draft
        assert audit(folder).receipts == {draft.id: 1}

    def test_chains_are_gap_free_per_subject(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        """SUBJ-3."""
        drafts = [make_draft(seed) for _ in range(40)]
        logged = [ledger.append_receipt(draft) for draft in drafts[:10]]
        logged += ledger.append_many(drafts[10:30])
        logged += [ledger.append_receipt(draft) for draft in drafts[30:]]
        assert [item.index for item in logged] == list(range(1, 41))
        assert list(audit(folder).receipts) == [draft.id for draft in drafts]

    def test_what_a_draft_says_of_its_place_is_replaced(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        first = ledger.append_receipt(make_draft(seed, subject=b"\x09" * 32))
        draft = make_draft(seed, subject=b"\x09" * 32, subject_seq=77, subject_prev=b"\x07" * 32)
        second = ledger.append_receipt(draft).receipt
        assert (second.subject_seq, second.subject_prev) == (1, sha256(first.body))
        other = make_draft(seed, subject=b"\x08" * 32, subject_seq=77, subject_prev=b"\x07" * 32)
        assert ledger.append_receipt(other).receipt.subject_prev is None

    def test_an_empty_list_is_logged_as_nothing(self, ledger: Ledger) -> None:
        assert ledger.append_many([]) == ()
        assert ledger.leaf_count() == 1

    def test_a_list_is_logged_whole_or_not_at_all(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        known = ledger.append_receipt(make_draft(seed)).receipt
        good = [make_draft(seed) for _ in range(5)]
        assert error_code(lambda: ledger.append_many([*good, known])) == "duplicate-receipt"
        assert error_code(lambda: ledger.append_many([*good, good[2]])) == "duplicate-receipt"
        assert ledger.leaf_count() == 2
        assert len(ledger.append_many(good)) == 5
        audit(folder)
        assert error_code(lambda: ledger.append_many(good * 1000)) == "input"

    def test_one_bad_receipt_does_not_disturb_its_neighbours(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        """Work of several callers shares a transaction; each has its own fate."""
        known = ledger.append_receipt(make_draft(seed)).receipt
        subject = b"\x09" * 32
        good = [make_draft(seed, subject=subject) for _ in range(4)]
        bad = make_draft(seed, subject=subject)
        works: list[Work] = [
            Draft.of(good[0]),
            Draft.of(known),
            AppendWork(drafts=(Draft.of(bad), Draft.of(known))),
            AppendWork(drafts=(Draft.of(good[1]), Draft.of(good[2]))),
            Draft.of(good[0]),
            Draft.of(good[3]),
        ]
        outcomes = ledger._run(works)
        assert isinstance(outcomes[0], Appended)
        assert [outcomes[n].code for n in (1, 2, 4)] == [
            "duplicate-receipt",
            "duplicate-receipt",
            "duplicate-receipt",
        ]
        logged = [outcomes[0], *outcomes[3], outcomes[5]]
        assert [(item.index, item.receipt.subject_seq) for item in logged] == [
            (2, 0),
            (3, 1),
            (4, 2),
            (5, 3),
        ]
        assert bad.id not in audit(folder).receipts

    @pytest.mark.parametrize("ahead_ms", [0, 400_000])
    def test_what_the_log_adds_has_room_in_whatever_is_taken(
        self, ledger: Ledger, folder: Path, seed: random.Random, ahead_ms: int
    ) -> None:
        """REC-10, SUBJ-3: else a body would be logged that nobody can read."""
        ledger.append_receipt(make_draft(seed, subject=b"\x09" * 32))
        for extensions in range(38, 45):
            draft = make_draft(
                seed,
                time_ms=START_MS + ahead_ms,
                subject=b"\x09" * 32,
                extensions=tuple((64 + number, 1) for number in range(extensions)),
            )
            if extensions < 43:  # beside 20 fields, subject_prev and anomalies
                assert ledger.append_receipt(draft).receipt.extensions == draft.extensions
            else:
                assert error_code(partial(ledger.submit_receipt, draft)) == "limit"
                assert error_code(partial(ledger.submit_call, draft)) == "limit"
        audit(folder)

    @pytest.mark.parametrize("wrong", ["x" * 32, [0] * 32, bytearray(32), b"short"])
    def test_an_opening_hash_that_is_none_is_refused_before_it_waits(
        self, ledger: Ledger, seed: random.Random, wrong: Any
    ) -> None:
        """In the transaction it would fail all that share it."""
        for work in (ledger.submit_receipt, ledger.submit_call):
            assert error_code(partial(work, make_draft(seed), opening_hash=wrong)) == "input"

    def test_a_full_list_of_anomalies_fails_nobody_else(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        """RCPT-12, REC-10: it has no room for that of a clock that was set back."""
        full = make_draft(seed, time_ms=START_MS + 400_000, anomalies=tuple(range(100, 164)))
        for work in (ledger.submit_receipt, ledger.submit_call, lambda d: ledger.append_many([d])):
            assert error_code(partial(work, full)) == "limit"
        almost = replace(full, anomalies=(10, *range(100, 163)))
        assert ledger.append_receipt(almost).receipt.anomalies == almost.anomalies
        audit(folder)

    def test_a_receipt_that_is_too_long_is_refused_before_it_waits(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        too_long = make_draft(seed, extensions=((64, b"x" * 5_000),))
        for work in (
            lambda: ledger.submit_receipt(too_long),
            lambda: ledger.append_many([make_draft(seed), too_long]),
        ):
            assert error_code(work) == "limit"
        assert ledger.leaf_count() == 1

    def test_what_belongs_to_a_receipt_is_kept_beside_it(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        opening = opening_hash(bytes(range(32)))
        usage = (b'{"prompt_tokens": 1}', b'{"prompt_tokens": 165}')
        draft = make_draft(seed, raw_usage_hash=raw_usage_hash(usage))
        logged = ledger.append_receipt(draft, opening_hash=opening, raw_usage=usage)
        entry = ledger.find_receipt(draft.id)
        assert entry is not None
        assert (entry.index, entry.record, entry.body) == (1, logged.record, logged.body)
        assert entry.opening_hash == opening
        assert ledger.read_raw_usage(1) == usage
        assert ledger.read_raw_usage(0) == ()
        assert ledger.find_receipt(make_draft(seed).id) is None

    def test_what_does_not_belong_to_a_receipt_is_refused(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        draft = make_draft(seed, raw_usage_hash=raw_usage_hash([b"1"]))
        assert error_code(lambda: ledger.append_receipt(draft, raw_usage=[b"2"])) == "input"
        assert error_code(lambda: ledger.append_receipt(draft, opening_hash=b"short")) == "input"
        plain, unnamed = make_draft(seed, raw_usage_hash=None), [b"1"] * 17  # have no hash
        assert error_code(lambda: ledger.append_receipt(plain, raw_usage=unnamed)) == "input"
        assert ledger.leaf_count() == 1

    def test_the_future_of_a_receipt_is_there_at_once(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        drafts = [make_draft(seed) for _ in range(50)]
        calls = [ledger.submit_call(make_intent(seed)) for _ in range(3)]
        futures = [ledger.submit_receipt(draft) for draft in drafts]
        assert [future.result(10).index for future in futures] == list(range(1, 51))
        assert [call.result(10) for call in calls] == [None] * 3

    def test_subjects_are_pseudonyms_under_the_secret_of_the_log(
        self, ledger: Ledger, folder: Path
    ) -> None:
        """SUBJ-1."""
        secret = json.loads((folder / "keys.json").read_bytes())["secrets"]["log_secret"]
        expected = subject_id(bytes.fromhex(secret), 2, b"sk-1")
        assert ledger.subject(2, b"sk-1") == expected
        assert error_code(lambda: ledger.subject(0, b"")) == "input"


def test_the_path_of_a_ledger_may_have_any_name(tmp_path: Path, seed: random.Random) -> None:
    folder = tmp_path / "a b?mode=ro#\udcff%41"
    with Ledger.create(folder, next_key_out=None) as ledger:
        ledger.append_receipt(make_draft(seed))
    with Ledger.open(folder, read_only=True) as ledger:
        assert ledger.leaf_count() == 2
    assert (folder / "ledger.db").stat().st_size > 0


class TestTime:
    def test_a_clock_that_goes_back_is_held(
        self, ledger: Ledger, folder: Path, seed: random.Random, clock: Clock
    ) -> None:
        """REC-10: logged_at never decreases, and the receipt says that it was raised."""
        clock.now_ms = START_MS + 10_000
        ledger.append_receipt(make_draft(seed))
        clock.now_ms = START_MS + 5_000
        held = ledger.append_receipt(make_draft(seed))
        assert decode_record(held.record).logged_at == START_MS + 10_000
        assert held.receipt.anomalies == (10,)
        clock.now_ms = START_MS + 10_000
        assert ledger.append_receipt(make_draft(seed)).receipt.anomalies is None
        audit(folder)

    def test_other_anomalies_stay(self, ledger: Ledger, seed: random.Random, clock: Clock) -> None:
        clock.now_ms -= 1
        held = ledger.append_receipt(make_draft(seed, anomalies=(7, 12)))
        assert held.receipt.anomalies == (7, 10, 12)

    def test_a_record_is_never_before_the_head_that_does_not_cover_it(
        self, ledger: Ledger, folder: Path, seed: random.Random, clock: Clock
    ) -> None:
        """HEAD-13: else a clock set back by more than the merge delay makes it late."""
        ledger.append_receipt(make_draft(seed))
        clock.now_ms = START_MS + 500_000
        before = head_time(ledger.head())
        assert before == clock.now_ms // 1000
        clock.now_ms = START_MS + 1
        logged = ledger.append_receipt(make_draft(seed))
        assert decode_record(logged.record).logged_at == before * 1000
        assert logged.receipt.anomalies == (10,)
        audit(folder)

    def test_a_clock_set_back_during_a_call_does_not_cost_its_receipt(
        self, ledger: Ledger, seed: random.Random
    ) -> None:
        draft = make_draft(seed, time_ms=START_MS + 300_001)
        logged = ledger.append_receipt(draft).receipt
        assert (logged.time, logged.anomalies) == (START_MS, (10,))
        draft = make_draft(seed, time_ms=START_MS + 300_000)
        assert ledger.append_receipt(draft).receipt.time == START_MS + 300_000
        assert verified(ledger, ledger.prove(1)).exit_code() == 0


class TestIntents:
    def test_an_intent_is_fulfilled_by_its_receipt(
        self, ledger: Ledger, folder: Path, seed: random.Random
    ) -> None:
        intent = make_intent(seed)
        ledger.begin_call(intent, opening_hash=b"\x05" * 32)
        (found,) = ledger.open_intents()
        assert (found.draft, found.opening_hash) == (intent, b"\x05" * 32)
        assert ledger.leaf_count() == 1
        ledger.append_receipt(make_draft(seed, id=intent.id))
        assert ledger.open_intents() == ()
        audit(folder)

    def test_what_was_interrupted_gets_its_receipt_after_reopening(
        self, ledger: Ledger, folder: Path, seed: random.Random, clock: Clock
    ) -> None:
        intents = [make_intent(seed, time_ms=START_MS + n) for n in range(5)]
        for intent in reversed(intents):
            ledger.begin_call(intent)
        ledger.append_receipt(make_draft(seed, id=intents[2].id))
        ledger.close()
        with Ledger.open(folder, clock=clock) as again:
            found = again.open_intents()
            assert [i.draft.id for i in found] == [intents[n].id for n in (0, 1, 3, 4)]
            for left in found:
                again.append_receipt(left.draft, opening_hash=left.opening_hash)
            assert again.open_intents() == ()
        assert sorted(audit(folder).receipts) == [intent.id for intent in intents]

    def test_a_call_begins_once(self, ledger: Ledger, seed: random.Random) -> None:
        intent = make_intent(seed)
        ledger.begin_call(intent)
        assert error_code(lambda: ledger.begin_call(intent)) == "duplicate-receipt"
        ledger.append_receipt(intent)
        assert error_code(lambda: ledger.begin_call(intent)) == "duplicate-receipt"
        assert error_code(lambda: ledger.append_receipt(intent)) == "duplicate-receipt"
