"""Calls that begin and end in one transaction: their intents are stored and fulfilled together."""

import random

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.model import Appended
from nous_ledger.ledger.replies import FutureReply
from nous_ledger.ledger.work import Work
from tests.integration.ledger_drafts import make_draft, make_intent


def done_together(ledger: Ledger, works: list[Work]) -> list[object]:
    """Return what became of some work: the text of an error, else the outcome."""
    replies = [FutureReply() for _ in works]
    ledger.send_all(list(zip(works, replies, strict=True)))
    errors = [reply.future.exception(timeout=30) for reply in replies]
    assert all(error is None or isinstance(error, LedgerUseError) for error in errors)
    return [
        reply.future.result() if error is None else error
        for reply, error in zip(replies, errors, strict=True)
    ]


def said_of(outcome: object, receipt_id: bytes) -> str:
    assert isinstance(outcome, LedgerUseError)
    assert outcome.code == "duplicate-receipt"
    return outcome.message.replace(receipt_id.hex(), "X")


@pytest.mark.parametrize("openings", [(b"\1" * 32, b"\2" * 32), (b"\1" * 32, None), (None, None)])
def test_intents_of_one_transaction(
    ledger: Ledger, seed: random.Random, openings: tuple[bytes | None, bytes | None]
) -> None:
    """RCPT-12: each comes back as it was given, those with and without an opening."""
    drafts = sorted((make_intent(seed) for _ in openings), key=lambda draft: draft.id)
    works: list[Work] = [
        ledger.call_work(draft, opening_hash=opening)
        for draft, opening in zip(drafts, openings, strict=True)
    ]
    assert done_together(ledger, works) == [None, None]
    found = [(intent.draft, intent.opening_hash) for intent in ledger.open_intents()]
    assert found == list(zip(drafts, openings, strict=True))


def test_an_intent_is_fulfilled_in_the_transaction_that_stores_it(
    ledger: Ledger, seed: random.Random
) -> None:
    """RCPT-12: whether the call began in this transaction or before."""
    before, now, open_ = (make_intent(seed) for _ in range(3))
    ledger.begin_call(before)
    works: list[Work] = [
        ledger.call_work(now),
        ledger.append_work(before),
        ledger.append_work(now),
        ledger.call_work(open_),
    ]
    first, *logged, last = done_together(ledger, works)
    assert (first, last) == (None, None)
    assert all(isinstance(outcome, Appended) for outcome in logged)
    assert [intent.draft.id for intent in ledger.open_intents()] == [open_.id]


def test_a_call_begins_once(ledger: Ledger, seed: random.Random) -> None:
    """RCPT-12: a second intent of an id is refused alone, and says why."""
    logged, begun, twice = make_draft(seed), make_intent(seed), make_intent(seed)
    ledger.append(logged)
    ledger.begin_call(begun)
    works: list[Work] = [
        ledger.call_work(logged),
        ledger.call_work(begun),
        ledger.call_work(twice),
        ledger.call_work(twice),
        ledger.append_work(twice),
        ledger.call_work(twice),
    ]
    outcomes = done_together(ledger, works)
    assert said_of(outcomes[0], logged.id) == "the receipt X is logged"
    assert said_of(outcomes[1], begun.id) == "the call X began before"
    assert outcomes[2] is None
    assert said_of(outcomes[3], twice.id) == "the call X began before"
    assert isinstance(outcomes[4], Appended)
    assert said_of(outcomes[5], twice.id) == "the receipt X is logged"
    assert [intent.draft.id for intent in ledger.open_intents()] == [begun.id]
