"""Progress bars: on a terminal, and only where the work is long."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.harness import ROOT
from tests.cli.sample import Sample

PROGRAM = (
    "import sys; from nous_ledger.cli import {module}, main\n"
    "{module}.{limit} = int(sys.argv.pop(1)); main.main()"
)


FSCK = (PROGRAM.format(module="fsck", limit="LONG_LOG"), ["fsck"], b"checking", b"records/s")
PUBLISH = (
    PROGRAM.format(module="publish", limit="MANY_TILES"),
    ["publish", "published", "--bodies", "none"],
    b"publishing",
    b"tiles/s",
)


BACKUP = (
    PROGRAM.format(module="backup", limit="LONG_COPY"),
    ["backup", "--out", "copy"],
    b"copying",
    b"pages/s",
)


@pytest.mark.parametrize("work", [FSCK, PUBLISH, BACKUP], ids=["fsck", "publish", "backup"])
@pytest.mark.parametrize(("at_least", "expected"), [("1", True), ("1000000", False)])
def test_progress_on_a_terminal(
    sample: Sample,
    tmp_path: Path,
    work: tuple[str, list[str], bytes, bytes],
    at_least: str,
    *,
    expected: bool,
) -> None:
    """Rate, place and time left; nothing of it where the work is short."""
    program, arguments, label, unit = work
    command = [sys.executable, "-c", program, at_least, *arguments]
    controller, terminal = pty.openpty()
    subprocess.run(
        [*command, "--ledger", str(sample.folder)],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=terminal,
        timeout=60,
    )
    os.close(terminal)
    printed = b""
    try:
        while piece := os.read(controller, 4096):
            printed += piece
    except OSError:  # so Linux says that the last writer is gone
        pass
    os.close(controller)
    assert (label in printed) == (unit in printed) == expected
