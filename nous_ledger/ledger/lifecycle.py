"""What changes a log itself rather than adding to it: new keys, its end, erased bodies.

Spec:
    PROTOCOL.md, sections "Keys" and "Key history".
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from nous_ledger.ledger.backup import Backup, back_up
from nous_ledger.ledger.creation import KEYS_NAME
from nous_ledger.ledger.errors import KeyFileError, LedgerUseError
from nous_ledger.ledger.files import only_one
from nous_ledger.ledger.guard import Guard
from nous_ledger.ledger.highwater import behind
from nous_ledger.ledger.identity import Identity, Signer, read_identity
from nous_ledger.ledger.keychange import check_open, close_by_current_key, reason_of
from nous_ledger.ledger.keyfiles import settle_files
from nous_ledger.ledger.keys import read_log_keys
from nous_ledger.ledger.model import Clock, KeysChanged, Redacted, Tip
from nous_ledger.ledger.reader import LedgerReader
from nous_ledger.ledger.redaction import redact_bodies
from nous_ledger.ledger.rotation import NextKey, NextKeyOut, Rotation, rotate_log
from nous_ledger.ledger.sequencer import Sequencer
from nous_ledger.ledger.signer import Signers
from nous_ledger.ledger.signing_pool import SigningPool
from nous_ledger.ledger.store import Store, WriteTransaction
from nous_ledger.ledger.work import HeadWork, Outcome, Work
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import InputError, LedgerError
from nous_ledger.protocol.hashing import ZERO_HASH
from nous_ledger.protocol.keyevent import CLOSE, KeyEvent
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.registries import REDACTION_REASON
from nous_ledger.protocol.types import LeafIndex


class LedgerLife(LedgerReader):
    """A ledger whose keys can be replaced, by this process or another.

    Attributes:
        read_only: whether nothing can be signed or written.
        notices: what the owner should be told after `create`, `open` or `recover`.
    """

    def __init__(
        self,
        folder: Path,
        store: Store,
        identity: Identity,
        signer: Signer | None,
        clock: Clock,
        *,
        guard: Guard | None = None,
    ) -> None:
        """Take over an open store; without a signer it is only read."""
        super().__init__(folder, store, identity)
        self.read_only: bool = signer is None
        self.notices: tuple[str, ...] = () if guard is None else guard.notices
        self._clock = clock
        self._signer = signer
        self._guard = guard
        self._pool = SigningPool()
        self._turn = threading.Lock()  # held by whoever uses the keys or replaces them
        if signer is not None:
            self._adopt(identity, signer)

    @property
    def refusal(self) -> LedgerError | None:
        """Why nothing can be appended or signed; None if it can, or if it is read only."""
        if self._guard is None:
            return None
        with self._store.read() as view:
            return self._guard.refusal(view)

    def note_seen(self, leaf_count: int, source: str) -> None:
        """Hear of a head of this log; if it is beyond every stored one, nothing is signed.

        Heads are stored before anyone sees them, so one that is not there was signed
        after the copy that the database was made from.

        Args:
            leaf_count: leaves that it covers.
            source: who says so, in words; the caller vouches for it.

        Raises:
            LedgerUseError: read-only.
        """
        with self._store.read() as view:
            head = view.last_head()
        own = 0 if head is None else head.leaf_count
        if leaf_count > own:
            error = behind(own, leaf_count, source, what="no head over more than")
            self._guarding().note_seen(error)

    def backup(
        self,
        target: Path | str,
        *,
        keys: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Backup:
        """Write a backup of what is durable now, while others go on writing.

        Args:
            target: a new folder for it, outside of the ledger's.
            keys: whether the key file goes with it; the next key never does.
            progress: told how many pages of how many were copied.

        Raises:
            InputError, LedgerUseError, KeyFileError, StoreError, StoreContentError: as
                `back_up`.
        """
        return back_up(self.folder, Path(target), self._clock(), keys=keys, progress=progress)

    def rotate(
        self,
        next_key: NextKey,
        *,
        next_key_out: NextKeyOut,
        reason: str = "scheduled",
        suspect_from: int | None = None,
        new_ed25519: bool = False,
        passphrase: str | None = None,
        next_key_passphrase: str | None = None,
    ) -> KeysChanged:
        """Replace the log's key by the one it committed to, and commit to another.

        Each new file is sealed as the one it follows was. The old next-key file stays:
        the key in it signs from now on, so it is to be destroyed or kept as a backup.

        Spec:
            PROTOCOL.md KEY-19 to KEY-21.

        Args:
            next_key: file that `create` or the last rotation wrote, the key itself, or
                its signer.
            next_key_out: file for the private key that the rotation after this one will
                reveal, outside the folder; nothing may stand there. Or the public key
                of one that lies elsewhere, 33 bytes.
            reason: scheduled, suspected, compromised or lost.
            suspect_from: first leaf that somebody else may have signed; exactly with
                suspected and compromised.
            new_ed25519: whether the Ed25519 key is replaced too; then policies that list
                it are outdated.
            passphrase: needed if keys.json is sealed.
            next_key_passphrase: of the next-key file; None = the same.

        Raises:
            InputError: the reason, suspect_from or next_key_out do not fit.
            LedgerUseError: read-only, log-closed, cannot-rotate, last-epoch,
                already-exists.
            KeyFileError: key-mismatch, if the key is not the one committed to; and those
                of reading the files.
            BodyError: index-order, if suspect_from lies beyond the log.
            StoreError, StoreContentError: the database or a file could not be used.
        """
        return self._rotate(
            Rotation(
                next_key=next_key,
                next_key_out=next_key_out,
                signers=self._signers(),
                reason=reason,
                suspect_from=suspect_from,
                new_ed25519=new_ed25519,
                passphrase=passphrase,
                next_key_passphrase=next_key_passphrase,
            )
        )

    def close_log(
        self,
        next_key: NextKey | None = None,
        *,
        reason: str = "closed",
        suspect_from: int | None = None,
        passphrase: str | None = None,
        next_key_passphrase: str | None = None,
    ) -> KeysChanged:
        """End the log: no record can follow, only heads over the same records.

        Calls that have no receipt yet get the receipt that their intent holds, so
        nobody should be writing to the ledger any more; a gateway is looked for.

        Spec:
            PROTOCOL.md KEY-21, KEY-23, KEY-24.

        Args:
            next_key: the key that the log committed to, as in `rotate`; None exactly if
                it committed to none.
            reason: closed, scheduled, suspected, compromised or lost.
            suspect_from: as in `rotate`.
            passphrase: needed with `next_key` if keys.json is sealed.
            next_key_passphrase: of the next-key file; None = the same.

        Raises:
            InputError: the reason, suspect_from or next_key do not fit.
            LedgerUseError: read-only, log-closed, cannot-rotate, last-epoch.
            KeyFileError: key-mismatch, if the key is not the one committed to; and those
                of reading the files.
            BodyError: index-order, if suspect_from lies beyond the log.
            StoreError: gateway-running.
            StoreError, StoreContentError: the database or a file could not be used.
        """
        with only_one(self.folder):
            if next_key is None:
                return self._close_by_current_key(reason, suspect_from)
            return self._rotate(
                Rotation(
                    next_key=next_key,
                    next_key_out=None,
                    reason=reason,
                    suspect_from=suspect_from,
                    passphrase=passphrase,
                    next_key_passphrase=next_key_passphrase,
                    signers=self._signers(),
                )
            )

    def redact(self, indices: Sequence[int], reason: str) -> Redacted:
        """Erase bodies with their raw usage and opening hashes, and log that, at once.

        The records stay, and what was proved of them; totals count them as withheld.
        Copies elsewhere, as in backups and published folders, are not reached.

        Spec:
            PROTOCOL.md RED-1 to RED-3.

        Args:
            indices: leaves of the bodies, 1..4,096.
            reason: data_subject_request, retention, legal_order or secret_leaked.

        Raises:
            InputError: there is no such reason; no index, or too many.
            ProofError: proof-index, if the log has no such leaf.
            LedgerUseError: read-only, log-closed; not-erasable (a key event or redaction);
                already-erased.
            KeyFileError: key-mismatch, if another process changed the keys.
            StoreError, StoreContentError: the database could not be used.
        """
        number = REDACTION_REASON[reason]
        self._signing()
        with self._writing(head=True) as transaction:
            records = redact_bodies(
                transaction,
                self._identity,
                self._signing(),
                indices=indices,
                reason=number,
                now=self._clock(),
            )
        notices = tuple(empty_log(self._store))
        gone = tuple(LeafIndex(index) for index in sorted(set(indices)))
        return Redacted(indices=gone, records=records, notices=notices)

    def _close_by_current_key(self, reason: str, suspect_from: int | None) -> KeysChanged:
        number = reason_of(reason, suspect_from)
        self._signing()
        with self._writing(head=True) as transaction:
            before, signer = self._identity, self._signing()
            check_open(before)
            if before.next_hash != ZERO_HASH:
                raise InputError(
                    "input",
                    f"the log {before.origin} committed to a next key: only that can close it",
                    hint="give the next-key file",
                )
            event = KeyEvent(
                kind=CLOSE,
                secp256k1=before.secp256k1,
                ed25519=before.ed25519,
                reason=number,
                suspect_from=suspect_from,
            )
            identity = close_by_current_key(transaction, before, signer, event, self._clock())
        with self._turn:
            self._adopt(identity, signer)
        return KeysChanged(
            index=identity.key_event,
            epoch=identity.epoch,
            secp256k1=identity.secp256k1,
            ed25519=identity.ed25519,
        )

    def _rotate(self, rotation: Rotation) -> KeysChanged:
        self._signing()
        guard = self._guarding()
        with self._turn:
            now = self._clock()
            identity, signer, changed = rotate_log(self._store, self.folder, rotation, now, guard)
            self._adopt(identity, signer)
        return changed

    def _adopt(self, identity: Identity, signer: Signer) -> None:
        self._identity = identity
        self._signer = signer
        self._sequencer = Sequencer(identity, signer, self._clock, self._pool)

    def _run(self, works: Sequence[Work]) -> list[Outcome]:
        head = HeadWork in map(type, works)
        with self._writing(head=head, tip=lambda _: self._sequencer.tip) as transaction:
            return self._sequencer.run(transaction, works)

    @contextlib.contextmanager
    def _writing(
        self, *, head: bool, tip: Callable[[WriteTransaction], Tip] = WriteTransaction.tip
    ) -> Iterator[WriteTransaction]:
        """Give a transaction of a log that nobody can have shown to be further.

        Args:
            head: whether a head is signed in it, so that the mark is to be synced too.
            tip: returns where the log stands at the end of it.
        """
        guard = self._guarding()
        with self._turn:
            with self._store.write() as transaction:
                guard.check(transaction)
                self._follow_keys(transaction)
                yield transaction
                reached = tip(transaction)
            guard.raise_to(reached)
            if head:
                guard.sync()

    def _follow_keys(self, transaction: WriteTransaction) -> None:
        """Take over the keys that another process changed; never sign in a dead epoch."""
        if self._sequencer.follows_on(transaction):
            return
        if transaction.key_events()[-1] == self._identity.key_event:
            return
        identity = read_identity(transaction)
        if (identity.secp256k1, identity.ed25519) == (
            self._identity.secp256k1,
            self._identity.ed25519,
        ):  # closed without a change of keys
            self._adopt(identity, self._signing())
            return
        try:
            settle_files(self.folder, identity)
            signer = Signer.of(read_log_keys(self.folder / KEYS_NAME, None), identity)
        except KeyFileError as error:
            raise KeyFileError(
                "key-mismatch",
                f"another process changed the keys of the log: {error.message}",
                hint="open the ledger again",
            ) from error
        self._adopt(identity, signer)

    def _head_over(self, index: int) -> bytes:
        """Return the head to prove a leaf under; where nothing may be signed, the stored one."""
        try:
            return super()._head_over(index)
        except LedgerError:
            if self.refusal is None:
                raise
            note = self.latest_head()
            if index >= parse_checkpoint(parse_note(note).text).leaf_count:
                raise
            return note

    def _guarding(self) -> Guard:
        if self._guard is None:
            raise LedgerUseError("read-only", "the ledger was opened for reading only")
        self._guard.check_process()  # before a lock that the parent may have held is waited for
        return self._guard

    def _signers(self) -> Signers:
        signer = self._signing()
        return Signers(secp256k1=signer.secp256k1, ed25519=signer.ed25519)

    def _signing(self) -> Signer:
        if self._signer is None:
            raise LedgerUseError("read-only", "the ledger was opened without its keys")
        return self._signer


def empty_log(store: Store) -> Iterator[str]:
    """Let erased bytes leave the write-ahead log too; say so if a reader prevents it."""
    try:
        done, why = store.empty_log(), "another process is reading"
    except LedgerError as error:
        done, why = False, error.message
    if not done:
        yield (
            f"the erased bytes may stay in {store.path.name}-wal until all processes have"
            f" closed the ledger: {why}"
        )
