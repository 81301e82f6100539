"""Evidence that heads alone make: forks, and times that go back.

Spec:
    PROTOCOL.md, section "Evidence" (SENT-20 to SENT-23).
"""

from __future__ import annotations

from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.types import Hash32
from sentinel.audit.evidence import Evidence, encode_evidence, strip_head
from sentinel.audit.findings import Proof
from sentinel.audit.keys import KeyRing
from sentinel.audit.state import SeenHead


def prove_fork(
    ring: KeyRing,
    one: SeenHead,
    other: SeenHead,
    prefix_root: Hash32 | None = None,
    path: tuple[Hash32, ...] = (),
) -> bytes:
    """Return the evidence that two heads contradict each other.

    Args:
        ring: the key history, at least up to the larger head.
        one: a head.
        other: another head.
        prefix_root: for heads of different counts, the root that the larger tree has over
            as many leaves as the smaller one.
        path: consistency proof from there to the larger head.
    """
    heads = sorted((one, other), key=lambda head: (head.leaf_count, head.root))
    hashes = () if prefix_root is None else (prefix_root, *path)
    return _encode(ring, Proof.FORK, "fork", heads, hashes)


def prove_head_order(ring: KeyRing, smaller: SeenHead, larger: SeenHead) -> bytes:
    """Return the evidence that a smaller head was signed after a larger one."""
    return _encode(ring, Proof.HEAD_ORDER, "rollback", [smaller, larger], ())


def stripped(head: SeenHead, ring: KeyRing) -> bytes:
    """Return a verified head as evidence holds it: with the log's two lines only."""
    history = known_history(ring, head)
    return strip_head(head.note, history.log_id, history.epochs[-1].ed25519)


def known_history(ring: KeyRing, head: SeenHead) -> KeyHistory:
    """Return the key history at a head that was verified with it."""
    history = ring.history_at(head.leaf_count)
    assert history is not None, "a head is verified with a key history"  # noqa: S101
    return history


def _encode(
    ring: KeyRing, kind: Proof, code: str, heads: list[SeenHead], hashes: tuple[Hash32, ...]
) -> bytes:
    return encode_evidence(
        Evidence(
            kind=kind,
            code=code,
            origin=ring.origin,
            log_id=known_history(ring, heads[-1]).log_id,
            key_events=ring.events_below(max(heads[-1].leaf_count, 1)),
            heads=tuple(stripped(head, ring) for head in heads),
            hashes=hashes,
        )
    )
