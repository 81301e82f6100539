"""What is rare: the last epoch, searches without end, the largest bodies, odd honest servers."""

import asyncio
from collections.abc import Iterator
from typing import Final

from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.hashing import ZERO_HASH
from nous_ledger.protocol.keyevent import KeyEvent
from tests.zoo.behaviour import Round, behaviour, caught, honest, passed, unchecked
from tests.zoo.forger import Forger, signing_key
from tests.zoo.heads import head_of
from tests.zoo.raw import with_fields
from tests.zoo.samples import exact_bucket, seeded
from tests.zoo.server import message
from tests.zoo.site import (
    BYTES,
    NOT_THERE,
    Reply,
    Request,
    Script,
    Site,
    but,
    switching,
    tiles,
    view_of,
)
from tests.zoo.tree import prefixed
from tests.zoo.zoo_history import begun

LAST_EPOCH: Final = 63


def _rotated(now_s: int, times: int) -> Forger:
    """Return a log that rotated so often."""
    log = begun(now_s, 2)
    log.keys += [signing_key("zoo", "later", number) for number in range(LAST_EPOCH)]
    for _ in range(times):
        log.rotate()
    return log


@behaviour
def rotation_beyond_the_last_epoch(now_s: int) -> Iterator[Round]:
    """A log that rotated as often as any log may, and then once more."""
    log = _rotated(now_s, LAST_EPOCH)
    yield honest(view_of(log.grow(2)))
    log.rotate()
    yield caught(view_of(log), "head/head-epoch")
    head = head_of(log, epoch=LAST_EPOCH)
    yield caught(view_of(log, head), "key/epoch", "record/epoch", reader="other")


@behaviour
def close_by_the_only_key(now_s: int) -> Iterator[Round]:
    """A log that cannot rotate closes by its own key: nothing is wrong."""
    log = Forger(now_s - 200, rotates=False).grow(3)
    policy = log.policy()
    yield honest(view_of(log), policy=policy)
    _close_alone(log)
    yield honest(view_of(log), policy=policy)
    yield caught(view_of(log.grow(1)), "record/after-close", policy=policy)


def _close_alone(log: Forger) -> None:
    keys = log.key.public_key, log.ed25519.public_key
    log.put(0, KeyEvent(kind=2, reason=4, secp256k1=keys[0], ed25519=keys[1]))


@behaviour
def genesis_of_another_log(now_s: int) -> Iterator[Round]:
    """The first leaf is a genesis that does not hash to the pinned log id."""
    log = begun(now_s)
    genesis = with_fields(log.entries[0].body, {5: bytes(ZERO_HASH)})
    log.entries[0] = log.make(0, genesis, index=0, logged_at=log.entries[0].decoded.logged_at)
    yield caught(view_of(log), "key/log-id")


@behaviour
def suspect_records_at_first_sight(now_s: int) -> Iterator[Round]:
    """Records under a key that was reported as suspect: nobody can say who signed them."""
    log = begun(now_s)
    log.rotate(suspect_from=4)
    yield passed(view_of(log.grow(2)), "record/suspect")


@behaviour
def exact_by_later_evidence(now_s: int) -> Iterator[Round]:
    """A reconciliation labels EXACT what its receipt, whose call broke off, does not allow."""
    log = begun(now_s)
    yield honest(view_of(log))
    index = log.receipt(4, status=3)
    log.reconcile(index, usage=(exact_bucket(),))
    yield caught(view_of(log), "reconciliation/exact-not-allowed")


@behaviour
def evidence_for_another_count(now_s: int) -> Iterator[Round]:
    """A reconciliation speaks of a count that its receipt does not have."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.reconcile(2, usage=(exact_bucket(reported=44),))
    yield caught(view_of(log), "reconciliation/field-conflict")


@behaviour
def erased_and_still_served(now_s: int) -> Iterator[Round]:
    """A redaction names a body that is served all the same: worth knowing, and not wrong."""
    log = begun(now_s)
    log.redact(2, withhold=False)
    yield honest(view_of(log))


@behaviour
def bad_record_shown_once(now_s: int) -> Iterator[Round]:
    """Nothing is served any more once the record that proves the fault was read."""
    log = begun(now_s)
    yield honest(view_of(log))
    log.put(1, log.draft(), key=signing_key("stranger"))
    bad = view_of(log)
    gone = but(bad, tiles(), NOT_THERE)
    site = switching(lambda seen: bad if seen < 2 else gone, tiles("entries"))
    yield caught(site, "record/mismatch")


def _searching(log: Forger, ed25519: Ed25519Key | None) -> Site:
    """Return a site that claims an epoch to come and serves records for ever."""
    head = head_of(log, 2**40, epoch=1, key=log.keys[1], root=bytes(32), ed25519=ed25519)
    record = prefixed(log.entries[1].record)
    good = view_of(log, head)

    def serve(request: Request) -> Reply | Script:
        tile = request.tile
        return Reply(record * tile.width) if tile and tile.kind == "entries" else good(request)

    return serve


@behaviour
def search_for_a_key_that_nobody_revealed(now_s: int) -> Iterator[Round]:
    """A head that the log never signed claims an epoch to come, over records without end."""
    log = begun(now_s)
    yield honest(view_of(log))
    stranger = Ed25519Key(seeded("ed25519", "stranger"))
    yield unchecked(_searching(log, stranger), "source/unreachable")


@behaviour
def search_for_a_key_that_the_log_speaks_of(now_s: int) -> Iterator[Round]:
    """A head with the log's own Ed25519 line claims an epoch to come, over records without end."""
    log = begun(now_s)
    yield honest(view_of(log))
    yield unchecked(_searching(log, None), "source/unreachable")


@behaviour
def largest_bodies_there_may_be(now_s: int) -> Iterator[Round]:
    """Records with bodies as long as they may be, of a type that nobody knows."""
    log = begun(now_s)
    for number in range(40):
        log.put(2000, bytes([number]) * 32_768)
    yield honest(view_of(log))
    yield unchecked(view_of(_and_one_longer(log)), "source/unreachable")


def _and_one_longer(log: Forger) -> Forger:
    log.put(2000, bytes(32_769))
    return log


@behaviour
def slow_and_honest(now_s: int) -> Iterator[Round]:
    """Every answer takes its time: nothing is wrong."""
    site = view_of(begun(now_s))

    async def later(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(_message_of(site, request))

    yield honest(lambda _request: later)


@behaviour
def hangs_up_after_each_answer(now_s: int) -> Iterator[Round]:
    """Connections end with their first answer, unannounced: nothing is wrong."""
    site = view_of(begun(now_s))

    async def once(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(_message_of(site, request))

    for _ in range(3):
        yield honest(lambda _request: once)


def _message_of(site: Site, request: Request) -> bytes:
    reply = site(request)
    assert isinstance(reply, Reply)
    return message(reply)


@behaviour
def answers_nobody_asked_for(now_s: int) -> Iterator[Round]:
    """Behind each answer comes another one that nobody asked for."""
    log = begun(now_s)
    site, other = view_of(log), view_of(log.fork().grow(1, subjects=1))

    async def twice(request: Request, writer: asyncio.StreamWriter) -> None:
        head = Request(request.number, "checkpoint")
        writer.write(_message_of(site, request) + _message_of(other, head))

    yield honest(lambda _request: twice)


@behaviour
def nothing_but_the_same_bytes(now_s: int) -> Iterator[Round]:
    """Everything is answered with the head."""
    log = begun(now_s)
    head = Reply(head_of(log), headers=(("content-type", BYTES),))
    yield unchecked(lambda _request: head, "source/unreachable")
