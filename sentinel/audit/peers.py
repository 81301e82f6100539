"""What another witness has seen of the log, beside what the log shows here.

A peer's head is believed for what the log signed in it. Of one that is behind nothing
follows; one that is ahead is kept until the log shows as much here; one that is of a
tree this sentinel has not is a split view, with both heads as its evidence.

Spec:
    PROTOCOL.md, section "Peers" (WIT-15 to WIT-18).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import HeadError, UnavailableError
from nous_ledger.protocol.head_compare import compare_heads
from nous_ledger.protocol.logview import verify_listed_lines, verify_witnesses
from nous_ledger.protocol.mmr import NodeReader
from nous_ledger.protocol.note import Note, format_note, parse_note
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.types import LeafCount, UnixSeconds
from sentinel.audit.compare import fork_evidence, root_at, signed
from sentinel.audit.findings import Finding, Place
from sentinel.audit.heads import read_head
from sentinel.audit.prove_heads import prove_head_order
from sentinel.audit.state import AuditState, SeenHead


class Standing(StrEnum):
    """How a peer's head stands to what is known here."""

    AGREES = "agrees"
    AHEAD = "ahead"
    UNPROVED = "unproved"
    CONTRADICTS = "contradicts"
    UNUSABLE = "unusable"


class PeerHead(NamedTuple):
    """A head that another witness cosigned.

    Attributes:
        note: the note as the peer served it.
        checkpoint: origin, leaf count and root.
    """

    note: bytes
    checkpoint: Checkpoint


class Compared(NamedTuple):
    """What became of comparing a peer's head.

    Attributes:
        standing: how it stands; one that is AHEAD or UNPROVED is compared again later.
        findings: what was found.
    """

    standing: Standing
    findings: tuple[Finding, ...]


def read_peer_head(data: bytes, origin: str, policy: Policy) -> PeerHead:
    """Return a peer's head after checking the lines of listed keys and of a listed witness.

    The log's 0xff line is not needed: a witness serves the lines that it verified, and
    may know the log by its Ed25519 key alone.

    Spec:
        PROTOCOL.md WIT-15.

    Args:
        data: what the peer served.
        origin: name of the log.
        policy: lists the log's keys and the witness.

    Raises:
        FormatError: note-format, checkpoint-format.
        HeadError: head-origin, missing-kind (no line of the log, or of a listed witness).
        SignatureError: malformed, mismatch.
        UnavailableError: unsupported-key.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != origin:
        raise HeadError("head-origin", "the head is of another log")
    verify_listed_lines(note, policy.log_keys(origin))
    if not any(line.name == origin for line in note.signatures):
        raise HeadError("missing-kind", "the head has no line of the log")
    if not verify_witnesses(note, policy):
        raise HeadError("missing-kind", "no listed witness cosigned the head")
    return PeerHead(data, checkpoint)


def compare_peer(
    head: PeerHead, state: AuditState, policy: Policy, nodes: NodeReader, now: UnixSeconds
) -> Compared:
    """Compare a peer's head with what the log shows here.

    Spec:
        PROTOCOL.md WIT-16 to WIT-18.

    Args:
        head: as `read_peer_head` returned it.
        state: where the audit stands.
        policy: pinned keys and witnesses.
        nodes: the remembered tree over `state.audited` leaves.
        now: second by this machine's clock.
    """
    reading = read_head(head.note, state.ring, policy, now)
    if reading.head is not None:
        return _compare_signed(reading.head, state, nodes)
    count = head.checkpoint.leaf_count
    note = parse_note(head.note)
    lines = verify_listed_lines(note, policy.log_keys(state.ring.origin))
    if not lines and reading.needs is None:
        text = "another witness has a head without any line of the log that verifies"
        return Compared(Standing.UNUSABLE, (_found("unreachable", text, count),))
    if state.trusted is None or count > state.trusted.leaf_count:
        return _later(Standing.AHEAD, count)
    kept = tuple(line for line in note.signatures if line in lines)
    return _compare_text(head.checkpoint, Note(text=note.text, signatures=kept), state, nodes)


def _compare_text(theirs: Checkpoint, note: Note, state: AuditState, nodes: NodeReader) -> Compared:
    """Compare a head by its text alone; its note has the Ed25519 lines that verified."""
    count = theirs.leaf_count
    try:
        root = root_at(state, nodes, count)
    except UnavailableError:
        return _later(Standing.UNPROVED, count)
    if root == theirs.root:
        return Compared(Standing.AGREES, ())
    if not note.signatures:
        return _later(Standing.UNPROVED, count)  # of an epoch whose key was not read yet
    text = "another witness has a head with the log's Ed25519 line that is of another tree"
    # The same words each time it is seen again: the witness's own lines are left out.
    attrs = {"theirs": format_note(note).decode(), "our_root": root.hex()}
    return Compared(Standing.CONTRADICTS, (_found("contradiction", text, count, attrs),))


def _compare_signed(head: SeenHead, state: AuditState, nodes: NodeReader) -> Compared:
    trusted, count = state.trusted, head.leaf_count
    if trusted is None:
        return _later(Standing.AHEAD, count)
    try:
        compare_heads(signed(state, trusted), signed(state, head), partial(root_at, state, nodes))
    except UnavailableError as error:
        if error.code == "stale":
            return Compared(Standing.AGREES, ())
        if head.timestamp > trusted.timestamp:  # that is known without any tree
            later = HeadError("rollback", "a smaller head was signed later")
            return _contradicts(head, trusted, state, nodes, later)
        return _later(Standing.UNPROVED, count)
    except HeadError as error:
        return _contradicts(head, trusted, state, nodes, error)
    ahead = count > trusted.leaf_count
    return _later(Standing.AHEAD, count) if ahead else Compared(Standing.AGREES, ())


def _contradicts(
    head: SeenHead, trusted: SeenHead, state: AuditState, nodes: NodeReader, error: HeadError
) -> Compared:
    if error.code == "fork":
        evidence = fork_evidence(state, head, nodes)
        text = f"for another witness the log signed another tree over {head.leaf_count} leaves"
        found = _found("split-view", text, head.leaf_count, evidence=evidence)
        # Evidence needs the tree up to a trusted head: until then there is only suspicion.
        if evidence is None:
            return _later(Standing.UNPROVED, head.leaf_count)
    else:
        smaller, larger = sorted((head, trusted), key=lambda seen: seen.leaf_count)
        evidence = prove_head_order(state.ring, smaller, larger)
        text = f"beside what another witness has: {error.message}"
        found = _found(error.code, text, head.leaf_count, evidence=evidence)
    return Compared(Standing.CONTRADICTS, (found,))


def _later(standing: Standing, count: LeafCount) -> Compared:
    text = {
        Standing.AHEAD: f"another witness has seen {count} leaves, more than are shown here",
        Standing.UNPROVED: f"another witness's head over {count} leaves cannot be compared yet",
    }[standing]
    return Compared(standing, (_found(standing.value, text, count),))


def _found(
    code: str,
    message: str,
    count: LeafCount,
    attrs: Mapping[str, str] = MappingProxyType({}),
    *,
    evidence: bytes | None = None,
) -> Finding:
    return Finding(
        place=Place.PEER, code=code, message=message, count=count, attrs=attrs, evidence=evidence
    )
