"""Statements in a ledger: what they say adds up, and what they may not be made over."""

import random
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger, StoreContentError
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.statements import MAX_STATED
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_STATEMENT, decode_record
from nous_ledger.protocol.statement import Statement
from nous_ledger.protocol.types import LeafIndex, SubjectId
from tests.integration.ledger_audit import error_code, verified
from tests.integration.ledger_drafts import make_draft

SUBJECT = SubjectId(b"\x07" * 32)


def fill(ledger: Ledger, seed: random.Random, count: int) -> tuple[list[LeafIndex], list[Receipt]]:
    """Log receipts of two subjects, of various models, and return those of ours."""
    drafts = []
    for number in range(count):
        usage: dict[str, Any] = {}
        if number % 5 == 0:
            usage = {"metering": 0, "usage": None, "provider_total": None}
        served = None if number % 4 == 0 else f"model-{number % 3}"
        mine = make_draft(seed, subject=SUBJECT, model_served=served, **usage)
        drafts += [mine, make_draft(seed, subject=b"\x08" * 32)]
    logged = ledger.append_many(drafts)[::2]
    return [one.index for one in logged], [one.receipt for one in logged]


def statement_at(ledger: Ledger, index: int) -> Statement:
    body = decode_body(TYPE_STATEMENT, ledger.entry(index).body)
    assert isinstance(body, Statement)
    return body


def test_totals_add_up(ledger: Ledger, folder: Path, seed: random.Random) -> None:
    """STMT-1 to STMT-5: against sums made here by another way."""
    leaves, receipts = fill(ledger, seed, 40)
    entry = ledger.make_statement(SUBJECT, 0, leaves)
    assert decode_record(entry.record).type == TYPE_STATEMENT
    statement = statement_at(ledger, entry.index)
    assert (statement.first_seq, statement.last_seq) == (0, 39)
    assert statement.count <= entry.index
    assert statement.last_body_hash == decode_record(ledger.entry(leaves[-1]).record).body_hash
    for row in statement.rows:
        own = [r for r in receipts if (r.model_served or r.model_requested) == row.model]
        assert row.calls == len(own)
        assert row.unmetered == sum(r.metering == 0 for r in own)
        buckets = [bucket for r in own for bucket in r.usage or ()]
        for kind in row.kinds:
            of_kind = [(b.label, b.reported or 0) for b in buckets if b.kind == kind.kind]
            assert kind.reported == sum(n for _, n in of_kind)
            by_label = [sum(n for label, n in of_kind if label == at) for at in (1, 2, 3)]
            assert [kind.exact, kind.bounded, kind.unverifiable] == by_label
    assert sum(row.calls for row in statement.rows) == 40
    report = verified(ledger, ledger.prove(entry.index))
    assert (report.attribution.code, report.inclusion.code) == ("", "")
    ledger.close()
    assert fsck(folder).fault_count == 0


def test_more_models_than_rows_are_for_the_next_statement(
    ledger: Ledger, seed: random.Random
) -> None:
    drafts = [make_draft(seed, subject=SUBJECT, model_served=f"m{n:03}") for n in range(70)]
    leaves = [logged.index for logged in ledger.append_many(drafts)]
    first = statement_at(ledger, ledger.make_statement(SUBJECT, 0, leaves).index)
    assert (first.first_seq, first.last_seq, len(first.rows)) == (0, 63, 64)
    rest = statement_at(ledger, ledger.make_statement(SUBJECT, 64, leaves[64:]).index)
    assert (rest.first_seq, rest.last_seq) == (64, 69)


def test_a_body_never_grows_beyond_its_limit(ledger: Ledger, seed: random.Random) -> None:
    kinds = [*range(1, 6), 32, 33, 34, 48, 49, 50, 51, 52, 53]
    usage = tuple(
        Bucket(kind=kind, reported=2**53 - 1 - n, label=3) for n, kind in enumerate(kinds)
    )
    drafts = [
        make_draft(
            seed,
            subject=SUBJECT,
            model_served=f"{n:03}{'m' * 253}",
            usage=usage,
            provider_total=None,
        )
        for n in range(64)
    ]
    leaves = [logged.index for logged in ledger.append_many(drafts)]
    first = statement_at(ledger, ledger.make_statement(SUBJECT, 0, leaves).index)
    assert 20 <= first.last_seq < 63
    same = [make_draft(seed, subject=b"\x09" * 32, usage=usage, provider_total=None)] * 1
    same.append(make_draft(seed, subject=b"\x09" * 32, usage=usage, provider_total=None))
    twice = [logged.index for logged in ledger.append_many(same)]
    entry = ledger.make_statement(SubjectId(b"\x09" * 32), 0, twice)
    assert statement_at(ledger, entry.index).last_seq == 0  # the sum would exceed 2^53-1


def test_a_withheld_receipt_makes_it_impossible(ledger: Ledger, seed: random.Random) -> None:
    leaves, _ = fill(ledger, seed, 10)
    ledger.redact([leaves[4]], "retention")
    with pytest.raises(UnavailableError) as caught:
        ledger.make_statement(SUBJECT, 0, leaves)
    assert (caught.value.code, caught.value.attrs) == ("withheld", {"subject_seq": 4})
    before = statement_at(ledger, ledger.make_statement(SUBJECT, 0, leaves[:4]).index)
    after = statement_at(ledger, ledger.make_statement(SUBJECT, 5, leaves[5:]).index)
    assert (before.last_seq, after.last_seq) == (3, 9)


def test_leaves_that_are_no_chain_are_refused(ledger: Ledger, seed: random.Random) -> None:
    leaves, _ = fill(ledger, seed, 6)
    count = ledger.leaf_count()
    for wrong, first in (
        (leaves[1:], 0),
        ([*leaves[:2], *leaves[3:]], 0),
        ([LeafIndex(leaves[0] + 1)], 0),
    ):
        with pytest.raises(StoreContentError):
            ledger.make_statement(SUBJECT, first, wrong)
    assert error_code(lambda: ledger.make_statement(SUBJECT, 0, [])) == "input"
    beyond = [LeafIndex(count + 9)]
    assert error_code(lambda: ledger.make_statement(SUBJECT, 0, beyond)) == "input"
    too_many = [LeafIndex(1)] * (MAX_STATED + 1)
    assert error_code(lambda: ledger.make_statement(SUBJECT, 0, too_many)) == "input"
    assert ledger.leaf_count() == count


def test_the_end_of_a_chain(ledger: Ledger, seed: random.Random) -> None:
    leaves, _ = fill(ledger, seed, 3)
    end = ledger.subject_head(SUBJECT)
    assert end.next_seq == 3
    assert end.last_body_hash == decode_record(ledger.entry(leaves[-1]).record).body_hash
    assert ledger.subject_head(b"\x55" * 32).next_seq == 0
