"""What the tests of the command line share: calls of the program and what they did."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
PROGRAM: Final = (sys.executable, "-m", "nous_ledger.cli.main")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one call of the program did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def failed(self, code: int, *texts: str) -> "Outcome":
        """Check that the program ended with one error line, perhaps a hint, and no result."""
        assert self.code == code, self
        assert not self.out, self
        return self.errors(*texts)

    def errors(self, *texts: str) -> "Outcome":
        """Check what stands on stderr after a failure."""
        lines = self.err.splitlines()
        assert lines, self
        assert lines[-1].startswith(("nous-ledger: error: ", "hint: ")), self
        errors = [line for line in lines if line.startswith("nous-ledger: error: ")]
        assert len(errors) == 1, self
        assert "Traceback" not in self.err, self
        for text in texts:
            assert text in self.err, self
        return self

    def good(self) -> "Outcome":
        """Check that the program ended well."""
        assert self.code == 0, self
        assert "error" not in self.err, self
        return self


Call = Callable[..., Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """What somebody has who checks the known call of the sample."""

    proof: Path
    policy: Path
    opening: Path
    request: Path
    response: Path

    @property
    def check(self) -> tuple[object, ...]:
        """The arguments of a plain check."""
        return ("verify", self.proof, "--policy", self.policy)

    @property
    def content(self) -> tuple[object, ...]:
        """The further arguments that check the content."""
        opening = f"@{self.opening}"
        return (*("--opening", opening, "--request", self.request, "--response", self.response),)


def call_process(*arguments: object, program: tuple[str, ...] = PROGRAM, **options: Any) -> Outcome:
    """Run the program in a process of its own; `options` are those of `subprocess.run`."""
    usual: dict[str, Any] = {"capture_output": True, "text": True, "cwd": ROOT, "timeout": 60}
    command = [*program, *map(str, arguments)]
    done = subprocess.run(command, check=False, **(usual | options))
    return Outcome(code=done.returncode, out=done.stdout or "", err=done.stderr or "")


def minimal_environment(**more: str) -> dict[str, str]:
    """An environment without a home and without programs, in which Python finds the package."""
    coverage = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE")}
    return {"PATH": "/nonexistent", "PYTHONPATH": str(ROOT), **coverage, **more}
