"""Readers of a log: each is the real command, with a state file of its own."""

import contextlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sentinel import log_options
from sentinel.cli import run
from sentinel.log_options import Options
from tests.zoo.forger import Forger

USUAL_POLICY = Forger(0).policy()
"""Pins the usual log of the zoo: its keys and name are always the same."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one call of the command ended.

    Attributes:
        exit: its exit code.
        findings: what it found in this round, as JSON.
        report: what it said of the round, as JSON.
        err: what it wrote to stderr.
        seconds: how long it took.
    """

    exit: int
    findings: list[dict[str, Any]]
    report: dict[str, Any]
    err: str
    seconds: float

    @property
    def codes(self) -> frozenset[str]:
        """Place and code, and cause if it is another, of all that was found and is no notice."""
        return frozenset(
            f"{found['place']}/{found['code']}" + (f":{cause}" if cause != found["code"] else "")
            for found in self.findings
            if found["severity"] != "notice"
            for cause in [found["attrs"].get("cause", found["code"])]
        )

    def count(self, *severities: str) -> int:
        """Return how many findings of some severities there are."""
        return sum(found["severity"] in severities for found in self.findings)


class Reader:
    """Somebody who looks at a log again and again, and remembers.

    Attributes:
        ahead_s: how far its clock is ahead of this machine's, seconds.
    """

    def __init__(self, folder: Path, policy: bytes = USUAL_POLICY, name: str = "reader") -> None:
        """Remember in a folder.

        Args:
            folder: where policy and memory lie.
            policy: whom it trusts.
            name: of the reader; each has another memory.
        """
        self.policy = folder / f"{name}.policy"
        self.state = folder / f"{name}.sqlite"
        self.ahead_s = 0
        self.policy.write_bytes(policy)

    def arguments(self, address: str, *options: str) -> list[str]:
        """Return how the command is called to look at a log once."""
        trust = ["--policy", str(self.policy), "--state", str(self.state)]
        return [address, *trust, "--json", *options]

    def look(self, address: str, *options: str) -> Look:
        """Look at a log once, in this process."""
        started = time.monotonic()
        later = partial(Options, clock=lambda: time.time() + self.ahead_s)
        with patch.object(log_options, "Options", later):
            code, out, err = call(self.arguments(address, *options))
        lines = [json.loads(line) for line in out.splitlines()]
        findings = [line for line in lines if line["type"] == "finding"]
        return Look(code, findings, lines[-1] if lines else {}, err, time.monotonic() - started)

    def remembered(self) -> list[dict[str, Any]]:
        """Return everything that it ever found, as `history` lists it."""
        code, out, err = call(["history", "--state", str(self.state), "--json"])
        assert code == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def evidence(self, number: int, folder: Path) -> bytes:
        """Return the evidence of a finding, as `evidence export` writes it."""
        file = folder / f"{self.state.stem}-{number}.json"
        arguments = ["evidence", "export", str(number), "-o", str(file)]
        code, _, err = call([*arguments, "--state", str(self.state)])
        assert code == 0, err
        return file.read_bytes()


def confirm(file: Path, policy: Path) -> tuple[int, dict[str, Any]]:
    """Return what a third party makes of an evidence file, knowing only the pinned keys."""
    code, out, _ = call(["evidence", "verify", str(file), "--policy", str(policy), "--json"])
    return code, json.loads(out) if out else {}


def call(arguments: Sequence[str]) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of one call of the command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(list(arguments))
    return code, out.getvalue(), err.getvalue()
