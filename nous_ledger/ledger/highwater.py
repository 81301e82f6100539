"""The high-water file: how far a log got that others may have seen.

After every commit, and before any caller hears of it, the leaf count and root are
written here. A database that was put back from an older copy is then behind this
file, and its ledger refuses to sign a second history.

    two slots of 512 bytes, 4,096 apart, written in turn and in place:
    magic 8 | log id 32 | number u64 | leaf count u64 | state u8 | root 32 | SHA-256 32

The slot with the highest number holds; one that was torn by a crash does not match
its SHA-256, and the one before it holds. A lock on the file makes the mark monotone
under several processes.

A write is not synced by itself: it survives the end of the process in any way, not a
power loss. `sync` is called when a head is signed and when the ledger is closed.
After a power loss the mark may thus be lower than the database, never higher.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nous_ledger.ledger.errors import LedgerUseError, StoreContentError, StoreError
from nous_ledger.ledger.files import fsync_folder, os_errors, write_new_file
from nous_ledger.protocol.hashing import sha256
from nous_ledger.protocol.types import Hash32, LeafCount, LogId

HIGH_WATER_NAME: Final = "high-water"
FILE_LENGTH: Final = 8_192

_MAGIC: Final = b"NLHIGH1\n"
_SLOT: Final = struct.Struct(">8s32sQQB32s")
_DIGEST: Final = 32
_SLOT_LENGTH: Final = _SLOT.size + _DIGEST
_APART: Final = 4_096
_CONFIRMED: Final = 0
_UNCONFIRMED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far a log got.

    Attributes:
        leaf_count: leaves that were released.
        root: root over them.
        confirmed: False after a restore, until somebody says that nothing was lost.
    """

    leaf_count: LeafCount
    root: Hash32
    confirmed: bool = True


class HighWater:
    """The high-water file of one log, open in this process; any thread may use it."""

    def __init__(self, path: Path, log_id: LogId) -> None:
        """Open a file.

        Args:
            path: the file; it exists.
            log_id: the log whose mark it must hold, 32 bytes.

        Raises:
            StoreError: high-water-unusable, if it is missing, cannot be opened or
                written, is damaged, or belongs to another log.
        """
        self.path = path
        self._log_id = log_id
        self._lock = threading.Lock()
        self._descriptor = -1
        self._inode = (0, 0)
        self._unsynced = False
        self._parsed: tuple[bytes, int, Mark] | None = None  # as it was read last
        self.read()

    @staticmethod
    def create(path: Path, log_id: LogId, mark: Mark) -> None:
        """Write a new file where none stands; durable when this returns.

        Raises:
            LedgerUseError: already-exists.
            StoreError: store-unwritable, store-full.
        """
        content = bytearray(FILE_LENGTH)
        content[:_SLOT_LENGTH] = _encode(log_id, 0, mark)
        write_new_file(path, bytes(content))

    def read(self) -> Mark:
        """Return the mark.

        Raises:
            StoreError: high-water-unusable.
        """
        with self._lock, self._reachable():
            self._follow_path()
            seen = self._parsed
            # What is as it was when the lock was held is whole.
            if seen is not None and os.pread(self._descriptor, FILE_LENGTH, 0) == seen[0]:
                return seen[2]
        with self._held(fcntl.LOCK_SH):
            return self._newest()[1]

    def raise_to(self, leaf_count: LeafCount, root: Hash32) -> None:
        """Raise the mark; one that is higher already stays.

        Raises:
            StoreContentError: store-forked, if the mark has another root at this count.
            StoreError: high-water-unusable.
        """
        with self._held(fcntl.LOCK_EX):
            number, mark = self._newest()
            if mark.leaf_count == leaf_count and mark.root != root:
                raise forked(leaf_count, mark.root, root, str(self.path))
            if mark.leaf_count < leaf_count:
                risen = Mark(leaf_count=leaf_count, root=root, confirmed=mark.confirmed)
                self._put(number + 1, risen)

    def sync(self) -> None:
        """Make the mark survive a power loss.

        Raises:
            StoreError: high-water-unusable.
        """
        if self._unsynced:
            with self._held(fcntl.LOCK_SH):
                os.fsync(self._descriptor)
                self._unsynced = False

    def reset(self, mark: Mark) -> None:
        """Replace the mark, also by a lower one; durable when this returns.

        Raises:
            StoreError: high-water-unusable.
        """
        with self._held(fcntl.LOCK_EX):
            number = self._newest()[0]
            for further in (1, 2):  # else a torn slot would bring the old mark back
                self._put(number + further, mark)
                os.fsync(self._descriptor)
            self._unsynced = False

    def close(self) -> None:
        """Sync and close; a second call does nothing.

        Raises:
            StoreError: high-water-unusable.
        """
        if self._descriptor >= 0:
            try:
                self.sync()
            finally:
                self.forget()

    def forget(self) -> None:
        """Close the file as it is, as after a fork: it is the parent's."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @contextlib.contextmanager
    def _held(self, how: int) -> Iterator[None]:
        """Hold the file that stands at the path now against other threads and processes."""
        with self._lock, self._reachable():
            self._follow_path()
            fcntl.flock(self._descriptor, how)
            try:
                yield
            finally:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        """Turn errors of the system into errors of ours."""
        try:
            yield
        except FileNotFoundError as error:
            raise unusable(self.path, "there is no such file") from error
        except OSError as error:
            raise unusable(self.path, error.strerror or str(error)) from error

    def _follow_path(self) -> None:
        """Open the file anew if another one was put in its place."""
        status = os.stat(self.path)  # noqa: PTH116 - a few µs less in every commit
        found = (status.st_dev, status.st_ino)
        if self._descriptor < 0 or found != self._inode:
            self.forget()
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            self._inode = found

    def _newest(self) -> tuple[int, Mark]:
        content = os.pread(self._descriptor, FILE_LENGTH, 0)
        if self._parsed is not None and content == self._parsed[0]:
            return self._parsed[1:]
        found = [_decode(content[at : at + _SLOT_LENGTH]) for at in (0, _APART)]
        whole = [slot for slot in found if slot is not None]
        if not whole:
            raise unusable(self.path, "neither of its two marks is whole")
        log_id, number, mark = max(whole, key=lambda slot: slot[1])
        if log_id != self._log_id:
            raise unusable(self.path, f"it belongs to the log {log_id.hex()}")
        self._parsed = (content, number, mark)
        return number, mark

    def _put(self, number: int, mark: Mark) -> None:
        data, at = _encode(self._log_id, number, mark), number % 2 * _APART
        seen, self._parsed = self._parsed, None
        if os.pwrite(self._descriptor, data, at) != len(data):
            raise unusable(self.path, "it could not be written to its end")
        self._unsynced = True
        if seen is not None:  # it was read under the same lock: this is what stands there now
            content = seen[0][:at] + data + seen[0][at + len(data) :]
            self._parsed = (content, number, mark)


def replace_high_water(path: Path, log_id: LogId, mark: Mark) -> None:
    """Put a mark in force whatever stands at its place, which is kept under another name.

    Raises:
        StoreError: store-unwritable, store-full, high-water-unusable.
    """
    try:
        with contextlib.closing(HighWater(path, log_id)) as file:
            file.reset(mark)
        return
    except StoreError as error:
        if error.code != "high-water-unusable":
            raise
    with os_errors(path):
        if path.exists():
            path.rename(path.with_name(f"{path.name}.unusable"))
            fsync_folder(path.parent)
    with contextlib.suppress(LedgerUseError):  # another process made it first
        HighWater.create(path, log_id, mark)


def forked(leaf_count: int, seen: bytes, own: bytes, source: str) -> StoreContentError:
    """Return the error of a database with another history than one that was seen."""
    return StoreContentError(
        "store-forked",
        f"over {leaf_count} leaves the database has another root than {source}",
        seen=seen.hex(),
        computed=own.hex(),
    )


def behind(leaf_count: int, seen: int, source: str, *, what: str = "only") -> StoreContentError:
    """Return the error of a database that is older than one that was seen.

    Args:
        leaf_count: what the database has.
        seen: what the log had.
        source: who shows that, in words.
        what: what is counted, in words before the number.
    """
    return StoreContentError(
        "store-behind",
        f"the database has {what} {leaf_count} leaves, {source} shows that the log had {seen}",
        leaf_count=leaf_count,
        seen=seen,
    )


def unusable(path: Path, why: str) -> StoreError:
    """Return the error of a high-water file that says nothing."""
    return StoreError("high-water-unusable", f"the high-water file {path} is of no use: {why}")


def _encode(log_id: LogId, number: int, mark: Mark) -> bytes:
    state = _CONFIRMED if mark.confirmed else _UNCONFIRMED
    slot = _SLOT.pack(_MAGIC, log_id, number, mark.leaf_count, state, mark.root)
    return slot + sha256(slot)


def _decode(data: bytes) -> tuple[LogId, int, Mark] | None:
    """Return what a slot says; None if it is empty or torn."""
    slot, digest = data[: _SLOT.size], data[_SLOT.size :]
    if len(data) != _SLOT_LENGTH or sha256(slot) != digest:
        return None
    magic, log_id, number, leaf_count, state, root = _SLOT.unpack(slot)
    if magic != _MAGIC:
        return None
    mark = Mark(leaf_count=LeafCount(leaf_count), root=Hash32(root), confirmed=state == _CONFIRMED)
    return LogId(log_id), number, mark
