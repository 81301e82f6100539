"""anchor_evidence.json: RLP, trie proofs, and whole evidence of an anchored head."""

import json
from pathlib import Path
from typing import Any

from vectors.generate import actors
from vectors.generate.anchorblocks import BASE, TRUST, block_cases
from vectors.generate.anchorchain import (
    CONTRACT,
    shown,
)
from vectors.generate.rules import evidence, evm
from vectors.generate.suite import Group, Json, Suite, unhex

CAPTURED = Path(__file__).parents[1] / "captured" / "anchor.json"


def rlp(case: Json) -> Json:
    """Decode RLP."""
    return {"item": nested(evm.read(filled(case["data"])))}


def nested(item: Any) -> Any:
    """Return an item as JSON: hex, or a list."""
    return item.hex() if isinstance(item, bytes) else [nested(part) for part in item]


def filled(data: Any) -> bytes:
    """Return bytes that stand as hex, or as hex between runs of one byte."""
    if isinstance(data, str):
        return unhex(data)
    return b"".join(unhex(part["hex"]) * part["times"] for part in data)


def trie(case: Json) -> Json:
    """Look a key up."""
    nodes = [unhex(node) for node in case["proof"]]
    return {"value": evm.lookup(unhex(case["root"]), unhex(case["key"]), nodes).hex()}


def check(case: Json) -> Json:
    """Verify evidence."""
    found = evidence.parse(text_of(case))
    block = case["blockHash"]
    trusted = None if block is None else unhex(block)
    return evidence.verify(found, unhex(case["contract"]), unhex(case["codeHash"]), trusted)


def text_of(case: Json) -> bytes:
    """Return the file of a case: its text, or the group's members with some replaced."""
    if "text" in case:
        return str(case["text"]).encode()
    members = case["base"] | case.get("members", {})
    return json.dumps({name: item for name, item in members.items() if item is not None}).encode()


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "anchor_evidence",
        "anchor-evidence",
        "12.3 Anchor evidence",
        "Rlp: `data` is hex, or a list of parts, each `hex` repeated `times`; `item` is what it"
        " decodes to, lists as lists and strings as hex.",
        "Trie: `value` is what `proof` shows of `key` below `root`.",
        "Evidence: the file is `text`, or else the object `base` of the group with `members` put"
        " in place of its own, null meaning that it has none; `contract`, `codeHash` and"
        " `blockHash` are what the reader trusts, a `blockHash` of null meaning nothing.",
    )
    flags(suite)
    rlp_cases(suite.group("Rlp", rlp))
    trie_cases(suite.group("Trie", trie))
    captured(suite)
    form_cases(evidence_group(suite))
    block_cases(evidence_group(suite))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "Values in order.", "None.", "EVID-3 EVID-4 EVID-9 EVID-12")
    suite.flag("Rlp", "PARSING", "Another spelling of RLP.", "Two hashes of one value.", "EVID-3")
    suite.flag("Trie", "FORGERY", "A proof that is cut or altered.", "Made-up state.", "EVID-4")
    suite.flag("Absent", "FORGERY", "A key without a value.", "Nothing passes as proof.", "EVID-4")
    suite.flag("Form", "STRUCTURE", "Another form of the file.", "Readers differ.", "EVID-1")
    suite.flag("Newer", "PARSING", "A newer version.", "Refused as wrong.", "EVID-2")
    suite.flag("Shape", "STRUCTURE", "A part of another shape.", "Readers differ.", "EVID-5")
    suite.flag("Contract", "FORGERY", "Another contract.", "Made-up heads.", "EVID-6")
    suite.flag("Stored", "FORGERY", "Another head is stored.", "Made-up heads.", "EVID-7")
    suite.flag("Forked", "EQUIVOCATION", "The flag is set.", "A fork passes unseen.", "EVID-8")
    suite.flag("Event", "FORGERY", "No event of this head.", "Made-up times.", "EVID-9 EVID-10")
    suite.flag("Signature", "FORGERY", "Not the log's signature.", "Made-up heads.", "EVID-10")
    suite.flag("Prefix", "FORGERY", "No prefix of the head.", "A made-up receipt.", "EVID-11")
    suite.flag("Block", "FORGERY", "Another block.", "A chain of one's own.", "EVID-12")


def rlp_cases(group: Group) -> None:
    """Encodings of single items."""
    good = ("80", "00", "7f", "8180", "c0", "c3c0c1c0", "c88363617483646f67", "820400")
    for data in good:
        group.valid(f"{data}", "Valid", data=data)
    for size in (55, 56, 255, 256):
        string = evm.length(0x80, size).hex()
        parts = [{"hex": string, "times": 1}, {"hex": "61", "times": size}]
        group.valid(f"a string of {size} bytes", "Valid", data=parts)
    group.valid("8 levels", "Valid", data=deep(8))
    bad = {
        "nothing": "",
        "two items": "0000",
        "a byte below 0x80 behind a length": "8100",
        "0x7f behind a length": "817f",
        "a short string with a long length": "b801ff",
        "a length with a leading zero": "b9003861",
        "a list with a long length": "f800",
        "a string that is cut": "8361",
        "a length that is cut": "b9ff",
        "no length at all": "b8",
        "a list that is cut": "c3c0c1",
        "an item that reaches beyond its list": "c28361",
        "a string of 2^64 - 1 bytes": "bfffffffffffffffff",
        "a byte too much in a list": "c1c0c0",
        "9 levels": deep(9),
    }
    for comment, data in bad.items():
        group.invalid(comment, "anchor-rlp", "Rlp", data=data)
    for size in (1, 55):
        parts = [{"hex": f"b8{size:02x}", "times": 1}, {"hex": "ff", "times": size}]
        group.invalid(f"a string of {size} bytes in the long form", "anchor-rlp", "Rlp", data=parts)
    start = {"hex": evm.length(0xC0, 65_536).hex(), "times": 1}
    many = [start, {"hex": "80", "times": 65_536}]
    group.invalid("65,537 items", "anchor-rlp", "Rlp", data=many)


def deep(levels: int) -> str:
    """Return lists inside each other."""
    item: Any = []
    for _ in range(levels - 1):
        item = [item]
    return evm.write(item).hex()


def trie_cases(group: Group) -> None:
    """Proofs of single keys."""
    one = evm.Trie({b"\x12\x34": b"a value"})
    values = {
        bytes([first, second]): b"v%d" % first * 9 for first in range(40) for second in (0, 9)
    }
    many = evm.Trie(values)
    short = evm.Trie({bytes([0xAB, last]): bytes([last]) for last in range(1, 4)})
    cases = {
        "one leaf": (one, b"\x12\x34"),
        "a branch": (many, b"\x21\x09"),
        "the first key": (many, b"\x00\x00"),
        "nodes inside a node": (short, b"\xab\x02"),
    }
    for comment, (made, key) in cases.items():
        group.valid(comment, "Valid", **proof_of(made, key))
    good = proof_of(many, b"\x21\x09")
    proof = good["proof"]
    for number in range(len(proof)):
        altered = [*proof]
        altered[number] = altered[number][:-2] + f"{int(altered[number][-2:], 16) ^ 1:02x}"
        group.invalid(
            f"a bit of node {number}", "anchor-proof", "Trie", **good | {"proof": altered}
        )
        without = proof[:number] + proof[number + 1 :]
        group.invalid(f"without node {number}", "anchor-proof", "Trie", **good | {"proof": without})
    changes: dict[str, Json] = {
        "no node": {"proof": []},
        "the last node twice": {"proof": [*proof, proof[-1]]},
        "the nodes in another order": {"proof": proof[::-1]},
        "another root": {"root": evm.keccak256(b"another").hex()},
        "67 nodes": {"proof": proof + [proof[-1]] * 67},
    }
    for comment, change in changes.items():
        group.invalid(comment, "anchor-proof", "Trie", **good | change)
    absent = {
        "a neighbour of the key": "2108",
        "a key that is not there": "f009",
        "a key that is longer": "210900",
        "a key that is shorter": "21",
        "an empty key": "",
        "33 bytes": "21" * 33,
    }
    for comment, other in absent.items():
        group.invalid(comment, "anchor-proof", "Absent", **good | {"key": other})
    group.invalid(
        "another path", "anchor-proof", "Absent", **proof_of(one, b"\x12\x34") | {"key": "1235"}
    )
    odd(group)


def proof_of(made: evm.Trie, key: bytes) -> Json:
    """Return the members of a case."""
    nodes = [node.hex() for node in made.prove(key)]
    return {"root": made.root.hex(), "key": key.hex(), "proof": nodes}


def odd(group: Group) -> None:
    """Nodes that no trie has, correctly hashed."""
    leaf = evm.write([evm.shortened([3, 4], 2), b"value"])
    outside = evm.write([evm.shortened([1, 2], 0), evm.keccak256(leaf)])
    nodes: dict[str, tuple[bytes, ...]] = {
        "a list of 3": (evm.write([b"\x20\x12\x34", b"value", b""]),),
        "a string": (evm.write(b"value"),),
        "an empty path": (evm.write([b"", b"value"]),),
        "a flag of 4": (evm.write([b"\x40\x12\x34", b"value"]),),
        "an even path with a digit": (evm.write([b"\x21\x12\x34", b"value"]),),
        "an extension of no length": (evm.write([b"\x00", [b"\x20\x12\x34", b"v"]]),),
        "no value": (evm.write([b"\x20\x12\x34", b""]),),
        "a list as value": (evm.write([b"\x20\x12\x34", [b"value"]]),),
        "a reference of 31 bytes": (evm.write([b"\x00\x12", bytes(31)]),),
        "a short node by its hash": (outside, leaf),
    }
    for comment, proof in nodes.items():
        root = evm.keccak256(proof[0]).hex()
        shown_nodes = [node.hex() for node in proof]
        case = {"root": root, "key": "1234", "proof": shown_nodes}
        group.invalid(comment, "anchor-proof", "Trie", **case)
    twice = evm.write([b"\x20\x12\x34", b"v"]) + b"\x00"
    case = {"root": evm.keccak256(twice).hex(), "key": "1234", "proof": [twice.hex()]}
    group.invalid("bytes behind a node", "anchor-rlp", "Rlp", **case)


def captured(suite: Suite) -> None:
    """Evidence that was captured from a node."""
    found = json.loads(CAPTURED.read_text("ascii"))
    group = suite.group("Evidence", check, base=found["evidence"], contract=found["contract"])
    trusted = {"codeHash": found["codeHash"], "blockHash": found["blockHash"]}
    group.valid("captured from a node", "Valid", **trusted)
    flipped = f"{int(found['blockHash'][:2], 16) ^ 1:02x}{found['blockHash'][2:]}"
    group.invalid(
        "captured, of another block",
        "anchor-block",
        "Block",
        **trusted | {"blockHash": flipped},
    )


def evidence_group(suite: Suite) -> Group:
    """Return a group whose base is the made-up block."""
    return suite.group("Evidence", check, base=BASE, contract=CONTRACT.hex())


def form_cases(group: Group) -> None:
    """Files that are no evidence."""
    group.valid("the made-up block", "Valid", **TRUST)
    text = json.dumps(BASE)
    texts = {
        "nothing": "",
        "no object": "[]",
        "no JSON": text[:-1],
        "two objects": text + "{}",
        "a member twice": text[:-1] + ', "version": 1}',
        "a character beyond ASCII": text.replace("nous-ledger/1 anchor", "nous-ledger/1 anchör"),
        "not a number": text.replace('"chain_id": 8453', '"chain_id": NaN'),
        "a fraction": text.replace('"chain_id": 8453', '"chain_id": 8453.0'),
    }
    for comment, changed in texts.items():
        group.invalid(comment, "anchor-format", "Form", text=changed, **TRUST)
    for name in BASE:
        group.invalid(f"without {name}", "anchor-format", "Form", members={name: None}, **TRUST)
    for comment, members in wrong_members().items():
        group.invalid(comment, "anchor-format", "Form", members=members, **TRUST)
    group.invalid("version 2", "newer-version", "Newer", members={"version": 2}, **TRUST)


def wrong_members() -> dict[str, Json]:
    """Return members of another type or range."""
    head, origin, proofs = BASE["head"], BASE["from"], BASE["storage_proofs"]
    first = BASE["account_proof"][0]
    return {
        "a member too many": {"note": "x"},
        "version 0": {"version": 0},
        "version as text": {"version": "1"},
        "version true": {"version": True},
        "chain 0": {"chain_id": 0},
        "chain 2^53": {"chain_id": 2**53},
        "a contract without 0x": {"contract": CONTRACT.hex()},
        "a contract of 19 bytes": {"contract": shown(CONTRACT[1:])},
        "a contract in capitals": {"contract": shown(CONTRACT).upper().replace("X", "x")},
        "a log id of 31 bytes": {"log_id": actors.LOG_ID[1:].hex()},
        "a log id with 0x": {"log_id": shown(actors.LOG_ID)},
        "from 0 leaves": {"from": origin | {"leaf_count": 0}},
        "from with a member more": {"from": origin | {"epoch": 0}},
        "epoch 64": {"head": head | {"epoch": 64}},
        "a negative time": {"head": head | {"timestamp": -1}},
        "a head of 0 leaves": {"head": head | {"leaf_count": 0}},
        "65 hashes": {"consistency": [bytes(32).hex()] * 65},
        "a hash of 33 bytes": {"consistency": [bytes(33).hex()]},
        "an odd digit": {"header": BASE["header"] + "0"},
        "no account proof": {"account_proof": []},
        "67 nodes": {"account_proof": [first] * 67},
        "an empty node": {"account_proof": [first, "0x"]},
        "no storage proof": {"storage_proofs": proofs | {"root": []}},
        "a storage proof less": {"storage_proofs": {"root": proofs["root"]}},
        "index 2^32": {"transaction_index": 2**32},
        "a header of 4,097 bytes": {"header": shown(evm.write([b""] * 4093)) + "80"},
    }
