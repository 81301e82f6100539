"""Tree and proofs: the library against the vectors."""

from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from typing import Any

from nous_ledger.protocol.mmr import (
    IETF_MMR,
    RFC9162,
    Profile,
    append_nodes,
    next_peaks,
    read_root,
    root_from_peaks,
)
from nous_ledger.protocol.positions import (
    leaf_position,
    locate,
    node_count,
    peak_positions,
)
from nous_ledger.protocol.proof import (
    prove_consistency,
    prove_inclusion,
    verify_consistency,
    verify_inclusion,
)
from nous_ledger.protocol.proof_peaks import (
    prove_consistency_to_peaks,
    prove_inclusion_to_peak,
    verify_consistency_to_peaks,
    verify_inclusion_to_peak,
)
from nous_ledger.protocol.tiles import (
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
    tile_width,
)
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos
from tests.conformance.vector_files import Case, cases, cases_of, load, meet, unhex

LEAVES = 1_024
TILE_FORMS = {"Tile": "hashes", "Entries": "records", "Bodies": "bodies"}


def leaf(index: int) -> Hash32:
    return Hash32(sha256(b"\x00" + index.to_bytes(8, "big")).digest())


@cache
def grown(profile: Profile, leaf_count: int) -> tuple[tuple[Hash32, ...], list[int]]:
    """Return the node array and the number of nodes after each leaf."""
    nodes: list[Hash32] = []
    sizes = [0]
    peaks: tuple[Hash32, ...] = ()
    for index in range(leaf_count):
        value = leaf(index)
        if profile is IETF_MMR:
            value = Hash32(sha256(len(nodes).to_bytes(8, "big")).digest())
        new = append_nodes(LeafCount(index), value, peaks, profile=profile)
        peaks = next_peaks(peaks, new)
        nodes += new
        sizes.append(len(nodes))
    return tuple(nodes), sizes


class Reader:
    """Reads nodes of a grown array."""

    def __init__(self, profile: Profile = RFC9162, leaf_count: int = LEAVES) -> None:
        self.nodes, self.sizes = grown(profile, leaf_count)

    def __call__(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(self.nodes[position] for position in positions)

    def peaks(self, leaf_count: int) -> tuple[Hash32, ...]:
        return self(peak_positions(LeafCount(leaf_count)))


@cases("mmr", "Tree")
def test_tree(case: Case) -> None:
    count, read = LeafCount(case["leafCount"]), Reader()
    before = read.sizes[max(count - 1, 0)]
    assert node_count(count) == read.sizes[count] == case["nodeCount"]
    assert [node.hex() for node in read.nodes[before : read.sizes[count]]] == case["newNodes"]
    if count:
        assert leaf_position(LeafIndex(count - 1)) == case["lastLeafPosition"]
    assert list(peak_positions(count)) == case["peakPositions"]
    peaks = read.peaks(count)
    assert [peak.hex() for peak in peaks] == case["peaks"]
    assert root_from_peaks(count, peaks).hex() == case["root"]
    assert read_root(read, count).hex() == case["root"]


def parts(of: str, up_to: int) -> Iterator[bytes]:
    """Yield what an accumulated digest hashes."""
    read = Reader()
    for number in range(up_to + 1):
        count = LeafCount(number)
        if of == "roots":
            yield read_root(read, count)
        elif of == "peakPositions":
            yield from (position.to_bytes(8, "big") for position in peak_positions(count))
        elif of == "nodes":
            yield from read.nodes[read.sizes[max(number - 1, 0)] : read.sizes[number]]
        elif of == "inclusionPaths":
            for index in range(number):
                yield from prove_inclusion(read, LeafIndex(index), count)
        else:
            for old in range(1, number + 1):
                yield from prove_consistency(read, LeafCount(old), count)


@cases("mmr", "Accumulated")
def test_accumulated(case: Case) -> None:
    digest = sha256()
    for part in parts(case["of"], case["upTo"]):
        digest.update(part)
    assert digest.hexdigest() == case["sha256"]


def level_of(tile: Tile) -> str:
    return str(tile.level) if tile.kind is TileKind.HASHES else str(tile.kind)


@cases("tiles", "Path")
def test_tile_path(case: Case) -> None:
    def run() -> None:
        tile = parse_tile_path(case["path"])
        found = (level_of(tile), tile.index, tile.width)
        assert found == (case["level"], case["index"], case["width"])
        assert format_tile_path(tile) == case["path"]

    meet(case, run)


@cases("tiles", "Content")
def test_tile_content(case: Case) -> None:
    """A tile's hashes are nodes of the array (SERV-1)."""
    width = tile_width(case["level"], case["index"], LeafCount(case["leafCount"]))
    assert width == case["width"]
    read = Reader(RFC9162, case["leafCount"])
    tile = Tile(level=case["level"], index=case["index"], width=width)
    data = encode_tile(read(tile_nodes(tile)))
    assert sha256(data).hexdigest() == case["sha256"]


@cases("tiles", "Tile", "Entries", "Bodies")
def test_tile_data(case: Case) -> None:
    data = unhex(case["data"]) + bytes(case.get("zeros", 0))
    codecs: dict[str, Any] = {
        "hashes": (decode_tile, encode_tile),
        "records": (decode_entries, encode_entries),
        "bodies": (decode_bodies, encode_bodies),
    }
    decode, encode = codecs[TILE_FORMS[case["type"]]]

    def run() -> None:
        found = decode(data, case["width"])
        assert encode(found) == data
        if TILE_FORMS[case["type"]] in case:
            assert [item.hex() for item in found] == case[TILE_FORMS[case["type"]]]

    meet(case, run)


def hashes(items: list[str]) -> list[Hash32]:
    return [Hash32(unhex(item)) for item in items]


@cases("inclusion", "Inclusion")
def test_inclusion(case: Case) -> None:
    root = Hash32(unhex(case["root"]))

    def run() -> None:
        found = verify_inclusion(
            Hash32(unhex(case["leaf"])),
            LeafIndex(int(case["leafIndex"])),
            LeafCount(int(case["leafCount"])),
            hashes(case["path"]),
            root,
        )
        assert found == root

    meet(case, run)


@cases("inclusion", "InclusionToPeak")
def test_inclusion_to_peak(case: Case) -> None:
    peaks = hashes(case["peaks"])

    def run() -> None:
        found = verify_inclusion_to_peak(
            Hash32(unhex(case["leaf"])),
            leaf_position(LeafIndex(int(case["leafIndex"]))),
            LeafCount(int(case["leafCount"])),
            hashes(case["path"]),
            peaks,
        )
        assert found in peaks

    meet(case, run)


@cases("consistency", "Consistency")
def test_consistency(case: Case) -> None:
    def run() -> None:
        found = verify_consistency(
            LeafCount(int(case["firstCount"])),
            Hash32(unhex(case["firstRoot"])),
            LeafCount(int(case["secondCount"])),
            Hash32(unhex(case["secondRoot"])),
            hashes(case["path"]),
        )
        assert found.hex() == case["secondRoot"]

    meet(case, run)


@cases("consistency", "ConsistencyToPeaks")
def test_consistency_to_peaks(case: Case) -> None:
    new_peaks = hashes(case["secondPeaks"])

    def run() -> None:
        found = verify_consistency_to_peaks(
            LeafCount(int(case["firstCount"])),
            hashes(case["firstPeaks"]),
            LeafCount(int(case["secondCount"])),
            new_peaks,
            [hashes(path) for path in case["paths"]],
        )
        assert found == tuple(new_peaks)

    meet(case, run)


def test_valid_proofs_are_the_ones_that_are_made() -> None:
    """A prover produces the path that verification accepts (PROOF-5, PROOF-11)."""
    read = Reader()
    for case in cases_of(load("inclusion"), "Inclusion"):
        index, count = int(case["leafIndex"]), int(case["leafCount"])
        if case["result"] == "valid" and count <= LEAVES:
            path = prove_inclusion(read, LeafIndex(index), LeafCount(count))
            assert [item.hex() for item in path] == case["path"]
    for case in cases_of(load("consistency"), "Consistency"):
        old, new = LeafCount(int(case["firstCount"])), LeafCount(int(case["secondCount"]))
        if case["flags"] == ["Valid"] and new <= LEAVES:
            found = prove_consistency(read, old, new)
            assert [item.hex() for item in found] == case["path"]


def ietf() -> Reader:
    return Reader(IETF_MMR, 21)


@cases("mmr_ietf", "Nodes")
def test_ietf_nodes(case: Case) -> None:
    """Only the core runs under this profile; the protocol uses rfc9162 (MMR-8)."""
    assert [node.hex() for node in ietf().nodes] == case["nodes"]
    heights = [locate(NodePos(position)).height for position in range(len(case["nodes"]))]
    assert heights == case["heights"]


@cases("mmr_ietf", "Peaks")
def test_ietf_peaks(case: Case) -> None:
    count = LeafCount(case["leafCount"])
    assert node_count(count) == case["nodeCount"]
    assert list(peak_positions(count)) == case["peakPositions"]
    assert [peak.hex() for peak in ietf().peaks(count)] == case["peaks"]


def at(read: Reader, positions: list[Any]) -> tuple[Hash32, ...]:
    return read(tuple(NodePos(position) for position in positions))


@cases("mmr_ietf", "InclusionToPeak")
def test_ietf_inclusion(case: Case) -> None:
    read, count, position = ietf(), LeafCount(case["leafCount"]), NodePos(case["position"])
    path = prove_inclusion_to_peak(read, position, count)
    assert path == at(read, case["path"])
    node, peaks = read.nodes[position], read.peaks(count)
    found = verify_inclusion_to_peak(node, position, count, path, peaks, profile=IETF_MMR)
    assert found == read.nodes[case["peak"]]


@cases("mmr_ietf", "ConsistencyToPeaks")
def test_ietf_consistency(case: Case) -> None:
    read = ietf()
    old, new = LeafCount(case["firstCount"]), LeafCount(case["secondCount"])
    paths = prove_consistency_to_peaks(read, old, new)
    assert paths == tuple(at(read, path) for path in case["paths"])
    peaks = verify_consistency_to_peaks(
        old, read.peaks(old), new, read.peaks(new), paths, profile=IETF_MMR
    )
    assert peaks[len(peaks) - len(case["rightPeaks"]) :] == at(read, case["rightPeaks"])
