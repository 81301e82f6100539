"""A process that rotates a ledger, and is killed on the way if that is wanted.

python ledger_rotator.py FOLDER NEXT_KEY NEXT_KEY_OUT (after the commit | to the end)
"""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from nous_ledger.ledger import Ledger, keyfiles, rotation


def _die_after_commit() -> None:
    place: Any = rotation
    original = place.change_keys

    def killed(*arguments: Any, **named: Any) -> None:
        original(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    place.change_keys = killed


def main(folder: str, next_key: str, next_key_out: str, until: str) -> None:
    """Rotate."""
    if until == "after the commit":
        _die_after_commit()
    with Ledger.open(Path(folder)) as ledger:
        ledger.rotate(Path(next_key), next_key_out=Path(next_key_out))
    assert not (Path(folder) / keyfiles.PENDING_NAME).exists()


if __name__ == "__main__":
    main(*sys.argv[1:])
