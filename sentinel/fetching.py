"""Bundles of records and bodies in their order, a few of them fetched ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

from nous_ledger.protocol.tiles import FULL_WIDTH
from nous_ledger.protocol.types import LeafIndex
from sentinel.sources import Source

THREADS: Final = 4
_AHEAD: Final = 8
"""Bundles that may be fetched before they are asked for; one is at most 8.4 MB."""
_LITTLE: Final = 2
"""Bundles up to which they are fetched one after the other."""

_T = TypeVar("_T")


class Bundle(NamedTuple):
    """Up to 256 records as they were served.

    Attributes:
        number: of the bundle.
        entries: 122 bytes per record, the length prefix included.
        bodies: as they were served, each behind its length; None if they were not asked for.
    """

    number: int
    entries: bytes
    bodies: bytes | None

    @property
    def first(self) -> LeafIndex:
        """Leaf of the first record."""
        return LeafIndex(self.number * FULL_WIDTH)


def width_of(bundle: int, leaf_count: int) -> int:
    """Return how many records a bundle has below a head."""
    return min(FULL_WIDTH, leaf_count - bundle * FULL_WIDTH)


def fetch_bundles(
    source: Source, first_leaf: int, leaf_count: int, *, bodies: bool
) -> Iterator[Bundle]:
    """Yield the bundles of the leaves `[first_leaf, leaf_count)`, from that of the first on.

    Args:
        source: where to read.
        first_leaf: from the start of its bundle on.
        leaf_count: leaves of a head that covers them.
        bodies: whether to fetch bodies too.

    Raises:
        UnavailableError: unreachable, when the bundle that failed is due.
    """

    def fetch(number: int) -> Bundle:
        width = width_of(number, leaf_count)
        entries = source.entries(number, width)
        return Bundle(number, entries, source.bodies(number, width) if bodies else None)

    numbers = range(first_leaf // FULL_WIDTH, -(-leaf_count // FULL_WIDTH))
    return fetch_ahead(numbers, fetch)


def fetch_ahead(numbers: range, fetch: Callable[[int], _T]) -> Iterator[_T]:
    """Yield what a function returns for each number, in order; several calls run at a time."""
    if len(numbers) <= _LITTLE:
        yield from map(fetch, numbers)
        return
    executor = ThreadPoolExecutor(THREADS, "fetch")
    ahead: deque[Future[_T]] = deque()
    try:
        for number in numbers:
            ahead.append(executor.submit(fetch, number))
            if len(ahead) > _AHEAD:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        # Whoever stops early does not wait for what is still on its way.
        executor.shutdown(wait=False, cancel_futures=True)
