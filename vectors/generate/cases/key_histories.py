"""key_histories.json: which key is in force at which index."""

from collections.abc import Callable
from typing import Any

from vectors.generate import actors
from vectors.generate.examplelog import ExampleLog
from vectors.generate.rules import bodies, curve, history, record
from vectors.generate.rules.checks import require
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import ZEROS, sha256
from vectors.generate.suite import Group, Json, Suite, unhex

FROZEN = actors.FROZEN_LOG_ID


def read(case: Json) -> history.History:
    """Return the history of a case."""
    entries = [history.Entry(unhex(e["record"]), unhex(e["body"])) for e in case["entries"]]
    pinned = {unhex(item) for item in case["pinned"]} or None
    return history.read(entries, case["origin"], pinned, int(case["leafCount"]))


def check(case: Json) -> Json:
    """Verify a key history and describe it."""
    found = read(case)
    rows = zip(found.starts, found.keys, found.ed25519, strict=True)
    return {
        "logId": found.log.hex(),
        "epochs": [
            {"firstIndex": start, "secp256k1": key.hex(), "ed25519": public.hex()}
            for start, key, public in rows
        ],
        "suspect": [[span.start, span.stop] for span in found.suspects],
        "closed": found.closed,
    }


def check_record(case: Json) -> Json:
    """Verify a record against a history: its epoch, its signature, suspicion."""
    found, row = read(case), record.decode(unhex(case["record"]))
    epoch = found.epoch_at(row.index)
    require(row.epoch == epoch, "epoch")
    record.verify(row, found.log, found.keys[epoch])
    require(not found.suspect(row.index), "suspect")
    return {"epoch": epoch}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "key_histories",
        "key-history",
        "6.5 Key history",
        "KeyHistory: verify the key events among the first `leafCount` leaves of a log.",
        "`pinned` are the log ids that the verifier trusts, none if it has none.",
        "RecordInHistory: verify `record` by the history of `entries`.",
    )
    flags(suite)
    group = suite.group(
        "KeyHistory", check, origin=actors.ORIGIN, pinned=[actors.LOG_ID.hex(), FROZEN.hex()]
    )
    for part in (valid, genesis, order, rotations, signatures, closes, bodies_wrong):
        part(Adder(group))
    unpinned(suite)
    in_history(suite)
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A history in order.", "None.", "KEY-14 KEY-17 KEY-19 KEY-28")
    explained = {
        "Genesis": ("The first event is not the pinned genesis.", "KEY-17 KEY-18"),
        "Order": ("Events out of order, or of another record type.", "KEY-17 KEY-25"),
        "Epoch": ("An epoch that does not follow.", "KEY-19 KEY-28 KEY-23"),
        "Reveal": ("A key that was not committed to before.", "KEY-20 KEY-23"),
        "RotationSignature": ("No valid signature by the revealed key.", "KEY-21 KEY-23 KEY-14"),
        "RecordSignature": (
            "The event's record is not signed by its own key.",
            "KEY-22 KEY-6 KEY-7 KEY-8 KEY-9",
        ),
        "AfterClose": ("Something follows a close.", "KEY-24"),
        "Body": ("The body is absent, altered or breaks its rules.", "KEY-26 BODY-13"),
    }
    for name, (description, ids) in explained.items():
        effect = "A key is accepted that the owner of the log never put in force."
        suite.flag(name, "AUTHORIZATION", description, effect, ids)
    for name, description, effect, ids in (
        ("UnknownKind", "A kind unknown to version 1.", "A false alarm.", "KEY-27 BODY-15"),
        ("Suspect", "A record in a suspect range.", "A thief's records pass.", "KEY-29"),
    ):
        suite.flag(name, "AVAILABILITY", description, effect, ids)


class Adder:
    """Adds histories of logs to a group."""

    def __init__(self, group: Group) -> None:
        self.group = group

    def valid(
        self, comment: str, log: ExampleLog, flag: str = "Valid", count: int | None = None
    ) -> None:
        """Add a history that must be accepted."""
        self.group.valid(comment, flag, **inputs(log, count))

    def invalid(
        self, comment: str, code: str, flag: str, log: ExampleLog, count: int | None = None
    ) -> None:
        """Add a history that must be refused."""
        self.group.invalid(comment, code, flag, **inputs(log, count))

    def edited(
        self, comment: str, code: str, flag: str, log: ExampleLog, edit: Callable[[Any], Any]
    ) -> None:
        """Add a history whose list of entries was edited."""
        case = inputs(log, None)
        case["entries"] = edit(case["entries"])
        self.group.invalid(comment, code, flag, **case)


def inputs(log: ExampleLog, count: int | None) -> Json:
    """Return the inputs of a case."""
    events = [(row, body) for row, body in log.leaves[:count] if row[1:3] == b"\x00\x00"]
    return {
        "leafCount": len(log.leaves) if count is None else count,
        "entries": [{"record": row.hex(), "body": body.hex()} for row, body in events],
    }


def started() -> ExampleLog:
    """Return a log with a genesis and two receipts."""
    return ExampleLog().genesis().receipts(2)


def frozen() -> ExampleLog:
    """Return a log that cannot rotate, with a receipt."""
    return ExampleLog(log=FROZEN).genesis(f5=ZEROS).receipts(1)


def rotated() -> ExampleLog:
    """Return a log with one rotation and a receipt after it."""
    return started().rotate().receipts(1)


def often(rotations: int) -> ExampleLog:
    """Return a log that has rotated many times."""
    log = ExampleLog().genesis()
    for _ in range(rotations):
        log.rotate()
    return log


def valid(add: Adder) -> None:
    """Histories in order."""
    add.valid("genesis alone", ExampleLog().genesis())
    add.valid("genesis and receipts", started())
    add.valid("one rotation", rotated())
    add.valid("two rotations, at a head before the second", rotated().rotate(), count=4)
    add.valid("two rotations", rotated().rotate())
    add.valid("two rotations in a row", started().rotate().rotate())
    add.valid("rotation to another Ed25519 key", started().rotate(f4=actors.OTHER_ED25519))
    add.valid("a suspicion", started().rotate(f8=1, f9=1), "Suspect")
    add.valid("a suspicion of nothing", started().rotate(f8=2, f9=3), "Suspect")
    add.valid("a close", started().close())
    add.valid("a close after a rotation", rotated().close())
    add.valid("a close, compromised", started().close(f8=2, f9=0), "Suspect")
    add.valid("63 rotations", often(63), "Epoch")
    add.valid("62 rotations and a close", often(62).close(), "Epoch")
    add.valid("a log that cannot rotate", frozen())
    add.valid("its close", frozen().freeze())


def genesis(add: Adder) -> None:
    """Faults of the first event."""
    add.edited("no events", "key-event-order", "Genesis", started(), lambda _: [])
    add.edited("a rotation first", "key-event-order", "Genesis", rotated(), lambda e: e[1:])
    late = ExampleLog()
    late.append(bodies.KEY, pack(actors.genesis()), index=1)
    add.invalid("genesis at index 1", "key-event-order", "Genesis", late)
    late = ExampleLog()
    secret = actors.SECRETS[0]
    late.append(bodies.KEY, pack(actors.genesis()), epoch=1, secret=secret)
    add.invalid("genesis in epoch 1", "key-event-order", "Genesis", late)
    first = ExampleLog().rotate({"epoch": 0, "secret": actors.SECRETS[1]})
    add.invalid("a rotation at index 0 and epoch 0", "key-event-order", "Genesis", first)
    changes: dict[str, dict[str, Any]] = {
        "another origin": {"f2": "ledger.example.com/other"},
        "another Ed25519 key": {"f4": actors.OTHER_ED25519},
        "another next hash": {"f5": actors.NEXT_HASHES[2]},
    }
    for comment, change in changes.items():
        add.invalid(f"genesis with {comment}", "log-id", "Genesis", ExampleLog().genesis(**change))
    other = ExampleLog()
    body = pack(actors.genesis(f3=actors.KEYS[2]))
    other.append(bodies.KEY, body, secret=actors.SECRETS[2])
    add.invalid("genesis with another key, signed by it", "log-id", "Genesis", other)


def order(add: Adder) -> None:
    """Events out of order."""
    code = "key-event-order"
    add.edited("the genesis twice", code, "Order", started(), lambda e: [e[0], e[0]])
    again = started()
    again.append(bodies.KEY, pack(actors.genesis()))
    add.invalid("a second genesis at its own index", code, "Order", again)
    early = started().rotate({"index": 0})
    add.invalid("a rotation at index 0", code, "Order", early)
    twice = started().rotate().rotate({"index": 3})
    add.invalid("two events of one index", code, "Order", twice)
    descending = started().rotate().rotate({"index": 2})
    add.invalid("indices that descend", code, "Order", descending)
    receipt = started()
    entry = {"record": receipt.leaves[1][0].hex(), "body": receipt.leaves[1][1].hex()}
    add.edited("a receipt in the list", code, "Order", receipt, lambda e: [*e, entry])
    case = inputs(rotated(), None)
    swapped = bytearray(unhex(case["entries"][1]["record"]))
    swapped[2] = 9
    case["entries"][1]["record"] = swapped.hex()
    add.group.invalid("a rotation in a record of type 9", code, "Order", **case)


def rotations(add: Adder) -> None:
    """Epochs and reveals."""
    secret = actors.SECRETS[1]
    for epoch in (0, 2, 64, 2**32 - 1):
        log = started().rotate({"epoch": epoch, "secret": secret})
        add.invalid(f"a rotation in epoch {epoch}", "epoch", "Epoch", log)
    log = started().close({"epoch": 0, "secret": secret})
    add.invalid("a close in the epoch before", "epoch", "Epoch", log)
    add.invalid("64 rotations", "epoch", "Epoch", often(64))
    add.invalid("63 rotations and a close", "epoch", "Epoch", often(63).close())
    add.edited("a rotation left out", "epoch", "Epoch", rotated().rotate(), lambda e: [e[0], e[2]])

    def stolen(signer: int) -> ExampleLog:
        """Return a log whose current key is stolen and rotates to another key."""
        log = started()
        signature = log.rotation_signature(1, actors.NEXT_HASHES[2], signer=signer)
        key = actors.KEYS[signer]
        return log.rotate({"secret": actors.SECRETS[signer]}, f3=key, f10=signature)

    add.invalid("the current key rotates to itself", "reveal", "Reveal", stolen(0))
    add.invalid("a key nobody committed to", "reveal", "Reveal", stolen(2))
    parity = bytes([actors.KEYS[1][0] ^ 1]) + actors.KEYS[1][1:]
    add.invalid("the revealed x, other parity", "reveal", "Reveal", started().rotate(f3=parity))
    skipped = started().rotate(next_hash=actors.NEXT_HASHES[3]).rotate()
    add.invalid("a key committed to by nobody at the second rotation", "reveal", "Reveal", skipped)
    log = frozen().rotate()
    add.invalid("a rotation of a log that cannot rotate", "reveal", "Reveal", log)
    log = started()
    signature = log.rotation_signature(1, ZEROS, signer=0)
    log.close({"secret": actors.SECRETS[0]}, f3=actors.KEYS[0], f10=signature)
    add.invalid("a close by the current key", "reveal", "Reveal", log)


def signatures(add: Adder) -> None:
    """Signatures over the rotation, and over its record."""
    code = "rotation-signature"
    base = started()
    right = base.rotation_signature(1, actors.NEXT_HASHES[2])
    r, s, v = right[:32], right[32:64], right[64]
    high = (curve.SECP256K1.n - int.from_bytes(s, "big")).to_bytes(32, "big")
    wrong = {
        "by the replaced key": base.rotation_signature(1, actors.NEXT_HASHES[2], signer=0),
        "over another epoch": base.rotation_signature(2, actors.NEXT_HASHES[2], signer=1),
        "over another next hash": base.rotation_signature(1, actors.NEXT_HASHES[3]),
        "over the next hash of a close": base.rotation_signature(1, ZEROS),
        "of another log": ExampleLog(log=sha256(b"x")).rotation_signature(1, actors.NEXT_HASHES[2]),
        "of zeros": bytes(65),
        "with the other recovery id": r + s + bytes([v ^ 1]),
        "with a high s": r + high + bytes([v ^ 1]),
        "with recovery id 27": r + s + bytes([27 + v]),
    }
    for comment, signature in wrong.items():
        log = started().rotate(f10=signature)
        add.invalid(f"rotation signature {comment}", code, "RotationSignature", log)
    log = started().close(f10=right)
    add.invalid("a close with the signature of a rotation", code, "RotationSignature", log)
    add.invalid("a close without signature", code, "RotationSignature", started().close(f10=None))
    replaced = started().rotate({"secret": actors.SECRETS[0]})
    add.invalid("record signed by the replaced key", "mismatch", "RecordSignature", replaced)
    other = ExampleLog()
    other.append(bodies.KEY, pack(actors.genesis()), secret=actors.SECRETS[1])
    add.invalid("genesis signed by the next key", "mismatch", "RecordSignature", other)
    record_shapes(add)


def record_shapes(add: Adder) -> None:
    """Signatures of the genesis record that are out of shape."""
    raw = ExampleLog().genesis().leaves[0][0]
    r, s, v = raw[55:87], raw[87:119], raw[119]
    high = (curve.SECP256K1.n - int.from_bytes(s, "big")).to_bytes(32, "big")
    for comment, code, signature in (
        ("r = 0", "malformed", bytes(32) + s + bytes([v])),
        ("a high s", "high-s", r + high + bytes([v ^ 1])),
        ("recovery id 27", "bad-recovery-id", r + s + bytes([27 + v])),
        ("the other recovery id", "mismatch", r + s + bytes([v ^ 1])),
    ):
        edited = (raw[:55] + signature).hex()
        case = inputs(ExampleLog().genesis(), None)
        case["entries"][0]["record"] = edited
        add.group.invalid(f"genesis record with {comment}", code, "RecordSignature", **case)


def closes(add: Adder) -> None:
    """What follows a close, and closes of a log that cannot rotate."""
    code = "after-close"
    add.invalid("a receipt after the close", code, "AfterClose", started().close().receipts(1))
    add.invalid("three receipts after the close", code, "AfterClose", started().close().receipts(3))
    log = started().close().rotate()
    add.invalid("a rotation after the close", code, "AfterClose", log)
    add.invalid("a receipt after its close", code, "AfterClose", frozen().freeze().receipts(1))
    log = frozen().freeze().freeze()
    add.invalid("a second close", code, "AfterClose", log)
    log = frozen().freeze({"epoch": 1, "secret": actors.SECRETS[0]})
    add.invalid("its close in the next epoch", "epoch", "Epoch", log)
    log = frozen().freeze({"secret": actors.SECRETS[2]}, f3=actors.KEYS[2])
    add.invalid("its close by another key", "reveal", "Reveal", log)
    log = frozen()
    log.freeze(f10=log.rotation_signature(0, ZEROS))
    add.invalid("its close with a signature", "rotation-signature", "RotationSignature", log)


def bodies_wrong(add: Adder) -> None:
    """Bodies that are absent, altered, or break a rule."""

    def with_body(body: bytes) -> Callable[[Any], Any]:
        """Return an edit that replaces the body of the last entry."""
        return lambda e: [*e[:-1], {**e[-1], "body": body.hex()}]

    log = started().rotate(f1=3, f8=1, f9=9)
    add.invalid("an unknown kind, suspect from above", "unknown-kind", "UnknownKind", log)
    log = rotated()
    altered = log.leaves[3][1][:-1] + bytes([log.leaves[3][1][-1] ^ 1])
    add.edited("an altered body", "body-hash", "Body", log, with_body(altered))
    add.edited("no body", "body-hash", "Body", log, with_body(b""))
    log = ExampleLog()
    log.append(bodies.KEY, b"")
    add.invalid("a record over an empty body", "body-hash", "Body", log)
    log = started().rotate(f8=1, f9=4)
    add.invalid("suspect from above its own index", "index-order", "Body", log)
    log = started().rotate(f8=0, f9=1)
    add.invalid("suspect_from without suspicion", "field-conflict", "Body", log)
    behind = with_body(b"\x80")
    log = started().close().rotate()
    add.edited("a wrong body behind a close", "after-close", "AfterClose", log, behind)
    log = started().rotate(f1=3)
    add.invalid("an unknown kind", "unknown-kind", "UnknownKind", log)
    first = ExampleLog()
    first.append(bodies.KEY, pack({1: 7, 3: actors.KEYS[0], 4: actors.ED25519}))
    add.invalid("an unknown kind first", "unknown-kind", "UnknownKind", first)


def unpinned(suite: Suite) -> None:
    """Histories of a log whose id the verifier does not know."""
    group = suite.group("KeyHistory", check, origin=actors.ORIGIN, pinned=[])
    group.valid("nothing pinned", "Valid", **inputs(rotated(), None))
    other = ExampleLog(log=FROZEN).genesis(f5=ZEROS)
    group.valid("nothing pinned, another log", "Valid", **inputs(other, None))
    group = suite.group("KeyHistory", check, origin="ledger.example.com/two", pinned=[])
    group.invalid("nothing pinned, another name", "log-id", "Genesis", **inputs(rotated(), None))
    group = suite.group("KeyHistory", check, origin=actors.ORIGIN, pinned=["00" * 32])
    group.invalid("another log id pinned", "log-id", "Genesis", **inputs(rotated(), None))


def in_history(suite: Suite) -> None:
    """Records against a history with a suspicion."""
    log = started().receipts(2).rotate(f8=1, f9=3).receipts(2)  # suspect: 3 and 4
    group = suite.group(
        "RecordInHistory",
        check_record,
        origin=actors.ORIGIN,
        pinned=[actors.LOG_ID.hex()],
        **inputs(log, None),
    )
    for index in (0, 1, 2, 5, 6, 7):
        group.valid(f"record {index}", "Valid", record=log.leaves[index][0].hex())
    for index in (3, 4):
        raw = log.leaves[index][0].hex()
        group.invalid(f"record {index} is suspect", "suspect", "Suspect", record=raw)

    def forged(index: int, epoch: int, signer: int) -> str:
        """Return a record that another key or epoch claims."""
        secret = actors.SECRETS[signer]
        body = log.leaves[1][1]
        return actors.make_record(1, body, index, epoch=epoch, secret=secret).hex()

    add = group.invalid
    add("the old epoch after the rotation", "epoch", "Epoch", record=forged(6, 0, 0))
    add("the new epoch before the rotation", "epoch", "Epoch", record=forged(2, 1, 1))
    add("an epoch that never was", "epoch", "Epoch", record=forged(6, 2, 2))
    add("the rotation's index in the old epoch", "epoch", "Epoch", record=forged(5, 0, 0))
    add("the old key in the new epoch", "mismatch", "RecordSignature", record=forged(6, 1, 0))
    add("the next key in the old epoch", "mismatch", "RecordSignature", record=forged(2, 0, 1))
    add("a suspect index, forged", "mismatch", "RecordSignature", record=forged(4, 0, 1))
