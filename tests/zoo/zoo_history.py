"""Logs that take back what they said: rewritten, cut, forked, stale."""

from collections.abc import Iterator

from nous_ledger.protocol.mmr import EMPTY_ROOT
from tests.zoo.behaviour import Round, behaviour, caught, honest, unchecked
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of, time_of
from tests.zoo.site import switching, view_of


def begun(now_s: int, records: int = 7) -> Forger:
    """Return an honest log that began a while ago."""
    return Forger(now_s - 200).grow(records)


@behaviour
def rewrite_one_field(now_s: int) -> Iterator[Round]:
    """A receipt is changed and everything after it signed again; then the log grows."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.change(3, status=2)
    yield caught(view_of(log.grow(2)), "head/fork")


@behaviour
def rewrite_at_the_same_count(now_s: int) -> Iterator[Round]:
    """A receipt is changed and everything after it signed again; the log does not grow."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.change(3, status=2)
    yield caught(view_of(log), "head/fork")


@behaviour
def delete_and_rebuild(now_s: int) -> Iterator[Round]:
    """All receipts are replaced by fewer others."""
    log = begun(now_s)
    yield honest(view_of(log))
    del log.entries[1:]
    yield caught(view_of(log.grow(4, subjects=1)), "head/fork")


@behaviour
def drop_and_grow_past(now_s: int) -> Iterator[Round]:
    """The newest records are dropped, and others written until the log is longer than before."""
    log = begun(now_s)
    yield honest(view_of(log))
    del log.entries[-3:]
    yield caught(view_of(log.grow(5, subjects=1)), "head/fork")


@behaviour
def drop_the_newest(now_s: int) -> Iterator[Round]:
    """The newest records are dropped, and what is left is signed as the newest head."""
    log = begun(now_s)
    yield honest(view_of(log))
    del log.entries[-3:]
    yield caught(view_of(log), "head/rollback")


@behaviour
def drop_all_but_the_genesis(now_s: int) -> Iterator[Round]:
    """Every record but the genesis is dropped."""
    log = begun(now_s)
    yield honest(view_of(log))
    del log.entries[1:]
    yield caught(view_of(log), "head/rollback")


@behaviour
def empty_tree(now_s: int) -> Iterator[Round]:
    """A signed head over no leaves at all."""
    log = begun(now_s)
    yield honest(view_of(log))
    yield caught(
        view_of(log, head_of(log, 0, epoch=0, root=EMPTY_ROOT)), "head/empty-tree", "head/rollback"
    )


@behaviour
def empty_tree_at_first_sight(now_s: int) -> Iterator[Round]:
    """A signed head over no leaves, shown to a reader that knows nothing yet."""
    log = begun(now_s)
    yield caught(view_of(log, head_of(log, 0, epoch=0, root=EMPTY_ROOT)), "head/empty-tree")


@behaviour
def fork_between_two_readers(now_s: int) -> Iterator[Round]:
    """Two readers are shown two histories; the one that then sees the other's knows it."""
    log = begun(now_s)
    other = log.fork()
    yield honest(view_of(log.grow(3)), reader="first")
    others = view_of(other.grow(3, subjects=1))
    yield honest(others, reader="second")
    yield caught(others, "head/fork", reader="first")


@behaviour
def fork_that_heals(now_s: int) -> Iterator[Round]:
    """A fork is shown once, and the first history again: the alarm does not clear by itself."""
    log = begun(now_s)
    other = log.fork()
    yield honest(view_of(log.grow(2)))
    yield caught(view_of(other.grow(2, subjects=1)), "head/fork")
    log.now_ms = other.now_ms
    yield Round(view_of(log.grow(1)), exit=1)


@behaviour
def fork_of_an_older_head(now_s: int) -> Iterator[Round]:
    """A smaller head of another history, signed before the trusted one."""
    log = begun(now_s)
    other = log.fork()
    old = view_of(other.grow(1, subjects=1))
    log.now_ms = other.now_ms
    yield honest(view_of(log.grow(4)))
    yield caught(old, "head/fork")


@behaviour
def heads_that_alternate(now_s: int) -> Iterator[Round]:
    """Every other request for the head is answered from another history of the same length."""
    log = begun(now_s)
    other = log.fork()
    first, second = view_of(log.grow(2)), view_of(other.grow(2, subjects=1))
    site = switching(lambda seen: second if seen % 2 == 0 else first)
    yield honest(site)
    yield caught(site, "head/fork")


@behaviour
def two_roots_for_one_count(now_s: int) -> Iterator[Round]:
    """A head over the same leaves with a root that no leaves lead to."""
    log = begun(now_s)
    yield honest(view_of(log))
    yield caught(view_of(log, head_of(log, root=b"\x5a" * 32)), "head/fork")


@behaviour
def stale_edge(now_s: int) -> Iterator[Round]:
    """A cache shows a head of before, and then the newest again: no alarm."""
    log = begun(now_s)
    old = view_of(log)
    yield honest(view_of(log.grow(3)))
    yield unchecked(old, "head/stale")
    yield honest(view_of(log.grow(1)))


@behaviour
def stale_for_ever(now_s: int) -> Iterator[Round]:
    """A head of before, as if nothing had come after it, past what the heartbeat promises."""
    log = Forger(now_s - 1000, heartbeat_s=100).grow(5)
    old = view_of(log)
    yield unchecked(view_of(log.grow(3)), "head/silent")
    yield unchecked(old, "head/stale", "head/silent")


@behaviour
def heartbeat_stops(now_s: int) -> Iterator[Round]:
    """The newest head is older than the genesis allows."""
    log = Forger(now_s - 5000).grow(5)
    yield unchecked(view_of(log), "head/silent")


@behaviour
def time_goes_back(now_s: int) -> Iterator[Round]:
    """A larger head is signed with an earlier time than the smaller one before it."""
    log = begun(now_s)
    head = head_of(log)
    yield honest(view_of(log, head))
    entry = log.make(1, log.draft(), logged_at=log.now_ms - 1000)
    log.take(entry)
    yield caught(view_of(log, head_of(log, time_s=time_of(head) - 1)), "head/head-time")


@behaviour
def heartbeat_before_the_head(now_s: int) -> Iterator[Round]:
    """A cache shows the same head as it was signed an hour before: no alarm."""
    log = begun(now_s)
    first = view_of(log)
    log.wait(30)
    yield honest(view_of(log))
    yield honest(first)


@behaviour
def head_before_its_records(now_s: int) -> Iterator[Round]:
    """A head is signed with a time before that of a record that it covers."""
    log = begun(now_s)
    last = log.entries[-1].decoded.logged_at // 1000
    yield caught(view_of(log, head_of(log, time_s=last - 5)), "record/head-time")


@behaviour
def head_far_ahead(now_s: int) -> Iterator[Round]:
    """The head's time lies a day ahead of every clock."""
    log = begun(now_s)
    yield unchecked(view_of(log, head_of(log, time_s=now_s + 86_400)), "head/clock-ahead")


@behaviour
def clock_far_ahead(now_s: int) -> Iterator[Round]:
    """Records and head lie in the year 2100."""
    log = Forger(4_102_444_800).grow(5)
    yield unchecked(view_of(log), "head/clock-ahead")


@behaviour
def head_at_the_end_of_time(now_s: int) -> Iterator[Round]:
    """The head's time is the largest that can be written: no honest head could follow it."""
    log = begun(now_s)
    yield honest(view_of(log))
    yield unchecked(view_of(log, head_of(log, time_s=2**53 - 1)), "head/clock-ahead")


@behaviour
def count_beyond_all_records(now_s: int) -> Iterator[Round]:
    """The head is signed over far more leaves than are served."""
    log = begun(now_s)
    yield unchecked(
        view_of(log, head_of(log, 2**53 - 1, epoch=0, root=b"\x11" * 32)), "source/unreachable"
    )


@behaviour
def count_larger_than_records_served(now_s: int) -> Iterator[Round]:
    """The newest records of an honest head are not served."""
    log = begun(now_s)
    yield honest(view_of(log))
    yield unchecked(view_of(log.grow(4), covered=log.count - 2), "source/unreachable")
