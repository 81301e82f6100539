"""SIGKILL at any moment: what was promised is there, and nothing is there twice."""

import random
import time
from pathlib import Path

from nous_ledger.ledger import Ledger
from tests.integration.ledger_audit import audit
from tests.integration.ledger_drafts import ORIGIN
from tests.integration.test_ledger_concurrency import check_promises, spoken, start_writer

ROUNDS = 5
ROUNDS_FULL = 200


def test_what_was_acknowledged_survives_being_killed(folder: Path, full: bool) -> None:
    """REC-11, REC-12: no index is ever used again with another record."""
    seed = random.Random(11)
    with Ledger.create(folder, next_key_out=None, origin=ORIGIN) as ledger:
        log = (ledger.log_id, ORIGIN, ledger._identity.secp256k1)
    lines: list[list[str]] = []
    for number in range(ROUNDS_FULL if full else ROUNDS):
        writer = start_writer(folder, number, threads=4, calls=1_000_000)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(seed.uniform(0.0, 0.3))
        writer.kill()
        output, errors = writer.communicate(timeout=30)
        assert errors == b""
        lines += spoken(first + output)
        found = audit(folder)
        check_promises(lines, found, log)
        with Ledger.open(folder) as ledger:
            interrupted = [intent.draft for intent in ledger.open_intents()]
            assert {draft.id for draft in interrupted} == found.intents
            ledger.append_many(interrupted)
            assert ledger.open_intents() == ()
            ledger.head()
    check_promises(lines, audit(folder), log)
    assert sum(words[0] == "logged" for words in lines) > 20
