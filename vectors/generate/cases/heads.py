"""heads.json: checkpoints, the two lines of a log, and what a later head may say."""

from collections.abc import Callable

from vectors.generate import actors
from vectors.generate.examplelog import ExampleLog, Proof
from vectors.generate.rules import curve, head, note
from vectors.generate.rules.checks import MAX_UINT, require
from vectors.generate.rules.primitives import ED25519_ORDER, ed25519_verify, sha256, uint
from vectors.generate.suite import Group, Json, Suite, unhex

ROOT = bytes(range(32))
KNOWN_LINE = (
    "— ledger.example.com/main +LiI7wAAAABoTuGAAAAAABxq8QR9+CF7voCxSQxlv05cZzwvWEWKPkdrB7S/"
    "MVL5ARLQBpjXUDyBEvkxnkgxv2+428gP+lXvQalfalmGBIoA\n"
)


def checkpoint(case: Json) -> Json:
    """Parse the text of a head."""
    found = head.parse_checkpoint(case["text"])
    return {"origin": found.origin, "leafCount": str(found.count), "root": found.root.hex()}


def check(case: Json) -> Json:
    """Verify a head by the keys of its epoch."""
    parsed = note.parse(case["note"].encode())
    point = head.parse_checkpoint(parsed.text)
    origin, log = case["origin"], unhex(case["logId"])
    require(point.origin == origin, "head-origin")
    found = head.the_only_line(parsed, origin, head.head_key_id(origin, log))
    line = head.parse_head_line(found.payload)
    require(line.epoch == case["epoch"], "head-epoch")
    head.verify_head_line(line, log, point, unhex(case["secp256k1"]))
    public = unhex(case["ed25519"])
    identifier = note.key_id(origin, bytes([note.ED25519]) + public)
    found = head.the_only_line(parsed, origin, identifier)
    ed25519_verify(public, parsed.text.encode(), found.payload)
    return {
        "leafCount": str(point.count),
        "root": point.root.hex(),
        "timestamp": str(line.timestamp),
    }


def compare(case: Json) -> Json:
    """Classify a head against the trusted one."""
    trusted, seen = (
        (int(h["leafCount"]), unhex(h["root"]), int(h["timestamp"]))
        for h in (case["trusted"], case["seen"])
    )
    own = unhex(case["ownRoot"]) if case["ownRoot"] else None
    return {"finding": head.compare(trusted, seen, own)}


def late(case: Json) -> Json:
    """Decide whether a head comes too late for a record."""
    numbers = ("loggedAt", "index", "maxMergeDelay", "leafCount", "timestamp")
    head.check_late(*(int(case[name]) for name in numbers))
    return {}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "heads",
        "head",
        "11.3 The head",
        "Checkpoint: the three lines of `text`.",
        "Head: both lines of the log in `note`, by the keys of the epoch.",
        "Compare: a seen head against the trusted one; `ownRoot` is the trusted tree's root at the",
        "seen count, empty where the seen head is larger.",
        "MergeDelay: whether a record should have been covered by a head.",
    )
    flags(suite)
    texts(suite.group("Checkpoint", checkpoint))
    keys = {"secp256k1": actors.KEYS[0].hex(), "ed25519": actors.ED25519.hex()}
    shared = {"origin": actors.ORIGIN, "logId": actors.LOG_ID.hex(), "epoch": 0, **keys}
    group = suite.group("Head", check, **shared)
    for part in (valid, missing, head_lines, ed25519_lines):
        part(group)
    later = suite.group("Head", check, **{**shared, "epoch": 1, "secp256k1": actors.KEYS[1].hex()})
    epochs(group, later)
    comparisons(suite.group("Compare", compare))
    delays(suite.group("MergeDelay", late))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag(
        "Valid",
        "BASIC",
        "A head in order.",
        "None.",
        "HEAD-1 HEAD-3 HEAD-5 HEAD-16 KEY-13 CONV-2 CONV-5 NOTE-6",
    )
    effect = "A head is trusted that the log never signed."
    for name, bug, description, ids in (
        (
            "Text",
            "PARSING",
            "The text is not exactly three lines of this form.",
            "HEAD-1 ID-1 CONV-1 CONV-2",
        ),
        ("Origin", "FORGERY", "The text names another log.", "HEAD-14"),
        ("Missing", "FORGERY", "A line of the log is missing.", "HEAD-4 HEAD-5"),
        ("Duplicate", "MALLEABILITY", "A line of the log stands there twice.", "HEAD-4 HEAD-5"),
        ("HeadLine", "FORGERY", "The 0xff line fails.", "HEAD-2 HEAD-3 KEY-6 KEY-7 KEY-8 KEY-9"),
        ("Ed25519Line", "FORGERY", "The Ed25519 line fails.", "HEAD-5 KEY-11 KEY-12"),
        (
            "Epoch",
            "AUTHORIZATION",
            "The line names another epoch, or another epoch's key.",
            "HEAD-7 HEAD-3",
        ),
        ("Fork", "EQUIVOCATION", "Another root at a count that is trusted.", "HEAD-9"),
        ("Rollback", "EQUIVOCATION", "A newer signature on a smaller tree.", "HEAD-10"),
        ("Earlier", "EQUIVOCATION", "A larger tree signed before a smaller one.", "HEAD-12"),
        ("Stale", "AVAILABILITY", "An old head: no alarm.", "HEAD-11"),
        ("Unchanged", "BASIC", "The same tree, signed at any time.", "HEAD-18"),
        ("Late", "AVAILABILITY", "A record that a head should have covered.", "HEAD-13"),
    ):
        suite.flag(name, bug, description, effect, ids)


def texts(group: Group) -> None:
    """Texts of heads."""
    good = head.text_of(actors.ORIGIN, 7, ROOT)
    root = note.b64(ROOT)
    group.valid("a head", "Valid", text=good)
    group.valid("no leaves", "Valid", text=head.text_of(actors.ORIGIN, 0, sha256(b"")))
    group.valid("2^53 - 1 leaves", "Valid", text=head.text_of(actors.ORIGIN, MAX_UINT, ROOT))
    for comment, text in {
        "nothing": "",
        "two lines": f"{actors.ORIGIN}\n7\n",
        "a fourth line": good + "extension\n",
        "an empty fourth line": good + "\n",
        "no final line feed": good[:-1],
        "carriage returns": good.replace("\n", "\r\n"),
        "an empty origin": f"\n7\n{root}\n",
        "an origin in capitals": f"Ledger.example.com\n7\n{root}\n",
        "an origin with a space": f"ledger main\n7\n{root}\n",
        "an origin of 256 bytes": f"{'a' * 256}\n7\n{root}\n",
        "a leading zero": f"{actors.ORIGIN}\n07\n{root}\n",
        "a plus sign": f"{actors.ORIGIN}\n+7\n{root}\n",
        "a minus sign": f"{actors.ORIGIN}\n-7\n{root}\n",
        "an underscore": f"{actors.ORIGIN}\n1_0\n{root}\n",
        "a digit beyond ASCII": f"{actors.ORIGIN}\n\uff17\n{root}\n",
        "a space before the count": f"{actors.ORIGIN}\n 7\n{root}\n",
        "hex": f"{actors.ORIGIN}\n0x7\n{root}\n",
        "no count": f"{actors.ORIGIN}\n\n{root}\n",
        "2^53 leaves": f"{actors.ORIGIN}\n{2**53}\n{root}\n",
        "20 digits": f"{actors.ORIGIN}\n{10**19}\n{root}\n",
        "a root of 31 bytes": f"{actors.ORIGIN}\n7\n{note.b64(ROOT[1:])}\n",
        "a root of 33 bytes": f"{actors.ORIGIN}\n7\n{note.b64(ROOT + b'0')}\n",
        "a root without padding": f"{actors.ORIGIN}\n7\n{root[:-1]}\n",
        "a root with unused bits set": f"{actors.ORIGIN}\n7\n{root[:-2]}9=\n",
        "a root in hex": f"{actors.ORIGIN}\n7\n{ROOT.hex()}\n",
    }.items():
        group.invalid(comment, "checkpoint-format", "Text", text=text)


def example(lines: Callable[[list[str]], list[str]] = list) -> str:
    """Return a signed head over three leaves with its lines changed."""
    proof = Proof.of(ExampleLog().genesis().receipts(2), 1)
    proof.lines = lines
    return proof.note()


def valid(group: Group) -> None:
    """Heads that must be accepted."""
    point = head.Checkpoint(actors.ORIGIN, 7, ROOT)
    text = head.text_of(point.origin, point.count, point.root)
    lines = [
        head.ed25519_line(actors.ORIGIN, actors.SEED, actors.ED25519, text),
        head.head_line(actors.SECRETS[0], actors.LOG_ID, point, 0, actors.TIME_S),
    ]
    assert lines[1] == KNOWN_LINE
    group.valid("the known answer", "Valid", note=f"{text}\n{''.join(lines)}")
    group.valid("three leaves", "Valid", note=example())
    group.valid("lines in the other order", "Valid", note=example(lambda lines: lines[::-1]))
    foreign = f"— {actors.ORIGIN} {note.b64(b'abcd' + bytes(64))}\n"
    group.valid(
        "a line of an unknown key id", "Valid", note=example(lambda lines: [*lines, foreign])
    )
    other = f"— other.example {example().splitlines()[4].split()[2]}\n"
    group.valid("a known key id under another name", "Valid", note=example(lambda li: [*li, other]))


def missing(group: Group) -> None:
    """Lines that are missing, doubled, or of another log."""
    add = group.invalid
    add("no 0xff line", "missing-kind", "Missing", note=example(lambda lines: lines[:1]))
    add("no Ed25519 line", "missing-kind", "Missing", note=example(lambda lines: lines[1:]))
    renamed = [("another name on the 0xff line", 1), ("another name on the Ed25519 line", 0)]
    for comment, at in renamed:

        def rename(lines: list[str], at: int = at) -> list[str]:
            lines[at] = lines[at].replace("main", "mein")
            return lines

        add(comment, "missing-kind", "Missing", note=example(rename))
    add("two 0xff lines", "duplicate-line", "Duplicate", note=example(lambda li: [*li, li[1]]))
    add("two Ed25519 lines", "duplicate-line", "Duplicate", note=example(lambda li: [li[0], *li]))
    other = example().replace(actors.ORIGIN, "ledger.example.com/mein")
    add("another origin", "head-origin", "Origin", note=other)


def payload_edit(at: int, edit: Callable[[bytes], bytes]) -> str:
    """Return the example with the payload of one line edited."""

    def change(lines: list[str]) -> list[str]:
        dash, name, encoded = lines[at].split()
        data = note.unb64(encoded, "note-format")
        lines[at] = f"{dash} {name} {note.b64(data[:4] + edit(data[4:]))}\n"
        return lines

    return example(change)


def head_lines(group: Group) -> None:
    """Faults of the 0xff line."""

    def add(comment: str, code: str, edit: Callable[[bytes], bytes]) -> None:
        group.invalid(f"0xff line: {comment}", code, "HeadLine", note=payload_edit(1, edit))

    order = curve.SECP256K1.n

    def high(data: bytes) -> bytes:
        flipped = uint(order - int.from_bytes(data[44:76], "big"), 32)
        return data[:44] + flipped + bytes([data[76] ^ 1])

    add("76 bytes", "malformed", lambda data: data[:-1])
    add("78 bytes", "malformed", lambda data: data + b"\x00")
    add("one byte", "malformed", lambda data: data[:1])
    add("another timestamp", "mismatch", lambda data: data[:7] + bytes([data[7] ^ 1]) + data[8:])
    add("timestamp 2^53", "malformed", lambda data: uint(2**53, 8) + data[8:])
    add("timestamp 2^64 - 1", "malformed", lambda data: b"\xff" * 8 + data[8:])
    add("r = 0", "malformed", lambda data: data[:12] + bytes(32) + data[44:])
    add("s = 0", "malformed", lambda data: data[:44] + bytes(32) + data[76:])
    add("r = n", "malformed", lambda data: data[:12] + uint(order, 32) + data[44:])
    add("a high s", "high-s", high)
    add("recovery id 27", "bad-recovery-id", lambda data: data[:76] + bytes([data[76] + 27]))
    add("the other recovery id", "mismatch", lambda data: data[:76] + bytes([data[76] ^ 1]))
    add("a bit of r", "mismatch", lambda data: data[:12] + bytes([data[12] ^ 1]) + data[13:])
    add("a bit of s", "mismatch", lambda data: data[:75] + bytes([data[75] ^ 1]) + data[76:])
    other = example().replace("\n3\n", "\n4\n", 1)
    group.invalid("another count in the text", "mismatch", "HeadLine", note=other)
    moved = example().splitlines(keepends=True)
    moved[2] = note.b64(ROOT) + "\n"
    group.invalid("another root in the text", "mismatch", "HeadLine", note="".join(moved))


def ed25519_lines(group: Group) -> None:
    """Faults of the Ed25519 line."""

    def add(comment: str, code: str, edit: Callable[[bytes], bytes]) -> None:
        group.invalid(f"Ed25519 line: {comment}", code, "Ed25519Line", note=payload_edit(0, edit))

    def plus_order(data: bytes) -> bytes:
        s = int.from_bytes(data[32:], "little") + ED25519_ORDER
        return data[:32] + s.to_bytes(32, "little")

    add("63 bytes", "malformed", lambda data: data[:-1])
    add("65 bytes", "malformed", lambda data: data + b"\x00")
    add("S + L", "malformed", plus_order)
    add("S = L", "malformed", lambda data: data[:32] + ED25519_ORDER.to_bytes(32, "little"))
    add("S of ones", "malformed", lambda data: data[:32] + b"\xff" * 32)
    add("a bit of R", "mismatch", lambda data: bytes([data[0] ^ 1]) + data[1:])
    add("a bit of S", "mismatch", lambda data: data[:32] + bytes([data[32] ^ 1]) + data[33:])
    add("zeros", "mismatch", lambda _: bytes(64))


def epochs(group: Group, later: Group) -> None:
    """Epochs and their keys."""
    proof = Proof.of(ExampleLog().genesis().receipts(1).rotate(), 1)
    later.valid("epoch 1", "Valid", note=proof.note())
    group.invalid("epoch 1 where 0 is in force", "head-epoch", "Epoch", note=proof.note())
    later.invalid("epoch 0 where 1 is in force", "head-epoch", "Epoch", note=example())
    proof.secret = actors.SECRETS[0]
    later.invalid("epoch 1 by the replaced key", "mismatch", "Epoch", note=proof.note())
    proof.epoch = 2**32 - 1
    later.invalid("epoch 2^32 - 1", "head-epoch", "Epoch", note=proof.note())


def comparisons(group: Group) -> None:
    """A seen head against the trusted one."""
    ours, theirs = sha256(b"ours").hex(), sha256(b"theirs").hex()

    def inputs(count: int, time: int, root: str, own: str) -> Json:
        trusted = {"leafCount": "10", "root": sha256(b"trusted").hex(), "timestamp": "1000"}
        seen = {"leafCount": str(count), "root": root, "timestamp": str(time)}
        return {"trusted": trusted, "seen": seen, "ownRoot": own}

    same = sha256(b"trusted").hex()
    group.valid("larger", "Valid", **inputs(11, 1_001, theirs, ""))
    group.valid("larger, in the same second", "Valid", **inputs(11, 1_000, theirs, ""))
    group.valid("the same head", "Unchanged", **inputs(10, 1_000, same, same))
    group.valid("a heartbeat", "Unchanged", **inputs(10, 2_000, same, same))
    group.valid("a heartbeat before it", "Unchanged", **inputs(10, 999, same, same))
    add = group.invalid
    add("the same count, another root", "fork", "Fork", **inputs(10, 1_000, theirs, same))
    add("the same count, another root, older", "fork", "Fork", **inputs(10, 900, theirs, same))
    add("smaller, another root, newer", "fork", "Fork", **inputs(9, 1_001, theirs, ours))
    add("smaller, another root, older", "fork", "Fork", **inputs(9, 900, theirs, ours))
    add("larger, a second earlier", "head-time", "Earlier", **inputs(11, 999, theirs, ""))
    add("larger, at time 0", "head-time", "Earlier", **inputs(11, 0, theirs, ""))
    add("smaller, the right root, newer", "rollback", "Rollback", **inputs(9, 1_001, ours, ours))
    add("much smaller, newer", "rollback", "Rollback", **inputs(1, 9_999, ours, ours))
    add("smaller, the right root, older", "stale", "Stale", **inputs(9, 999, ours, ours))
    add("smaller, in the same second", "stale", "Stale", **inputs(9, 1_000, ours, ours))


def delays(group: Group) -> None:
    """The merge delay."""

    def inputs(count: int, time: int, logged_at: int = 5_999) -> Json:
        numbers = {"loggedAt": logged_at, "index": 7, "maxMergeDelay": 60}
        numbers |= {"leafCount": count, "timestamp": time}
        return {name: str(number) for name, number in numbers.items()}

    group.valid("in time", "Valid", **inputs(7, 65))
    group.valid("covered, however late", "Valid", **inputs(8, 9_999))
    add = group.invalid
    add("a second late", "late", "Late", **inputs(7, 66))
    add("a second late, far smaller", "late", "Late", **inputs(1, 66))
    add("an hour late", "late", "Late", **inputs(7, 3_665))
    add("milliseconds are dropped first", "late", "Late", **inputs(7, 66, 5_000))
