"""What a third party does with an evidence file: confirm the misbehaviour, offline.

Nothing of the file is believed but what the log signed. Whoever pins another log, or the
same log with what it really signed, gets a refusal: no file frames an honest log.

Spec:
    PROTOCOL.md, section "Evidence" (SENT-20 to SENT-23).
"""

from __future__ import annotations

from typing import NamedTuple

from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import EvidenceError, LedgerError, UnavailableError
from nous_ledger.protocol.head import verify_head
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import Policy
from nous_ledger.protocol.types import LeafCount, LogId
from sentinel.audit.codes import Proof
from sentinel.audit.evidence import Evidence, decode_evidence, strip_head
from sentinel.audit.exhibits import Exhibits, refused
from sentinel.audit.keys import KeyRing, history_of, start_ring
from sentinel.audit.rulings import RULINGS
from sentinel.audit.state import SeenHead


class Confirmed(NamedTuple):
    """Misbehaviour that an evidence file proves.

    Attributes:
        kind: what kind of evidence it is.
        code: code of the finding.
        origin: name of the log.
        log_id: its identity.
        text: what the log did, as a sentence.
        counts: leaf counts of the heads.
        leaves: indices of the records.
        epochs: key epochs that signed what convicts the log, ascending.
    """

    kind: Proof
    code: str
    origin: str
    log_id: LogId
    text: str
    counts: tuple[LeafCount, ...]
    leaves: tuple[int, ...]
    epochs: tuple[int, ...]


def verify_evidence(data: bytes, policy: Policy) -> Confirmed:
    """Return what an evidence file proves against a log whose identity is pinned.

    Args:
        data: the file.
        policy: lists the log's 0xff vkey.

    Raises:
        EvidenceError: evidence-format (not such a file), evidence-refused (it does not
            prove what it says).
        UnavailableError: unknown-log, unpinned, suspect (the log has reported the key
            that signed as suspect there).
    """
    evidence = decode_evidence(data)
    pinned = start_ring(evidence.origin, policy).pinned
    if evidence.log_id not in pinned:
        raise refused("it is about another log than the one that is pinned under this name")
    try:
        exhibits = _exhibits(evidence)
        text = RULINGS[evidence.kind](evidence, exhibits)
    except (EvidenceError, UnavailableError):
        raise
    except LedgerError as error:
        raise refused(f"{error.code}: {error.message}") from error
    return Confirmed(
        kind=evidence.kind,
        code=evidence.code,
        origin=evidence.origin,
        log_id=evidence.log_id,
        text=text,
        counts=tuple(head.leaf_count for head in exhibits.heads),
        leaves=tuple(leaf.index for leaf in evidence.leaves),
        epochs=tuple(sorted(exhibits.epochs)),
    )


def _exhibits(evidence: Evidence) -> Exhibits:
    """Return what the log signed: its key history and its heads, each verified."""
    pinned = frozenset({evidence.log_id})
    history = history_of(evidence.origin, pinned, evidence.key_events)
    ring = KeyRing(
        origin=evidence.origin, pinned=pinned, events=evidence.key_events, history=history
    )
    heads = tuple(_head(note, ring) for note in evidence.heads)
    return Exhibits(ring, history, heads)


def _head(note: bytes, ring: KeyRing) -> SeenHead:
    """Return a head after checking both lines with the keys of the epoch that its leaves imply."""
    checkpoint = parse_checkpoint(parse_note(note).text)
    history = ring.history_at(checkpoint.leaf_count)
    assert history is not None, "there is a genesis"  # noqa: S101
    keys = history.epochs[-1]
    head = verify_head(
        note,
        origin=ring.origin,
        log_id=history.log_id,
        epoch=history.epoch,
        public_key=keys.secp256k1,
        ed25519=keys.ed25519,
    )
    if strip_head(note, history.log_id, keys.ed25519) != note:
        raise refused("a head has other lines than the log's own two, in their order")
    return SeenHead(note, checkpoint.leaf_count, checkpoint.root, head.timestamp, head.epoch)
