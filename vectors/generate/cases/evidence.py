"""evidence.json: files that convict a log, and files that would frame an honest one."""

import json
from collections.abc import Iterator
from typing import Any

from vectors.generate import actors
from vectors.generate.actors import ORIGIN, SALT, TIME_S, changed
from vectors.generate.cases.bodies_binding import binding
from vectors.generate.examplelog import ExampleLog, log_vkeys
from vectors.generate.rules import accusation, bodies, head, note, tree
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import sha256
from vectors.generate.suite import Group, Json, Suite

OTHER_ROOT = b"\x01" * 32
PINNED = "".join(f"log {key}\n" for key in log_vkeys()) + "quorum none\n"
UNPINNED = f"log {log_vkeys()[0]}\nquorum none\n"


def check(case: Json) -> Json:
    """Confirm what a file says."""
    return accusation.verify(case["file"], case["policy"])


def grown(receipts: int) -> ExampleLog:
    """Return a log of a genesis and receipts."""
    return ExampleLog().genesis().receipts(receipts)


def signed_head(log: ExampleLog, count: int | None = None, **told: Any) -> str:
    """Return a head over the first leaves; `told` may name time, root, epoch and origin."""
    rows = [row for row, _ in log.leaves[:count]]
    epoch = told.get("epoch", max(int.from_bytes(row[3:7], "big") for row in rows))
    last = int.from_bytes(rows[-1][15:23], "big") // 1000
    root = told.get("root", tree.root(log.hashes(count)))
    point = head.Checkpoint(told.get("origin", ORIGIN), len(rows), root)
    text = head.text_of(point.origin, point.count, point.root)
    lines = (
        head.ed25519_line(point.origin, actors.SEED, actors.ED25519, text),
        head.head_line(actors.SECRETS[epoch], log.log, point, epoch, told.get("time", last + 5)),
    )
    return text + "\n" + "".join(lines)


def leaf(log: ExampleLog, index: int, *, body: bool = False, count: int | None = None) -> Json:
    """Return a record of a file, with its path to a head over `count` leaves."""
    row, data = log.leaves[index]
    path = None if count is None else tree.inclusion_path(index, log.hashes(count))
    return {
        "index": index,
        "record": row.hex(),
        "body": data.hex() if body else None,
        "path": None if path is None else [item.hex() for item in path],
    }


def document(log: ExampleLog, kind: str, code: str, bound: int | None = None, **parts: Any) -> Json:
    """Return a file about a log, with the key events below a leaf."""
    events = [(row.hex(), body.hex()) for row, body in log.leaves[:bound] if row[1:3] == b"\0\0"]
    return {
        "format": accusation.FORMAT,
        "kind": kind,
        "code": code,
        "origin": ORIGIN,
        "log_id": log.log.hex(),
        "key_events": [list(event) for event in events],
        "heads": parts.get("heads", []),
        "leaves": parts.get("leaves", []),
        "hashes": [item.hex() for item in parts.get("hashes", [])],
    }


def covered(log: ExampleLog, code: str, kind: str = "leaf", *, body: bool = False) -> Json:
    """Return a file about the last leaf."""
    count, last = len(log.leaves), len(log.leaves) - 1
    bound = last if kind == "key-event" else None
    parts: Json = {"heads": [signed_head(log)], "leaves": [leaf(log, last, body=body, count=count)]}
    return document(log, kind, code, bound, **parts)


def pair(log: ExampleLog, kind: str, code: str, one: Json, other: Json) -> Json:
    """Return a file about two records."""
    return document(log, kind, code, leaves=[one, other])


def heads_at_fault() -> Iterator[tuple[str, Json]]:
    """Yield files that heads make."""
    log = grown(8)
    two = sorted((signed_head(log), signed_head(log, root=OTHER_ROOT)), key=root_of)
    yield "two roots over one count", document(log, "fork", "fork", heads=two)
    for count in (4, 5):
        proof = tree.consistency_path(count, log.hashes())
        parts: Json = {
            "heads": [signed_head(log, count, root=OTHER_ROOT), signed_head(log)],
            "hashes": [tree.root(log.hashes(count)), *proof],
        }
        yield f"no beginning, {count} leaves", document(log, "fork", "fork", **parts)
    later = [signed_head(log, 4, time=TIME_S + 99), signed_head(log)]
    yield "a smaller head, later", document(log, "head-order", "rollback", heads=later)
    late: Json = {"heads": [signed_head(log, 3, time=TIME_S + 999)], "leaves": [leaf(log, 5)]}
    yield "a head that came too late", document(log, "late", "late", **late)
    other = ExampleLog(clock=log.clock + 1).genesis().receipts(8)
    path = tree.inclusion_path(5, log.hashes())
    parts = {"heads": [signed_head(log)], "leaves": [leaf(other, 5)]}
    hashes = [log.hashes()[5], *path]
    yield "a record left out", document(log, "omission", "omission", **parts, hashes=hashes)


def root_of(text: str) -> bytes:
    """Return the root in a head."""
    return head.parse_checkpoint(note.parse(text.encode()).text).root


def records_at_fault() -> Iterator[tuple[str, Json]]:
    """Yield files about records and bodies that a head covers."""
    data = pack(actors.receipt())
    for code, how in (
        ("mismatch", {"secret": actors.SECRETS[3]}),
        ("epoch", {"epoch": 1}),
        ("record-index", {"index": 9}),
        ("head-time", {"logged_at": actors.TIME_MS + 99_000}),
    ):
        log = grown(4)
        log.append(bodies.RECEIPT, data, **how)
        time = {"time": TIME_S + 50}
        parts: Json = {
            "heads": [signed_head(log, epoch=0, **time)],
            "leaves": [leaf(log, 5, count=6)],
        }
        yield f"a record: {code}", document(log, "leaf", code, **parts)
    for name, code, kind, body in (
        ("no body", "forbidden-type", bodies.RECEIPT, b"\xc0"),
        ("a body without its fields", "missing-field", bodies.RECEIPT, pack({0: SALT})),
        ("EXACT of a call that failed", "exact-not-allowed", bodies.RECEIPT, false_exact()),
        ("a wallet that did not sign", "mismatch", bodies.BINDING, foreign_binding()),
    ):
        log = grown(4)
        log.append(kind, body)
        yield name, covered(log, code, body=True)
    log = grown(2).close()
    log.append(bodies.RECEIPT, data)
    yield "a record after the close", covered(log, "after-close")
    log = grown(2)
    log.append(bodies.KEY, pack(actors.genesis()))
    yield "a second genesis", covered(log, "key-event-order", "key-event", body=True)
    log = grown(2)
    log.rotate(f3=actors.KEYS[3], how={"secret": actors.SECRETS[3]})
    file = covered(log, "reveal", "key-event", body=True)
    yield "a key nobody committed to", file | {"heads": [signed_head(log, epoch=0)]}


def false_exact() -> bytes:
    """Return a receipt that labels EXACT what was cut off."""
    return pack(actors.exact_receipt(f14=8))


def foreign_binding() -> bytes:
    """Return a binding that another wallet signed."""
    body = binding()
    return pack(changed(body, {"f2": b"\x12" * 20}))


def pairs_at_fault() -> Iterator[tuple[str, Json]]:
    """Yield files about records that contradict each other."""
    log, twin = grown(6), ExampleLog(clock=actors.TIME_MS + 1).genesis().receipts(6)
    rows = sorted((leaf(log, 3), leaf(twin, 3)), key=lambda row: str(row["record"]))
    yield "two records of one index", pair(log, "record-pair", "equivocation", *rows)
    log.append(bodies.RECEIPT, pack(actors.receipt()), logged_at=actors.TIME_MS)
    yield "a time that goes back", pair(log, "record-pair", "backdated", leaf(log, 6), leaf(log, 7))
    log = grown(2)
    log.append(bodies.RECEIPT, pack(actors.receipt(f1=actors.uuid7(1), f5=SALT * 2)))
    two = (leaf(log, 1, body=True), leaf(log, 3, body=True))
    yield "one id twice", pair(log, "body-pair", "duplicate-id", *two)
    log = grown(2)
    log.append(bodies.RECEIPT, pack(actors.receipt(f1=actors.uuid7(77))))
    two = (leaf(log, 1, body=True), leaf(log, 3, body=True))
    yield "one place in a chain twice", pair(log, "body-pair", "subject-branch", *two)
    log = grown(1)
    for nonce in (5, 5):
        log.append(bodies.BINDING, pack(binding(f3=nonce)))
    two = (leaf(log, 2, body=True), leaf(log, 3, body=True))
    yield "one nonce twice", pair(log, "body-pair", "nonce-order", *two)
    log = stated(f4=OTHER_ROOT)
    said = [leaf(log, place, body=True) for place in (4, 1, 2)]
    yield "a false statement", document(log, "statement", "statement-sums", leaves=said)
    log = reconciled(f2=OTHER_ROOT)
    two = (leaf(log, 3, body=True), leaf(log, 1))
    yield "a receipt that is none", pair(log, "reference", "reference", *two)
    log = reconciled(f3=[actors.bounded_bucket(f2=5)])
    two = (leaf(log, 3, body=True), leaf(log, 1, body=True))
    yield "a bucket that the receipt does not have", pair(log, "reference", "field-conflict", *two)
    log = grown(0)
    log.append(bodies.RECEIPT, pack(actors.receipt(f14=8)))
    usage = [actors.exact_bucket()]
    log.append(bodies.RECONCILIATION, pack(reconciliation(log, f3=usage)))
    two = (leaf(log, 2, body=True), leaf(log, 1, body=True))
    yield "EXACT after the event", pair(log, "reference", "exact-not-allowed", *two)


def stated(**changes: Any) -> ExampleLog:
    """Return a log with a statement over its first two receipts, true but for changes."""
    log = grown(3)
    kinds = [[1, 24, 0, 0, 24], [2, 0, 0, 0, 0], [16, 8, 0, 8, 0], [17, 0, 0, 0, 0]]
    rows = [["openai", "gpt-4o-mini-2024-07-18", 1, 2, 0, kinds]]
    body = {0: SALT, 1: actors.SUBJECT, 2: 0, 3: 1, 4: sha256(log.leaves[2][1]), 5: 4, 6: rows}
    log.append(bodies.STATEMENT, pack(changed(body, changes)))
    return log


def reconciliation(log: ExampleLog, **changes: Any) -> dict[int, Any]:
    """Return a reconciliation of the first receipt."""
    usage = [actors.bounded_bucket()]
    return changed({0: SALT, 1: 1, 2: sha256(log.leaves[1][1]), 3: usage}, changes)


def reconciled(**changes: Any) -> ExampleLog:
    """Return a log with a reconciliation of its first receipt."""
    log = grown(2)
    log.append(bodies.RECONCILIATION, pack(reconciliation(log, **changes)))
    return log


def frames() -> Iterator[tuple[str, Json]]:
    """Yield files that would frame an honest log."""
    log = grown(8)
    one, last = signed_head(log), signed_head(log, 8)
    rest = tree.consistency_path(5, log.hashes())
    prefix = tree.root(log.hashes(5))
    yield "one head twice", document(log, "fork", "fork", heads=[one, one])
    beat = signed_head(log, time=TIME_S + 900)
    yield "a heartbeat", document(log, "fork", "fork", heads=[one, beat])
    heads = [signed_head(log, 5), one]
    yield "a tree that grew", document(log, "fork", "fork", heads=heads, hashes=[prefix, *rest])
    made_up = [OTHER_ROOT, *rest]
    yield "a made-up beginning", document(log, "fork", "fork", heads=heads, hashes=made_up)
    yield "times that ascend", document(log, "head-order", "rollback", heads=[last, one])
    good: Json = {"heads": [one], "leaves": [leaf(log, 3, count=9)]}
    yield "a good record", document(log, "leaf", "mismatch", **good)
    good = {"heads": [one], "leaves": [leaf(log, 3, body=True, count=9)]}
    yield "a good body", document(log, "leaf", "bad-value", **good)
    yield "one record twice", pair(log, "record-pair", "equivocation", leaf(log, 3), leaf(log, 3))
    yield "two records", pair(log, "record-pair", "backdated", leaf(log, 3), leaf(log, 4))
    due: Json = {"heads": [signed_head(log, 3)], "leaves": [leaf(log, 5)]}
    yield "a head in time", document(log, "late", "late", **due)
    here: Json = {"hashes": [log.hashes()[3], *tree.inclusion_path(3, log.hashes())]}
    there: Json = {"heads": [one], "leaves": [leaf(log, 3)], **here}
    yield "a record in its place", document(log, "omission", "omission", **there)
    two = (leaf(log, 2, body=True), leaf(log, 3, body=True))
    yield "a chain", pair(log, "body-pair", "subject-branch", *two)
    yield "a chain backwards", pair(log, "body-pair", "subject-branch", *two[::-1])
    true, said = stated(), (4, 1, 2)
    rows = [leaf(true, place, body=True) for place in said]
    yield "a true statement", document(true, "statement", "statement-sums", leaves=rows)
    rows = [leaf(true, place, body=True) for place in (4, 2, 3)]
    yield "other receipts", document(true, "statement", "statement-sums", leaves=rows)
    log = reconciled()
    two = (leaf(log, 3, body=True), leaf(log, 1))
    yield "a true reconciliation", pair(log, "reference", "reference", *two)
    yield from rotated_frames()


def rotated_frames() -> Iterator[tuple[str, Json]]:
    """Yield frames of a log that rotated, as it should."""
    log = grown(2).rotate().receipts(2)
    count, first = len(log.leaves), document(log, "leaf", "epoch", 1)["key_events"]
    good: Json = {"heads": [signed_head(log)], "leaves": [leaf(log, 5, count=count)]}
    yield "the next epoch", document(log, "leaf", "epoch", **good)
    yield "a rotation left out", document(log, "leaf", "epoch", **good) | {"key_events": first}
    event: Json = {"heads": [signed_head(log)], "leaves": [leaf(log, 3, body=True, count=count)]}
    yield "a good rotation", document(log, "key-event", "reveal", 3, **event)
    heads = sorted((signed_head(log), signed_head(log, root=OTHER_ROOT, epoch=0)), key=root_of)
    yield "a head by a replaced key", document(log, "fork", "fork", heads=heads)
    other = ExampleLog(log=actors.FROZEN_LOG_ID).genesis(f5=bytes(32)).receipts(8)
    heads = sorted((signed_head(other), signed_head(other, root=OTHER_ROOT)), key=root_of)
    yield "another log of the same name", document(other, "fork", "fork", heads=heads)
    mixed = document(log, "fork", "fork", heads=heads)
    yield "heads of another log", mixed


def altered(file: Json) -> Iterator[tuple[str, Json]]:
    """Yield a file with one thing changed."""
    yield "another code", file | {"code": "late" if file["code"] != "late" else "fork"}
    yield "no key events", file | {"key_events": []}
    for name in ("heads", "leaves", "hashes"):
        if file[name]:
            yield f"the last of its {name} missing", file | {name: file[name][:-1]}
    for place, row in enumerate(file["leaves"]):
        other = flipped(row["record"], 100)
        yield f"record {place} altered", with_leaf(file, place, record=other)
        if row["body"]:
            yield f"body {place} altered", with_leaf(file, place, body=flipped(row["body"], 9))
        if row["path"]:
            path = [*row["path"][:-1], flipped(row["path"][-1], 3)]
            yield f"path {place} altered", with_leaf(file, place, path=path)
    if file["heads"]:
        yield (
            "a head altered",
            file | {"heads": [*file["heads"][:-1], file["heads"][-1][:-9] + "AAAAAAA=\n"]},
        )


def flipped(text: str, at: int) -> str:
    """Return hex with one digit changed."""
    at = min(at, len(text) - 1)
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def with_leaf(file: Json, place: int, **changes: Any) -> Json:
    """Return a file with a leaf changed."""
    leaves = [dict(row) for row in file["leaves"]]
    leaves[place] |= changes
    return file | {"leaves": leaves}


def misspelled(file: Json) -> Iterator[tuple[str, str]]:
    """Yield texts that are no evidence file."""
    text = accusation.write(file)
    yield "nothing", ""
    yield "no JSON", "evidence\n"
    yield "a list", "[]\n"
    yield "no final line feed", text[:-1]
    yield "two final line feeds", text + "\n"
    yield "white space", json.dumps(file, sort_keys=True) + "\n"
    yield "members in another order", json.dumps(file, separators=(",", ":")) + "\n"
    yield "a member more", accusation.write(file | {"note": ""})
    yield "a member missing", accusation.write({k: v for k, v in file.items() if k != "hashes"})
    yield "another format", accusation.write(file | {"format": "nous-ledger/2 evidence"})
    yield "another kind", accusation.write(file | {"kind": "treason"})
    yield "hex in capitals", accusation.write(file | {"log_id": file["log_id"].upper()})
    yield "half a byte", accusation.write(file | {"log_id": file["log_id"][:-1]})
    yield "an escaped character", text.replace('"code"', '"\\u0063ode"')
    yield "a key event of three parts", accusation.write(file | {"key_events": [["", "", ""]]})


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "evidence",
        "evidence",
        "15.4 Evidence",
        "Evidence: `file` proves misbehaviour of a log that `policy` pins; `kind` and `code` say",
        "which.",
    )
    flags(suite)
    group = suite.group("Evidence", check, policy=PINNED)
    files = [*heads_at_fault(), *records_at_fault(), *pairs_at_fault()]
    for name, file in files:
        group.valid(name, "Valid", file=accusation.write(file))
    for name, file in files:
        for what, other in altered(file):
            comment = f"{name}: {what}"
            group.invalid(comment, "evidence-refused", "Altered", file=accusation.write(other))
    for name, file in frames():
        group.invalid(name, "evidence-refused", "Framed", file=accusation.write(file))
    for name, text in misspelled(files[0][1]):
        group.invalid(name, "evidence-format", "Form", file=text)
    untrusted(suite, group, accusation.write(files[0][1]))
    return suite


def untrusted(suite: Suite, group: Group, text: str) -> None:
    """Files about what is not pinned, or was reported as suspect."""
    log = grown(6).rotate(f8=2, f9=2)
    twin = ExampleLog(clock=actors.TIME_MS + 1).genesis().receipts(6)
    rows = sorted((leaf(log, 3), leaf(twin, 3)), key=lambda row: str(row["record"]))
    file = accusation.write(pair(log, "record-pair", "equivocation", *rows))
    group.invalid("a key that was reported as suspect", "suspect", "Suspect", file=file)
    for policy, code in (("quorum none\n", "unknown-log"), (UNPINNED, "unpinned")):
        trust = suite.group("Evidence", check, policy=policy)
        trust.invalid(code, code, "Pinned", file=text)


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A file that convicts the log.", "None.", "SENT-20 SENT-23")
    effect = "A log is accused of what it did not do."
    for name, bug, description, ids in (
        ("Altered", "FORGERY", "A file with one thing changed.", "SENT-21 SENT-22"),
        ("Framed", "FORGERY", "What an honest log signed.", "SENT-21 SENT-23"),
        ("Form", "PARSING", "Not of this form, or spelled in another way.", "SENT-20"),
        ("Suspect", "AUTHORIZATION", "A key that the log had lost.", "SENT-21"),
        ("Pinned", "AUTHORIZATION", "A log that the policy does not pin.", "SENT-20"),
    ):
        suite.flag(name, bug, description, effect, ids)
