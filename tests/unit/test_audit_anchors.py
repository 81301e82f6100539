"""What a contract holds beside what a log shows: all that no honest server would say."""

from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.anchor_contract import AnchoredEvent, AnchoredHead, LogState, next_chain
from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, LogId, NodePos, UnixSeconds
from sentinel.audit.anchors import ChainLook, KnownAnchor, check_anchors
from tests.unit.audit_log import KEYS, START, AuditLog
from tests.unit.audit_round import Watcher, watch

BLOCK = 100
OTHER_ROOT = Hash32(b"\x01" * 32)
LOG = AuditLog(receipts=9)
COUNT = LOG.count


@pytest.fixture
def watcher() -> Watcher:
    made = watch(LOG)
    made.round(LOG)
    assert made.codes() == []
    return made


def anchored(count: int, root: Hash32, **changes: Any) -> AnchoredEvent:
    """Return the event of a head that the log signed."""
    head = AnchoredHead(
        epoch=Epoch(0), leaf_count=LeafCount(count), root=root, timestamp=UnixSeconds(START)
    )
    digest = head.digest(LOG.log_id)
    event = AnchoredEvent(
        log_id=LOG.log_id, head=head, signature=KEYS[0].sign(digest), chain=Hash32(bytes(32))
    )
    return replace(event, **changes)


def look(root: Hash32, *events: AnchoredEvent, **changes: Any) -> ChainLook:
    log = LogState(
        closed=False,
        anchors=len(events),
        epoch=Epoch(0),
        head_epoch=Epoch(0),
        timestamp=UnixSeconds(START),
        leaf_count=COUNT,
    )
    made = ChainLook(
        block=BLOCK,
        time=UnixSeconds(START),
        log=log,
        root=root,
        chain=Hash32(bytes(32)),
        forked=False,
        since=0,
        events=events,
    )
    return made._replace(**changes)


def codes(
    watcher: Watcher, seen: ChainLook, known: KnownAnchor | None = None, *, now: int = START
) -> list[str]:
    checked = check_anchors(
        seen, known, watcher.state, watcher.nodes, now=UnixSeconds(now), max_age_s=None
    )
    return [found.code for found in checked.findings]


def root(count: int) -> Hash32:
    return read_root(LOG.read, LeafCount(count))


def test_servers_that_are_behind_their_chain_say_nothing(watcher: Watcher) -> None:
    """SENT-24."""
    assert codes(watcher, look(root(COUNT)), now=START + 10**6) == ["unreachable"]


@pytest.mark.parametrize(("block", "anchors"), [(BLOCK + 1, 0), (BLOCK, 1)])
def test_a_chain_that_goes_back(watcher: Watcher, block: int, anchors: int) -> None:
    known = KnownAnchor(block, anchors, Hash32(LOG.log_id))
    assert codes(watcher, look(root(COUNT)), known) == ["rewound"]


def test_more_blocks_than_events_are_asked_for(watcher: Watcher) -> None:
    known = KnownAnchor(BLOCK - 1, 0, Hash32(LOG.log_id))
    event = anchored(COUNT, root(COUNT))
    chain = next_chain(known.chain, event.head.digest(LOG.log_id))
    whole = look(root(COUNT), event, since=BLOCK - 1, chain=chain)
    assert codes(watcher, whole, known) == []
    assert codes(watcher, whole._replace(since=BLOCK), known) == ["unproved"]
    assert codes(watcher, whole._replace(events=()), known) == ["event-missing"]


def test_what_cannot_be_compared_yet(watcher: Watcher) -> None:
    def unknown(_: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        raise UnavailableError("unproved", "not known yet")

    seen = look(Hash32(bytes(32)), anchored(4, root(4)))
    checked = check_anchors(
        seen, None, watcher.state, unknown, now=UnixSeconds(START), max_age_s=None
    )
    assert "unproved" in [found.code for found in checked.findings]


def test_only_a_signature_of_the_log_accuses_it(watcher: Watcher) -> None:
    """SENT-26."""
    assert codes(watcher, look(OTHER_ROOT, anchored(COUNT, OTHER_ROOT))) == ["contradiction"]
    other = LogId(bytes(32))
    later = AnchoredHead(
        epoch=Epoch(7), leaf_count=COUNT, root=OTHER_ROOT, timestamp=UnixSeconds(START)
    )
    for changes in ({"log_id": other}, {"head": later}, {"signature": bytes(65)}):
        event = anchored(COUNT, OTHER_ROOT, **changes)
        assert codes(watcher, look(OTHER_ROOT, event)) == ["unproved"], changes
    assert codes(watcher, look(OTHER_ROOT)) == ["unproved"]
