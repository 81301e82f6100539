"""The stream audit, written down as plainly as section 9.5 says it."""

import struct
from typing import Any

F = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]
KAPPA, RHO, KAPPA_U, RHO_U, B, CEILING = 0.02, 0.001, 0.02, 0.0002, 500.0, 1e250
LADDER = [
    *(0.0002, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006, 0.008),
    *(0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.07, 0.1),
]


def bits(value: float) -> str:
    """Return a double as 16 hex digits."""
    return struct.pack(">d", value).hex()


def level(number: int, alpha: float) -> float:
    """Return what the bets of the k-th stream must reach."""
    return 1 / (alpha / (number * (number + 1)))


def mean(values: list[float]) -> float:
    """Add from the first to the last; `sum` would correct what rounding loses."""
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total / 8


def grown(bets: list[float], w: float, ratio: float) -> list[float]:
    """Return one bet after a sample."""
    return [min((bet + w) * ((1 - f) + f * ratio), CEILING) for bet, f in zip(bets, F, strict=True)]


class Stream:
    """One stream."""

    def __init__(self, lowest: int, highest: int, needed: float) -> None:
        self.offsets, self.level = list(range(lowest, highest + 1)), needed
        self.t = self.over_at = self.under_at = self.inconsistent_at = 0
        self.contradicted = self.contradicted_at = 0
        self.excess = 0.0
        self.over = {o: [0.0] * 8 for o in self.offsets}
        self.under = {o: [0.0] * 8 for o in self.offsets}
        self.shares = {s: [0.0] * 8 for s in LADDER}

    def take(self, r: int, c: int) -> None:
        """Take a sample."""
        self.t += 1
        w, d = 1 / (self.t * (self.t + 1)), r - c
        mu, nu = KAPPA + RHO * c, KAPPA_U + RHO_U * c
        for o in self.offsets:
            self.over[o] = grown(self.over[o], w, min(max(d - o, 0) / mu, B))
            self.under[o] = grown(self.under[o], w, min(max(o - d, 0) / nu, B))
        beyond = max(d - self.offsets[-1], 0)
        for s in LADDER:
            self.shares[s] = grown(self.shares[s], w, min(beyond / (KAPPA + s * c), B))
        if 2 * d > 20 + c:
            self.contradicted += 1
            self.contradicted_at = self.contradicted_at or self.t
        self.judge()

    def judge(self) -> None:
        """Latch what the bets show."""
        values = self.values()
        if not self.over_at and values["over"][-1] >= self.level:
            self.over_at = self.t
        if not self.under_at and values["under"][0] >= self.level:
            self.under_at = self.t
        if not self.inconsistent_at and min(values["evidence"]) >= self.level:
            self.inconsistent_at = self.t
        for s in LADDER:
            if mean(self.shares[s]) + 1 / (self.t + 1) >= self.level:
                self.excess = max(self.excess, s)

    def state(self) -> str:
        """Return the one word that the stream comes to."""
        if self.over_at:
            return "two-sided" if self.under_at else "over-reported"
        if self.under_at:
            return "under-reported"
        return "inconsistent" if self.inconsistent_at else "consistent"

    def values(self) -> dict[str, list[float]]:
        """Return Over, Under and E for each offset."""
        seed = 1 / (self.t + 1)
        over = [mean(self.over[o]) + seed for o in self.offsets]
        under = [mean(self.under[o]) + seed for o in self.offsets]
        pairs = zip(over, self.offsets, strict=True)
        both = [(value + mean(self.under[o]) + seed) / 2 for value, o in pairs]
        return {"over": over, "under": under, "evidence": both}

    def looked_at(self) -> dict[str, Any]:
        """Return the values as bits, with the number of samples."""
        return {"t": self.t} | {name: [bits(v) for v in row] for name, row in self.values().items()}
