"""What can be read from a ledger, with or without its keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from nous_ledger.ledger.cosigned import (
    RECENT_HEADS,
    choose_head,
    cosigner_count,
    largest_cosigned,
    most_cosigned,
)
from nous_ledger.ledger.errors import StoreContentError, StoreError
from nous_ledger.ledger.identity import Identity, read_history, read_identity
from nous_ledger.ledger.listing import ReceiptFilter, ReceiptRow, list_receipts
from nous_ledger.ledger.model import Entry, Intent, StoredHead, SubjectHead
from nous_ledger.ledger.proofs import log_vkeys, policy_text
from nous_ledger.ledger.proving import HeadProver, NodeCache
from nous_ledger.ledger.reconciling import EvidenceBook, Reconciled, read_reconciled
from nous_ledger.ledger.store import Store, View
from nous_ledger.ledger.usage import split_usage
from nous_ledger.protocol.bodies import Reconciliation, decode_body
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError, ProofError
from nous_ledger.protocol.keyhistory import KeyHistory
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.proof import prove_consistency
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import TYPE_RECEIPT, decode_record
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, LogId, NodePos, UnixMillis
from nous_ledger.protocol.vkey import VerifierKey, format_vkey

MAX_RANGE: Final = 4_096
"""Most leaves of one range read."""


class LedgerReader:
    """The reading half of a ledger; every answer is about durable records only.

    Attributes:
        folder: where the ledger lies.
        log_id: identity of the log, 32 bytes.
        origin: name of the log.
        max_merge_delay_s: seconds within which a head covers every record.
        heartbeat_s: most seconds between two heads.
    """

    def __init__(self, folder: Path, store: Store, identity: Identity) -> None:
        """Read a store."""
        self.folder = folder
        self.log_id: LogId = identity.log_id
        self.origin: str = identity.origin
        self.max_merge_delay_s: int = identity.max_merge_delay_s
        self.heartbeat_s: int = identity.heartbeat_s
        self._store = store
        self._identity = identity
        self._heads: tuple[StoredHead, ...] = ()
        self._nodes = NodeCache()
        self._prover: HeadProver | None = None
        self._evidence = EvidenceBook()

    @property
    def head_interval_s(self) -> float:
        """Seconds after which `head` is to be asked for again to keep the log's promises."""
        return min(self.max_merge_delay_s, self.heartbeat_s) / 2

    def leaf_count(self) -> LeafCount:
        """Return the number of leaves."""
        with self._store.read() as view:
            return view.leaf_count()

    def latest_head(self) -> bytes:
        """Return the newest signed head that is stored; nothing is signed.

        Raises:
            StoreContentError: store-corrupt, if there is none.
        """
        with self._store.read() as view:
            head = view.last_head()
        if head is None:
            raise StoreContentError("store-corrupt", "the log has no signed head")
        return head.note

    def stored_heads(self) -> tuple[bytes, ...]:
        """Return the newest signed heads, at most 64, the one over the most leaves first."""
        with self._store.read() as view:
            return tuple(head.note for head in view.newest_heads(RECENT_HEADS))

    def head(self) -> bytes:
        """Return a head over every record, as far as one can be had."""
        return self.latest_head()

    def cosigned_head(self, *, covering: int = 0) -> bytes:
        """Return the stored head with the most cosignatures; nothing is signed.

        Args:
            covering: leaves that it has to cover. Of 0, any head serves that is older
                than the newest by no more than the log's merge delay.

        Raises:
            StoreError: not-covered, if no stored head covers so many leaves.
        """
        with self._store.read() as view:
            heads = self._recent_heads(view)
        since = 0 if covering else heads[0].timestamp - self.max_merge_delay_s
        head = choose_head(heads, at_least=covering, since=since)
        if head is None:
            raise StoreError("not-covered", f"no signed head covers {covering} leaves yet")
        return head.note

    def cosigned_size(self, key: VerifierKey) -> LeafCount:
        """Return the leaves of the largest stored head with a line of this key; 0 for none."""
        with self._store.read() as view:
            return largest_cosigned(view.newest_heads(RECENT_HEADS), key)

    def uncovered_since(self) -> UnixMillis | None:
        """Return the time of the oldest record that no signed head covers; None if there is none.

        Raises:
            StoreError, StoreContentError: the database could not be read.
        """
        with self._store.read() as view:
            head = view.last_head()
            covered = LeafIndex(0 if head is None else head.leaf_count)
            return view.decoded(covered).logged_at if covered < view.leaf_count() else None

    def prove(self, index: int, head: bytes | None = None, *, with_body: bool = True) -> bytes:
        """Return a `.tlog-proof` file for one record, with all key events of the head.

        Args:
            index: leaf to prove.
            head: a signed head of this log to prove it under; None for one that
                witnesses cosigned, or else the newest.
            with_body: whether the body goes with the proof.

        Raises:
            ProofError: proof-index (no such leaf, or not under this head),
                proof-counts, root-mismatch.
            StoreError: not-covered, if the newest stored head does not cover it yet.
            HeadError, FormatError: `head` is not a head of this log.
        """
        if head is None:
            self._check_index(index)
            head = self._head_over(index)
        with self._store.read() as view:
            prover = self._prover
            if prover is None or prover.note != head:
                prover = HeadProver(view, self._identity, head, self._nodes)
                self._prover = prover
            return prover.bundle(view, LeafIndex(index), with_body=with_body)

    def consistency(self, old: int, new: int) -> tuple[Hash32, ...]:
        """Return the proof that the tree of `new` leaves extends that of `old`.

        Raises:
            ProofError: proof-counts, if not 1 <= old <= new <= leaf count.
        """
        with self._store.read() as view:
            if new > view.leaf_count():
                raise ProofError("proof-counts", f"the log does not have {new} leaves yet")
            return prove_consistency(view.nodes, LeafCount(old), LeafCount(new))

    def prove_consistency(self, old: int, new: int) -> tuple[Hash32, ...]:
        """Do as `consistency`, its other name."""
        return self.consistency(old, new)

    def read(self, leaves: range) -> tuple[Entry, ...]:
        """Return records and bodies of some leaves; opening hashes are left out.

        Args:
            leaves: at most 4,096 that follow each other, such as `range(0, 10)`.

        Raises:
            InputError: the range is longer, has gaps, or is not within the log.
        """
        if leaves.step != 1:
            raise InputError("input", f"{leaves} has gaps or goes backwards")
        return self._read_range(leaves.start, leaves.stop)

    def vkeys(self) -> tuple[str, str]:
        """Return the log's verifier keys as text: Ed25519, then the one with the log id."""
        ed25519, head = log_vkeys(self._identity_now())
        return format_vkey(ed25519), format_vkey(head)

    def policy_text(self) -> bytes:
        """Return a trust policy for this log alone, without witnesses."""
        return policy_text(self._identity_now())

    def key_history(self) -> KeyHistory:
        """Return the log's keys by epoch, what was reported suspect, and whether it ended.

        Raises:
            StoreContentError: store-corrupt.
        """
        with self._store.read() as view:
            return read_history(view)

    def find_receipt(self, receipt_id: bytes) -> Entry | None:
        """Return the entry of a receipt, or None if the log has no such id.

        Args:
            receipt_id: 16 bytes.
        """
        with self._store.read() as view:
            found = view.find_receipt(receipt_id)
            if found is None:
                return None
            leaf, opening_hash = found
            return Entry(
                index=leaf,
                record=view.record(leaf),
                body=view.body(leaf),
                opening_hash=opening_hash,
            )

    def reconciled(self) -> tuple[LeafIndex, ...]:
        """Return the leaves of receipts that have later evidence now, ascending."""
        with self._store.read() as view:
            self._evidence.follow(view)
        return self._evidence.named()

    def reconciliations(self, index: int) -> Reconciled | None:
        """Return what was logged of a receipt later; None if nothing was, or it was erased.

        Evidence that was logged after the last call of `reconciled` may be left out.

        Args:
            index: leaf of the receipt.
        """
        leaves = self._evidence.leaves_of(index)
        if not leaves:
            return None
        with self._store.read() as view:
            data, body = view.record_and_body(LeafIndex(index))
            record = decode_record(data)
            receipt = decode_body(record.type, body) if body else None
            if not isinstance(receipt, Receipt):
                return None
            return read_reconciled(view, receipt, record.body_hash, leaves)

    def new_reconciliations(
        self, claims: Sequence[Reconciliation]
    ) -> tuple[Reconciliation | None, ...]:
        """Return what `append_reconciliations` would log, None for what it would leave out.

        Raises:
            LedgerError: as `append_reconciliations`.
        """
        with self._store.read() as view:
            self._evidence.follow(view)
            return self._evidence.new_ones(claims, view)

    def subject_head(self, subject: bytes) -> SubjectHead:
        """Return the end of a subject's chain of receipts.

        Args:
            subject: 32 bytes.
        """
        with self._store.read() as view:
            return view.subjects([subject]).get(subject, SubjectHead())

    def entry(self, index: int) -> Entry:
        """Return one entry; its opening hash is left out.

        Raises:
            ProofError: proof-index, if the log does not have this leaf.
        """
        self._check_index(index)
        with self._store.read() as view:
            leaf = LeafIndex(index)
            return Entry(index=leaf, record=view.record(leaf), body=view.body(leaf))

    def read_raw_usage(self, index: int) -> tuple[bytes, ...]:
        """Return the provider's usage values of one receipt, as they came; () if not kept."""
        with self._store.read() as view:
            return split_usage(view.raw_usage(LeafIndex(index)))

    def read_nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        """Return nodes of the tree, in the order asked for.

        Raises:
            InputError: a position lies beyond the tree.
        """
        with self._store.read() as view:
            total = view.node_total()
            if not all(0 <= position < total for position in positions):
                raise InputError("input", f"the tree has nodes 0..{total - 1} only")
            return view.nodes(positions)

    def read_records(self, lo: int, hi: int) -> tuple[bytes, ...]:
        """Return the records of the leaves `[lo, hi)`, at most 4,096.

        Raises:
            InputError: the range is longer, or not within the log.
        """
        return tuple(entry.record for entry in self._read_range(lo, hi))

    def read_bodies(self, lo: int, hi: int) -> tuple[bytes, ...]:
        """Return the bodies of the leaves `[lo, hi)`, at most 4,096; an erased one is empty.

        Raises:
            InputError: the range is longer, or not within the log.
        """
        return tuple(entry.body for entry in self._read_range(lo, hi))

    def receipts(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        model: str | None = None,
        lo: int = 0,
        hi: int | None = None,
    ) -> Iterator[ReceiptRow]:
        """Yield receipts in the order of the log, in bounded memory.

        Args:
            since: earliest time of the call, milliseconds.
            until: time of the call before which it lies, milliseconds.
            model: model as it was served or asked for.
            lo: first leaf.
            hi: end of the leaves; None for all that are durable now.
        """
        leaf_count = self.leaf_count()
        end = leaf_count if hi is None else LeafCount(min(hi, leaf_count))
        wanted = ReceiptFilter(since=since, until=until, model=model)
        return list_receipts(self._store, LeafIndex(lo), end, wanted)

    def open_intents(self) -> tuple[Intent, ...]:
        """Return the calls that were admitted and have no receipt yet, the oldest first."""
        with self._store.read() as view:
            rows = view.intents()
        return tuple(
            Intent(draft=receipt, opening_hash=opening_hash)
            for draft, opening_hash in rows
            if isinstance(receipt := decode_body(TYPE_RECEIPT, draft), Receipt)
        )

    def _head_over(self, index: int) -> bytes:
        """Return the head to prove a leaf under: one that was cosigned, or else the newest.

        It covers all key events too, so that the proof tells of the keys in force.
        """
        with self._store.read() as view:
            covering = max(index, view.key_events()[-1]) + 1
            cosigned = choose_head(self._recent_heads(view), at_least=covering)
        if cosigned is not None and cosigner_count(cosigned.note):
            return cosigned.note
        note = self.head()
        if index >= parse_checkpoint(parse_note(note).text).leaf_count:
            raise StoreError("not-covered", f"no signed head covers leaf {index} yet")
        return note

    def _recent_heads(self, view: View) -> tuple[StoredHead, ...]:
        """Return the newest head and those before it with more cosignatures."""
        newest = view.last_head()
        if newest is None:
            raise StoreContentError("store-corrupt", "the log has no signed head")
        heads = self._heads
        if heads[:1] != (newest,):
            heads = self._heads = most_cosigned(view.newest_heads(RECENT_HEADS))
        return heads

    def _identity_now(self) -> Identity:
        """Return the log with the keys in force, which any process may have changed."""
        with self._store.read() as view:
            if view.key_events()[-1] == self._identity.key_event:
                return self._identity
            return read_identity(view)

    def _read_range(self, lo: int, hi: int) -> tuple[Entry, ...]:
        with self._store.read() as view:
            leaf_count = view.leaf_count()
            if not 0 <= lo <= hi <= leaf_count or hi - lo > MAX_RANGE:
                raise InputError(
                    "input",
                    f"leaves {lo}..{hi} are not a range of at most {MAX_RANGE} below {leaf_count}",
                )
            return view.entries(lo, hi)

    def _check_index(self, index: int) -> None:
        leaf_count = self.leaf_count()
        if not 0 <= index < leaf_count:
            raise ProofError("proof-index", f"the log has leaves 0..{leaf_count - 1}, not {index}")
