"""Measure the ledger against the cryptography that it cannot do without.

asyncio-64    durable appends of 64 tasks, each of which waits for every receipt,
              against bare `sign_recoverable` in two threads
append-p50,   how long one of them waits under that load; nothing is asked of it
append-p99
append-many   the same in batches of 4,096
threads-64    the same of 64 threads
one-subject   batches of one subject, against those of many
prove         the bundle of a random record under the newest head, against hashing its path;
              after 10^4 others
append-cost   a batch in a long log, against the same in one of 10^3 leaves
disk          bytes of a closed ledger per receipt
memory        what a process that appends holds more than at 10^4 leaves
fsck          records checked per second, against bare `recover` in two threads

The last five depend on the length of the log, and their names say at which it was
measured. A log of 10^6 leaves takes minutes to make: only `--full` measures there, and
keeps the log in bench/.cache for the next time.
"""

import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from coincurve import PrivateKey, PublicKey

from bench._harness import Comparison, Figure, Timed, Unit, compare, compare_rates, run
from bench._ledger_load import (
    PRODUCERS,
    TOGETHER,
    build,
    fill,
    from_tasks,
    from_threads,
    in_threads,
    make_drafts,
    size_of,
)
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.fsck import fsck
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.proof import verify_inclusion
from nous_ledger.protocol.record import leaf_hash

CACHE = Path(__file__).with_name(".cache")
SMALL, LONG, FULL = 10_000, 100_000, 1_000_000
SECRET = b"\x11" * 32
_PER_PRODUCER = 16
_BARE = 4_096
_BATCH = 64
_WARM_PROOFS = 10_000
_FIGURES_OF_A_LENGTH: tuple[tuple[str, Unit, str], ...] = (
    ("prove", "us", "<= 5"),
    ("append-cost", "us", "<= 1.2"),
    ("disk", "B", ""),
    ("memory", "MB", "<= 64"),
    ("fsck", "1/s", ">= 0.5"),
)


def bare_in_two_threads(call: Callable[[], object]) -> Timed:
    """Return a baseline: a call of the curve library, as often as two threads can."""

    def half() -> None:
        for _ in range(_BARE // 2):
            call()

    return lambda: (_BARE, in_threads([half, half]))


def bare_sign() -> Timed:
    """Return the baseline of everything that appends."""
    key, digest = PrivateKey(SECRET), sha256(b"digest")
    return bare_in_two_threads(lambda: key.sign_recoverable(digest, hasher=None))


def bare_recover() -> Timed:
    """Return the baseline of everything that checks."""
    digest = sha256(b"digest")
    signature = PrivateKey(SECRET).sign_recoverable(digest, hasher=None)
    return bare_in_two_threads(
        lambda: PublicKey.from_signature_and_message(signature, digest, hasher=None)
    )


def append_many(ledger: Ledger, *, subjects: int = 256) -> Timed:
    """Return appends of one batch; the drafts are made before."""

    def append() -> tuple[int, float]:
        drafts = make_drafts(TOGETHER, subjects=subjects)
        started = time.perf_counter()
        ledger.append_many(drafts)
        return TOGETHER, time.perf_counter() - started

    return append


def measure_loads(ledger: Ledger, seconds: float) -> list[Figure]:
    """Return the figures of a log under load, whatever its length."""
    latencies: list[float] = []
    count = PRODUCERS * _PER_PRODUCER
    sign, share = bare_sign(), seconds / 4

    def tasks() -> tuple[int, float]:
        return count, from_tasks(ledger, make_drafts(count), latencies)

    def threads() -> tuple[int, float]:
        return count, from_threads(ledger, make_drafts(count))

    def many() -> tuple[int, float]:
        return append_many(ledger)()

    by_tasks = compare_rates(tasks, sign, seconds=share)
    in_batches = compare_rates(many, sign, seconds=share)
    by_threads = compare_rates(threads, sign, seconds=share)
    of_one = compare_rates(append_many(ledger, subjects=1), many, seconds=share)
    waits = statistics.quantiles(latencies, n=100)
    return [
        by_tasks.rate("asyncio-64", at_least=0.3),
        Figure(name="append-p50", value=waits[49] * 1e3, unit="ms"),
        Figure(name="append-p99", value=waits[98] * 1e3, unit="ms"),
        in_batches.rate("append-many", at_least=0.45),
        by_threads.rate("threads-64", at_least=0.2),
        of_one.rate("one-subject", at_least=0.9),
    ]


def measure_length(name: str, log: Path, seconds: float) -> list[Figure]:
    """Return the figures of a closed log that depend on its length."""
    held, most = json.loads((log / "memory.json").read_bytes())
    with ExitStack() as stack:
        short = stack.enter_context(_temporary_ledger())
        for _ in fill(short, 1_000):
            pass
        disk = (size_of(log / "ledger")) / _leaves(log)
        checking = compare_rates(_checked(log), bare_recover(), seconds=seconds / 3, long=True)
        ledger = stack.enter_context(Ledger.open(log / "ledger"))
        proving = _prove(ledger, seconds / 3)
        appending = compare_rates(_batch(ledger), _batch(short), seconds=seconds / 3)
    grown = max(0.0, most - held)
    return [
        proving.time(f"prove-{name}", at_most=5.0),
        appending.time(f"append-cost-{name}", at_most=1.2),
        Figure(name=f"disk-{name}", value=disk, unit="B"),
        Figure(name=f"memory-{name}", value=grown, unit="MB", bound="<= 64", holds=grown <= 64),
        checking.rate(f"fsck-{name}", at_least=0.5),
    ]


def _batch(ledger: Ledger) -> Timed:
    """Return appends of a small batch, by CPU time: the disk is not what grows with the log."""

    def append() -> tuple[int, float]:
        drafts = make_drafts(_BATCH)
        started = time.process_time()
        ledger.append_many(drafts)
        return _BATCH, time.process_time() - started

    return append


def _prove(ledger: Ledger, seconds: float) -> Comparison:
    """Return how long a proof takes, and hashing the path in it."""
    head = ledger.head()
    leaves = ledger.leaf_count()
    seed = random.Random(3)
    bundle = parse_bundle(ledger.prove(leaves // 3, head))

    def prove() -> object:
        return ledger.prove(seed.randrange(leaves), head)

    leaf = leaf_hash(bundle.record)

    def hash_path() -> object:
        return verify_inclusion(leaf, bundle.index, leaves, bundle.path, bundle.head.root)

    for _ in range(_WARM_PROOFS):
        prove()
    return compare(prove, hash_path, seconds=seconds)


def _checked(log: Path) -> Timed:
    def check() -> tuple[int, float]:
        started = time.perf_counter()
        report = fsck(log / "ledger", processes=os.cpu_count() or 1)
        took = time.perf_counter() - started
        assert not report.fault_count, "the benchmark's own log is damaged"
        return report.leaf_count, took

    return check


def _leaves(log: Path) -> int:
    with Ledger.open(log / "ledger", read_only=True) as ledger:
        return int(ledger.leaf_count())


@contextmanager
def _temporary_ledger() -> Iterator[Ledger]:
    with (
        tempfile.TemporaryDirectory(prefix="nous-ledger-bench-") as folder,
        Ledger.create(Path(folder) / "ledger", next_key_out=None) as ledger,
    ):
        yield ledger


def prepare(log: Path, leaves: int) -> Path:
    """Return a folder with a log of so many leaves, made if it is not there."""
    if not (log / "memory.json").exists():
        shutil.rmtree(log, ignore_errors=True)
        log.mkdir(parents=True)
        held = build(log / "ledger", SMALL, leaves)
        (log / "memory.json").write_text(json.dumps(held), "ascii")
    return log


def measure(seconds: float) -> list[Figure]:
    """Return the figures, those of a length at 10^5 leaves."""
    with _temporary_ledger() as ledger:
        figures = measure_loads(ledger, seconds / 2)
    with tempfile.TemporaryDirectory(prefix="nous-ledger-bench-") as folder:
        figures += measure_length("1e5", prepare(Path(folder) / "log", LONG), seconds / 2)
    return figures + [
        Figure(name=f"{name}-1e6", value=None, unit=unit, bound=bound)
        for name, unit, bound in _FIGURES_OF_A_LENGTH
    ]


def measure_fully(seconds: float) -> list[Figure]:
    """Return the same, and those of a length at 10^6 leaves too."""
    figures = measure(seconds / 2)[: -len(_FIGURES_OF_A_LENGTH)]
    return figures + measure_length("1e6", prepare(CACHE / "1e6", FULL), seconds / 2)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="nous-ledger-bench-") as state:
        os.environ["XDG_STATE_HOME"] = state  # these logs' keys are nobody else's business
        sys.exit(run(measure, measure_fully))
