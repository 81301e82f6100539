"""Proofs that anyone can check offline, made from what is stored.

Spec:
    PROTOCOL.md, sections "Bundles", "Inclusion proofs" and "Consistency proofs".
"""

from __future__ import annotations

from nous_ledger.ledger.identity import Identity
from nous_ledger.ledger.store import View
from nous_ledger.protocol.bundle import KeyEventEntry
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import HeadError, ProofError
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import NO_QUORUM, Policy, PolicyLog, format_policy
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.types import LeafCount
from nous_ledger.protocol.vkey import VerifierKey, ed25519_vkey, head_vkey


def log_vkeys(identity: Identity) -> tuple[VerifierKey, VerifierKey]:
    """Return the keys a log is verified with: Ed25519, then the one that pins its log id."""
    return (
        ed25519_vkey(identity.origin, identity.ed25519),
        head_vkey(identity.origin, identity.log_id),
    )


def policy_text(identity: Identity) -> bytes:
    """Return a policy that trusts this log alone and asks for no witness."""
    logs = tuple(PolicyLog(vkey=key) for key in log_vkeys(identity))
    return format_policy(Policy(logs=logs, witnesses=(), groups=(), quorum=NO_QUORUM))


def own_checkpoint(view: View, identity: Identity, note: bytes) -> Checkpoint:
    """Return the checkpoint of a head after comparing it with the log.

    Raises:
        HeadError: head-origin.
        ProofError: proof-counts (it covers more leaves than there are), root-mismatch.
        FormatError: note-format, checkpoint-format.
    """
    head = parse_checkpoint(parse_note(note).text)
    if head.origin != identity.origin:
        raise HeadError("head-origin", f"the head is of {head.origin}, not of {identity.origin}")
    leaf_count = view.leaf_count()
    if head.leaf_count > leaf_count:
        raise ProofError(
            "proof-counts", f"the head covers {head.leaf_count} leaves, the log has {leaf_count}"
        )
    root = read_root(view.nodes, head.leaf_count)
    if head.root != root:
        raise ProofError(
            "root-mismatch",
            "the head has another root than this log at its leaf count",
            computed=root.hex(),
            expected=head.root.hex(),
        )
    return head


def key_event_entries(view: View, count: LeafCount) -> tuple[KeyEventEntry, ...]:
    """Return the key events among so many leaves, with their paths."""
    return tuple(
        KeyEventEntry(
            record=view.record(leaf),
            body=view.body(leaf),
            path=prove_inclusion(view.nodes, leaf, count),
        )
        for leaf in view.key_events()
        if leaf < count
    )
