"""The index against sums made another way; how it follows, forgets and says that it is late."""

import asyncio
import random
from collections import Counter

import pytest

from nous_ledger.gateway.http_errors import HttpError
from nous_ledger.gateway.usage_follower import UsageFollower
from nous_ledger.gateway.usage_index import DAY_MS, Sums, UsageIndex
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.label import Bucket
from tests.integration.ledger_drafts import START_MS, make_draft


def follow(index: UsageIndex) -> None:
    while index.step():
        continue


def grow(ledger: Ledger, seed: random.Random, count: int) -> None:
    drafts = [
        make_draft(
            seed,
            time_ms=START_MS - seed.randrange(5) * DAY_MS,
            model_served=f"m{seed.randrange(4)}",
            usage=(Bucket(kind=1, reported=seed.randrange(2**53 - 1), label=3),),
            provider_total=None,
        )
        for _ in range(count)
    ]
    ledger.append_many(drafts)


def naive(ledger: Ledger) -> Counter[tuple[int, bytes, str]]:
    """Sums by day, subject and model, straight from the bodies."""
    found: Counter[tuple[int, bytes, str]] = Counter()
    for row in ledger.receipts():
        if (receipt := row.receipt) is not None:
            (bucket,) = receipt.usage or ()
            key = (receipt.time // DAY_MS, receipt.subject, str(receipt.model_served))
            found[key] += bucket.reported or 0
    return found


def indexed(index: UsageIndex) -> Counter[tuple[int, bytes, str]]:
    rows = index.usage(0, source=1)
    return Counter({(row.day, row.subject, row.model): row.sums.total for row in rows})


def test_it_agrees_with_the_log_whatever_is_added_and_erased(
    ledger: Ledger, seed: random.Random
) -> None:
    """With sums far beyond 64 bits."""
    index = UsageIndex(ledger)
    for _ in range(3):
        grow(ledger, seed, 300)
        follow(index)
        assert indexed(index) == naive(ledger)
        left = [row.index for row in ledger.receipts() if row.receipt is not None]
        ledger.redact(seed.sample(left, 30), "retention")
        follow(index)
        assert indexed(index) == naive(ledger)
        every = Sums()
        for row in index.usage(None, source=1):
            every = every.plus(row.sums)
        assert every.total == sum(naive(ledger).values())
        assert every.calls == sum(row.receipt is not None for row in ledger.receipts())
    subject = bytes([1]) * 32
    chain = index.chain(subject, 0, 10_000)
    expected = [
        (row.receipt.subject_seq, row.index)
        for row in ledger.receipts()
        if row.receipt is not None and row.receipt.subject == subject
    ]
    assert list(chain) == expected
    index.close()


async def test_many_questions_at_once_see_all_that_is_durable(
    ledger: Ledger, seed: random.Random
) -> None:
    grow(ledger, seed, 900)
    follower = UsageFollower(ledger)
    upto = await asyncio.gather(*(follower.ask(lambda index: index.upto) for _ in range(20)))
    assert set(upto) == {901}
    grow(ledger, seed, 1)
    assert await follower.ask(lambda index: index.upto) == 902
    await follower.close()


async def test_a_question_does_not_wait_for_ever(ledger: Ledger, seed: random.Random) -> None:
    grow(ledger, seed, 1_000)
    follower = UsageFollower(ledger, patience_s=0.0)
    with pytest.raises(HttpError) as caught:
        await follower.ask(lambda index: index.upto)
    assert (caught.value.status, caught.value.code) == (503, "index-building")
    for _ in range(2_000):  # it goes on meanwhile, so that a later question is answered
        try:
            assert await follower.ask(lambda index: index.upto) == 1_001
            break
        except HttpError:
            await asyncio.sleep(0.01)
    else:
        pytest.fail("the index was never done")
    await follower.close()


async def test_a_temporary_file_that_fails_is_said_and_started_over(
    ledger: Ledger, seed: random.Random
) -> None:
    grow(ledger, seed, 10)
    follower = UsageFollower(ledger)
    await follower.ask(lambda index: index._rows.execute("DROP TABLE usage"))
    grow(ledger, seed, 10)
    with pytest.raises(HttpError) as caught:
        await follower.ask(lambda index: index.upto)
    assert caught.value.code == "index-unavailable"
    assert await follower.ask(indexed) == naive(ledger)
    await follower.close()
