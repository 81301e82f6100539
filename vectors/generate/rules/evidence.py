"""Anchor evidence: its form, and what it proves, step by step."""

import json
import re
from collections.abc import Callable
from typing import Any

from vectors.generate.actors import curve_address
from vectors.generate.rules import curve, eip712, evm, tree
from vectors.generate.rules.checks import MAX_UINT, reject, require
from vectors.generate.rules.primitives import sha256, tag

FORM = "anchor-format"
MEMBERS = {
    *("format", "version", "chain_id", "contract", "log_id", "from", "consistency", "head"),
    *("header", "account_proof", "storage_proofs", "transaction_index", "receipt_proof"),
}
STORAGE = ("state", "root", "chain", "signer")
EVENT = "Anchored(bytes32,uint32,uint64,bytes32,uint64,bytes32,bytes32,uint8,bytes32)"
MAX_WORD = 2**256 - 1
Json = dict[str, Any]


# ------------------------------------------------------------------ form


def parse(data: bytes) -> Json:
    """Return the members of a file, bytes decoded."""
    require(len(data) <= 1_048_576 and data.isascii(), FORM)
    try:
        top = json.loads(data, object_pairs_hook=once, parse_constant=lambda _: reject(FORM))
    except (ValueError, RecursionError):
        reject(FORM)
    require(isinstance(top, dict) and top.get("format") == "nous-ledger/1 anchor", FORM)
    require(integer(top.get("version"), 1) <= 1, "newer-version")
    require(set(top) == MEMBERS, FORM)
    origin = fields(top["from"], leaf_count=count, root=hashed)
    head = fields(top["head"], epoch=epoch, leaf_count=count, root=hashed, timestamp=integer)
    storage = fields(top["storage_proofs"], **dict.fromkeys(STORAGE, nodes))
    require(isinstance(top["consistency"], list) and len(top["consistency"]) <= 64, FORM)
    return {
        "chain_id": integer(top["chain_id"], 1),
        "contract": hexed(top["contract"], "0x", 20),
        "log_id": hashed(top["log_id"]),
        "from": origin,
        "consistency": [hashed(item) for item in top["consistency"]],
        "head": head,
        "header": hexed(top["header"], "0x"),
        "account_proof": nodes(top["account_proof"]),
        "storage_proofs": storage,
        "transaction_index": integer(top["transaction_index"], 0, 2**32 - 1),
        "receipt_proof": nodes(top["receipt_proof"]),
    }


def once(pairs: list[tuple[str, Any]]) -> Json:
    """Return an object none of whose members stands there twice."""
    require(len({name for name, _ in pairs}) == len(pairs), FORM)
    return dict(pairs)


def fields(part: Any, **kinds: Callable[[Any], Any]) -> Json:
    """Return the members of an object that has exactly these."""
    require(isinstance(part, dict) and set(part) == set(kinds), FORM)
    return {name: kind(part[name]) for name, kind in kinds.items()}


def integer(item: Any, least: int = 0, most: int = MAX_UINT) -> int:
    """Return an integer."""
    require(isinstance(item, int) and not isinstance(item, bool), FORM)
    require(least <= item <= most, FORM)
    return int(item)


def count(item: Any) -> int:
    """Return a leaf count."""
    return integer(item, 1)


def epoch(item: Any) -> int:
    """Return an epoch."""
    return integer(item, 0, 63)


def hexed(item: Any, prefix: str, size: int | None = None) -> bytes:
    """Return bytes."""
    require(isinstance(item, str) and re.fullmatch(prefix + "([0-9a-f][0-9a-f])*", item), FORM)
    data = bytes.fromhex(item[len(prefix) :])
    require(size is None or len(data) == size, FORM)
    return data


def hashed(item: Any) -> bytes:
    """Return a hash without 0x."""
    return hexed(item, "", 32)


def nodes(item: Any) -> list[bytes]:
    """Return the nodes of a trie proof."""
    require(isinstance(item, list) and 1 <= len(item) <= 66, FORM)
    found = [hexed(node, "0x") for node in item]
    require(all(found), FORM)
    return found


# ------------------------------------------------------------------ what it proves


def verify(found: Json, contract: bytes, code_hash: bytes, block_hash: bytes | None) -> Json:
    """Return where and when the head was anchored."""
    require(len(found["header"]) <= 4096, FORM)
    header = evm.read(found["header"])
    require(isinstance(header, list) and 16 <= len(header) <= 32, FORM)
    number, time = (evm.read_number(header[place], MAX_UINT) for place in (8, 11))
    state_root, receipts_root = (sized(header[place], 32) for place in (3, 5))
    require(found["contract"] == contract, "anchor-contract")
    signer, chain = stored(found, state_root, code_hash)
    event = emitted(found, receipts_root)
    require(event[7] == chain, "anchor-event")
    head, log = found["head"], found["log_id"]
    digest = eip712.head_digest(
        log, head["epoch"], head["leaf_count"], head["root"], head["timestamp"]
    )
    key = curve.recover(digest, event[4] + event[5] + event[6][31:])
    require(curve_address(curve.decompress(key)) == signer, "anchor-event")  # type: ignore[arg-type]
    origin = found["from"]
    tree.verify_consistency(
        origin["leaf_count"], origin["root"], head["leaf_count"], head["root"], found["consistency"]
    )
    require(block_hash is not None, "anchor-untrusted")
    require(evm.keccak256(found["header"]) == block_hash, "anchor-block")
    return {"blockNumber": number, "blockTime": time, "leafCount": head["leaf_count"]}


def sized(item: Any, size: int) -> bytes:
    """Return a string of so many bytes."""
    require(isinstance(item, bytes) and len(item) == size, FORM)
    return bytes(item)


def stored(found: Json, state_root: bytes, code_hash: bytes) -> tuple[bytes, bytes]:
    """Return the signer and the running hash of the contract."""
    key = evm.keccak256(found["contract"])
    account = evm.read(evm.lookup(state_root, key, found["account_proof"]))
    require(isinstance(account, list) and len(account) == 4, FORM)
    evm.read_number(account[0], MAX_UINT)
    evm.read_number(account[1], MAX_WORD)
    storage_root, code = sized(account[2], 32), sized(account[3], 32)
    require(code == code_hash, "anchor-contract")
    head = found["head"]
    base = int.from_bytes(evm.keccak256(found["log_id"] + bytes(32)), "big")
    words = []
    for name, offset in zip(STORAGE, (0, 1, 2, 4 + head["epoch"]), strict=True):
        slot = ((base + offset) % 2**256).to_bytes(32, "big")
        proof = found["storage_proofs"][name]
        value = evm.read(evm.lookup(storage_root, evm.keccak256(slot), proof))
        word = evm.read_number(value, MAX_WORD)
        require(word, "anchor-proof")
        words.append(word.to_bytes(32, "big"))
    state, root, chain, signer = words
    require(state[0] == 1 and state[1] <= 1, "anchor-head")
    wanted = [head["epoch"].to_bytes(4, "big")]
    wanted += [head[name].to_bytes(8, "big") for name in ("timestamp", "leaf_count")]
    require(state[12:] == b"".join(wanted) and root == head["root"], "anchor-head")
    require(not any(signer[:11]) and signer[11] <= 1 and any(signer[12:]), "anchor-head")
    require(signer[11] == 0, "fork")
    return signer[12:], chain


def emitted(found: Json, receipts_root: bytes) -> list[bytes]:
    """Return the words of the event of the head."""
    key = evm.write(evm.number(found["transaction_index"]))
    data = evm.lookup(receipts_root, key, found["receipt_proof"])
    receipt = evm.read(data[1:] if 1 <= data[0] < 0x80 else data)
    require(isinstance(receipt, list) and 4 <= len(receipt) <= 8, FORM)
    require(receipt[0] == b"\x01", "anchor-event")
    require(isinstance(receipt[3], list), FORM)
    for event in receipt[3]:
        require(isinstance(event, list) and len(event) == 3, FORM)
        require(isinstance(event[1], list) and len(event[1]) <= 4, FORM)
        require(isinstance(event[2], bytes), FORM)
        sized(event[0], 20)
        for topic in event[1]:
            sized(topic, 32)
    ours = []
    for address, topics, data in receipt[3]:
        if address == found["contract"] and topics[:1] == [evm.keccak256(EVENT.encode())]:
            require(len(topics) == 2 and len(data) == 256, "anchor-event")
            words = [data[at : at + 32] for at in range(0, 256, 32)]
            if topics[1] == found["log_id"] and words[:4] == list(head_words(found["head"])):
                ours.append(words)
    require(ours, "anchor-event")
    return ours[0]


def head_words(head: Json) -> tuple[bytes, ...]:
    """Return a head as an event has it."""
    return (
        head["epoch"].to_bytes(32, "big"),
        head["leaf_count"].to_bytes(32, "big"),
        head["root"],
        head["timestamp"].to_bytes(32, "big"),
    )


def next_chain(chain: bytes, digest: bytes) -> bytes:
    """Return the running hash after one more head."""
    return sha256(tag("anchor") + chain + digest)
