"""Starting programs of this package: small ones that do one thing beside their parent."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def start_program(
    program: Path, *arguments: str, talking: bool, pass_fds: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Return a running program that finds the modules that this process finds.

    Args:
        program: its file.
        arguments: what it is given.
        talking: its input and output are pipes to this process; else they are nothing.
            What it says in a failure is lost with them, where they are pipes.
        pass_fds: open files that it is given.

    Raises:
        OSError: it cannot be started.
    """
    if not sys.executable or not program.is_file():
        raise FileNotFoundError("there is no program to start")
    paths = os.pathsep.join([path or os.getcwd() for path in sys.path])  # noqa: PTH109 - a text
    ends = subprocess.PIPE if talking else subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603 - a program of ours
        [sys.executable, "-P", str(program), *arguments],
        bufsize=0,
        stdin=ends,
        stdout=ends,
        stderr=subprocess.DEVNULL if talking else None,
        pass_fds=pass_fds,
        env=os.environ | {"PYTHONPATH": paths},
    )
