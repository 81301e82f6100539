"""What the stream audit promises of honest and of inflated streams (AUD-7, AUD-8)."""

import random
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.stream_audit import StreamAudit, alarm_level, decode_stream_audit
from nous_ledger.protocol.types import TokenCount
from tests.property.stream_batches import Batch, Counts

Extra: TypeAlias = Callable[[np.random.Generator, Counts], Counts]
Record: TypeAlias = Callable[[str, object], None]
COUNTS = st.integers(0, 2**53 - 1).map(TokenCount)
SAMPLES = st.lists(st.tuples(COUNTS, COUNTS), max_size=12)

# 35,639 honest generations, counted again: 0.17 % are off by two or more, 1.33 % by one;
# upwards 4.05e-4 per token, 6.3e-4 in the worst cell.
DRIFT, WORST_DRIFT = 4.05e-4, 6.3e-4


@pytest.fixture
def sizes(full: bool) -> tuple[int, int]:
    """Return how many sequences are simulated, and how often each is looked at."""
    return (10_000, 2_000) if full else (500, 250)


def at_the_edge(draw: np.random.Generator, counted: Counts) -> Counts:
    """Excess whose expectation is just kappa + rho c: the most that the hypothesis admits."""
    return (draw.random(counted.shape) < 0.02 + 0.001 * counted).astype(np.int64)


def at_the_edge_in_lumps(draw: np.random.Generator, counted: Counts) -> Counts:
    """The same expectation, as ten tokens at a tenth of the times."""
    return 10 * (draw.random(counted.shape) < (0.02 + 0.001 * counted) / 10)


def at_both_edges(draw: np.random.Generator, counted: Counts) -> Counts:
    """Excess and deficit, each as large as the hypothesis admits."""
    below = draw.random(counted.shape) < 0.02 + 0.0002 * counted
    return at_the_edge(draw, counted) - below


def drifting(draw: np.random.Generator, counted: Counts) -> Counts:
    """As measured: rare gaps of a token upwards, rarer ones downwards, some of them of more."""
    up = draw.random(counted.shape) < DRIFT * counted
    down = draw.random(counted.shape) < 1e-4 * counted
    more = 1 + (draw.random(counted.shape) < 0.1)
    return (up.astype(np.int64) - down) * more


def drifting_worst(draw: np.random.Generator, counted: Counts) -> Counts:
    """As in the worst cell that was measured."""
    return (draw.random(counted.shape) < WORST_DRIFT * counted).astype(np.int64)


@pytest.mark.parametrize(
    ("extra", "alpha"),
    [
        (at_the_edge, 0.05),
        (at_the_edge, 0.001),
        (at_the_edge_in_lumps, 0.05),
        (at_both_edges, 0.05),
        (drifting, 0.05),
        (drifting, 0.001),
        (drifting_worst, 0.001),
    ],
)
def test_honest_streams_hardly_ever_alarm(
    extra: Extra, alpha: float, sizes: tuple[int, int], record_property: Record
) -> None:
    """Looked at after every sample, and ended at the first alarm: at most alpha of all streams."""
    sequences, looks = sizes
    draw = np.random.default_rng([20_261_122, int(alpha * 1_000)])
    batch = Batch(sequences, lowest=0, highest=1, level=alarm_level(1, alpha))
    offset = draw.integers(0, 2, sequences)
    for _ in range(looks):
        counted = draw.integers(20, 401, sequences)
        batch.update(counted + offset + extra(draw, counted), counted)
    record_property("alarms", batch.alarms())
    # Of 500 sequences at alpha 0.001 the expected number is below one half.
    assert batch.alarms() <= max(alpha * sequences, 1)


@pytest.mark.parametrize(
    ("share", "every", "within"), [(0.005, 1, 25), (0.01, 1, 25), (0.05, 1, 8), (0.1, 20, 450)]
)
def test_too_much_is_found_soon(
    share: float, every: int, within: int, sizes: tuple[int, int], record_property: Record
) -> None:
    """At alpha 0.001, offset pinned: in 95 % of the streams within so many calls."""
    sequences = sizes[0]
    draw = np.random.default_rng(7)
    batch = Batch(sequences, lowest=0, highest=0, level=alarm_level(1, 0.001))
    for _ in range(within):
        counted = draw.integers(150, 351, sequences)
        inflated = draw.integers(0, every, sequences) == 0
        extra = (counted * share + draw.random(sequences)).astype(np.int64)
        drift = drifting(draw, counted)
        batch.update(counted + np.where(inflated, extra, 0) + drift, counted)
    found = np.sort(np.where(batch.over_at == 0, within + 1, batch.over_at))
    late = found[int(sequences * 0.95)]
    record_property("median and 95 %", (int(found[sequences // 2]), int(late)))
    assert late <= within


def test_batches_have_the_bits_of_the_core() -> None:
    """Honest, inflated and wild samples; several offsets."""
    draw = random.Random(5)
    sequences, samples = 24, 120
    batch = Batch(sequences, lowest=-1, highest=1, level=alarm_level(2, 0.01))
    audits = [StreamAudit(lowest=-1, highest=1, level=batch.level) for _ in range(sequences)]
    for _ in range(samples):
        counted = [draw.choice((0, draw.randint(1, 400))) for _ in audits]
        reported = [
            max(n + draw.choice((0,) * 9 + (draw.randint(-number, number),)), 0)
            for number, n in enumerate(counted)
        ]
        batch.update(np.array(reported), np.array(counted))
        for audit, r, c in zip(audits, reported, counted, strict=True):
            audit.update(TokenCount(r), TokenCount(c))
        for number, audit in enumerate(audits):
            assert tuple(batch.over()[:, number]) == audit.over()
            assert tuple(batch.evidence()[:, number]) == audit.evidence()
    assert [audit.over_at for audit in audits] == batch.over_at.tolist()
    assert [audit.inconsistent_at for audit in audits] == batch.inconsistent_at.tolist()
    assert 0 < batch.alarms() < sequences


@given(SAMPLES, SAMPLES)
def test_a_kept_state_goes_on_as_if_it_had_not_been_kept(
    first: list[tuple[TokenCount, TokenCount]], second: list[tuple[TokenCount, TokenCount]]
) -> None:
    whole = StreamAudit(lowest=-1, highest=1, level=alarm_level(3))
    for reported, counted in first:
        whole.update(reported, counted)
    kept = decode_stream_audit(whole.encode())
    for reported, counted in second:
        whole.update(reported, counted)
        kept.update(reported, counted)
    assert kept.encode() == whole.encode()
    assert kept.evidence() == whole.evidence()
    assert kept.state == whole.state
