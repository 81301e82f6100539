"""What is printed: results on stdout, all else on stderr, nothing that steers a terminal.

Text from outside (file names, names in policies and notes, what a server answered)
goes through `printable` before it is shown.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TextIO

import click


def printable(text: object) -> str:
    r"""Return text in one line, whatever it holds: what does not print is spelled out.

    Escape sequences, line ends, and marks that turn the direction of writing or
    take no room would let an outsider draw on the reader's terminal.

    >>> print(printable("gpt\x1b[2J\u202e"))
    gpt\x1b[2J\u202e
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else _spelled(c) for c in shown)


def _spelled(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def say(text: str) -> None:
    """Print a line of a result."""
    click.echo(text)


def tell(text: str) -> None:
    """Print a line that is not a result; where nobody can read it, go on without."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def warn(text: object) -> None:
    """Print a warning."""
    tell(f"nous-ledger: warning: {printable(text)}")


def write_result(data: bytes) -> None:
    """Put the content of a file on stdout: exact in a pipe, harmless on a terminal."""
    if sys.stdout.isatty():
        lines = data.decode("utf-8", "backslashreplace").split("\n")
        click.echo("\n".join(map(printable, lines)), nl=False)
    else:
        click.echo(data, nl=False)


def colour() -> bool | None:
    """Return False where colours are not wanted, None to let the terminal decide."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return False if plain else None


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable whatever the caller did to them.

    A closed one would be None here, and the next file opened would take its
    number and get what is printed. Characters that a stream's encoding does not
    have are spelled out.
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

    What cannot be printed is dropped here: left to the interpreter it would
    replace the exit code by one that says nothing.
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
