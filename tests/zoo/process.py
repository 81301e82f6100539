"""The sentinel as a process of its own, with what it took of time and memory."""

import os
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
    started = time.monotonic()
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "sentinel", *arguments], cwd=ROOT, stdout=out, stderr=err
        )
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > started + limit_s:
                process.kill()
            time.sleep(0.005)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        exit=process.returncode,
        out=(folder / "out").read_text("utf-8"),
        err=(folder / "err").read_text("utf-8"),
        seconds=time.monotonic() - started,
        peak_bytes=usage.ru_maxrss * 1024,
    )
