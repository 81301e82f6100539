"""`nous-ledger redact`, as its user sees it."""

import random
from pathlib import Path
from uuid import UUID

import pytest

from nous_ledger.ledger import Ledger
from tests.cli.harness import Call
from tests.cli.sample import START_MS, Clock, make_draft


@pytest.fixture
def calls(tmp_path: Path) -> list[UUID]:
    """The receipts 1 to 4 of a ledger."""
    seed = random.Random(3)
    drafts = [make_draft(seed, START_MS) for _ in range(4)]
    with Ledger.create(tmp_path / "ledger", next_key_out=None, clock=Clock()) as ledger:
        ledger.append_many(drafts)
        ledger.head()
    return [UUID(bytes=draft.id) for draft in drafts]


@pytest.fixture
def ledger(tmp_path: Path, calls: list[UUID]) -> Path:
    return tmp_path / "ledger"


def test_bodies_are_withheld_afterwards(nous: Call, ledger: Path, calls: list[UUID]) -> None:
    """RED-3."""
    where = ("--ledger", ledger)
    shown = nous("redact", calls[1], "4", "--reason", "secret_leaked", *where).good().out
    assert shown == "erased 2 bodies, logged by record 5\n"
    for name in (calls[1], 2):
        assert "withheld: the body was erased" in nous("receipts", "show", name, *where).good().out
    listed = nous("receipts", "list", *where, "--json").good().json
    assert (listed["totals"]["calls"], listed["totals"]["withheld"]) == (4, 2)
    notice = nous("receipts", "show", "5", *where, "--json").good().json["body"]
    assert (notice["indices"], notice["reason"]) == ([2, 4], "secret_leaked")
    nous("fsck", *where).good()


def test_a_proof_without_the_body(nous: Call, tmp_path: Path, ledger: Path) -> None:
    made = nous("redact", "1", "--reason", "retention", "--ledger", ledger, "--json").good().json
    assert made == {"indices": [1], "records": [5], "reason": "retention"}
    proof, policy = tmp_path / "p", tmp_path / "policy"
    nous("prove", "1", "--ledger", ledger, "-o", proof).good()
    nous("policy", "export", "--ledger", ledger, "-o", policy).good()
    found = nous("verify", proof, "--policy", policy, "--json").good().json
    assert found["accuracy"]["code"] == "withheld"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("0", "--reason", "retention"), 2, "is a key event"),
        (("9", "--reason", "retention"), 2, "no record 9"),
        (("1", "x", "--reason", "retention"), 2, "neither a receipt id nor an index"),
        (("1", "--reason", "boredom"), 2, "boredom"),
        (("1",), 2, "--reason"),
        (("--reason", "retention"), 2, "ID|INDEX"),
    ],
)
def test_what_is_refused(
    nous: Call, ledger: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    nous("redact", *words, "--ledger", ledger).failed(code, text)
    listed = nous("receipts", "list", "--ledger", ledger, "--json").good().json
    assert listed["totals"]["withheld"] == 0
