"""What the stream audit promises of honest and of inflated streams (AUD-7, AUD-8)."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.stream_audit import StreamAudit, alarm_level, decode_stream_audit
from nous_ledger.protocol.types import TokenCount

LONG = "--full"
COUNTS = st.integers(0, 2**53 - 1).map(TokenCount)
SAMPLES = st.lists(st.tuples(COUNTS, COUNTS), max_size=12)


def alarms(draw: random.Random, receipts: int, alpha: float) -> bool:
    """Whether a stream at the edge of what is honest raises an alarm."""
    audit = StreamAudit(lowest=0, highest=1, level=alarm_level(1, alpha))
    offset = draw.randint(0, 1)
    for _ in range(receipts):
        counted = draw.randint(20, 400)
        # The expected excess is just kappa + rho c: the most that the hypothesis admits.
        extra = draw.random() < 0.02 + 0.001 * counted
        audit.update(TokenCount(counted + offset + extra), TokenCount(counted))
        if audit.over_at or audit.inconsistent_at:
            return True
    return False


def test_honest_streams_hardly_ever_alarm(request: pytest.FixtureRequest) -> None:
    sequences, receipts = (10_000, 500) if request.config.getoption(LONG) else (500, 60)
    draw = random.Random(20_261_122)
    alpha = 0.05
    found = sum(alarms(draw, receipts, alpha) for _ in range(sequences))
    assert found <= alpha * sequences


def test_one_percent_too_much_is_found_within_25_calls(request: pytest.FixtureRequest) -> None:
    sequences = 2_000 if request.config.getoption(LONG) else 200
    draw = random.Random(7)
    found = 0
    for _ in range(sequences):
        audit = StreamAudit(lowest=0, highest=0, level=alarm_level(1, 0.001))
        for _ in range(25):
            counted = draw.randint(150, 350)
            reported = counted + int(counted * 0.01 + draw.random())
            audit.update(TokenCount(reported), TokenCount(counted))
        found += audit.over_at > 0
    assert found >= 0.95 * sequences


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
