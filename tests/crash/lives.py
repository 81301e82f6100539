"""What processes do with a ledger until they end, or are ended.

Everything that the ledger promises is written down as it is promised, one line of
JSON each; what stands there holds whatever happens afterwards.
"""

import json
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from nous_ledger.gateway.journal import close_open_calls
from nous_ledger.ledger import Appended, Ledger, migrations
from nous_ledger.ledger.publish import publish
from nous_ledger.ledger.restore import restore
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.receipt import Receipt
from tests.crash.faults import disarm
from tests.crash.follower import Follower, read_here
from tests.integration.ledger_drafts import ORIGIN, make_draft, make_intent


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a ledger and what belongs to it lie."""

    base: Path

    @property
    def folder(self) -> Path:
        return self.base / "ledger"

    @property
    def public(self) -> Path:
        return self.base / "public"

    @property
    def promises(self) -> Path:
        return self.base / "promises"

    @property
    def backup(self) -> Path:
        return self.base / "copies" / "backup"

    @property
    def restored(self) -> Path:
        return self.base / "copies" / "ledger"

    def next_key(self, number: int) -> Path:
        return self.base / "offline" / f"next-{number}.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One process in the middle of its work.

    Attributes:
        place: where.
        seed: makes its identifiers.
        begin: to be called when what matters begins.
        say: writes a promise down.
        given: what else the test wants of it.
    """

    place: Place
    seed: random.Random
    begin: Callable[[], None]
    say: Callable[..., None]
    given: dict[str, Any]


def sayer(place: Place) -> Callable[..., None]:
    """Return what writes promises down; lines of several threads and processes do not mix."""
    descriptor = os.open(place.promises, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def say(what: str, **values: Any) -> None:
        os.write(descriptor, json.dumps({"what": what, **values}).encode() + b"\n")

    return say


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def draft(life: Life, **changes: Any) -> Receipt:
    return make_draft(life.seed, time_ms=now_ms(), **changes)


def admit(ledger: Ledger, life: Life) -> Receipt:
    intent = make_intent(life.seed, time_ms=now_ms())
    ledger.begin_call(intent)
    life.say("begun", id=intent.id.hex())
    return intent


def say_logged(life: Life, appended: Appended) -> None:
    life.say(
        "logged",
        id=appended.receipt.id.hex(),
        index=appended.index,
        record=appended.record.hex(),
        body=appended.body.hex(),
    )


def answer(ledger: Ledger, life: Life, intent: Receipt) -> None:
    found = draft(life, id=intent.id, subject=intent.subject)
    say_logged(life, ledger.append_receipt(found))


def say_head(ledger: Ledger, life: Life) -> None:
    life.say("head", note=ledger.head().hex())


def call(life: Life) -> None:
    """Two calls, a batch, heads; then the ledger is closed."""
    with Ledger.open(life.place.folder) as ledger:
        life.begin()
        for _ in range(2):
            answer(ledger, life, admit(ledger, life))
        for appended in ledger.append_many([draft(life) for _ in range(3)]):
            say_logged(life, appended)
        say_head(ledger, life)
        admit(ledger, life)
        say_logged(life, ledger.append_receipt(draft(life)))
        say_head(ledger, life)


def create(life: Life) -> None:
    """A new log and its first receipt."""
    life.begin()
    folder, out = life.place.folder, life.place.next_key(0)
    with Ledger.create(folder, next_key_out=out, origin=ORIGIN) as ledger:
        life.say("created", log_id=ledger.log_id.hex())
        say_logged(life, ledger.append_receipt(draft(life)))


def rotate(life: Life) -> None:
    """New keys, with a call open meanwhile."""
    keys = life.place.next_key
    with Ledger.open(life.place.folder) as ledger:
        intent = admit(ledger, life)
        life.begin()
        changed = ledger.rotate(keys(0), next_key_out=keys(1), new_ed25519=True)
        life.say("rotated", epoch=changed.epoch)
        answer(ledger, life, intent)
        say_head(ledger, life)


def redact(life: Life) -> None:
    """Two bodies are erased."""
    with Ledger.open(life.place.folder) as ledger:
        for appended in ledger.append_many([draft(life) for _ in range(3)]):
            say_logged(life, appended)
        life.begin()
        gone = ledger.redact([1, 2], "data_subject_request")
        life.say("redacted", indices=gone.indices)
        say_logged(life, ledger.append_receipt(draft(life)))


def close(life: Life) -> None:
    """The log ends while a call is open."""
    with Ledger.open(life.place.folder) as ledger:
        admit(ledger, life)
        say_logged(life, ledger.append_receipt(draft(life)))
        life.begin()
        ledger.close_log(life.place.next_key(0))
        life.say("closed")


def publish_log(life: Life) -> None:
    """A published folder follows its log."""
    with Ledger.open(life.place.folder) as ledger:
        ledger.append_many([draft(life) for _ in range(30)])
        ledger.head()
    life.begin()
    done = publish(life.place.folder, life.place.public, all_bodies=True)
    life.say("published", count=done.checkpoint.leaf_count)


def back_up(life: Life) -> None:
    """A backup is taken."""
    with Ledger.open(life.place.folder) as ledger:
        life.place.backup.parent.mkdir()
        life.begin()
        ledger.backup(life.place.backup, keys=True)
        life.say("kept")


def bring_back(life: Life) -> None:
    """A backup becomes a ledger again."""
    with Ledger.open(life.place.folder) as ledger:
        life.place.backup.parent.mkdir()
        ledger.backup(life.place.backup, keys=True)
    life.begin()
    restore(life.place.backup, life.place.restored)
    life.say("restored")


def recover(life: Life) -> None:
    """A gateway starts, and closes the calls that the one before left open."""
    with Ledger.open(life.place.folder) as ledger:
        admit(ledger, life)
        life.begin()
        close_open_calls(ledger)
        say_head(ledger, life)


def add_a_table(connection: sqlite3.Connection) -> None:
    """Be the step from version 1 of the schema to version 2."""
    connection.execute("CREATE TABLE notes (leaf INTEGER PRIMARY KEY, text TEXT) STRICT")


def migrate(life: Life) -> None:
    """A newer program opens the ledger."""
    migrations.MIGRATIONS = (add_a_table,)
    life.begin()
    with Ledger.open(life.place.folder) as ledger:
        say_logged(life, ledger.append_receipt(draft(life)))


def write(life: Life) -> None:
    """Threads that make calls, as many as are wanted: {"threads": n, "calls": n}."""
    _in_threads(life, _calls)


def append(life: Life) -> None:
    """Threads that append, alone and in batches: {"threads": n, "turns": n}."""
    _in_threads(life, _appends)


def _in_threads(life: Life, work: Callable[[Ledger, Life], None]) -> None:
    with Ledger.open(life.place.folder) as ledger:
        life.begin()
        threads = [
            threading.Thread(target=work, args=(ledger, _own(life, number)))
            for number in range(life.given["threads"])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _own(life: Life, number: int) -> Life:
    return replace(life, seed=random.Random(f"{life.given['name']}/{number}"))


def _calls(ledger: Ledger, life: Life) -> None:
    for turn in range(life.given["calls"]):
        intent = admit(ledger, life)
        if turn % 10 == 9:
            continue  # a call that is never heard of again
        answer(ledger, life, intent)
        if turn % 4 == 1:
            say_head(ledger, life)
        if turn % 4 == 3:
            _append_two(ledger, life)


def _appends(ledger: Ledger, life: Life) -> None:
    for _ in range(life.given["turns"]):
        say_logged(life, ledger.append_receipt(draft(life)))
        _append_two(ledger, life)


def _append_two(ledger: Ledger, life: Life) -> None:
    for appended in ledger.append_many([draft(life) for _ in range(2)]):
        say_logged(life, appended)


def read(life: Life) -> None:
    """A reader that follows the log and verifies what it is shown, until it is ended."""
    with Ledger.open(life.place.folder, read_only=True) as ledger:
        key = ledger.key_history().epochs[0].secp256k1
        follower = Follower(ledger.policy_text(), key)
        life.begin()
        while True:
            heads = follower.heads
            read_here(ledger, follower, life.seed)
            if follower.heads > heads:
                life.say("read", reader=life.given["name"])
                life.say("head", note=follower.note.hex())


def persist(life: Life) -> None:
    """Calls of a gateway that does not give up: what fails is tried again.

    {"rounds": n}: how many calls. What fails is written down with its code. A retry
    that finds its receipt or intent logged is content with what stands there.
    """
    with Ledger.open(life.place.folder) as ledger:
        life.begin()
        for _ in range(life.given["rounds"]):
            intent = make_intent(life.seed, time_ms=now_ms())
            if not _try(life, "begin", partial(ledger.begin_call, intent)):
                continue
            life.say("begun", id=intent.id.hex())
            if _try(life, "append", partial(answer, ledger, life, intent)):
                assert ledger.find_receipt(intent.id) is not None
            _try(life, "head", partial(say_head, ledger, life))
    life.say("ended")


_TRIES: Final = 4


def _try(life: Life, name: str, work: Callable[[], None]) -> bool:
    for _ in range(_TRIES):
        try:
            work()
            return True
        except LedgerError as error:
            if error.code == "duplicate-receipt":
                return True  # the attempt that failed had taken place after all
            life.say("failed", name=name, code=error.code, hint=error.hint)
    return False


LIVES: Final[dict[str, Callable[[Life], None]]] = {
    "call": call,
    "create": create,
    "rotate": rotate,
    "redact": redact,
    "close": close,
    "publish": publish_log,
    "backup": back_up,
    "restore": bring_back,
    "recover": recover,
    "migrate": migrate,
    "write": write,
    "append": append,
    "read": read,
    "persist": persist,
}


def run(life: Life, name: str) -> None:
    """Live a life; say what went wrong, if nobody ends it before."""
    try:
        LIVES[name](life)
        life.say("calls", count=disarm())
    except LedgerError as error:
        life.say("ended", code=error.code, message=error.message, hint=error.hint)
        sys.exit(3)
