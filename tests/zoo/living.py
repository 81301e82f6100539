"""An honest log that is alive: a real ledger, several writers, a publisher, caches in front."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.publish import publish
from nous_ledger.protocol.bodies import Binding
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.eip712 import binding_digest
from nous_ledger.protocol.keyevent import Predecessor
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.signing import address_of
from nous_ledger.protocol.types import LeafIndex, SubjectId, UnixSeconds
from tests.zoo import samples
from tests.zoo.forger import wallet
from tests.zoo.samples import subject_of
from tests.zoo.site import BYTES, NOT_THERE, TEXT, Reply, Request

WRITERS: Final = 8
SUBJECTS: Final = 12


class LivingLog:
    """A ledger under many writers, published to a folder again and again."""

    def __init__(
        self,
        base: Path,
        *,
        name: str = "log",
        pause_s: float = 0.02,
        predecessor: Predecessor | None = None,
    ) -> None:
        """Create the ledger; nobody writes yet.

        Args:
            base: where ledger, keys and published folder lie.
            name: of the ledger's folder.
            pause_s: how long a writer, and the publisher, rests after each piece of work.
            predecessor: the log that it continues.
        """
        self.base, self.public = base, base / f"{name}-public"
        self._folder, self._pause_s = base / name, pause_s
        self._seed = random.Random(name)
        self._next_keys = [base / f"{name}-next-{number}.key" for number in range(40)]
        self._epoch = self._nonce = 0
        self.problems: list[BaseException] = []
        self.ledger = Ledger.create(
            self._folder,
            next_key_out=self._next_keys[0],
            origin=f"zoo.example/{name}",
            predecessor=predecessor,
        )
        self.policy = self.ledger.policy_text()
        self.publish()

    def publish(self) -> None:
        """Sign a head over everything, and publish all of it."""
        self.ledger.head()
        publish(self._folder, self.public, all_bodies=True)

    def append(self, seed: random.Random, records: int = 1, **changes: Any) -> None:
        """Log calls of now."""
        drafts = [self._draft(seed, changes) for _ in range(records)]
        self.ledger.append_many(drafts)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Let everybody work for as long as the block lasts."""
        stop = threading.Event()
        works: list[Callable[[random.Random], None]] = [self.append] * WRITERS
        works.append(lambda _seed: self.publish())
        threads = [
            threading.Thread(target=self._work, args=(work, random.Random(number), stop))
            for number, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def restart(self) -> None:
        """Close the ledger and open it again."""
        self.ledger.close()
        self.ledger = Ledger.open(self._folder)

    def rotate(self) -> None:
        """Let the next key take over."""
        spent, fresh = self._next_keys[self._epoch], self._next_keys[self._epoch + 1]
        self.ledger.rotate(spent, next_key_out=fresh)
        self._epoch += 1

    def redact(self) -> None:
        """Erase the bodies of some receipts."""
        readable = [row.index for row in self.ledger.receipts() if row.receipt is not None]
        self.ledger.redact(self._seed.sample(readable, 2), "data_subject_request")

    def bind(self) -> None:
        """Bind a wallet to a caller, or free it again."""
        self._nonce += 1
        key, subject = wallet(0), SubjectId(subject_of(0))
        bound = bytes(20) if self._nonce % 2 == 0 else address_of(key.public_key)
        until = UnixSeconds(int(time.time()) + 600)
        digest = binding_digest(self.ledger.log_id, subject, bound, self._nonce, until)
        self.ledger.bind(
            Binding(
                salt=self._seed.randbytes(16),
                subject=subject,
                wallet=bound,
                nonce=self._nonce,
                deadline=until,
                signature=key.sign(digest),
            )
        )

    def state(self) -> None:
        """Make a statement over a few receipts of a caller."""
        subject = SubjectId(subject_of(self._seed.randrange(SUBJECTS)))
        rows = [row for row in self.ledger.receipts() if self._is_of(row, subject)]
        if rows:
            first = rows[-1].receipt
            assert first is not None
            self.ledger.make_statement(subject, first.subject_seq, [LeafIndex(rows[-1].index)])

    def close_log(self) -> Predecessor:
        """Close the log for ever, and return what a successor says of it."""
        self.ledger.close_log(self._next_keys[self._epoch])
        self.publish()
        last = parse_checkpoint(parse_note(self.ledger.latest_head()).text)
        return Predecessor(log_id=self.ledger.log_id, count=last.leaf_count, root=last.root)

    def _is_of(self, row: Any, subject: SubjectId) -> bool:
        return row.receipt is not None and row.receipt.subject == subject

    def _draft(self, seed: random.Random, changes: dict[str, Any]) -> Any:
        subject = subject_of(seed.randrange(SUBJECTS))
        now_ms = time.time_ns() // 1_000_000
        return samples.receipt(seed, now_ms, subject=subject, subject_seq=0, **changes)

    def _work(
        self, work: Callable[[random.Random], None], seed: random.Random, stop: threading.Event
    ) -> None:
        try:
            while not stop.is_set():
                work(seed)
                stop.wait(self._pause_s * seed.random() * 2)
        except BaseException as problem:  # noqa: BLE001 - the test looks at it
            self.problems.append(problem)


class Edges:
    """Caches in front of a published folder, each with copies of its own age.

    What is not there is remembered as well, and every request may meet another edge:
    so a reader sees heads and tiles of different moments.
    """

    def __init__(self, folder: Path, seed: random.Random, *, edges: int = 3) -> None:
        """Start with empty caches.

        Args:
            folder: the published log.
            seed: says which edge answers, and when it looks for something newer.
            edges: how many there are.
        """
        self._folder, self._seed = folder, seed
        self._copies: list[dict[str, bytes | None]] = [{} for _ in range(edges)]

    def __call__(self, request: Request) -> Reply:
        copies = self._seed.choice(self._copies)
        if request.path not in copies or self._seed.random() < 0.4:
            copies[request.path] = read_file(self._folder / request.path)
        data = copies[request.path]
        kind = TEXT if request.path == "checkpoint" else BYTES
        return NOT_THERE if data is None else Reply(data, headers=(("content-type", kind),))


def read_file(path: Path) -> bytes | None:
    """Return a file's bytes, None if there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None
