"""Published folders that are not what they should be."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from nous_ledger.protocol.tiles import Tile, TileKind, format_tile_path
from tests.zoo.forger import Forger
from tests.zoo.heads import head_of
from tests.zoo.tree import tile_bytes

Spoil = Callable[[Path], object]


def write_folder(log: Forger, folder: Path) -> None:
    """Write a log of fewer than 256 leaves as files, as a publisher would."""
    head = head_of(log)
    for kind in TileKind:
        tile = Tile(kind=kind, index=0, width=log.count)
        path = folder / format_tile_path(tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tile_bytes(log.entries, tile) or b"")
    (folder / "checkpoint").write_bytes(head)


def _only(folder: Path) -> Path:
    """Return the only entry bundle of a folder."""
    return next(path for path in (folder / "tile" / "entries").rglob("*") if path.is_file())


def _in_place(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def _huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


SPOILED: Final[dict[str, Spoil]] = {
    "no head": lambda folder: (folder / "checkpoint").unlink(),
    "empty head": lambda folder: (folder / "checkpoint").write_bytes(b""),
    "head is a pipe": lambda folder: _in_place(folder / "checkpoint", os.mkfifo),
    "head is a folder": lambda folder: _in_place(folder / "checkpoint", Path.mkdir),
    "head is a loop": lambda folder: _in_place(
        folder / "checkpoint", lambda path: path.symlink_to(path)
    ),
    "head is endless": lambda folder: _in_place(
        folder / "checkpoint", lambda path: path.symlink_to("/dev/zero")
    ),
    "head is huge": lambda folder: _huge(folder / "checkpoint"),
    "entries are gone": lambda folder: _only(folder).unlink(),
    "entries are a pipe": lambda folder: _in_place(_only(folder), os.mkfifo),
    "entries are huge": lambda folder: _huge(_only(folder)),
    "entries are cut": lambda folder: os.truncate(_only(folder), 100),
}
"""Ways to spoil a folder after which nothing more can be checked."""
