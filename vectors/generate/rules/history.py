"""Key histories: which key is in force at which index."""

from dataclasses import dataclass
from typing import Any

from vectors.generate.rules import bodies, curve, eip712, fields, record
from vectors.generate.rules.checks import RuleError, require
from vectors.generate.rules.primitives import ZEROS, log_id, next_key_hash, sha256

MAX_EPOCH = 63
Event = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One key event as it is carried: record, body, and its path where there is one."""

    record: bytes
    body: bytes
    path: tuple[bytes, ...] = ()


@dataclass
class History:
    """The keys of a log as of a head."""

    log: bytes
    starts: list[int]  # first index of each epoch
    keys: list[bytes]
    ed25519: list[bytes]
    next_hash: bytes
    delay: int
    closed: bool = False
    suspects: tuple[range, ...] = ()

    @property
    def epoch(self) -> int:
        """Return the epoch that signs the head."""
        return len(self.keys) - 1

    def epoch_at(self, index: int) -> int:
        """Return the epoch in force at an index."""
        return max(epoch for epoch, start in enumerate(self.starts) if start <= index)

    def suspect(self, index: int) -> bool:
        """Say whether a later event declared this index suspect."""
        return any(index in span for span in self.suspects)


def read(entries: list[Entry], origin: str, pinned: set[bytes] | None, count: int) -> History:
    """Return the history that the key events of a head with `count` leaves prove."""
    require(entries, "key-event-order")
    first, event = _decode(entries[0])
    require(event["kind"] == bodies.GENESIS, "key-event-order")
    require((first.index, first.epoch) == (0, 0), "key-event-order")
    log = log_id(event["origin"], event["secp256k1"], event["ed25519"], event["next_hash"])
    require(event["origin"] == origin, "log-id")
    require(pinned is None or log in pinned, "log-id")
    record.verify(first, log, event["secp256k1"])
    history = History(
        log=log,
        starts=[0],
        keys=[event["secp256k1"]],
        ed25519=[event["ed25519"]],
        next_hash=event["next_hash"],
        delay=event["max_merge_delay_s"],
    )
    last = 0
    for entry in entries[1:]:
        last = _follow(history, entry, last)
        require(not history.closed or last == count - 1, "after-close")
    return history


def _decode(entry: Entry) -> tuple[record.Record, Event]:
    """Return record and body of one entry."""
    found = record.decode(entry.record)
    require(found.type == bodies.KEY, "key-event-order")
    require(entry.body and sha256(entry.body) == found.body_hash, "body-hash")
    body = bodies.decode(bodies.KEY, entry.body)
    event = fields.named(body, bodies.KEY_EVENT_FIELDS)
    require(event["kind"] <= bodies.CLOSE, "unknown-kind")
    bodies.check_in_record(bodies.KEY, body, found)
    return found, event


def _follow(history: History, entry: Entry, last: int) -> int:
    """Apply one later event; return its index."""
    found, event = _decode(entry)
    require(not history.closed, "after-close")
    require(event["kind"] != bodies.GENESIS, "key-event-order")
    require(found.index > last, "key-event-order")
    key = event["secp256k1"]
    if event["kind"] == bodies.CLOSE and history.next_hash == ZEROS:
        require(found.epoch == history.epoch, "epoch")
        require(key == history.keys[-1], "reveal")
        require("rotation_sig" not in event, "rotation-signature")
        # The head's Ed25519 key is that of the latest event, the epoch stays.
        history.ed25519[-1] = event["ed25519"]
    else:
        require(found.epoch == history.epoch + 1 <= MAX_EPOCH, "epoch")
        require(next_key_hash(key) == history.next_hash, "reveal")
        _check_rotation(history.log, found.epoch, event)
        history.starts.append(found.index)
        history.keys.append(key)
        history.ed25519.append(event["ed25519"])
        history.next_hash = event.get("next_hash", ZEROS)
    record.verify(found, history.log, key)
    history.closed = event["kind"] == bodies.CLOSE
    if "suspect_from" in event:
        history.suspects += (range(event["suspect_from"], found.index),)
    return found.index


def _check_rotation(log: bytes, epoch: int, event: Event) -> None:
    """Refuse unless the revealed key signed the rotation."""
    code = "rotation-signature"
    require("rotation_sig" in event, code)
    digest = eip712.rotation_digest(log, epoch, event.get("next_hash", ZEROS))
    try:
        curve.verify(digest, event["rotation_sig"], event["secp256k1"])
    except RuleError as error:
        raise RuleError(code) from error
