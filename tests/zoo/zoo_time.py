"""What only shows when time goes by, and what other ways of looking find."""

from collections.abc import Iterator
from typing import Final

from tests.zoo.behaviour import Round, behaviour, caught, honest, passed, unchecked
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of
from tests.zoo.site import NOT_THERE, altered, but, tiles, view_of
from tests.zoo.zoo_history import begun

EXPECTED: Final = ("--bodies", "expected")
HEADS_ONLY: Final = ("--heads-only",)


@behaviour
def heartbeats_stop_before_our_eyes(now_s: int) -> Iterator[Round]:
    """The same head for days, though somebody looks every half hour."""
    site = view_of(Forger(now_s - 60, heartbeat_s=3600).grow(5))
    yield honest(site)
    yield honest(site, later_s=1800)
    yield honest(site, later_s=3600)
    for half_hours in (3, 4):
        yield unchecked(site, "head/silent", later_s=half_hours * 1800)
    yield caught(site, "head/heartbeat", later_s=5 * 1800)


@behaviour
def reader_that_slept(now_s: int) -> Iterator[Round]:
    """The reader looks again after days, and the newest head is of before: nobody is accused."""
    site = view_of(Forger(now_s - 60, heartbeat_s=3600).grow(5))
    yield honest(site)
    for days in (1, 2, 3, 4):
        yield unchecked(site, "head/silent", later_s=days * 86_400)


@behaviour
def heartbeats_as_promised(now_s: int) -> Iterator[Round]:
    """The same tree signed again and again: nothing is wrong."""
    log = Forger(now_s - 60, heartbeat_s=3600).grow(5)
    for hours in range(5):
        yield honest(view_of(log), later_s=hours * 3600)
        log.wait(3600)


@behaviour
def readers_clock_far_behind(now_s: int) -> Iterator[Round]:
    """The reader's clock is a year behind: one of the two is wrong."""
    yield unchecked(view_of(begun(now_s)), "head/clock-ahead", later_s=-31_536_000)


@behaviour
def withheld_for_too_long(now_s: int) -> Iterator[Round]:
    """A body that the reader has a right to is gone, and no redaction ever says why."""
    log = begun(now_s)
    log.withhold(3)
    yield passed(view_of(log), "body/withheld", options=EXPECTED)
    log.wait(1000)
    yield caught(
        view_of(log.grow(1)),
        "body/withheld",
        "body/withheld-unannounced",
        options=EXPECTED,
        later_s=1000,
    )


@behaviour
def withheld_and_announced(now_s: int) -> Iterator[Round]:
    """A body is gone, and a redaction of the same minute says why: nothing is wrong."""
    log = begun(now_s)
    log.redact(3)
    yield passed(view_of(log), "body/withheld", options=EXPECTED)
    log.wait(1000)
    yield passed(view_of(log.grow(1)), "body/withheld", options=EXPECTED, later_s=1000)


@behaviour
def withheld_for_a_while(now_s: int) -> Iterator[Round]:
    """A body that was missing is there again: it was not there when it was read, no more."""
    log = begun(now_s)
    log.withhold(3)
    yield passed(view_of(log), "body/withheld", options=EXPECTED)
    log.wait(1000)
    log.show(3, log.entries[3].body)
    for _ in range(2):
        site = view_of(log.grow(1))
        yield passed(site, "body/withheld", options=EXPECTED, later_s=1000)


@behaviour
def damaged_once_on_the_way(now_s: int) -> Iterator[Round]:
    """A body arrives damaged once; that it was withheld is never said of it."""
    log = begun(now_s)
    yield honest(view_of(log), options=EXPECTED)
    site = view_of(log.grow(2))
    damaged = altered(site, tiles("bodies"), lambda data: data[:-9] + bytes(9))
    yield caught(damaged, "body/body-hash", options=EXPECTED)
    log.wait(1000)
    yield Round(view_of(log.grow(1)), exit=1, options=EXPECTED, later_s=1000)


@behaviour
def heads_only_fork(now_s: int) -> Iterator[Round]:
    """Somebody who reads heads alone sees a rewritten history too."""
    log = begun(now_s)
    yield honest(view_of(log), options=HEADS_ONLY)
    log.change(3, status=2)
    yield caught(view_of(log.grow(2)), "head/fork", options=HEADS_ONLY)


@behaviour
def heads_only_rollback(now_s: int) -> Iterator[Round]:
    """Somebody who reads heads alone sees that records were dropped."""
    log = begun(now_s)
    yield honest(view_of(log), options=HEADS_ONLY)
    del log.entries[-3:]
    yield caught(view_of(log), "head/rollback", options=HEADS_ONLY)


@behaviour
def heads_only_tiles_of_zeros(now_s: int) -> Iterator[Round]:
    """The hash tiles do not lead to the signed root."""
    log = begun(now_s)
    yield honest(view_of(log), options=HEADS_ONLY)
    lies = altered(view_of(log.grow(3)), tiles("hashes"), lambda data: bytes(len(data)))
    yield caught(lies, "tree/root-mismatch", options=HEADS_ONLY)


@behaviour
def heads_only_without_tiles(now_s: int) -> Iterator[Round]:
    """There are heads and no tiles: their growth cannot be checked."""
    log = begun(now_s)
    yield honest(view_of(log), options=HEADS_ONLY)
    site = but(view_of(log.grow(3)), tiles(), NOT_THERE)
    yield unchecked(site, "source/unreachable", options=HEADS_ONLY)


@behaviour
def records_after_heads_only(now_s: int) -> Iterator[Round]:
    """What a reader of heads trusted is read later, and one of its records is bent."""
    log = begun(now_s)
    log.edit(4, lambda record: record[:119] + bytes([1 - record[119]]))
    site = view_of(log)
    yield honest(site, options=HEADS_ONLY)
    yield caught(site, "record/mismatch")


@behaviour
def older_than_asked_for(now_s: int) -> Iterator[Round]:
    """The head is older than the reader accepts, though a heartbeat is not yet due."""
    log = begun(now_s)
    yield unchecked(view_of(log, head_of(log)), "head/too-old", options=("--max-age", "60"))
