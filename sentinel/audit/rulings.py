"""For each kind of evidence, what must hold for it to prove something.

Spec:
    PROTOCOL.md, section "Evidence" (SENT-20 to SENT-23).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.protocol.accuracy import verify_binding
from nous_ledger.protocol.bodies import Binding, Body, Reconciliation, check_body_hash
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.errors import HeadError, LedgerError
from nous_ledger.protocol.head import SignedHead
from nous_ledger.protocol.head_compare import verify_merge_delay
from nous_ledger.protocol.proof import verify_consistency, verify_inclusion
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_KEY, Record, decode_record, leaf_hash
from nous_ledger.protocol.statement import Statement
from sentinel.audit.claims import Cited, check_reconciliation, check_statement
from sentinel.audit.codes import FINDING_CODES, Place, Proof
from sentinel.audit.evidence import Evidence, Leaf
from sentinel.audit.exhibits import Exhibits, demand, demand_code, refused
from sentinel.audit.keys import history_of
from sentinel.audit.leaf import LeafRules, check_leaf
from sentinel.audit.tally import Tally

Ruling = Callable[[Evidence, Exhibits], str]
"""Returns what the log did; raises whatever stands against saying so."""


def _rule_fork(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 2, 0, len(evidence.hashes))
    demand_code(evidence, "fork")
    one, other = exhibits.heads
    if one.leaf_count == other.leaf_count:
        demand(evidence, 2, 0)
        if not one.root < other.root:
            raise refused("the two heads agree, or stand in the wrong order")
        return f"the log signed two roots over {one.leaf_count} leaves"
    demand(evidence, 2, 0, None)
    root, *path = evidence.hashes
    verify_consistency(one.leaf_count, root, other.leaf_count, other.root, path)
    if root == one.root:
        raise refused("the larger tree extends the smaller one")
    return (
        f"the log signed a tree over {other.leaf_count} leaves that does not extend"
        f" the one it signed over {one.leaf_count}"
    )


def _rule_head_order(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 2, 0)
    demand_code(evidence, "rollback")
    one, other = exhibits.heads
    if not (one.leaf_count < other.leaf_count and one.timestamp > other.timestamp):
        raise refused("the larger head is not the older one")
    return (
        f"the log signed a head over {one.leaf_count} leaves {one.timestamp - other.timestamp} s"
        f" after one over {other.leaf_count}"
    )


def _rule_leaf(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 1, 1)
    (leaf,), history = evidence.leaves, exhibits.history
    head = exhibits.covered(leaf)
    rules = LeafRules(
        log_id=history.log_id,
        eras=exhibits.ring.eras(),
        suspect=(),
        closed_at=history.closed_at,
        heads=((head.leaf_count, head.timestamp),),
        max_merge_delay_s=0,
    )
    tally = Tally()
    check_leaf(rules, leaf.index, leaf.record, leaf.body, tally)
    found = {f.code: f for f in tally.findings() if _is_proved(f.place, f.code, leaf)}
    demand_code(evidence, *sorted(found))
    return found[evidence.code].message


def _is_proved(place: Place, code: str, leaf: Leaf) -> bool:
    """Return whether a leaf's finding is of those that a file with or without body proves."""
    with_body = place is not Place.RECORD
    return FINDING_CODES[place, code].proof is Proof.LEAF and with_body == (leaf.body is not None)


def _rule_key_event(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 1, 1)
    (leaf,), ring = evidence.leaves, exhibits.ring
    exhibits.covered(leaf)
    record = decode_record(leaf.record)
    if record.type != TYPE_KEY or record.index != leaf.index or not leaf.body:
        raise refused("the record is no key event of its leaf, or its body is missing")
    check_body_hash(record, leaf.body)
    try:
        history_of(ring.origin, ring.pinned, (*ring.events, (leaf.record, leaf.body)))
    except LedgerError as error:
        code, message = error.code, error.message
    else:
        raise refused("the key event continues the key history")
    if (Place.KEY, code) not in FINDING_CODES or exhibits.history.records[-1].index >= leaf.index:
        raise refused("key events after this one were left in the file")
    demand_code(evidence, code)
    return f"the key event at leaf {leaf.index}: {message}"


def _rule_record_pair(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 0, 2)
    one, other = evidence.leaves
    first, second = exhibits.signed(one), exhibits.signed(other)
    _demand_no_body(one, other)
    if one.index == other.index and one.record < other.record:
        demand_code(evidence, "equivocation")
        return f"the log signed two records for leaf {one.index}"
    if one.index < other.index and first.logged_at > second.logged_at:
        demand_code(evidence, "backdated")
        return f"the log signed an earlier time for leaf {other.index} than for leaf {one.index}"
    raise refused("the two records do not contradict each other")


def _rule_late(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 1, 1)
    demand_code(evidence, "late")
    (leaf,), (head,) = evidence.leaves, exhibits.heads
    _demand_no_body(leaf)
    record = exhibits.signed(leaf)
    checkpoint = Checkpoint(origin=evidence.origin, leaf_count=head.leaf_count, root=head.root)
    signed = SignedHead(checkpoint=checkpoint, epoch=head.epoch, timestamp=head.timestamp)
    try:
        verify_merge_delay(record, signed, exhibits.history.genesis.max_merge_delay_s or 0)
    except HeadError as error:
        return error.message
    raise refused("the head covers the record, or was not due to")


def _rule_omission(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 1, 1, None)
    demand_code(evidence, "omission")
    (leaf,), (head,) = evidence.leaves, exhibits.heads
    _demand_no_body(leaf)
    exhibits.signed(leaf)
    other, *path = evidence.hashes
    verify_inclusion(other, leaf.index, head.leaf_count, path, head.root)
    if other == leaf_hash(leaf.record):
        raise refused("the record stands where it belongs")
    return f"the head over {head.leaf_count} leaves has another record at leaf {leaf.index}"


def _rule_body_pair(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 0, 2)
    one, other = evidence.leaves
    if not one.index < other.index:
        raise refused("the two records are one, or stand in the wrong order")
    records = (exhibits.signed(one), exhibits.signed(other))
    bodies = (exhibits.body(one, records[0]), exhibits.body(other, records[1]))
    codes = _contradictions(exhibits, records, bodies)
    demand_code(evidence, *codes)
    return f"leaves {one.index} and {other.index}: {codes[evidence.code]}"


def _contradictions(
    exhibits: Exhibits, records: tuple[Record, Record], bodies: tuple[Body, Body]
) -> dict[str, str]:
    one, other = bodies
    found: dict[str, str] = {}
    if isinstance(one, Receipt) and isinstance(other, Receipt):
        if one.id == other.id:
            found["duplicate-id"] = "two receipts of one id"
        step = other.subject_seq - one.subject_seq
        broken = step == 1 and other.subject_prev != records[0].body_hash
        if one.subject == other.subject and (step < 1 or broken):
            found["subject-branch"] = "two receipts that cannot stand in one chain"
    if isinstance(one, Binding) and isinstance(other, Binding):
        log_id = exhibits.history.log_id
        same = verify_binding(one, log_id) == verify_binding(other, log_id)
        if same and other.nonce <= one.nonce:
            found["nonce-order"] = "two bindings of one signer whose nonces do not grow"
    return found


def _rule_statement(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 0, max(len(evidence.leaves), 2))
    demand_code(evidence, "statement-sums")
    claim, *summed = evidence.leaves
    statement = exhibits.body(claim, exhibits.signed(claim))
    if not isinstance(statement, Statement):
        raise refused("the first record is no statement")
    if len(summed) != statement.last_seq - statement.first_seq + 1:
        raise refused("the receipts are not those of the statement's range")
    for number, leaf in enumerate(summed, statement.first_seq):
        receipt = exhibits.body(leaf, exhibits.signed(leaf))
        place = (statement.subject, number)
        if not isinstance(receipt, Receipt) or (receipt.subject, receipt.subject_seq) != place:
            raise refused("the receipts are not those of the statement's range")
    cited = [Cited(leaf.index, leaf.record, leaf.body) for leaf in summed]
    found = check_statement(claim.index, claim.body or b"", cited, complete=True)
    if found is None:
        raise refused("the statement is what the receipts add up to")
    return found.message


def _rule_reference(evidence: Evidence, exhibits: Exhibits) -> str:
    demand(evidence, 0, 2)
    claim, target = evidence.leaves
    body = exhibits.body(claim, exhibits.signed(claim))
    record = exhibits.signed(target)
    if not isinstance(body, Reconciliation) or body.index != target.index:
        raise refused("the records are not a reconciliation and the one it names")
    if target.body is not None:
        exhibits.body(target, record)
    cited = Cited(target.index, target.record, target.body)
    found = check_reconciliation(claim.index, claim.body or b"", cited)
    if found is None or (found.code == "reference") != (target.body is None):
        raise refused("the reconciliation fits the record that it names")
    demand_code(evidence, found.code)
    return found.message


def _demand_no_body(*leaves: Leaf) -> None:
    if any(leaf.body is not None for leaf in leaves):
        raise refused("a body stands where none belongs")


RULINGS: Final[Mapping[Proof, Ruling]] = MappingProxyType(
    {
        Proof.FORK: _rule_fork,
        Proof.HEAD_ORDER: _rule_head_order,
        Proof.LEAF: _rule_leaf,
        Proof.KEY_EVENT: _rule_key_event,
        Proof.RECORD_PAIR: _rule_record_pair,
        Proof.LATE: _rule_late,
        Proof.OMISSION: _rule_omission,
        Proof.BODY_PAIR: _rule_body_pair,
        Proof.STATEMENT: _rule_statement,
        Proof.REFERENCE: _rule_reference,
    }
)
