"""Loads for a ledger: drafts, producers, and a log of many leaves."""

import asyncio
import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench.core import make_receipt
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.aio import AsyncLedger
from nous_ledger.protocol.receipt import Receipt

PRODUCERS = 64
SUBJECTS = 256
TOGETHER = 4_096
_PAGE_MB = 4_096 / 2**20

_TEMPLATE = replace(make_receipt(), subject_seq=0, subject_prev=None)
_SEED = random.Random()  # whoever extends a log that was kept must not make its ids again
_STARTED_MS = time.time_ns() // 1_000_000
_NUMBERS = itertools.count()


def make_drafts(count: int, *, subjects: int = SUBJECTS) -> list[Receipt]:
    """Return drafts as `core` measures them, with ids of UUIDv7 in the order of time."""
    return [_draft(subjects) for _ in range(count)]


def _draft(subjects: int) -> Receipt:
    # About as many calls begin within a millisecond as are under way at once.
    milliseconds = _STARTED_MS + next(_NUMBERS) // 8
    value = bytearray(milliseconds.to_bytes(6, "big") + _SEED.randbytes(10))
    value[6] = 0x70 | value[6] & 0x0F
    value[8] = 0x80 | value[8] & 0x3F
    subject = _SEED.randrange(subjects).to_bytes(32, "big")
    return replace(_TEMPLATE, id=bytes(value), salt=_SEED.randbytes(16), subject=subject)


def _dealt(drafts: Sequence[Receipt]) -> list[Sequence[Receipt]]:
    """Return the drafts of each producer: they all advance in the order of time."""
    return [drafts[number::PRODUCERS] for number in range(PRODUCERS)]


def from_tasks(ledger: Ledger, drafts: Sequence[Receipt], latencies: list[float]) -> float:
    """Return the seconds that 64 tasks take, each of which waits for every receipt."""
    asynchronous = AsyncLedger(ledger)

    async def produce(own: Sequence[Receipt]) -> None:
        for draft in own:
            started = time.perf_counter()
            await asynchronous.append(draft)
            latencies.append(time.perf_counter() - started)

    async def produce_all() -> float:
        started = time.perf_counter()
        await asyncio.gather(*map(produce, _dealt(drafts)))
        return time.perf_counter() - started

    return asyncio.run(produce_all())


def from_threads(ledger: Ledger, drafts: Sequence[Receipt]) -> float:
    """Return the seconds that 64 threads take, each of which waits for every receipt."""

    def produce(own: Sequence[Receipt]) -> None:
        for draft in own:
            ledger.append(draft)

    return in_threads([lambda own=own: produce(own) for own in _dealt(drafts)])  # type: ignore[misc]


def in_threads(works: Sequence[Callable[[], object]]) -> float:
    """Return the seconds that some works take, each in a thread of its own."""
    threads = [threading.Thread(target=work) for work in works]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def fill(ledger: Ledger, leaves: int) -> Iterator[int]:
    """Append until the log has so many leaves; yield the count after each batch."""
    while (count := ledger.leaf_count()) < leaves:
        ledger.append_many(make_drafts(min(TOGETHER, leaves - count)))
        yield ledger.leaf_count()


def memory_mb() -> float:
    """Return the memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE_MB


def size_of(folder: Path) -> int:
    """Return the bytes of a closed ledger's files."""
    return sum(path.stat().st_size for path in folder.iterdir())


def build(folder: Path, small: int, leaves: int) -> tuple[float, float]:
    """Make a log in a process of its own; return what memory it held, in MB.

    Args:
        folder: Where the log is made.
        small: Leaves at which the memory is looked at first.
        leaves: Leaves that it gets.

    Returns:
        The memory at `small` leaves, and the most from then on.
    """
    arguments = [str(folder), str(small), str(leaves)]
    output = subprocess.run(
        [sys.executable, "-m", "bench._ledger_load", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    first, most = output.split()
    return float(first), float(most)


def _build_here(folder: str, small: str, leaves: str) -> None:
    held: dict[int, float] = {}
    with Ledger.create(folder, next_key_out=None) as ledger:
        for goal in (int(small), int(leaves)):
            for _ in fill(ledger, goal):
                held[goal] = max(held.get(goal, 0.0), memory_mb())
        ledger.head()
    print(held[int(small)], held[int(leaves)])


if __name__ == "__main__":
    _build_here(*sys.argv[1:])
