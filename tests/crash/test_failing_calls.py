"""System calls that fail, also when they were done: an error that says so, and nothing is lost."""

import errno
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from tests.crash.conftest import Nursery, copied
from tests.crash.faults import (
    ALWAYS,
    FAIL,
    FAIL_AFTER,
    LINK,
    RENAME,
    SYNC,
    TRUNCATE,
    UNLINK,
    WRITE,
)
from tests.crash.lives import Place
from tests.crash.survival import check_copies, check_survival, read_promises

CODES = {
    "wal": {errno.EIO: {"store-io"}, errno.ENOSPC: {"store-full", "store-io"}},
    "mark": {errno.EIO: {"high-water-unusable"}, errno.ENOSPC: {"high-water-unusable"}},
}
PATTERNS = {"wal": "*/ledger.db-wal", "mark": "*/high-water"}
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC}
ACTIONS = {"fails": FAIL, "fails but is done": FAIL_AFTER}
KINDS = {"write": WRITE, "sync": SYNC}
CASES = list(itertools.product(PATTERNS, KINDS, ACTIONS, ERRORS))
TIMES = {"EIO": 1, "ENOSPC": 3}


def suffer(nursery: Nursery, place: Place, fault: dict[str, Any], **more: Any) -> Counter[str]:
    """Let a gateway meet a fault; return how often it was told of an error, by code."""
    life = {"life": "persist", "rounds": 4, "fault": fault, **more}
    assert nursery.live(place, life) == [0]
    promises = read_promises(place)
    assert promises.said("ended") == [{"what": "ended"}]
    failed = promises.said("failed")
    assert all(line["hint"] for line in failed)
    return Counter(line["code"] for line in failed)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", CASES, ids=", ".join)
def test_a_call_that_fails_while_calls_are_logged(
    nursery: Nursery, place: Place, case: tuple[str, str, str, str]
) -> None:
    """The caller is told, tries again, and has one receipt per call in the end."""
    file, kind, action, error = case
    fault = {
        "kinds": KINDS[kind],
        "pattern": PATTERNS[file],
        "times": TIMES[error],
        "action": ACTIONS[action],
        "error": ERRORS[error],
    }
    codes = suffer(nursery, place, fault, transaction=2)
    assert codes
    assert codes.keys() <= CODES[file][ERRORS[error]]
    _, promises = check_survival(place)
    assert len(promises.begun) == 4


EVERYTHING = WRITE | SYNC | RENAME | LINK | TRUNCATE | UNLINK
STRIDE = {
    "create": 17,
    "rotate": 9,
    "redact": 9,
    "close": 9,
    "publish": 15,
    "call": 9,
    "backup": 9,
    "restore": 9,
}
"""Calls between two that fail, by default; with --full each fails once."""


def calls_of(nursery: Nursery, place: Place, life: str) -> int:
    """Return how many calls change files in a life in which none fails."""
    fault = {"kinds": EVERYTHING, "pattern": f"{place.base}/*/*", "first": ALWAYS, "action": FAIL}
    assert nursery.live(place, {"life": life, "fault": fault}) == [0]
    (line,) = read_promises(place).said("calls")
    count: int = line["count"]
    return count


@pytest.mark.sampled(2)
@pytest.mark.parametrize("case", [*itertools.product(STRIDE, ACTIONS)], ids=" ".join)
def test_each_call_fails_once(
    nursery: Nursery, template: Path, tmp_path: Path, full: bool, case: tuple[str, str]
) -> None:
    """What is asked for takes place or does not, and the caller gets an error of ours."""
    life, action = case
    start = tmp_path / "start"
    (start / "offline").mkdir(parents=True)
    if life != "create":
        copied(template, start)
    calls = calls_of(nursery, copied(start, tmp_path / "counted"), life)
    assert calls > 5
    seen: Counter[str] = Counter()
    for first in range(1, calls + 1, 1 if full else STRIDE[life]):
        place = copied(start, tmp_path / str(first))
        fault = {
            "kinds": EVERYTHING,
            "pattern": f"{place.base}/*/*",
            "first": first,
            "action": ACTIONS[action],
            "error": errno.EIO if first % 2 else errno.ENOSPC,
        }
        (code,) = nursery.live(place, {"life": life, "fault": fault})
        ended = read_promises(place).said("ended")
        assert (code, len(ended)) in ((0, 0), (3, 1))
        assert all(line["hint"] for line in ended)
        seen.update(line["code"] for line in ended)
        if life == "create" and not (place.folder / "ledger.db").exists():
            assert ended
            Ledger.create(place.folder, next_key_out=place.next_key(0)).close()
        if life == "publish":
            publish(place.folder, place.public, all_bodies=True)
        if life in ("backup", "restore"):
            check_copies(place)
        with Ledger.open(place.folder) as ledger:
            closed = ledger.key_history().closed_at is not None
        check_survival(place, closed=closed)
    assert seen.keys() <= {"store-io", "store-full", "store-unwritable", "high-water-unusable"}
    assert seen
