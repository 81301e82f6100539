"""mmr.json: nodes, positions, peaks and roots of small trees in full, of larger ones by digest."""

from functools import cache
from typing import Any

from vectors.generate.rules import tree
from vectors.generate.rules.primitives import sha256, uint
from vectors.generate.suite import Json, Suite

FULL, PROOFS, ROOTS = 64, 128, 1_024


@cache
def leaf(index: int) -> bytes:
    """Return the hash of the example leaf: its data is u64(index)."""
    return sha256(b"\x00" + uint(index, 8))


@cache
def leaves(count: int) -> tuple[bytes, ...]:
    """Return the first leaf hashes."""
    return tuple(leaf(index) for index in range(count))


def full(case: Json) -> Json:
    """Describe one tree in full, and hold the array against the recursion."""
    array = tree.Array()
    before = 0
    for item in leaves(case["leafCount"]):
        before = len(array.nodes)
        array.append(item)
    assert array.bag() == tree.root(leaves(case["leafCount"]))
    return {
        "nodeCount": len(array.nodes),
        "newNodes": [node.hex() for node in array.nodes[before:]],
        "lastLeafPosition": before if case["leafCount"] else None,
        "peakPositions": array.peaks,
        "peaks": [array.nodes[position].hex() for position in array.peaks],
        "root": array.bag().hex(),
    }


def accumulated(case: Json) -> Json:
    """Hash the parts over all counts."""
    return {"sha256": sha256(b"".join(PARTS[case["of"]](case["upTo"]))).hex()}


def roots(up_to: int) -> list[bytes]:
    """Return the roots of the counts 0 to up_to."""
    return [tree.root(leaves(count)) for count in range(up_to + 1)]


def peaks(up_to: int) -> list[bytes]:
    """Return u64 of every peak position, for the counts 0 to up_to."""
    array = tree.Array()
    parts: list[bytes] = []
    for item in leaves(up_to):
        array.append(item)
        parts += [uint(position, 8) for position in array.peaks]
    return parts


def nodes(up_to: int) -> list[bytes]:
    """Return the node array over up_to leaves."""
    array = tree.Array()
    for item in leaves(up_to):
        array.append(item)
    return array.nodes


def inclusion(up_to: int) -> list[bytes]:
    """Return all inclusion paths, by count, then by index."""
    return [
        node
        for count in range(1, up_to + 1)
        for index in range(count)
        for node in tree.inclusion_path(index, leaves(count))
    ]


def consistency(up_to: int) -> list[bytes]:
    """Return all consistency paths, by the larger count, then by the smaller."""
    return [
        node
        for second in range(1, up_to + 1)
        for first in range(1, second + 1)
        for node in tree.consistency_path(first, leaves(second))
    ]


PARTS: dict[str, Any] = {
    "roots": roots,
    "peakPositions": peaks,
    "nodes": nodes,
    "inclusionPaths": inclusion,
    "consistencyPaths": consistency,
}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "mmr",
        "merkle-mountain-range",
        "10. Tree",
        "Leaf i is H(00 || u64(i)). Node is H(01 || left || right).",
        "Tree: the tree of `leafCount` leaves; `newNodes` came with its last leaf.",
        "Accumulated: SHA-256 over all values of one sort up to the count N = `upTo`, without",
        "separators. roots: over 0, 1, …, N leaves. peakPositions: over 1, …, N leaves, each as",
        "u64, big-endian, in the order of 10.1. nodes: the array over N leaves, in its order.",
        "inclusionPaths: for n = 1, …, N leaves, for i = 0, …, n - 1. consistencyPaths: from n to",
        "m leaves, for m = 1, …, N, for n = 1, …, m; the path of n = m is empty.",
    )
    suite.flag(
        "KnownAnswer",
        "BASIC",
        "A value that every implementation computes alike.",
        "Another root for the same records.",
        "MMR-1 MMR-2 MMR-3 MMR-4 MMR-5 MMR-6 MMR-7 PROOF-5 PROOF-11",
    )
    group = suite.group("Tree", full)
    for count in range(FULL + 1):
        group.valid(f"{count} leaves", "KnownAnswer", leafCount=count)
    digests = suite.group("Accumulated", accumulated)
    for of in ("roots", "peakPositions", "nodes"):
        for up_to in (FULL, 255, 256, 257, ROOTS):
            digests.valid(f"{of} up to {up_to}", "KnownAnswer", of=of, upTo=up_to)
    for of in ("inclusionPaths", "consistencyPaths"):
        for up_to in (16, FULL, PROOFS):
            digests.valid(f"{of} up to {up_to}", "KnownAnswer", of=of, upTo=up_to)
    return suite
