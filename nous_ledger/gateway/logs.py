"""Log lines of a gateway: text for people, or one JSON object a line for machines.

Nothing in them is a secret: the gateway logs ids, names of its own tables, codes and
times, and never a header, a query or a body. What callers and upstreams sent is made
harmless: it cannot end a line or move a terminal's cursor.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from nous_ledger.gateway.drafts import receipt_name
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API, METERING, STATUS

FORMATS: Final = ("text", "json")

_log: Final = logging.getLogger("nous_ledger.gateway")


class EndedCalls:
    """Calls that are over, as the message of one log record: a line each."""

    __slots__ = ("_receipts",)

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        """Take what is logged of some receipts."""
        self._receipts = receipts

    def fields(self) -> list[dict[str, object]]:
        """Return what is logged of each call, by name."""
        return [
            {
                "receipt": receipt_name(receipt.id),
                "provider": receipt.provider,
                "api": API.name_of(receipt.api),
                "status": STATUS.name_of(receipt.status),
                "http": receipt.http_status,
                "metering": METERING.name_of(receipt.metering),
                "ms": receipt.duration,
            }
            for receipt in self._receipts
        ]

    def lines(self) -> list[str]:
        """Return a line for each call."""
        return [
            f"{receipt_name(r.id)}"
            f" {_described(r.provider, r.api, r.status, r.http_status, r.metering)}"
            f" ms={r.duration}"
            for r in self._receipts
        ]

    def __str__(self) -> str:
        """Return all lines, for a formatter that knows no better."""
        return "\n".join(self.lines())


@lru_cache(maxsize=256)
def _described(provider: str, api: int, status: int, http: int | None, metering: int) -> str:
    """Return what many calls have in common."""
    return (
        f"{provider} api={API.name_of(api)} status={STATUS.name_of(status)} http={http}"
        f" metering={METERING.name_of(metering)}"
    )


class CallLog:
    """Logs calls that are over, those of one turn of the event loop together.

    A group of calls ends at once; writing line by line would cost each as much as its
    receipt.
    """

    def __init__(self) -> None:
        """Start with none."""
        self._waiting: list[Receipt] = []

    def add(self, receipt: Receipt) -> None:
        """Log one call soon; called in the thread of an event loop."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._write)
        self._waiting.append(receipt)

    def _write(self) -> None:
        receipts, self._waiting = self._waiting, []
        if _log.isEnabledFor(logging.INFO):
            _log.info(EndedCalls(receipts))


class TextFormatter(logging.Formatter):
    """Formats records in one harmless line each."""

    def __init__(self, harmless: Callable[[object], str]) -> None:
        """Use a function that makes any text printable."""
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._harmless = harmless

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; of calls that are over, one line each."""
        if not isinstance(record.msg, EndedCalls):
            return self._harmless(super().format(record))
        start = f"{self.formatTime(record)} {record.levelname} "
        return "\n".join([self._harmless(start + line) for line in record.msg.lines()])


class JsonFormatter(logging.Formatter):
    """Formats records as one JSON object each; what a message is made of stands apart."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of ASCII; of calls that are over, one line each."""
        shown: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        if isinstance(record.msg, EndedCalls):
            calls = zip(record.msg.lines(), record.msg.fields(), strict=True)
            return "\n".join([json.dumps({**shown, "message": m, **more}) for m, more in calls])
        shown["message"] = record.getMessage()
        if record.exc_info:
            shown["traceback"] = self.formatException(record.exc_info)
        return json.dumps(shown, default=str)


def log_to_stderr(form: str, harmless: Callable[[object], str]) -> None:
    """Send what is logged to stderr.

    Args:
        form: one of `FORMATS`.
        harmless: makes any text printable.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter(harmless))
    # Neither form shows where a line comes from, so nobody has to find that out.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001 - as the manual of logging has it
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("nous_ledger").setLevel(logging.INFO)
