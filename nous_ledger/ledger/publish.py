"""Publish a log as files: a complete static log that any web server can serve.

    checkpoint                    the newest signed head; written last
    trust.policy                  the log's vkeys; to be compared out of band
    tile/<L>/<N>[.p/<W>]          hashes
    tile/entries/<N>[.p/<W>]      records
    tile/bodies/<N>[.p/<W>]       bodies; length 0 = withheld

Hashes and records never change once they are there. Bodies can be erased, and then
are erased here too. The checkpoint only moves forward, and only after everything
that it covers is durable: whenever the work is interrupted, the folder is a readable
log, and the next run goes on from there.

A partial tile stays until the checkpoint after the one under which its tile became
full, so that a reader always finds what the checkpoint it just read asks for.

Spec:
    PROTOCOL.md SERV-1 to SERV-6, HEAD-9, HEAD-10; C2SP tlog-tiles.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nous_ledger.ledger.cosigned import RECENT_HEADS, choose_head, is_further, most_cosigned
from nous_ledger.ledger.creation import DATABASE_NAME
from nous_ledger.ledger.database import check_database_file
from nous_ledger.ledger.errors import StoreContentError
from nous_ledger.ledger.heads import check_store
from nous_ledger.ledger.identity import read_identity
from nous_ledger.ledger.proofs import policy_text
from nous_ledger.ledger.publish_files import PublishedFolder
from nous_ledger.ledger.sqlite_store import SqliteStore
from nous_ledger.ledger.store import Store, View
from nous_ledger.protocol.checkpoint import Checkpoint, parse_checkpoint
from nous_ledger.protocol.errors import HeadError, InputError, LedgerError
from nous_ledger.protocol.head import decode_head_signature, only_line
from nous_ledger.protocol.mmr import read_root
from nous_ledger.protocol.note import MAX_NOTE_BYTES, parse_note
from nous_ledger.protocol.tiles import (
    FULL_WIDTH,
    MAX_BODIES_BUNDLE_BYTES,
    TILE_HEIGHT,
    Tile,
    TileKind,
    decode_bodies,
    encode_bodies,
    encode_entries,
    encode_tile,
    format_tile_path,
    parse_tile_path,
    tile_nodes,
    tile_width,
)
from nous_ledger.protocol.types import LeafCount, LeafIndex, LogId
from nous_ledger.protocol.vkey import head_vkey

CHECKPOINT: Final = "checkpoint"
POLICY: Final = "trust.policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a run did.

    Attributes:
        checkpoint: the head that the folder now ends at.
        leaf_count: leaves of the ledger, which may be more.
        written: files that were written or replaced.
        removed: partial tiles whose full tile has taken over, as folders.
    """

    checkpoint: Checkpoint
    leaf_count: LeafCount
    written: int
    removed: int


Progress = Callable[[int, int], None]
"""Is told how many tiles of how many were looked at."""


def publish(
    folder: Path | str,
    target: Path | str,
    *,
    all_bodies: bool,
    verify: bool = False,
    progress: Progress | None = None,
) -> Published:
    """Bring a published folder up to the newest stored head of a ledger.

    Args:
        folder: the ledger's; opened for reading only.
        target: the published folder; made if it is missing.
        all_bodies: publish every body, not those of key events alone.
        verify: compare what was published before as well; what is missing is written.
        progress: called for every tile.

    Raises:
        LedgerUseError: not-a-ledger.
        HeadError: rollback, fork (the folder's checkpoint is ahead of this ledger, or
            of another history).
        StoreContentError: publish-conflict; store-corrupt, store-foreign.
        StoreError: publish-busy; the database or folder could not be read or written.
    """
    path = Path(folder) / DATABASE_NAME
    check_database_file(path)
    with contextlib.closing(SqliteStore(path, read_only=True)) as store:
        run = _Run(store, PublishedFolder(Path(target)), all_bodies=all_bodies, verify=verify)
        return run.publish(progress or (lambda _done, _total: None))


class _Run:
    """One run under way."""

    def __init__(
        self, store: Store, files: PublishedFolder, *, all_bodies: bool, verify: bool
    ) -> None:
        with store.read() as view:
            identity = read_identity(view)
            check_store(view, identity.origin)
            heads = view.newest_heads(RECENT_HEADS)
            self._ledger_count = view.leaf_count()
            self._key_events = frozenset(view.key_events())
        self._store = store
        self._files = files
        self._log_id: LogId = identity.log_id
        self._policy = policy_text(identity)
        self._heads = most_cosigned(heads)
        self._since = heads[0].timestamp - identity.max_merge_delay_s
        self._take(heads[0].note)
        self._all_bodies = all_bodies
        self._verify = verify

    def _take(self, note: bytes) -> None:
        """Publish up to this head."""
        self._note = note
        self._head = parse_checkpoint(parse_note(note).text)

    def publish(self, progress: Progress) -> Published:
        with self._files.held():
            old = self._published_head()
            witnessed = choose_head(self._heads, at_least=old, since=self._since)
            if witnessed is not None:
                self._take(witnessed.note)
            bodies = self._bodies_to_look_at()
            new = 0 if self._verify else old, self._head.leaf_count
            total = len(bodies) + sum(1 for _ in _new_tiles(*new))
            for done, tile in enumerate(_new_tiles(*new)):
                progress(done, total)
                self._files.put(format_tile_path(tile), self._content(tile))
            for done, (name, tile) in enumerate(bodies, start=total - len(bodies)):
                progress(done, total)
                self._put_bodies(name, tile)
            progress(total, total)
            self._files.replace(POLICY, self._policy)
            self._files.make_durable()
            if self._moves_forward():
                self._files.replace(CHECKPOINT, self._note)
                self._files.make_durable()
            removed = self._remove_partial(old)
        return Published(
            checkpoint=self._head,
            leaf_count=self._ledger_count,
            written=self._files.written,
            removed=removed,
        )

    def _published_head(self) -> LeafCount:
        """Return the leaf count published so far, 0 for none, once it is one of this log."""
        note = self._files.read(CHECKPOINT, MAX_NOTE_BYTES)
        if note is None:
            return LeafCount(0)
        try:
            old = parse_checkpoint(parse_note(note).text)
        except LedgerError as error:
            raise _conflict(f"the checkpoint there is damaged: {error.message}") from error
        if old.origin != self._head.origin:
            raise _conflict(f"the checkpoint there is of another log, {old.origin}")
        if old.leaf_count > self._head.leaf_count:
            raise HeadError(
                "rollback",
                f"{old.leaf_count} leaves are published, the newest head of this ledger"
                f" covers {self._head.leaf_count}",
                hint="this ledger is older than what was published: never sign with it",
            )
        with self._store.read() as view:
            root = read_root(view.nodes, old.leaf_count)
        if old.root != root:
            raise HeadError(
                "fork",
                f"the checkpoint there has another root over {old.leaf_count} leaves",
                published=old.root.hex(),
                computed=root.hex(),
            )
        return old.leaf_count

    def _moves_forward(self) -> bool:
        """Return whether the head is newer than the published one, or cosigned by more."""
        note = self._files.read(CHECKPOINT, MAX_NOTE_BYTES)
        if note is None or parse_checkpoint(parse_note(note).text) != self._head:
            return True
        new, old = self._time(self._note), self._time(note)
        return new > old or (new == old and note != self._note and is_further(self._note, note))

    def _time(self, note: bytes) -> int:
        try:
            line = only_line(parse_note(note), head_vkey(self._head.origin, self._log_id))
            return decode_head_signature(line.payload).timestamp
        except LedgerError:
            return -1  # whatever stands there is no head of the log

    def _bodies_to_look_at(self) -> list[tuple[str, Tile]]:
        """Return the bundles that are missing, and those that are no longer the same."""
        sizes = self._bundle_sizes()
        there: dict[str, int] = dict(self._files.files("tile/bodies"))
        for tile in _tiles(TileKind.BODIES, 0, self._head.leaf_count):
            there.setdefault(format_tile_path(tile), -1)
        found: list[tuple[str, Tile]] = []
        for name, size in there.items():
            tile = self._bundle_at(name)
            unchanged = tile.width == FULL_WIDTH and size == sizes.get(tile.index, 2 * FULL_WIDTH)
            if self._verify or not unchanged:
                found.append((name, tile))
        return found

    def _bundle_at(self, name: str) -> Tile:
        try:
            tile = parse_tile_path(name)
        except InputError as error:
            raise _conflict(f"no bodies belong into {name}") from error
        if tile.width > tile_width(0, tile.index, self._head.leaf_count):
            raise _conflict(f"{name} lies beyond the newest head")
        return tile

    def _bundle_sizes(self) -> dict[int, int]:
        """Return the sizes of the bundles of bodies; of one without bodies, none.

        A body never changes but by being erased, which makes its bundle smaller: a
        bundle of the right size is the right one.
        """
        with self._store.read() as view:
            if self._all_bodies:
                lengths = view.body_bytes(FULL_WIDTH)
                return {number: 2 * FULL_WIDTH + length for number, length in lengths}
            sizes: dict[int, int] = {}
            for leaf in self._key_events:
                number = leaf // FULL_WIDTH
                size = sizes.get(number, 2 * FULL_WIDTH)
                sizes[number] = size + len(view.body(LeafIndex(leaf)))
            return sizes

    def _put_bodies(self, name: str, tile: Tile) -> None:
        data = self._content(tile)
        found = self._files.read(name, MAX_BODIES_BUNDLE_BYTES)
        if found is not None and found != data:
            try:
                pairs = zip(decode_bodies(found, tile.width), self._bodies(tile), strict=True)
                known = all(old in (new, b"") or not new for old, new in pairs)
            except LedgerError:
                known = False
            if not known:
                raise _conflict(f"{name} has bodies that the log does not have there")
        self._files.replace(name, data)

    def _content(self, tile: Tile) -> bytes:
        with self._store.read() as view:
            return self._encoded(view, tile)

    def _encoded(self, view: View, tile: Tile) -> bytes:
        if tile.kind == TileKind.HASHES:
            return encode_tile(view.nodes(tile_nodes(tile)))
        if tile.kind == TileKind.BODIES:
            return encode_bodies(self._bodies(tile))
        lo = tile.index * FULL_WIDTH
        return encode_entries([entry.record for entry in view.entries(lo, lo + tile.width)])

    def _bodies(self, tile: Tile) -> list[bytes]:
        lo = tile.index * FULL_WIDTH
        with self._store.read() as view:
            entries = view.entries(lo, lo + tile.width)
        shown = self._key_events
        return [e.body if self._all_bodies or e.index in shown else b"" for e in entries]

    def _remove_partial(self, old: LeafCount) -> int:
        """Remove the partial tiles of tiles that were full under the checkpoint before."""
        folders: set[str] = set()
        for name, _ in self._files.files("tile"):
            try:
                tile = parse_tile_path(name)
            except InputError:
                continue  # not ours
            full = tile_width(tile.level, tile.index, old) == FULL_WIDTH
            if full and tile.width < FULL_WIDTH:
                folders.add(name.rpartition("/")[0])
        taken_over = [f for f in folders if self._files.read(f.removesuffix(".p"), 0) is not None]
        for folder in taken_over:
            self._files.remove_folder(folder)
        return len(taken_over)


def _new_tiles(old: int, new: int) -> Iterator[Tile]:
    """Yield the tiles of hashes and records that more leaves add or complete."""
    level = 0
    while new >> (TILE_HEIGHT * level):
        shift = TILE_HEIGHT * level
        yield from _tiles(TileKind.HASHES, old >> shift, new >> shift, level)
        level += 1
    yield from _tiles(TileKind.ENTRIES, old, new)


def _tiles(kind: TileKind, lo: int, hi: int, level: int = 0) -> Iterator[Tile]:
    """Yield the tiles of one level that hold any of the items `[lo, hi)`."""
    if lo == hi:
        return
    for index in range(lo // FULL_WIDTH, -(-hi // FULL_WIDTH)):
        width = min(FULL_WIDTH, hi - index * FULL_WIDTH)
        yield Tile(kind=kind, level=level, index=index, width=width)


def _conflict(message: str) -> StoreContentError:
    return StoreContentError("publish-conflict", message)
