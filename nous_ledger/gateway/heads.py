"""Heads for readers over HTTP: over what they ask for, and cosigned where that can be had.

Without witnesses a head is signed whenever one is asked for and the log has grown.
With witnesses each head costs a request to every one of them, so requests share
heads, and a reader waits a little for the cosignatures; no thread waits with it.

Spec:
    PROTOCOL.md SERV-5, WIT-4; section "Asking a witness".
"""

from __future__ import annotations

import asyncio
from functools import partial

from nous_ledger.gateway.journal import Journal
from nous_ledger.ledger.headkeeper import PATIENCE_S, HeadKeeper
from nous_ledger.ledger.witnesses import WitnessReport


class Heads:
    """Gives readers the heads that they need."""

    def __init__(self, journal: Journal, keeper: HeadKeeper) -> None:
        """Give heads of a ledger.

        Args:
            journal: the ledger.
            keeper: who signs its heads.
        """
        self._journal = journal
        self._ledger = journal.ledger
        self._keeper = keeper

    @property
    def witnesses(self) -> tuple[WitnessReport, ...]:
        """How each witness stands."""
        return self._keeper.witnesses

    async def newest(self) -> bytes:
        """Return the head to show: the newest, or one with more cosignatures that is little older.

        Raises:
            LedgerError: no head could be signed, or the ledger not be read.
        """
        if not self._keeper.has_witnesses:
            return await self._journal.read(self._ledger.head)
        await self._have(None, patience_s=PATIENCE_S)
        return await self._journal.read(self._ledger.cosigned_head)

    async def cover(self, index: int, *, patience_s: float = 0.0) -> None:
        """See that a stored head covers a leaf (SERV-5).

        Args:
            index: the leaf.
            patience_s: most seconds to wait for the head's cosignatures.

        Raises:
            LedgerError: no head could be signed, or the ledger not be read.
        """
        if self._keeper.has_witnesses:
            await self._have(index + 1, patience_s=patience_s)
        else:
            await self._journal.read(self._ledger.head)

    async def _have(self, covering: int | None, *, patience_s: float) -> None:
        ask = partial(self._keeper.request, covering=covering)
        request = await self._journal.read(ask)
        await asyncio.wrap_future(request.signed)
        if patience_s:
            try:
                async with asyncio.timeout(patience_s):
                    await asyncio.wrap_future(request.cosigned)
            except TimeoutError:
                return
