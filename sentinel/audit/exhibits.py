"""The verified parts of an evidence file, and the checks that all kinds of it share."""

from __future__ import annotations

from nous_ledger.protocol.bodies import Body, check_body_hash, check_body_in_record, decode_body
from nous_ledger.protocol.errors import EvidenceError, KeyHistoryError, UnavailableError
from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.proof import verify_inclusion
from nous_ledger.protocol.record import Record, leaf_hash, verify_record
from sentinel.audit.evidence import Evidence, Leaf
from sentinel.audit.keys import KeyRing
from sentinel.audit.state import SeenHead


class Exhibits:
    """What the log signed.

    Attributes:
        ring: the key events of the file.
        history: what they make.
        heads: its heads, verified.
        epochs: key epochs of what was looked at so far.
    """

    def __init__(self, ring: KeyRing, history: KeyHistory, heads: tuple[SeenHead, ...]) -> None:
        """Begin with heads that were verified."""
        self.ring = ring
        self.history = history
        self.heads = heads
        self.epochs = {int(head.epoch) for head in heads}

    def signed(self, leaf: Leaf) -> Record:
        """Return a record after checking that the key in force at its index signed it.

        Raises:
            EvidenceError: evidence-refused.
            UnavailableError: suspect.
            LedgerError: those of `verify_record`; epoch.
        """
        history = self.history
        record = verify_record(
            leaf.record, history.log_id, history.epochs[history.epoch_at(leaf.index)].secp256k1
        )
        if record.index != leaf.index or leaf.path is not None:
            raise refused("a record is said to be of another index than it names")
        if record.epoch != history.epoch_at(leaf.index):
            raise KeyHistoryError("epoch", "a record is of an epoch that was not in force")
        if history.is_suspect(leaf.index):
            raise UnavailableError("suspect", "the log reported the key that signed it as suspect")
        self.epochs.add(int(record.epoch))
        return record

    def body(self, leaf: Leaf, record: Record) -> Body:
        """Return the body of a signed record, which breaks no rule.

        Raises:
            EvidenceError: evidence-refused (there is none).
            LedgerError: body-hash, or the rule that it breaks.
        """
        if not leaf.body:
            raise refused("the body of a record is missing")
        body = decode_body(record.type, check_body_hash(record, leaf.body))
        check_body_in_record(body, record)
        return body

    def covered(self, leaf: Leaf) -> SeenHead:
        """Return the head after checking that it covers a record at the leaf's index.

        Raises:
            LedgerError: those of `verify_inclusion`.
        """
        head = self.heads[0]
        path = leaf.path or ()
        verify_inclusion(leaf_hash(leaf.record), leaf.index, head.leaf_count, path, head.root)
        return head


def demand(evidence: Evidence, heads: int, leaves: int, hashes: int | None = 0) -> None:
    """Raise EvidenceError unless a file has as many parts as its kind has.

    Args:
        evidence: the file.
        heads: heads of the kind.
        leaves: records of the kind.
        hashes: hashes of the kind; None for at least one.
    """
    counts = (len(evidence.heads), len(evidence.leaves))
    fits = bool(evidence.hashes) if hashes is None else len(evidence.hashes) == hashes
    if counts != (heads, leaves) or not fits:
        raise refused(f"a file of the kind {evidence.kind.value} has other parts")


def demand_code(evidence: Evidence, *codes: str) -> None:
    """Raise EvidenceError unless a file is about one of the codes."""
    if evidence.code not in codes:
        raise refused(f"it proves {' or '.join(codes) or 'nothing'}, not {evidence.code[:40]}")


def refused(reason: str) -> EvidenceError:
    """Return the error that an evidence file does not prove what it says."""
    return EvidenceError("evidence-refused", f"the evidence proves nothing: {reason}")
