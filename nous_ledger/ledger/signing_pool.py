"""Signing on two cores: the curve library lets other threads run while it computes.

Whoever has receipts to sign does so together with a helper. Each in turn puts the next
few at their places in their subjects' chains, which only one may do at a time, and
signs them while the other is at it. What was signed is stored by a third thread.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.staging import Batch
from nous_ledger.protocol.record import TYPE_RECEIPT, leaf_hash, sign_record
from nous_ledger.protocol.types import Hash32, LeafIndex

_AT_A_TIME: Final = 8
_WORTH_HELP: Final = 16
"""Receipts for which waking the helper pays."""


class SigningPool:
    """The threads that help a ledger; they start when they are first needed."""

    def __init__(self) -> None:
        """Hold no threads yet."""
        self._helper = ThreadPoolExecutor(1, "nous-ledger-sign")
        self._storer = ThreadPoolExecutor(1, "nous-ledger-store")
        self._process = os.getpid()

    def sign(self, work: ReceiptSigning, end: int) -> None:
        """Sign on both cores what is not signed yet, up to a receipt.

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

    def store(self, work: Callable[[], None]) -> Future[None] | None:
        """Run what stores receipts beside what signs the next ones.

        Returns:
            None if no thread could be had, as while the program ends: then it is done.
        """
        todo = [work]  # only one can take it, even if a thread starts later

        def do() -> None:
            todo.pop()()

        try:
            return self._storer.submit(do)
        except RuntimeError:
            do()
            return None

    def close(self) -> None:
        """End the threads; a second call does nothing."""
        if self._process != os.getpid():
            return  # they live in the parent
        self._helper.shutdown()
        self._storer.shutdown()


class ReceiptSigning:
    """The receipts of a batch, being put at their places and signed.

    Attributes:
        done: how many somebody has taken up.
        records: the records, 120 bytes each, empty until they are signed.
        leaves: their leaf hashes.
    """

    def __init__(self, identity: Identity, signer: Signer, batch: Batch) -> None:
        """Sign nothing yet."""
        self.done = 0
        self.records: list[bytes] = [b""] * len(batch.drafts)
        self.leaves: list[Hash32] = [Hash32(b"")] * len(batch.drafts)
        self._identity = identity
        self._key = signer.secp256k1
        self._batch = batch
        self._turn = threading.Lock()  # held by whoever takes up the next receipts
        self._failed = False

    def sign_until(self, end: int) -> None:
        """Sign what nobody has taken up, until there is nothing left before `end`.

        Raises:
            LedgerError: whatever the signer raised; then nobody takes up any more.
        """
        try:
            while taken := self._take(end):
                self._sign(*taken)
        except BaseException:
            self._failed = True
            raise

    def _take(self, end: int) -> tuple[int, list[Hash32]] | None:
        with self._turn:
            first = self.done
            last = min(first + _AT_A_TIME, end)
            if first >= last or self._failed:
                return None
            hashes = [self._batch.place_next() for _ in range(first, last)]
            self.done = last
            return first, hashes

    def _sign(self, first: int, hashes: list[Hash32]) -> None:
        index = self._batch.tip.leaf_count + first
        for number, body_hash in enumerate(hashes):
            record = sign_record(
                self._key,
                self._identity.log_id,
                type=TYPE_RECEIPT,
                epoch=self._identity.epoch,
                index=LeafIndex(index + number),
                logged_at=self._batch.logged_at,
                body_hash=body_hash,
            )
            self.records[first + number] = record
            self.leaves[first + number] = leaf_hash(record)
