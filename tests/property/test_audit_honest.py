"""An honest log is never accused: whatever it holds, however its heads come, and after restarts."""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from nous_ledger.protocol.bodies import Redaction
from sentinel.audit.keys import start_ring
from sentinel.audit.state_json import state_from_json, state_to_json
from tests.unit.audit_crimes import EXACT, reconciliation, statement
from tests.unit.audit_log import ALICE, BOB, DELAY, SALT, START, AuditLog
from tests.unit.audit_round import Watcher, watch


@dataclass
class Life:
    """A log that grows at random, and the heads that it signed so far."""

    chance: random.Random
    log: AuditLog = field(default_factory=lambda: AuditLog(receipts=6))
    now: int = START + 100
    nonce: int = 0
    heads: list[bytes] = field(default_factory=list)

    def step(self) -> None:
        """Let a few seconds pass, log something, and sign a head or a heartbeat."""
        self.now += self.chance.randint(0, DELAY // 2)
        told = {"logged_at": self.now * 1000}
        for _ in range(self.chance.choice((0, 1, 2, 9))):
            self.chance.choice((self._receipt, self._receipt, self._receipt, self._other))(told)
        self.now += self.chance.randint(0, 3)
        self.heads.append(self.log.head(None, self.now))

    def _receipt(self, told: dict[str, int]) -> None:
        subject = self.chance.choice((ALICE, BOB))
        usage = {"usage": (EXACT,), "provider_total": 40} if self.chance.random() < 0.2 else {}
        self.log.receipt(subject, told, **usage)

    def _other(self, told: dict[str, int]) -> None:
        kind = self.chance.randrange(5)
        if kind == 0 and self.log.epoch < 3:
            self.log.rotate(told)
        elif kind == 1:
            self._redact(told)
        elif kind == 2:
            self.log.add(2, reconciliation(self.log, 2), **told)
        elif kind == 3:
            self.nonce += 1
            wallet = self.nonce % 3 or None
            self.log.binding(self.nonce, told, wallet=wallet and wallet - 1, signer=self._signer())
        else:
            self.log.add(4, statement(self.log), **told)

    def _signer(self) -> int:
        """Return who signs the next binding: an unbind is by the wallet bound before it."""
        return 1 if self.nonce % 3 != 1 else 0

    def _redact(self, told: dict[str, int]) -> None:
        mine = [at for at in range(7, self.log.count) if self.log.records[at][2] == 1]
        gone = tuple(sorted(self.chance.sample(mine, min(len(mine), 2))))
        if gone:
            self.log.add(5, Redaction(salt=SALT, indices=gone, reason=1), **told)
            for at in gone:
                self.log.bodies[at] = b""


def restarted(watcher: Watcher, log: AuditLog) -> None:
    """Let the sentinel forget all that it did not store."""
    ring = start_ring(log.origin, log.policy())
    watcher.state = state_from_json(state_to_json(watcher.state), ring)


def accusations(life: Life, rounds: int) -> Counter[tuple[str, str, str]]:
    watcher = watch(life.log)
    for _ in range(rounds):
        life.step()
        lag = life.chance.choice((1, 1, 1, 2, 3, 10))
        watcher.round(life.log, life.heads[-min(lag, len(life.heads))], now=life.now)
        if life.chance.random() < 0.1:
            restarted(watcher, life.log)
    watcher.round(life.log, life.heads[-1], now=life.now)
    assert watcher.state.audited == life.log.count
    return Counter(watcher.codes())


def test_an_honest_log_is_never_accused(request: pytest.FixtureRequest) -> None:
    lives, rounds = (40, 60) if request.config.getoption("--full") else (4, 30)
    for seed in range(lives):
        found = accusations(Life(random.Random(seed)), rounds)
        assert {severity for _, _, severity in found} <= {"unchecked"}, (seed, found)
        assert {code for _, code, _ in found} <= {"stale", "withheld", "unproved"}, (seed, found)
