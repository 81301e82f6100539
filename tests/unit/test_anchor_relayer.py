"""Loading what signs transactions leaves the rest of the process as it was."""

import subprocess
import sys

from tests.architecture.repository import ROOT

PROGRAM = """
import sys
from nous_ledger.anchor.relayer import account_library
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.jsonform import parse_body_json
before = sys.getrecursionlimit()
account_library()
assert sys.getrecursionlimit() == before
try:
    parse_body_json("[" * 100_000)
except LedgerError as error:
    print(error.code)
"""


def test_deep_json_is_still_refused() -> None:
    """A hostile answer must not end the process that is about to sign."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "json-format\n", "")
