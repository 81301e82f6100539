"""Tiles: paths, geometry and contents."""

from hashlib import sha256

import pytest

from nous_ledger.protocol.tiles import (
    MAX_BODIES_BUNDLE_BYTES,
    Tile,
    TileKind,
    decode_bodies,
    decode_entries,
    decode_tile,
    encode_bodies,
    encode_entries,
    encode_tile,
    format_tile_path,
    parse_tile_path,
    tile_nodes,
    tile_of_node,
    tile_width,
)
from nous_ledger.protocol.types import MAX_UINT, Hash32, LeafCount, NodePos
from tests.refusals import code_of
from tests.tree_oracle import Oracle, all_given, node_hash
from tests.unit import small_log


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", Tile(index=0)),
        ("tile/0/000.p/1", Tile(index=0, width=1)),
        ("tile/0/999.p/255", Tile(index=999, width=255)),
        ("tile/1/x001/000", Tile(level=1, index=1000)),
        ("tile/0/x001/x234/067", Tile(index=1_234_067)),
        ("tile/63/005", Tile(level=63, index=5)),
        ("tile/0/x009/x007/x199/x254/x740/991", Tile(index=MAX_UINT)),
        ("tile/entries/x273/112.p/7", Tile(kind=TileKind.ENTRIES, index=273_112, width=7)),
        ("tile/bodies/000", Tile(kind=TileKind.BODIES, index=0)),
    ],
)
def test_paths(path: str, tile: Tile) -> None:
    """Every tile has one path (SERV-4)."""
    assert format_tile_path(tile) == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/001",  # a leading group of zeros
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/00/000",
        "tile/01/000",
        "tile/64/000",
        "tile/100/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/hashes/000",
        "tile/Entries/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/1000",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/000.P/1",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/000\n",
        "tile/0/x009/x007/x199/x254/x740/992",  # 2^53
        "tile/0/x001/x001/x001/x001/x001/x001/001",
        "tile/0/../000",
        "tile/0/%30",
    ],
)
def test_other_paths_are_refused(path: str) -> None:
    """A path is the one spelling of its tile (SERV-4)."""
    assert code_of(parse_tile_path, path) == "input"


@pytest.mark.parametrize(
    ("kind", "level", "index", "width"),
    [
        (TileKind.HASHES, -1, 0, 1),
        (TileKind.HASHES, 64, 0, 1),
        (TileKind.ENTRIES, 1, 0, 1),
        (TileKind.BODIES, 1, 0, 1),
        (TileKind.HASHES, 0, -1, 1),
        (TileKind.HASHES, 0, MAX_UINT + 1, 1),
        (TileKind.HASHES, 0, 0, 0),
        (TileKind.HASHES, 0, 0, 257),
    ],
)
def test_tiles_out_of_range_are_refused(kind: TileKind, level: int, index: int, width: int) -> None:
    assert code_of(Tile, kind=kind, level=level, index=index, width=width) == "input"


@pytest.mark.parametrize(
    ("leaves", "level", "widths"),
    [
        # The two examples of the C2SP specification.
        (70_000, 0, [256] * 273 + [112, 0]),
        (70_000, 1, [256, 17, 0]),
        (70_000, 2, [1, 0]),
        (256, 0, [256, 0]),
        (256, 1, [1, 0]),
        (0, 0, [0]),
        (255, 0, [255, 0]),
        (255, 1, [0]),
        (MAX_UINT, 6, [31, 0]),
        (MAX_UINT, 63, [0]),
    ],
)
def test_widths(leaves: int, level: int, widths: list[int]) -> None:
    for index, width in enumerate(widths):
        assert tile_width(level, index, LeafCount(leaves)) == width


def test_the_nodes_of_a_tile_are_roots_of_perfect_subtrees() -> None:
    oracle = Oracle({3: b"\x01" * 32, 300: b"\x02" * 32, 70_000: b"\x03" * 32})
    for level, index, width in [(0, 0, 256), (0, 1, 112), (1, 0, 256), (1, 1, 17), (2, 0, 2)]:
        size = 256**level
        spans = ((256 * index + at) * size for at in range(width))
        assert [
            oracle.node(at) for at in tile_nodes(Tile(level=level, index=index, width=width))
        ] == [oracle.root(start, start + size) for start in spans]


@pytest.mark.parametrize(
    "tile",
    [
        Tile(kind=TileKind.ENTRIES, index=0),
        Tile(level=7, index=0, width=1),
        Tile(index=MAX_UINT, width=1),
        Tile(level=6, index=0, width=32),
    ],
)
def test_tiles_without_nodes_are_refused(tile: Tile) -> None:
    assert code_of(tile_nodes, tile) == "input"


def test_the_last_tile_of_the_largest_tree_has_nodes() -> None:
    assert len(tile_nodes(Tile(level=6, index=0, width=31))) == 31


def test_every_node_is_made_from_one_tile() -> None:
    count = 600
    oracle = all_given(count)
    for position in range(2 * count - count.bit_count()):
        level, index, low, high = tile_of_node(NodePos(position))
        assert high <= tile_width(level, index, LeafCount(count))
        nodes = tile_nodes(Tile(level=level, index=index, width=high))[low:]
        hashes = [oracle.node(at) for at in nodes]
        while len(hashes) > 1:
            hashes = [node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes), 2)]
        assert hashes == [oracle.node(position)]


def test_positions_out_of_range_have_no_tile() -> None:
    assert code_of(tile_of_node, NodePos(-1)) == "input"


HASHES = tuple(Hash32(sha256(bytes([at])).digest()) for at in range(256))


@pytest.mark.parametrize("width", [1, 2, 255, 256])
def test_tiles_round_trip(width: int) -> None:
    """A tile is exactly 32 bytes per hash (SERV-1)."""
    data = encode_tile(HASHES[:width])
    assert len(data) == 32 * width
    assert decode_tile(data, width) == HASHES[:width]
    assert code_of(decode_tile, data[:-1], width) == "truncated"
    assert code_of(decode_tile, data + b"\x00", width) == "trailing"


def test_other_tiles_are_not_encoded() -> None:
    for hashes in ((), (*HASHES, HASHES[0]), (Hash32(bytes(31)),), (Hash32(bytes(33)),)):
        assert code_of(encode_tile, hashes) == "input"


@pytest.mark.parametrize("width", [1, 23])
def test_entries_round_trip(width: int) -> None:
    """An entry is 122 bytes, and its length says 120 (SERV-1, SERV-2)."""
    data = encode_entries(small_log.RECORDS[:width])
    assert len(data) == 122 * width
    assert data.startswith(b"\x00\x78" + small_log.RECORDS[0])
    assert decode_entries(data, width) == small_log.RECORDS[:width]
    assert code_of(decode_entries, data[:-1], width) == "truncated"
    assert code_of(decode_entries, data + b"\x00", width) == "trailing"
    for at in (0, 122 * (width - 1)):
        other = data[: at + 1] + b"\x79" + data[at + 2 :]
        assert code_of(decode_entries, other, width) == "record-length"


def test_other_entries_are_not_encoded() -> None:
    assert code_of(encode_entries, ()) == "input"
    assert code_of(encode_entries, [small_log.RECORDS[0]] * 257) == "input"
    assert code_of(encode_entries, [bytes(119)]) == "record-length"


def test_bodies_round_trip() -> None:
    """A bundle holds as many bodies as its width says (SERV-3)."""
    longest = b"\x80" + bytes(32_767)
    for bodies in ((b"body",), (b"", b"x", b""), (longest,), (longest,) * 255):
        data = encode_bodies(bodies)
        assert len(data) == sum(2 + len(body) for body in bodies) <= MAX_BODIES_BUNDLE_BYTES
        assert decode_bodies(data, len(bodies)) == bodies
        assert code_of(decode_bodies, data, len(bodies) + 1) == "truncated"
        assert code_of(decode_bodies, data[:-1], len(bodies)) == "truncated"
        assert code_of(decode_bodies, data + b"\x00", len(bodies)) == "trailing"


def test_the_largest_bundle_of_bodies() -> None:
    bodies = (b"\x80" + bytes(32_767),) * 256
    data = encode_bodies(bodies)
    assert len(data) == MAX_BODIES_BUNDLE_BYTES
    assert decode_bodies(data, 256) == bodies
    assert code_of(decode_bodies, data + b"\x00", 256) == "limit"


def test_bodies_that_are_too_long_are_refused() -> None:
    """No body is above 32,768 bytes (SERV-3)."""
    assert code_of(encode_bodies, [bytes(32_769)]) == "input"
    assert code_of(decode_bodies, b"\x80\x01" + bytes(32_769), 1) == "limit"
    assert code_of(encode_bodies, ()) == "input"
    assert code_of(encode_bodies, [b""] * 257) == "input"


@pytest.mark.parametrize("data", [b"", b"\x00", b"\x00\x01"])
def test_bodies_that_end_early_are_refused(data: bytes) -> None:
    assert code_of(decode_bodies, data, 1) == "truncated"
