"""What a behaviour of the zoo is: rounds of what a log shows, and what must be said of each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.zoo.site import Site

READER: Final = "reader"


@dataclass(frozen=True, slots=True)
class Round:
    """What a reader sees in one round, and what its sentinel must say.

    Attributes:
        site: what the log shows.
        codes: place and code of all findings of this round that are no mere notices.
        exit: exit code of the round.
        reader: which reader looks; each has a memory of its own.
        policy: what the reader trusts; None is the policy of the zoo's usual log.
        options: further options of the command.
        later_s: how far the reader's clock has moved on since the first round, seconds.
    """

    site: Site
    codes: frozenset[str] = field(default_factory=frozenset)
    exit: int = 0
    reader: str = READER
    policy: bytes | None = None
    options: tuple[str, ...] = ()
    later_s: int = 0


Play = Callable[[int], Iterator[Round]]
"""Yields the rounds of a behaviour, given the time in seconds."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """A named way of a log, or of what stands between it and its readers, to behave."""

    name: str
    play: Play
    about: str


ZOO: Final[dict[str, Behaviour]] = {}
"""All behaviours by name."""


def behaviour(play: Play) -> Play:
    """Add a behaviour to the zoo; its name is that of the function."""
    name = play.__name__.replace("_", "-")
    assert name not in ZOO
    ZOO[name] = Behaviour(name, play, (play.__doc__ or "").strip().partition("\n")[0])
    return play


def honest(site: Site, **more: Any) -> Round:
    """Return a round in which nothing may be found."""
    return Round(site, **more)


def caught(site: Site, *codes: str, **more: Any) -> Round:
    """Return a round in which exactly these must be found, and the exit code says wrong."""
    return Round(site, frozenset(codes), 1, **more)


def unchecked(site: Site, *codes: str, **more: Any) -> Round:
    """Return a round that ends in could not check, for these reasons and no others."""
    return Round(site, frozenset(codes), 3, **more)


def passed(site: Site, *codes: str, **more: Any) -> Round:
    """Return a round that is good, and in which these could not be checked and need not be."""
    return Round(site, frozenset(codes), **more)
