"""What calls have to write is handed over in groups, and no call waits for nothing."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from nous_ledger.gateway.drafts import draft_receipt
from nous_ledger.gateway.gathering import MAX_PAUSES, PAUSE_S, Gathering
from nous_ledger.gateway.providers import find_route, make_upstream
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.replies import Reply
from nous_ledger.ledger.work import Work
from nous_ledger.protocol.types import Hash32, SubjectId

UPSTREAM = make_upstream(find_route("openai"))


def intent(log: Ledger) -> Work:
    shape = UPSTREAM.shape("POST", "/v1/chat/completions")
    assert shape is not None
    subject = SubjectId(Hash32(b"s" * 32))
    draft = draft_receipt(subject=subject, upstream=UPSTREAM, shape=shape, model="m")
    return log.call_work(draft)


@pytest.fixture
def groups(log: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pieces of work were handed over together."""
    sizes: list[int] = []
    hand_over = log.send_all

    def noted(works: Sequence[tuple[Work, Reply]]) -> None:
        sizes.append(len(works))
        hand_over(works)

    monkeypatch.setattr(log, "send_all", noted)
    return sizes


async def test_a_call_that_is_alone_does_not_wait(log: Ledger, groups: list[int]) -> None:
    gathering = Gathering(log, lambda: 1)
    reply = gathering.send(intent(log))
    assert groups == [1]  # at once, in the very call
    await reply.wait()
    assert len(log.open_intents()) == 1


async def test_work_of_many_calls_goes_together(log: Ledger, groups: list[int]) -> None:
    gathering = Gathering(log, lambda: 8)
    replies = [gathering.send(intent(log)) for _ in range(8)]
    assert groups == [8]  # nobody else could add to it
    later = [gathering.send(intent(log)) for _ in range(3)]
    assert groups == [8]  # while a transaction is under way
    await asyncio.gather(*(reply.wait() for reply in (*replies, *later)))
    assert groups == [8, 3]
    assert len(log.open_intents()) == 11


async def test_work_waits_for_more_as_long_as_more_comes(log: Ledger, groups: list[int]) -> None:
    gathering = Gathering(log, lambda: 1_000)
    began = time.monotonic()
    replies = [gathering.send(intent(log))]
    while not groups and len(replies) < 5_000:
        await asyncio.sleep(0)
        replies.append(gathering.send(intent(log)))
    waited = time.monotonic() - began
    assert groups == [len(replies) - 1]  # not for ever, although more would have come
    assert waited >= PAUSE_S * MAX_PAUSES * 0.9
    await asyncio.gather(*(reply.wait() for reply in replies))


async def test_an_error_comes_to_everyone_who_waits(log: Ledger) -> None:
    gathering = Gathering(log, lambda: 3)
    works = [intent(log) for _ in range(3)]
    log.close()
    replies = [gathering.send(work) for work in works]
    found = await asyncio.gather(*(reply.wait() for reply in replies), return_exceptions=True)
    assert all(isinstance(error, LedgerUseError) for error in found)
    assert len({id(error) for error in found}) == 3  # each raises its own
    with pytest.raises(LedgerUseError):
        await gathering.send(works[0]).wait()
