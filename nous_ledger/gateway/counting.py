"""Counting tokens beside the event loop: in a process of its own.

Loading a vocabulary keeps the interpreter to itself for up to half a second, and so does
counting some texts for a while; a thread that did it would hold up every call. The
process is started when the first text is to be counted. Texts go to it through a pipe
and counts come back as events of the loop. What waits for it is bounded in number, bytes
and time: beyond that a text is not counted, and its receipt says less. It ends with the
pipe; after it died it is started anew, at once or, if it keeps dying, after a pause.
"""

from __future__ import annotations

import asyncio
import logging
import subprocess
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from nous_ledger.ledger.own_programs import start_program
from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile import counting_child
from nous_ledger.reconcile.counting_child import (
    ANSWER,
    COUNTED,
    GREETING,
    NOT_HERE,
    find_range,
    write_encoding,
    write_request,
)
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.tokenizers import Encoding

MAX_WAITING: Final = 1_024
"""Most requests without an answer."""
MAX_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Their length together."""
MANY_TEXTS: Final = 1_024
"""More are put together beside the event loop."""
PATIENCE_S: Final = 10.0
"""Seconds after which a text is given up, and a process that counted nothing meanwhile."""
LASTING: Final = frozenset(NOT_HERE.values())
"""Codes of errors after which no text is counted in an encoding any more."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
"""Before a process is started anew where others died within the last minute."""

_log: Final = logging.getLogger("nous_ledger.gateway")

_PROGRAM: Final = Path(counting_child.__file__)

Answer = tuple[int, tuple[int, int], str]
"""What became of a request, the range of its tokens, a message."""


class Counter(ABC):
    """Counts tokens, and remembers in which encodings that cannot be done here."""

    def __init__(self) -> None:
        """Know of no encoding yet."""
        self._absent: dict[Encoding, RecountError] = {}

    async def count(self, encoding: Encoding, texts: Sequence[str]) -> TokenCount | None:
        """Return the tokens of texts, each by itself; None for texts that have no count.

        Raises:
            RecountError: no-tokenizer or wrong-vocabulary: no text can be counted in this
                encoding; counter-busy, counter-late, counter-ended: these were not.
        """
        found = await self._known(encoding, texts, ranged=False)
        return None if found is None else TokenCount(found[0])

    async def claude_range(self, encoding: Encoding, text: str) -> tuple[int, int] | None:
        """Return the range of a text by method claude-range/1, None if it has none.

        Args:
            encoding: what the range is drawn from.
            text: an answer of one choice of plain text.

        Raises:
            RecountError: as `count`.
        """
        return await self._known(encoding, (text,), ranged=True)

    async def _known(
        self, encoding: Encoding, texts: Sequence[str], *, ranged: bool
    ) -> tuple[int, int] | None:
        absent = self._absent.get(encoding)
        if absent is not None:
            raise RecountError(absent.code, absent.message)
        try:
            return await self._find(encoding, texts, ranged=ranged)
        except RecountError as error:
            if error.code in LASTING:
                self._absent[encoding] = error
            raise

    @abstractmethod
    async def _find(
        self, encoding: Encoding, texts: Sequence[str], *, ranged: bool
    ) -> tuple[int, int] | None:
        """Do as `counting_child.find_range`, beside the event loop."""


class ThreadCounter(Counter):
    """Counts in threads of this process, for programs that wait for nothing else."""

    async def _find(
        self, encoding: Encoding, texts: Sequence[str], *, ranged: bool
    ) -> tuple[int, int] | None:
        return await asyncio.to_thread(find_range, encoding, texts, ranged=ranged)


class _Link(asyncio.Protocol):
    """One process, the pipes to it, and who waits for its answers.

    Attributes:
        ended: nothing can be asked any more.
        pid: its id, once it was started.
    """

    def __init__(self, on_death: Callable[[], None]) -> None:
        """Start nothing yet.

        Args:
            on_death: called when it ends although nobody ended it.
        """
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._asked: deque[tuple[asyncio.Future[Answer], int]] = deque()
        self._waiting_bytes = 0
        self._unsent: list[bytes] = []
        self._heard = bytearray()
        self._greeted = False
        self._to: asyncio.WriteTransport | None = None
        self._progress = 0.0
        self.pid: int | None = None

    @property
    def ended(self) -> bool:
        return self._over.done()

    async def run(self) -> None:
        """Start the process, and stay until it has ended."""
        try:
            process = await asyncio.to_thread(start_program, _PROGRAM, talking=True)
        except OSError:
            self._die()
            return
        self.pid = process.pid
        try:
            if not self.ended:
                await self._talk(process)
        finally:
            self._die()
            process.kill()
            await asyncio.to_thread(process.wait)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()

    async def _talk(self, process: subprocess.Popen[bytes]) -> None:
        """Hold the pipes to a process until it is over."""
        reading, _ = await self._loop.connect_read_pipe(lambda: self, process.stdout)
        try:
            self._to, _ = await self._loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
            self._send_unsent()
            await self._over
        finally:
            reading.close()
            if self._to is not None:
                self._to.abort()

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Send a request, now or when the process is ready, and return its answer to come.

        Raises:
            RecountError: counter-busy: too much waits already.
        """
        waiting = self._waiting_bytes + len(request)
        if len(self._asked) >= MAX_WAITING or waiting > MAX_WAITING_BYTES:
            raise RecountError("counter-busy", "too much waits for the counting process")
        if not self._asked:
            self._progress = self._loop.time()
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._asked.append((answer, len(request)))
        self._waiting_bytes = waiting
        if self._to is not None and self._greeted:
            self._to.write(request)
        else:
            self._unsent.append(request)
        return answer

    def end(self) -> None:
        """End the process; a second call does nothing."""
        if self._over.done():
            return
        self._over.set_result(None)
        for answer, _ in self._asked:
            if not answer.done():
                answer.set_exception(RecountError("counter-ended", "the counting process ended"))
        self._asked.clear()
        self._unsent.clear()

    def end_if_stuck(self) -> None:
        """End the process if it has answered nothing for as long as one waits."""
        if self._asked and self._loop.time() - self._progress > PATIENCE_S / 2:
            self._die()

    def data_received(self, data: bytes) -> None:
        """Take what the process says."""
        self._heard += data
        if not self._greeted:
            if len(self._heard) < len(GREETING):
                return
            if not self._heard.startswith(GREETING):  # no other program gets a text
                self._die()
                return
            del self._heard[: len(GREETING)]
            self._greeted = True
            self._send_unsent()
        while (answer := self._next_answer()) is not None:
            self._hand_over(answer)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Take it that the process has ended."""
        self._die()

    def _die(self) -> None:
        if not self.ended:
            self.end()
            self._on_death()

    def _send_unsent(self) -> None:
        if self._to is not None and self._greeted and self._unsent:
            self._to.writelines(self._unsent)
            self._unsent.clear()

    def _next_answer(self) -> Answer | None:
        if len(self._heard) < ANSWER.size:
            return None
        outcome, lower, upper, length = ANSWER.unpack_from(self._heard)
        end = ANSWER.size + length
        if len(self._heard) < end:
            return None
        message = self._heard[ANSWER.size : end].decode("utf-8", "replace")
        del self._heard[:end]
        return outcome, (lower, upper), message

    def _hand_over(self, answer: Answer) -> None:
        if not self._asked:  # nobody asked for that
            self._die()
            return
        waiting, size = self._asked.popleft()
        self._waiting_bytes -= size
        self._progress = self._loop.time()
        if not waiting.done():
            waiting.set_result(answer)


class ProcessCounter(Counter):
    """Counts in a process of its own. Belongs to one event loop."""

    def __init__(self) -> None:
        """Start nothing: that is done when there is something to count."""
        super().__init__()
        self._link: _Link | None = None
        self._closed = False
        self._died = float("-inf")
        self._pause = 0.0
        self._running: set[asyncio.Task[None]] = set()
        self._written: dict[Encoding, bytes] = {}

    @property
    def pid(self) -> int | None:
        """The id of the process, None while there is none."""
        return None if self._link is None or self._link.ended else self._link.pid

    async def close(self) -> None:
        """End the process; what still waits is not counted, nor is what comes later."""
        self._closed = True
        if self._link is not None:
            self._link.end()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _find(
        self, encoding: Encoding, texts: Sequence[str], *, ranged: bool
    ) -> tuple[int, int] | None:
        written = self._written.get(encoding)
        if written is None:
            written = self._written[encoding] = write_encoding(encoding)
        if len(texts) > MANY_TEXTS:
            request = await asyncio.to_thread(write_request, written, texts, ranged=ranged)
        else:
            request = write_request(written, texts, ranged=ranged)
        link = self._live()
        answer = link.ask(request)
        try:
            async with asyncio.timeout(PATIENCE_S):
                outcome, found, message = await answer
        except TimeoutError:
            link.end_if_stuck()
            raise RecountError("counter-late", "the counting process takes too long") from None
        if outcome in NOT_HERE:
            raise RecountError(NOT_HERE[outcome], message)
        return found if outcome == COUNTED else None

    def _live(self) -> _Link:
        """Return the process, which may be about to start."""
        if self._link is None or self._link.ended:
            if self._closed or time.monotonic() < self._died + self._pause:
                raise RecountError("counter-ended", "the counting process died a moment ago")
            self._link = _Link(self._has_died)
            task = asyncio.create_task(self._link.run())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return self._link

    def _has_died(self) -> None:
        now, kept = time.monotonic(), self._pause
        again = now < self._died + 2 * LONGEST_PAUSE_S
        self._pause = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, 2 * kept)) if again else 0.0
        self._died = now
        _log.warning("the process that counts tokens ended; it is started anew when needed")
