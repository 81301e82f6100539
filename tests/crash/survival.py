"""What must hold of a ledger whose processes ended in any way.

Everything that was promised is there with the same index and bytes; every call that
was admitted has a receipt, once the calls that were open are closed as a gateway does
when it starts; nothing is wrong with the database, and the log goes on.
"""

import json
import random
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nous_ledger.gateway.journal import close_open_calls
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.restore import restore
from nous_ledger.protocol.bodies import Redaction, decode_body
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.record import decode_record
from tests.crash.lives import Place, now_ms
from tests.integration.ledger_audit import naive_root
from tests.integration.ledger_drafts import make_draft
from vectors.generate.rules.primitives import sha256

KEPT: Final = {"ledger.db", "keys.json", "high-water"}
WORKING: Final = {"ledger.db-wal", "ledger.db-shm"}
"""What SQLite leaves if the last to close the database only read."""


@dataclass(slots=True)
class Promises:
    """What the processes said, and who must be believed."""

    begun: set[str] = field(default_factory=set)
    logged: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    heads: list[bytes] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)

    def said(self, what: str) -> list[dict[str, Any]]:
        return [line for line in self.others if line["what"] == what]


def read_promises(place: Place) -> Promises:
    """Return what was promised; a line that was cut off was never said."""
    promises = Promises()
    text = place.promises.read_bytes() if place.promises.exists() else b""
    whole, _, _ = text.rpartition(b"\n")
    for line in map(json.loads, whole.splitlines()):
        if line["what"] == "begun":
            promises.begun.add(line["id"])
        elif line["what"] == "logged":
            assert line["id"] not in promises.logged
            promises.logged[line["id"]] = (line["index"], line["record"], line["body"])
        elif line["what"] == "head":
            promises.heads.append(bytes.fromhex(line["note"]))
        else:
            promises.others.append(line)
    return promises


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaves:
    """All leaves of a log, read record by record."""

    records: tuple[bytes, ...]
    bodies: tuple[bytes, ...]

    def root(self, count: int) -> bytes:
        return naive_root([sha256(b"\x00" + record) for record in self.records[:count]])

    def receipts(self) -> dict[str, int]:
        """Where each receipt stands; no call has two."""
        found: dict[str, int] = {}
        for index, body in enumerate(self.bodies):
            decoded = decode_body(decode_record(self.records[index]).type, body) if body else None
            if isinstance(decoded, Receipt):
                assert decoded.id.hex() not in found, "a call has two receipts"
                found[decoded.id.hex()] = index
        return found

    def erased(self) -> set[int]:
        """Which bodies the log says were erased."""
        bodies = (
            decode_body(decode_record(record).type, body)
            for record, body in zip(self.records, self.bodies, strict=True)
            if body
        )
        return {index for body in bodies if isinstance(body, Redaction) for index in body.indices}


def read_leaves(folder: Path) -> Leaves:
    with Ledger.open(folder, read_only=True) as ledger:
        count = ledger.leaf_count()
        ranges = [(lo, min(lo + 4_096, count)) for lo in range(0, count, 4_096)]
        return Leaves(
            records=tuple(record for lo, hi in ranges for record in ledger.read_records(lo, hi)),
            bodies=tuple(body for lo, hi in ranges for body in ledger.read_bodies(lo, hi)),
        )


def check_clean(folder: Path) -> None:
    report = fsck(folder)
    assert report.fault_count == 0, report.faults


def check_survival(place: Place, *, closed: bool = False) -> tuple[Leaves, Promises]:
    """Check a ledger after the end of its processes; recover it as a gateway does.

    Args:
        place: where.
        closed: whether the log has ended, so that nothing can be added.
    """
    folder, promises = place.folder, read_promises(place)
    check_clean(folder)
    with Ledger.open(folder) as ledger:
        assert ledger.refusal is None, ledger.refusal
        admitted = {intent.draft.id.hex() for intent in ledger.open_intents()}
        assert close_open_calls(ledger) == len(admitted)
        assert ledger.open_intents() == ()
        promises.heads.append(ledger.head())
    leaves = read_leaves(folder)
    check_promises(leaves, promises)
    assert admitted <= leaves.receipts().keys()
    if not closed:
        with Ledger.open(folder) as ledger:
            appended = ledger.append_receipt(make_draft(random.Random(9), time_ms=now_ms()))
            assert appended.index == len(leaves.records)
            ledger.head()
    check_clean(folder)
    left = {path.name for path in folder.iterdir()}
    assert left - WORKING == KEPT, left
    return leaves, promises


def check_copies(place: Place) -> None:
    """Check that there is a whole backup or none, and of it a whole ledger or none."""
    promises = read_promises(place)
    if not place.backup.exists():
        assert not promises.said("kept")
        with Ledger.open(place.folder) as ledger:
            ledger.backup(place.backup, keys=True)
    if not place.restored.exists():
        assert not promises.said("restored")
        restore(place.backup, place.restored)
    check_clean(place.restored)
    with Ledger.open(place.restored) as ledger:
        assert ledger.refusal is not None
        assert ledger.refusal.code == "store-unconfirmed"
        assert ledger.prove(1)


def check_promises(leaves: Leaves, promises: Promises) -> None:
    """Check that all that was promised is in the log."""
    erased, receipts = leaves.erased(), leaves.receipts()
    for index, record, body in promises.logged.values():
        assert leaves.records[index].hex() == record
        assert leaves.bodies[index].hex() == ("" if index in erased else body)
    for call in promises.begun:
        assert call in receipts or promises.logged[call][0] in erased, "a call has no receipt"
    check_heads(leaves, promises.heads)


def check_heads(leaves: Leaves, notes: Iterable[bytes]) -> None:
    """Check that heads are of this log and none other."""
    heads = [parse_checkpoint(parse_note(note).text) for note in set(notes)]
    roots = _roots(leaves, {head.leaf_count for head in heads})
    for head in heads:
        assert head.root == roots[head.leaf_count]


def _roots(leaves: Leaves, counts: Container[int]) -> dict[int, bytes]:
    """Return the roots over so many leaves, all found in one pass."""
    roots: dict[int, bytes] = {}
    peaks: list[tuple[int, bytes]] = []
    for count, record in enumerate(leaves.records, start=1):
        size, node = 1, sha256(b"\x00" + record)
        while peaks and peaks[-1][0] == size:
            node = sha256(b"\x01" + peaks.pop()[1] + node)
            size *= 2
        peaks.append((size, node))
        if count in counts:
            root = node
            for _, peak in reversed(peaks[:-1]):
                root = sha256(b"\x01" + peak + root)
            roots[count] = root
    return roots
