"""A published log, and a sentinel that looks at it: what tests of its rounds share."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nous_ledger.protocol.errors import UnavailableError
from nous_ledger.protocol.policy import parse_policy
from sentinel.log_audit import LogAudit
from sentinel.log_options import Options
from sentinel.report import RoundReport
from sentinel.sources import Source, open_source
from sentinel.state import State
from tests.integration.ledger_drafts import ORIGIN
from tests.integration.published_log import PublishedLog


class Watched:
    """A source that counts what is asked of it, and fails where a test wants."""

    def __init__(self, source: Source) -> None:
        self.source, self.name = source, source.name
        self.asked: list[tuple[Any, ...]] = []
        self.fail_from = 10**9
        self.head_note: bytes | None = None

    def head(self) -> bytes:
        self.asked.append(("head",))
        return self.source.head() if self.head_note is None else self.head_note

    def tile(self, level: int, index: int, width: int) -> bytes:
        self.asked.append(("tile", level, index, width))
        return self.source.tile(level, index, width)

    def entries(self, index: int, width: int) -> bytes:
        self.asked.append(("entries", index, width))
        if index >= self.fail_from:
            raise UnavailableError("unreachable", "the test wants it so")
        return self.source.entries(index, width)

    def bodies(self, index: int, width: int) -> bytes:
        self.asked.append(("bodies", index, width))
        return self.source.bodies(index, width)

    def close(self) -> None:
        self.source.close()

    def bundles(self, kind: str = "entries") -> list[int]:
        return sorted(asked[1] for asked in self.asked if asked[0] == kind)


@dataclass
class Watcher:
    """A sentinel with a memory of its own.

    Attributes:
        policy: what it trusts.
        state_file: its memory.
        source: what it reads, replaced at will.
        options: further options.
    """

    policy: bytes
    state_file: Path
    source: Watched
    clock_s: float | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def round(self, **options: Any) -> RoundReport:
        """Look once, with everything opened anew."""
        self.source.asked.clear()
        with self.audit(**options) as audit:
            return audit.round()

    @contextmanager
    def audit(self, **options: Any) -> Iterator[LogAudit]:
        given: dict[str, Any] = {"policy": parse_policy(self.policy), "origin": ORIGIN}
        if self.clock_s is not None:
            given["clock"] = lambda: self.clock_s
        given |= self.options | options
        with State.held(self.state_file) as state:
            yield LogAudit(state, self.source, Options(**given))


def codes(report: RoundReport) -> set[str]:
    """Return what a round found and is more than a notice."""
    return {f"{f.place}/{f.code}" for f in report.findings if f.severity != "notice"}


def now_is(log: PublishedLog) -> None:
    """Let the log live now, by the clock of this machine."""
    log.clock.now_ms = int(time.time() * 1000) - 2_000


def watcher_of(log: PublishedLog, base: Path) -> Watcher:
    source = Watched(open_source(str(log.target)))
    return Watcher(
        log.ledger.policy_text(), base / "state.sqlite", source, clock_s=log.clock.now_ms / 1000
    )
