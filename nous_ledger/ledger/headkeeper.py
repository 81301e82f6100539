"""Keeps a log's promises about heads, for whatever program holds the ledger open.

    with Ledger.open("ledger") as ledger, HeadKeeper(ledger):
        ...  # append from anywhere; heads and heartbeats are signed in time

A thread signs heads in a third of the time in which every record must be covered, so
that the rest is left for trying again; and it has the log's witnesses cosign.
Any number of processes may keep one log: the ledger stores a head before it returns
it and never signs two that disagree.

Spec:
    PROTOCOL.md HEAD-13, HEAD-15, HEAD-16, WIT-4; section "The head".
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

from nous_ledger.ledger.cosigned import cosigner_count
from nous_ledger.ledger.errors import LedgerUseError, StoreError
from nous_ledger.ledger.ledger import Ledger, system_clock
from nous_ledger.ledger.model import Clock
from nous_ledger.ledger.witness_quorum import heed
from nous_ledger.ledger.witness_rounds import Monotonic, WitnessRounds, resolve
from nous_ledger.ledger.witnesses import Witness, WitnessClient, WitnessReport
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.policy import Policy

PATIENCE_S: Final = 3.0
"""Seconds that `head` waits for cosignatures."""

_log: Final = logging.getLogger("nous_ledger.ledger.heads")
_REQUEST_PACE_S: Final = 0.5
"""Least seconds between two heads on request where witnesses are asked about each."""
_FIRST_RETRY_S: Final = 0.25
_LAST_RETRY_S: Final = 30.0
_ENDED: Final = frozenset({"closed", "other-process", "read-only"})


class KeeperEventKind(StrEnum):
    """What a keeper has to tell."""

    HEAD_FAILED = "head-failed"
    """A head could not be signed or stored; it is tried again, more and more rarely."""
    HEAD_LATE = "head-late"
    """A record has waited for its head for longer than the log promised."""
    HEAD_RECOVERED = "head-recovered"
    """Heads are signed again."""
    WITNESS = "witness"
    """A witness stands otherwise than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperEvent:
    """Something that the operator of a log should hear of.

    Attributes:
        kind: what happened.
        code: code of the error, or state of the witness.
        message: a sentence.
        witness: how the witness stands, if it is about one.
    """

    kind: KeeperEventKind
    code: str
    message: str
    witness: WitnessReport | None = None


def log_event(event: KeeperEvent) -> None:
    """Write an event to the log `nous_ledger.ledger.heads`."""
    failed = event.witness.is_failure if event.witness else event.kind != "head-recovered"
    level = logging.WARNING if failed else logging.INFO
    _log.log(level, "%s: %s: %s", event.kind, event.code, event.message)


@dataclass(frozen=True, slots=True)
class HeadRequest:
    """A head that somebody asked for.

    Attributes:
        signed: gets a note over all that was durable when it was asked for, or an error.
        cosigned: done once the witnesses that answer have answered about it, or none will.
    """

    signed: Future[bytes] = field(default_factory=Future)
    cosigned: Future[None] = field(default_factory=Future)


class HeadKeeper:
    """Signs heads of one ledger in time, for as long as a `with` lasts."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        witnesses: Sequence[Witness] = (),
        policy: Policy | None = None,
        tell: Callable[[KeeperEvent], object] = log_event,
        clock: Clock = system_clock,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        """Prepare to keep a log; entering starts the threads.

        Args:
            ledger: open for writing; it stays open.
            witnesses: who is asked to cosign each head.
            policy: if a quorum of it saw more leaves than the ledger has, that refuses to
                go on; None: no number of witnesses is believed in this.
            tell: called from any thread with what the operator should hear of.
            clock: the time in milliseconds, as the ledger has it.
            monotonic: seconds that never go back.

        Raises:
            LedgerUseError: read-only.
            FormatError: policy-format, if a witness goes by the name of the log.
        """
        if ledger.read_only:
            raise LedgerUseError("read-only", "the ledger was opened without its keys")
        self.ledger = ledger
        self._tell = tell
        self._policy = policy
        self._clock = clock
        self._monotonic = monotonic
        clients = [WitnessClient(ledger, witness, clock=clock) for witness in witnesses]
        self._rounds = WitnessRounds(clients, self._tell_of_witness, monotonic)
        self._interval_s = min(ledger.max_merge_delay_s, ledger.heartbeat_s) / 3
        self._lock = threading.Lock()
        self._requests: list[HeadRequest] = []
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended: LedgerError | None = None
        self._due = self._signed_at = float("-inf")
        self._failures = 0
        self._late = False

    @property
    def failing(self) -> bool:
        """Whether the last head could not be signed."""
        return self._failures > 0

    @property
    def has_witnesses(self) -> bool:
        """Whether anybody is asked to cosign."""
        return bool(self._rounds.reports)

    @property
    def witnesses(self) -> tuple[WitnessReport, ...]:
        """How each witness stands, in the order of the configuration."""
        return self._rounds.reports

    def start(self) -> None:
        """Start the threads; the first head is signed at once if one is due."""
        self._rounds.start()
        self._thread = threading.Thread(target=self._run, name="nous-ledger-heads", daemon=True)
        self._thread.start()

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
        self.close()

    def close(self) -> None:
        """Sign a last head if one is due, and end the threads; a second call does nothing.

        Requests to witnesses are cut short: they are asked again at the next start.
        """
        with self._lock:
            was_running = self._ended is None and self._thread is not None
        self._end(LedgerUseError("closed", "the keeper of the heads was closed"))
        self._rounds.close()
        if self._thread is not None:
            self._thread.join()
        if was_running:
            try:
                self.ledger.head()
            except LedgerError as error:
                self._failed(error, self._monotonic())

    def request(self, *, covering: int | None = None) -> HeadRequest:
        """Ask for a head; returns without waiting for a signature or a witness.

        Args:
            covering: leaves that it has to cover; a stored head will do. None for all
                that are durable now.

        Raises:
            StoreError, StoreContentError: with `covering`, if the ledger cannot be read.
        """
        request = HeadRequest()
        if covering is not None and (stored := self._stored(covering)) is not None:
            self._answer(request, stored)
            return request
        with self._lock:
            if self._ended is None:
                self._requests.append(request)
                self._wake.set()
                return request
        _fail(request, self._ended)
        return request

    def head(self, *, patience_s: float = PATIENCE_S) -> bytes:
        """Return a head with the cosignatures that could be had in a short time.

        A new head is signed if the log has grown. While its witnesses have not
        answered, the head that is returned may be an earlier one with more
        cosignatures, older by at most the log's merge delay.

        Args:
            patience_s: most seconds to wait for witnesses.

        Raises:
            LedgerUseError: closed.
            StoreError, StoreContentError, KeyFileError: no head could be signed.
        """
        request = self.request()
        request.signed.result()
        try:
            request.cosigned.result(patience_s)
        except TimeoutError:
            request.cosigned.cancel()
        return self.ledger.cosigned_head()

    def step(self) -> float:
        """Do what is due and return the seconds until something is again.

        The thread calls it in a loop; without the thread, whoever keeps the time may.
        """
        now = self._monotonic()
        if (wait := self._wait_s(now)) > 0:
            return wait
        with self._lock:
            requests, self._requests = self._requests, []
        try:
            note = self.ledger.head()
        except BaseException as error:
            for request in requests:
                _fail(request, error)
            if not isinstance(error, LedgerError):
                raise
            self._failed(error, now)
        else:
            self._signed(note, now)
            for request in requests:
                self._answer(request, note)
        return max(0.0, self._wait_s(self._monotonic()))

    def _wait_s(self, now: float) -> float:
        """Return the seconds until the next head is due or may be asked for."""
        wait = self._due - now
        with self._lock:
            if self._requests:
                pace = _REQUEST_PACE_S if self.has_witnesses else 0.0
                wait = min(wait, self._signed_at + pace - now)
        return wait

    def _signed(self, note: bytes, now: float) -> None:
        self._due = now + self._interval_s
        self._signed_at = now
        if self._failures:
            text = f"a head was signed after {self._failures} failures"
            self._say(KeeperEvent(kind=KeeperEventKind.HEAD_RECOVERED, code="", message=text))
        self._failures, self._late = 0, False
        self._rounds.announce(note)

    def _failed(self, error: LedgerError, now: float) -> None:
        self._failures += 1
        retry = min(_FIRST_RETRY_S * 2.0 ** (self._failures - 1), _LAST_RETRY_S)
        # Often enough that a disk which is free again is used in time.
        self._due = now + min(retry, self._interval_s / 4)
        self._signed_at = now
        if self._failures == 1:
            self._say(
                KeeperEvent(
                    kind=KeeperEventKind.HEAD_FAILED,
                    code=error.code,
                    message=f"no head could be signed: {error.message}",
                )
            )
        if not self._late and self._is_late():
            self._late = True
            text = f"a record waits for its head for more than {self.ledger.max_merge_delay_s} s"
            self._say(KeeperEvent(kind=KeeperEventKind.HEAD_LATE, code=error.code, message=text))
        if error.code in _ENDED:
            self._end(error)

    def _is_late(self) -> bool:
        try:
            since = self.ledger.uncovered_since()
        except LedgerError:
            return False  # it cannot be read either, which was told already
        return since is not None and self._clock() > since + self.ledger.max_merge_delay_s * 1000

    def _stored(self, covering: int) -> bytes | None:
        try:
            return self.ledger.cosigned_head(covering=covering)
        except StoreError as error:
            if error.code == "not-covered":
                return None
            raise

    def _answer(self, request: HeadRequest, note: bytes) -> None:
        if request.signed.set_running_or_notify_cancel():
            request.signed.set_result(note)
        if cosigner_count(note) >= len(self._rounds.reports):
            resolve(request.cosigned)  # it has all that could be waited for
        else:
            self._rounds.settled().add_done_callback(lambda _: resolve(request.cosigned))

    def _end(self, error: LedgerError) -> None:
        with self._lock:
            self._ended = self._ended or error
            requests, self._requests = self._requests, []
            self._wake.set()
        for request in requests:
            _fail(request, error)

    def _run(self) -> None:
        while self._ended is None:
            try:
                wait = self.step()
            except (Exception, SystemExit):  # noqa: BLE001 - whatever it is, heads go on
                _log.exception("the keeper of the heads failed")
                wait = self._interval_s / 4
            self._wake.wait(wait)
            self._wake.clear()

    def _tell_of_witness(self, report: WitnessReport) -> None:
        if self._policy is not None and report.claimed is not None:
            try:
                heed(self.ledger, self._policy, self.witnesses)
            except LedgerError as error:
                _log.error("what a witness saw could not be noted: %s", error.code)
        self._say(
            KeeperEvent(
                kind=KeeperEventKind.WITNESS,
                code=report.state,
                message=f"{report.name}: {report.message}",
                witness=report,
            )
        )

    def _say(self, event: KeeperEvent) -> None:
        try:
            self._tell(event)
        except (Exception, SystemExit):  # noqa: BLE001 - who listens must not stop the heads
            _log.exception("an event of the heads could not be told")


def _fail(request: HeadRequest, error: BaseException) -> None:
    if request.signed.set_running_or_notify_cancel():
        request.signed.set_exception(error)
    resolve(request.cosigned)
