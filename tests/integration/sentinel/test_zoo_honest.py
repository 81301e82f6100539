"""An honest log is never accused, whatever its readers' caches and its own life do to it."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread
from tests.zoo.living import Edges, LivingLog
from tests.zoo.reader import Look, Reader
from tests.zoo.server import ZooServer

ROUNDS = 40
ROUNDS_FULL = 2_000
EXCUSES = frozenset({"source/unreachable", "head/stale", "head/unproved", "body/withheld"})
"""What caches that lag may lead to, and nothing else."""


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of keys in use must not be that of whoever runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def seed() -> random.Random:
    return random.Random(11)


@pytest.fixture
def log(tmp_path: Path, seed: random.Random) -> Iterator[LivingLog]:
    """A log of more than a full tile, some of whose bodies are gone already."""
    made = LivingLog(tmp_path)
    made.append(seed, 270)
    made.redact()
    made.publish()
    yield made
    made.ledger.close()
    assert made.problems == []


def check_excused(look: Look) -> None:
    """A round of an honest log is good, or could not check."""
    assert look.codes <= EXCUSES, look
    assert look.exit in (0, 3), look
    assert look.count("alarm", "fault") == 0
    assert not look.err


def happenings(log: LivingLog) -> list[Callable[[], object]]:
    """Return what happens in the life of a log, beside receipts."""
    return [log.rotate, log.redact, log.bind, log.state, log.redact, log.bind]


def test_a_log_under_eight_writers_behind_lagging_caches(
    log: LivingLog, tmp_path: Path, seed: random.Random, full: bool
) -> None:
    """Keys, wallets, erasures, statements and restarts meanwhile; then a close and a successor."""
    rounds = ROUNDS_FULL if full else ROUNDS
    reader, exits = Reader(tmp_path, log.policy), Counter[int]()
    acts = happenings(log)
    with ZooServer(Edges(log.public, seed)) as server:
        for era in range(4):
            with log.busy():
                for number in range(rounds // 4):
                    if number % (rounds // 20) == 0 and (era, number) < (3, rounds // 8):
                        acts[number * 20 // rounds % len(acts)]()
                    look = reader.look(server.url, "--bodies", "expected")
                    check_excused(look)
                    exits[look.exit] += 1
            log.restart()
            acts = happenings(log)
    assert exits[0] > rounds // 4, exits
    check_the_end(log, reader, tmp_path)


def check_the_end(log: LivingLog, reader: Reader, folder: Path) -> None:
    """Without caches everything is good, after the close too, and so is a successor."""
    predecessor = log.close_log()
    look = reader.look(str(log.public), "--bodies", "expected")
    assert (look.exit, look.codes) == (0, frozenset({"body/withheld"})), look
    assert look.report["audited"] == predecessor.count == log.ledger.leaf_count()
    assert look.report["totals"]["withheld"] > 0
    assert reader.remembered() == []
    successor = LivingLog(folder, name="successor", predecessor=predecessor)
    try:
        successor.append(random.Random(3), 20)
        successor.publish()
        look = Reader(folder, successor.policy, "second").look(str(successor.public))
        assert (look.exit, look.codes, look.report["audited"]) == (0, frozenset(), 21)
    finally:
        successor.ledger.close()


def test_a_log_that_its_gateway_serves(log: LivingLog, tmp_path: Path, seed: random.Random) -> None:
    """Bodies are for those who have a right to them; the rest is audited, over a restart too."""
    reader, url = Reader(tmp_path, log.policy), ""
    for _ in range(2):
        with GatewayThread(log.ledger, AppConfig()) as running:
            url = running.url
            for _ in range(4):
                log.append(seed, 3)
                log.ledger.head()
                look = reader.look(url)
                assert (look.exit, look.codes) == (0, frozenset({"body/withheld"})), look
        log.restart()
    look = reader.look(url)
    assert (look.exit, look.codes) == (3, frozenset({"source/unreachable", "body/withheld"}))
