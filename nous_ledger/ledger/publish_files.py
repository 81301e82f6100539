"""Files of a published folder: written once, whole or not at all, durable before the checkpoint.

A file is written beside its place, made durable, and linked there, which never
replaces anything. Only the few files that may change are renamed over the old one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nous_ledger.ledger.errors import StoreContentError, StoreError
from nous_ledger.ledger.files import fsync_folder, os_errors

_UNFINISHED: Final = ".unfinished"
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS})
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755


class PublishedFolder:
    """A folder that is served to readers, held by one process at a time."""

    def __init__(self, root: Path) -> None:
        """Name a folder; it is made if it is missing."""
        self._root = root
        self._touched: set[Path] = set()
        self.written = 0

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from publishing to the folder.

        Raises:
            StoreError: publish-busy; store-unwritable, store-full.
        """
        self._make_folder(self._root)
        with os_errors(self._root):
            descriptor = os.open(self._root, os.O_RDONLY)
        try:
            with os_errors(self._root, BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._tidy()
            yield
        except BlockingIOError as error:
            raise StoreError(
                "publish-busy", f"another process publishes to {self._root}"
            ) from error
        finally:
            os.close(descriptor)

    def read(self, name: str, limit: int) -> bytes | None:
        """Return a file's bytes, at most limit + 1; None if it is not there."""
        path = self._root / name
        try:
            with os_errors(path, FileNotFoundError), path.open("rb") as file:
                return file.read(limit + 1)
        except FileNotFoundError:
            return None

    def put(self, name: str, data: bytes) -> None:
        """Write a file that never changes; one of the same content may stand there.

        Raises:
            StoreContentError: publish-conflict, if one of other content does.
            StoreError: store-unwritable, store-full.
        """
        found = self.read(name, len(data))
        if found is None:
            path = self._root / name
            with self._beside(path, data) as beside:
                _link(beside, path)
        elif found != data:
            raise StoreContentError(
                "publish-conflict", f"{self._root / name} is not what the log has there"
            )

    def replace(self, name: str, data: bytes) -> None:
        """Write a file that may change, in the place of the old one if there is one."""
        path = self._root / name
        if self.read(name, len(data)) == data:
            return
        with self._beside(path, data) as beside:
            beside.replace(path)

    def make_durable(self) -> None:
        """Make the names of all files written so far durable."""
        for folder in sorted(self._touched):
            with os_errors(folder):
                fsync_folder(folder)
        self._touched.clear()

    def files(self, below: str) -> Iterator[tuple[str, int]]:
        """Yield name and size of every file below a folder; what a crash left is removed."""
        pending = [self._root / below]
        while pending:
            folder = pending.pop()
            with os_errors(folder, FileNotFoundError, NotADirectoryError):
                try:
                    entries = list(os.scandir(folder))
                except (FileNotFoundError, NotADirectoryError):
                    continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                elif entry.name.endswith(_UNFINISHED):
                    Path(entry.path).unlink(missing_ok=True)
                else:
                    name = Path(entry.path).relative_to(self._root).as_posix()
                    yield name, entry.stat(follow_symlinks=False).st_size

    def remove_folder(self, name: str) -> None:
        """Remove a folder with its files."""
        path = self._root / name
        with os_errors(path):
            shutil.rmtree(path)

    @contextlib.contextmanager
    def _beside(self, path: Path, data: bytes) -> Iterator[Path]:
        self._make_folder(path.parent)
        beside = path.with_name(f".{secrets.token_hex(8)}{_UNFINISHED}")
        with os_errors(path):
            try:
                descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                yield beside
            finally:
                beside.unlink(missing_ok=True)
        self._touched.add(path.parent)
        self.written += 1

    def _tidy(self) -> None:
        """Remove what a crash left beside the files at the top; `files` does so below."""
        with os_errors(self._root):
            for path in self._root.glob(f".*{_UNFINISHED}"):
                path.unlink(missing_ok=True)

    def _make_folder(self, folder: Path) -> None:
        missing = [folder, *folder.parents]
        missing = missing[: next(at for at, path in enumerate(missing) if path.is_dir())]
        for path in reversed(missing):
            with os_errors(path):
                path.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            self._touched.add(path.parent)


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)  # unlike a rename, this never replaces a file
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        source.replace(path)  # nobody else writes here: the folder is held
