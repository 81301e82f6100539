"""Receipts for every call that LiteLLM makes.

    litellm.callbacks = [ReceiptLogger(ledger)]

LiteLLM calls its loggers when a call is over, so there is no draft before it: a
program that dies in between leaves nothing. What LiteLLM tells of a call is read in
`litellm_events`.

Spec:
    PROTOCOL.md RCPT-7.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from nous_ledger.embed.litellm_writer import EventWriter
from nous_ledger.ledger import Ledger


class ReceiptLogger(CustomLogger):  # type: ignore[misc,unused-ignore]
    """Writes receipts into an open ledger; for any number of threads and event loops."""

    def __init__(self, ledger: Ledger, *, credential: bytes = b"") -> None:
        """Write into a ledger.

        Args:
            ledger: open for writing.
            credential: whose calls these are, where LiteLLM's proxy does not say so.
        """
        super().__init__()
        self._writer = EventWriter(ledger, credential)

    @property
    def failures(self) -> int:
        """How many receipts could not be written."""
        return self._writer.failures

    def log_success_event(
        self,
        kwargs: Mapping[str, Any],
        response_obj: object,
        start_time: object,
        end_time: object,
    ) -> None:
        """Write the receipt of a call that was answered."""
        self._writer.write(kwargs, response_obj)

    def log_failure_event(
        self,
        kwargs: Mapping[str, Any],
        response_obj: object,
        start_time: object,
        end_time: object,
    ) -> None:
        """Write the receipt of a call that failed."""
        self._writer.write(kwargs, None)

    async def async_log_success_event(
        self,
        kwargs: Mapping[str, Any],
        response_obj: object,
        start_time: object,
        end_time: object,
    ) -> None:
        """Do as `log_success_event` on an event loop, which is not blocked."""
        await asyncio.to_thread(self._writer.write, kwargs, response_obj)

    async def async_log_failure_event(
        self,
        kwargs: Mapping[str, Any],
        response_obj: object,
        start_time: object,
        end_time: object,
    ) -> None:
        """Do as `log_failure_event` on an event loop, which is not blocked."""
        await asyncio.to_thread(self._writer.write, kwargs, None)
