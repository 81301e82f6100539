"""Group commit: bounded, in order, and no caller waits for ever."""

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from nous_ledger.ledger import committer as committer_module
from nous_ledger.ledger.committer import HEAD_ROOM, MAX_TOGETHER, GroupCommitter
from nous_ledger.ledger.errors import LedgerUseError, StoreError
from nous_ledger.ledger.replies import ThreadReply
from nous_ledger.ledger.work import AppendWork, HeadWork, Work


class Runner:
    """Stands for a transaction: notes the groups it is given, and waits when told to."""

    def __init__(self) -> None:
        self.groups: list[list[Work]] = []
        self.started = threading.Event()
        self.go_on = threading.Event()
        self.error: BaseException | None = None

    def __call__(self, works: Sequence[Work]) -> list[Any]:
        self.started.set()
        assert self.go_on.wait(10)
        self.groups.append(list(works))
        if self.error is not None:
            raise self.error
        return [len(self.groups)] * len(works)


@pytest.fixture
def runner() -> Runner:
    return Runner()


def test_work_that_comes_during_a_commit_shares_the_next(runner: Runner) -> None:
    committer = GroupCommitter(runner)
    first = committer.submit(HeadWork())
    assert runner.started.wait(10)
    later = [committer.submit(HeadWork()) for _ in range(20)]
    assert not first.done()
    runner.go_on.set()
    assert [first.result(10), *(future.result(10) for future in later)] == [1] + [2] * 20
    committer.close()
    assert [len(group) for group in runner.groups] == [1, 20]


def test_a_group_ends_when_it_is_large_enough(runner: Runner) -> None:
    committer = GroupCommitter(runner)
    first = committer.submit(HeadWork())
    assert runner.started.wait(10)
    draft: Any = object()
    large = AppendWork(drafts=(draft,) * MAX_TOGETHER)
    later = [committer.submit(work) for work in (HeadWork(), large, HeadWork())]
    runner.go_on.set()
    assert [future.result(10) for future in (first, *later)] == [1, 2, 2, 3]
    committer.close()


class TestComingBack:
    """Callers that waited together come back one shortly after the other."""

    @pytest.fixture
    def committer(self, runner: Runner) -> GroupCommitter:
        """One whose last group was of 20."""
        committer = GroupCommitter(runner)
        first = committer.submit(HeadWork())
        assert runner.started.wait(10)
        later = [committer.submit(HeadWork()) for _ in range(20)]
        runner.go_on.set()
        for future in (first, *later):
            future.result(10)
        return committer

    def test_most_of_them_share_the_next_group(
        self, committer: GroupCommitter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(committer_module, "_LINGER_S", 60.0)
        futures = [committer.submit(HeadWork()) for _ in range(18)]
        assert [future.result(10) for future in futures] == [3] * 18
        committer.close()

    def test_they_join_those_that_came_meanwhile(
        self, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Else two halves would each pay for a transaction of its own, for ever."""
        monkeypatch.setattr(committer_module, "_LINGER_S", 60.0)
        committer = GroupCommitter(runner)
        committer.submit(HeadWork())
        assert runner.started.wait(10)
        half = [committer.submit(HeadWork()) for _ in range(20)]
        runner.started.clear()
        first_may_end, runner.go_on = runner.go_on, threading.Event()
        first_may_end.set()
        assert runner.started.wait(10)
        meanwhile = [committer.submit(HeadWork()) for _ in range(20)]
        runner.go_on.set()
        assert [future.result(10) for future in half] == [2] * 20
        back = [committer.submit(HeadWork()) for _ in range(18)]
        assert [future.result(10) for future in (*meanwhile, *back)] == [3] * 38
        committer.close()

    def test_threads_that_are_still_being_woken_are_waited_for(
        self, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(committer_module, "_LINGER_S", 0.2)
        wake = ThreadReply.wake

        def wake_slowly(reply: ThreadReply) -> None:
            threading.Event().wait(0.02)  # all of them: twice as long as others are waited for
            wake(reply)

        monkeypatch.setattr(ThreadReply, "wake", wake_slowly)
        committer = GroupCommitter(runner)
        committer.submit(HeadWork())
        assert runner.started.wait(10)

        def come_back() -> None:
            committer.do(HeadWork())
            committer.do(HeadWork())

        threads = [threading.Thread(target=come_back) for _ in range(20)]
        for thread in threads:
            thread.start()
        while len(committer._waiting) < 20:
            threading.Event().wait(0.01)
        runner.go_on.set()
        for thread in threads:
            thread.join(20)
        committer.close()
        assert [len(group) for group in runner.groups[:2]] == [1, 20]
        assert len(runner.groups[2]) >= 18

    def test_a_caller_that_comes_alone_does_not_wait_long(self, committer: GroupCommitter) -> None:
        for number in (3, 4, 5):
            assert committer.submit(HeadWork()).result(10) == number
        committer.close()

    def test_closing_waits_for_nobody(
        self, committer: GroupCommitter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(committer_module, "_LINGER_S", 60.0)
        future = committer.submit(HeadWork())
        committer.close()
        assert future.result(0) == 3


def test_too_much_work_is_refused_at_once(runner: Runner) -> None:
    draft: Any = object()
    work = AppendWork(drafts=(draft,))
    committer = GroupCommitter(runner, max_waiting=3)
    taken = [committer.submit(work)]
    assert runner.started.wait(10)
    taken += [committer.submit(work) for _ in range(3)]
    with pytest.raises(StoreError) as caught:
        committer.submit(work)
    assert caught.value.code == "overloaded"
    heads = [committer.submit(HeadWork()) for _ in range(HEAD_ROOM)]  # HEAD-13: in time, even so
    with pytest.raises(StoreError):
        committer.submit(HeadWork())
    runner.go_on.set()
    assert [future.result(10) for future in taken] == [1, 2, 2, 2]
    assert {future.result(10) for future in heads} == {2}
    committer.submit(HeadWork()).result(10)
    committer.close()


def test_closing_finishes_what_was_taken_in(runner: Runner) -> None:
    committer = GroupCommitter(runner)
    futures = [committer.submit(HeadWork()) for _ in range(5)]
    closing = threading.Thread(target=committer.close)
    closing.start()
    runner.go_on.set()
    closing.join(10)
    assert not closing.is_alive()
    assert all(future.done() for future in futures)
    with pytest.raises(LedgerUseError, match="closed"):
        committer.submit(HeadWork())
    committer.close()


def test_every_caller_gets_an_error_of_its_own(runner: Runner) -> None:
    runner.error = StoreError("store-full", "no room", free=0)
    committer = GroupCommitter(runner)
    runner.go_on.set()
    futures = [committer.submit(HeadWork()) for _ in range(3)]
    errors = [future.exception(10) for future in futures]
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert isinstance(error, StoreError)
        assert (error.code, error.attrs) == ("store-full", {"free": 0})
        assert error.__cause__ is runner.error
    runner.error = None
    assert committer.submit(HeadWork()).result(10)
    committer.close()


def test_a_fault_of_our_own_reaches_the_callers_and_the_thread_goes_on(runner: Runner) -> None:
    runner.error = ZeroDivisionError()
    committer = GroupCommitter(runner)
    runner.go_on.set()
    assert isinstance(committer.submit(HeadWork()).exception(10), ZeroDivisionError)
    runner.error = None
    assert committer.submit(HeadWork()).result(10)
    committer.close()


def test_work_that_was_taken_in_cannot_be_cancelled(runner: Runner) -> None:
    committer = GroupCommitter(runner)
    future = committer.submit(HeadWork())
    assert not future.cancel()
    runner.go_on.set()
    assert future.result(10) == 1
    committer.close()


class Interrupted:
    """A lock that Ctrl-C meets once, just before it is released."""

    def __init__(self, lock: Any) -> None:
        self.lock = lock
        self.met = False

    def locked(self) -> bool:
        return bool(self.lock.locked())

    def acquire(self, **how: Any) -> bool:
        return bool(self.lock.acquire(**how))

    def release(self) -> None:
        if not self.met:
            self.met = True
            raise KeyboardInterrupt
        self.lock.release()


def test_who_is_interrupted_while_waking_the_thread_stops_nobody_else(runner: Runner) -> None:
    runner.go_on.set()
    committer = GroupCommitter(runner)
    assert committer.submit(HeadWork()).result(10) == 1
    while not committer._asleep:
        threading.Event().wait(0.01)
    committer._wake = Interrupted(committer._wake)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        committer.submit(HeadWork())
    assert committer.submit(HeadWork()).result(10) == 2
    committer.close()
    assert sum(map(len, runner.groups)) == 3


def test_a_start_that_was_interrupted_is_made_up_for(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner.go_on.set()
    committer = GroupCommitter(runner)
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            committer.submit(HeadWork())
    assert committer.submit(HeadWork()).result(10) == 1
    committer.close()


def test_a_caller_that_no_longer_waits_keeps_nobody_asleep(runner: Runner) -> None:
    committer = GroupCommitter(runner)
    committer.submit(HeadWork())
    assert runner.started.wait(10)
    replies = [ThreadReply() for _ in range(3)]
    for reply in replies:
        committer.send(HeadWork(), reply)
    runner.go_on.set()
    assert [reply.wait() for reply in replies[1:]] == [2, 2]  # the first is never asked
    committer.close()
