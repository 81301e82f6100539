"""A ledger that grows, and the folder that it is published to."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.keys import read_log_keys
from nous_ledger.ledger.publish import Published, publish
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.static_log import StaticLog, from_folder


class PublishedLog:
    """A ledger, a seed, a folder, and who reads it."""

    def __init__(self, base: Path) -> None:
        self.base, self.folder, self.target = base, base / "ledger", base / "public"
        self.clock, self.seed = Clock(), random.Random(5)
        self.ledger = Ledger.create(self.folder, next_key_out=None, origin=ORIGIN, clock=self.clock)
        self.public_key = read_log_keys(self.folder / KEYS_NAME, None).signing_key().public_key

    def grow(self, to: int) -> None:
        self.clock.now_ms += 1000
        missing = to - self.ledger.leaf_count()
        self.ledger.append_many([make_draft(self.seed) for _ in range(missing)])
        self.ledger.head()

    def publish(self, *, all_bodies: bool = True, verify: bool = False) -> Published:
        return publish(self.folder, self.target, all_bodies=all_bodies, verify=verify)

    def read(self) -> StaticLog:
        fetch = from_folder(self.target)
        return StaticLog(fetch, self.ledger.policy_text(), self.public_key)

    def check(self, count: int) -> tuple[list[bytes], list[bytes]]:
        found = self.read()
        assert found.count == count
        return found.check(self.seed)

    def paths(self) -> set[str]:
        return {
            path.relative_to(self.target).as_posix()
            for path in self.target.rglob("*")
            if path.is_file()
        }

    def stamps(self) -> dict[str, int]:
        return {path: (self.target / path).stat().st_ino for path in self.paths()}


@contextmanager
def published_log(base: Path) -> Iterator[PublishedLog]:
    made = PublishedLog(base)
    try:
        yield made
    finally:
        made.ledger.close()
