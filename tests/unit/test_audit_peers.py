"""Heads of other witnesses that cannot be compared, or only by their times."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.mmr import NodeReader
from nous_ledger.protocol.note import Note, format_note, parse_note
from nous_ledger.protocol.types import Hash32, LeafCount, NodePos, UnixSeconds
from sentinel.audit.peers import PeerHead, Standing, compare_peer
from tests.unit.audit_log import OTHER_ED25519, START, AuditLog
from tests.unit.audit_round import Watcher, watch

LOG = AuditLog(receipts=9)
OTHER_ROOT = Hash32(b"\x01" * 32)


@pytest.fixture
def watcher() -> Watcher:
    made = watch(LOG)
    made.round(LOG)
    assert made.codes() == []
    return made


def unknown(_: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
    raise UnavailableError("unproved", "not known yet")


def ed25519_alone(note: bytes) -> bytes:
    """Leave the line that a witness verifies who knows no other key of the log."""
    parsed = parse_note(note)
    lines = tuple(line for line in parsed.signatures if len(line.payload) == 64)
    return format_note(Note(text=parsed.text, signatures=lines))


def whole(note: bytes) -> bytes:
    return note


each_form = pytest.mark.parametrize("form", [whole, ed25519_alone])


def compared(
    watcher: Watcher, note: bytes, nodes: NodeReader | None = None, **changes: Any
) -> tuple[Standing, list[str]]:
    head = PeerHead(note, parse_checkpoint(parse_note(note).text))
    state = replace(watcher.state, **changes)
    now = UnixSeconds(START + 1000)
    found = compare_peer(head, state, watcher.policy, nodes or watcher.nodes, now)
    return found.standing, [finding.code for finding in found.findings]


@each_form
def test_before_anything_is_trusted_each_head_is_ahead(
    watcher: Watcher, form: Callable[[bytes], bytes]
) -> None:
    """WIT-16."""
    found = compared(watcher, form(LOG.head()), heads=())
    assert found == (Standing.AHEAD, ["ahead"])


@each_form
def test_a_smaller_head_whose_tree_is_not_known_is_compared_later(
    watcher: Watcher, form: Callable[[bytes], bytes]
) -> None:
    for note in (LOG.head(4), LOG.head(4, root=OTHER_ROOT)):
        found = compared(watcher, form(note), unknown)
        assert found == (Standing.UNPROVED, ["unproved"])
    assert compared(watcher, form(LOG.head(4))) == (Standing.AGREES, [])


def test_times_convict_without_any_tree(watcher: Watcher) -> None:
    """WIT-17."""
    found = compared(watcher, LOG.head(4, START + 999), unknown)
    assert found == (Standing.CONTRADICTS, ["rollback"])


def test_without_evidence_there_is_only_suspicion(watcher: Watcher) -> None:
    """A tree can be proved up to a trusted head that was audited whole, and with known keys."""
    other = LOG.head(4, root=OTHER_ROOT)
    assert compared(watcher, other) == (Standing.CONTRADICTS, ["split-view"])
    found = compared(watcher, other, audited=LeafCount(5))
    assert found == (Standing.UNPROVED, ["unproved"])
    unread = LOG.head(4, root=OTHER_ROOT, epoch=1, ed25519=OTHER_ED25519)
    ring = replace(watcher.state.ring, scanned=LeafCount(2))
    assert compared(watcher, unread, ring=ring) == (Standing.UNPROVED, ["unproved"])
