"""Blocks that hold something else than evidence says, all their hashes in order."""

from typing import Any

from vectors.generate import actors
from vectors.generate.anchorchain import (
    BLOCK_NUMBER,
    CODE_HASH,
    CONTRACT,
    LARGE,
    LEAVES,
    OTHER_CONTRACT,
    TOPIC,
    Block,
    shown,
)
from vectors.generate.rules import curve, evm, tree
from vectors.generate.suite import Group, Json, unhex

BLOCK = Block()
BASE = BLOCK.evidence()
TRUST = {
    "codeHash": CODE_HASH.hex(),
    "blockHash": evm.keccak256(unhex(BASE["header"][2:])).hex(),
}


def block_cases(group: Group) -> None:
    """Blocks that hold something else, their hashes all in order."""

    def refuse(comment: str, error: str, flag: str, block: Block, **members: Any) -> None:
        made = block.evidence() | members
        changed = {name: item for name, item in made.items() if item != BASE[name]}
        trusted = {
            "codeHash": CODE_HASH.hex(),
            "blockHash": evm.keccak256(unhex(made["header"][2:])).hex(),
        }
        group.invalid(comment, error, flag, members=changed, **trusted)

    accepted(group)
    shapes(refuse)
    heads(refuse)
    events(refuse)
    linked(group, refuse)


def accepted(group: Group) -> None:
    """Blocks of other shapes that hold the same."""
    blocks = {
        "an untyped receipt": Block(receipt_type=0),
        "a receipt of 6 items, as of a deposit": Block(receipt_type=0x7E, receipt_items=6),
        "transaction 0": Block(index=0),
        "transaction 127": Block(index=127),
        "transaction 128": Block(index=128),
        "a header of 16 items": Block(header_length=16),
        "a header of 32 items": Block(header_length=32),
        "two accounts": Block(few=True),
        "epoch 63": Block(epoch=63, secret=actors.SECRETS[1]),
    }
    for comment, block in blocks.items():
        made = block.evidence()
        changed = {name: item for name, item in made.items() if item != BASE[name]}
        trusted = {
            "codeHash": CODE_HASH.hex(),
            "blockHash": evm.keccak256(unhex(made["header"][2:])).hex(),
        }
        group.valid(comment, "Valid", members=changed, **trusted)


def shapes(refuse: Any) -> None:
    """Headers, accounts and receipts of another shape."""
    form = "anchor-format"
    refuse("a header of 15 items", form, "Shape", Block(header_length=15))
    refuse("a header of 33 items", form, "Shape", Block(header_length=33))
    refuse("a state root of 31 bytes", form, "Shape", Block(header={3: bytes(31)}))
    refuse("a receipts root as a list", form, "Shape", Block(header={5: []}))
    refuse("a number with a zero", "anchor-rlp", "Shape", Block(header={8: b"\x00\x01"}))
    refuse("a time of 2^53", "anchor-rlp", "Shape", Block(header={11: evm.number(2**53)}))
    refuse("a number as a list", "anchor-rlp", "Shape", Block(header={8: []}))
    refuse("an account of 5 items", form, "Shape", Block(account_items=5))
    refuse("an account of 3 items", form, "Shape", Block(account_items=3))
    refuse("a code hash of 31 bytes", form, "Shape", Block(code_hash=bytes(31)))
    refuse("a receipt of 3 items", form, "Shape", Block(receipt_items=3))
    refuse("an event of 2 items", form, "Shape", Block(event={"events": [[CONTRACT, [TOPIC]]]}))
    refuse("5 topics", form, "Shape", Block(event={"topics": [TOPIC, *[actors.LOG_ID] * 4]}))
    refuse("a topic of 31 bytes", form, "Shape", Block(event={"topics": [TOPIC, bytes(31)]}))
    refuse("an address of 19 bytes", form, "Shape", Block(event={"address": CONTRACT[1:]}))


def heads(refuse: Any) -> None:
    """What the contract stores."""
    stored = "anchor-head"
    refuse("other code", "anchor-contract", "Contract", Block(code_hash=evm.keccak256(b"other")))
    refuse("another contract", "anchor-contract", "Contract", Block(contract=OTHER_CONTRACT))
    for comment, words in (
        ("not registered", {0: first_word(registered=0)}),
        ("registered is 2", {0: first_word(registered=2)}),
        ("closed is 2", {0: first_word(closed=2)}),
        ("one leaf more", {0: first_word(leaves=LARGE + 1)}),
        ("a second later", {0: first_word(time=actors.TIME_S + 1)}),
        ("a head of another epoch", {0: first_word(epoch=1)}),
        ("another root", {1: int.from_bytes(tree.root(LEAVES), "big")}),
        ("a signer of 21 bytes", {4: 1 << 168 | 1}),
        ("no signer but a flag", {4: 1 << 160}),
    ):
        refuse(comment, stored, "Stored", Block(words=words))
    refuse("a fork was proved", "fork", "Forked", Block(forked=True))
    wrong = Block().evidence()["storage_proofs"]
    swapped = wrong | {"root": wrong["chain"]}
    refuse("the proof of another word", "anchor-proof", "Absent", Block(), storage_proofs=swapped)
    other = Block(log=actors.FROZEN_LOG_ID).evidence()
    refuse("another log id", "anchor-proof", "Absent", Block(), log_id=other["log_id"])
    head = BASE["head"] | {"root": tree.root(LEAVES).hex()}
    refuse("a head that is not stored", stored, "Stored", Block(), head=head)


def first_word(**changes: int) -> int:
    """Return the first word of the log with something else in it."""
    usual = {"registered": 1, "closed": 0, "epoch": 0, "time": actors.TIME_S, "leaves": LARGE}
    parts = usual | changes
    data = bytes([parts["registered"], parts["closed"]]) + (1).to_bytes(6, "big") + bytes(4)
    data += parts["epoch"].to_bytes(4, "big") + parts["time"].to_bytes(8, "big")
    return int.from_bytes(data + parts["leaves"].to_bytes(8, "big"), "big")


def events(refuse: Any) -> None:
    """What the transaction emitted."""
    event = "anchor-event"
    words: dict[str, dict[int, bytes]] = {
        "an event of another count": {1: (11).to_bytes(32, "big")},
        "an event of another root": {2: bytes(32)},
        "an event of another time": {3: (1).to_bytes(32, "big")},
        "an event of another epoch": {0: (1).to_bytes(32, "big")},
        "an event with another running hash": {7: bytes(32)},
    }
    for comment, changed in words.items():
        refuse(comment, event, "Event", Block(event={"words": changed}))
    refuse("it failed", event, "Event", Block(status=0))
    refuse("no event", event, "Event", Block(event={"events": []}))
    refuse("emitted by another contract", event, "Event", Block(event={"address": OTHER_CONTRACT}))
    refuse("another topic", event, "Event", Block(event={"topics": [bytes(32), actors.LOG_ID]}))
    refuse("an event of another log", event, "Event", Block(event={"topics": [TOPIC, bytes(32)]}))
    refuse("one topic", event, "Event", Block(event={"topics": [TOPIC]}))
    refuse("a word too many", event, "Event", Block(event={"more": bytes(32)}))
    signature = curve.sign(actors.SECRETS[0], BLOCK.digest)
    high = curve.SECP256K1.n - int.from_bytes(signature[32:64], "big")
    refuse("signed by another", event, "Signature", Block(signer=b"\x01" * 20))
    for comment, error, changed in (
        ("s above n/2", "high-s", {5: high.to_bytes(32, "big")}),
        ("r of zero", "malformed", {4: bytes(32)}),
        ("a recovery id of 27", "bad-recovery-id", {6: (27).to_bytes(32, "big")}),
    ):
        refuse(comment, error, "Signature", Block(event={"words": changed}))
    refuse("another transaction", event, "Event", Block(), **another_transaction())


def another_transaction() -> Json:
    """Return the proof of a transaction that emitted nothing of ours."""
    key = evm.write(evm.number(BLOCK.index + 1))
    proof = list(map(shown, BLOCK.receipts().prove(key)))
    return {"transaction_index": BLOCK.index + 1, "receipt_proof": proof}


def linked(group: Group, refuse: Any) -> None:
    """The way from the bundle's head, and to the block."""
    origin, path = BASE["from"], BASE["consistency"]
    larger = {"leaf_count": LARGE + 1, "root": tree.root(LEAVES).hex()}
    refuse("from more leaves", "proof-counts", "Prefix", Block(), **{"from": larger})
    refuse("a hash less", "proof-shape", "Prefix", Block(), consistency=path[:-1])
    refuse("a hash more", "proof-shape", "Prefix", Block(), consistency=[*path, path[0]])
    root = origin | {"root": bytes(32).hex()}
    refuse("from another root", "root-mismatch", "Prefix", Block(), **{"from": root})
    swapped = [path[1], path[0], *path[2:]]
    refuse("hashes swapped", "root-mismatch", "Prefix", Block(), consistency=swapped)
    proof = BASE["account_proof"]
    refuse("a node less", "anchor-proof", "Trie", Block(), account_proof=proof[:-1])
    refuse("a node more", "anchor-proof", "Trie", Block(), account_proof=[*proof, proof[-1]])
    receipt = BASE["receipt_proof"]
    refuse("a receipt's node less", "anchor-proof", "Trie", Block(), receipt_proof=receipt[:-1])
    trusted = {"codeHash": CODE_HASH.hex()}
    other = Block(header={8: evm.number(BLOCK_NUMBER + 1)}).evidence()["header"]
    group.invalid("another header", "anchor-block", "Block", members={"header": other}, **TRUST)
    group.invalid("no trusted hash", "anchor-untrusted", "Block", blockHash=None, **trusted)
    forged = Block(forked=True).evidence()
    changed = {name: item for name, item in forged.items() if item != BASE[name]}
    group.invalid(
        "wrong in itself, and no trusted hash",
        "fork",
        "Forked",
        members=changed,
        blockHash=None,
        **trusted,
    )
