"""Signing on two cores.

Whoever has receipts to sign puts the next few at their places in their subjects'
chains, again and again, and lends them to a process that signs, as long as that keeps
up; the others it signs itself. The process is started once there was much to sign.
Until then, or where the key is not ours to lend, a thread helps: the curve library
lets other threads run while it computes.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Self

from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.signing_process import SigningProcess, SigningProcessError
from nous_ledger.ledger.staging import Batch
from nous_ledger.protocol.record import TYPE_RECEIPT, leaf_hash, prepare_record
from nous_ledger.protocol.signer import DigestSigner
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Hash32, LeafIndex

_AT_A_TIME: Final = 8
_WORTH_HELP: Final = 16
"""Receipts for which waking the helper pays."""
_WORTH_PROCESS: Final = 4_096
"""Receipts within `_WHILE_S`, in groups that are worth help, at which a process is started."""
_WHILE_S: Final = 2.0
_TOGETHER: Final = 16
"""Receipts that are lent at once: fewer wake the process more often."""
_LENT: Final = 256
"""Receipts that the process has at once: their digests must fit into any pipe."""


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
        other = self._process_for(work.key)
        if other is None:
            return None
        lending = Lending(self, other, work)
        lending.lend_until(end)
        return lending

    def sign(self, work: ReceiptSigning, end: int) -> None:
        """Sign with the helper what is not signed yet, up to a receipt.

        Raises:
            LedgerError: whatever the signer raised.
        """
        helping = None
        if end - work.done >= _WORTH_HELP:
            with contextlib.suppress(RuntimeError):  # no thread, as while the program ends
                helping = self._helper.submit(work.sign_until, end)
        try:
            work.sign_until(end)
        finally:
            if helping is not None:
                helping.result()

    def _process_for(self, key: DigestSigner) -> SigningProcess | None:
        """Return the process that signs with a key, once it is worth having and ready."""
        is_worth = self._other is not None or self._signed >= _WORTH_PROCESS
        if self._alone or not is_worth or type(key) is not SigningKey:
            return None
        try:
            if self._other is None or self._other.public_key != key.public_key:
                self.end_process()
                self._other = SigningProcess(key)
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
    """Receipts that a process is signing; all are signed at the end of a `with` block."""

    def __init__(self, pool: SigningPool, other: SigningProcess, work: ReceiptSigning) -> None:
        """Lend nothing yet."""
        self._pool = pool
        self._other = other
        self._work = work
        self._lent: deque[Lent] = deque()
        self._number = 0

    def lend_until(self, end: int) -> None:
        """Take receipts and lend those that the process keeps up with; sign the others.

        Raises:
            LedgerError: whatever the signer raised.
        """
        work = self._work
        with self._failing():
            while taken := work.take(end, _TOGETHER):
                while self._lent and self._other.has_answer():
                    self._take_back()
                if self._number < _LENT:
                    self._lent.append(work.prepare(*taken))
                    self._number += len(taken[1])
                    self._other.send(self._lent[-1].digests)
                else:
                    work.sign(*taken)
        work.sign_until(end)  # what is left if the process failed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._pool.end_process()  # nobody waits for its answers any more
            return
        with self._failing():
            while self._lent:
                self._take_back()

    def _take_back(self) -> None:
        lent = self._lent[0]
        self._work.put(lent, self._other.receive(len(lent.digests)))
        self._lent.popleft()
        self._number -= len(lent.digests)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Sign here what a process had that fails; leave none that still has something."""
        try:
            yield
        except SigningProcessError:
            self._pool.give_up()
            for lent in self._lent:
                self._work.put(lent, [self._work.key.sign(digest) for digest in lent.digests])
            self._lent.clear()
        except BaseException:
            self._pool.end_process()
            raise


class Lent(NamedTuple):
    """Receipts that follow each other, without their signatures."""

    first: int
    parts: list[bytes]
    digests: list[Hash32]


class ReceiptSigning:
    """The receipts of a batch, being put at their places and signed.

    Attributes:
        key: what signs.
        done: how many somebody has taken up.
        records: the records, 120 bytes each, empty until they are signed.
        leaves: their leaf hashes.
    """

    def __init__(self, identity: Identity, signer: Signer, batch: Batch) -> None:
        """Sign nothing yet."""
        self.done = 0
        self.records: list[bytes] = [b""] * len(batch.drafts)
        self.leaves: list[Hash32] = [Hash32(b"")] * len(batch.drafts)
        self.key = signer.secp256k1
        self._identity = identity
        self._batch = batch
        self._turn = threading.Lock()  # held by whoever takes up the next receipts
        self._failed = False

    def sign_until(self, end: int) -> None:
        """Sign what nobody has taken up, until there is nothing left before `end`.

        Raises:
            LedgerError: whatever the signer raised; then nobody takes up any more.
        """
        try:
            while taken := self.take(end, _AT_A_TIME):
                self.sign(*taken)
        except BaseException:
            self._failed = True
            raise

    def take(self, end: int, number: int) -> tuple[int, list[Hash32]] | None:
        """Put the next receipts at their places, before `end` and at most so many.

        Returns:
            Which is the first of them, and their body hashes; None if none are left.
        """
        with self._turn:
            first = self.done
            last = min(first + number, end)
            if first >= last or self._failed:
                return None
            hashes = [self._batch.place_next() for _ in range(first, last)]
            self.done = last
            return first, hashes

    def sign(self, first: int, hashes: list[Hash32]) -> None:
        """Sign receipts that were taken."""
        taken = self.prepare(first, hashes)
        self.put(taken, [self.key.sign(digest) for digest in taken.digests])

    def prepare(self, first: int, hashes: list[Hash32]) -> Lent:
        """Return what is to be signed of receipts that were taken."""
        lent = Lent(first, [], [])
        for index, body_hash in enumerate(hashes, self._batch.tip.leaf_count + first):
            part, digest = prepare_record(
                self._identity.log_id,
                type=TYPE_RECEIPT,
                epoch=self._identity.epoch,
                index=LeafIndex(index),
                logged_at=self._batch.logged_at,
                body_hash=body_hash,
            )
            lent.parts.append(part)
            lent.digests.append(digest)
        return lent

    def put(self, lent: Lent, signatures: list[bytes]) -> None:
        """Take the signatures of receipts."""
        for at, (part, signature) in enumerate(
            zip(lent.parts, signatures, strict=True), lent.first
        ):
            record = part + signature
            self.records[at] = record
            self.leaves[at] = leaf_hash(record)
