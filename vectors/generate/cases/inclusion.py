"""inclusion.json: inclusion proofs to a root and to a peak."""

from vectors.generate.cases.mmr import leaf, leaves
from vectors.generate.rules import tree
from vectors.generate.rules.checks import MAX_UINT, require
from vectors.generate.rules.primitives import sha256, uint
from vectors.generate.suite import Group, Json, Suite, unhex

PAIRS = [(0, 1), (0, 2), (1, 2), (2, 3), (0, 7), (3, 7), (6, 7), (5, 8), (8, 9), (11, 21), (20, 21)]
LARGE = [
    (0, MAX_UINT),
    (MAX_UINT - 1, MAX_UINT),
    (2**52, MAX_UINT),
    (2**52, 2**52 + 1),
    (2**40, 2**52),
]


def check(case: Json) -> Json:
    """Verify a path to a root."""
    tree.verify_inclusion(
        unhex(case["leaf"]),
        int(case["leafIndex"]),
        int(case["leafCount"]),
        [unhex(item) for item in case["path"]],
        unhex(case["root"]),
    )
    return {}


def check_peak(case: Json) -> Json:
    """Verify a path to a peak: the mountain of the leaf is a tree of its own."""
    index, count = int(case["leafIndex"]), int(case["leafCount"])
    peaks = [unhex(item) for item in case["peaks"]]
    path = [unhex(item) for item in case["path"]]
    require(0 < count <= MAX_UINT, "proof-counts")
    require(index < count, "proof-index")
    require(len(peaks) == count.bit_count(), "proof-shape")
    tree.check_hashes(unhex(case["leaf"]), *path, *peaks)
    first = 0
    sizes = [1 << height for height in range(count.bit_length())[::-1] if count >> height & 1]
    for size, peak in zip(sizes, peaks, strict=True):
        if first <= index < first + size:
            require(len(path) == tree.path_length(index - first, size), "proof-shape")
            reached = tree.climb(unhex(case["leaf"]), index - first, size, path)
            require(reached == peak, "root-mismatch")
        first += size
    return {}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "inclusion",
        "inclusion-proof",
        "10.4 Inclusion proofs",
        "Inclusion: `leaf` stands at `leafIndex` of the tree with `leafCount` leaves and `root`.",
        "InclusionToPeak: the same against the peaks, tallest first.",
    )
    flags(suite)
    group = suite.group("Inclusion", check)
    for index, count in PAIRS:
        proof = proof_of(index, count)
        group.valid(f"leaf {index} of {count}", "Valid", **proof)
    for index, count in LARGE:
        group.valid(f"leaf {index} of {count}", "Valid", **large(index, count))
    for index, count in ((3, 7), (11, 21), (20, 21)):
        mutate(group, index, count)
    shapes(group)
    indices(group)
    to_peaks(suite.group("InclusionToPeak", check_peak))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A proof in order.", "None.", "PROOF-5 MMR-1 LIM-2")
    effect = "A record passes as logged that is not in the tree, or not there."
    for name, description, ids in (
        ("Index", "The index is not below the count.", "PROOF-1"),
        (
            "Shape",
            "Another number of hashes than implied, or hashes of another length.",
            "PROOF-2 PROOF-3",
        ),
        ("Altered", "One hash, the leaf, the root, index or count is another.", "PROOF-4"),
        (
            "Confusion",
            "A node stands for a leaf, or a part of the tree for the whole.",
            "PROOF-2 PROOF-4",
        ),
        ("Counts", "A count outside the range.", "TYPE-1"),
        ("ToPeak", "Proofs to a peak.", "PROOF-12"),
    ):
        suite.flag(name, "FORGERY", description, effect, ids)


def proof_of(index: int, count: int) -> Json:
    """Return the inputs of an honest proof."""
    return {
        "leafIndex": str(index),
        "leafCount": str(count),
        "leaf": leaf(index).hex(),
        "path": [item.hex() for item in tree.inclusion_path(index, leaves(count))],
        "root": tree.root(leaves(count)).hex(),
    }


def large(index: int, count: int) -> Json:
    """Return a proof in a tree of which only the path is known."""
    path = [sha256(b"sibling" + uint(n, 1)) for n in range(tree.path_length(index, count))]
    head = tree.climb(leaf(0), index, count, path)
    return {
        "leafIndex": str(index),
        "leafCount": str(count),
        "leaf": leaf(0).hex(),
        "path": [item.hex() for item in path],
        "root": head.hex(),
    }


def flipped(text: str) -> str:
    """Return hex with its last bit flipped."""
    return text[:-1] + f"{int(text[-1], 16) ^ 1:x}"


def mutate(group: Group, index: int, count: int) -> None:
    """Add every single change of one proof."""
    proof = proof_of(index, count)
    where = f"leaf {index} of {count}"
    for at, item in enumerate(proof["path"]):
        path = [*proof["path"][:at], flipped(item), *proof["path"][at + 1 :]]
        case = {**proof, "path": path}
        group.invalid(f"{where}, bit of hash {at}", "root-mismatch", "Altered", **case)
    for name in ("leaf", "root"):
        case = {**proof, name: flipped(proof[name])}
        group.invalid(f"{where}, bit of the {name}", "root-mismatch", "Altered", **case)
    for other in range(count):
        if other != index and tree.path_length(other, count) == len(proof["path"]):
            case = {**proof, "leafIndex": str(other)}
            group.invalid(f"{where}, index {other}", "root-mismatch", "Altered", **case)
            break
    for other in (count + 1, count - 1, 2 * count):
        same = other > index and tree.path_length(index, other) == len(proof["path"])
        case = {**proof, "leafCount": str(other)}
        if other > index and not same:
            group.invalid(f"{where}, count {other}", "proof-shape", "Shape", **case)
    wrong = {**proof, "root": tree.root(leaves(count + 1)).hex()}
    group.invalid(f"{where}, root of {count + 1}", "root-mismatch", "Altered", **wrong)
    swapped = {**proof, "path": [*proof["path"][1::-1], *proof["path"][2:]]}
    if len(proof["path"]) > 1:
        group.invalid(f"{where}, two hashes swapped", "root-mismatch", "Altered", **swapped)


def shapes(group: Group) -> None:
    """Add paths of another length, and nodes that pose as leaves."""
    for index, count in ((0, 1), (3, 7), (6, 7), (20, 21)):
        proof = proof_of(index, count)
        where = f"leaf {index} of {count}"
        longer = {**proof, "path": [*proof["path"], "00" * 32]}
        group.invalid(f"{where}, a hash more", "proof-shape", "Shape", **longer)
        front = {**proof, "path": [proof["leaf"], *proof["path"]]}
        group.invalid(f"{where}, a hash in front", "proof-shape", "Shape", **front)
        if proof["path"]:
            short = {**proof, "path": proof["path"][:-1]}
            group.invalid(f"{where}, the last hash missing", "proof-shape", "Shape", **short)
            short = {**proof, "path": proof["path"][1:]}
            group.invalid(f"{where}, the first hash missing", "proof-shape", "Shape", **short)
    proof = proof_of(3, 7)
    for size in (0, 31, 33, 64):
        path = ["ab" * size, *proof["path"][1:]]
        case = {**proof, "path": path}
        group.invalid(f"a hash of {size} bytes", "proof-shape", "Shape", **case)
    parent = tree.join(leaf(2), leaf(3)).hex()
    case = {**proof, "leaf": parent, "path": proof["path"][1:]}
    group.invalid("a node as leaf, path shortened", "proof-shape", "Confusion", **case)
    case = {**proof, "leaf": parent, "path": proof["path"][1:], "leafIndex": "1", "leafCount": "3"}
    case["root"] = tree.root(leaves(4)).hex()
    group.invalid("a node as leaf of a smaller tree", "root-mismatch", "Confusion", **case)
    case = {**proof_of(3, 7), "leaf": proof["root"], "path": []}
    group.invalid("the root as leaf", "proof-shape", "Confusion", **case)
    many = {**proof, "path": ["00" * 32] * 64}
    group.invalid("64 hashes", "proof-shape", "Shape", **many)


def indices(group: Group) -> None:
    """Add indices and counts out of range."""
    proof = proof_of(6, 7)
    for index, count in ((7, 7), (8, 7), (2**53 - 1, 7), (0, 0), (1, 1)):
        case = {**proof, "leafIndex": str(index), "leafCount": str(count)}
        group.invalid(f"index {index} of {count}", "proof-index", "Index", **case)
    case = {**large(0, MAX_UINT), "leafCount": str(2**53)}
    group.invalid("count 2^53", "proof-counts", "Counts", **case)


def to_peaks(group: Group) -> None:
    """Add proofs to a peak."""
    array = tree.Array()
    for item in leaves(11):
        array.append(item)
    peaks = [array.nodes[position].hex() for position in array.peaks]
    proofs: dict[int, Json] = {}
    for index in (0, 5, 8, 9, 10):
        path, _ = array.path_to_peak(2 * index - index.bit_count())
        proofs[index] = {
            "leafIndex": str(index),
            "leafCount": "11",
            "leaf": leaf(index).hex(),
            "path": [array.nodes[position].hex() for position in path],
            "peaks": peaks,
        }
        group.valid(f"leaf {index} of 11", "ToPeak", **proofs[index])
    base = proofs[5]
    add = group.invalid
    add("index 11 of 11", "proof-index", "ToPeak", **{**base, "leafIndex": "11"})
    add("0 of no leaves", "proof-counts", "ToPeak", **{**proofs[0], "leafCount": "0"})
    add("5 of 2^53", "proof-counts", "ToPeak", **{**base, "leafCount": str(2**53)})
    add("a peak missing", "proof-shape", "ToPeak", **{**base, "peaks": peaks[:-1]})
    add("a peak more", "proof-shape", "ToPeak", **{**base, "peaks": [*peaks, peaks[0]]})
    add("a hash missing", "proof-shape", "ToPeak", **{**base, "path": base["path"][:-1]})
    add("a hash more", "proof-shape", "ToPeak", **{**base, "path": [*base["path"], peaks[1]]})
    short = [base["path"][0][2:], *base["path"][1:]]
    add("a hash of 31 bytes", "proof-shape", "ToPeak", **{**base, "path": short})
    add("a bit of the leaf", "root-mismatch", "ToPeak", **{**base, "leaf": flipped(base["leaf"])})
    altered = [flipped(peaks[0]), *peaks[1:]]
    add("a bit of its peak", "root-mismatch", "ToPeak", **{**base, "peaks": altered})
    add("another index", "root-mismatch", "ToPeak", **{**base, "leafIndex": "4"})
    add("another mountain", "proof-shape", "ToPeak", **{**base, "leafIndex": "9"})
    add("another count", "proof-shape", "ToPeak", **{**base, "leafCount": "12"})
