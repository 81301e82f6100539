"""The forger keeps an honest log when it is left alone, and its server serves one."""

import http.client
import random
import time
from collections.abc import Iterator

import pytest

from nous_ledger.protocol.bundle import Bundle, KeyEventEntry, format_bundle
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.report import Outcome
from nous_ledger.protocol.types import Hash32, LeafIndex
from nous_ledger.protocol.verify import verify_bundle
from tests.integration.static_log import StaticLog
from tests.tree_oracle import Oracle
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of
from tests.zoo.server import ZooServer
from tests.zoo.site import view_of
from tests.zoo.tree import leaves_of


@pytest.fixture
def log() -> Forger:
    """A log with records of every type."""
    made = Forger(int(time.time()) - 100).grow(5)
    made.bind(0, 1)
    made.bind(0, 1, unbind=True)
    made.state(1)
    made.reconcile(2)
    made.redact(3)
    return made


@pytest.fixture
def server() -> Iterator[ZooServer]:
    with ZooServer() as running:
        yield running


def bundle_of(log: Forger, index: int) -> bytes:
    """Return the proof of a record, its path made by the definition of a tree."""
    tree = Oracle(dict(enumerate(leaves_of(log.entries))))

    def path(at: int) -> tuple[Hash32, ...]:
        return tuple(map(Hash32, tree.inclusion(at, 0, log.count)))

    events = tuple(
        KeyEventEntry(record=entry.record, body=entry.body, path=path(at))
        for at, entry in enumerate(log.entries)
        if entry.decoded.type == 0
    )
    return format_bundle(
        Bundle(
            index=LeafIndex(index),
            path=path(index),
            checkpoint=head_of(log),
            record=log.entries[index].record,
            body=log.entries[index].served,
            key_events=events,
        )
    )


def test_every_record_of_an_honest_forger_verifies(log: Forger) -> None:
    log.rotate()
    log.grow(3)
    log.close()
    policy = parse_policy(log.policy())
    for index in range(log.count):
        report = verify_bundle(bundle_of(log, index), policy)
        assert report.attribution.outcome == Outcome.ESTABLISHED
        assert report.inclusion.outcome == Outcome.ESTABLISHED
        assert report.log_view.code == "not-witnessed"
        assert report.accuracy.outcome == Outcome.COULD_NOT_CHECK


def test_the_tiles_of_an_honest_forger_are_those_of_a_published_log(
    log: Forger, server: ZooServer
) -> None:
    log.grow(600)
    server.site = view_of(log)

    def fetch(path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        try:
            connection.request("GET", f"/{path}")
            answer = connection.getresponse()
            assert answer.status == 200
            return answer.read()
        finally:
            connection.close()

    records, bodies = StaticLog(fetch, log.policy(), log.key.public_key).check(random.Random(3))
    assert records == [entry.record for entry in log.entries]
    assert bodies == [entry.served for entry in log.entries]
    with pytest.raises(AssertionError, match="404"):
        fetch("tile/entries/002.p/250")
    assert server.paths()[0] == "checkpoint"


def test_two_histories_of_one_forger_part(log: Forger) -> None:
    other = log.fork().grow(1)
    log.grow(1)
    assert log.entries[:-1] == other.entries[:-1]
    assert log.entries[-1] != other.entries[-1]
    before = log.count
    log.change(1, status=2)
    assert log.count == before
    assert log.entries[1] != other.entries[1]
