"""consistency.json: consistency proofs between roots and between peaks."""

from vectors.generate.cases.inclusion import flipped
from vectors.generate.cases.mmr import leaves
from vectors.generate.rules import tree
from vectors.generate.rules.checks import MAX_UINT, require
from vectors.generate.rules.primitives import sha256, uint
from vectors.generate.suite import Group, Json, Suite, unhex

PAIRS = [
    (1, 1),
    (1, 2),
    (1, 8),
    (2, 3),
    (3, 7),
    (4, 7),
    (6, 7),
    (6, 8),
    (7, 8),
    (8, 8),
    (8, 21),
    (13, 21),
]
LARGE = [(1, MAX_UINT), (2**52, MAX_UINT), (2**52 - 1, 2**52), (MAX_UINT - 1, MAX_UINT)]


def check(case: Json) -> Json:
    """Verify a proof between two roots."""
    tree.verify_consistency(
        int(case["firstCount"]),
        unhex(case["firstRoot"]),
        int(case["secondCount"]),
        unhex(case["secondRoot"]),
        [unhex(item) for item in case["path"]],
    )
    return {}


def mountains(count: int) -> list[tuple[int, int]]:
    """Return (first leaf, leaves) of every mountain, tallest first."""
    result, first = [], 0
    for height in reversed(range(count.bit_length())):
        if count >> height & 1:
            result.append((first, 1 << height))
            first += 1 << height
    return result


def check_peaks(case: Json) -> Json:
    """Verify one path from every old peak to the new peak above it."""
    first, second = int(case["firstCount"]), int(case["secondCount"])
    old, new = ([unhex(item) for item in case[name]] for name in ("firstPeaks", "secondPeaks"))
    paths = [[unhex(item) for item in path] for path in case["paths"]]
    require(0 < first <= second <= MAX_UINT, "proof-counts")
    require(len(old) == first.bit_count() and len(new) == second.bit_count(), "proof-shape")
    require(len(paths) == len(old), "proof-shape")
    tree.check_hashes(*old, *new, *(item for path in paths for item in path))
    steps = []
    for (low, size), peak, path in zip(mountains(first), old, paths, strict=True):
        (start, whole), target = next(
            pair
            for pair in zip(mountains(second), new, strict=True)
            if pair[0][0] <= low < sum(pair[0])
        )
        index, count = (low - start) // size, whole // size
        require(len(path) == tree.path_length(index, count), "proof-shape")
        steps.append(tree.climb(peak, index, count, path) == target)
    require(all(steps), "root-mismatch")
    return {}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "consistency",
        "consistency-proof",
        "10.5 Consistency proofs",
        "Consistency: the tree of `firstCount` leaves is the beginning of that of `secondCount`.",
        "ConsistencyToPeaks: the same between peaks, one path for every old peak.",
    )
    flags(suite)
    group = suite.group("Consistency", check)
    for first, second in PAIRS:
        group.valid(f"{first} to {second}", "Valid", **proof_of(first, second))
    for first, second in LARGE:
        group.valid(f"{first} to {second}", "Valid", **large(first, second))
    unbound = {**proof_of(4, 6), "firstCount": "1", "secondCount": "2"}
    group.valid("4 to 6 also verifies as 1 to 2: only heads bind counts", "Unbound", **unbound)
    for first, second in ((3, 7), (6, 8), (13, 21)):
        mutate(group, first, second)
    shapes(group)
    counts(group)
    to_peaks(suite.group("ConsistencyToPeaks", check_peaks))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A proof in order.", "None.", "PROOF-11 MMR-1")
    suite.flag(
        "Unbound",
        "BASIC",
        "A proof that verifies under other counts as well.",
        "Counts from anywhere but a signed head are not proved.",
        "PROOF-6",
    )
    effect = "A log drops or edits records and shows both heads as consistent."
    for name, description, ids in (
        ("Counts", "Counts that allow no proof.", "PROOF-7"),
        ("Same", "Equal counts with a path or other roots.", "PROOF-8"),
        ("Shape", "Another number of hashes than implied, or of another length.", "PROOF-9"),
        ("Altered", "One hash, a root or a count is another.", "PROOF-10"),
        ("ToPeaks", "Proofs between peaks.", "PROOF-12"),
    ):
        suite.flag(name, "EQUIVOCATION", description, effect, ids)


def proof_of(first: int, second: int) -> Json:
    """Return the inputs of an honest proof."""
    return {
        "firstCount": str(first),
        "secondCount": str(second),
        "firstRoot": tree.root(leaves(first)).hex(),
        "secondRoot": tree.root(leaves(second)).hex(),
        "path": [item.hex() for item in tree.consistency_path(first, leaves(second))],
    }


def large(first: int, second: int) -> Json:
    """Return a proof between trees of which only the path is known."""
    length = tree.consistency_length(first, second)
    path = [sha256(b"sibling" + uint(n, 1)) for n in range(length)]
    anchor = sha256(b"old root") if first.bit_count() == 1 else None
    old, new = tree.replay(first, second, path, anchor)
    return {
        "firstCount": str(first),
        "secondCount": str(second),
        "firstRoot": old.hex(),
        "secondRoot": new.hex(),
        "path": [item.hex() for item in path],
    }


def mutate(group: Group, first: int, second: int) -> None:
    """Add every single change of one proof."""
    proof = proof_of(first, second)
    where = f"{first} to {second}"
    for at, item in enumerate(proof["path"]):
        path = [*proof["path"][:at], flipped(item), *proof["path"][at + 1 :]]
        case = {**proof, "path": path}
        group.invalid(f"{where}, bit of hash {at}", "root-mismatch", "Altered", **case)
    for name in ("firstRoot", "secondRoot"):
        case = {**proof, name: flipped(proof[name])}
        group.invalid(f"{where}, bit of {name}", "root-mismatch", "Altered", **case)
    case = {**proof, "firstRoot": proof["secondRoot"], "secondRoot": proof["firstRoot"]}
    group.invalid(f"{where}, roots swapped", "root-mismatch", "Altered", **case)
    case = {**proof, "path": proof["path"][::-1]}
    group.invalid(f"{where}, path reversed", "root-mismatch", "Altered", **case)
    case = {**proof, "path": proof["path"][:-1]}
    group.invalid(f"{where}, the last hash missing", "proof-shape", "Shape", **case)
    case = {**proof, "path": proof["path"][1:]}
    group.invalid(f"{where}, the first hash missing", "proof-shape", "Shape", **case)
    case = {**proof, "path": [*proof["path"], "00" * 32]}
    group.invalid(f"{where}, a hash more", "proof-shape", "Shape", **case)
    edited = (*leaves(first)[:-1], leaves(first + 1)[-1])
    case = {**proof, "firstRoot": tree.root(edited).hex()}
    group.invalid(f"{where}, a leaf edited before", "root-mismatch", "Altered", **case)


def shapes(group: Group) -> None:
    """Add hashes of another length, equal counts, and counts that imply another length."""
    proof = proof_of(3, 7)
    for size in (0, 31, 33):
        case = {**proof, "path": ["ab" * size, *proof["path"][1:]]}
        group.invalid(f"a hash of {size} bytes", "proof-shape", "Shape", **case)
    case = {**proof, "path": ["00" * 32] * 64}
    group.invalid("64 hashes", "proof-shape", "Shape", **case)
    case = {**proof, "secondCount": "12"}
    group.invalid("3 to 7 as 3 to 12", "proof-shape", "Shape", **case)
    case = {**proof, "firstCount": "4"}
    group.invalid("3 to 7 as 4 to 7", "proof-shape", "Shape", **case)
    case = {**proof_of(4, 7), "path": [proof_of(4, 7)["firstRoot"], *proof_of(4, 7)["path"]]}
    group.invalid("4 to 7 with the old root in front", "proof-shape", "Shape", **case)
    same = proof_of(7, 7)
    group.invalid(
        "7 to 7 with a path", "proof-shape", "Same", **{**same, "path": [same["firstRoot"]]}
    )
    case = {**same, "secondRoot": flipped(same["secondRoot"])}
    group.invalid("7 to 7, other roots", "root-mismatch", "Same", **case)
    case = {**proof_of(1, 1), "secondRoot": proof_of(1, 2)["secondRoot"]}
    group.invalid("1 to 1 with the root of 2", "root-mismatch", "Same", **case)


def counts(group: Group) -> None:
    """Add counts that allow no proof."""
    empty = sha256(b"").hex()
    for second in (0, 1, 7):
        case = {**proof_of(1, max(second, 1)), "firstCount": "0", "secondCount": str(second)}
        case |= {"firstRoot": empty, "path": []}
        group.invalid(f"0 to {second}", "proof-counts", "Counts", **case)
    case = {**proof_of(3, 7), "firstCount": "7", "secondCount": "3"}
    group.invalid("7 to 3", "proof-counts", "Counts", **case)
    case = {**proof_of(7, 7), "firstCount": "8"}
    group.invalid("8 to 7", "proof-counts", "Counts", **case)
    case = {**large(1, MAX_UINT), "secondCount": str(2**53)}
    group.invalid("1 to 2^53", "proof-counts", "Counts", **case)


def peaks_of(first: int, second: int) -> Json:
    """Return an honest proof between peaks."""
    old, new = tree.Array(), tree.Array()
    for item in leaves(first):
        old.append(item)
    for item in leaves(second):
        new.append(item)
    return {
        "firstCount": str(first),
        "secondCount": str(second),
        "firstPeaks": [old.nodes[peak].hex() for peak in old.peaks],
        "secondPeaks": [new.nodes[peak].hex() for peak in new.peaks],
        "paths": [[new.nodes[at].hex() for at in new.path_to_peak(peak)[0]] for peak in old.peaks],
    }


def to_peaks(group: Group) -> None:
    """Add proofs between peaks."""
    for first, second in ((1, 1), (3, 7), (6, 11), (11, 21), (8, 8)):
        group.valid(f"{first} to {second}, peaks", "ToPeaks", **peaks_of(first, second))
    base = peaks_of(6, 11)
    add = group.invalid
    add("0 to 11, peaks", "proof-counts", "ToPeaks", **{**base, "firstCount": "0"})
    add("12 to 11, peaks", "proof-counts", "ToPeaks", **{**base, "firstCount": "12"})
    add("6 to 2^53, peaks", "proof-counts", "ToPeaks", **{**base, "secondCount": str(2**53)})
    for name in ("firstPeaks", "secondPeaks", "paths"):
        case = {**base, name: base[name][:-1]}
        add(f"{name}: the last missing", "proof-shape", "ToPeaks", **case)
    case = {**base, "paths": [base["paths"][0], base["paths"][1][:-1]]}
    add("a hash missing in a path", "proof-shape", "ToPeaks", **case)
    case = {**base, "paths": base["paths"][::-1]}
    add("paths swapped", "proof-shape", "ToPeaks", **case)
    for name in ("firstPeaks", "secondPeaks"):
        case = {**base, name: [flipped(base[name][0]), *base[name][1:]]}
        add(f"{name}: a bit", "root-mismatch", "ToPeaks", **case)
    case = {**base, "paths": [[flipped(base["paths"][0][0])], base["paths"][1]]}
    add("a bit of a path", "root-mismatch", "ToPeaks", **case)
