"""mmr_ietf.json: the known answers of the ietf-mmr profile, computed anew.

The 39 nodes over 21 leaves, every inclusion path to a peak and every consistency proof
between complete sizes. Paths are given by node positions: the nodes stand in the first group.
"""

from vectors.generate.rules import tree
from vectors.generate.rules.primitives import sha256, uint
from vectors.generate.suite import Json, Suite

LEAVES = 21


def array(leaf_count: int) -> tree.Array:
    """Return the node array over some leaves: a leaf hashes its own position."""
    result = tree.Array(tree.ietf_node)
    for _ in range(leaf_count):
        result.append(sha256(uint(len(result.nodes), 8)))
    return result


def nodes(case: Json) -> Json:
    """Describe the whole array."""
    whole = array(case["leafCount"])
    return {"nodes": [node.hex() for node in whole.nodes], "heights": whole.heights}


def peaks(case: Json) -> Json:
    """Describe the peaks of one count."""
    part = array(case["leafCount"])
    return {
        "nodeCount": len(part.nodes),
        "peakPositions": part.peaks,
        "peaks": [part.nodes[position].hex() for position in part.peaks],
    }


def inclusion(case: Json) -> Json:
    """Give the path of a node to its peak."""
    path, peak = array(case["leafCount"]).path_to_peak(case["position"])
    return {"path": path, "peak": peak}


def consistency(case: Json) -> Json:
    """Give the path of every old peak to its new peak."""
    old, new = array(case["firstCount"]), array(case["secondCount"])
    paths = [new.path_to_peak(peak)[0] for peak in old.peaks]
    reached = {new.path_to_peak(peak)[1] for peak in old.peaks}
    return {"paths": paths, "rightPeaks": [peak for peak in new.peaks if peak not in reached]}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "mmr_ietf",
        "merkle-mountain-range",
        "10.7 Profiles",
        "Profile ietf-mmr: leaf at position p is H(u64(p)), node H(u64(p + 1) || left || right).",
        "`path` and `paths` are positions in the array of the first group.",
    )
    suite.flag(
        "KnownAnswer",
        "BASIC",
        "A value of the published known answers.",
        "The core disagrees with other implementations of mountain ranges.",
        "MMR-2 MMR-3 MMR-4 MMR-5 PROOF-12",
    )
    suite.group("Nodes", nodes).valid("39 nodes", "KnownAnswer", leafCount=LEAVES)
    group = suite.group("Peaks", peaks)
    for count in range(1, LEAVES + 1):
        group.valid(f"{count} leaves", "KnownAnswer", leafCount=count)
    group = suite.group("InclusionToPeak", inclusion)
    for count in range(1, LEAVES + 1):
        for position in range(len(array(count).nodes)):
            comment = f"node {position} under {count} leaves"
            group.valid(comment, "KnownAnswer", leafCount=count, position=position)
    group = suite.group("ConsistencyToPeaks", consistency)
    for second in range(1, LEAVES + 1):
        for first in range(1, second):
            comment = f"{first} to {second} leaves"
            group.valid(comment, "KnownAnswer", firstCount=first, secondCount=second)
    return suite
