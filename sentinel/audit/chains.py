"""Receipts in order: every id once, every subject's chain without a branch or a gap.

A receipt that cannot be read still has its hash in its record. So a chain may pass over
receipts if the one after the gap names the hash of an unreadable one that stands between,
and if no more are passed over than are unreadable in all.

Spec:
    PROTOCOL.md RCPT-3, SUBJ-3, and SENT-7 to SENT-9.
"""

from __future__ import annotations

from typing import NamedTuple

from nous_ledger.protocol.record import TYPE_RECEIPT
from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.codes import Place
from sentinel.audit.learned import Learned
from sentinel.audit.ports import ChainEnd, Receipt


class _Jump(NamedTuple):
    """A receipt before which others of its subject are missing."""

    leaf: LeafIndex
    prev: bytes
    after: LeafIndex
    skipped: int


def fold_receipts(learned: Learned) -> None:
    """Add the receipts of a span to their chains and to the ids that were used."""
    receipts = learned.facts.receipts
    ends = dict(learned.memory.chain_ends({receipt[3] for receipt in receipts}))
    used = dict(learned.memory.receipts([receipt[2] for receipt in receipts]))
    jumps: list[_Jump] = []
    for leaf, body_hash, identity, subject, seq, prev in receipts:
        earlier = used.get(identity)
        if earlier is not None:
            text = f"leaves {earlier} and {leaf} hold receipts of one id, {identity.hex()}"
            learned.found(Place.RECEIPT, "duplicate-id", leaf, text, earlier)
        else:
            used[identity] = leaf
            learned.receipts.append(Receipt(identity, leaf, subject, seq))
        end = ends.get(subject)
        if not _follows(end, leaf, seq, prev, learned, jumps):
            continue
        ends[subject] = learned.subjects[subject] = ChainEnd(seq, body_hash, leaf)
    if jumps:
        _check_jumps(jumps, learned)


def _follows(  # noqa: PLR0917 - the place of one receipt
    end: ChainEnd | None,
    leaf: LeafIndex,
    seq: int,
    prev: bytes | None,
    learned: Learned,
    jumps: list[_Jump],
) -> bool:
    """Return whether a receipt is the newest of its chain; note what is wrong with its place."""
    expected = 0 if end is None else end.seq + 1
    if seq > expected:
        jumps.append(
            _Jump(leaf, prev or b"", LeafIndex(-1) if end is None else end.leaf, seq - expected)
        )
        return True
    if end is None or (seq == expected and prev == end.body_hash):
        return True
    what = "does not follow" if seq == expected else "stands beside"
    text = f"the receipt at leaf {leaf}, number {seq} of its subject, {what} the one at {end.leaf}"
    learned.found(Place.SUBJECT, "subject-branch", leaf, text, end.leaf)
    return seq == expected


def _check_jumps(jumps: list[_Jump], learned: Learned) -> None:
    """Let chains pass over receipts that cannot be read, and over nothing else."""
    totals = learned.totals
    skipped = totals.skipped + sum(jump.skipped for jump in jumps)
    learned.totals = totals._replace(skipped=skipped)
    if totals.unread:
        return  # what was not asked for may stand in every gap
    unreadable = dict(learned.memory.withheld([jump.prev for jump in jumps]))
    here = learned.facts.withheld
    unreadable |= {body_hash: leaf for leaf, type_, body_hash, _ in here if type_ == TYPE_RECEIPT}
    for jump in jumps:
        between = unreadable.get(jump.prev)
        if between is None or not jump.after < between < jump.leaf:
            text = f"{jump.skipped} receipts are missing before the one at leaf {jump.leaf}"
            learned.found(Place.SUBJECT, "subject-gap", jump.leaf, text)
            return
    if skipped > totals.lost_receipts:
        text = f"chains pass over {skipped} receipts, {totals.lost_receipts} could not be read"
        learned.found(Place.SUBJECT, "subject-gap", jumps[-1].leaf, text)
