"""Receipts that are put at their places before their transaction begins.

Whoever appends puts its receipt at its place itself, where that is known already, and
every few receipts some are lent to the process that signs. So that signs while the
others of a group are still on their way, and a thread that would do so for them need
not wait for the interpreter that they hold.

What is known is where the log stood at the end of the last transaction. If anyone else
wrote in between, or anything else is not as it was taken to be, all of this is given up
when the transaction begins, and done there as if nothing had been done before: nothing
of it was seen by anybody.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from operator import is_
from typing import Final

from nous_ledger.ledger.errors import LedgerUseError
from nous_ledger.ledger.identity import Identity, Signer
from nous_ledger.ledger.model import Clock, Draft, SubjectHead, Tip
from nous_ledger.ledger.signing_pool import Lending, ReceiptSigning, SigningPool
from nous_ledger.ledger.signing_process import SigningProcessError
from nous_ledger.ledger.staging import Batch
from nous_ledger.ledger.work import HeadWork, IntentWork, Work
from nous_ledger.protocol.types import UnixMillis
from nous_ledger.protocol.values import value

_TOGETHER: Final = 8
"""Receipts that are put at their places at once."""
FRESH_MS: Final = 500
"""Milliseconds after which receipts get a later time."""
_REST: Final = 64
"""Groups that are left alone after one whose places were not what they were taken to be."""


@value
class Known:
    """Where a log stands at the end of a transaction.

    Attributes:
        identity: the log, and the keys in force.
        signer: these keys.
        led_to: the transaction's `leads_to`.
        tip: the last record.
        earliest: time before which nothing may be logged, milliseconds.
        chains: ends of subjects' chains.
    """

    identity: Identity
    signer: Signer
    led_to: Hashable
    tip: Tip
    earliest: UnixMillis
    chains: Mapping[bytes, SubjectHead]


class Ahead:
    """The group of work that is gathering; the committer's lock is held by who uses it.

    Only `follow` and `claim` are called without: by the committer's thread, while no
    group is open.
    """

    def __init__(self, pool: SigningPool, clock: Clock) -> None:
        """Do nothing until it is known where the log stands.

        Args:
            pool: has the process that signs.
            clock: the time in milliseconds.
        """
        self._pool = pool
        self._clock = clock
        self._known: Known | None = None
        self._open: PlacedGroup | None = None
        self._closed: PlacedGroup | None = None
        self._seen = 0
        self._rest = 0

    def look_at(self, waiting: Sequence[tuple[Work, object]], most: int) -> None:
        """Take up the work that came since the last look.

        Args:
            waiting: all that waits, in its order.
            most: how much of it goes into one group.
        """
        end = min(len(waiting), most)
        if self._known is None or end - self._seen < _TOGETHER:
            return
        if self._open is None:
            self._open = PlacedGroup(self._known, self._pool, self._clock())
        start, self._seen = self._seen, end
        self._open.take_up([waiting[at][0] for at in range(start, end)])

    def close(self) -> None:
        """End the group: what waits is for its transaction now."""
        unclaimed, self._closed, self._open = self._closed, self._open, None
        self._known, self._seen = None, 0
        if unclaimed is not None:
            unclaimed.drop()  # its transaction could not begin

    def follow(self, known: Known) -> None:
        """Go on from where a transaction leaves the log if it is committed."""
        if self._rest:
            self._rest -= 1
        else:
            self._known = known

    def claim(self) -> PlacedGroup | None:
        """Return the group whose transaction has begun; None if nothing was done for it."""
        claimed, self._closed = self._closed, None
        return claimed

    def rest(self) -> None:
        """Do nothing for a while: what was done was of no use."""
        self._rest = _REST


class PlacedGroup:
    """The first receipts of a group, at their places and partly signed.

    Attributes:
        known: what their places follow from.
        batch: the receipts.
        signing: their signatures.
        lending: what lends them to the process.
    """

    def __init__(self, known: Known, pool: SigningPool, now: int) -> None:
        """Hold none yet.

        Args:
            known: where the log stands.
            pool: has the process that signs.
            now: milliseconds.
        """
        self.known = known
        self.batch = Batch(now=now, tip=known.tip, earliest=known.earliest, chains=known.chains)
        self.signing = ReceiptSigning(known.identity, known.signer, self.batch)
        self.lending: Lending | None = pool.lend(self.signing)
        self._pool = pool
        self._begun: set[bytes] = set()
        self._full = self.lending is None
        self._sound = True
        self._failed = False

    def take_up(self, works: Sequence[Work]) -> None:
        """Put receipts at their places, up to the first of which that is not known."""
        lending = self.lending
        if self._full or lending is None or not self._sound:
            return
        self._sound = False  # also if Ctrl-C ends this somewhere
        try:
            self._full = not all(map(self._add, works))
            lending.lend_ahead(len(self.batch.drafts))
        except SigningProcessError:
            self._full = self._failed = True
        except Exception:  # noqa: BLE001 - whoever commits it meets the same and answers
            self._full = True
        else:
            self._sound = True

    def _add(self, work: Work) -> bool:
        """Add a receipt; return whether the place of the next one is known too."""
        if isinstance(work, IntentWork):
            self._begun.add(work.intent.draft.id)
        if not isinstance(work, Draft):
            return isinstance(work, IntentWork | HeadWork)
        if work.receipt.id in self._begun or not self.batch.is_known(work):
            return False
        try:
            self.batch.add_one(work)
        except LedgerUseError:  # it is there twice: nothing was done
            return False
        return True

    def is_of(self, drafts: Sequence[Draft]) -> bool:
        """Return whether these drafts are those at their places, and more."""
        placed = self.batch.drafts
        return self._sound and len(drafts) >= len(placed) and all(map(is_, placed, drafts))

    def drop(self) -> None:
        """Give all of it up."""
        if self._failed:
            self._pool.give_up()
        elif not self._sound:
            self._pool.end_process()
        elif self.lending is not None:
            self.lending.drop()
