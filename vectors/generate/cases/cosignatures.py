"""cosignatures.json: Ed25519 cosignatures of witnesses."""

from vectors.generate import actors
from vectors.generate.examplelog import ExampleLog, Proof, witness_name, witness_seed, witness_vkey
from vectors.generate.rules import head, note
from vectors.generate.rules.checks import MAX_UINT, require
from vectors.generate.rules.primitives import (
    ED25519_ORDER,
    ed25519_public,
    ed25519_sign,
    uint,
)
from vectors.generate.suite import Group, Json, Suite, unhex

SEED = witness_seed(1)
TEXT = Proof.of(ExampleLog().genesis().receipts(2), 1).text()


def check(case: Json) -> Json:
    """Verify one payload."""
    key = note.parse_vkey(case["vkey"])
    time = head.verify_cosignature(key.material, case["text"], unhex(case["payload"]))
    return {"timestamp": str(time)}


def sign(case: Json) -> Json:
    """Make the line of a witness."""
    seed = unhex(case["seed"])
    public = ed25519_public(seed)
    time = int(case["timestamp"])
    return {"line": head.cosignature_line(case["name"], seed, public, time, case["text"])}


def latest(case: Json) -> Json:
    """Verify all lines of a witness in a note."""
    key = note.parse_vkey(case["vkey"])
    parsed = note.parse(case["note"].encode())
    times = [
        head.verify_cosignature(key.material, parsed.text, line.payload)
        for line in parsed.lines
        if (line.name, line.key_id) == (key.name, key.key_id)
    ]
    require(times, "missing-kind")
    return {"timestamp": str(max(times))}


def payload(time: int, *, text: str = TEXT, seed: bytes = SEED, message: bytes = b"") -> bytes:
    """Return a payload; the message can be another than that of its time and text."""
    signed = message or head.cosigned_message(time, text)
    return uint(time, 8) + ed25519_sign(seed, signed)


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "cosignatures",
        "cosignature-v1",
        "11.4 Cosignatures",
        "Cosignature: `payload` (what follows the key id) over the note text `text`.",
        "Sign: the line that a witness writes.",
        "Latest: the latest time of all lines of one witness in a note; all of them verify.",
    )
    suite.flag("Valid", "BASIC", "A cosignature in order.", "None.", "COSIG-1 COSIG-2 COSIG-3")
    effect = "A head counts as witnessed that no witness saw, or at another time."
    for name, description, ids in (
        ("Shape", "Another length, a time or S out of range.", "COSIG-1 KEY-11"),
        ("Altered", "Time, text, key or signature is another.", "COSIG-2 KEY-12"),
        ("Message", "A signature over a message of another form.", "COSIG-2"),
        ("Lines", "Several lines of one witness, one of them wrong.", "COSIG-3"),
        ("Key", "Keys of small order, or of no point.", "KEY-12 KEY-30"),
    ):
        suite.flag(name, "FORGERY", description, effect, ids)
    group = suite.group("Cosignature", check, vkey=witness_vkey(1), text=TEXT)
    for time in (0, 1, actors.TIME_S, MAX_UINT):
        group.valid(f"time {time}", "Valid", payload=payload(time).hex())
    invalid(group)
    signing = suite.group("Sign", sign, name=witness_name(1), seed=SEED.hex(), text=TEXT)
    for time in (0, actors.TIME_S, MAX_UINT):
        signing.valid(f"line of time {time}", "Valid", timestamp=str(time))
    several(suite.group("Latest", latest, vkey=witness_vkey(1)))
    keys(suite)
    return suite


def invalid(group: Group) -> None:
    """Cosignatures that must be refused."""

    def add(comment: str, code: str, flag: str, data: bytes) -> None:
        group.invalid(comment, code, flag, payload=data.hex())

    good = payload(actors.TIME_S)
    add("no time: a plain note signature", "malformed", "Shape", good[8:])
    add("71 bytes", "malformed", "Shape", good[:-1])
    add("73 bytes", "malformed", "Shape", good + b"\x00")
    add("8 bytes", "malformed", "Shape", good[:8])
    add("time 2^53, signed", "malformed", "Shape", payload(2**53))
    add("time 2^64 - 1, signed", "malformed", "Shape", payload(2**64 - 1))
    s = int.from_bytes(good[40:], "little") + ED25519_ORDER
    add("S + L", "malformed", "Shape", good[:40] + s.to_bytes(32, "little"))
    add("S = L", "malformed", "Shape", good[:40] + ED25519_ORDER.to_bytes(32, "little"))
    add("S of ones", "malformed", "Shape", good[:40] + b"\xff" * 32)
    add("another time", "mismatch", "Altered", uint(actors.TIME_S + 1, 8) + good[8:])
    add("a bit of R", "mismatch", "Altered", good[:8] + bytes([good[8] ^ 1]) + good[9:])
    add("a bit of S", "mismatch", "Altered", good[:-32] + bytes([good[-32] ^ 1]) + good[-31:])
    other = TEXT.replace("\n3\n", "\n4\n")
    add("over another count", "mismatch", "Altered", payload(actors.TIME_S, text=other))
    other = TEXT.replace("main", "mein")
    add("over another origin", "mismatch", "Altered", payload(actors.TIME_S, text=other))
    add("by another witness", "mismatch", "Altered", payload(actors.TIME_S, seed=witness_seed(2)))
    time = str(actors.TIME_S)
    for comment, message in {
        "the text alone": TEXT,
        "without the header line": f"time {time}\n{TEXT}",
        "cosignature/v2": f"cosignature/v2\ntime {time}\n{TEXT}",
        "a leading zero in the time": f"cosignature/v1\ntime 0{time}\n{TEXT}",
        "without the last line feed": f"cosignature/v1\ntime {time}\n{TEXT[:-1]}",
        "with the empty line": f"cosignature/v1\ntime {time}\n{TEXT}\n",
        "no line feed after the time": f"cosignature/v1\ntime {time} {TEXT}",
    }.items():
        data = payload(actors.TIME_S, message=message.encode())
        add(f"over {comment}", "mismatch", "Message", data)


def several(group: Group) -> None:
    """Several lines of one witness."""

    def note_of(*payloads: bytes) -> str:
        identifier = note.parse_vkey(witness_vkey(1)).key_id
        lines = [note.line(witness_name(1), identifier, data) for data in payloads]
        return TEXT + "\n" + "".join(lines)

    early, late = payload(1_000), payload(2_000)
    wrong = early[:-32] + bytes([early[-32] ^ 1]) + early[-31:]
    group.valid("two lines", "Lines", note=note_of(early, late))
    group.valid("two lines, the later first", "Lines", note=note_of(late, early))
    group.valid("one line twice", "Lines", note=note_of(early, early))
    group.invalid("a wrong line behind a good one", "mismatch", "Lines", note=note_of(late, wrong))
    group.invalid("a wrong line before a good one", "mismatch", "Lines", note=note_of(wrong, late))
    short = note_of(late, early[:-1])
    group.invalid("a short line behind a good one", "malformed", "Lines", note=short)


def keys(suite: Suite) -> None:
    """Keys that implementations decode in different ways.

    Under a key that is the neutral element [S]B = R holds whatever was signed.
    """
    prime = 2**255 - 19
    base = (4 * pow(5, -1, prime) % prime).to_bytes(32, "little")
    signature = base + (1).to_bytes(32, "little")
    for comment, number, known in (
        ("the neutral element", 1, True),
        ("the neutral element, y = p + 1", prime + 1, True),
        ("the neutral element, its sign bit set", 1 + 2**255, True),
        ("y = 2, which no point has", 2, False),
        ("y = 7, which no point has", 7, False),
    ):
        public = number.to_bytes(32, "little")
        vkey = note.vkey(witness_name(1), note.COSIGNATURE, public)
        group = suite.group("Cosignature", check, vkey=vkey, text=TEXT)
        data = (uint(actors.TIME_S, 8) + signature).hex()
        if known:
            group.valid(f"a key that is {comment}", "Key", payload=data)
        else:
            group.invalid(f"a key with {comment}", "mismatch", "Key", payload=data)
