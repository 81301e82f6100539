"""What a ledger asks of the place where it is stored: the port, and no storage yet.

Whoever extends, reads, proves, checks or publishes a log is written against these
three protocols; `sqlite_store` fulfils them with a file. What any other store has to
give:

    View              one snapshot: everything read through it belongs together,
                      and all of it is durable
    WriteTransaction  a view that also writes. There is at most one at a time over
                      all processes and machines that share the log, from its first
                      read on: whoever holds it decides the next index. What it
                      wrote is durable as a whole when its block ends, or not at all
    Store             gives both, to any thread

So a store for several gateways needs a lock that all of them ask for (in PostgreSQL
an advisory lock, held by the one sequencer that was elected) and must refuse a
commit from whoever lost it. Callers see neither.

Leaves and nodes are only ever added, at the end and without a gap. What may be erased
(bodies, raw usage, opening hashes) stands apart from what is hashed into the tree.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from nous_ledger.ledger.errors import StoreContentError
from nous_ledger.ledger.model import (
    Entry,
    NewLeaf,
    NewReceipts,
    StoredHead,
    SubjectHead,
    Tip,
)
from nous_ledger.protocol.mmr import peak_positions
from nous_ledger.protocol.record import Record, decode_record
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos, UnixMillis


class View(Protocol):
    """What can be read from the store, in one transaction or outside of any."""

    def log(self) -> tuple[bytes, str]:
        """Return log id and origin.

        Raises:
            StoreContentError: store-corrupt, if no log is named.
        """

    def leaf_count(self) -> LeafCount:
        """Return the number of leaves."""

    def node_total(self) -> int:
        """Return the number of nodes, counted up to the last one."""

    def nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        """Return the nodes at some positions, in the order asked for.

        Raises:
            StoreContentError: store-corrupt, if one is missing.
        """

    def record(self, index: LeafIndex) -> bytes:
        """Return one record.

        Raises:
            StoreContentError: store-corrupt, if it is missing.
        """

    def body(self, index: LeafIndex) -> bytes:
        """Return one body; empty if it was erased."""

    def record_and_body(self, index: LeafIndex) -> tuple[bytes, bytes]:
        """Return one record and its body, empty if it was erased.

        Raises:
            StoreContentError: store-corrupt, if the record is missing.
        """

    def body_bytes(self, at_a_time: int) -> Iterator[tuple[int, int]]:
        """Yield number and length of each group of so many bodies, erased ones left out."""

    def entries(self, lo: int, hi: int) -> tuple[Entry, ...]:
        """Return records and bodies of the leaves `[lo, hi)`, as far as the log goes."""

    def raw_usage(self, index: LeafIndex) -> bytes:
        """Return the joined usage values of one leaf; empty if there are none."""

    def receipts_with_body(self, lo: int, hi: int, limit: int) -> tuple[LeafIndex, ...]:
        """Return the first receipts among `[lo, hi)` whose body was not erased, ascending."""

    def leaves_with_usage(self, lo: int, hi: int, limit: int) -> tuple[LeafIndex, ...]:
        """Return the first leaves among `[lo, hi)` whose raw usage was not erased, ascending."""

    def leaves_of_type(
        self, record_type: int, lo: int, hi: int, limit: int
    ) -> tuple[LeafIndex, ...]:
        """Return the first leaves among `[lo, hi)` that are of a record type, ascending."""

    def find_receipt(self, receipt_id: bytes) -> tuple[LeafIndex, Hash32 | None] | None:
        """Return leaf and opening hash of a receipt."""

    def find_receipts(self, receipt_ids: Sequence[bytes]) -> dict[bytes, LeafIndex]:
        """Return the leaves of those receipts that are logged.

        Args:
            receipt_ids: 16 bytes each.
        """

    def key_events(self) -> tuple[LeafIndex, ...]:
        """Return the leaves that are key events, ascending."""

    def last_head(self) -> StoredHead | None:
        """Return the newest signed head."""

    def head_at(self, leaf_count: LeafCount) -> StoredHead | None:
        """Return the newest signed head over exactly so many leaves."""

    def newest_heads(self, limit: int) -> tuple[StoredHead, ...]:
        """Return at most so many signed heads, the one over the most leaves first."""

    def subjects(self, subjects: Sequence[bytes]) -> dict[bytes, SubjectHead]:
        """Return the ends of those subjects' chains that have begun.

        Args:
            subjects: 32 bytes each.
        """

    def intents(self) -> tuple[tuple[bytes, Hash32 | None], ...]:
        """Return draft and opening hash of every open intent, oldest id first."""

    def find_calls(self, receipt_ids: Sequence[bytes]) -> set[bytes]:
        """Return those ids of which there is a receipt or an open intent.

        Args:
            receipt_ids: 16 bytes each.
        """

    def decoded(self, index: LeafIndex) -> Record:
        """Return one record, decoded."""
        return decode_record(self.record(index))

    def tip(self) -> Tip:
        """Return where the log stands.

        Raises:
            StoreContentError: store-corrupt, if the last record is not at its place
                or a peak is missing.
        """
        count = self.leaf_count()
        if not count:
            return Tip(leaf_count=count, logged_at=UnixMillis(0), peaks=())
        last = LeafIndex(count - 1)
        record = self.decoded(last)
        if record.index != last:
            raise StoreContentError("store-corrupt", f"the record at {last} is not its own")
        peaks = self.nodes(peak_positions(count))
        return Tip(leaf_count=count, logged_at=record.logged_at, peaks=peaks)


class WriteTransaction(View, Protocol):
    """Reads and writes that become durable together, or not at all.

    Attributes:
        follows: equal to what `leads_to` was of an earlier transaction of the same store
            exactly if that was committed and nobody, of this process or another, has
            written since: what was known at its end still holds.
        leads_to: names the state in which this one leaves the store.
    """

    follows: Hashable
    leads_to: Hashable

    def add_leaves(self, leaves: Sequence[NewLeaf]) -> None:
        """Write new leaves that are no receipts."""

    def add_receipts(self, first: LeafIndex, receipts: NewReceipts) -> None:
        """Write what belongs to receipts but for their records; fulfilled intents go.

        Args:
            first: leaf of the first of them; the others follow it.
            receipts: in the order of the log.
        """

    def add_records(self, first: LeafIndex, records: Sequence[bytes]) -> None:
        """Write the records of receipts.

        Args:
            first: leaf of the first of them; the others follow it.
            records: 120 bytes each.
        """

    def add_nodes(self, first: int, nodes: Sequence[Hash32]) -> None:
        """Write new nodes of the tree.

        Args:
            first: position of the first of them, the end of the array so far.
            nodes: in the order of the array.
        """

    def put_subjects(self, heads: Mapping[bytes, SubjectHead]) -> None:
        """Write the new ends of some subjects' chains."""

    def add_intents(self, intents: Sequence[tuple[bytes, bytes, Hash32 | None]]) -> None:
        """Write calls that were admitted.

        Args:
            intents: receipt id, draft and opening hash of each; none of them is there yet.
        """

    def put_head(self, head: StoredHead) -> None:
        """Write a signed head; one over the same leaves gives way to the newer."""

    def erase(self, leaves: Mapping[LeafIndex, bytes | None]) -> None:
        """Overwrite bodies, raw usage and opening hashes.

        Args:
            leaves: with the receipt id of each, None where it cannot be read: finding
                its row then takes a look at all of them.
        """

    def erase_usage(self, leaves: Sequence[LeafIndex]) -> None:
        """Overwrite raw usage alone."""


class Store(Protocol):
    """A log at rest, open in this process.

    Attributes:
        path: where it lies.
        read_only: whether nothing can be written.
    """

    path: Path
    read_only: bool

    def read(self) -> AbstractContextManager[View]:
        """Give a view of what is durable, as it stands at the first read.

        Raises:
            LedgerUseError: closed, other-process.
            StoreError, StoreContentError: the store could not be read.
        """

    def write(self) -> AbstractContextManager[WriteTransaction]:
        """Give a transaction that is durable when the block ends without an error.

        After an error in the commit itself nobody knows what became durable: whoever
        goes on reads the store afresh.

        Raises:
            LedgerUseError: closed, other-process, read-only.
            StoreError, StoreContentError: the store could not be written.
        """

    def empty_log(self) -> bool:
        """Let what was erased leave the store's own log of changes, too.

        Returns:
            Whether that was possible: somebody may still be reading from it.

        Raises:
            LedgerUseError: closed, other-process.
            StoreError, StoreContentError: the store could not be written.
        """

    def close(self) -> None:
        """Close the store; a second call does nothing."""
