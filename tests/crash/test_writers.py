"""Many writers at once, as threads and as processes: one log, every time."""

import hashlib
import itertools
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record
from tests.crash.conftest import Nursery, copied
from tests.crash.lives import Place
from tests.crash.survival import Leaves, check_clean, check_promises, read_leaves, read_promises

TRIALS, TRIALS_FULL = 10, 200
BEFORE = 6
"""Leaves of the small ledger."""
TURNS, TURNS_FULL = 1, 2
A_TURN = 3
"""Receipts of one writer in a turn: one alone, and a batch of two."""
CASES = [*itertools.product(["threads", "processes"], [2, 5, 10, 20])]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]} {case[0]}")
def test_writers_share_one_log(
    nursery: Nursery, template: Path, tmp_path: Path, full: bool, case: tuple[str, int]
) -> None:
    """SUBJ-3, REC-12."""
    kind, writers = case
    trials, turns = (TRIALS_FULL, TURNS_FULL) if full else (TRIALS, TURNS)
    for trial in range(trials):
        place = copied(template, tmp_path / str(trial))
        threads, processes = (writers, 1) if kind == "threads" else (1, writers)
        lives = [
            {"life": "append", "threads": threads, "turns": turns, "name": f"{trial}/{number}"}
            for number in range(processes)
        ]
        assert nursery.live(place, *lives) == [0] * processes
        check(place, writers * turns * A_TURN)
        if trial == trials - 1:
            check_clean(place.folder)


def check(place: Place, logged: int) -> None:
    """Check one trial."""
    with Ledger.open(place.folder) as ledger:
        head = parse_checkpoint(parse_note(ledger.head()).text)
        assert len(ledger.open_intents()) == 1
    leaves, promises = read_leaves(place.folder), read_promises(place)
    indices = sorted(index for index, _, _ in promises.logged.values())
    assert indices == list(range(BEFORE, BEFORE + len(indices)))
    assert len(indices) == logged
    assert head.leaf_count == len(leaves.records) == BEFORE + len(indices)
    assert head.root == leaves.root(head.leaf_count)
    check_chains(leaves)
    check_promises(leaves, promises)


def check_chains(leaves: Leaves) -> None:
    """Check that each subject's receipts follow each other without a gap."""
    ends: dict[bytes, tuple[int, bytes | None]] = {}
    for record, data in zip(leaves.records, leaves.bodies, strict=True):
        body = decode_body(decode_record(record).type, data)
        if isinstance(body, Receipt):
            place = ends.get(body.subject, (0, None))
            assert (body.subject_seq, body.subject_prev) == place
            ends[body.subject] = (place[0] + 1, hashlib.sha256(data).digest())
    assert len(ends) > 1
