"""Buckets of the two shapes that nearly every one has, made in few steps.

They are checked as every bucket is.

Spec:
    PROTOCOL.md LBL-1, LBL-2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Bucket
from nous_ledger.protocol.making import making

_reported: Final[Callable[[int, int | None, int], Bucket]] = making(
    Bucket, ("kind", "reported", "label")
)
_within: Final[Callable[[int, int | None, int, int, int, str], Bucket]] = making(
    Bucket, ("kind", "reported", "label", "lower", "upper", "method")
)


def unverifiable(kind: int, reported: int) -> Bucket:
    """Return a bucket that has nothing to be held against.

    Args:
        kind: what is counted.
        reported: the provider's number.
    """
    return _none_reported(kind) if reported == 0 else _reported(kind, reported, UNVERIFIABLE)


def bounded(kind: int, reported: int | None, lower: int, upper: int, method: str) -> Bucket:
    """Return a bucket with a range for what it reports.

    Args:
        kind: what is counted.
        reported: the provider's number.
        lower: smallest number that the evidence allows.
        upper: largest number that the evidence allows.
        method: how the range was found.
    """
    return _within(kind, reported, BOUNDED, lower, upper, method)


@cache
def _none_reported(kind: int) -> Bucket:
    """Return the bucket of a reported zero; there are as many as kinds of buckets."""
    return _reported(kind, 0, UNVERIFIABLE)
