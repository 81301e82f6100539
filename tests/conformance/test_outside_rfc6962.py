"""Published RFC 6962 inclusion and consistency vectors, valid and invalid."""

from hashlib import sha256
from typing import Any

import pytest

from nous_ledger.protocol import mmr
from nous_ledger.protocol.errors import ProofError
from nous_ledger.protocol.proof import verify_consistency, verify_inclusion
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex
from tests import outside_vectors

VECTORS: dict[str, Any] = outside_vectors.load("rfc6962_vectors.json")
INCLUSION, CONSISTENCY, TREE = (VECTORS[key] for key in ("inclusion", "consistency", "tree"))
# Valid by its own mark; but its two roots are twelve bytes of text, which are no hashes.
NOT_A_HASH = "additional/sizes-are-equal-one-and-proof-is-empty"


def hashes(texts: list[str]) -> tuple[Hash32, ...]:
    return tuple(Hash32(bytes.fromhex(text)) for text in texts)


def check_inclusion(case: dict[str, Any]) -> None:
    leaf, root = hashes([case["leaf_hash"], case["root"]])
    index, count = LeafIndex(case["leaf_index"]), LeafCount(case["tree_size"])
    assert verify_inclusion(leaf, index, count, hashes(case["proof"]), root) == root


def check_consistency(case: dict[str, Any]) -> None:
    old_root, new_root = hashes([case["root1"], case["root2"]])
    old, new = LeafCount(case["size1"]), LeafCount(case["size2"])
    path = hashes(case["proof"])
    assert verify_consistency(old, old_root, new, new_root, path) == new_root


def test_the_file_is_complete() -> None:
    cases = [*INCLUSION, *CONSISTENCY]
    assert len(cases) == 196
    assert sum(not case["valid"] for case in cases) == 184
    assert [case["name"] for case in cases if case["name"] == NOT_A_HASH] == [NOT_A_HASH]


@pytest.mark.parametrize("case", INCLUSION, ids=lambda case: case["name"])
def test_inclusion(case: dict[str, Any]) -> None:
    if case["valid"]:
        check_inclusion(case)
    else:
        with pytest.raises(ProofError):
            check_inclusion(case)


@pytest.mark.parametrize("case", CONSISTENCY, ids=lambda case: case["name"])
def test_consistency(case: dict[str, Any]) -> None:
    if case["valid"] and case["name"] != NOT_A_HASH:
        check_consistency(case)
        return
    with pytest.raises(ProofError) as caught:
        check_consistency(case)
    if case["valid"]:
        assert caught.value.code == "proof-shape"


def test_the_tree_of_eight_leaves() -> None:
    nodes: list[Hash32] = []
    peaks: tuple[Hash32, ...] = ()
    for index, (entry, root) in enumerate(zip(TREE["leaf_inputs"], TREE["roots"], strict=True)):
        leaf = Hash32(sha256(b"\x00" + bytes.fromhex(entry)).digest())
        added = mmr.append_nodes(LeafCount(index), leaf, peaks)
        nodes += added
        peaks = mmr.next_peaks(peaks, added)
        assert mmr.root_from_peaks(LeafCount(index + 1), peaks).hex() == root
    assert [node.hex() for node in nodes] == TREE["mmr_nodes"]
    assert TREE["empty_root"] == mmr.EMPTY_ROOT.hex()
