"""What becomes evidence, and what a log takes in: the library against the vectors.

Spec:
    PROTOCOL.md RCON-4, RCON-5.
"""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from nous_ledger.gateway.call_texts import CallText
from nous_ledger.gateway.evidence import make_evidence
from nous_ledger.ledger import Ledger, LedgerUseError
from nous_ledger.ledger.creation import DATABASE_NAME
from nous_ledger.ledger.model import NewLeaf
from nous_ledger.ledger.reconciling import EvidenceBook
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.ledger.store import View
from nous_ledger.protocol.bodies import Reconciliation, decode_body
from nous_ledger.protocol.errors import CommitmentError
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT, TYPE_RECONCILIATION, sign_record
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Epoch, LeafIndex, LogId, UnixMillis
from nous_ledger.reconcile.tokenizers import builtin_table
from tests.conformance.vector_files import Case, cases, unhex

KEY = SigningKey(bytes(31) + b"\1")
RECEIPT_AT = 3
FIRST_CLAIM = 5


@cases("reconciling", "Sources")
def test_a_source_says_what_was_compared(case: Case) -> None:
    receipt = decode_body(TYPE_RECEIPT, unhex(case["receipt"]))
    assert isinstance(receipt, Receipt)
    texts = {name: text.encode() for name, text in case["texts"].items()}
    opening = None if case["opening"] is None else unhex(case["opening"])
    kept = CallText(line=1, source="folder/1", opening=opening, **texts)
    try:
        source = make_evidence(receipt, kept, builtin_table()).source
    except CommitmentError:
        assert case["ends"] is None
    else:
        assert source == f"folder/1 {case['ends']}"


def leaf(index: int, type_: int, body: bytes) -> NewLeaf:
    record = sign_record(
        KEY,
        LogId(bytes(32)),
        type=type_,
        epoch=Epoch(0),
        index=LeafIndex(index),
        logged_at=UnixMillis(0),
        body_hash=sha256(body),
    )
    return NewLeaf(index=LeafIndex(index), type=type_, record=record, body=body)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a log of one leaf."""
    folder = tmp_path_factory.mktemp("log") / "ledger"
    Ledger.create(folder, next_key_out=None).close()
    return folder / DATABASE_NAME


@cases("reconciling", "Taken")
def test_a_log_takes_in_what_is_new(case: Case, empty: Path, tmp_path: Path) -> None:
    place = Path(shutil.copy(empty, tmp_path / str(case["tcId"])))
    claim = decode_body(TYPE_RECONCILIATION, unhex(case["claim"]))
    assert isinstance(claim, Reconciliation)
    bodies = {one["index"]: unhex(one["body"]) for one in case["claims"]}
    assert min(bodies, default=FIRST_CLAIM) == FIRST_CLAIM
    receipt = leaf(RECEIPT_AT, TYPE_RECEIPT, unhex(case["receipt"]))
    filling = [leaf(at, TYPE_RECEIPT, b"") for at in range(1, FIRST_CLAIM) if at != RECEIPT_AT]
    claims = [leaf(at, TYPE_RECONCILIATION, body) for at, body in bodies.items()]
    with closing(SqliteStore(place, read_only=False)) as store:
        with store.write() as transaction:
            transaction.add_leaves([*filling, receipt, *claims])
        with store.read() as view:
            assert kinds_taken(view, claim) == case["kinds"]


def kinds_taken(view: View, claim: Reconciliation) -> list[int]:
    """Return the kinds of the buckets that a log of this state takes in."""
    book = EvidenceBook()
    book.follow(view)
    try:
        (new,) = book.new_ones((claim,), view)
    except LedgerUseError as error:
        if error.code != "already-reconciled":
            raise
        return []
    return [] if new is None else [bucket.kind for bucket in new.usage]
