"""Reading an upstream to its end although the client hung up, within bounds.

What such a call costs is known only then. So a call is read on for a while, as long
as not too many are at once.
"""

from __future__ import annotations

import asyncio

from nous_ledger.gateway.upstream import Limits


class Drains:
    """How many calls are read on although their client hung up.

    Attributes:
        limits: how many may be, and for how long.
        running: how many are.
    """

    def __init__(self, limits: Limits) -> None:
        """Start with all places free."""
        self.limits = limits
        self.running = 0


class Drain:
    """One call's right to be read on after its client hung up."""

    __slots__ = ("_cut", "_drains", "_task", "_timer")

    def __init__(self, drains: Drains) -> None:
        """Have a place kept for the task that runs, which is the call's."""
        self._drains = drains
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._cut = False

    def start(self) -> None:
        """Bound the call from now on: its client hung up. Without a place left, end it."""
        drains, limits = self._drains, self._drains.limits
        drains.running += 1
        allowed = limits.drain_s if drains.running <= limits.max_drains else 0.0
        self._timer = asyncio.get_running_loop().call_later(allowed, self._end_call)

    def ended_call(self) -> bool:
        """Return whether this, and nobody else, is why the call was cancelled."""
        return self._cut and self._task is not None and not self._task.uncancel()

    def close(self) -> None:
        """Free the place."""
        if self._timer is not None:
            self._timer.cancel()
            self._drains.running -= 1

    def _end_call(self) -> None:
        self._cut = True
        if self._task is not None:
            self._task.cancel()
