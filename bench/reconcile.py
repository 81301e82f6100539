"""Measure counting again and the audit of streams.

count    tokens of an answer that arrives in pieces of 4,096 and of 40 characters, against
         the engine's own rate on the pieces put together
stream   CPU time of the gateway for a stream of 203 events whose answer is counted again,
         against the same gateway with counting off
audit    one receipt of a stream under audit
"""

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bench._harness import Figure, Timed, compare, compare_rates, run
from bench.gateway import STREAMS, Side, _cpu, _side
from nous_ledger.protocol.stream_audit import StreamAudit, alarm_level
from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile.counting import TokenCounter, engine_for
from nous_ledger.reconcile.tokenizers import builtin_table

SENTENCES = (
    "The quick brown fox jumps over the lazy dog, and nobody minds. ",
    "def total(rows):\n    return sum(row.tokens for row in rows if row)\n",
    "我们今天讨论代币的计数。 ",
    "Ein Beleg für jeden Aufruf; 3.14159 und 12345 dazu. 🧾\n",
)
MAX_AUDIT_US = 100


def _text() -> str:
    draw = random.Random(7)
    return "".join(draw.choice(SENTENCES) for _ in range(2_000))


def _count(seconds: float) -> list[Figure]:
    engine = engine_for(builtin_table().encodings["o200k_base"])
    text = _text()
    figures = []
    for name, size, bound in (("count", 4_096, 0.8), ("count_by_40_characters", 40, None)):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]

        def by_pieces(pieces: list[str] = pieces) -> int | None:
            counter = TokenCounter(engine)
            for piece in pieces:
                counter.feed(piece)
            return counter.result()

        def at_once(pieces: list[str] = pieces) -> int | None:
            return engine("".join(pieces))  # a new text each time, as every answer is

        assert by_pieces() == at_once()
        found = compare(by_pieces, at_once, seconds=seconds / 2).rate(name, at_least=bound or 0.0)
        figures.append(found if bound else replace(found, bound="", holds=None))
    return figures


def _audit(seconds: float) -> Figure:
    draw = random.Random(7)
    samples = [
        (TokenCount(n + (n % 50 == 0)), TokenCount(n)) for n in draw.choices(range(600), k=500)
    ]

    def audit() -> None:
        stream = StreamAudit(lowest=0, highest=1, level=alarm_level(1))
        for reported, counted in samples:
            stream.update(reported, counted)

    took = compare(audit, lambda: None, seconds=seconds).candidate * 1e6 / len(samples)
    return Figure(
        name="audit", value=took, unit="us", bound=f"<= {MAX_AUDIT_US}", holds=took <= MAX_AUDIT_US
    )


@contextmanager
def _counting(folder: str, upstream: str, recount: str) -> Iterator[Side]:
    command = [sys.executable, "-m", "bench._counting_side", folder, upstream, recount]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            yield Side(process, process.stdout.readline().strip())
        finally:
            process.kill()


def _stream(seconds: float) -> Figure:
    with tempfile.TemporaryDirectory(prefix="nous-ledger-bench-") as folder, ExitStack() as stack:
        upstream = stack.enter_context(_side("upstream"))
        sides: list[Timed] = []
        for recount in ("on", "off"):
            place = str(Path(folder) / recount)
            started = stack.enter_context(_counting(place, upstream.url, recount))
            sides.append(_cpu(started, "stream", STREAMS))
        costs = compare_rates(sides[0], sides[1], seconds=seconds)
    return costs.time("stream", at_most=1.5)


def measure(seconds: float) -> list[Figure]:
    """Return the figures."""
    return [*_count(seconds / 4), _audit(seconds / 8), _stream(seconds / 2)]


if __name__ == "__main__":
    sys.exit(run(measure))
