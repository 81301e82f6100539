"""Writes the receipts of one program's calls.

Before a call goes out its draft is durable, and when it is over its receipt takes
the draft's place: a program that dies in between leaves the draft among
`Ledger.open_intents()`. Every call that began gets exactly one receipt, whoever
hears first that it is over.

Spec:
    PROTOCOL.md RCPT-12, RCPT-13.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Final, Self
from uuid import UUID

from nous_ledger.embed.calls import EmbeddedCall, Ended, RawHeaders
from nous_ledger.embed.targets import Target, Targets
from nous_ledger.gateway import drafts
from nous_ledger.gateway.recording import Recorder
from nous_ledger.ledger import Appended, Ledger
from nous_ledger.protocol.errors import LedgerError

_log: Final = logging.getLogger("nous_ledger.embed")
_NO_UPSTREAMS: Final[Mapping[str, str]] = MappingProxyType({})

OnReceipt = Callable[[Appended, bytes], None]
"""Hears of a receipt once it is durable: what was logged, and the call's opening."""


class ReceiptWriter:
    """Writes receipts into an open ledger; for any number of threads and event loops.

    Attributes:
        targets: the places whose calls get receipts.
        failures: calls whose receipt, or whose draft, could not be written.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        upstreams: Mapping[str, str] = _NO_UPSTREAMS,
        on_receipt: OnReceipt | None = None,
        recorder: Recorder | None = None,
        fail_open: bool = False,
    ) -> None:
        """Write into a ledger, which stays open when this is closed.

        Args:
            ledger: open for writing.
            upstreams: base URLs by route (`openai`, `custom-NAME`, …), beside the
                providers' own hosts.
            on_receipt: hears of every receipt, in the thread or task of its call.
            recorder: keeps the content of calls.
            fail_open: calls go out even if their draft cannot be written.

        Raises:
            InputError: no such route, or no such URL.
        """
        self.targets = Targets(upstreams)
        self.failures = 0
        self._ledger = ledger
        self._on_receipt = on_receipt
        self._recorder = recorder
        self._fail_open = fail_open
        self._open: dict[bytes, EmbeddedCall] = {}

    def begin(self, target: Target, headers: RawHeaders, body: bytes | None) -> EmbeddedCall:
        """Return a call that may go out now: its draft is durable.

        Args:
            target: where it goes and what it is.
            headers: of its request.
            body: of its request; None if that is too long to keep.

        Raises:
            LedgerError: the ledger cannot be written, and this does not fail open.
        """
        call = EmbeddedCall(self._ledger, target, headers, body, self._recorder)
        self._open[call.draft.id] = call
        try:
            self._ledger.begin_call(call.draft, opening_hash=call.opening_hash)
        except LedgerError as error:
            self._not_begun(call, error)
        return call

    async def begin_async(
        self, target: Target, headers: RawHeaders, body: bytes | None
    ) -> EmbeddedCall:
        """Do as `begin` on an event loop of asyncio, which is not blocked."""
        call = EmbeddedCall(self._ledger, target, headers, body, self._recorder)
        self._open[call.draft.id] = call
        try:
            noted = self._ledger.submit_call(call.draft, opening_hash=call.opening_hash)
            await asyncio.shield(asyncio.wrap_future(noted))
        except LedgerError as error:
            self._not_begun(call, error)
        except asyncio.CancelledError:
            await self.end_async(call, drafts.CLIENT_ABORTED)
            raise
        return call

    def end(self, call: EmbeddedCall, cause: int | None, *, received: bool = True) -> None:
        """Write a call's receipt, unless that has happened; it is durable on return.

        A ledger that cannot be written does not raise here: that is logged and counted.

        Args:
            call: as `begin` returned it.
            cause: as in `EmbeddedCall.end`.
            received: as in `EmbeddedCall.end`.
        """
        logged = self._submit(call, cause, received=received)
        if logged is not None:
            self._report(call, logged)

    async def end_async(
        self, call: EmbeddedCall, cause: int | None, *, received: bool = True
    ) -> None:
        """Do as `end` on an event loop of asyncio; a cancelled task's receipt is written too."""
        logged = self._submit(call, cause, received=received)
        if logged is None:
            return
        waiting = asyncio.wrap_future(logged)
        try:
            await asyncio.wait([waiting])
        except asyncio.CancelledError:
            logged.add_done_callback(partial(self._report, call))
            raise
        waiting.exception()  # which `_report` tells of
        self._report(call, logged)

    def close(self) -> None:
        """Write the receipts of calls that nobody ended; the ledger stays open."""
        for call in tuple(self._open.values()):
            self.end(call, drafts.INTERRUPTED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _not_begun(self, call: EmbeddedCall, error: LedgerError) -> None:
        self.failures += 1
        _log.error("a call has no draft: the ledger cannot be written: %s", error.code)
        if not self._fail_open:
            self._open.pop(call.draft.id, None)
            call.give_up()
            raise error

    def _submit(
        self, call: EmbeddedCall, cause: int | None, *, received: bool
    ) -> Future[Appended] | None:
        if self._open.pop(call.draft.id, None) is None:
            return None  # somebody was quicker
        try:
            ended = call.end(cause, received=received)
        except Exception:  # noqa: BLE001 - a fault in here costs neither the call nor its receipt
            _log.exception("receipt %s is as it was drafted", UUID(bytes=call.draft.id))
            ended = Ended(receipt=call.draft)
        try:
            return self._ledger.submit_receipt(
                ended.receipt, opening_hash=call.opening_hash, raw_usage=ended.raw_usage
            )
        except LedgerError as error:
            self._not_written(call, error)
            return None

    def _report(self, call: EmbeddedCall, logged: Future[Appended]) -> None:
        try:
            appended = logged.result()
        except LedgerError as error:
            self._not_written(call, error)
            return
        if self._on_receipt is not None:
            try:
                self._on_receipt(appended, call.opening)
            except Exception:  # noqa: BLE001 - a callback's fault is none of the call's
                _log.exception("on_receipt failed")

    def _not_written(self, call: EmbeddedCall, error: LedgerError) -> None:
        self.failures += 1
        _log.error("receipt %s is not written: %s", UUID(bytes=call.draft.id), error.code)
