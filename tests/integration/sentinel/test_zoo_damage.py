"""Whatever happens on the way between an honest log and its reader, the log is not accused."""

import random
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from sentinel import http_source
from sentinel.http_source import Patience
from tests.zoo.forger import Forger
from tests.zoo.reader import Reader
from tests.zoo.server import ZooServer
from tests.zoo.site import NOT_THERE, Reply, Request, Site, View, view_of

RUNS, RUNS_FULL = 12, 400
ROUNDS = 4

Damage = Callable[[bytes, random.Random], bytes]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_source, "Patience", partial(Patience, idle_s=0.3, total_s=0.6))


@pytest.fixture
def server() -> Iterator[ZooServer]:
    with ZooServer() as running:
        yield running


def _flip(data: bytes, seed: random.Random) -> bytes:
    at = seed.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << seed.randrange(8)]) + data[at + 1 :]


def _cut(data: bytes, seed: random.Random) -> bytes:
    return data[: seed.randrange(len(data))]


def _double(data: bytes, seed: random.Random) -> bytes:
    at = seed.randrange(len(data))
    return data[:at] + data[at // 2 :]


def _turn(data: bytes, seed: random.Random) -> bytes:
    """Let records, or hashes, or anything else of the same length, change places."""
    size = seed.choice([2, 32, 122])
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    seed.shuffle(parts)
    return b"".join(parts)


def _withhold(data: bytes, _seed: random.Random) -> bytes:
    """Leave all bodies out of what may be a bodies bundle."""
    count, at = 0, 0
    while at < len(data):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
        count += 1
    return bytes(2 * count)


DAMAGE: tuple[Damage, ...] = (_flip, _flip, _cut, _double, _turn, _withhold)


def damaged(views: list[View], seed: random.Random) -> Site:
    """Return the newest of some views behind a network that bends, mixes and loses answers."""

    def serve(request: Request) -> Reply:
        reply = (seed.choice(views) if seed.random() < 0.2 else views[-1])(request)
        if seed.random() < 0.6 or not reply.body or reply.status != 200:
            return reply
        if seed.random() < 0.2:
            return NOT_THERE
        return Reply(seed.choice(DAMAGE)(reply.body, seed), headers=reply.headers)

    return serve


def lively(log: Forger, seed: random.Random) -> None:
    """Let an honest log live on a little."""
    log.grow(seed.randrange(5))
    erased = seed.randrange(1, 6)
    acts: list[Callable[[], int]] = [log.rotate, log.bind, log.state, lambda: log.redact(erased)]
    seed.choice(acts)()
    log.grow(seed.randrange(3))


def test_damage_on_the_way_is_no_alarm(server: ZooServer, tmp_path: Path, full: bool) -> None:
    """And once it stops, everything is read and found good."""
    for number in range(RUNS_FULL if full else RUNS):
        seed = random.Random(number)
        log, reader = Forger(int(time.time()) - 200).grow(6), Reader(tmp_path, name=f"r{number}")
        views: list[View] = []
        for _ in range(ROUNDS):
            lively(log, seed)
            views.append(view_of(log))
            server.site = damaged(views, seed)
            look = reader.look(server.url, "--bodies", "expected")
            assert look.count("alarm") == 0, (number, look)
            assert not look.err
        server.site = views[-1]
        look = reader.look(server.url, "--bodies", "expected")
        assert look.codes <= {"body/withheld", "statement/unproved"}, (number, look)
        assert look.report["audited"] == log.count
