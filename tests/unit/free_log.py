"""A log whose owner may do anything: records, key events and heads with every part chosen."""

from dataclasses import dataclass
from typing import Any

from nous_ledger.protocol.bodies import Body, encode_body
from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.eip712 import rotation_digest
from nous_ledger.protocol.hashing import ZERO_HASH, next_key_hash, sha256
from nous_ledger.protocol.head import sign_head
from nous_ledger.protocol.keyevent import KeyEvent
from nous_ledger.protocol.mmr import append_nodes, next_peaks, root_from_peaks
from nous_ledger.protocol.note import NoteSignature, add_signatures, format_note, parse_note
from nous_ledger.protocol.record import leaf_hash, sign_record
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafIndex,
    LogId,
    UnixMillis,
    UnixSeconds,
)
from tests.property.sample_log import HEAD_TIME, HEADS, NEXT, START, SampleLog, receipt

KEYS = tuple(SigningKey(bytes([byte]) * 32) for byte in (0x11, 0x22, 0x44, 0x66, 0x67))
OTHER_HEADS = Ed25519Key(b"\x34" * 32)

Entry = tuple[bytes, bytes]


@dataclass(slots=True)
class FreeLog(SampleLog):
    """A sample log that also takes records and signs heads that no honest log would."""

    def put(self, record: bytes, body: bytes) -> int:
        """Append a finished record; return its index."""
        index = len(self.records)
        added = append_nodes(self.count, leaf_hash(record), self.peaks)
        self.peaks = next_peaks(self.peaks, added)
        self.nodes += added
        self.records.append(record)
        self.bodies.append(body)
        if record[1:3] == b"\x00\x00":
            self.key_events.append(index)
        return index

    def make(
        self,
        body: Body | bytes,
        *,
        type: int = 0,
        index: int | None = None,
        epoch: int | None = None,
        logged_at: int | None = None,
        key: SigningKey | None = None,
        log_id: bytes | None = None,
    ) -> Entry:
        """Return a record and its body; what is not given is what an honest log would write."""
        data = body if isinstance(body, bytes) else encode_body(body)
        at = len(self.records) if index is None else index
        record = sign_record(
            key or self.key,
            LogId(log_id or self.log_id),
            type=type,
            epoch=Epoch(self.epoch if epoch is None else epoch),
            index=LeafIndex(at),
            logged_at=UnixMillis(START + at if logged_at is None else logged_at),
            body_hash=sha256(data),
        )
        return record, data

    def event(self, kind: int, revealed: SigningKey, **fields: Any) -> KeyEvent:
        """Return a rotate (to the key after) or close that the revealed key signs."""
        next_hash = fields.get("next_hash", ZERO_HASH)
        digest = rotation_digest(self.log_id, Epoch(self.epoch + 1), next_hash)
        given: dict[str, Any] = {
            "kind": kind,
            "secp256k1": revealed.public_key,
            "ed25519": HEADS.public_key,
            "reason": 0 if kind == 1 else 4,
            "rotation_sig": revealed.sign(digest),
        }
        return KeyEvent(**(given | fields))

    def take_over(self, revealed: SigningKey, next_key: SigningKey, **fields: Any) -> int:
        """Append a rotate; return its index."""
        event = self.event(1, revealed, next_hash=next_key_hash(next_key.public_key), **fields)
        self.epoch, self.key = Epoch(self.epoch + 1), revealed
        return self.put(*self.make(event))

    def close(self, revealed: SigningKey, **fields: Any) -> int:
        """Append a close that reveals the next key; return its index."""
        event = self.event(2, revealed, **fields)
        self.epoch, self.key = Epoch(self.epoch + 1), revealed
        return self.put(*self.make(event))

    def entries(self) -> list[Entry]:
        """Return the key events with their bodies."""
        return [(self.records[at], self.bodies[at]) for at in self.key_events]

    def note(
        self,
        *lines: NoteSignature,
        log_id: bytes | None = None,
        epoch: int | None = None,
        timestamp: int = HEAD_TIME,
        key: SigningKey | None = None,
        ed25519: Ed25519Key = HEADS,
        root: Hash32 | None = None,
    ) -> bytes:
        """Return a head over all records, signed as asked, with further lines."""
        true_root = root_from_peaks(self.count, self.peaks)
        note = sign_head(
            Checkpoint(origin=self.origin, leaf_count=self.count, root=root or true_root),
            log_id=LogId(log_id or self.log_id),
            epoch=Epoch(self.epoch if epoch is None else epoch),
            timestamp=UnixSeconds(timestamp),
            key=key or self.key,
            ed25519=ed25519,
        )
        return format_note(add_signatures(parse_note(note), *lines))


def started(next_key: SigningKey | None = NEXT) -> FreeLog:
    """Return a log with its genesis and two receipts."""
    log = FreeLog()
    log.start(next_key)
    for _ in range(2):
        log.append(1, receipt())
    return log


def rotated() -> FreeLog:
    """Return a log with a rotation at index 3 and two more receipts."""
    log = started()
    assert log.take_over(KEYS[1], KEYS[2]) == 3
    log.append(1, receipt())
    log.append(1, receipt())
    return log
