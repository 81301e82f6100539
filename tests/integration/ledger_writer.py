"""A process that uses a ledger as hard as it can and says what it was promised.

    python ledger_writer.py FOLDER SEED THREADS CALLS

Each thread makes calls: an intent, then its receipt; now and then a head. Every
promise is printed, one line each, only after the ledger made it:

    begun <id> · logged <id> <index> <record> · head <note>

It ends after CALLS calls per thread, or when it is killed.
"""

import os
import random
import sys
import threading
import time
from pathlib import Path

from nous_ledger.ledger import Ledger
from tests.integration.ledger_drafts import make_draft, make_intent


def _say(*words: str) -> None:
    # One write of less than a pipe's buffer is never torn apart.
    os.write(1, (" ".join(words) + "\n").encode("ascii"))


def _work(ledger: Ledger, seed: random.Random, calls: int) -> None:
    for call in range(calls):
        now = time.time_ns() // 1_000_000
        intent = make_intent(seed, time_ms=now)
        ledger.begin_call(intent)
        _say("begun", intent.id.hex())
        if call % 10 == 9:  # a call that never ends in this process
            continue
        draft = make_draft(seed, time_ms=now, id=intent.id, subject=intent.subject)
        logged = ledger.append_receipt(draft)
        _say("logged", draft.id.hex(), str(logged.index), logged.record.hex())
        if call % 3 == 0:
            _say("head", ledger.head().hex())


def main(folder: str, seed: str, threads: str, calls: str) -> None:
    """Run until done or killed."""
    with Ledger.open(Path(folder)) as ledger:
        _say("ready")
        workers = [
            threading.Thread(
                target=_work, args=(ledger, random.Random(f"{seed}/{number}"), int(calls))
            )
            for number in range(int(threads))
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    _say("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
