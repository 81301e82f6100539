"""The check of a database file with flipped bits: each is a fault, and none stops the check."""

import random
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.fsck import fsck
from nous_ledger.protocol.errors import LedgerError
from tests.integration.ledger_damage import read
from tests.integration.ledger_drafts import Clock, make_draft

LEAVES = 14


@pytest.fixture
def closed(folder: Path, clock: Clock, seed: random.Random) -> Path:
    """A ledger that nobody has open."""
    with Ledger.create(folder, next_key_out=None, clock=clock) as ledger:
        ledger.append_many([make_draft(seed) for _ in range(LEAVES - 1)])
        ledger.head()
    return folder


def codes(folder: Path) -> set[tuple[str, str]]:
    return {(fault.code, fault.table) for fault in fsck(folder).faults}


def test_random_bits_anywhere(closed: Path, seed: random.Random, full: bool) -> None:
    """Of lengths, types, indices and the schema too; but for its letters' case, say, all show."""
    data = (closed / "ledger.db").read_bytes()
    places = [place for place in range(len(data)) if data[place]]
    found = 0
    for place in seed.sample(places, 4_000 if full else 60):
        altered = bytearray(data)
        altered[place] ^= 1 << seed.randrange(8)
        (closed / "ledger.db").write_bytes(altered)
        try:
            found += fsck(closed).fault_count > 0
        except LedgerError as error:
            found += error.code == "store-foreign"
    assert found > (3_800 if full else 55)


@pytest.mark.parametrize("type_of_value", [b"\x81\x7d", b"\x80\x00", b"\x80\x06"])
def test_a_record_that_is_no_blob(closed: Path, type_of_value: bytes) -> None:
    """A text, nothing at all, or a number."""
    ((record,),) = read(closed, "SELECT record FROM records WHERE leaf = 5")
    data = bytearray((closed / "ledger.db").read_bytes())
    place = data.index(record)
    assert data[place - 2 : place] == b"\x81\x7c", "the type of a blob of 120 bytes"
    data[place - 2 : place] = type_of_value
    (closed / "ledger.db").write_bytes(data)
    report = fsck(closed)
    assert {fault.code for fault in report.faults} == {"store-corrupt"}
    assert (report.leaf_count == LEAVES) == (type_of_value == b"\x81\x7d")


def test_what_is_of_another_type_hides_the_rest(closed: Path) -> None:
    """A chain's last body hash that is nothing."""
    ((subject, number, last),) = read(closed, "SELECT * FROM subjects ORDER BY 1 LIMIT 1")
    data = bytearray((closed / "ledger.db").read_bytes())
    place = data.index(subject + bytes([number]) + last)
    assert data[place - 3 : place] == bytes([76, 1, 76]), "two blobs of 32 bytes and a number"
    data[place - 1] = 0
    (closed / "ledger.db").write_bytes(data)
    assert codes(closed) >= {("store-corrupt", "database")}
