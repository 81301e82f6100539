"""A reader of a static log: it knows the layout of the files, and trusts only signatures.

Everything is fetched by path, from a folder or over HTTP. The tree is computed in a
naive way of its own.
"""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.ed25519 import verify_ed25519
from nous_ledger.protocol.head import decode_head_signature, only_line, verify_head_signature
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.proof import prove_inclusion, verify_inclusion
from nous_ledger.protocol.record import decode_record, verify_record
from nous_ledger.protocol.tiles import tile_of_node
from nous_ledger.protocol.types import Hash32, LeafCount, LeafIndex, NodePos
from tests.integration.ledger_audit import naive_root

Fetch = Callable[[str], bytes]


class StaticLog:
    """One log as it can be read at one checkpoint."""

    def __init__(self, fetch: Fetch, policy: bytes, public_key: bytes) -> None:
        """Read and check the checkpoint.

        Args:
            fetch: returns the file at a path.
            policy: the trust policy of the log, from elsewhere.
            public_key: secp256k1 key of epoch 0.
        """
        self._fetch = fetch
        self._public_key = public_key
        self._tiles: dict[str, bytes] = {}
        text_key, head_key = (log.vkey for log in parse_policy(policy).logs)
        note = parse_note(fetch("checkpoint"))
        self.head = parse_checkpoint(note.text)
        assert head_key.log_id is not None
        self.log_id = head_key.log_id
        line = only_line(note, text_key)
        verify_ed25519(text_key.material, note.text.encode(), line.payload)
        signature = decode_head_signature(only_line(note, head_key).payload)
        verify_head_signature(self.head, self.log_id, signature, public_key)
        self.count = self.head.leaf_count

    def records(self) -> list[bytes]:
        found: list[bytes] = []
        for number in range(-(-self.count // 256)):
            data = self._tile("entries", number, 0)
            assert len(data) == 122 * min(256, self.count - 256 * number)
            for at in range(0, len(data), 122):
                assert data[at : at + 2] == b"\x00\x78"
                found.append(data[at + 2 : at + 122])
        return found

    def bodies(self) -> list[bytes]:
        found: list[bytes] = []
        for number in range(-(-self.count // 256)):
            data, at, items = self._tile("bodies", number, 0), 0, 0
            while at < len(data):
                end = at + 2 + int.from_bytes(data[at : at + 2], "big")
                found.append(data[at + 2 : end])
                at, items = end, items + 1
            assert (at, items) == (len(data), min(256, self.count - 256 * number))
        return found

    def check(self, seed: random.Random) -> tuple[list[bytes], list[bytes]]:
        """Check everything that a checkpoint promises; return records and bodies."""
        records, bodies = self.records(), self.bodies()
        leaves = [hashlib.sha256(b"\x00" + record).digest() for record in records]
        assert naive_root(leaves) == self.head.root
        self._check_tiles(leaves)
        for index, (record, body) in enumerate(zip(records, bodies, strict=True)):
            assert decode_record(record).index == index
            assert not body or hashlib.sha256(body).digest() == decode_record(record).body_hash
        for index in seed.sample(range(self.count), min(8, self.count)):
            verify_record(records[index], self.log_id, self._public_key)
            path = prove_inclusion(self._nodes, LeafIndex(index), LeafCount(self.count))
            leaf = Hash32(leaves[index])
            verify_inclusion(leaf, LeafIndex(index), self.count, path, self.head.root)
        return records, bodies

    def _check_tiles(self, leaves: list[bytes]) -> None:
        level, size = 0, 1
        while self.count // size:
            roots = [
                naive_root(leaves[at : at + size]) for at in range(0, self.count - size + 1, size)
            ]
            for number in range(-(-len(roots) // 256)):
                expected = b"".join(roots[256 * number : 256 * number + 256])
                assert self._tile(str(level), number, level) == expected
            level, size = level + 1, size * 256

    def _nodes(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        found = []
        for position in positions:
            level, number, lo, hi = tile_of_node(position)
            data = self._tile(str(level), number, level)
            found.append(Hash32(naive_root([data[32 * i : 32 * i + 32] for i in range(lo, hi)])))
        return tuple(found)

    def _tile(self, where: str, number: int, level: int) -> bytes:
        items = self.count // 256**level
        width = min(256, items - 256 * number)
        digits = f"{number:06d}" if number > 999 else f"{number:03d}"
        name = digits if len(digits) == 3 else f"x{digits[:3]}/{digits[3:]}"
        path = f"tile/{where}/{name}" + (f".p/{width}" if width < 256 else "")
        if path not in self._tiles:
            self._tiles[path] = self._fetch(path)
        return self._tiles[path]


def from_folder(folder: Path) -> Fetch:
    return lambda path: (folder / path).read_bytes()
