"""A log in a folder, as `nous-ledger publish` writes it; it may grow while it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from nous_ledger.protocol.errors import InputError, UnavailableError
from sentinel.sources import NotThereError, TileSource

# A pipe would wait for a writer, and a terminal for a person.
_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class FolderSource(TileSource):
    """Reads files below one folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder.

        Raises:
            InputError: it is no folder.
        """
        self.name = str(folder)
        if not folder.is_dir():
            raise InputError(
                "input",
                f"{folder} is no folder",
                hint="name a folder that `nous-ledger publish` wrote, or an http(s) URL",
            )
        self._folder = folder

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _fetch(self, path: str, limit: int) -> bytes:
        where = self._folder / path
        try:
            descriptor = os.open(where, _FLAGS)
            with os.fdopen(descriptor, "rb", buffering=0) as file:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise UnavailableError("unreachable", f"{where} is no regular file")
                if found.st_size > limit:
                    raise UnavailableError("unreachable", f"{where} has more than {limit} bytes")
                return file.read(found.st_size)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NotThereError("unreachable", f"{where} is not there") from error
        except OSError as error:
            raise UnavailableError("unreachable", f"{where}: {error.strerror}") from error
