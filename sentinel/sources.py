"""Where a log is read from: the port, what is asked of it, and how an address is opened.

A source gives bytes. It is trusted with nothing: what it gives is bounded in bytes and
time, and everything that it cannot give, or gives in another form than asked for, is
"could not check", never "wrong". Whether the content is right is decided elsewhere.

Spec:
    PROTOCOL.md, sections "Head and tiles" and "Readers over HTTP" (SERV-1 to SERV-5, SERV-8).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, Protocol, Self

from nous_ledger.protocol.errors import EncodingError, InputError, RecordError, UnavailableError
from nous_ledger.protocol.note import MAX_NOTE_BYTES
from nous_ledger.protocol.tiles import (
    ENTRY_BYTES,
    FULL_WIDTH,
    MAX_BODIES_BUNDLE_BYTES,
    Tile,
    TileKind,
    decode_bodies,
    decode_entries,
    encode_bodies,
    format_tile_path,
)

CHECKPOINT: Final = "checkpoint"
HASH_BYTES: Final = 32
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


class Source(Protocol):
    """A place that serves one log; any thread may ask, several at a time.

    Attributes:
        name: what the place is called in messages; holds no secret.
    """

    name: str

    def head(self) -> bytes:
        """Return the newest head as it is served, at most the limit of a note.

        Raises:
            UnavailableError: unreachable.
        """
        ...

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the hashes of a tile, 32 bytes each.

        Args:
            level: 0..63.
            index: number of the tile on its level.
            width: hashes wanted, 1..256.

        Raises:
            UnavailableError: unreachable (also where the answer is not `width` hashes).
        """
        ...

    def entries(self, index: int, width: int) -> bytes:
        """Return a bundle of `width` records, 122 bytes each, the length prefix included.

        Raises:
            UnavailableError: unreachable (also where the answer is no such bundle).
        """
        ...

    def bodies(self, index: int, width: int) -> bytes:
        """Return a bundle of `width` bodies, each behind its length; 0 is withheld.

        Raises:
            UnavailableError: unreachable (also where the answer is no such bundle).
        """
        ...

    def close(self) -> None:
        """Let go of connections; what is still being asked for fails."""
        ...


class NotThereError(UnavailableError):
    """The source has no such file. A partial tile may have become a full one meanwhile."""


class TileSource(ABC):
    """What every source of files at well-known paths shares.

    Attributes:
        name: what the place is called in messages.
    """

    name: str

    @abstractmethod
    def _fetch(self, path: str, limit: int) -> bytes:
        """Return the file at a path below the log's prefix, at most `limit` bytes of it.

        Raises:
            NotThereError: unreachable, there is no such file.
            UnavailableError: unreachable.
        """

    @abstractmethod
    def close(self) -> None:
        """Let go of connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def head(self) -> bytes:
        """Return the newest head as it is served."""
        return self._fetch(CHECKPOINT, MAX_NOTE_BYTES)

    def tile(self, level: int, index: int, width: int) -> bytes:
        """Return the hashes of a tile, 32 bytes each."""
        tile = Tile(level=level, index=index, width=width)
        data, there = self._partial_or_full(tile, HASH_BYTES * FULL_WIDTH)
        if len(data) != HASH_BYTES * there:
            raise self._garbage(tile, f"{len(data)} bytes are not {there} hashes")
        return data[: HASH_BYTES * width]

    def entries(self, index: int, width: int) -> bytes:
        """Return a bundle of records."""
        tile = Tile(kind=TileKind.ENTRIES, index=index, width=width)
        data, there = self._partial_or_full(tile, ENTRY_BYTES * FULL_WIDTH)
        try:
            decode_entries(data, there)
        except (EncodingError, RecordError) as error:
            raise self._garbage(tile, error.message) from error
        return data[: ENTRY_BYTES * width]

    def bodies(self, index: int, width: int) -> bytes:
        """Return a bundle of bodies."""
        tile = Tile(kind=TileKind.BODIES, index=index, width=width)
        data, there = self._partial_or_full(tile, MAX_BODIES_BUNDLE_BYTES)
        try:
            bodies = decode_bodies(data, there)
        except EncodingError as error:
            raise self._garbage(tile, error.message) from error
        return data if there == width else encode_bodies(bodies[:width])

    def _partial_or_full(self, tile: Tile, limit: int) -> tuple[bytes, int]:
        """Return a tile and its width: the one asked for, else the full one it has become."""
        try:
            return self._fetch(format_tile_path(tile), limit), tile.width
        except NotThereError:
            if tile.width == FULL_WIDTH:
                raise
        full = Tile(kind=tile.kind, level=tile.level, index=tile.index)
        return self._fetch(format_tile_path(full), limit), FULL_WIDTH

    def _garbage(self, tile: Tile, what: str) -> UnavailableError:
        return UnavailableError("unreachable", f"{self.name}: {format_tile_path(tile)}: {what}")


def is_url(address: str) -> bool:
    """Return whether an address is meant as a URL and not as a folder.

    >>> is_url("https://log.example/main"), is_url("public/log")
    (True, False)
    """
    return _URL.match(address) is not None


def open_source(address: str, *, auditor_token: str | None = None) -> TileSource:
    """Return the source at an address; nothing is asked of it yet.

    Args:
        address: http or https URL of a log's prefix, or the path of a published folder.
        auditor_token: read right for bodies, sent with requests for them and no others.

    Raises:
        InputError: the address is neither; a token would go unencrypted to another machine.
        MissingExtraError: missing-extra (reading over HTTP needs a library that is absent).
    """
    if not is_url(address):
        from sentinel.folder_source import FolderSource  # noqa: PLC0415 - only what is needed

        if auditor_token is not None:
            raise InputError(
                "input",
                "a folder takes no auditor token",
                hint="leave --auditor-token-file out: the folder holds the bodies it has",
            )
        return FolderSource(Path(address))
    from sentinel.http_source import HttpSource  # noqa: PLC0415 - loads aiohttp

    return HttpSource(address, auditor_token=auditor_token)
