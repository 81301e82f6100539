"""No file frames an honest log: whatever is put together from what it really signed is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.errors import EvidenceError, LedgerError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.note import add_signatures, format_note, parse_note
from nous_ledger.protocol.proof import prove_consistency, prove_inclusion
from nous_ledger.protocol.record import leaf_hash
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, UnixSeconds
from sentinel.audit.codes import Proof
from sentinel.audit.confirm import verify_evidence
from sentinel.audit.evidence import Evidence, Leaf, encode_evidence
from tests.unit.audit_crimes import EXACT, reconciliation, statement
from tests.unit.audit_log import ALICE, ED25519, KEYS, START, AuditLog

ROTATED_AT = 9


def honest() -> AuditLog:
    """Return a log that did nothing wrong, with a rotation in the middle."""
    log = AuditLog(receipts=8)
    assert log.rotate() == ROTATED_AT
    for _ in range(4):
        log.receipt()
    log.add(4, statement(log))
    log.add(2, reconciliation(log, 2))
    log.add(2, reconciliation(log, log.receipt(), usage=(EXACT,)))
    log.binding(1)
    log.binding(2, wallet=None)
    return log


LOG = honest()
POLICY = LOG.policy()
KEY_EVENTS = tuple((LOG.records[at], LOG.bodies[at]) for at in (0, ROTATED_AT))
OTHER = AuditLog("other.example", receipts=8)
TWIN = AuditLog(LOG.origin, rotates=False, receipts=8)
"""A log of the same name and keys, and yet another log."""


def leaf(at: int, *, body: bool | bytes = False, path: int | None = None, **told: Any) -> Leaf:
    """Return a record of the log, with an inclusion path to a head over `path` leaves."""
    fields: dict[str, Any] = {
        "index": LeafIndex(at),
        "record": LOG.records[at],
        "body": body if isinstance(body, bytes) else LOG.bodies[at] if body else None,
        "path": None if path is None else prove_inclusion(LOG.read, LeafIndex(at), LeafCount(path)),
    }
    return Leaf(**(fields | told))


def head(count: int | None = None, timestamp: int | None = None) -> bytes:
    epoch = 0 if count is not None and count <= ROTATED_AT else 1
    return LOG.head(count, timestamp, epoch=epoch)


def frame(kind: Proof, code: str, **parts: Any) -> bytes:
    fields: dict[str, Any] = {
        "kind": kind,
        "code": code,
        "origin": LOG.origin,
        "log_id": LOG.log_id,
        "key_events": KEY_EVENTS,
    }
    return encode_evidence(Evidence(**(fields | parts)))


def cosigned(data: bytes) -> bytes:
    note = parse_note(data)
    line = cosign("witness.example/w", ED25519, note.text, UnixSeconds(START))
    return format_note(add_signatures(note, line))


def fork(one: bytes, other: bytes, *hashes: bytes, **told: Any) -> bytes:
    return frame(Proof.FORK, "fork", heads=(one, other), hashes=hashes, **told)


def proof(old: int, new: int) -> tuple[Hash32, ...]:
    return prove_consistency(LOG.read, LeafCount(old), LeafCount(new))


def root(count: int) -> bytes:
    return read_root(LOG.read, LeafCount(count))


ALL = len(LOG.records)
FIRST = (KEY_EVENTS[0],)
MINE = [at for at, body in enumerate(LOG.bodies) if at and bytes(ALICE) in body and at < 13]


def pair(code: str, one: Leaf, other: Leaf, **told: Any) -> bytes:
    return frame(Proof.RECORD_PAIR, code, leaves=(one, other), **told)


def bodies(code: str, one: Leaf, other: Leaf, **told: Any) -> bytes:
    return frame(Proof.BODY_PAIR, code, leaves=(one, other), **told)


FRAMES: dict[str, Callable[[], bytes]] = {
    "one head twice": lambda: fork(head(), head()),
    "a head and its heartbeat": lambda: fork(head(), head(None, START + 900)),
    "heads that extend each other": lambda: fork(head(7), head(), root(7), *proof(7, ALL)),
    "heads that extend each other, by a power of two": lambda: fork(
        head(8), head(), root(8), *proof(8, ALL)
    ),
    "a made-up prefix": lambda: fork(head(7), head(), sha256(b""), *proof(7, ALL)),
    "a made-up prefix of a power of two": lambda: fork(
        head(8), head(), sha256(b""), *proof(8, ALL)
    ),
    "a proof between other counts": lambda: fork(head(4), head(), root(5), *proof(5, ALL)),
    "a proof to another head": lambda: fork(head(7), head(), root(7), *proof(7, 12)),
    "larger before smaller": lambda: fork(head(), head(7), root(7), *proof(7, ALL)),
    "no proof": lambda: fork(head(7), head()),
    "one head only": lambda: frame(Proof.FORK, "fork", heads=(head(),)),
    "a head of another log": lambda: fork(*sorted((head(9), OTHER.head(9)))),
    "a head of a log of the same name": lambda: fork(*sorted((head(9), TWIN.head(9)))),
    "a head of another log under this name": lambda: fork(
        head(9), OTHER.head(9, origin=LOG.origin, log_id=LOG.log_id, key=KEYS[3])
    ),
    "a head by a replaced key": lambda: fork(head(), LOG.head(epoch=0, root=Hash32(sha256(b"")))),
    "heads by a key that is not there": lambda: fork(
        LOG.head(epoch=1), LOG.head(epoch=1, root=Hash32(sha256(b""))), key_events=FIRST
    ),
    "times that grow": lambda: frame(Proof.HEAD_ORDER, "rollback", heads=(head(7), head())),
    "times that grow, larger first": lambda: frame(
        Proof.HEAD_ORDER, "rollback", heads=(head(), head(7))
    ),
    "times that stand still": lambda: frame(
        Proof.HEAD_ORDER, "rollback", heads=(head(7, START), head(None, START))
    ),
    "the same count, later": lambda: frame(
        Proof.HEAD_ORDER, "rollback", heads=(head(None, START + 99), head())
    ),
    "a good record": lambda: frame(
        Proof.LEAF, "mismatch", heads=(head(),), leaves=(leaf(3, path=ALL),)
    ),
    "a good record, of the next epoch": lambda: frame(
        Proof.LEAF, "epoch", heads=(head(9),), leaves=(leaf(3, path=9),), key_events=FIRST
    ),
    "a good record without the rotation before it": lambda: frame(
        Proof.LEAF, "epoch", heads=(head(),), leaves=(leaf(11, path=ALL),), key_events=FIRST
    ),
    "a good record with another rotation before it": lambda: frame(
        Proof.LEAF, "epoch", heads=(head(),), leaves=(leaf(11, path=ALL),),
        key_events=(KEY_EVENTS[0], (LOG.records[3], LOG.bodies[3])),
    ),
    "a good record elsewhere": lambda: frame(
        Proof.LEAF, "record-index", heads=(head(),), leaves=(leaf(3, path=ALL, index=LeafIndex(4)),)
    ),
    "a good record that is not in the tree": lambda: frame(
        Proof.LEAF, "mismatch", heads=(head(),),
        leaves=(leaf(3, path=ALL, record=OTHER.records[3]),),
    ),
    "a good body": lambda: frame(
        Proof.LEAF, "bad-value", heads=(head(),), leaves=(leaf(3, path=ALL, body=True),)
    ),
    "another body": lambda: frame(
        Proof.LEAF, "forbidden-type", heads=(head(),), leaves=(leaf(3, path=ALL, body=b"\xc0"),)
    ),
    "another body's hash": lambda: frame(
        Proof.LEAF, "body-hash", heads=(head(),), leaves=(leaf(3, path=ALL, body=b"\xc0"),)
    ),
    "a good rotation": lambda: frame(
        Proof.KEY_EVENT, "reveal", heads=(head(),),
        leaves=(leaf(ROTATED_AT, body=True, path=ALL),), key_events=FIRST,
    ),
    "a good rotation again": lambda: frame(
        Proof.KEY_EVENT, "key-event-order", heads=(head(),),
        leaves=(leaf(ROTATED_AT, body=True, path=ALL),),
    ),
    "the genesis again": lambda: frame(
        Proof.KEY_EVENT, "key-event-order", heads=(head(),), leaves=(leaf(0, body=True, path=ALL),)
    ),
    "a receipt as key event": lambda: frame(
        Proof.KEY_EVENT, "key-event-order", heads=(head(),), leaves=(leaf(3, body=True, path=ALL),)
    ),
    "a key event with another body": lambda: frame(
        Proof.KEY_EVENT, "bad-value", heads=(head(),),
        leaves=(leaf(ROTATED_AT, body=LOG.bodies[0], path=ALL),), key_events=FIRST,
    ),
    "one record twice": lambda: pair("equivocation", leaf(3), leaf(3)),
    "two records": lambda: pair("equivocation", leaf(3), leaf(4)),
    "two records in time": lambda: pair("backdated", leaf(3), leaf(4)),
    "two records, later first": lambda: pair("backdated", leaf(4), leaf(3)),
    "a record of another log": lambda: pair(
        "equivocation", leaf(3), leaf(3, record=OTHER.records[3])
    ),
    "a record of a log of the same name": lambda: pair(
        "equivocation", *sorted((leaf(3), leaf(3, record=TWIN.records[3])), key=lambda i: i.record)
    ),
    "a record said to be another": lambda: pair(
        "equivocation", leaf(3), leaf(3, record=LOG.records[4])
    ),
    "a record with its body": lambda: pair("equivocation", leaf(3, body=True), leaf(4)),
    "a record with a path": lambda: pair("backdated", leaf(3, path=ALL), leaf(4)),
    "a head that covers the record": lambda: frame(
        Proof.LATE, "late", heads=(head(None, START + 9_999),), leaves=(leaf(3),)
    ),
    "a head in time": lambda: frame(Proof.LATE, "late", heads=(head(3),), leaves=(leaf(3),)),
    "a head just in time": lambda: frame(
        Proof.LATE, "late", heads=(head(3, START + 63),), leaves=(leaf(3),)
    ),
    "a record where it belongs": lambda: frame(
        Proof.OMISSION, "omission", heads=(head(),), leaves=(leaf(3),),
        hashes=(leaf_hash(LOG.records[3]), *prove_inclusion(LOG.read, LeafIndex(3), LOG.count)),
    ),
    "a record beside another place": lambda: frame(
        Proof.OMISSION, "omission", heads=(head(),), leaves=(leaf(3),),
        hashes=(leaf_hash(LOG.records[4]), *prove_inclusion(LOG.read, LeafIndex(4), LOG.count)),
    ),
    "another log's record left out": lambda: frame(
        Proof.OMISSION, "omission", heads=(head(),), leaves=(leaf(3, record=OTHER.records[3]),),
        hashes=(leaf_hash(LOG.records[3]), *prove_inclusion(LOG.read, LeafIndex(3), LOG.count)),
    ),
    "one receipt twice": lambda: bodies("duplicate-id", leaf(3, body=True), leaf(3, body=True)),
    "two receipts": lambda: bodies("duplicate-id", leaf(2, body=True), leaf(3, body=True)),
    "a chain": lambda: bodies(
        "subject-branch", leaf(MINE[0], body=True), leaf(MINE[1], body=True)
    ),
    "a chain with a gap": lambda: bodies(
        "subject-branch", leaf(MINE[0], body=True), leaf(MINE[2], body=True)
    ),
    "a chain backwards": lambda: bodies(
        "subject-branch", leaf(MINE[1], body=True), leaf(MINE[0], body=True)
    ),
    "receipts of two subjects": lambda: bodies(
        "subject-branch", leaf(1, body=True), leaf(2, body=True)
    ),
    "receipts without bodies": lambda: bodies("subject-branch", leaf(1), leaf(2)),
    "a receipt with another's body": lambda: bodies(
        "duplicate-id", leaf(1, body=True), leaf(2, body=LOG.bodies[1])
    ),
    "a receipt and a binding": lambda: bodies(
        "nonce-order", leaf(1, body=True), leaf(ALL - 1, body=True)
    ),
    "nonces that grow": lambda: bodies(
        "nonce-order", leaf(ALL - 2, body=True), leaf(ALL - 1, body=True)
    ),
    "a true statement": lambda: frame(
        Proof.STATEMENT, "statement-sums",
        leaves=(leaf(14, body=True), leaf(MINE[0], body=True), leaf(MINE[1], body=True)),
    ),
    "a true statement over other receipts": lambda: frame(
        Proof.STATEMENT, "statement-sums",
        leaves=(leaf(14, body=True), leaf(MINE[1], body=True), leaf(MINE[2], body=True)),
    ),
    "a true statement over fewer": lambda: frame(
        Proof.STATEMENT, "statement-sums", leaves=(leaf(14, body=True), leaf(MINE[0], body=True))
    ),
    "a true statement over bindings": lambda: frame(
        Proof.STATEMENT, "statement-sums",
        leaves=(leaf(14, body=True), leaf(ALL - 2, body=True), leaf(ALL - 1, body=True)),
    ),
    "a receipt as statement": lambda: frame(
        Proof.STATEMENT, "statement-sums", leaves=(leaf(3, body=True), leaf(1, body=True))
    ),
    "a true reconciliation": lambda: frame(
        Proof.REFERENCE, "reference", leaves=(leaf(15, body=True), leaf(2))
    ),
    "a true reconciliation with both bodies": lambda: frame(
        Proof.REFERENCE, "exact-not-allowed", leaves=(leaf(17, body=True), leaf(16, body=True))
    ),
    "a true EXACT": lambda: frame(
        Proof.REFERENCE, "exact-not-allowed", leaves=(leaf(17, body=True), leaf(16))
    ),
    "a reconciliation of another record": lambda: frame(
        Proof.REFERENCE, "reference", leaves=(leaf(15, body=True), leaf(3))
    ),
    "a receipt as reconciliation": lambda: frame(
        Proof.REFERENCE, "reference", leaves=(leaf(3, body=True), leaf(2))
    ),
    "a good rotation under a head by the replaced key": lambda: frame(
        Proof.KEY_EVENT, "reveal", heads=(LOG.head(epoch=0),),
        leaves=(leaf(ROTATED_AT, body=True, path=ALL),), key_events=FIRST,
    ),
    "heads with lines of others": lambda: fork(*sorted((cosigned(head()), head()))),
    "another log id": lambda: fork(head(), head(), log_id=OTHER.log_id),
    "no key events": lambda: fork(head(), head(), key_events=()),
    "another log's key events": lambda: fork(
        head(), head(), key_events=((OTHER.records[0], OTHER.bodies[0]),)
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_an_honest_log_cannot_be_framed(make: Callable[[], bytes]) -> None:
    """Every file is well formed, and refused for what it says (SENT-21 to SENT-23)."""
    data = make()
    with pytest.raises(LedgerError) as caught:
        verify_evidence(data, POLICY)
    assert isinstance(caught.value, EvidenceError)
    assert caught.value.code == "evidence-refused"
    assert caught.value.hint


@pytest.mark.parametrize("kind", [proof for proof in Proof if proof])
@pytest.mark.parametrize("parts", ["none", "many"])
def test_files_with_other_parts_than_their_kind_are_refused(kind: Proof, parts: str) -> None:
    """SENT-22."""
    many: dict[str, Any] = {
        "heads": (head(7), head()),
        "leaves": (leaf(1), leaf(2), leaf(3)),
        "hashes": (Hash32(bytes(32)),) * 3,
    }
    data = frame(kind, "fork", **(many if parts == "many" else {}))
    with pytest.raises(EvidenceError):
        verify_evidence(data, POLICY)


def test_a_record_of_the_wrong_epoch_is_evidence_of_that_alone() -> None:
    log, other = AuditLog(receipts=2), AuditLog(receipts=2)
    log.receipt(told={"epoch": 1})
    other.receipt()
    records = sorted((log.records[3], other.records[3]))
    leaves = tuple(Leaf(index=LeafIndex(3), record=record) for record in records)
    events = ((log.records[0], log.bodies[0]),)
    data = pair("equivocation", *leaves, origin=log.origin, log_id=log.log_id, key_events=events)
    with pytest.raises(EvidenceError, match="epoch"):
        verify_evidence(data, log.policy())


def test_what_a_suspect_key_signed_convicts_nobody() -> None:
    log = AuditLog(receipts=3)
    other = AuditLog(receipts=2)
    other.receipt(status=1)
    events = [(log.records[0], log.bodies[0])]
    log.rotate(reason=2, suspect_from=2)
    events.append((log.records[4], log.bodies[4]))
    records = sorted((log.records[3], other.records[3]))
    leaves = tuple(Leaf(index=LeafIndex(3), record=record) for record in records)
    for known, code in ((events, "suspect"), (events[:1], None)):
        data = encode_evidence(
            Evidence(
                kind=Proof.RECORD_PAIR,
                code="equivocation",
                origin=log.origin,
                log_id=log.log_id,
                key_events=tuple(known),
                leaves=leaves,
            )
        )
        if code is None:
            assert verify_evidence(data, log.policy()).code == "equivocation"
        else:
            with pytest.raises(LedgerError) as caught:
                verify_evidence(data, log.policy())
            assert caught.value.code == code
