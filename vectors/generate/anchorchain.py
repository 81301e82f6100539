"""A made-up block with the contract in it, and evidence of it: every part can be changed."""

from dataclasses import dataclass, field
from typing import Any

from vectors.generate import actors
from vectors.generate.rules import curve, eip712, evidence, evm, tree
from vectors.generate.rules.primitives import sha256

CONTRACT = bytes.fromhex("c0ffee") + bytes(16) + b"\x01"
OTHER_CONTRACT = bytes.fromhex("c0ffee") + bytes(16) + b"\x02"
CODE_HASH = evm.keccak256(b"code of the contract")
BLOCK_NUMBER = 31_000_000
BLOCK_TIME = actors.TIME_S + 500
LEAVES = tuple(sha256(b"\x00" + bytes([leaf])) for leaf in range(13))
SMALL, LARGE = 5, 12
TOPIC = evm.keccak256(evidence.EVENT.encode())
Json = dict[str, Any]


@dataclass
class Block:
    """What a block holds; `evidence` puts the proofs together."""

    log: bytes = actors.LOG_ID
    epoch: int = 0
    count: int = LARGE
    root: bytes = tree.root(LEAVES[:LARGE])
    timestamp: int = actors.TIME_S
    secret: int = actors.SECRETS[0]
    signer: bytes = b""
    forked: bool = False
    code_hash: bytes = CODE_HASH
    words: dict[int, int] = field(default_factory=dict)
    status: int = 1
    receipt_type: int = 2
    contract: bytes = CONTRACT
    event: dict[str, Any] = field(default_factory=dict)
    header: dict[int, Any] = field(default_factory=dict)
    header_length: int = 21
    index: int = 130
    account_items: int = 4
    receipt_items: int = 4
    few: bool = False

    @property
    def digest(self) -> bytes:
        """What the log signs."""
        return eip712.head_digest(self.log, self.epoch, self.count, self.root, self.timestamp)

    @property
    def chain(self) -> bytes:
        """The running hash after this head, the first."""
        return evidence.next_chain(self.log, self.digest)

    def storage(self) -> evm.Trie:
        """Return the contract's storage: this log's words, and those of two others."""
        key = curve.public_point(curve.SECP256K1, self.secret)
        address = self.signer or actors.curve_address(key)
        state = bytes([1, 0]) + (1).to_bytes(6, "big") + self.epoch.to_bytes(4, "big") * 2
        state += self.timestamp.to_bytes(8, "big") + self.count.to_bytes(8, "big")
        words = {
            0: int.from_bytes(state, "big"),
            1: int.from_bytes(self.root, "big"),
            2: int.from_bytes(self.chain, "big"),
            4 + self.epoch: int.from_bytes(address, "big") + (self.forked << 160),
        }
        words |= self.words
        values = {}
        for log, offsets in ((self.log, words), (b"\x01" * 32, {0: 7}), (b"\x02" * 32, {0: 9})):
            for offset, word in offsets.items():
                if word:
                    values[evm.keccak256(slot(log, offset))] = evm.write(evm.number(word))
        return evm.Trie(values)

    def state(self, storage_root: bytes) -> evm.Trie:
        """Return the accounts of the chain."""
        account = [evm.number(1), b"", storage_root, self.code_hash, b""][: self.account_items]
        values = {evm.keccak256(CONTRACT): evm.write(account)}
        values[evm.keccak256(OTHER_CONTRACT)] = evm.write(account)
        for other in range(0 if self.few else 24):
            balance = evm.write([evm.number(other), evm.number(10**18), bytes(32), bytes(32)])
            values[evm.keccak256(bytes([other]) * 20)] = balance
        return evm.Trie(values)

    def receipts(self) -> evm.Trie:
        """Return the receipts of the block: one anchors, the others emit nothing."""
        quiet = evm.write([b"\x01", evm.number(21_000), bytes(256), []])
        values = {evm.write(evm.number(place)): b"\x02" + quiet for place in range(self.index + 3)}
        values[evm.write(evm.number(self.index))] = self.receipt()
        return evm.Trie(values)

    def receipt(self) -> bytes:
        """Return the receipt of the transaction that anchored."""
        signature = curve.sign(self.secret, self.digest)
        head = {"epoch": self.epoch, "leaf_count": self.count, "root": self.root}
        words = [*evidence.head_words(head | {"timestamp": self.timestamp})]
        words += [signature[:32], signature[32:64], signature[64:].rjust(32, b"\0"), self.chain]
        for place, word in self.event.get("words", {}).items():
            words[place] = word
        topics = self.event.get("topics", [TOPIC, self.log])
        data = b"".join(words) + self.event.get("more", b"")
        ours = [self.event.get("address", self.contract), topics, data]
        other = [OTHER_CONTRACT, [bytes(32)], b"noise"]
        events = [other, *self.event.get("events", [ours])]
        items = [evm.number(self.status), evm.number(90_000), bytes(256), events, b"", b""]
        encoded = evm.write(items[: self.receipt_items])
        return bytes([self.receipt_type]) + encoded if self.receipt_type else encoded

    def evidence(self) -> Json:
        """Return evidence of this block, as a file's members."""
        storage, receipts = self.storage(), self.receipts()
        state = self.state(storage.root)
        offsets = (0, 1, 2, 4 + self.epoch)
        keys = [evm.keccak256(slot(self.log, offset)) for offset in offsets]
        return {
            "format": "nous-ledger/1 anchor",
            "version": 1,
            "chain_id": 8453,
            "contract": shown(self.contract),
            "log_id": self.log.hex(),
            "from": {"leaf_count": SMALL, "root": tree.root(LEAVES[:SMALL]).hex()},
            "consistency": [
                node.hex() for node in tree.consistency_path(SMALL, LEAVES[: self.count])
            ],
            "head": {
                "epoch": self.epoch,
                "leaf_count": self.count,
                "root": self.root.hex(),
                "timestamp": self.timestamp,
            },
            "header": shown(evm.write(self.header_items(state.root, receipts.root))),
            "account_proof": list(map(shown, state.prove(evm.keccak256(self.contract)))),
            "storage_proofs": {
                name: list(map(shown, storage.prove(key)))
                for name, key in zip(evidence.STORAGE, keys, strict=True)
            },
            "transaction_index": self.index,
            "receipt_proof": list(map(shown, receipts.prove(evm.write(evm.number(self.index))))),
        }

    def header_items(self, state_root: bytes, receipts_root: bytes) -> list[Any]:
        """Return the items of the header."""
        items: list[Any] = [sha256(bytes([place])) for place in range(21)]
        items[2] = bytes(20)
        items[3], items[5] = state_root, receipts_root
        items[6] = bytes(256)
        items[7] = b""
        items[8], items[11] = evm.number(BLOCK_NUMBER), evm.number(BLOCK_TIME)
        items[9] = items[10] = evm.number(30_000_000)
        items[12], items[14], items[15] = b"", bytes(8), evm.number(5_000_000)
        for place, item in self.header.items():
            items[place] = item
        return [*items, *[b""] * 20][: self.header_length]


def slot(log: bytes, offset: int) -> bytes:
    """Return the slot of a word of a log."""
    base = int.from_bytes(evm.keccak256(log + bytes(32)), "big")
    return ((base + offset) % 2**256).to_bytes(32, "big")


def shown(data: bytes) -> str:
    """Return bytes as the chain writes them."""
    return f"0x{data.hex()}"
