"""The zoo: every behaviour of a hostile log or network is named for what it is.

Each is played by a real server to the real command with a real state file. Nothing may
crash, hang or be taken for something else; what is called misbehaviour can be proved to
anybody, and nobody can be framed with that proof.
"""

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.policy import Policy, parse_policy
from sentinel import http_source, log_audit
from sentinel.audit.confirm import verify_evidence
from sentinel.http_source import Patience
from tests.zoo.behaviour import Behaviour, Round
from tests.zoo.forger import Forger
from tests.zoo.framing import edits, flips, transplants
from tests.zoo.reader import USUAL_POLICY, Look, Reader, confirm
from tests.zoo.server import ZooServer
from tests.zoo.site import View
from tests.zoo.table import ALL

LIMIT_S = 10.0
"""Longest that a round may take, whatever the other side does."""
MINUTE_S = 60
SAME = {("head", "head-time"): "rollback"}
"""One fact told from its two ends: a larger head before, or a smaller one after the other."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up on a slow server sooner than a real reader would."""
    monkeypatch.setattr(http_source, "Patience", partial(Patience, idle_s=0.3, total_s=0.6))
    monkeypatch.setattr(log_audit, "SCAN_S", 0.3)
    monkeypatch.setattr(log_audit, "UNVOUCHED_SCAN_S", 0.3)


@dataclass(frozen=True, slots=True)
class Stage:
    """Where all behaviours are played.

    Attributes:
        server: shows what the behaviour says.
        memories: what readers remember after a good look at a log, by what they saw.
    """

    server: ZooServer
    memories: dict[Round, bytes]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with ZooServer() as running:
        yield Stage(running, {})


@pytest.fixture(scope="module")
def honest_log() -> Forger:
    """An honest log with records of every type, and the same keys as the liars."""
    log = Forger(int(time.time()) - 100).grow(6)
    for subject in (0, 1, 0):
        log.bind(subject, 1)
        log.state(subject)
        log.reconcile(2)
    log.redact(3)
    log.rotate()
    log.grow(3)
    log.close()
    return log


def play(which: Behaviour, stage: Stage, folder: Path) -> Iterator[tuple[Round, Reader, Look]]:
    """Yield every round of a behaviour with what its reader made of it.

    Most of them begin with one and the same look at one and the same log. It is taken
    once; readers after that begin with the memory that it left.
    """
    for number, expected in enumerate(which.play(int(time.time()) // MINUTE_S * MINUTE_S)):
        reader = Reader(folder, expected.policy or USUAL_POLICY, expected.reader)
        usual = number == 0 and isinstance(expected.site, View) and expected.exit == 0
        if usual and expected in stage.memories:
            reader.state.write_bytes(stage.memories[expected])
            continue
        reader.ahead_s, stage.server.site = expected.later_s, expected.site
        yield expected, reader, reader.look(stage.server.url, *expected.options)
        if usual:
            stage.memories[expected] = reader.state.read_bytes()


@pytest.mark.parametrize("which", ALL.values(), ids=ALL.keys())
def test_every_behaviour_is_named(
    which: Behaviour, stage: Stage, honest_log: Forger, tmp_path: Path, full: bool
) -> None:
    readers: dict[Path, Reader] = {}
    for expected, reader, look in play(which, stage, tmp_path):
        assert (look.codes, look.exit) == (expected.codes, expected.exit), look
        assert look.seconds < LIMIT_S
        assert not look.err
        readers[reader.state] = reader
    for reader in readers.values():
        for found in reader.remembered():
            assert found["evidence"] == (found["severity"] == "alarm"), found
            if found["evidence"]:
                check_evidence(reader, found, tmp_path, honest_log, full)


def check_evidence(
    reader: Reader, found: dict[str, Any], folder: Path, honest_log: Forger, full: bool
) -> None:
    """Evidence convinces whoever pins the log, of this fault, of this log, and of no other."""
    data = reader.evidence(found["id"], folder)
    code = SAME.get((found["place"], found["code"]), found["code"])
    exit_code, confirmed = confirm(next(folder.glob(f"*-{found['id']}.json")), reader.policy)
    assert (exit_code, confirmed["code"]) == (0, code)
    policy = parse_policy(reader.policy.read_bytes())
    for altered in flips(data, random.Random(7), 200 if full else 2):
        with pytest.raises(LedgerError):
            verify_evidence(altered, policy)
    for altered in edits(data, every=1 if full else 7):
        assert says(altered, policy) in (None, code)
    for framed in transplants(data, honest_log):
        assert says(framed, policy) is None, "an honest log was framed"
    other = parse_policy(Forger(0, name="other", origin="zoo.example/other").policy())
    assert says(data, other) is None


def says(data: bytes, policy: Policy) -> str | None:
    """Return what an evidence file proves, None if it proves nothing."""
    try:
        return verify_evidence(data, policy).code
    except LedgerError:
        return None


def test_there_are_more_than_sixty() -> None:
    assert len(ALL) > 60
    assert all(which.about.endswith(".") for which in ALL.values())
