"""notes.json: the form of signed notes."""

from vectors.generate import actors
from vectors.generate.examplelog import ExampleLog, Proof, witness_name, witness_seed
from vectors.generate.rules import note
from vectors.generate.suite import Group, Json, Suite, unhex

LINE = f"— example.com/foo {note.b64(b'abcd' + bytes(64))}\n"
TEXT = "text\n"


def check(case: Json) -> Json:
    """Parse a note."""
    raw = unhex(case["hex"]) if "hex" in case else case["note"].encode()
    raw = (
        case.get("repeat", {}).get("text", "").encode() * case.get("repeat", {}).get("count", 0)
        + raw
    )
    parsed = note.parse(raw)
    lines = [
        {"name": line.name, "keyId": line.key_id.hex(), "payload": line.payload.hex()}
        for line in parsed.lines
    ]
    return {"lines": lines} if "repeat" in case else {"text": parsed.text, "lines": lines}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "notes",
        "signed-note",
        "11.1 parse_note",
        "Parse `note` (UTF-8), or `hex` where it is not text, into text and signature lines.",
        "Where `repeat` is given, its text stands `count` times in front.",
    )
    flags(suite)
    group = suite.group("Note", check)
    valid(group)
    for part in (structure, characters, names, base64, limits):
        part(group)
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A note in order.", "None.", "NOTE-3 NOTE-6 CONV-5 LIM-2")
    effect = "Two readers see different text or signatures in one file."
    for name, bug, description, ids in (
        (
            "Structure",
            "PARSING",
            "Text, empty line and signature lines are not told apart.",
            "NOTE-3 CONV-5",
        ),
        ("Characters", "PARSING", "Not UTF-8, or a control character.", "NOTE-2"),
        ("Name", "PARSING", "A key name that is empty or has a space or plus.", "NOTE-4"),
        ("Line", "PARSING", "A signature line of another form.", "NOTE-4"),
        ("Base64", "MALLEABILITY", "Base64 that is not canonical.", "CONV-1 CONV-4 NOTE-4"),
        ("Short", "PARSING", "Fewer than five bytes behind the base64.", "NOTE-5"),
        ("Limit", "DENIAL_OF_SERVICE", "Too long, or too many lines.", "NOTE-1 LIM-1"),
    ):
        suite.flag(name, bug, description, effect, ids)


def valid(group: Group) -> None:
    """Notes in order."""
    log = ExampleLog().genesis().receipts(2)
    proof = Proof.of(log, 1)
    proof.witnesses = ((witness_name(1), witness_seed(1), actors.TIME_S + 9),)
    group.valid("a head with three lines", "Valid", note=proof.note())
    group.valid("one line", "Valid", note=f"{TEXT}\n{LINE}")
    group.valid("empty lines in the text", "Valid", note=f"a\n\nb\n\n{LINE}")
    group.valid("a signature line in the text", "Valid", note=f"a\n\n{LINE}\n{LINE}")
    group.valid("the same line twice", "Valid", note=f"{TEXT}\n{LINE}{LINE}")
    short = f"— a {note.b64(b'abcde')}\n"
    group.valid("five bytes", "Valid", note=f"{TEXT}\n{short}")
    group.valid("a name beyond ASCII", "Valid", note=f"{TEXT}\n{LINE.replace('example', 'bücher')}")
    group.valid("text beyond ASCII, U+007F, U+0085", "Valid", note=f"è\u007f\u0085\n\n{LINE}")
    group.valid("64 lines", "Valid", note=f"{TEXT}\n{LINE * 64}")
    tail = f"\n\n{LINE}"
    fill = {"text": "a", "count": note.MAX_NOTE - len(tail.encode())}
    group.valid("131,072 bytes", "Valid", note=tail, repeat=fill)


def structure(group: Group) -> None:
    """Parts that are missing."""
    for comment, text in {
        "nothing": "",
        "text alone": TEXT,
        "no empty line": f"{TEXT}{LINE}",
        "no signature line": f"{TEXT}\n",
        "an empty line after the signatures": f"{TEXT}\n{LINE}\n",
        "no final line feed": f"{TEXT}\n{LINE[:-1]}",
        "an empty line between signatures": f"{TEXT}\n{LINE}\n{LINE}\n",
        "carriage returns": f"{TEXT}\n{LINE}".replace("\n", "\r\n"),
        "no text": LINE,
    }.items():
        group.invalid(comment, "note-format", "Structure", note=text)
    for comment, text in {
        "a line without dash": f"{TEXT}\nexample.com/foo {LINE.split()[2]}\n",
        "a hyphen for the dash": f"{TEXT}\n{LINE.replace('—', '-')}",
        "an en dash": f"{TEXT}\n{LINE.replace('—', '–')}",
        "no space after the dash": f"{TEXT}\n{LINE.replace('— ', '—')}",
        "two spaces after the dash": f"{TEXT}\n{LINE.replace('— ', '—  ')}",
        "two spaces before the signature": f"{TEXT}\n{LINE.replace('foo ', 'foo  ')}",
        "a space at the end": f"{TEXT}\n{LINE[:-1]} \n",
        "a fourth item": f"{TEXT}\n{LINE[:-1]} x\n",
        "a name without signature": f"{TEXT}\n— example.com/foo\n",
        "a foreign line behind a good one": f"{TEXT}\n{LINE}hello\n",
    }.items():
        group.invalid(comment, "note-format", "Line", note=text)


def characters(group: Group) -> None:
    """Bytes that a note must not have."""
    for point in (0x00, 0x09, 0x0B, 0x0D, 0x1F):
        text = f"a{chr(point)}b\n\n{LINE}"
        group.invalid(f"U+{point:04X} in the text", "note-format", "Characters", note=text)
    for comment, raw in {
        "a lone byte ff": b"\xff",
        "an overlong form": b"\xc0\x8a",
        "a surrogate": b"\xed\xa0\x80",
    }.items():
        data = b"a" + raw + f"\n\n{LINE}".encode()
        group.invalid(f"{comment} in the text", "note-format", "Characters", hex=data.hex())
    data = f"{TEXT}\n{LINE}".encode().replace(b"example", b"ex\xffmple")
    group.invalid("a lone byte ff in a name", "note-format", "Characters", hex=data.hex())


def names(group: Group) -> None:
    """Key names."""
    encoded = LINE.split()[2]
    group.invalid("an empty name", "note-format", "Name", note=f"{TEXT}\n—  {encoded}\n")
    group.invalid("a plus in the name", "note-format", "Name", note=f"{TEXT}\n— a+b {encoded}\n")
    for point in (0x85, 0xA0, 0x1680, 0x2000, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000):
        text = f"{TEXT}\n— a{chr(point)}b {encoded}\n"
        group.invalid(f"U+{point:04X} in the name", "note-format", "Name", note=text)


def base64(group: Group) -> None:
    """Signatures that are not canonical base64."""
    good = note.b64(b"abcd" + b"\xfb\xff" * 3)  # 10 bytes: two padding characters
    for comment, encoded in {
        "no padding": good.rstrip("="),
        "one padding character less": good[:-1],
        "one padding character more": good + "=",
        "unused bits set": good[:-3] + chr(ord(good[-3]) + 1) + "==",
        "the URL alphabet": good.replace("+", "-").replace("/", "_"),
        "a foreign character": "!" + good[1:],
        "text after the padding": good + "AAAA",
        "a single character": "A",
    }.items():
        group.invalid(
            f"base64: {comment}", "note-format", "Base64", note=f"{TEXT}\n— a {encoded}\n"
        )
    for size in (1, 3, 4):
        text = f"{TEXT}\n— a {note.b64(bytes(size))}\n"
        group.invalid(f"{size} bytes", "note-format", "Short", note=text)


def limits(group: Group) -> None:
    """One more than allowed."""
    group.invalid("65 lines", "note-format", "Limit", note=f"{TEXT}\n{LINE * 65}")
    tail = f"\n\n{LINE}"
    fill = {"text": "a", "count": note.MAX_NOTE - len(tail.encode()) + 1}
    group.invalid("131,073 bytes", "note-format", "Limit", note=tail, repeat=fill)
