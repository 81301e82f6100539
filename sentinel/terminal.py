"""What is printed: results on stdout, all else on stderr, nothing that steers a terminal.

What a log, a policy or a file says goes through `printable` before it is shown.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TextIO, TypeAlias

import click

PROGRAM: Final = "nous-sentinel"
MAX_SHOWN: Final = 600
"""Most characters of a line that repeats something from outside."""

Progress: TypeAlias = Callable[[int, int], None]
"""Is told how much of how much is done."""


def printable(text: object, limit: int = MAX_SHOWN) -> str:
    r"""Return text in one line, whatever it holds: what does not print is spelled out.

    >>> print(printable("a\x1b[2J\u202e"))
    a\x1b[2J\u202e
    """
    shown = str(text)
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else _spelled(c) for c in shown[: limit + 1])
    return shown if len(shown) <= limit else f"{shown[:limit]}…"


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def say(text: str) -> None:
    """Print a line of a result, at once: a reader of a pipe may be waiting for it."""
    click.echo(text)
    sys.stdout.flush()


def tell(text: str) -> None:
    """Print a line that is not a result; where nobody can read it, go on without."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def warn(text: object) -> None:
    """Print a warning."""
    tell(f"{PROGRAM}: warning: {printable(text)}")


def format_time(seconds: float | None) -> str:
    """Return a time as 2026-01-02T03:04:05Z, or a dash."""
    if seconds is None:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return f"{seconds} s"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> plural(1, "record"), plural(1200, "record")
    ('1 record', '1,200 records')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def colour() -> bool | None:
    """Return False where colours are not wanted, None to let the terminal decide."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return False if plain else None


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable whatever the caller did to them.

    A closed one would be None here, and the next file opened would take its number
    and get what is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if descriptor else "r"
            stream = open(descriptor, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays
            setattr(sys, name, stream)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def finish_streams() -> bool:
    """Print what still waits to be printed; return whether all of it went out.

    What cannot be printed is dropped here: left to the interpreter it would replace
    the exit code by one that says nothing.
    """
    done = True
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            silence(stream)
            done = False
    return done


def silence(stream: TextIO) -> None:
    """Send what is still to be printed nowhere: nobody reads it any more."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # a stream without a number, as under a test
        return


@contextlib.contextmanager
def progress_bar(label: str, unit: str, *, at_least: int) -> Iterator[Progress]:
    """Give what shows how far some work is, its rate and the time left, on a terminal.

    Args:
        label: what is done, before the bar.
        unit: what is counted, after the rate.
        at_least: work left from which on a bar is worth showing.
    """
    started, first = 0.0, -1
    with contextlib.ExitStack() as shown:
        bars: list[Any] = []

        def progress(done: int, total: int) -> None:
            nonlocal started, first
            if first < 0:
                started, first = time.monotonic(), done
            if not bars and total - first >= at_least and sys.stderr.isatty():
                bars.append(shown.enter_context(_bar(label, total)))
            for bar in bars:
                rate = (done - first) / max(time.monotonic() - started, 0.001)
                bar.update(done - bar.pos, f"{rate:,.0f} {unit}/s")
            if done >= total:  # what comes later is other work
                shown.close()
                bars.clear()
                first = -1

        yield progress


def _bar(label: str, total: int) -> Any:  # noqa: ANN401 - click does not export the type
    return click.progressbar(
        length=total,
        label=label,
        file=sys.stderr,
        show_pos=True,
        item_show_func=lambda rate: rate,
    )
