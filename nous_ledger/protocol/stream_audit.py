"""The test of a stream of receipts: does a provider report more tokens than there are?

One receipt cannot say so, because honest providers show small gaps. Over a stream the
gaps are a bet against honesty whose stake grows only if reported counts exceed what a
re-count and a known, constant offset allow. By Ville's inequality an honest stream
lets it grow beyond 1/alpha with probability at most alpha, however long one watches
and whenever one stops.

Only sums, products, quotients and comparisons of IEEE 754 doubles in a fixed order:
every implementation comes to the same bits.

Spec:
    PROTOCOL.md, section "Stream audit", AUD-3 to AUD-10.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.label import MAX_OFFSET
from nous_ledger.protocol.types import MAX_UINT, TokenCount

STAKES: Final = (0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625)
KAPPA: Final = 0.02
RHO: Final = 0.001
KAPPA_UNDER: Final = 0.02
RHO_UNDER: Final = 0.0002
MAX_RATIO: Final = 500.0
CEILING: Final = 1e250
ALPHA: Final = 0.001
EXCESS_LADDER: Final = (
    *(0.0002, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008),
    *(0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1),
)
"""Shares of the re-count that the excess may provably exceed, from 0.02 % to 10 %."""

_WEIGHTS: Final = tuple((1.0 - stake, stake) for stake in STAKES)
_HEAD: Final = struct.Struct(">hhddQQQQQQ")


class AuditState(StrEnum):
    """What a stream of receipts shows so far; each word stays once it is reached."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    UNDER_REPORTED = "under-reported"
    OVER_REPORTED = "over-reported"
    TWO_SIDED = "two-sided"


def is_contradicted(reported: int, counted: int) -> bool:
    """Return whether a receipt's excess is absurd by itself: above 10 + c / 2.

    Spec:
        AUD-10.

    Args:
        reported: tokens that the provider reported.
        counted: tokens that the re-count found.
    """
    return 2 * (reported - counted) > 20 + counted


def alarm_level(number: int, alpha: float = ALPHA) -> float:
    """Return the value that the bet of a stream must reach: 1 / (alpha / (k (k + 1))).

    Spec:
        AUD-8.

    Args:
        number: k, the place of the stream among those opened, from 1.
        alpha: chance of any false alarm over all streams together; 0 < alpha < 1.

    Raises:
        InputError: number is below 1, or alpha is not between 0 and 1.
    """
    if number < 1 or not 0.0 < alpha < 1.0:
        raise InputError("input", "a stream's number starts at 1, and alpha lies between 0 and 1")
    return 1.0 / (alpha / (number * (number + 1)))


class StreamAudit:
    """The bets on one stream. `update` takes its receipts in the order of the log.

    Attributes:
        offsets: admissible constant offsets, ascending.
        receipts: t, receipts taken so far.
        reported: sum of the reported tokens.
        counted: sum of the counted tokens.
        contradicted: receipts whose excess is absurd by itself (AUD-10).
        contradicted_at: the first of them, from 1; 0: none.
        excess: largest share of the ladder that the excess was shown to pass; 0.0 for none.
        over_at: receipt, from 1, at which the excess went beyond the largest offset; 0: never.
        under_at: as over_at, for a deficit beyond the smallest offset.
        inconsistent_at: as over_at, for a stream that no admissible offset explains.
        level: what a bet must reach.
    """

    __slots__ = (
        "_ladder",
        "_over",
        "_under",
        "contradicted",
        "contradicted_at",
        "counted",
        "excess",
        "inconsistent_at",
        "level",
        "offsets",
        "over_at",
        "receipts",
        "reported",
        "under_at",
    )

    def __init__(self, *, lowest: int, highest: int, level: float) -> None:
        """Start before the first receipt.

        Args:
            lowest: smallest admissible offset, in tokens.
            highest: largest admissible offset, in tokens; at most lowest + 16.
            level: what a bet must reach (`alarm_level`); above 1, with which it starts.

        Raises:
            InputError: the offsets are out of order or too far apart, or the level is not
                above 1.
        """
        if not (lowest <= highest <= lowest + 2 * MAX_OFFSET and level > 1.0):
            raise InputError("input", "offsets go up, at most 17 of them, and a level is above 1")
        self.offsets = tuple(range(lowest, highest + 1))
        self.receipts = self.reported = self.counted = self.contradicted = 0
        self.excess = 0.0
        self.over_at = self.under_at = self.inconsistent_at = self.contradicted_at = 0
        self.level = level
        self._over = [[0.0] * len(STAKES) for _ in self.offsets]
        self._under = [[0.0] * len(STAKES) for _ in self.offsets]
        self._ladder = [[0.0] * len(STAKES) for _ in EXCESS_LADDER]

    def update(self, reported: TokenCount, counted: TokenCount) -> None:
        """Take the next receipt of the stream.

        Spec:
            AUD-3 to AUD-10.

        Args:
            reported: tokens that the provider reported; 0..2^53-1.
            counted: tokens that the re-count found; 0..2^53-1.

        Raises:
            InputError: a count is out of range.
        """
        if not (0 <= reported <= MAX_UINT and 0 <= counted <= MAX_UINT):
            raise InputError("input", "a token count is outside 0..2^53-1")
        self.receipts += 1
        self.reported += reported
        self.counted += counted
        gap, entry = reported - counted, 1.0 / (self.receipts * (self.receipts + 1))
        self._bet_on_offsets(gap, counted, entry)
        self._bet_on_ladder(gap - self.offsets[-1], counted, entry)
        self._judge(gap)
        if is_contradicted(reported, counted):
            self.contradicted += 1
            self.contradicted_at = self.contradicted_at or self.receipts

    def _bet_on_offsets(self, gap: int, counted: int, entry: float) -> None:
        over_allowance = KAPPA + RHO * counted
        under_allowance = KAPPA_UNDER + RHO_UNDER * counted
        for offset, over, under in zip(self.offsets, self._over, self._under, strict=True):
            _bet(over, entry, max(gap - offset, 0) / over_allowance)
            _bet(under, entry, max(offset - gap, 0) / under_allowance)

    def _bet_on_ladder(self, beyond: int, counted: int, entry: float) -> None:
        for bets, share in zip(self._ladder, EXCESS_LADDER, strict=True):
            _bet(bets, entry, beyond / (KAPPA + share * counted) if beyond > 0 else 0.0)

    def over(self) -> tuple[float, ...]:
        """Return the bet on too many tokens, for each offset (AUD-6)."""
        return tuple(self._value(bets) for bets in self._over)

    def under(self) -> tuple[float, ...]:
        """Return the bet on too few tokens, for each offset (AUD-6)."""
        return tuple(self._value(bets) for bets in self._under)

    def evidence(self) -> tuple[float, ...]:
        """Return the bet on either, for each offset (AUD-6)."""
        return tuple(self._evidence())

    @property
    def state(self) -> AuditState:
        """What the stream shows so far (AUD-7)."""
        if self.over_at and self.under_at:
            return AuditState.TWO_SIDED
        if self.over_at:
            return AuditState.OVER_REPORTED
        if self.under_at:
            return AuditState.UNDER_REPORTED
        return AuditState.INCONSISTENT if self.inconsistent_at else AuditState.CONSISTENT

    def encode(self) -> bytes:
        """Return all of it as bytes, for `decode_stream_audit` to go on from."""
        rows = [value for bets in (*self._over, *self._under, *self._ladder) for value in bets]
        sums = self.reported.to_bytes(16) + self.counted.to_bytes(16)
        head = _HEAD.pack(
            *(self.offsets[0], self.offsets[-1], self.level, self.excess, self.receipts),
            *(self.contradicted, self.over_at, self.under_at, self.inconsistent_at),
            self.contradicted_at,
        )
        return head + sums + struct.pack(f">{len(rows)}d", *rows)

    def _value(self, bets: list[float]) -> float:
        return _mean(bets) + 1.0 / (self.receipts + 1)

    def _judge(self, gap: int) -> None:
        """Latch what a bet has reached.

        A bet against which a receipt spoke has lost at least 1/256 of what it had, which
        is more than any rounding: only the others can have reached the level just now.
        """
        level, t = self.level, self.receipts
        if gap > self.offsets[-1]:
            if not self.over_at and self._value(self._over[-1]) >= level:
                self.over_at = t
            for bets, share in zip(self._ladder, EXCESS_LADDER, strict=True):
                if share > self.excess and self._value(bets) >= level:
                    self.excess = share
        if not self.under_at and gap < self.offsets[0] and self._value(self._under[0]) >= level:
            self.under_at = t
        if not self.inconsistent_at and all(value >= level for value in self._evidence()):
            self.inconsistent_at = t

    def _evidence(self) -> Iterator[float]:
        seed = 1.0 / (self.receipts + 1)
        for over, under in zip(self._over, self._under, strict=True):
            yield (self._value(over) + _mean(under) + seed) / 2.0


def decode_stream_audit(data: bytes) -> StreamAudit:
    """Return the audit that `StreamAudit.encode` gave these bytes for.

    Raises:
        InputError: the bytes are no such thing.
    """
    try:
        lowest, highest, level, excess, *counts = _HEAD.unpack_from(data)
        audit = StreamAudit(lowest=lowest, highest=highest, level=level)
        sums = data[_HEAD.size : _HEAD.size + 32]
        rows = [*audit._over, *audit._under, *audit._ladder]  # noqa: SLF001 - its own reader
        values = struct.unpack(f">{len(rows) * len(STAKES)}d", data[_HEAD.size + 32 :])
    except struct.error as error:
        raise InputError("input", "these bytes are not the state of a stream's audit") from error
    audit.excess = excess
    audit.receipts, audit.contradicted, *when = counts
    audit.over_at, audit.under_at, audit.inconsistent_at, audit.contradicted_at = when
    audit.reported, audit.counted = int.from_bytes(sums[:16]), int.from_bytes(sums[16:])
    for number, bets in enumerate(rows):
        bets[:] = values[number * len(STAKES) : (number + 1) * len(STAKES)]
    return audit


def _bet(bets: list[float], entry: float, ratio: float) -> None:
    """Let the stakes of one bet grow or shrink by what a receipt showed (AUD-5)."""
    if ratio == 0:  # the same bits as below, in a third of the time; nearly every receipt
        a, b, c, d, e, f, g, h = bets
        bets[:] = (
            (a + entry) * 0.5,
            (b + entry) * 0.75,
            (c + entry) * 0.875,
            (d + entry) * 0.9375,
            (e + entry) * 0.96875,
            (f + entry) * 0.984375,
            (g + entry) * 0.9921875,
            (h + entry) * 0.99609375,
        )
        return
    capped = min(ratio, MAX_RATIO)
    bets[:] = [
        min((value + entry) * (rest + stake * capped), CEILING)
        for value, (rest, stake) in zip(bets, _WEIGHTS, strict=True)
    ]


def _mean(bets: list[float]) -> float:
    """Return the mean, added from the first to the last.

    `sum` adds floats with a correction from Python 3.12 on, and so to other bits.
    """
    a, b, c, d, e, f, g, h = bets
    return (a + b + c + d + e + f + g + h) / 8.0
