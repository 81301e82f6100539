"""Signing on two cores.

Whoever has receipts to sign puts all of them at their places in their subjects'
chains. The first are lent meanwhile to a process that makes their records; while that
works, the store gets what needs no signature; what is left is shared by how far each
side is. The process is started once there was much to sign. Until then, or where the
key is not ours to lend, a thread helps: the curve library lets other threads run while
it computes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.signing_child import ANSWER_LENGTH, sign_receipts
from nous_ledger.ledger.signing_process import SigningProcess, SigningProcessError
from nous_ledger.ledger.staging import Batch
from nous_ledger.protocol.record import RECORD_LENGTH
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Hash32

_AT_A_TIME: Final = 8
_WORTH_HELP: Final = 16
"""Receipts for which asking the process pays."""
_WORTH_THREAD: Final = 64
"""Receipts for which waking the thread pays: two that hand the interpreter to each other all
the time use a fifth more of the processor for each receipt than one."""
_WORTH_PROCESS: Final = 4_096
"""Receipts within `_WHILE_S`, in groups that are worth help, at which a process is started."""
_WHILE_S: Final = 2.0
_TOGETHER: Final = 8
"""Receipts that are lent at once: fewer wake the process more often."""
_LENT: Final = 256
"""Most receipts that the process has at once while something else is to be done."""
_BODY_HASH: Final = slice(23, 55)
"""Where it stands in a record."""
_OWN: Final = 4
"""Receipts that are signed here before it is asked how far the process is."""


class SigningPool:
    """The thread and the process that help a ledger; each starts when it is first needed."""

    def __init__(self) -> None:
        """Hold none yet."""
        self._helper = ThreadPoolExecutor(1, "nous-ledger-sign")
        self._process = os.getpid()
        self._signed = 0
        self._since = 0.0
        self._other: SigningProcess | None = None
        self._alone = False  # a process cannot be had

    def begin(self, work: ReceiptSigning, end: int) -> Lending | None:
        """Put receipts up to one at their places and let the process sign them.

        Returns:
            What has lent them; None if nothing was done, because there is no such
            process or it is not worth while.

        Raises:
            LedgerError: whatever the signer raised.
        """
        if end - work.done < _WORTH_HELP:
            return None
        if time.monotonic() > self._since + _WHILE_S:
            self._signed, self._since = 0, time.monotonic()
        self._signed += end - work.done
        other = self._process_for(work)
        if other is None:
            return None
        lending = Lending(self, other, work)
        lending.begin(end)
        return lending

    def sign(self, work: ReceiptSigning, end: int) -> None:
        """Sign with the helper what is not signed yet, up to a receipt.

        Raises:
            LedgerError: whatever the signer raised.
        """
        helping = None
        if end - work.done >= _WORTH_THREAD:
            with contextlib.suppress(RuntimeError):  # no thread, as while the program ends
                helping = self._helper.submit(work.sign_until, end)
        try:
            work.sign_until(end)
        finally:
            if helping is not None:
                helping.result()

    def _process_for(self, work: ReceiptSigning) -> SigningProcess | None:
        """Return the process that signs with a key, once it is worth having and ready."""
        key = work.key
        is_worth = self._other is not None or self._signed >= _WORTH_PROCESS
        if self._alone or not is_worth or type(key) is not SigningKey:
            return None
        try:
            if self._other is None or self._other.public_key != key.public_key:
                self.end_process()
                self._other = SigningProcess(key, work.log_id)
            return self._other if self._other.is_ready() else None
        except SigningProcessError:
            self.give_up()
            return None

    def give_up(self) -> None:
        """Never use a process again."""
        self._alone = True
        self.end_process()

    def end_process(self) -> None:
        """End the process, if there is one."""
        other, self._other = self._other, None
        if other is not None:
            other.close()

    def close(self) -> None:
        """End threads and process; a second call does nothing."""
        if self._process != os.getpid():
            return  # they live in the parent
        self.end_process()
        self._helper.shutdown()


class Lending:
    """Receipts of which a process makes records; all have theirs at the end of a `with` block."""

    def __init__(self, pool: SigningPool, other: SigningProcess, work: ReceiptSigning) -> None:
        """Lend nothing yet of the receipts from the first that nobody has taken."""
        self._pool = pool
        self._other = other
        self._work = work
        self._lent: deque[range] = deque()
        self._number = 0
        self._next = work.done  # the first that was not lent
        self._end = work.done

    def begin(self, end: int) -> None:
        """Put all receipts at their places and lend the first of them meanwhile.

        Args:
            end: the receipts up to this one.

        Raises:
            LedgerError: a receipt cannot be encoded.
        """
        self._end = end
        most = min(_LENT, (end - self._next) // 2)
        with self._failing():
            while self._work.take(end, _TOGETHER):
                self._supply(most)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._lent.clear()
            self._pool.end_process()  # nobody waits for its answers any more
            return
        with self._failing():
            self._share()
            while self._lent:
                self._take_back()

    def _share(self) -> None:
        """Lend on from the first, as the process keeps up, and sign from the last."""
        while self._next < self._end:
            self._supply(min(_TOGETHER, (self._end - self._next) // 4 + 1))
            start = max(self._next, self._end - _OWN)
            self._work.sign(range(start, self._end))
            self._end = start

    def _supply(self, most: int) -> None:
        """Lend so that the process has `most` receipts, or as many as there are."""
        while self._lent and self._other.has_answer():
            self._take_back()
        while self._number < most:
            last = min(self._next + _TOGETHER, self._next + most - self._number)
            lent = range(self._next, min(last, self._work.done, self._end))
            if not lent or not self._other.send(self._work.place(lent), self._work.hashes_of(lent)):
                return
            self._lent.append(lent)
            self._number += len(lent)
            self._next = lent.stop

    def _take_back(self) -> None:
        lent = self._lent[0]
        answer = self._other.receive(len(lent))
        if answer[_BODY_HASH] != self._work.hashes_of(lent)[0]:
            raise SigningProcessError("it answers something else")
        self._work.put(lent, answer)
        self._lent.popleft()
        self._number -= len(lent)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Sign here what a process had that fails; leave none that still has something."""
        try:
            yield
        except SigningProcessError:
            self._pool.give_up()
            for lent in (*self._lent, range(self._next, min(self._work.done, self._end))):
                self._work.sign(lent)
            self._work.sign_until(self._end)
            self._lent.clear()
            self._next = self._end
        except BaseException:
            self._lent.clear()
            self._pool.end_process()
            raise


class ReceiptSigning:
    """The receipts of a batch, being put at their places and signed.

    Attributes:
        key: what signs.
        log_id: the log, 32 bytes.
        done: how many somebody has taken up.
        records: the records, 120 bytes each, empty until they are signed.
        leaves: their leaf hashes.
    """

    def __init__(self, identity: Identity, signer: Signer, batch: Batch) -> None:
        """Sign nothing yet."""
        self.done = 0
        self.records: list[bytes] = []
        self.leaves: list[Hash32] = []
        self.key = signer.secp256k1
        self.log_id = identity.log_id
        self._epoch = identity.epoch
        self._batch = batch
        self._hashes: list[Hash32] = []
        self._turn = threading.Lock()  # held by whoever takes up the next receipts
        self._failed = False

    def sign_until(self, end: int) -> None:
        """Sign what nobody has taken up, until there is nothing left before `end`.

        Raises:
            LedgerError: whatever the signer raised; then nobody takes up any more.
        """
        try:
            while taken := self.take(end, _AT_A_TIME):
                self.sign(taken)
        except BaseException:
            self._failed = True
            raise

    def take(self, end: int, number: int) -> range:
        """Put the next receipts at their places, before `end` and at most so many."""
        with self._turn:
            first = self.done
            if self._failed or first >= end:
                return range(first, first)
            last = min(first + number, end)
            place_next = self._batch.place_next
            self._hashes += [place_next() for _ in range(first, last)]
            self.records += [b""] * (last - first)
            self.leaves += [Hash32(b"")] * (last - first)
            self.done = last
            return range(first, last)

    def place(self, taken: range) -> tuple[int, int, int]:
        """Return key epoch, first leaf and time of receipts."""
        return self._epoch, self._batch.tip.leaf_count + taken.start, self._batch.logged_at

    def hashes_of(self, taken: range) -> list[Hash32]:
        """Return the body hashes of receipts that are at their places."""
        return self._hashes[taken.start : taken.stop]

    def sign(self, taken: range) -> None:
        """Sign receipts that are at their places."""
        signed = sign_receipts(self.key, self.log_id, self.place(taken), self.hashes_of(taken))
        self.records[taken.start : taken.stop] = [record for record, _ in signed]
        self.leaves[taken.start : taken.stop] = [leaf for _, leaf in signed]

    def put(self, taken: range, answer: bytes) -> None:
        """Keep what another made of receipts: a record and a leaf hash for each."""
        starts = range(0, len(answer), ANSWER_LENGTH)
        self.records[taken.start : taken.stop] = [answer[at : at + RECORD_LENGTH] for at in starts]
        self.leaves[taken.start : taken.stop] = [
            Hash32(answer[at + RECORD_LENGTH : at + ANSWER_LENGTH]) for at in starts
        ]
