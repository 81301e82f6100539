"""When a head is signed, and that no two heads of a log ever disagree.

A head is signed inside the transaction that also reads the tree it covers and
the head before it, and is stored by the same transaction before anyone sees it:
a compare-and-swap, whatever other processes do.

Spec:
    PROTOCOL.md HEAD-8, HEAD-12, HEAD-15, HEAD-16.
"""

from __future__ import annotations

from nous_ledger.ledger.cosigned import carry_over
from nous_ledger.ledger.errors import StoreContentError
from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.model import StoredHead, Tip
from nous_ledger.ledger.store import View, WriteTransaction
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.mmr import node_count, read_root, root_from_peaks
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.types import LeafCount, UnixMillis, UnixSeconds


def is_due(head: StoredHead | None, leaf_count: LeafCount, now: int, heartbeat_s: int) -> bool:
    """Return whether a new head is to be signed.

    Half of the heartbeat is left for whoever asks at intervals.

    Args:
        head: the newest head.
        leaf_count: leaves that are durable now.
        now: milliseconds.
        heartbeat_s: most seconds between two heads.
    """
    if head is None or leaf_count > head.leaf_count:
        return True
    return (now // 1000 - head.timestamp) * 2 >= heartbeat_s > 0


def renew_head(
    transaction: WriteTransaction, tip: Tip, identity: Identity, signer: Signer, now: int
) -> StoredHead:
    """Return a head over all leaves of the tip: the stored one, or a new one if it is due.

    Args:
        transaction: what the tip was read from and written to.
        tip: leaves and peaks to cover.
        identity: the log.
        signer: its keys.
        now: milliseconds.

    Raises:
        StoreContentError: store-corrupt, if the stored head disagrees with the tree.
    """
    last = transaction.last_head()
    root = root_from_peaks(tip.leaf_count, tip.peaks)
    if last is not None and last.leaf_count >= tip.leaf_count:
        check_head(transaction, last, identity.origin)
        if not is_due(last, tip.leaf_count, now, identity.heartbeat_s):
            return last
    checkpoint = Checkpoint(origin=identity.origin, leaf_count=tip.leaf_count, root=root)
    earliest = max(tip.logged_at // 1000, 0 if last is None else last.timestamp)
    timestamp = UnixSeconds(max(now // 1000, earliest))
    note = sign_head(
        checkpoint,
        log_id=identity.log_id,
        epoch=identity.epoch,
        timestamp=timestamp,
        key=signer.secp256k1,
        ed25519=signer.ed25519,
    )
    note = carry_over(note, last)  # a heartbeat says the same text again
    head = StoredHead(leaf_count=tip.leaf_count, timestamp=timestamp, note=note)
    transaction.put_head(head)
    return head


def check_store(view: View, origin: str) -> None:
    """Refuse a store whose records, tree and newest head do not fit each other.

    Raises:
        StoreContentError: store-corrupt.
    """
    tip, head = view.tip(), view.last_head()
    if view.node_total() != node_count(tip.leaf_count):
        raise StoreContentError("store-corrupt", "the tree does not fit the records")
    if head is None:
        raise StoreContentError("store-corrupt", "the log has no signed head")
    check_head(view, head, origin)


def check_head(view: View, head: StoredHead, origin: str) -> Checkpoint:
    """Return the checkpoint of a stored head after comparing it with the tree.

    Raises:
        StoreContentError: store-corrupt, if it covers more leaves than there are or
            has another root than the tree at that count.
    """
    leaf_count = view.leaf_count()
    if head.leaf_count > leaf_count:
        raise StoreContentError(
            "store-corrupt",
            f"a head was signed over {head.leaf_count} leaves, the log has {leaf_count}",
        )
    try:
        checkpoint = parse_checkpoint(parse_note(head.note).text)
    except LedgerError as error:
        raise StoreContentError("store-corrupt", f"a stored head: {error.message}") from error
    expected = Checkpoint(
        origin=origin, leaf_count=head.leaf_count, root=read_root(view.nodes, head.leaf_count)
    )
    if checkpoint != expected:
        raise StoreContentError("store-corrupt", "a stored head disagrees with the tree")
    return checkpoint


def earliest_time(tip: Tip, head: StoredHead | None) -> UnixMillis:
    """Return the time before which no further record may be logged.

    A record is not earlier than the one before it. Nor is it earlier than a head
    that does not cover it: else a clock that was set back would make it late.
    """
    return UnixMillis(max(tip.logged_at, 0 if head is None else head.timestamp * 1000))
