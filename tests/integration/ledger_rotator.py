"""A process that rotates a ledger and is killed at a named point on the way.

    python ledger_rotator.py FOLDER NEXT_KEY NEXT_KEY_OUT POINT

POINT is one of POINTS, or `never`.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from nous_ledger.ledger import Ledger, keychange, keyfiles, rotation

POINTS: Final = (
    "before the next key is written",
    "before the pending file is written",
    "after the pending file is written",
    "before the commit",
    "after the commit",
    "before the keys are moved to their place",
    "after the keys are moved to their place",
)
COMMITTED: Final = POINTS[4:]
_PLACES: Final[dict[str, tuple[Any, str, bool]]] = {
    "before the next key is written": (rotation, "write_next_key", True),
    "before the pending file is written": (keychange, "write_pending", True),
    "after the pending file is written": (keychange, "write_pending", False),
    "before the commit": (keychange, "renew_head", False),
    "after the commit": (rotation, "change_keys", False),
    "before the keys are moved to their place": (rotation, "_put_in_place", True),
    "after the keys are moved to their place": (rotation, "_epoch_notices", True),
}


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str) -> None:
    """Make this process end at a point."""
    module, name, before = _PLACES[point]
    original: Callable[..., Any] = getattr(module, name)

    def killed(*arguments: Any, **named: Any) -> Any:
        if before:
            _kill()
        found = original(*arguments, **named)
        _kill()
        return found

    setattr(module, name, killed)


def main(folder: str, next_key: str, next_key_out: str, point: str) -> None:
    """Rotate."""
    if point != "never":
        arm(point)
    with Ledger.open(Path(folder)) as ledger:
        ledger.rotate(Path(next_key), next_key_out=Path(next_key_out))
    assert not (Path(folder) / keyfiles.PENDING_NAME).exists()


if __name__ == "__main__":
    main(*sys.argv[1:])
