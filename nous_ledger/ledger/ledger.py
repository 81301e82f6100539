"""The ledger: append receipts, sign heads, prove and read.

    with Ledger.open("ledger") as ledger:
        logged = ledger.append(draft)
        proof = ledger.prove(logged.index)

What a call returns is durable. Any number of threads may use one ledger, and any
number of processes may open the same folder: they extend one log. `aio` has the same
for asyncio.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from nous_ledger.ledger.appending import LedgerAppender
from nous_ledger.ledger.cosigned import put_cosignatures, verify_line
from nous_ledger.ledger.creation import DATABASE_NAME, NewLog, create_log
from nous_ledger.ledger.database import check_database_file
from nous_ledger.ledger.files import check_private_folder
from nous_ledger.ledger.guard import stand_guard
from nous_ledger.ledger.heads import check_store
from nous_ledger.ledger.identity import read_identity
from nous_ledger.ledger.keyfiles import load_keys
from nous_ledger.ledger.keys import LogKeys, generate_keys
from nous_ledger.ledger.model import Clock, KeysChanged
from nous_ledger.ledger.retention import LedgerRetention
from nous_ledger.ledger.rotation import NextKey, NextKeyOut, Rotation, recover_log
from nous_ledger.ledger.seen import check_source
from nous_ledger.ledger.signer import NO_SIGNERS, Signers
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import subject_id
from nous_ledger.protocol.keyevent import Predecessor
from nous_ledger.protocol.note import NoteSignature
from nous_ledger.protocol.types import SubjectId
from nous_ledger.protocol.vkey import VerifierKey

DEFAULT_MERGE_DELAY_S: Final = 60
DEFAULT_HEARTBEAT_S: Final = 86_400


def system_clock() -> int:
    """Return the system's time in milliseconds since 1970-01-01T00:00:00Z."""
    return time.time_ns() // 1_000_000


class Ledger(LedgerAppender, LedgerRetention):
    """One log in one folder, open in this process."""

    @classmethod
    def create(
        cls,
        folder: Path | str,
        *,
        next_key_out: NextKeyOut | None,
        origin: str | None = None,
        passphrase: str | None = None,
        max_merge_delay_s: int = DEFAULT_MERGE_DELAY_S,
        heartbeat_s: int = DEFAULT_HEARTBEAT_S,
        keys: LogKeys | None = None,
        predecessor: Predecessor | None = None,
        high_water: Path | str | None = None,
        clock: Clock = system_clock,
    ) -> Self:
        """Make a new log and return its ledger; a failure leaves nothing behind.

        Spec:
            PROTOCOL.md KEY-1, KEY-2.

        Args:
            folder: made with mode 700; may exist if it holds no ledger.
            next_key_out: file for the private key that the first rotation will
                reveal, outside the folder, or the public key of one that lies
                elsewhere; None makes a log that can never rotate.
            origin: name of the log, 1..255 of `[a-z0-9._~/-]`; None for a random one.
            passphrase: seals both key files.
            max_merge_delay_s: seconds within which a head covers every record, from 1.
            heartbeat_s: most seconds between two heads, from 1.
            keys: secrets of the log, or the signers that have them; None for fresh ones.
            predecessor: the log that it continues, and its last good head.
            high_water: place of the high-water file, also for later; None for the folder.
            clock: the time in milliseconds.

        Raises:
            InputError: an argument is out of range.
            LedgerUseError: already-exists.
            KeyFileError: key-in-use, key-permissions.
            StoreError: the files could not be written.
        """
        new = NewLog(
            folder=Path(folder),
            origin=origin,
            keys=keys or generate_keys(),
            fresh=keys is None,
            next_key_out=next_key_out,
            passphrase=passphrase,
            max_merge_delay_s=max_merge_delay_s,
            heartbeat_s=heartbeat_s,
            now=clock(),
            predecessor=predecessor,
            high_water=high_water,
        )
        notices = create_log(new)
        ledger = cls.open(folder, passphrase=passphrase, clock=clock, signers=new.keys.signers())
        ledger.notices = (*notices, *ledger.notices)
        return ledger

    @classmethod
    def open(
        cls,
        folder: Path | str,
        *,
        passphrase: str | None = None,
        read_only: bool = False,
        clock: Clock = system_clock,
        high_water: Path | str | None = None,
        sources: Sequence[str] = (),
        signers: Signers = NO_SIGNERS,
    ) -> Self:
        """Return the ledger in a folder.

        One whose database is behind what its log has shown already opens too: it can be
        read and proved from, and `refusal` says why it appends and signs nothing.

        Args:
            folder: the folder.
            passphrase: needed if the key file is sealed.
            read_only: read no keys; then nothing can be appended or signed.
            clock: the time in milliseconds.
            high_water: the high-water file; None for where it was put before.
            sources: more published folders and URLs of checkpoints to compare with.
            signers: of the keys that lie outside of the key file.

        Raises:
            InputError: a source is neither.
            LedgerUseError: not-a-ledger.
            KeyFileError: key-missing, key-permissions, key-passphrase, key-format,
                key-mismatch, signer-missing.
            StoreError: store-newer, store-locked, store-unwritable, store-io.
            StoreContentError: store-foreign, store-corrupt.
        """
        folder = Path(folder)
        elsewhere = [check_source(source) for source in sources]
        check_database_file(folder / DATABASE_NAME)
        if not read_only:
            check_private_folder(folder)
        with contextlib.ExitStack() as on_failure:
            store = SqliteStore(folder / DATABASE_NAME, read_only=read_only)
            on_failure.callback(store.close)
            with store.read() as view:
                identity = read_identity(view)
                check_store(view, identity.origin)
            if read_only:
                ledger = cls(folder, store, identity, None, clock)
            else:
                identity, signer = load_keys(store, folder, passphrase, signers)
                guard = stand_guard(folder, store, identity.log_id, high_water, elsewhere)
                ledger = cls(folder, store, identity, signer, clock, guard=guard)
            on_failure.pop_all()
        return ledger

    @classmethod
    def recover(
        cls,
        folder: Path | str,
        next_key: NextKey,
        *,
        next_key_out: NextKeyOut,
        passphrase: str | None = None,
        next_key_passphrase: str | None = None,
        clock: Clock = system_clock,
    ) -> tuple[Self, KeysChanged]:
        """Rotate a log whose key file is lost, by its next key; return its ledger too.

        The Ed25519 key and the log secret are made anew: policies that list the old
        Ed25519 key are outdated, and every caller gets another pseudonym.

        Args:
            folder: the folder; no keys.json may lie in it.
            next_key: as in `rotate`.
            next_key_out: as in `rotate`.
            passphrase: seals the new keys.json.
            next_key_passphrase: of the next-key file; None = the same.
            clock: the time in milliseconds.

        Raises:
            LedgerError: as `rotate` and `open`; already-exists, if keys.json is there.
        """
        rotation = Rotation(
            next_key=next_key,
            next_key_out=next_key_out,
            reason="lost",
            lost=True,
            passphrase=passphrase,
            next_key_passphrase=next_key_passphrase,
        )
        changed = recover_log(Path(folder), rotation, clock())
        signers = NO_SIGNERS
        if not isinstance(next_key, Path | str | bytes):
            signers = Signers(secp256k1=next_key)
        return cls.open(folder, passphrase=passphrase, clock=clock, signers=signers), changed

    def close(self) -> None:
        """Finish what was submitted, then close; a second call does nothing."""
        if self._committer is not None:
            self._committer.close()
        self._pool.close()
        if self._guard is not None:
            with contextlib.suppress(LedgerError):  # the mark stands, but may not be synced
                self._guard.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def subject(self, kind: int, credential: bytes) -> SubjectId:
        """Return the pseudonym of a caller.

        Args:
            kind: what the credential is, 1..7.
            credential: its bytes.

        Raises:
            InputError: the kind is out of range.
            LedgerUseError: read-only.
        """
        return subject_id(self._signing().log_secret, kind, credential)

    def add_cosignature(self, text: str, key: VerifierKey, line: NoteSignature) -> bool:
        """Merge a witness's cosignature into the stored head of a text.

        Whatever was merged before stays; of one key the latest line is kept.

        Returns:
            False if no stored head has this text.

        Raises:
            SignatureError, FormatError, InputError: as `verify_line`; nothing was merged.
            LedgerUseError: read-only, closed, other-process.
            StoreError, StoreContentError: the database could not be used.
        """
        verify_line(self.origin, text, key, line)
        with self._store.write() as transaction:
            found = put_cosignatures(transaction, text, [line])
        self._heads = ()  # an older head may now be the best
        return found
