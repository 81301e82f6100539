"""Processes that are killed at any moment, and machines that lose their power."""

import random
from pathlib import Path

from tests.crash.conftest import Nursery, copied, killed
from tests.crash.faults import KILL_BEFORE, KILL_HALF, LINK, RENAME, SYNC, TRUNCATE, UNLINK, WRITE
from tests.crash.survival import check_survival, read_promises

ROUNDS, ROUNDS_FULL = 20, 200
LOSSES, LOSSES_FULL = 20, 200
AT_A_TIME = 5
"""Rounds on one log."""


def test_killed_at_random(nursery: Nursery, template: Path, tmp_path: Path, full: bool) -> None:
    """REC-11, REC-12: two processes with three threads each, killed together."""
    seed, logged = random.Random(11), 0
    for number in range(0, ROUNDS_FULL if full else ROUNDS, AT_A_TIME):
        place = copied(template, tmp_path / str(number))
        for turn in range(AT_A_TIME):
            lives = [
                {"life": "write", "threads": 3, "calls": 100_000, "name": f"{turn}/{process}"}
                for process in range(2)
            ]
            assert killed(nursery.live(place, *lives, kill=seed.uniform(0, 0.12)))
            check_survival(place)
        logged += len(read_promises(place).logged)
    assert logged > ROUNDS


def test_power_lost_at_random(nursery: Nursery, template: Path, tmp_path: Path, full: bool) -> None:
    """REC-11: what was acknowledged was synced, and stays when all else is lost."""
    seed, losses, rounds = random.Random(12), LOSSES_FULL if full else LOSSES, 0
    while losses:
        rounds += 1
        place = copied(template, tmp_path / str(rounds))
        life = seed.choice(["call", "call", "write", "write", "rotate", "redact"])
        fault = {
            "kinds": WRITE | SYNC | RENAME | LINK | TRUNCATE | UNLINK,
            "pattern": f"{place.base}/*/*",
            "first": seed.randrange(1, 60),
            "action": seed.choice([KILL_BEFORE, KILL_HALF]),
        }
        more = {"threads": 2, "calls": 20} if life == "write" else {}
        # Nothing survives, or any part of what was written last.
        lose = seed.choice([0, seed.randrange(1, 1_000)])
        codes = nursery.live(place, {"life": life, "fault": fault, "lose": lose, **more})
        assert codes in ([0], [-9])
        losses -= killed(codes)
        check_survival(place)
