"""Run as a program: nous-ledger, then what it needed at most, in MiB, on the last stderr line."""

import re
import resource
import sys
from pathlib import Path

from nous_ledger.cli.main import run
from nous_ledger.cli.terminal import prepare_streams


def peak_mib() -> float:
    """Return the most memory that this process had, as the system tells it.

    On Linux `ru_maxrss` begins with what the parent had, so the high-water mark of this
    program's own memory is asked for first.
    """
    try:
        status = Path("/proc/self/status").read_text("ascii")
    except OSError:
        kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return kib / (1024 * 1024 if sys.platform == "darwin" else 1024)
    (kib_text,) = re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(kib_text) / 1024


if __name__ == "__main__":
    prepare_streams()
    code = run()
    sys.stderr.write(f"\npeak {peak_mib():.0f}\n")
    sys.exit(code)
