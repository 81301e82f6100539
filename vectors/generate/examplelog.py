"""A small log in memory: records, heads, and bundles from them, with hooks for mutations."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from vectors.generate import actors
from vectors.generate.rules import bodies, bundle, curve, eip712, head, history, note, tree
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import ZEROS, ed25519_public, sha256, tag, uint

Fields = dict[int, Any]
Overrides = dict[str, Any]


@dataclass
class ExampleLog:
    """The leaves of a log and the keys that sign them."""

    log: bytes = actors.LOG_ID
    epoch: int = 0
    leaves: list[tuple[bytes, bytes]] = field(default_factory=list)  # (record, body)
    clock: int = actors.TIME_MS

    def append(self, kind: int, body: bytes, **how: Any) -> None:
        """Sign and append a record; `how` may override epoch, secret, index, logged_at, log."""
        self.clock += 1_000
        chosen: dict[str, Any] = {
            "epoch": self.epoch,
            "logged_at": self.clock,
            "log": self.log,
        } | how
        index = chosen.pop("index", len(self.leaves))
        self.leaves.append((actors.make_record(kind, body, index, **chosen), body))

    def genesis(self, **changes: Any) -> "ExampleLog":
        """Append the genesis."""
        self.append(bodies.KEY, pack(actors.genesis(**changes)))
        return self

    def receipts(self, count: int) -> "ExampleLog":
        """Append receipts of one subject, chained."""
        for _ in range(count):
            earlier = [body for row, body in self.leaves if row[1:3] == b"\x00\x01"]
            changes: dict[str, Any] = {"f1": actors.uuid7(len(self.leaves)), "f6": len(earlier)}
            if earlier:
                changes["f7"] = sha256(earlier[-1])
            changes["f2"] = self.clock
            self.append(bodies.RECEIPT, pack(actors.receipt(**changes)))
        return self

    def rotate(self, how: Overrides | None = None, **changes: Any) -> "ExampleLog":
        """Append a rotation to the next key; changes are made before the record is signed."""
        new = self.epoch + 1
        next_hash = changes.pop("next_hash", actors.NEXT_HASHES[new + 1])
        body = {1: 1, 3: actors.KEYS[new], 4: actors.ED25519, 5: next_hash, 8: 0}
        body[10] = self.rotation_signature(new, next_hash)
        return self._event(actors.changed(body, changes), new, how or {})

    def close(self, how: Overrides | None = None, **changes: Any) -> "ExampleLog":
        """Append a close."""
        new = self.epoch + 1
        body = {1: 2, 3: actors.KEYS[new], 4: actors.ED25519, 8: 4}
        body[10] = self.rotation_signature(new, ZEROS)
        return self._event(actors.changed(body, changes), new, how or {})

    def freeze(self, how: Overrides | None = None, **changes: Any) -> "ExampleLog":
        """Append the close of a log that cannot rotate."""
        body = {1: 2, 3: actors.KEYS[0], 4: actors.ED25519, 8: 4}
        return self._event(actors.changed(body, changes), self.epoch, how or {})

    def _event(self, body: Fields, epoch: int, how: Overrides) -> "ExampleLog":
        self.epoch = epoch
        self.append(bodies.KEY, pack(body), **how)
        return self

    def rotation_signature(
        self, epoch: int, next_hash: bytes, *, signer: int | None = None
    ) -> bytes:
        """Return the revealed key's signature over a rotation."""
        digest = eip712.rotation_digest(self.log, epoch, next_hash)
        return curve.sign(actors.SECRETS[epoch if signer is None else signer], digest)

    def hashes(self, count: int | None = None) -> tuple[bytes, ...]:
        """Return the leaf hashes."""
        return tuple(sha256(b"\x00" + row) for row, _ in self.leaves[:count])

    def checkpoint(self, count: int | None = None) -> head.Checkpoint:
        """Return the unsigned head."""
        hashes = self.hashes(count)
        return head.Checkpoint(actors.ORIGIN, len(hashes), tree.root(hashes))

    def entries(self, count: int | None = None) -> list[history.Entry]:
        """Return the key events with their paths."""
        hashes = self.hashes(count)
        return [
            history.Entry(row, body, tuple(tree.inclusion_path(index, hashes)))
            for index, (row, body) in enumerate(self.leaves[:count])
            if row[1:3] == b"\x00\x00"
        ]


@dataclass
class Proof:
    """Everything a bundle is made of; a case changes one thing and formats the rest."""

    log: ExampleLog
    index: int
    record: bytes
    body: bytes
    entries: list[history.Entry]
    path: list[bytes]
    point: head.Checkpoint
    timestamp: int
    epoch: int
    secret: int
    log_id: bytes
    ed25519: tuple[bytes, bytes] = (actors.SEED, actors.ED25519)
    witnesses: tuple[tuple[str, bytes, int], ...] = ()  # name, seed, time
    lines: Callable[[list[str]], list[str]] = list

    @classmethod
    def of(cls, log: ExampleLog, index: int, count: int | None = None) -> "Proof":
        """Return an honest proof of one record to the newest or an earlier head."""
        hashes = log.hashes(count)
        row, body = log.leaves[index]
        last = int.from_bytes(log.leaves[len(hashes) - 1][0][15:23], "big")
        epoch = log.epoch
        return cls(
            log=log,
            index=index,
            record=row,
            body=body,
            entries=log.entries(count),
            path=tree.inclusion_path(index, hashes),
            point=log.checkpoint(count),
            timestamp=last // 1000 + 5,
            epoch=epoch,
            secret=actors.SECRETS[epoch],
            log_id=log.log,
        )

    def text(self) -> str:
        """Return the text of the head."""
        return head.text_of(self.point.origin, self.point.count, self.point.root)

    def signature_lines(self) -> list[str]:
        """Return the log's two lines and those of the witnesses."""
        seed, public = self.ed25519
        text = self.text()
        lines = [
            head.ed25519_line(self.point.origin, seed, public, text),
            head.head_line(self.secret, self.log_id, self.point, self.epoch, self.timestamp),
        ]
        for name, key, time in self.witnesses:
            lines.append(head.cosignature_line(name, key, ed25519_public(key), time, text))
        return self.lines(lines)

    def note(self) -> str:
        """Return the signed head."""
        return self.text() + "\n" + "".join(self.signature_lines())

    def extra(self) -> bytes:
        """Return the bytes of the extra line."""
        return pack(bundle.extra_of(self.record, self.body, self.entries))

    def file(self) -> bytes:
        """Return the bundle."""
        return bundle.compose(self.extra(), self.index, self.path, self.note())


def witness_seed(number: int) -> bytes:
    """Return the Ed25519 seed of a witness."""
    return sha256(tag("example witness") + uint(number, 1))


def witness_name(number: int) -> str:
    """Return the key name of a witness."""
    return f"witness{number}.example"


def witness_vkey(number: int) -> str:
    """Return the vkey of a witness."""
    public = ed25519_public(witness_seed(number))
    return note.vkey(witness_name(number), note.COSIGNATURE, public)


def log_vkeys(log: bytes = actors.LOG_ID, ed25519: bytes = actors.ED25519) -> tuple[str, str]:
    """Return the two vkeys of the example log."""
    return (
        note.vkey(actors.ORIGIN, note.ED25519, ed25519),
        note.head_vkey(actors.ORIGIN, log),
    )
