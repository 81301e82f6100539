"""All witnesses of a log at once: each has a thread of its own, so none holds up another.

A witness is asked about the newest head whenever it has not cosigned that, at most
once a second; after a failure less and less often. Whoever waits for cosignatures
waits for the witnesses that answered last time, and for no other.

Spec:
    PROTOCOL.md WIT-4.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from nous_ledger.ledger.cosigned import split_lines
from nous_ledger.ledger.witnesses import WitnessClient, WitnessReport
from nous_ledger.protocol.note import Note, parse_note

PACE_S: Final = 1.0
"""Least seconds between two requests to one witness."""
MAX_BACK_OFF_S: Final = 300.0
_JOIN_S: Final = 2.0

Monotonic = Callable[[], float]
"""Returns seconds that never go back."""


class Turn:
    """When one witness is asked next.

    Attributes:
        client: the witness.
        failures: requests that failed since the last that did not.
    """

    def __init__(self, client: WitnessClient) -> None:
        """Start with a witness that was not asked yet."""
        self.client = client
        self.failures = 0
        self._done: Note | None = None  # the head that needs no more asking
        self._not_before = float("-inf")

    def wait_s(self, head: Note | None, now: float) -> float | None:
        """Return the seconds until it may be asked about a head; None if it need not be.

        Args:
            head: the newest head with the log's own lines; None for none yet.
            now: monotonic seconds.
        """
        if head is None or head == self._done:
            return None
        return max(0.0, self._not_before - now)

    def finish(self, head: Note, report: WitnessReport, now: float) -> None:
        """Take note of what became of asking about a head."""
        if report.is_failure:
            self.failures += 1
            self._not_before = now + min(PACE_S * 2.0**self.failures, MAX_BACK_OFF_S)
        else:
            self.failures = 0
            self._done = head
            self._not_before = now + PACE_S


class _Round:
    """Somebody who waits for the witnesses to answer about a head or a later one."""

    def __init__(self, number: int, turns: set[Turn]) -> None:
        self.number = number
        self.turns = turns
        self.future: Future[None] = Future()

    def answered(self, turn: Turn, number: int) -> None:
        """Take note of an answer; one that failed is not waited for any longer."""
        if number >= self.number or turn.failures:
            self.turns.discard(turn)


class WitnessRounds:
    """Asks the witnesses of one log about its heads."""

    def __init__(
        self,
        clients: Sequence[WitnessClient],
        tell: Callable[[WitnessReport], object],
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        """Prepare; nobody is asked before `start`.

        Args:
            clients: one for each witness.
            tell: called from any thread when the state of a witness changes.
            monotonic: seconds that never go back.
        """
        self._turns = tuple(Turn(client) for client in clients)
        self._tell = tell
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._head: tuple[bytes, Note] | None = None
        self._number = 0  # of the heads announced so far
        self._rounds: list[_Round] = []
        self._threads: list[threading.Thread] = []
        self._closed = False

    @property
    def reports(self) -> tuple[WitnessReport, ...]:
        """How each witness stands, in the order of the configuration."""
        return tuple(turn.client.report for turn in self._turns)

    def start(self) -> None:
        """Start a thread for each witness."""
        for turn in self._turns:
            name = f"nous-ledger-witness-{len(self._threads)}"
            thread = threading.Thread(target=self._serve, args=(turn,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def announce(self, head: bytes) -> None:
        """Have the witnesses asked about a stored head; the newest replaces earlier ones."""
        if self._head is not None and self._head[0] == head:
            return
        own = split_lines(parse_note(head))[0]
        with self._changed:
            if self._head is None or self._head[1] != own:
                self._head = (head, own)
                self._number += 1
                self._changed.notify_all()

    def settled(self) -> Future[None]:
        """Return what is done once every witness that answers has answered about this head.

        Witnesses that failed last time are asked, but not waited for.
        """
        with self._changed:
            waiting = _Round(self._number, {t for t in self._turns if self._is_awaited(t)})
            if waiting.turns and not self._closed:
                self._rounds.append(waiting)
            else:
                waiting.future.set_result(None)
        return waiting.future

    def close(self) -> None:
        """Cut all requests short and end the threads; a second call does nothing."""
        with self._changed:
            self._closed = True
            rounds, self._rounds = self._rounds, []
            self._changed.notify_all()
        resolve_all(waiting.future for waiting in rounds)
        for turn in self._turns:
            turn.client.close()
        for thread in self._threads:
            thread.join(_JOIN_S)  # only the look-up of a name can take longer

    def _is_awaited(self, turn: Turn) -> bool:
        return not turn.failures and self._wait_s(turn) is not None

    def _wait_s(self, turn: Turn) -> float | None:
        own = None if self._head is None else self._head[1]
        return turn.wait_s(own, self._monotonic())

    def ask_due(self, turn: Turn) -> float | None:
        """Ask one witness if it is its turn; return the seconds to wait, None for ever."""
        with self._changed:
            head, number, wait = self._head, self._number, self._wait_s(turn)
        if head is None or wait is None or wait > 0:
            return wait
        before = turn.client.report.state
        report = turn.client.ask(head[0])
        with self._changed:
            turn.finish(head[1], report, self._monotonic())
            for waiting in self._rounds:
                waiting.answered(turn, number)
            done = [waiting for waiting in self._rounds if not waiting.turns]
            self._rounds = [waiting for waiting in self._rounds if waiting.turns]
        resolve_all(waiting.future for waiting in done)
        if report.state != before and not self._closed:
            self._tell(report)
        return 0.0

    def _serve(self, turn: Turn) -> None:
        while not self._closed:
            wait = self.ask_due(turn)
            if wait == 0.0:
                continue
            with self._changed:
                wait = self._wait_s(turn)  # a head may have come meanwhile
                if wait != 0.0 and not self._closed:
                    self._changed.wait(wait)


def ask_all(clients: Sequence[WitnessClient], head: bytes) -> tuple[WitnessReport, ...]:
    """Ask some witnesses at the same time, once each, and return what became of it.

    Args:
        clients: one for each witness.
        head: a stored head of their log.
    """
    with ThreadPoolExecutor(max(1, len(clients)), "nous-ledger-witness") as pool:
        return tuple(pool.map(lambda client: client.ask(head), clients))


def resolve(future: Future[None]) -> None:
    """Tell whoever waits for a future, unless they gave up."""
    if future.set_running_or_notify_cancel():
        future.set_result(None)


def resolve_all(futures: Iterable[Future[None]]) -> None:
    """Tell all who wait."""
    for future in futures:
        resolve(future)
