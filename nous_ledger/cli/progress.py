"""A progress bar for long work: on a terminal, and only once the work proves to be long."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import click

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how much of how much is done."""


@contextlib.contextmanager
def progress_bar(label: str, unit: str, *, at_least: int) -> Iterator[Progress]:
    """Give what shows how far some work is, its rate, and the time left.

    Args:
        label: what is done, before the bar.
        unit: what is counted, after the rate.
        at_least: work from which on a bar is worth showing.
    """
    started = time.monotonic()
    with contextlib.ExitStack() as shown:
        bars: list[Any] = []

        def progress(done: int, total: int) -> None:
            if not bars and total >= at_least and sys.stderr.isatty():
                bars.append(shown.enter_context(_bar(label, total)))
            for bar in bars:
                rate = done / max(time.monotonic() - started, 0.001)
                bar.update(done - bar.pos, f"{rate:,.0f} {unit}/s")

        yield progress


def _bar(label: str, total: int) -> Any:  # noqa: ANN401 - click does not export the type
    return click.progressbar(
        length=total,
        label=label,
        file=sys.stderr,
        show_pos=True,
        item_show_func=lambda rate: rate,
    )
