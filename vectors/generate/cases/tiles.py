"""tiles.json: paths and contents of tiles, entry bundles and bodies bundles."""

from vectors.generate.cases.mmr import leaves
from vectors.generate.examplelog import ExampleLog
from vectors.generate.rules import tiles, tree
from vectors.generate.rules.primitives import sha256, uint
from vectors.generate.suite import Group, Json, Suite, unhex

COUNT = 70_000


def parse(case: Json) -> Json:
    """Parse a path."""
    level, number, width = tiles.parse_path(case["path"])
    return {"level": level, "index": number, "width": width}


def hashes(case: Json) -> Json:
    """Read a tile of hashes."""
    found = tiles.read_tile(unhex(case["data"]), case["width"])
    return {"hashes": [item.hex() for item in found]}


def entries(case: Json) -> Json:
    """Read an entry bundle."""
    found = tiles.read_entries(unhex(case["data"]), case["width"])
    return {"records": [item.hex() for item in found]}


def bodies(case: Json) -> Json:
    """Read a bodies bundle."""
    data = unhex(case["data"]) + bytes(case.get("zeros", 0))
    found = tiles.read_bodies(data, case["width"])
    return {} if "zeros" in case else {"bodies": [item.hex() for item in found]}


def content(case: Json) -> Json:
    """Hash a tile over the example leaves of mmr.json."""
    span = tiles.FULL ** case["level"]
    all_leaves = leaves(case["leafCount"])
    parts = [
        tree.root(all_leaves[first : first + span])
        for first in range(0, len(all_leaves) - span + 1, span)
    ]
    parts = parts[tiles.FULL * case["index"] :][: tiles.FULL]
    return {"width": len(parts), "sha256": sha256(b"".join(parts)).hex()}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "tiles",
        "tlog-tiles",
        "14.1 Head and tiles",
        "Path: what `path` names, below the log's prefix.",
        "Tile, Entries, Bodies: the content of `data` for a width; `zeros` zero bytes follow.",
        "Content: SHA-256 of a tile over the example leaves of mmr.json.",
    )
    suite.flag("Valid", "BASIC", "A resource in order.", "None.", "SERV-1 SERV-4")
    for name, bug, description, effect, ids in (
        ("Path", "PARSING", "Another spelling of a path.", "One tile under two names.", "SERV-4"),
        (
            "Length",
            "PARSING",
            "Another number of bytes than the width implies.",
            "Hashes or records that are not there.",
            "SERV-1 SERV-3",
        ),
        ("Prefix", "PARSING", "A record of another length.", "Records out of step.", "SERV-2"),
        ("Limit", "DENIAL_OF_SERVICE", "A body above 32,768 bytes.", "Unbounded bodies.", "SERV-3"),
    ):
        suite.flag(name, bug, description, effect, ids)
    paths(suite.group("Path", parse))
    contents(suite)
    return suite


def paths(group: Group) -> None:
    """Paths."""
    for level, number, width in (
        ("0", 0, 256),
        ("0", 0, 1),
        ("1", 255, 255),
        ("6", 999, 256),
        ("0", 1_000, 256),
        ("0", 1_234_067, 7),
        ("entries", 42, 256),
        ("bodies", 42, 100),
    ):
        path = tiles.path_of(level, number, width)
        group.valid(path, "Valid", path=path)
    for path in (
        "",
        "/tile/0/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/x01/000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/Entries/000",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/",
        "tile/0/000.p/5/",
        "tile/0/000/",
        "tile/0/\uff10\uff10\uff10",
        "tile/0/000\n",
        "checkpoint",
    ):
        group.invalid(f"path {path!r}", "input", "Path", path=path)


def contents(suite: Suite) -> None:
    """Bytes of tiles and bundles."""
    full = suite.group("Content", content, leafCount=COUNT)
    for level, index in ((0, 0), (0, 273), (1, 0), (1, 1), (2, 0)):
        full.valid(f"tile {index} of level {level}", "Valid", level=level, index=index)
    group = suite.group("Tile", hashes)
    three = b"".join(leaves(3))
    group.valid("three hashes", "Valid", data=three.hex(), width=3)
    group.invalid("a byte missing", "truncated", "Length", data=three[:-1].hex(), width=3)
    group.invalid("a hash missing", "truncated", "Length", data=three[:-32].hex(), width=3)
    group.invalid("nothing", "truncated", "Length", data="", width=1)
    group.invalid("a byte more", "trailing", "Length", data=three.hex() + "00", width=3)
    group.invalid("a hash more", "trailing", "Length", data=three.hex(), width=2)
    log = ExampleLog().genesis().receipts(1)
    group = suite.group("Entries", entries)
    two = b"".join(uint(120, 2) + row for row, _ in log.leaves)
    group.valid("two records", "Valid", data=two.hex(), width=2)
    group.invalid("a byte missing in a record", "truncated", "Length", data=two[:-1].hex(), width=2)
    group.invalid("half a length", "truncated", "Length", data=two[:123].hex(), width=2)
    group.invalid("a record missing", "truncated", "Length", data=two[:122].hex(), width=2)
    group.invalid("a record more", "trailing", "Length", data=two.hex(), width=1)
    for length in (0, 119, 121, 30_720):
        data = uint(length, 2) + two[2:]
        group.invalid(f"length {length}", "record-length", "Prefix", data=data.hex(), width=2)
    bodies_of(suite.group("Bodies", bodies), log)


def bodies_of(group: Group, log: ExampleLog) -> None:
    """Bodies bundles."""
    two = b"".join(uint(len(body), 2) + body for _, body in log.leaves)
    group.valid("two bodies", "Valid", data=two.hex(), width=2)
    group.valid("a body and one withheld", "Valid", data=two.hex() + "0000", width=3)
    group.valid("a body of 32,768 bytes", "Valid", data="8000", zeros=32_768, width=1)
    group.invalid("a body of 32,769 bytes", "limit", "Limit", data="8001", zeros=32_769, width=1)
    group.invalid("a length of 65,535", "limit", "Limit", data="ffff", width=1)
    group.invalid("a byte missing", "truncated", "Length", data=two[:-1].hex(), width=2)
    group.invalid("half a length, bodies", "truncated", "Length", data=two.hex() + "00", width=3)
    group.invalid("a body missing", "truncated", "Length", data=two.hex(), width=3)
    group.invalid("a body more", "trailing", "Length", data=two.hex(), width=1)
    group.invalid("one withheld more", "trailing", "Length", data=two.hex() + "0000", width=2)
