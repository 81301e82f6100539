"""The transparency-dev proof vectors on the EVM."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.abi import AbiValue, NotExpressibleError
from tests.contracts.evm import Call, Contract, Returned, Reverted
from tests.contracts.expected import ERRORS

FOLDER = "NOUS_OUTSIDE_VECTORS"


@pytest.fixture(scope="module")
def vectors() -> dict[str, list[dict[str, Any]]]:
    folder = os.environ.get(FOLDER)
    if not folder:
        pytest.skip(f"${FOLDER} does not name the folder of the published vectors")
    text = Path(folder, "rfc6962_vectors.json").read_text(encoding="utf-8")
    loaded: dict[str, list[dict[str, Any]]] = json.loads(text)
    return loaded


def path_of(vector: dict[str, Any]) -> tuple[bytes, ...]:
    return tuple(map(bytes.fromhex, vector["proof"] or ()))


def inclusion(vector: dict[str, Any]) -> tuple[AbiValue, ...]:
    leaf, root = bytes.fromhex(vector["leaf_hash"]), bytes.fromhex(vector["root"])
    return leaf, vector["leaf_index"], vector["tree_size"], path_of(vector), root


def consistency(vector: dict[str, Any]) -> tuple[AbiValue, ...]:
    old_root, new_root = bytes.fromhex(vector["root1"]), bytes.fromhex(vector["root2"])
    return vector["size1"], old_root, vector["size2"], new_root, path_of(vector)


def test_inclusion(harness: Contract, vectors: dict[str, list[dict[str, Any]]]) -> None:
    calls = [Call("verifyInclusion", inclusion(vector)) for vector in vectors["inclusion"]]
    assert judge(harness, vectors["inclusion"], calls) == (6, 66, 26)


def test_consistency(harness: Contract, vectors: dict[str, list[dict[str, Any]]]) -> None:
    calls = [Call("verifyConsistency", consistency(vector)) for vector in vectors["consistency"]]
    # One vector that is marked valid has 12-byte roots, which are no hashes of this protocol.
    assert judge(harness, vectors["consistency"], calls) == (5, 66, 27)


def judge(
    harness: Contract, vectors: list[dict[str, Any]], calls: list[Call]
) -> tuple[int, int, int]:
    """Check every vector and count: accepted, refused, not to be written as words of 32 bytes."""
    accepted = refused = unwritable = 0
    for vector, call in zip(vectors, calls, strict=True):
        try:
            outcome = harness.call(call.function, *call.args)
        except NotExpressibleError:
            unwritable += 1
            continue
        if vector["valid"]:
            assert outcome == Returned(), vector["name"]
            accepted += 1
        else:
            assert isinstance(outcome, Reverted), vector["name"]
            assert outcome.error in ERRORS.values(), vector["name"]
            refused += 1
    return accepted, refused, unwritable
