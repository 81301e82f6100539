"""Writes what LiteLLM tells its loggers into a ledger, each attempt once.

Spec:
    PROTOCOL.md SUBJ-2.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from nous_ledger.embed.litellm_events import read_event
from nous_ledger.gateway.identity import KIND_API_KEY, KIND_CLIENT_TOKEN, KIND_NONE
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import SubjectId

_log: Final = logging.getLogger("nous_ledger.embed")
_REMEMBERED: Final = 10_000


class EventWriter:
    """Writes receipts into an open ledger; for any number of threads.

    Attributes:
        failures: calls whose receipt could not be written.
    """

    def __init__(self, ledger: Ledger, credential: bytes) -> None:
        """Write into a ledger.

        Args:
            ledger: open for writing.
            credential: whose calls these are, where LiteLLM's proxy does not say so.
        """
        self.failures = 0
        self._ledger = ledger
        self._credential = credential
        self._lock = threading.Lock()
        self._seen: OrderedDict[object, None] = OrderedDict()

    def write(self, kwargs: Mapping[str, Any], response: object) -> None:
        """Write the receipt of a call that is over; it is durable on return.

        A ledger that cannot be written does not raise here: that is logged and counted.

        Args:
            kwargs: as LiteLLM hands them to its loggers.
            response: what the call returned; None if it failed.
        """
        event = kwargs.get("standard_logging_object")
        if not isinstance(event, Mapping) or not self._is_new(kwargs, event):
            return
        try:
            receipt = self._receipt(event, response)
            if receipt is not None:
                self._ledger.append(receipt)
        except LedgerError as error:
            self.failures += 1
            _log.error("a receipt is not written: %s", error.code)

    def _receipt(self, event: Mapping[str, Any], response: object) -> Receipt | None:
        usage = getattr(response, "usage", None)
        dump = getattr(usage, "model_dump", None)
        told = dump() if callable(dump) else usage
        return read_event(event, told if isinstance(told, Mapping) else None, self._subject(event))

    def _subject(self, event: Mapping[str, Any]) -> SubjectId:
        metadata = event.get("metadata")
        key_hash = metadata.get("user_api_key_hash") if isinstance(metadata, Mapping) else None
        if isinstance(key_hash, str) and key_hash:
            return self._ledger.subject(KIND_CLIENT_TOKEN, key_hash.encode())
        kind = KIND_API_KEY if self._credential else KIND_NONE
        return self._ledger.subject(kind, self._credential)

    def _is_new(self, kwargs: Mapping[str, Any], event: Mapping[str, Any]) -> bool:
        """Return whether an attempt is heard of first: it may be told to both kinds of hook."""
        key = (kwargs.get("litellm_call_id"), event.get("id"), event.get("startTime"))
        with self._lock:
            if key in self._seen:
                return False
            self._seen[key] = None
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
            return True
