"""The times in which calls passed although nothing could be written (`--fail-open`)."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final

from nous_ledger.protocol.errors import LedgerError

_log: Final = logging.getLogger("nous_ledger.gateway")


class Gap:
    """Logs when such a time begins and ends, and knows how many calls passed in all.

    Attributes:
        calls: how many passed since the gateway started.
    """

    def __init__(self) -> None:
        """Start with none."""
        self.calls = 0
        self._here = 0
        self._since = ""
        self._until = ""

    def widen(self, error: LedgerError) -> None:
        """Note a call that passes."""
        if not self._here:
            self._since, self._until = _now(), ""
            _log.error(
                "a gap begins: calls pass although the ledger cannot be written: %s", error.code
            )
        self._here += 1
        self.calls += 1

    def end(self) -> None:
        """Note that the ledger can be written again."""
        if self._here:
            self._until = _now()
            _log.error(
                "a gap ends: %s calls passed between %s and %s without an intent",
                self._here,
                self._since,
                self._until,
            )
            self._here = 0

    def report(self) -> dict[str, object]:
        """Return the number of calls and the newest gap; `until` is empty while it lasts."""
        return {"calls": self.calls, "since": self._since, "until": self._until}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
