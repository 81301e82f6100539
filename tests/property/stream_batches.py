"""Many streams at once with numpy: the same additions and products as the core, in its order.

Every operation is one on binary64 for each stream by itself, so the bits are those of
`StreamAudit`; a test compares them.
"""

import numpy as np
from numpy.typing import NDArray

from nous_ledger.protocol.stream_audit import (
    CEILING,
    KAPPA,
    KAPPA_UNDER,
    MAX_RATIO,
    RHO,
    RHO_UNDER,
    STAKES,
)

Doubles = NDArray[np.float64]
Counts = NDArray[np.int64]


class Batch:
    """So many streams, each of which takes its samples at the same time as the others.

    Attributes:
        over_at: sample, from 1, at which each stream's excess was beyond all offsets; 0: never.
        inconsistent_at: the same for no offset explaining the stream.
    """

    def __init__(self, streams: int, *, lowest: int, highest: int, level: float) -> None:
        self.offsets = range(lowest, highest + 1)
        self.level, self.t = level, 0
        shape = (len(self.offsets), len(STAKES), streams)
        self.over_bets, self.under_bets = np.zeros(shape), np.zeros(shape)
        self.over_at = np.zeros(streams, np.int64)
        self.inconsistent_at = np.zeros(streams, np.int64)

    def update(self, reported: Counts, counted: Counts) -> None:
        """Take the next sample of every stream."""
        self.t += 1
        entry, gap = 1.0 / (self.t * (self.t + 1)), reported - counted
        over_allowance = KAPPA + RHO * counted
        under_allowance = KAPPA_UNDER + RHO_UNDER * counted
        for number, offset in enumerate(self.offsets):
            over = np.minimum(np.maximum(gap - offset, 0) / over_allowance, MAX_RATIO)
            under = np.minimum(np.maximum(offset - gap, 0) / under_allowance, MAX_RATIO)
            _bet(self.over_bets[number], entry, over)
            _bet(self.under_bets[number], entry, under)
        self._latch(self.over_at, self.over()[-1] >= self.level)
        self._latch(self.inconsistent_at, np.all(self.evidence() >= self.level, axis=0))

    def over(self) -> Doubles:
        """Return the bet on too many tokens, by offset and stream."""
        return _mean(self.over_bets) + 1.0 / (self.t + 1)

    def evidence(self) -> Doubles:
        """Return the bet on either, by offset and stream."""
        return (self.over() + _mean(self.under_bets) + 1.0 / (self.t + 1)) / 2.0

    def alarms(self) -> int:
        """Return how many streams came to any word."""
        return int(np.count_nonzero((self.over_at > 0) | (self.inconsistent_at > 0)))

    def _latch(self, at: Counts, reached: NDArray[np.bool_]) -> None:
        at[reached & (at == 0)] = self.t


def _bet(bets: Doubles, entry: float, ratio: Doubles) -> None:
    for number, stake in enumerate(STAKES):
        grown = (bets[number] + entry) * ((1.0 - stake) + stake * ratio)
        np.minimum(grown, CEILING, out=bets[number])


def _mean(bets: Doubles) -> Doubles:
    total = bets[:, 0].copy()
    for number in range(1, len(STAKES)):
        total += bets[:, number]
    return total / 8.0
