"""A process that appends and keeps the heads of a ledger that others use too.

    python head_keeper_process.py FOLDER SEED RECEIPTS

It prints every head that its keeper signed or found, one in a line.
"""

import os
import random
import sys
import time
from pathlib import Path

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.headkeeper import HeadKeeper
from tests.integration.ledger_drafts import make_draft


class TellingLedger(Ledger):
    """A ledger that says which heads it gave."""

    def head(self) -> bytes:
        note = super().head()
        os.write(1, note.hex().encode() + b"\n")
        return note


def main(folder: str, seed: str, receipts: str) -> None:
    """Append and keep until done."""
    draws = random.Random(seed)
    with TellingLedger.open(Path(folder)) as ledger, HeadKeeper(ledger) as keeper:
        for number in range(int(receipts)):
            ledger.append_receipt(make_draft(draws, time_ms=time.time_ns() // 1_000_000))
            if number % 3 == 0:
                keeper.request()
            time.sleep(draws.random() * 0.03)
        keeper.head()


if __name__ == "__main__":
    main(*sys.argv[1:])
