"""Bodies and raw usage that are kept for some days only.

Bodies are erased as by a redaction, with reason `retention`, and the log says so. Raw
usage is no part of the log: its receipt holds its hash, and it goes without a notice.
Key events, redactions and other records that are no receipts are kept for ever.

The work is done in small transactions with pauses between them, so that appends never
wait long for it. Whatever was erased stays so, and the next run goes on from there.

Spec:
    PROTOCOL.md RED-1, RED-2.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from nous_ledger.ledger.keychange import check_open
from nous_ledger.ledger.lifecycle import LedgerLife, empty_log
from nous_ledger.ledger.redaction import redact_bodies
from nous_ledger.ledger.store import View
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.registries import REDACTION_REASON
from nous_ledger.protocol.types import LeafIndex

DAY_MS: Final = 86_400_000
MAX_DAYS: Final = 36_500
AT_A_TIME: Final = 256
"""Bodies that are erased in one transaction."""
INTERVAL_S: Final = 3_600.0
"""Seconds between two runs of a keeper."""

_SCANNED: Final = 65_536
_REASON: Final = REDACTION_REASON["retention"]
_log: Final = logging.getLogger("nous_ledger.retention")

Find = Callable[[View, int, int], tuple[LeafIndex, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What a run erased, or would erase.

    Attributes:
        bodies: receipts whose body is gone.
        usage: receipts whose raw usage is gone, those whose body is gone left out.
        records: redaction records that say so.
        finished: whether nothing that is old enough is left.
        notices: what the owner should be told.
    """

    bodies: int = 0
    usage: int = 0
    records: int = 0
    finished: bool = True
    notices: tuple[str, ...] = ()


class LedgerRetention(LedgerLife):
    """A ledger that erases what is older than it is to be kept."""

    _bodies_done = 0
    _usage_done = 0
    _wal_holds_erased = False

    def retain(
        self,
        *,
        bodies_days: int | None = None,
        usage_days: int | None = None,
        dry_run: bool = False,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> Retained:
        """Erase bodies and raw usage that were logged longer ago than they are to be kept.

        Others go on appending meanwhile. When this returns, the bytes are gone from the
        files of the ledger; not from copies elsewhere.

        Args:
            bodies_days: days that bodies are kept, 1..36,500; None for ever.
            usage_days: days that raw usage is kept; None for as long as its body.
            dry_run: only count.
            stop: asked between two transactions whether to leave the rest for later.
            progress: told how many leaves of how many were looked at.

        Raises:
            InputError: a number of days is out of range.
            LedgerUseError: read-only; log-closed, if bodies would have to be erased.
            KeyFileError, StoreError, StoreContentError, SignerError: as `redact`.
        """
        bodies_end, usage_end = self._end(bodies_days), self._end(usage_days)
        run = _Run(self, stop, progress, bodies_end + usage_end)
        if dry_run:
            return Retained(
                bodies=run.count(0, bodies_end, _bodies),
                usage=run.count(bodies_end, usage_end, _usage),
                finished=False,
            )
        self._signing()
        bodies = records = usage = 0
        try:
            for leaves in run.batches(self._bodies_done, bodies_end, _bodies):
                records += self._erase_bodies(leaves)
                bodies += len(leaves)
                self._bodies_done = leaves[-1] + 1
            for leaves in run.batches(self._usage_done, usage_end, _usage):
                with self._writing(head=False) as transaction:
                    transaction.erase_usage(leaves)
                usage += len(leaves)
                self._usage_done = leaves[-1] + 1
        finally:
            self._wal_holds_erased |= bool(bodies or usage)
            notices = self._clean() if self._wal_holds_erased else ()
        if not run.stopped:
            self._bodies_done = max(self._bodies_done, bodies_end)
            self._usage_done = max(self._usage_done, usage_end)
        return Retained(
            bodies=bodies,
            usage=usage,
            records=records,
            finished=not run.stopped,
            notices=notices,
        )

    def _erase_bodies(self, leaves: tuple[LeafIndex, ...]) -> int:
        with self._writing(head=True) as transaction:
            check_open(self._identity)
            # Another process may have erased some since they were looked for.
            first, end = leaves[0], leaves[-1] + 1
            still = set(transaction.receipts_with_body(first, end, len(leaves)))
            wanted = tuple(leaf for leaf in leaves if leaf in still)
            if not wanted:
                return 0
            made = redact_bodies(
                transaction,
                self._identity,
                self._signing(),
                indices=wanted,
                reason=_REASON,
                now=self._clock(),
            )
        return len(made)

    def _clean(self) -> tuple[str, ...]:
        notices = tuple(empty_log(self._store))
        self._wal_holds_erased = bool(notices)
        return notices

    def _end(self, days: int | None) -> int:
        """Return the first leaf that is still to be kept; 0 if all are."""
        if days is None:
            return 0
        if not 1 <= days <= MAX_DAYS:
            raise InputError("input", f"{days} days are not 1..{MAX_DAYS}")
        earliest = self._clock() - days * DAY_MS
        with self._store.read() as view:
            return bisect_left(
                range(view.leaf_count()),
                earliest,
                key=lambda leaf: view.decoded(LeafIndex(leaf)).logged_at,
            )

    def _found(self, find: Find, lo: int, hi: int) -> tuple[LeafIndex, ...]:
        with self._store.read() as view:
            return find(view, lo, hi)


def _bodies(view: View, lo: int, hi: int) -> tuple[LeafIndex, ...]:
    return view.receipts_with_body(lo, hi, AT_A_TIME)


def _usage(view: View, lo: int, hi: int) -> tuple[LeafIndex, ...]:
    return view.leaves_with_usage(lo, hi, AT_A_TIME)


class _Run:
    """One run under way."""

    def __init__(
        self,
        ledger: LedgerRetention,
        stop: Callable[[], bool],
        progress: Callable[[int, int], None],
        total: int,
    ) -> None:
        self._ledger = ledger
        self._stop = stop
        self._progress = progress
        self._total = total
        self._passed = 0
        self.stopped = False

    def batches(self, lo: int, hi: int, find: Find) -> Iterator[tuple[LeafIndex, ...]]:
        """Yield what is to be erased, a transaction's worth at a time."""
        at = lo
        while at < hi:
            if self._stop():
                self.stopped = True
                return
            started = time.monotonic()
            end = min(at + _SCANNED, hi)
            leaves = self._ledger._found(find, at, end)  # noqa: SLF001 - two halves of one thing
            if leaves:
                yield leaves
            at = leaves[-1] + 1 if len(leaves) == AT_A_TIME else end
            self._progress(self._passed + at, self._total)
            if leaves:  # whoever appends gets half of the time
                time.sleep(min(time.monotonic() - started, 1.0))
        self._passed += hi

    def count(self, lo: int, hi: int, find: Find) -> int:
        """Return how much is to be erased."""
        count, at = 0, lo
        while at < hi:
            end = min(at + _SCANNED, hi)
            leaves = self._ledger._found(find, at, end)  # noqa: SLF001 - as above
            count += len(leaves)
            at = leaves[-1] + 1 if len(leaves) == AT_A_TIME else end
        return count


class RetentionKeeper:
    """Erases at intervals what is older than it is to be kept, on a thread of its own."""

    def __init__(
        self,
        ledger: LedgerRetention,
        *,
        bodies_days: int | None = None,
        usage_days: int | None = None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        """Prepare; `start` and `close`, or a `with` statement, start and end it.

        Args:
            ledger: open for writing; it stays open.
            bodies_days: as in `LedgerRetention.retain`.
            usage_days: as in `LedgerRetention.retain`.
            interval_s: seconds between two runs.
        """
        self._ledger = ledger
        self._bodies_days = bodies_days
        self._usage_days = usage_days
        self._interval_s = interval_s
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, name="nous-ledger-retention", daemon=True
        )

    def start(self) -> None:
        """Start, if anything is to be erased at all; the first run begins at once."""
        if self._bodies_days is not None or self._usage_days is not None:
            self._thread.start()

    def close(self) -> None:
        """End after the transaction that is under way; the rest is done next time."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        self.close()

    def _serve(self) -> None:
        while not self._over.is_set():
            if self._bodies_days is not None or self._usage_days is not None:
                self._run()
            self._over.wait(self._interval_s)

    def _run(self) -> None:
        try:
            done = self._ledger.retain(
                bodies_days=self._bodies_days, usage_days=self._usage_days, stop=self._over.is_set
            )
        except LedgerError as error:
            if error.code == "log-closed" and self._bodies_days is not None:
                self._bodies_days = None  # no record can say so any more; raw usage needs none
                self._run()
            else:
                _log.error("what is old could not be erased: %s", error.code)
            return
        except Exception:  # noqa: BLE001 - whatever it is, the next run may succeed
            _log.exception("what is old could not be erased")
            return
        if done.bodies or done.usage:
            _log.info("erased %s bodies and the raw usage of %s", done.bodies, done.usage)
        for notice in done.notices:
            _log.warning("%s", notice)
