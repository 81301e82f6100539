"""A witness: it cosigns each head of the logs it knows that extends what it cosigned last.

It reads no records and judges none. One thread decides, one request after the other,
and nothing is answered before it is on the disk.

Spec:
    PROTOCOL.md WIT-8 to WIT-14; C2SP tlog-witness v1.1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Final

from nous_ledger.protocol.checkpoint import Checkpoint, format_checkpoint
from nous_ledger.protocol.cosignature import cosign
from nous_ledger.protocol.errors import FormatError, InputError, LedgerError, ProofError
from nous_ledger.protocol.note import NoteSignature, format_note
from nous_ledger.protocol.proof import verify_consistency
from nous_ledger.protocol.types import LeafCount, UnixSeconds
from sentinel.errors import WitnessError
from sentinel.witness_key import WitnessKey
from sentinel.witness_logs import WitnessedLog, verify_log_lines
from sentinel.witness_store import Cosigned, Fork, WitnessStore
from sentinel.witness_wire import (
    AddCheckpoint,
    Answer,
    format_line,
    origin_hash,
    parse_add_checkpoint,
    refusal,
    size_answer,
)

Clock = Callable[[], float]
"""Returns the time in seconds since 1970."""

EMPTY_ROOT: Final = sha256(b"").digest()
MAX_BEHIND_S: Final = 5
"""Seconds that a clock may be set back with the client being told to ask again."""


class Witness:
    """A witness for some logs; used by one thread at a time.

    Attributes:
        key: who it is.
    """

    def __init__(
        self,
        key: WitnessKey,
        logs: Mapping[str, WitnessedLog],
        store: WitnessStore,
        *,
        clock: Clock,
        tell: Callable[[str], object],
    ) -> None:
        """Take up the work where the store left it.

        Args:
            key: the witness's own.
            logs: the logs it cosigns, by origin.
            store: what it remembers.
            clock: the time in seconds.
            tell: takes a line about what the operator has to know.

        Raises:
            InputError: a log is listed with the witness's own key or name.
        """
        for log in logs.values():
            if log.origin == key.name or any(
                listed.material == key.vkey.material for listed in log.keys
            ):
                raise InputError(
                    "input", f"{log.origin} is listed with the witness's own name or key"
                )
        self.key = key
        self._logs = logs
        self._hashes = {origin_hash(origin): origin for origin in logs}
        self._store = store
        self._clock = clock
        self._tell = tell

    def add_checkpoint(self, data: bytes) -> Answer:
        """Return the answer to a request; what it promises is on the disk.

        Spec:
            PROTOCOL.md WIT-8 to WIT-11.

        Args:
            data: the body of the POST.
        """
        try:
            request = parse_add_checkpoint(data)
        except FormatError as error:
            return refusal(400, error.message)
        log = self._logs.get(request.checkpoint.origin)
        if log is None:
            return refusal(404, "this witness does not know the log")
        try:
            lines = verify_log_lines(log, request.note, request.checkpoint)
        except LedgerError as error:
            return refusal(403, f"{error.code}: {error.message}")
        try:
            with self._store.exclusively():
                return self._decide(request, lines)
        except WitnessError as error:
            self._tell(error.message)
            return refusal(503, "the witness cannot store what it would sign", retry_after=30)

    def latest(self, hashed: str) -> bytes | None:
        """Return the latest cosigned checkpoint of a log as a note; None if there is none.

        Spec:
            PROTOCOL.md WIT-12.

        Args:
            hashed: SHA-256 of the origin, 64 lower-case hex digits.

        Raises:
            WitnessError: witness-state.
        """
        origin = self._hashes.get(hashed)
        seen = None if origin is None else self._store.latest(origin)
        return None if seen is None else format_cosigned(seen)

    def _decide(self, request: AddCheckpoint, lines: tuple[NoteSignature, ...]) -> Answer:
        seen = self._store.latest(request.checkpoint.origin)
        now = UnixSeconds(int(self._clock()))
        self._note_fork(request, seen, now)
        size = LeafCount(0) if seen is None else seen.checkpoint.leaf_count
        if request.old != size:
            return size_answer(size)
        try:
            verify_growth(request, None if seen is None else seen.checkpoint)
        except ProofError as error:
            return refusal(422, f"{error.code}: {error.message}")
        if seen is not None and now < seen.cosigned_at:
            return self._behind(seen.cosigned_at - now)
        return self._cosign(request, lines, seen, now)

    def _cosign(
        self,
        request: AddCheckpoint,
        lines: tuple[NoteSignature, ...],
        seen: Cosigned | None,
        now: UnixSeconds,
    ) -> Answer:
        if seen and seen.cosigned_at == now and seen.checkpoint == request.checkpoint:
            return Answer(status=200, body=seen.cosignature)  # said already, this second
        signed = format_line(cosign(self.key.name, self.key.key, request.note.text, now))
        self._store.replace(
            Cosigned(
                checkpoint=request.checkpoint,
                log_lines=b"".join(map(format_line, lines)),
                cosigned_at=now,
                cosignature=signed,
            )
        )
        return Answer(status=200, body=signed)

    def _behind(self, seconds: int) -> Answer:
        self._tell(f"the clock is {seconds} s behind the latest cosignature: nothing is signed")
        soon = seconds if seconds <= MAX_BEHIND_S else None
        return refusal(503, "the clock of the witness was set back", retry_after=soon)

    def _note_fork(self, request: AddCheckpoint, seen: Cosigned | None, now: UnixSeconds) -> None:
        """Keep a head of the cosigned size with another root: both are signed by the log."""
        head = request.checkpoint
        if seen is None or head.leaf_count != seen.checkpoint.leaf_count:
            return
        if head.root == seen.checkpoint.root:
            return
        fork = Fork(
            checkpoint=head,
            note=format_note(request.note),
            cosigned=format_cosigned(seen),
            seen_at=now,
        )
        if self._store.keep_fork(fork):
            self._tell(f"{head.origin} signed two heads of {head.leaf_count} leaves: it forked")


def verify_growth(request: AddCheckpoint, seen: Checkpoint | None) -> None:
    """Check that a checkpoint extends the one that was cosigned last.

    Spec:
        PROTOCOL.md WIT-10.

    Args:
        request: whose old size is that of `seen`, or 0.
        seen: the checkpoint that was cosigned last; None for none.

    Raises:
        ProofError: proof-counts, proof-shape, root-mismatch.
    """
    new = request.checkpoint
    if new.leaf_count == 0 and new.root != EMPTY_ROOT:
        raise ProofError("root-mismatch", "the root over no leaves is another one")
    if request.old == 0:
        if request.proof:
            raise ProofError("proof-shape", "from 0 leaves there is nothing to prove")
        return
    if seen is None or seen.leaf_count != request.old:
        raise ProofError("proof-counts", "the proof starts from another size")
    verify_consistency(seen.leaf_count, seen.root, new.leaf_count, new.root, request.proof)


def format_cosigned(seen: Cosigned) -> bytes:
    """Return a cosigned checkpoint as a note: the log's lines, then the witness's."""
    text = format_checkpoint(seen.checkpoint).encode()
    return text + b"\n" + seen.log_lines + seen.cosignature
