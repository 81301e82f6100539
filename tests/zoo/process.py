"""The sentinel as a process of its own, with what it took of time and memory."""

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.repository import ROOT


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended.

    Attributes:
        exit: its exit code, negative for a signal.
        out: what it wrote to stdout.
        err: what it wrote to stderr.
        seconds: how long it ran.
        peak_bytes: most memory that it held.
    """

    exit: int
    out: str
    err: str
    seconds: float
    peak_bytes: int


def run_sentinel(arguments: Sequence[str], folder: Path, *, limit_s: float = 60) -> Ended:
    """Run `nous-sentinel` until it ends; it is killed, and that is a failure, after the limit."""
    started, peak = time.monotonic(), 0
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", *arguments], cwd=ROOT, stdout=out, stderr=err
        )
        while process.poll() is None:
            peak = max(peak, _peak_bytes(process.pid))
            if time.monotonic() > started + limit_s:
                process.kill()
            time.sleep(0.005)
    return Ended(
        exit=process.returncode,
        out=(folder / "out").read_text("utf-8"),
        err=(folder / "err").read_text("utf-8"),
        seconds=time.monotonic() - started,
        peak_bytes=peak,
    )


def _peak_bytes(pid: int) -> int:
    """Return the most memory that a process held so far; 0 if it has just ended.

    What `wait4` says includes what its parent held when it was forked.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0
