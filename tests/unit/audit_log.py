"""A log for the sentinel's tests: honest by default, and able to sign whatever it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from nous_ledger.protocol.bodies import Binding, Body, encode_body
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.eip712 import binding_digest, rotation_digest
from nous_ledger.protocol.hashing import ZERO_HASH, compute_log_id, next_key_hash, sha256
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.mmr import append_nodes, next_peaks, read_root
from nous_ledger.protocol.policy import Policy, parse_policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import leaf_hash, sign_record
from nous_ledger.protocol.signing import SigningKey, address_of
from nous_ledger.protocol.tiles import Tile, encode_bodies, encode_entries, encode_tile, tile_nodes
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    LogId,
    NodePos,
    SubjectId,
    UnixMillis,
    UnixSeconds,
)
from nous_ledger.protocol.vkey import ed25519_vkey, format_vkey, head_vkey

ORIGIN: Final = "ledger.example.com/audited"
START: Final = 1_750_000_000
DELAY: Final = 60
HEARTBEAT: Final = 3_600
KEYS: Final = tuple(SigningKey(bytes([number]) * 32) for number in range(0x11, 0x16))
ED25519: Final = Ed25519Key(b"\x33" * 32)
OTHER_ED25519: Final = Ed25519Key(b"\x34" * 32)
WALLETS: Final = (SigningKey(b"\x55" * 32), SigningKey(b"\x56" * 32))
SALT: Final = bytes(range(16))
ALICE: Final = SubjectId(b"\xaa" * 32)
BOB: Final = SubjectId(b"\xbb" * 32)


class AuditLog:
    """A log with everything that a server of it would have.

    Attributes:
        records: 120 bytes each.
        bodies: what is served beside them; empty is withheld.
        nodes: the tree.
    """

    def __init__(self, origin: str = ORIGIN, *, rotates: bool = True, receipts: int = 0) -> None:
        """Begin with a genesis and some receipts of two subjects."""
        self.origin = origin
        self.epoch = 0
        self.ed25519 = ED25519
        self.records: list[bytes] = []
        self.bodies: list[bytes] = []
        self.nodes: list[Hash32] = []
        self._peaks: tuple[Hash32, ...] = ()
        self._chains: dict[bytes, tuple[int, bytes]] = {}
        self._ids = 0
        next_hash = next_key_hash(KEYS[1].public_key) if rotates else ZERO_HASH
        self.log_id = compute_log_id(origin, KEYS[0].public_key, ED25519.public_key, next_hash)
        self.add(0, self.genesis(next_hash))
        for number in range(receipts):
            self.receipt(BOB if number % 3 else ALICE)

    def genesis(self, next_hash: bytes, **changes: Any) -> KeyEvent:
        fields: dict[str, Any] = {
            "kind": 0,
            "origin": self.origin,
            "secp256k1": KEYS[0].public_key,
            "ed25519": ED25519.public_key,
            "next_hash": next_hash,
            "max_merge_delay_s": DELAY,
            "heartbeat_s": HEARTBEAT,
        }
        return KeyEvent(**(fields | changes))

    @property
    def count(self) -> LeafCount:
        return LeafCount(len(self.records))

    def add(self, type: int, body: Body | bytes, **told: Any) -> int:
        """Append a record; `told` overrides what is signed, and the key."""
        data = body if isinstance(body, bytes) else encode_body(body)
        index = len(self.records)
        record = sign_record(
            told.get("key", KEYS[self.epoch]),
            LogId(told.get("log_id", self.log_id)),
            type=type,
            epoch=Epoch(told.get("epoch", self.epoch)),
            index=LeafIndex(told.get("index", index)),
            logged_at=UnixMillis(told.get("logged_at", (START + index) * 1000)),
            body_hash=Hash32(told.get("body_hash", sha256(data))),
        )
        return self.append(record, data)

    def append(self, record: bytes, body: bytes) -> int:
        """Append 120 bytes as they are."""
        added = append_nodes(self.count, leaf_hash(record), self._peaks)
        self._peaks = next_peaks(self._peaks, added)
        self.nodes += added
        self.records.append(record)
        self.bodies.append(body)
        return len(self.records) - 1

    def receipt(
        self, subject: bytes = ALICE, told: Mapping[str, Any] | None = None, **changes: Any
    ) -> int:
        """Append a receipt at the end of its subject's chain; `changes` go into its body."""
        body = self.make_receipt(subject, **changes)
        index = self.add(1, body, **(told or {}))
        self._chains[subject] = (body.subject_seq + 1, self.records[index][23:55])
        return index

    def make_receipt(self, subject: bytes = ALICE, **changes: Any) -> Receipt:
        seq, prev = self._chains.get(subject, (0, None))
        self._ids += 1
        fields: dict[str, Any] = {
            "salt": SALT,
            "id": bytes.fromhex("01977420dc007abc8def0123") + self._ids.to_bytes(4, "big"),
            "time": START * 1000,
            "source": 1,
            "subject": subject,
            "subject_seq": seq,
            "subject_prev": prev,
            "provider": "anthropic",
            "upstream": "api.anthropic.com",
            "operation": "chat",
            "api": 7,
            "model_served": "claude-3-5-haiku",
            "status": 0,
            "http_status": 200,
            "metering": 1,
            "usage": (
                Bucket(kind=1, reported=120, label=3),
                Bucket(kind=16, reported=40, label=2, lower=1, upper=176, method="bytes/1"),
            ),
            "provider_total": 160,
        }
        return Receipt(**(fields | changes))

    def binding(
        self,
        nonce: int,
        told: Mapping[str, Any] | None = None,
        *,
        wallet: int | None = 0,
        signer: int = 0,
        **changes: Any,
    ) -> int:
        """Append a binding of a wallet by number, an unbind for None."""
        address = bytes(20) if wallet is None else address_of(WALLETS[wallet].public_key)
        deadline = UnixSeconds(START + 1_000_000)
        digest = binding_digest(self.log_id, ALICE, address, nonce, deadline)
        fields: dict[str, Any] = {
            "salt": SALT,
            "subject": ALICE,
            "wallet": address,
            "nonce": nonce,
            "deadline": deadline,
            "signature": WALLETS[signer].sign(digest),
        }
        return self.add(3, Binding(**(fields | changes)), **(told or {}))

    def rotation(self, **changes: Any) -> KeyEvent:
        """Return the next rotation."""
        epoch = Epoch(self.epoch + 1)
        next_hash = next_key_hash(KEYS[epoch + 1].public_key)
        fields: dict[str, Any] = {
            "kind": 1,
            "secp256k1": KEYS[epoch].public_key,
            "ed25519": self.ed25519.public_key,
            "next_hash": next_hash,
            "reason": 0,
            "rotation_sig": KEYS[epoch].sign(rotation_digest(self.log_id, epoch, next_hash)),
        }
        return KeyEvent(**(fields | changes))

    def rotate(self, told: Mapping[str, Any] | None = None, **changes: Any) -> int:
        """Append a rotation and sign with its key from then on."""
        event = self.rotation(**changes)
        self.epoch += 1
        return self.add(0, event, **(told or {}))

    def close(self) -> int:
        """Append the close that a rotation's key makes."""
        epoch = Epoch(self.epoch + 1)
        event = KeyEvent(
            kind=2,
            secp256k1=KEYS[epoch].public_key,
            ed25519=self.ed25519.public_key,
            reason=4,
            rotation_sig=KEYS[epoch].sign(rotation_digest(self.log_id, epoch, ZERO_HASH)),
        )
        self.epoch += 1
        return self.add(0, event)

    def read(self, positions: tuple[NodePos, ...]) -> tuple[Hash32, ...]:
        return tuple(self.nodes[position] for position in positions)

    def head(self, count: int | None = None, timestamp: int | None = None, **told: Any) -> bytes:
        """Return a head; `told` overrides root, epoch, key and ed25519."""
        leaves = LeafCount(self.count if count is None else count)
        epoch = told.get("epoch", self.epoch)
        root = told.get("root") or read_root(self.read, leaves)
        return sign_head(
            Checkpoint(origin=told.get("origin", self.origin), leaf_count=leaves, root=root),
            log_id=LogId(told.get("log_id", self.log_id)),
            epoch=Epoch(epoch),
            timestamp=UnixSeconds(START + leaves if timestamp is None else timestamp),
            key=told.get("key", KEYS[min(epoch, 4)]),
            ed25519=told.get("ed25519", self.ed25519),
        )

    def tile(self, tile: Tile) -> bytes:
        return encode_tile(self.read(tile_nodes(tile)))

    def entries(self, bundle: int, width: int) -> bytes:
        return encode_entries(self.records[bundle * 256 : bundle * 256 + width])

    def served_bodies(self, bundle: int, width: int) -> bytes:
        return encode_bodies(self.bodies[bundle * 256 : bundle * 256 + width])

    def policy(self, *lines: str) -> Policy:
        """Return a policy that pins the log, without witnesses."""
        keys = (ed25519_vkey(self.origin, ED25519.public_key), head_vkey(self.origin, self.log_id))
        logs = "".join(f"log {format_vkey(key)}\n" for key in keys)
        return parse_policy(f"{logs}{''.join(lines) or 'quorum none'}\n".encode())
