"""RLP, trie proofs and anchor evidence: the library against the vectors."""

import json
from typing import Any

from nous_ledger.protocol.anchor_evidence import format_evidence, parse_evidence
from nous_ledger.protocol.anchor_rlp import RlpItem, decode_rlp, encode_rlp
from nous_ledger.protocol.anchor_trie import verify_trie
from nous_ledger.protocol.anchor_verify import AnchorTrust, block_hash_is, verify_evidence
from nous_ledger.protocol.types import Hash32
from tests.conformance.vector_files import Case, cases, cases_of, load, meet, unhex


def data_of(data: Any) -> bytes:
    """Return bytes that stand as hex, or as parts that are repeated."""
    if isinstance(data, str):
        return unhex(data)
    return b"".join(unhex(part["hex"]) * part["times"] for part in data)


def shown(item: RlpItem) -> Any:
    return item.hex() if isinstance(item, bytes) else [shown(part) for part in item]


@cases("anchor_evidence", "Rlp")
def test_rlp(case: Case) -> None:
    """EVID-3."""
    data = data_of(case["data"])

    def run() -> None:
        item = decode_rlp(data)
        assert shown(item) == case["item"]
        assert encode_rlp(item) == data

    meet(case, run)


@cases("anchor_evidence", "Trie")
def test_trie(case: Case) -> None:
    """EVID-4."""
    proof = tuple(map(unhex, case["proof"]))

    def run() -> None:
        value = verify_trie(Hash32(unhex(case["root"])), unhex(case["key"]), proof)
        assert value.hex() == case["value"]

    meet(case, run)


def file_of(case: Case) -> bytes:
    """Return the file of a case."""
    if "text" in case:
        return str(case["text"]).encode()
    members = case["base"] | case.get("members", {})
    return json.dumps({name: item for name, item in members.items() if item is not None}).encode()


@cases("anchor_evidence", "Evidence")
def test_evidence(case: Case) -> None:
    """EVID-1 to EVID-12."""
    block = case["blockHash"]
    trust = AnchorTrust(
        contract=unhex(case["contract"]),
        code_hash=Hash32(unhex(case["codeHash"])),
        block=block_hash_is(None if block is None else Hash32(unhex(block))),
    )

    def run() -> None:
        evidence = parse_evidence(file_of(case))
        assert parse_evidence(format_evidence(evidence)) == evidence
        found = verify_evidence(evidence, trust)
        told = (found.block_number, found.block_time, found.leaf_count)
        assert told == (case["blockNumber"], case["blockTime"], case["leafCount"])

    meet(case, run)


def test_captured_evidence_is_among_them() -> None:
    comments = {case["comment"] for case in cases_of(load("anchor_evidence"), "Evidence")}
    assert "captured from a node" in comments
