"""Where a process ends or a system call fails: armed by the process itself, in the shim."""

import ctypes
import os
from dataclasses import dataclass
from functools import cache
from typing import Final

WRITE: Final = 1
SYNC: Final = 2
RENAME: Final = 4
LINK: Final = 8
TRUNCATE: Final = 16
UNLINK: Final = 32

KILL_BEFORE: Final = 1
KILL_AFTER: Final = 2
KILL_HALF: Final = 3
FAIL: Final = 4
FAIL_AFTER: Final = 5
ALWAYS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFault:
    """Something that happens at a system call.

    Attributes:
        kinds: which calls, a sum of the constants above.
        pattern: of the path that they change, as in fnmatch(3).
        first: the first of them that it happens at, from 1.
        times: how many of them it happens at.
        action: kill the process before or after it, or halfway through a write; let it
            fail without being done, or after it was done.
        error: errno of the failure.
    """

    kinds: int
    pattern: str
    first: int = 1
    times: int = 1
    action: int
    error: int = 0


@cache
def _shim() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ["LD_PRELOAD"])


def arm(fault: CallFault) -> None:
    """Let it happen from now on, instead of what was armed before."""
    _shim().shim_arm(
        fault.kinds,
        os.fsencode(fault.pattern),
        fault.first,
        fault.times,
        fault.action,
        fault.error,
    )


def disarm() -> int:
    """Let nothing happen any more; return how many calls were met by what was armed."""
    seen: int = _shim().shim_seen()
    _shim().shim_arm(0, b"", 1, 0, 0, 0)
    return seen


def die() -> None:
    """End this process as SIGKILL does, or a power loss after `lose_unsynced`."""
    _shim().shim_die()


def lose_unsynced(pattern: str, seed: int) -> None:
    """Let the end of the process take with it what was not synced to some files.

    Args:
        pattern: of their paths.
        seed: of which writes survive; 0 for none.
    """
    _shim().shim_remember(os.fsencode(pattern), seed)
