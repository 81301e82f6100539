"""Log lines of a gateway: text for people, or one JSON object a line for machines.

Nothing in them is a secret: the gateway logs ids, names of its own tables, codes and
times, and never a header, a query or a body. What callers and upstreams sent is made
harmless: it cannot end a line or move a terminal's cursor.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API, METERING, STATUS

FORMATS: Final = ("text", "json")

_log: Final = logging.getLogger("nous_ledger.gateway")


def log_receipt(receipt: Receipt) -> None:
    """Log one call that is over."""
    if _log.isEnabledFor(logging.INFO):
        fields = {
            "receipt": str(UUID(bytes=receipt.id)),
            "provider": receipt.provider,
            "api": API.name_of(receipt.api),
            "status": STATUS.name_of(receipt.status),
            "http": receipt.http_status,
            "metering": METERING.name_of(receipt.metering),
            "ms": receipt.duration,
        }
        _log.info(
            "%(receipt)s %(provider)s api=%(api)s status=%(status)s http=%(http)s"
            " metering=%(metering)s ms=%(ms)s",
            fields,
        )


class TextFormatter(logging.Formatter):
    """Formats records in one harmless line each."""

    def __init__(self, harmless: Callable[[object], str]) -> None:
        """Use a function that makes any text printable."""
        super().__init__("%(asctime)s %(levelname)s %(message)s")
        self._harmless = harmless
        self._second = (0, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802, ARG002 - logging's signature
        """Return the local time; the same for all lines of one second but for its thousandths."""
        second = int(record.created)
        if second != self._second[0]:
            self._second = (second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second)))
        return f"{self._second[1]},{int(record.msecs):03d}"

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        return self._harmless(super().format(record))


class JsonFormatter(logging.Formatter):
    """Formats records as one JSON object each; what a message is made of stands apart."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of ASCII."""
        shown: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if isinstance(record.args, dict):
            shown |= {name: value for name, value in record.args.items() if name not in shown}
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
