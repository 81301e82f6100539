"""Batches of many receipts: placed, signed and stored by several threads, whole or not at all."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, sequencer
from nous_ledger.ledger.errors import StoreError
from nous_ledger.ledger.sqlite_view import SqliteTransaction
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.signing import SigningKey
from tests.integration.ledger_audit import audit, error_code
from tests.integration.ledger_drafts import make_draft

STEP, MANY = 256, 640
"""Receipts of a step of a batch, here; and of a batch, which ends in the middle of one."""


@pytest.fixture(autouse=True)
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "_STEP", STEP)


@pytest.mark.parametrize("subjects", [1, 3, 5_000])
def test_a_batch_of_many_steps(
    ledger: Ledger, folder: Path, seed: random.Random, subjects: int
) -> None:
    """SUBJ-3: chains are whole whichever thread puts a receipt at its place."""
    drafts = [
        make_draft(seed, subject=seed.randrange(subjects).to_bytes(32, "big")) for _ in range(MANY)
    ]
    logged = [*ledger.append_many(drafts), *ledger.append_many([make_draft(seed)])]
    assert [item.index for item in logged] == list(range(1, MANY + 2))
    assert [item.receipt.id for item in logged[:MANY]] == [draft.id for draft in drafts]
    ends: dict[bytes, int] = {}
    for item in logged[:MANY]:
        receipt = decode_body(1, item.body)
        assert isinstance(receipt, Receipt)
        assert receipt.subject_seq == ends.get(receipt.subject, 0)
        ends[receipt.subject] = receipt.subject_seq + 1
    assert audit(folder).records[1:] == tuple(item.record for item in logged)


class FailingKey:
    """A signer that fails after some signatures, in whichever thread asks for the next."""

    def __init__(self, key: SigningKey, good: int) -> None:
        self.public_key = key.public_key
        self._key = key
        self._good = good
        self._lock = threading.Lock()
        self.threads: set[str] = set()

    def sign(self, digest: bytes) -> bytes:
        with self._lock:
            self.threads.add(threading.current_thread().name.rpartition("_")[0])
            self._good -= 1
            if self._good < 0:
                raise UnavailableError("unreachable", "the signer does not answer")
        return self._key.sign(digest)


@pytest.fixture
def failing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingKey]:
    signer = ledger._signing()
    assert isinstance(signer.secp256k1, SigningKey)
    key = FailingKey(signer.secp256k1, MANY * 2 // 3)
    with monkeypatch.context() as patched:
        patched.setattr(type(signer), "secp256k1", key)
        yield key


def test_a_signer_that_fails_in_the_middle_leaves_nothing(
    ledger: Ledger,
    folder: Path,
    seed: random.Random,
    failing: FailingKey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drafts = [make_draft(seed) for _ in range(MANY)]
    assert error_code(lambda: ledger.append_many(drafts)) == "unreachable"
    assert len(audit(folder).records) == 1
    assert any("nous-ledger-sign" in name for name in failing.threads), "the helper took part"
    failing._good = 10_000
    assert len(ledger.append_many(drafts)) == MANY
    audit(folder)


def test_a_store_that_fails_beside_the_signing_leaves_nothing(
    ledger: Ledger, folder: Path, seed: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    drafts = [make_draft(seed) for _ in range(MANY)]
    add_records = SqliteTransaction.add_records

    def fail(self: SqliteTransaction, first: int, records: list[bytes]) -> None:
        if first == 1:
            raise StoreError("store-full", "no room")
        add_records(self, first, records)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(SqliteTransaction, "add_records", fail)
        assert error_code(lambda: ledger.append_many(drafts)) == "store-full"
    assert len(audit(folder).records) == 1
    assert len(ledger.append_many(drafts)) == MANY
    audit(folder)
