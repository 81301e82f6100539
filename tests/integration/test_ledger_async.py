"""The ledger under an event loop: durable when it returns, nothing lost, nothing in the way."""

import asyncio
import random
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from nous_ledger.ledger import Appended, Ledger
from nous_ledger.ledger.aio import AsyncLedger
from nous_ledger.ledger.committer import GroupCommitter
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.hashing import raw_usage_hash
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.proof import verify_consistency
from nous_ledger.protocol.types import LeafCount
from tests.integration.ledger_audit import audit, verified
from tests.integration.ledger_drafts import START_MS, Clock, make_draft, make_intent


async def test_many_tasks_append_at_once(ledger: Ledger, folder: Path, seed: random.Random) -> None:
    drafts = [[make_draft(seed) for _ in range(8)] for _ in range(30)]
    asynchronous = AsyncLedger(ledger)

    async def produce(number: int) -> list[Appended]:
        return [await asynchronous.append(draft) for draft in drafts[number]]

    logged = [item for done in await asyncio.gather(*map(produce, range(30))) for item in done]
    found = audit(folder)
    assert sorted(item.index for item in logged) == list(range(1, 241))
    assert all(found.records[item.index] == item.record for item in logged)
    await asynchronous.close()
    with pytest.raises(LedgerError, match="closed"):
        await asynchronous.append(drafts[0][0])


async def test_everything_that_a_gateway_needs(
    folder: Path, ledger: Ledger, seed: random.Random, clock: Clock
) -> None:
    ledger.close()
    async with await AsyncLedger.open(folder, clock=clock) as opened:
        intent = make_intent(seed)
        await opened.begin_call(intent, opening_hash=b"\x05" * 32)
        draft = make_draft(seed, id=intent.id, raw_usage_hash=raw_usage_hash((b"1",)))
        one = await opened.append(draft, opening_hash=b"\x05" * 32, raw_usage=(b"1",))
        first = await opened.head()
        more = await opened.append_many([make_draft(seed) for _ in range(5)])
        second = await opened.head()
        old, new = (parse_checkpoint(parse_note(note).text) for note in (first, second))
        proof = await opened.consistency(old.leaf_count, new.leaf_count)
        verify_consistency(old.leaf_count, old.root, new.leaf_count, new.root, proof)
        assert new.leaf_count == LeafCount(7)
        report = verified(opened.ledger, await opened.prove(one.index, first))
        assert report.exit_code() == 0
        assert report.body == draft
        entries = await opened.read(range(1, 7))
        assert [entry.record for entry in entries] == [one.record, *(m.record for m in more)]
        entry = await opened.find_receipt(draft.id)
        assert entry is not None
        assert entry.opening_hash == b"\x05" * 32
        assert await opened.run(opened.ledger.read_raw_usage, 1) == (b"1",)
        assert opened.ledger.open_intents() == ()
        for leaves in (range(0, 7, 2), range(9), range(3, 1)):
            with pytest.raises(InputError):
                await opened.read(leaves)


async def test_each_task_hears_of_its_own_error(ledger: Ledger, seed: random.Random) -> None:
    asynchronous = AsyncLedger(ledger)
    known = make_draft(seed)
    await asynchronous.append(known)
    results = await asyncio.gather(
        asynchronous.append(known),
        asynchronous.append(make_draft(seed)),
        asynchronous.append(make_draft(seed, extensions=((64, b"x" * 5_000),))),
        return_exceptions=True,
    )
    assert isinstance(results[1], Appended)
    assert [getattr(result, "code", None) for result in results] == [
        "duplicate-receipt",
        None,
        "limit",
    ]


async def test_what_was_taken_in_is_logged_though_its_task_was_cancelled(
    ledger: Ledger, folder: Path, seed: random.Random
) -> None:
    asynchronous = AsyncLedger(ledger)
    draft = make_draft(seed)
    with ledger._store.write():  # somebody holds the file: nothing can be committed
        task = asyncio.create_task(asynchronous.append(draft))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asynchronous.append(make_draft(seed))
    assert draft.id in audit(folder).receipts


def test_a_loop_that_has_ended_harms_nobody_else(
    ledger: Ledger, folder: Path, seed: random.Random
) -> None:
    asynchronous = AsyncLedger(ledger)

    async def send_and_leave() -> None:
        task = asyncio.create_task(asynchronous.append(make_draft(seed)))
        await asyncio.sleep(0)
        task.cancel()

    with ledger._store.write():
        asyncio.run(send_and_leave())
        thread = threading.Thread(target=lambda: ledger.append(make_draft(seed)))
        thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert len(audit(folder).receipts) == 2


def test_receipts_that_wait_are_counted(ledger: Ledger, seed: random.Random) -> None:
    """What may wait is bounded in receipts, however many callers bring them."""
    ledger._committer = GroupCommitter(ledger._run, max_waiting=5)
    drafts = [make_draft(seed) for _ in range(6)]
    results: list[object] = []
    sent = threading.Semaphore(0)

    def append_many() -> None:
        sent.release()
        results.append(ledger.append_many(drafts))

    with ledger._store.write():
        first = ledger.submit_receipt(make_draft(seed))
        while ledger._committer._waiting:
            pass
        thread = threading.Thread(target=append_many)
        thread.start()
        assert sent.acquire(timeout=10)
        while not ledger._committer._waiting:
            pass
        with pytest.raises(LedgerError) as caught:
            ledger.append(make_draft(seed))
        assert caught.value.code == "overloaded"
    thread.join(10)
    assert first.result(10).index == 1
    assert len(results) == 1


def test_every_call_says_that_the_ledger_was_closed(ledger: Ledger, seed: random.Random) -> None:
    async def use() -> list[str]:
        log = AsyncLedger(ledger)
        await log.append(make_draft(seed))
        await log.close()
        codes = []
        for work in (lambda: log.append(make_draft(seed)), log.head, lambda: log.prove(1)):
            with pytest.raises(LedgerError) as caught:
                await work()
            codes.append(caught.value.code)
        return codes

    assert asyncio.run(use()) == ["closed"] * 3


class TestTryingAgain:
    """After a commit whose end nobody heard of, the caller learns what became of it."""

    def test_this_very_receipt_is_named(self, ledger: Ledger, seed: random.Random) -> None:
        ledger.append(make_draft(seed))
        draft = make_draft(seed)
        logged = ledger.append(draft)
        for work in (lambda: ledger.append(draft), lambda: ledger.append_many([draft])):
            with pytest.raises(LedgerError) as caught:
                work()
            assert caught.value.code == "duplicate-receipt"
            assert caught.value.attrs == {"index": logged.index}
        assert ledger.entry(logged.index).record == logged.record

    @pytest.mark.parametrize("moved", [(1_000, 0), (0, 400_000)])
    def test_even_if_the_log_corrected_its_time(
        self, ledger: Ledger, seed: random.Random, clock: Clock, moved: tuple[int, int]
    ) -> None:
        """REC-10: the clock was set back, or during the call."""
        ledger.append(make_draft(seed))
        back_ms, ahead_ms = moved
        clock.now_ms -= back_ms
        for anomalies in (None, (4,)):
            draft = make_draft(seed, time_ms=START_MS + ahead_ms, anomalies=anomalies)
            logged = ledger.append(draft)
            assert logged.receipt.anomalies == (*(anomalies or ()), 10)
            other = replace(draft, salt=bytes(16))
            for again, attrs in ((draft, {"index": logged.index}), (other, {})):
                with pytest.raises(LedgerError) as caught:
                    ledger.append(again)
                assert (caught.value.code, caught.value.attrs) == ("duplicate-receipt", attrs)

    def test_another_receipt_of_this_id_is_not(self, ledger: Ledger, seed: random.Random) -> None:
        draft = make_draft(seed)
        index = ledger.append(draft).index
        other = make_draft(seed, id=draft.id)
        with pytest.raises(LedgerError) as caught:
            ledger.append(other)
        assert (caught.value.code, caught.value.attrs) == ("duplicate-receipt", {})
        ledger.redact([index], "retention")
        with pytest.raises(LedgerError) as caught:
            ledger.append(draft)
        assert (caught.value.code, caught.value.attrs) == ("duplicate-receipt", {})
