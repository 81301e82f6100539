"""The command of the sentinel, called in this process or as one of its own."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.architecture.repository import ROOT
from tests.integration.published_log import PublishedLog, published_log
from tests.integration.sentinel.sentinel_rig import now_is


@dataclass(frozen=True)
class Called:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]


Call = Callable[..., Called]


@contextmanager
def log_of_now(base: Path) -> Iterator[PublishedLog]:
    with published_log(base) as made:
        now_is(made)
        made.grow(20)
        made.publish()
        (base / "policy").write_bytes(made.ledger.policy_text())
        yield made


def refused(called: Called, code: int, what: str) -> None:
    assert (called.code, called.out) == (code, "")
    assert what in called.err
    assert called.err.startswith("nous-sentinel: error: ")
    assert "\nhint: " in called.err


def spoil(log: PublishedLog) -> None:
    """Serve a record that the log did not sign."""
    file = log.target / "tile" / "entries" / "000.p" / "20"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


@dataclass
class Child:
    process: subprocess.Popen[str]

    def readline(self) -> dict[str, object]:
        """Return the next round of a watch, past its findings."""
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            assert line, self.process.communicate(timeout=30)
            found: dict[str, object] = json.loads(line)
            if found["type"] == "round":
                return found

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def watching(log: PublishedLog, base: Path, *more: str, interval: str = "0.1") -> Child:
    command = [sys.executable, "-m", "sentinel", str(log.target), "--policy", str(base / "policy")]
    command += ["--state", str(base / "memory"), "--watch", "--interval", interval, "--json", *more]
    return Child(
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    )
