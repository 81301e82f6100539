"""Growth: is the tree of a larger head the remembered one, and what are its new leaves?

Before any record is looked at, the hashes over the new leaves are taken from tiles and,
together with the remembered nodes, must make the signed root. From then on every bundle
of records can be compared with a hash that the log has signed for; what is served
wrongly is noticed before it is believed.

    level 1   [ 256 leaves ][ 256 leaves ] …   one hash for each full bundle
    level 0   [ the rest ]                      one hash for each leaf of the last one

Spec:
    PROTOCOL.md HEAD-12, SERV-1, and SENT-3 to SENT-5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from nous_ledger.protocol.errors import EncodingError, ProofError, UnavailableError
from nous_ledger.protocol.hashing import ZERO_HASH
from nous_ledger.protocol.mmr import (
    NodeReader,
    append_nodes,
    bag_peaks,
    next_peaks,
    peak_subtrees,
    read_nodes,
    read_root,
    subtree_position,
)
from nous_ledger.protocol.proof import prove_consistency, verify_consistency
from nous_ledger.protocol.tiles import (
    FULL_WIDTH,
    TILE_HEIGHT,
    Tile,
    decode_tile,
    tile_of_node,
    tile_width,
)
from nous_ledger.protocol.types import Hash32, LeafCount, NodePos
from sentinel.audit.findings import Finding, Place
from sentinel.audit.prove_heads import prove_fork
from sentinel.audit.state import AuditState, SeenHead

MAX_NEW_LEAVES: Final = 1 << 28
"""Most leaves that one head may add: their hashes, 32 bytes for 256 leaves, are held at once."""

_LEAVES: Final = 0
_BUNDLES: Final = 1
MAX_HEADS: Final = 64
"""Most heads that are kept while records wait to be audited."""

_Parts: TypeAlias = Mapping[Tile, tuple[Hash32, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """Hashes that a signed root vouches for, over the leaves that are still to be audited.

    Attributes:
        first_bundle: number of the first bundle that `bundles` has a hash of.
        bundles: roots over full bundles, 32 bytes each.
        leaf_count: leaves of the head.
        rest: hashes of the leaves of the last bundle if it is not full, 32 bytes each.
    """

    first_bundle: int
    bundles: bytes
    leaf_count: LeafCount
    rest: bytes

    def width(self, bundle: int) -> int:
        """Return how many records a bundle has below the head."""
        return min(FULL_WIDTH, self.leaf_count - bundle * FULL_WIDTH)

    def expected(self, bundle: int) -> bytes:
        """Return what the records of a bundle must hash to.

        Returns:
            32 bytes, the root over a full bundle; else 32 bytes for each leaf.
        """
        if self.width(bundle) < FULL_WIDTH:
            return self.rest
        at = 32 * (bundle - self.first_bundle)
        return self.bundles[at : at + 32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What became of a larger head.

    Attributes:
        state: with the head as trusted, if it was accepted.
        frontier: what its new records must hash to; None if it was not accepted.
        findings: what was found.
    """

    state: AuditState
    frontier: Frontier | None
    findings: tuple[Finding, ...] = ()


def growth_tiles(state: AuditState, head: SeenHead) -> tuple[Tile, ...]:
    """Return the tiles of hashes that `check_growth` compares.

    Args:
        state: where the audit stands.
        head: a head over more leaves than are audited; the trusted one to go on with it.

    Raises:
        UnavailableError: unreachable (so many new leaves that nobody could have them all).
    """
    count = head.leaf_count
    if count - state.audited > MAX_NEW_LEAVES:
        raise UnavailableError(
            "unreachable", f"a head over {count} leaves is beyond what can be read at once"
        )
    first, last = state.audited // FULL_WIDTH, count // FULL_WIDTH
    numbers = range(first // FULL_WIDTH, -(-last // FULL_WIDTH))
    tiles = [_tile(_BUNDLES, number, count) for number in numbers if last > first]
    bundles = {point // FULL_WIDTH for point in _points(state, head) if point % FULL_WIDTH}
    return (*tiles, *(_tile(_LEAVES, bundle, count) for bundle in sorted(bundles)))


def check_growth(
    state: AuditState, head: SeenHead, tiles: Mapping[Tile, bytes], nodes: NodeReader
) -> Growth:
    """Accept a head whose tree extends the remembered one, or say why not.

    Args:
        state: where the audit stands.
        head: a verified head over more leaves than are audited.
        tiles: content of each of `growth_tiles`.
        nodes: the remembered tree over `state.audited` leaves.

    Returns:
        Without a frontier and without findings: what was served does not make the root.
        Then `check_fork` finds out whether the log or only its tiles are to blame.
    """
    expected = {known.leaf_count: known.root for known in _between(state, head)}
    expected[head.leaf_count] = head.root
    try:
        parts = {tile: decode_tile(data, tile.width) for tile, data in tiles.items()}
    except EncodingError as error:
        return Growth(state=state, frontier=None, findings=(_mismatch(error.message, head),))
    if not all(expected[count] == root for count, root in _roots(state, head, parts, nodes)):
        return Growth(state=state, frontier=None)
    trusted = state.trusted
    if trusted is None or trusted.leaf_count < head.leaf_count:
        state = replace(state, heads=(*state.heads, head)[-MAX_HEADS:])
    return Growth(state=state, frontier=_frontier(state, head, parts))


def _roots(
    state: AuditState, head: SeenHead, parts: _Parts, nodes: NodeReader
) -> Iterator[tuple[LeafCount, Hash32]]:
    """Yield the roots that the tiles make at the counts of heads, in ascending order."""
    bundles = LeafCount(state.audited // FULL_WIDTH)
    peaks = _bundle_peaks(bundles, nodes)
    for point in _points(state, head):
        while bundles < point // FULL_WIDTH:
            added = append_nodes(bundles, _bundle_hash(parts, bundles, head), peaks)
            peaks = next_peaks(peaks, added)
            bundles = LeafCount(bundles + 1)
        yield point, bag_peaks((*peaks, *_leaf_peaks(parts, point, head)))


def _bundle_peaks(bundles: LeafCount, nodes: NodeReader) -> tuple[Hash32, ...]:
    """Return the remembered peaks over some full bundles."""
    places = tuple(
        subtree_position(peak.start * FULL_WIDTH, peak.height + TILE_HEIGHT)
        for peak in peak_subtrees(bundles)
    )
    return read_nodes(nodes, places)


def _bundle_hash(parts: _Parts, bundle: int, head: SeenHead) -> Hash32:
    """Return the root over a full bundle; one that its own leaves do not make is left out."""
    number, at = divmod(bundle, FULL_WIDTH)
    found = parts[_tile(_BUNDLES, number, head.leaf_count)][at]
    leaves = parts.get(_tile(_LEAVES, bundle, head.leaf_count))
    return found if leaves is None else bag_peaks(_peaks_over(leaves))


def _leaf_peaks(parts: _Parts, point: LeafCount, head: SeenHead) -> tuple[Hash32, ...]:
    """Return the peaks over the last leaves below a count, those of no full bundle."""
    bundle, rest = divmod(point, FULL_WIDTH)
    return _peaks_over(parts[_tile(_LEAVES, bundle, head.leaf_count)][:rest]) if rest else ()


def _peaks_over(leaves: Iterable[Hash32]) -> tuple[Hash32, ...]:
    peaks: tuple[Hash32, ...] = ()
    for number, leaf in enumerate(leaves):
        peaks = next_peaks(peaks, append_nodes(LeafCount(number), leaf, peaks))
    return peaks


def _frontier(state: AuditState, head: SeenHead, parts: _Parts) -> Frontier:
    count = head.leaf_count
    first, last = state.audited // FULL_WIDTH, count // FULL_WIDTH
    hashes = [_bundle_hash(parts, bundle, head) for bundle in range(first, last)]
    rest = parts[_tile(_LEAVES, last, count)] if count % FULL_WIDTH else ()
    return Frontier(
        first_bundle=first, bundles=b"".join(hashes), leaf_count=count, rest=b"".join(rest)
    )


def fork_tiles(state: AuditState, head: SeenHead) -> tuple[Tile, ...]:
    """Return the tiles that hold the proof from the trusted head to a larger one."""
    wanted: set[Tile] = set()

    def note(positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        wanted.update(_tile_of(position, head.leaf_count) for position in positions)
        return (ZERO_HASH,) * len(positions)

    trusted = _compared(state, head)
    if trusted is not None:
        _prove(note, trusted.leaf_count, head.leaf_count)
    return tuple(sorted(wanted, key=lambda tile: (tile.level, tile.index)))


def check_fork(
    state: AuditState, head: SeenHead, tiles: Mapping[Tile, bytes]
) -> tuple[Finding, ...]:
    """Say why a larger head was not accepted: the log forked, or its tiles are wrong.

    Args:
        state: where the audit stands.
        head: the head that `check_growth` did not accept.
        tiles: content of each of `fork_tiles`.
    """
    trusted = _compared(state, head)
    if trusted is None:
        return (_mismatch("the tiles do not lead to the signed root", head),)
    try:
        parts = {tile: decode_tile(data, tile.width) for tile, data in tiles.items()}
        root, path = _prove(partial(_read_tiles, parts, head), trusted.leaf_count, head.leaf_count)
        verify_consistency(trusted.leaf_count, root, head.leaf_count, head.root, path)
    except (EncodingError, ProofError) as error:
        return (_mismatch(error.message, head),)
    if root == trusted.root:
        return (_mismatch("the tiles of the new leaves do not lead to the signed root", head),)
    return (
        Finding(
            place=Place.HEAD,
            code="fork",
            message=f"the tree over {head.leaf_count} leaves does not extend the one over"
            f" {trusted.leaf_count} that was signed before",
            count=head.leaf_count,
            attrs={"trusted_count": trusted.leaf_count},
            evidence=prove_fork(state.ring, trusted, head, root, path),
        ),
    )


def _prove(read: NodeReader, old: LeafCount, new: LeafCount) -> tuple[Hash32, tuple[Hash32, ...]]:
    return read_root(read, old), prove_consistency(read, old, new)


def _read_tiles(
    parts: _Parts, head: SeenHead, positions: tuple[NodePos, ...]
) -> tuple[Hash32, ...]:
    return tuple(_node(parts, head, position) for position in positions)


def _node(parts: _Parts, head: SeenHead, position: NodePos) -> Hash32:
    _, _, low, high = tile_of_node(position)
    return bag_peaks(_peaks_over(parts[_tile_of(position, head.leaf_count)][low:high]))


def _tile_of(position: NodePos, count: LeafCount) -> Tile:
    level, index, _, _ = tile_of_node(position)
    return _tile(level, index, count)


def _compared(state: AuditState, head: SeenHead) -> SeenHead | None:
    """Return the newest trusted head that is smaller than a seen one."""
    smaller = [known for known in state.heads if known.leaf_count < head.leaf_count]
    return smaller[-1] if smaller else None


def _between(state: AuditState, head: SeenHead) -> tuple[SeenHead, ...]:
    """Return the trusted heads whose trees a larger one must extend."""
    counts = range(state.audited, head.leaf_count)
    return tuple(known for known in state.heads if known.leaf_count in counts)


def _points(state: AuditState, head: SeenHead) -> tuple[LeafCount, ...]:
    return (*(known.leaf_count for known in _between(state, head)), head.leaf_count)


def _tile(level: int, index: int, count: LeafCount) -> Tile:
    return Tile(level=level, index=index, width=tile_width(level, index, count))


def _mismatch(message: str, head: SeenHead) -> Finding:
    return Finding(place=Place.TREE, code="root-mismatch", message=message, count=head.leaf_count)
