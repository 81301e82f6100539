"""Files that are no bundle, or of a newer version."""

from collections.abc import Callable
from typing import Any

from vectors.generate import actors
from vectors.generate.bundle_cases.common import (
    Adder,
    Codes,
    accuracy,
    history_fails,
    proof,
    with_body,
)
from vectors.generate.examplelog import Proof
from vectors.generate.rules import bundle, note
from vectors.generate.rules.msgpack import EXTRA, pack

FIRST, SECOND, INDEX = 0, 1, 2


def lines_edited(edit: Callable[[list[str]], list[str]]) -> bytes:
    """Return the example with its lines edited."""
    return "\n".join(edit(proof().file().decode().split("\n"))).encode()


def line(number: int, text: str) -> bytes:
    """Return the example with one line replaced."""
    return lines_edited(lambda lines: [*lines[:number], text, *lines[number + 1 :]])


def with_extra(extra: Any) -> bytes:
    """Return the example with another value behind extra."""
    base = proof()
    raw = extra if isinstance(extra, bytes) else pack(extra)
    return bundle.compose(raw, base.index, base.path, base.note())


def array(base: Proof | None = None) -> list[Any]:
    """Return the array of the extra line."""
    base = base or proof()
    return bundle.extra_of(base.record, base.body, base.entries)


def replaced(position: int, value: Any) -> bytes:
    """Return the example with one element of the array replaced."""
    found = array()
    found[position] = value
    return with_extra(found)


def entry(position: int, value: Any) -> bytes:
    """Return the example with one part of its key event replaced."""
    found = array()
    found[3][0][position] = value
    return with_extra(found)


def add_all(add: Adder) -> None:
    """Add all cases of form."""
    for part in (text_lines, text_index, text_path, extras, entries, notes, limits, versions):
        part(add)


def text_lines(add: Adder) -> None:
    """Faults of the lines as a whole."""
    good = proof().file()
    head_only = proof().note().encode()
    cases = {
        "an empty file": b"",
        "a line feed": b"\n",
        "JSON": b'{"receipt": 1}\n',
        "a checkpoint alone": head_only,
        "a policy": b"quorum none\n",
        "carriage returns": good.replace(b"\n", b"\r\n"),
        "a byte order mark": b"\xef\xbb\xbf" + good,
        "a leading line feed": b"\n" + good,
        "no final line feed": good[:-1],
        "a line feed more": good + b"\n",
        "cut in the middle": good[: len(good) // 2],
        "cut behind the path": good.split(b"\n\n")[0] + b"\n",
        "no empty line before the checkpoint": good.replace(b"\n\n", b"\n", 1),
        "two empty lines before the checkpoint": good.replace(b"\n\n", b"\n\n\n", 1),
        "bytes that are no text": b"\xff\xfe" + good,
        "a first line in capitals": line(FIRST, "C2SP.ORG/tlog-proof@v1"),
        "a first line with a space": line(FIRST, "c2sp.org/tlog-proof@v1 "),
        "version 0": line(FIRST, "c2sp.org/tlog-proof@v0"),
        "version 01": line(FIRST, "c2sp.org/tlog-proof@v01"),
        "no version": line(FIRST, "c2sp.org/tlog-proof@v"),
        "version x": line(FIRST, "c2sp.org/tlog-proof@vx"),
        "no extra line": lines_edited(lambda lines: [*lines[:SECOND], *lines[SECOND + 1 :]]),
        "two extra lines": lines_edited(lambda lines: [*lines[:2], *lines[1:]]),
        "extra behind index": lines_edited(lambda li: [li[0], li[2], li[1], *li[3:]]),
        "an empty extra": line(SECOND, "extra "),
        "extra in capitals": lines_edited(lambda li: [li[0], "EXTRA" + li[1][5:], *li[2:]]),
        "two spaces behind extra": lines_edited(lambda li: [li[0], "extra  " + li[1][6:], *li[2:]]),
        "a space behind the extra": lines_edited(lambda li: [li[0], li[1] + " ", *li[2:]]),
        "extra in the URL alphabet": lines_edited(
            lambda li: [li[0], li[1].replace("+", "-").replace("/", "_"), *li[2:]]
        ),
    }
    for comment, raw in cases.items():
        add.refused(comment, "not-a-bundle", "Form", raw)


def text_index(add: Adder) -> None:
    """Faults of the index line."""
    for comment, text in {
        "no index": "index ",
        "index without space": "index1",
        "a leading zero": "index 01",
        "a plus sign": "index +1",
        "a minus sign": "index -1",
        "hex": "index 0x1",
        "a trailing space": "index 1 ",
        "a digit beyond ASCII": "index \uff11",
        "2^53": f"index {2**53}",
        "twenty digits": f"index {10**19}",
        "capitals": "INDEX 1",
    }.items():
        add.refused(f"index line: {comment}", "not-a-bundle", "Form", line(INDEX, text))
    no_index = lines_edited(lambda lines: [*lines[:INDEX], *lines[INDEX + 1 :]])
    add.refused("no index line", "not-a-bundle", "Form", no_index)


def text_path(add: Adder) -> None:
    """Faults of the path lines."""
    good = proof().file().decode().split("\n")[3]
    for comment, text in {
        "31 bytes": note.b64(bytes(31)),
        "33 bytes": note.b64(bytes(33)),
        "no padding": good[:-1],
        "unused bits set": good[:-2] + chr(ord(good[-2]) + 1) + "=",
        "a space": good[:20] + " " + good[21:],
        "hex": "00" * 32,
    }.items():
        add.refused(f"path line: {comment}", "not-a-bundle", "Form", line(3, text))
    many = lines_edited(lambda li: [*li[:3], *[good] * 64, "", *li[li.index("") + 1 :]])
    add.refused("a path of 64 hashes", "not-a-bundle", "Limit", many)


def extras(add: Adder) -> None:
    """Faults of the array behind extra."""
    good = pack(array())
    record = array()[1]
    cases: dict[str, Any] = {
        "a byte more": good + b"\x00",
        "a byte less": good[:-1],
        "a longer array header": b"\xdc\x00\x04" + good[1:],
        "a longer version": good[:1] + b"\xcc\x01" + good[2:],
        "a map": {0: 1},
        "a number": 1,
        "an empty array": [],
        "version 0": [0, *array()[1:]],
        "version as text": ["1", *array()[1:]],
        "three items": array()[:3],
        "five items": [*array(), 0],
        "a record of 119 bytes": [1, record[:119], *array()[2:]],
        "a record of 121 bytes": [1, record + b"\x00", *array()[2:]],
        "a record as text": [1, "record", *array()[2:]],
        "an empty record": [1, b"", *array()[2:]],
        "a record of version 0": [1, b"\x00" + record[1:], *array()[2:]],
        "a record index of 2^53": [
            1,
            record[:7] + (2**53).to_bytes(8, "big") + record[15:],
            *array()[2:],
        ],
        "a body as text": [1, record, "body", array()[3]],
        "key events as a map": [1, record, array()[2], {}],
        "a nil": good[:1] + b"\xc0" + good[2:],
    }
    for comment, value in cases.items():
        add.refused(f"extra: {comment}", "not-a-bundle", "Extra", with_extra(value))


def entries(add: Adder) -> None:
    """Faults inside the list of key events."""
    body = array()[3][0][1]
    for comment, raw in {
        "a key event as bin": replaced(3, [b"event"]),
        "a key event of 2": replaced(3, [array()[3][0][:2]]),
        "a key event of 4": replaced(3, [[*array()[3][0], b""]]),
        "its record of 119 bytes": entry(0, bytes(119)),
        "its record of version 0": entry(0, bytes(120)),
        "its body as text": entry(1, "body"),
        "its body of 32,769 bytes": entry(1, bytes(32_769)),
        "its path as bin": entry(2, bytes(32)),
        "its path with 31 bytes": entry(2, [bytes(31)]),
        "its path with text": entry(2, ["hash"]),
        "its path of 64 hashes": entry(2, [bytes(32)] * 64),
        "65 key events": replaced(3, [[array()[1], body, []]] * 65),
    }.items():
        add.refused(f"extra: {comment}", "not-a-bundle", "Extra", raw)


def notes(add: Adder) -> None:
    """Faults of the checkpoint."""
    base = proof()

    def with_note(text: str) -> bytes:
        return bundle.compose(base.extra(), base.index, base.path, text)

    good = base.note()
    text, block = good.split("\n\n")
    for comment, changed in {
        "a fourth text line": f"{text}\nextension\n\n{block}",
        "two text lines": f"{actors.ORIGIN}\n3\n\n{block}",
        "a count with a leading zero": good.replace("\n3\n", "\n03\n", 1),
        "a count of 2^53": good.replace("\n3\n", f"\n{2**53}\n", 1),
        "an origin in capitals": good.replace("ledger", "Ledger", 1),
        "a root of 31 bytes": good.replace(text.split("\n")[2], note.b64(bytes(31))),
        "no signature line": f"{text}\n\n",
        "no empty line": f"{text}\n{block}",
        "a line without name": good + f"—  {note.b64(bytes(68))}\n",
        "a line with a plus in its name": good + f"— a+b {note.b64(bytes(68))}\n",
        "a foreign line of four bytes": good + f"— a {note.b64(bytes(4))}\n",
        "a foreign line without padding": good + "— a AAAAAAA\n",
        "a hyphen for the dash": good.replace("—", "-", 1),
        "65 lines": good + f"— a {note.b64(bytes(68))}\n" * 63,
        "a tab in the text": good.replace("\n3\n", "\n3\t\n", 1),
    }.items():
        add.refused(f"checkpoint: {comment}", "not-a-bundle", "Note", with_note(changed))
    broken = with_note(good).replace("—".encode(), b"\xe2\x80", 1)
    add.refused("checkpoint: broken UTF-8", "not-a-bundle", "Note", broken)


def limits(add: Adder) -> None:
    """Sizes."""
    good = proof().file()
    padding = b"A" * (bundle.MAX_BYTES + 1 - len(good))
    add.refused("1,048,577 bytes", "not-a-bundle", "Limit", good + padding)
    opaque = with_body(6, bytes(32_768))
    add.report("a body of 32,768 bytes", accuracy("unknown-type"), "AtLimit", opaque)
    events_fail: Codes = ("undecided", "proof-shape", "not-witnessed", "undecided")
    add.report("a key event path of 63 hashes", events_fail, "AtLimit", entry(2, [bytes(32)] * 63))
    path_fails: Codes = ("", "proof-shape", "not-witnessed", "not-recounted")
    longest = bundle.compose(proof().extra(), 1, [bytes(32)] * 63, proof().note())
    add.report("a path of 63 hashes", path_fails, "AtLimit", longest)
    events = [[array()[1], bytes(32_768), []]] * 7
    spare = EXTRA.max_bytes - len(pack([*array()[:3], [*events, [array()[1], bytes(9_999), []]]]))
    events.append([array()[1], bytes(9_999 + spare), []])
    full = replaced(3, events)
    add.report("an extra of 262,144 bytes", history_fails("key-event-order"), "AtLimit", full)
    events = [[array()[1], b"x", []]] * 64
    many = replaced(3, events)
    add.report("64 key events", history_fails("key-event-order"), "AtLimit", many)
    too_long = replaced(2, bytes(32_769))
    add.refused("a body of 32,769 bytes", "not-a-bundle", "Limit", too_long)
    filler = [[array()[1], bytes(32_768), []]] * 8
    add.refused("an extra above 262,144 bytes", "not-a-bundle", "Limit", replaced(3, filler))


def versions(add: Adder) -> None:
    """Newer versions: could not check."""
    code, flag = "newer-version", "Newer"
    for number in ("2", "3", "10", "99999999999999999999"):
        raw = line(FIRST, f"c2sp.org/tlog-proof@v{number}")
        add.refused(f"tlog-proof@v{number}", code, flag, raw)
    add.refused("tlog-proof@v2 with nothing else", code, flag, b"c2sp.org/tlog-proof@v2\n")
    add.refused("tlog-proof@v2 without a line feed", code, flag, b"c2sp.org/tlog-proof@v2")
    for version in (2, 2**53 - 1):
        add.refused(f"extra of version {version}", code, flag, replaced(0, version))
    add.refused("extra of version 2 in another shape", code, flag, with_extra([2, {1: "new"}]))
    record = array()[1]
    for own, other, decides, seen_as in ((2, 0, code, flag), (0, 2, "not-a-bundle", "Extra")):
        found = array()
        found[1] = bytes([own]) + record[1:]
        found[3][0][0] = bytes([other]) + found[3][0][0][1:]
        comment = f"a record of version {own}, a key event record of version {other}"
        add.refused(comment, decides, seen_as, with_extra(found))
    for version in (2, 255):
        raw = replaced(1, bytes([version]) + record[1:])
        add.refused(f"a record of version {version}", code, flag, raw)
        first = array()[3][0][0]
        raw = entry(0, bytes([version]) + first[1:])
        add.refused(f"a key event record of version {version}", code, flag, raw)
