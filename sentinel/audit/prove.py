"""Evidence that records make: what a finding cites, put together so that it stands alone.

Spec:
    PROTOCOL.md, section "Evidence" (SENT-20 to SENT-23).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.mmr import NodeReader
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.types import Hash32, LeafIndex
from sentinel.audit.claims import Cited
from sentinel.audit.codes import Place, Proof
from sentinel.audit.evidence import MAX_EVIDENCE_BYTES, Evidence, Leaf, encode_evidence
from sentinel.audit.findings import Finding
from sentinel.audit.keys import KeyRing
from sentinel.audit.prove_heads import stripped
from sentinel.audit.state import SeenHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What there is to prove findings with.

    Attributes:
        ring: the key history.
        heads: trusted heads in ascending order, those from before the audited span included.
        leaves: record and body of each leaf that the finding cites, its hash compared
            with the remembered tree.
        nodes: the remembered tree.
    """

    ring: KeyRing
    heads: tuple[SeenHead, ...]
    leaves: Mapping[LeafIndex, Cited]
    nodes: NodeReader


def prove(finding: Finding, case: Case) -> Finding:
    """Return a finding with its evidence.

    It comes back without, if what it cites is not there or too long for one file, or if
    the tree is not known yet up to a head that covers it: then it may be tried again.

    Args:
        finding: with `cites`.
        case: what there is to prove it with.
    """
    kind = finding.info.proof
    if finding.evidence is not None or kind is Proof.NONE or not finding.cites:
        return finding
    try:
        cited = [case.leaves[leaf] for leaf in finding.cites]
        evidence = encode_evidence(_evidence(kind, finding, cited, case))
    except (KeyError, UnavailableError):
        return finding
    return replace(finding, evidence=evidence) if len(evidence) <= MAX_EVIDENCE_BYTES else finding


def prove_omission(
    ring: KeyRing, head: SeenHead, record: bytes, nodes: NodeReader, other: Hash32
) -> bytes:
    """Return the evidence that a signed record is not in a tree that covers its index.

    Args:
        ring: the key history.
        head: a trusted head over more leaves than the record's index.
        record: the record, from whoever was given it.
        nodes: the remembered tree.
        other: the leaf hash that stands at that index.
    """
    leaf, count = decode_record(record).index, head.leaf_count
    path = prove_inclusion(nodes, leaf, count)
    leaves = (Leaf(index=leaf, record=record),)
    return encode_evidence(
        _file(ring, Proof.OMISSION, "omission", count, (head,), leaves, (other, *path))
    )


def prove_equivocation(ring: KeyRing, leaf: LeafIndex, one: bytes, other: bytes) -> bytes:
    """Return the evidence that two records were signed for one index."""
    leaves = tuple(Leaf(index=leaf, record=record) for record in sorted((one, other)))
    return encode_evidence(_file(ring, Proof.RECORD_PAIR, "equivocation", leaf + 1, (), leaves, ()))


def _evidence(kind: Proof, finding: Finding, cited: list[Cited], case: Case) -> Evidence:
    if kind in (Proof.LEAF, Proof.KEY_EVENT):
        return _covered(kind, finding, cited[-1], case)
    last = max(item.leaf for item in cited)
    heads: tuple[SeenHead, ...] = ()
    if kind is Proof.LATE:
        heads = tuple(head for head in case.heads if head.leaf_count <= last)[-1:]
    without = kind in (Proof.LATE, Proof.RECORD_PAIR)
    first_only = finding.code == "reference"  # what the other body says does not matter
    leaves = tuple(
        Leaf(
            index=item.leaf,
            record=item.record,
            body=None if without or (first_only and number) else item.body,
        )
        for number, item in enumerate(cited)
    )
    return _file(case.ring, kind, finding.code, last + 1, heads, leaves, ())


def _covered(kind: Proof, finding: Finding, cited: Cited, case: Case) -> Evidence:
    """Return the evidence that a head covers a bad record or key event."""
    head = _covering(case, cited.leaf)
    leaf = Leaf(
        index=cited.leaf,
        record=cited.record,
        body=None if finding.place is Place.RECORD else cited.body,
        path=prove_inclusion(case.nodes, cited.leaf, head.leaf_count),
    )
    bound = cited.leaf if kind is Proof.KEY_EVENT else head.leaf_count
    return _file(case.ring, kind, finding.code, bound, (head,), (leaf,), ())


def _covering(case: Case, leaf: LeafIndex) -> SeenHead:
    """Return the first head that covers a leaf."""
    for head in case.heads:
        if head.leaf_count > leaf:
            return head
    raise UnavailableError("unproved", f"no trusted head covers leaf {leaf}")


def _file(  # noqa: PLR0917 - the members of an evidence file
    ring: KeyRing,
    kind: Proof,
    code: str,
    bound: int,
    heads: tuple[SeenHead, ...],
    leaves: tuple[Leaf, ...],
    hashes: tuple[Hash32, ...],
) -> Evidence:
    history = ring.history
    assert history is not None, "findings with evidence come after the genesis"  # noqa: S101
    return Evidence(
        kind=kind,
        code=code,
        origin=ring.origin,
        log_id=history.log_id,
        key_events=ring.events_below(bound),
        heads=tuple(stripped(head, ring) for head in heads),
        leaves=leaves,
        hashes=hashes,
    )
