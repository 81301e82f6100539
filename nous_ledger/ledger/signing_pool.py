"""Signing on two cores: the curve library lets other threads run while it computes.

Whoever has records to sign starts the helper on them, does what else there is to do,
and then signs what is left: both take the next few records from one list.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.protocol.record import TYPE_RECEIPT, leaf_hash, sign_record
from nous_ledger.protocol.types import Hash32, LeafIndex, UnixMillis

_AT_A_TIME: Final = 8
_WORTH_HELP: Final = 16
"""Records for which waking the helper pays."""


class SigningPool:
    """The thread that helps a ledger to sign; it starts when it is first needed."""

    def __init__(self) -> None:
        """Hold no thread yet."""
        self._executor = ThreadPoolExecutor(1, "nous-ledger-sign")

    def start(self, signing: ReceiptSigning) -> None:
        """Let the helper sign, if there is enough to do."""
        if len(signing.hashes) >= _WORTH_HELP:
            signing.helper = self._executor.submit(signing.sign_some)

    def close(self) -> None:
        """End the thread; a second call does nothing."""
        self._executor.shutdown()


class ReceiptSigning:
    """The records of some receipts that follow each other, being signed.

    Attributes:
        hashes: body hashes of the receipts.
        helper: what another thread does of it; None if nothing.
    """

    def __init__(
        self,
        identity: Identity,
        signer: Signer,
        first: LeafIndex,
        logged_at: UnixMillis,
        hashes: Sequence[Hash32],
    ) -> None:
        """Sign nothing yet.

        Args:
            identity: the log.
            signer: its keys in force.
            first: leaf of the first receipt.
            logged_at: time of all of them, milliseconds.
            hashes: their body hashes, in the order of the log.
        """
        self.hashes = hashes
        self.helper: Future[None] | None = None
        self._identity = identity
        self._key = signer.secp256k1
        self._first = first
        self._logged_at = logged_at
        self._starts = iter(range(0, len(hashes), _AT_A_TIME))
        self._records: list[bytes] = [b""] * len(hashes)
        self._leaves: list[Hash32] = [Hash32(b"")] * len(hashes)

    def sign_some(self) -> None:
        """Sign what nobody has begun to sign, until nothing is left."""
        for start in self._starts:
            for number in range(start, min(start + _AT_A_TIME, len(self.hashes))):
                record = sign_record(
                    self._key,
                    self._identity.log_id,
                    type=TYPE_RECEIPT,
                    epoch=self._identity.epoch,
                    index=LeafIndex(self._first + number),
                    logged_at=self._logged_at,
                    body_hash=self.hashes[number],
                )
                self._records[number] = record
                self._leaves[number] = leaf_hash(record)

    def finish(self) -> tuple[list[bytes], list[Hash32]]:
        """Return the records and their leaf hashes, all signed.

        Raises:
            LedgerError: whatever the signer raised.
        """
        self.sign_some()
        if self.helper is not None:
            self.helper.result()
        return self._records, self._leaves

    def stop(self) -> None:
        """Let the helper end with what it is at; what is not signed stays so."""
        for _ in self._starts:
            pass
        if self.helper is not None:
            self.helper.exception()
