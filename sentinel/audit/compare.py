"""What a verified head says beside the newest one that is trusted: only forward.

Spec:
    PROTOCOL.md HEAD-9 to HEAD-12, HEAD-18, and SENT-2.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.errors import HeadError, UnavailableError
from nous_ledger.protocol.head import SignedHead
from nous_ledger.protocol.head_compare import compare_heads
from nous_ledger.protocol.mmr import NodeReader, read_root
from nous_ledger.protocol.proof import prove_consistency
from nous_ledger.protocol.types import Hash32, LeafCount
from sentinel.audit.findings import Finding, Place
from sentinel.audit.prove_heads import prove_fork, prove_head_order
from sentinel.audit.state import AuditState, SeenHead


class HeadChange(StrEnum):
    """How a verified head stands to the trusted one."""

    GREW = "grew"
    UNCHANGED = "unchanged"
    HEARTBEAT = "heartbeat"
    STALE = "stale"
    UNPROVED = "unproved"
    ROLLED_BACK = "rolled-back"
    BACKDATED = "backdated"
    FORKED = "forked"


class Observed(NamedTuple):
    """What became of comparing a head.

    Attributes:
        change: how it stands to the trusted head. After GREW the caller must have
            `check_growth` accept it; after all else the state is what remains.
        state: the state, with the trusted head's newer signature after HEARTBEAT.
        findings: what was found, with their evidence.
    """

    change: HeadChange
    state: AuditState
    findings: tuple[Finding, ...]


def observe(state: AuditState, head: SeenHead, nodes: NodeReader) -> Observed:
    """Compare a head whose signatures were verified with what is trusted.

    Args:
        state: where the audit stands.
        head: the head, as `read_head` returned it.
        nodes: the remembered tree over `state.audited` leaves.
    """
    trusted = state.trusted
    if trusted is None:
        change = HeadChange.GREW if head.leaf_count else HeadChange.STALE
        return Observed(change, state, ())
    try:
        change = HeadChange(
            compare_heads(
                signed(state, trusted), signed(state, head), partial(root_at, state, nodes)
            )
        )
    except HeadError as error:
        return _misbehaved(state, trusted, head, nodes, error)
    except UnavailableError as error:
        if head.timestamp > trusted.timestamp:  # that is known without any tree
            rollback = HeadError("rollback", f"{error.message}, and the head is the later one")
            return _misbehaved(state, trusted, head, nodes, rollback)
        change = HeadChange.STALE if error.code == "stale" else HeadChange.UNPROVED
        found = () if head.leaf_count == 0 else (_found(change.value, error.message, head),)
        return Observed(change, state, found)
    if change is HeadChange.UNCHANGED and head.timestamp > trusted.timestamp:
        heads = (*state.heads[:-1], head)
        return Observed(HeadChange.HEARTBEAT, replace(state, heads=heads), ())
    return Observed(change, state, ())


def signed(state: AuditState, head: SeenHead) -> SignedHead:
    """Return a seen head as the protocol compares it."""
    checkpoint = Checkpoint(origin=state.ring.origin, leaf_count=head.leaf_count, root=head.root)
    return SignedHead(checkpoint=checkpoint, epoch=head.epoch, timestamp=head.timestamp)


def root_at(state: AuditState, nodes: NodeReader, count: LeafCount) -> Hash32:
    """Return the root over some leaves: that of a trusted head, else of the remembered tree."""
    for head in state.heads:
        if head.leaf_count == count:
            return head.root
    if count > state.audited:
        raise UnavailableError("unproved", f"the tree over {count} leaves is not known yet")
    return read_root(nodes, count)


def _misbehaved(
    state: AuditState, trusted: SeenHead, head: SeenHead, nodes: NodeReader, error: HeadError
) -> Observed:
    ring = state.ring
    evidence: bytes | None
    if error.code == "head-time":
        change, evidence = HeadChange.BACKDATED, prove_head_order(ring, trusted, head)
    elif error.code == "rollback":
        change, evidence = HeadChange.ROLLED_BACK, prove_head_order(ring, head, trusted)
    else:
        change, evidence = HeadChange.FORKED, fork_evidence(state, head, nodes)
    return Observed(change, state, (_found(error.code, error.message, head, evidence),))


def fork_evidence(state: AuditState, head: SeenHead, nodes: NodeReader) -> bytes | None:
    """Return the evidence that a head contradicts the remembered tree.

    None while no head that is trusted is both as large as the seen one and audited
    whole: until then the proof between the two cannot be made.
    """
    if head.leaf_count == 0:
        return None  # no proof starts from a tree without leaves
    for known in state.heads:
        if known.leaf_count == head.leaf_count:
            return prove_fork(state.ring, head, known)
        if head.leaf_count < known.leaf_count <= state.audited:
            root = read_root(nodes, head.leaf_count)
            path = prove_consistency(nodes, head.leaf_count, known.leaf_count)
            return prove_fork(state.ring, head, known, root, path)
    return None


def _found(code: str, message: str, head: SeenHead, evidence: bytes | None = None) -> Finding:
    return Finding(
        place=Place.HEAD, code=code, message=message, count=head.leaf_count, evidence=evidence
    )
