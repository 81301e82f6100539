"""What a newly seen head says beside the one that is trusted already.

Pure decisions: whoever watches a log fetches, stores and reports; here a newer
head, a lagging cache, a rollback and a fork are told apart.

Spec:
    PROTOCOL.md, section "The head" (HEAD-9 to HEAD-13).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from nous_ledger.protocol.errors import HeadError, UnavailableError
from nous_ledger.protocol.head import SignedHead
from nous_ledger.protocol.record import Record
from nous_ledger.protocol.types import Hash32, LeafCount

RootAt = Callable[[LeafCount], Hash32]
"""Root of the reader's own copy of the tree at a count it covers."""


class HeadChange(StrEnum):
    """How a seen head that is in order differs from the trusted one."""

    GREW = "grew"
    UNCHANGED = "unchanged"


def compare_heads(trusted: SignedHead, seen: SignedHead, root_at: RootAt) -> HeadChange:
    """Return whether a log grew, after checking that it did not go back or fork.

    Spec:
        PROTOCOL.md HEAD-9 to HEAD-12.

    Args:
        trusted: the newest head so far; the reader holds the tree below it.
        seen: another verified head of the same log.
        root_at: called at most once, with a count up to that of `trusted`.

    Returns:
        GREW: the caller must now demand a consistency proof, and only then trust
        the seen head. UNCHANGED: the same tree, perhaps signed again later.

    Raises:
        HeadError: fork (another root at a count that is trusted), rollback (a
            smaller tree signed later), head-time (a larger tree signed earlier).
        UnavailableError: stale (a smaller tree signed earlier: a cache may lag).
    """
    count = seen.checkpoint.leaf_count
    if count > trusted.checkpoint.leaf_count:
        if seen.timestamp < trusted.timestamp:
            raise HeadError("head-time", "a larger head is signed before a smaller one")
        return HeadChange.GREW
    own_root = root_at(count)
    if seen.checkpoint.root != own_root:  # HEAD-9: whatever the times say
        raise HeadError(
            "fork",
            f"two roots over {count} leaves",
            computed=own_root.hex(),
            seen=seen.checkpoint.root.hex(),
        )
    if count == trusted.checkpoint.leaf_count:
        return HeadChange.UNCHANGED
    text = f"a head of {count} leaves, where {trusted.checkpoint.leaf_count} were signed"
    # A cache that lags is honest; a newer signature on an older tree is not.
    if seen.timestamp > trusted.timestamp:
        raise HeadError("rollback", text)
    raise UnavailableError("stale", text)


def verify_merge_delay(record: Record, head: SignedHead, max_merge_delay_s: int) -> SignedHead:
    """Return a head that need not cover a record yet, or does.

    Spec:
        PROTOCOL.md HEAD-13.

    Args:
        record: a record of the log.
        head: any head of the log.
        max_merge_delay_s: most seconds from logging to cover, from the genesis.

    Raises:
        HeadError: late (the head should have covered the record, and does not).
    """
    deadline = record.logged_at // 1000 + max_merge_delay_s
    if head.checkpoint.leaf_count <= record.index and head.timestamp > deadline:
        raise HeadError(
            "late",
            f"record {record.index} is not covered {head.timestamp - deadline} s past its deadline",
        )
    return head
