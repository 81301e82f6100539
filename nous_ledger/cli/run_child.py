"""Running a command with its base URLs set: its environment, its signals, its exit code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final
from urllib.parse import urlsplit

from nous_ledger.cli.base_urls import BaseUrl
from nous_ledger.protocol.errors import InputError

EXIT_CANNOT_RUN: Final = 126
EXIT_NOT_FOUND: Final = 127
EXIT_SIGNAL: Final = 128
"""Plus the number of the signal that ended the command; all three as shells have it."""

_FORWARDED: Final = (
    *(signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP),
    *(signal.SIGUSR1, signal.SIGUSR2),
)
_FROM_KEYS: Final = (signal.SIGINT, signal.SIGQUIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How the command's calls of one provider go.

    Attributes:
        url: the variable that is set.
        upstream: where the gateway forwards to; empty for the provider's own.
        suffix: what the variable's value has after the route.
    """

    url: BaseUrl
    upstream: str = ""
    suffix: str = ""

    def value(self, gateway: str) -> str:
        """Return the value of the variable."""
        return f"{gateway}/{self.url.route}{self.suffix}"


def find_ways(
    urls: Sequence[BaseUrl], environment: Mapping[str, str], upstreams: Mapping[str, str]
) -> tuple[Way, ...]:
    """Return how the calls of each provider go.

    Calls that the environment sends elsewhere already still go there: what stands in
    the variable becomes the upstream.

    Args:
        urls: the variables.
        environment: as it is without us.
        upstreams: upstreams that were named, by route; they win.

    Raises:
        InputError: an upstream's route is not served, or a variable holds no address.
    """
    routes = {url.route for url in urls}
    for route in upstreams:
        if route not in routes:
            raise InputError("input", f"no variable leads to {route!r}", hint=", ".join(routes))
    return tuple(_way(url, environment.get(url.variable, ""), upstreams) for url in urls)


def _way(url: BaseUrl, value: str, upstreams: Mapping[str, str]) -> Way:
    if url.route in upstreams:
        return Way(url=url, upstream=upstreams[url.route], suffix=url.suffix)
    if not value:
        return Way(url=url, suffix=url.suffix)
    if "://" not in value:  # how OLLAMA_HOST is written
        value = f"http://{value}"
    # Where a server listens on every address, a client reaches it on this machine.
    value = value.replace("://0.0.0.0", "://127.0.0.1", 1)
    return Way(url=url, upstream=_checked(url, value.rstrip("/")))


def _checked(url: BaseUrl, value: str) -> str:
    from nous_ledger.gateway.providers import find_route, make_upstream

    try:
        make_upstream(find_route(url.route), value)
    except InputError as error:  # it may hold a password, so it is not repeated
        raise InputError(
            "input",
            f"{url.variable} holds no address that a gateway can forward to",
            hint=f"unset it, or name another one with --upstream {url.route}=URL",
        ) from error
    return value


def child_environment(
    environment: Mapping[str, str], ways: Sequence[Way], gateway: str
) -> dict[str, str]:
    """Return the environment of the command; it reaches the gateway without any proxy."""
    changed = {way.url.variable: way.value(gateway) for way in ways}
    host = str(urlsplit(gateway).hostname)
    names = ("NO_PROXY", "no_proxy")
    known = next((environment[name] for name in names if environment.get(name)), "")
    exempt = f"{known},{host}" if known else host
    return {**environment, **changed, **dict.fromkeys(names, exempt)}


def check_program(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Return 0 if a command is there to be run, else the exit code that says what is wrong."""
    if shutil.which(words[0], path=environment.get("PATH", os.defpath)) is not None:
        return 0
    there = os.path.dirname(words[0]) and os.path.exists(words[0])  # noqa: PTH110, PTH120 - as execvp
    return EXIT_CANNOT_RUN if there else EXIT_NOT_FOUND


def run_child(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end, signals forwarded; return its exit code, as a shell has it.

    Raises:
        OSError: it cannot be started.
    """
    child = _Child()
    with _forwarding(child):
        child.start(words, environment)
        code = child.wait()
    return EXIT_SIGNAL - code if code < 0 else code


class _Child:
    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._early: list[int] = []

    def start(self, words: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(list(words), env=dict(environment))  # noqa: S603 - the user's
        for number in self._early:
            self._process.send_signal(number)

    def wait(self) -> int:
        return -1 if self._process is None else self._process.wait()

    def forward(self, number: int, _: FrameType | None) -> None:
        if number in _FROM_KEYS and _keys_reach_all():
            return
        if self._process is None:
            self._early.append(number)
        else:
            self._process.send_signal(number)


def _keys_reach_all() -> bool:
    """Return whether the terminal sends Ctrl-C to the command too, as it does to all before it."""
    with suppress(OSError):
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
        try:
            return os.tcgetpgrp(terminal) == os.getpgrp()
        finally:
            os.close(terminal)
    return False


@contextmanager
def _forwarding(child: _Child) -> Iterator[None]:
    # What is ignored, as under nohup, stays so: the command inherits it.
    before = {
        number: handler
        for number in _FORWARDED
        if (handler := signal.getsignal(number)) is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, child.forward)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
