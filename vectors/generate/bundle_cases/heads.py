"""The log view: lines of the log, epochs, times, witnesses and quorum."""

from dataclasses import replace
from functools import partial

from vectors.generate import actors
from vectors.generate.bundle_cases.common import (
    GOOD,
    PINNED,
    WITNESSED,
    Adder,
    Codes,
    edited,
    head_fails,
    log_view,
    proof,
    started,
    witnesses,
)
from vectors.generate.examplelog import ExampleLog, Proof, log_vkeys, witness_name, witness_seed
from vectors.generate.rules import bodies, curve, head, note
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import ED25519_ORDER, ed25519_public, uint
from vectors.generate.suite import Suite

SEEN: Codes = ("", "", "", "not-recounted")


def head_stops(code: str) -> Codes:
    """Return the answers when the head fails behind the key history."""
    return ("undecided", "undecided", code, "undecided")


def payload(lines: list[str], at: int, start: int, data: bytes) -> list[str]:
    """Return lines with bytes of one payload replaced."""
    dash, name, encoded = lines[at].split()
    raw = note.unb64(encoded, "note-format")
    raw = raw[: 4 + start] + data + raw[4 + start + len(data) :]
    return [*lines[:at], f"{dash} {name} {note.b64(raw)}\n", *lines[at + 1 :]]


def cut(lines: list[str], at: int, size: int) -> list[str]:
    """Return lines with one payload cut or filled to a size."""
    dash, name, encoded = lines[at].split()
    raw = note.unb64(encoded, "note-format")
    raw = raw[: 4 + size].ljust(4 + size, b"\x00")
    return [*lines[:at], f"{dash} {name} {note.b64(raw)}\n", *lines[at + 1 :]]


def byte_of(lines: list[str], at: int, position: int) -> int:
    """Return one byte of a payload."""
    return note.unb64(lines[at].split()[2], "note-format")[4 + position]


def flip(at: int, position: int) -> Proof:
    """Return the example with one bit of a payload flipped."""

    def change(lines: list[str]) -> list[str]:
        return payload(lines, at, position, bytes([byte_of(lines, at, position) ^ 1]))

    return edited(change)


def put(at: int, start: int, data: bytes) -> Proof:
    """Return the example with bytes of a payload replaced."""
    return edited(lambda lines: payload(lines, at, start, data))


def add_all(suite: Suite, add: Adder) -> None:
    """Add all cases of the log view."""
    for part in (ed25519, secp256k1, missing, epochs, times):
        part(add)
    listed(suite)
    outdated(suite)
    witnessed(suite)
    ages(suite)


def ed25519(add: Adder) -> None:
    """The Ed25519 line, which the policy lists."""
    for position in (0, 31, 32, 63):
        comment = f"Ed25519 line: bit of byte {position}"
        add.report(comment, head_fails("mismatch"), "LogLine", flip(0, position))
    for size in (1, 63, 65):
        case = edited(partial(cut, at=0, size=size))
        add.report(f"Ed25519 line: {size} bytes", head_fails("malformed"), "LogLine", case)

    def plus_order(lines: list[str]) -> list[str]:
        raw = note.unb64(lines[0].split()[2], "note-format")[36:]
        s = int.from_bytes(raw, "little") + ED25519_ORDER
        return payload(lines, 0, 32, s.to_bytes(32, "little"))

    add.report("Ed25519 line: S + L", head_fails("malformed"), "LogLine", edited(plus_order))
    other = (actors.OTHER_SEED, actors.ED25519)
    case = proof(ed25519=other)
    add.report("Ed25519 line by another key", head_fails("mismatch"), "LogLine", case)
    wrong_twin = edited(lambda lines: [lines[0], *payload(lines, 0, 0, bytes(32))])
    add.report(
        "a wrong Ed25519 line behind a right one", head_fails("mismatch"), "LogLine", wrong_twin
    )


def secp256k1(add: Adder) -> None:
    """The 0xff line."""
    order = curve.SECP256K1.n

    def high(lines: list[str]) -> list[str]:
        raw = note.unb64(lines[1].split()[2], "note-format")[4:]
        s = order - int.from_bytes(raw[44:76], "big")
        return payload(lines, 1, 44, uint(s, 32) + bytes([raw[76] ^ 1]))

    for comment, code, case in (
        ("bit of the time", "mismatch", flip(1, 7)),
        ("bit of r", "mismatch", flip(1, 12)),
        ("bit of s", "mismatch", flip(1, 75)),
        ("the other recovery id", "mismatch", flip(1, 76)),
        ("76 bytes", "malformed", edited(lambda lines: cut(lines, 1, 76))),
        ("78 bytes", "malformed", edited(lambda lines: cut(lines, 1, 78))),
        ("time 2^53", "malformed", put(1, 0, uint(2**53, 8))),
        ("r = 0", "malformed", put(1, 12, bytes(32))),
        ("s = n", "malformed", put(1, 44, uint(order, 32))),
        ("a high s", "high-s", edited(high)),
        ("recovery id 2", "bad-recovery-id", put(1, 76, b"\x02")),
        ("recovery id 27", "bad-recovery-id", put(1, 76, b"\x1b")),
        ("by the next key", "mismatch", proof(secret=actors.SECRETS[1])),
    ):
        add.report(f"0xff line: {comment}", head_stops(code), "LogLine", case)


def missing(add: Adder) -> None:
    """Lines that are missing or doubled."""
    for comment, code, flag, case in (
        ("no 0xff line", "missing-kind", "Missing", edited(lambda lines: lines[:1])),
        ("no Ed25519 line", "missing-kind", "Missing", edited(lambda lines: lines[1:])),
        ("two 0xff lines", "duplicate-line", "Duplicate", edited(lambda li: [*li, li[1]])),
        ("two Ed25519 lines", "duplicate-line", "Duplicate", edited(lambda li: [li[0], *li])),
    ):
        add.report(comment, head_stops(code), flag, case)

    def renamed(lines: list[str]) -> list[str]:
        return [line.replace("main", "mein") for line in lines]

    add.report("lines under another name", head_stops("missing-kind"), "Missing", edited(renamed))
    other = proof(log_id=actors.FROZEN_LOG_ID)
    add.report("the 0xff line of another log id", head_stops("missing-kind"), "Missing", other)
    foreign = f"— other.example {note.b64(b'abcd' + bytes(64))}\n"
    case = edited(lambda lines: [foreign, *lines[::-1], foreign])
    add.report("other order, foreign lines around", GOOD, "Valid", case)
    many = edited(lambda lines: [*lines, *[foreign] * 62])
    add.report("64 lines", GOOD, "Valid", many)


def epochs(add: Adder) -> None:
    """Epochs of heads."""
    log = started().rotate().receipts(1)
    add.report("a head of epoch 1", GOOD, "Valid", proof(log, 4))
    case = proof(log, 4, epoch=0, secret=actors.SECRETS[0])
    add.report("a head by the replaced key", head_stops("head-epoch"), "Epoch", case)
    case = proof(log, 4, secret=actors.SECRETS[0])
    add.report("the new epoch, the replaced key", head_stops("mismatch"), "Epoch", case)
    add.report("an epoch that is to come", head_stops("head-epoch"), "Epoch", proof(epoch=1))
    add.report("epoch 2^32 - 1", head_stops("head-epoch"), "Epoch", proof(epoch=2**32 - 1))
    case = proof(log, 4)
    case.entries = case.entries[:1]
    add.report("the rotation left out", head_stops("head-epoch"), "Epoch", case)
    early = replace(Proof.of(started(4).rotate(), 2, 5), epoch=0, secret=actors.SECRETS[0])
    add.report("an earlier head, before the rotation", GOOD, "Valid", early)


def times(add: Adder) -> None:
    """Times of heads and records."""
    code = head_stops("head-time")
    last = (actors.TIME_MS + 3_000) // 1_000
    add.report("a heartbeat much later", GOOD, "Valid", proof(timestamp=last + 10**6))
    log = started()
    add.report("in the second of the last record", GOOD, "Valid", proof(log, 2, timestamp=last))
    add.report("a second before the record", code, "Time", proof(log, 2, timestamp=last - 1))
    add.report("time 0", code, "Time", proof(timestamp=0))
    for milliseconds in (1, 999):
        late = started(1)
        late.append(bodies.RECEIPT, pack(actors.receipt()), logged_at=last * 1_000 + milliseconds)
        comment = f"in the second of a record, {milliseconds} ms into it"
        add.report(comment, GOOD, "Valid", proof(late, 2, timestamp=last))
    same = ExampleLog().genesis()
    same.append(bodies.RECEIPT, pack(actors.receipt()), logged_at=same.clock)
    add.report("genesis and record of one time", GOOD, "Valid", proof(same, 1))
    longer = started(3)
    beyond = Proof.of(longer, 2, 3)
    beyond.record, beyond.body = longer.leaves[3]
    beyond.timestamp = last
    add.report("a record beyond the head, logged after it", code, "Time", beyond)
    twin = proof()
    twin.body = pack(actors.receipt(f2=0))
    twin.record = actors.make_record(bodies.RECEIPT, twin.body, 0, logged_at=actors.TIME_MS)
    add.report("a record of the genesis' index, logged before it", code, "Time", twin)
    rotated = started().rotate()
    case = proof(rotated, 1, timestamp=last)
    add.report("a second before a later key event", code, "Time", case)
    backdated = started()
    body = pack(actors.receipt(f2=0))
    backdated.append(bodies.RECEIPT, body, logged_at=actors.TIME_MS - 1)
    case = proof(backdated, 3, timestamp=last)
    add.report("a record logged before the genesis", code, "Time", case)
    backdated = started()
    backdated.rotate({"logged_at": actors.TIME_MS - 1})
    case = proof(backdated, 1, timestamp=last)
    add.report("a rotation logged before the record", code, "Time", case)


def listed(suite: Suite) -> None:
    """What the policy lists."""
    ours = log_vkeys()
    head_only = Adder(suite, f"log {ours[1]}\nquorum none\n")
    head_only.report("only the 0xff key listed", GOOD, "Valid", proof())
    stripped = edited(lambda lines: lines[1:])
    code = head_stops("missing-kind")
    head_only.report("only 0xff listed, no Ed25519 line", code, "Missing", stripped)
    other = proof(ed25519=(actors.OTHER_SEED, actors.OTHER_ED25519))
    head_only.report("only 0xff listed, another Ed25519 key", code, "Missing", other)
    wrong = flip(0, 0)
    head_only.report(
        "only 0xff listed, a wrong Ed25519 line", head_stops("mismatch"), "LogLine", wrong
    )
    stranger = note.vkey("other.example", note.ED25519, actors.OTHER_ED25519)
    Adder(suite, f"log {stranger}\nquorum none\n").report(
        "the name is not listed", ("unknown-log",) * 4, "UnknownLog", proof()
    )
    Adder(suite, "quorum none\n").report(
        "no log is listed", ("unknown-log",) * 4, "UnknownLog", flip(0, 0)
    )
    both = Adder(suite, f"log {stranger}\n{PINNED}")
    both.report("another log listed beside it", GOOD, "Valid", proof())
    ecdsa = f"{actors.ORIGIN}+00000000+{note.b64(bytes([2]) + bytes(91))}"
    unsupported = Adder(suite, f"log {ecdsa}\n{PINNED}")
    unsupported.report(
        "a key of an unsupported kind", head_fails("unsupported-key"), "Unsupported", proof()
    )
    elsewhere = f"other.example+00000000+{note.b64(bytes([2]) + bytes(91))}"
    fine = Adder(suite, f"log {elsewhere}\n{PINNED}")
    fine.report("an unsupported kind under another name", GOOD, "Valid", proof())
    fine.refused("a bundle cut short, any policy", "not-a-bundle", "Form", proof().file()[:-9])


def outdated(suite: Suite) -> None:
    """The Ed25519 key changed since the policy was written."""
    log = started().rotate(f4=actors.OTHER_ED25519).receipts(1)
    new = proof(log, 4, ed25519=(actors.OTHER_SEED, actors.OTHER_ED25519))
    codes = log_view("policy-outdated")
    old_only = Adder(suite, PINNED)
    old_only.report("only the old Ed25519 key listed", codes, "Outdated", new)
    stripped = replace(new, lines=lambda lines: lines[1:])
    old_only.report("it is listed, and no Ed25519 line at all", codes, "Outdated", stripped)
    old_line = head.ed25519_line(actors.ORIGIN, actors.SEED, actors.ED25519, new.text())
    both_lines = replace(new, lines=lambda lines: [*lines, old_line])
    old_only.report("it is listed and signs too", codes, "Outdated", both_lines)
    wrong = replace(new, lines=lambda lines: payload([*lines, old_line], 2, 0, b"\x00"))
    old_only.report("it is listed, its line is wrong", head_fails("mismatch"), "LogLine", wrong)
    forged = replace(new, secret=actors.SECRETS[0])
    code = head_stops("mismatch")
    old_only.report("it is listed, the 0xff line is wrong", code, "LogLine", forged)
    newer = note.vkey(actors.ORIGIN, note.ED25519, actors.OTHER_ED25519)
    both = Adder(suite, f"log {newer}\n{PINNED}")
    both.report("old and new listed", GOOD, "Valid", new)
    both.report("old and new listed, both lines", GOOD, "Valid", both_lines)
    both.report("old and new listed, the old line wrong", head_fails("mismatch"), "LogLine", wrong)
    late = replace(Proof.of(log, 1, 3), epoch=0, secret=actors.SECRETS[0])
    new_only = Adder(suite, f"log {newer}\nlog {log_vkeys()[1]}\nquorum none\n")
    new_only.report("only the new key listed, an old head", codes, "Outdated", late)


def witnessed(suite: Suite) -> None:
    """Witnesses and quorum: 2 of 3."""
    add = Adder(suite, WITNESSED)
    add.report("two witnesses", SEEN, "Valid", proof(witnesses=witnesses(1, 3)))
    add.report("three witnesses", SEEN, "Valid", proof(witnesses=witnesses(1, 2, 3)))
    twice = witnesses(1, 2) + witnesses(1, time=actors.TIME_S + 90)
    add.report("a witness twice, at two times", SEEN, "Valid", proof(witnesses=twice))
    code = log_view("quorum")
    add.report("no witness", code, "Quorum", proof())
    add.report("one witness", code, "Quorum", proof(witnesses=witnesses(2)))
    same = witnesses(2) + witnesses(2, time=actors.TIME_S + 90)
    add.report("one witness twice", code, "Quorum", proof(witnesses=same))
    add.report("unlisted witnesses", code, "Quorum", proof(witnesses=witnesses(4, 5, 6)))
    impostor = ((witness_name(1), witness_seed(4), actors.TIME_S + 30), *witnesses(2))
    add.report("a listed name with another key", code, "Quorum", proof(witnesses=impostor))
    renamed = (("witness9.example", witness_seed(1), actors.TIME_S + 30), *witnesses(2))
    add.report("a listed key under another name", code, "Quorum", proof(witnesses=renamed))
    quorum_and_more = proof(witnesses=witnesses(1))
    quorum_and_more.record = quorum_and_more.record[:-1] + bytes([quorum_and_more.record[-1] ^ 1])
    both = ("mismatch", "root-mismatch", "quorum", "not-recounted")
    add.report("no quorum, and a forged record", both, "Quorum", quorum_and_more)
    base = proof(witnesses=witnesses(1, 2, 3))
    for comment, failed, change in (
        ("bit of the time", "mismatch", (7, None)),
        ("bit of R", "mismatch", (8, None)),
        ("bit of S", "mismatch", (40, None)),
        ("time 2^53", "malformed", (0, uint(2**53, 8))),
    ):
        at, data = change

        def edit(lines: list[str], at: int = at, data: bytes | None = data) -> list[str]:
            value = data or bytes([byte_of(lines, 4, at) ^ 1])
            return payload(lines, 4, at, value)

        case = replace(base, lines=edit)
        add.report(f"third witness: {comment}", head_stops(failed), "WitnessLine", case)
    case = replace(base, lines=lambda lines: cut(lines, 4, 71))
    add.report("third witness: 71 bytes", head_stops("malformed"), "WitnessLine", case)
    case = replace(base, lines=lambda li: [*li, *payload(li, 2, 7, b"\x00")[2:3]])
    add.report("a wrong second line of a witness", head_stops("mismatch"), "WitnessLine", case)
    plain = [ed25519_public(witness_seed(1)), witness_seed(1)]
    identifier = note.parse_vkey(add.policy.split("witness W1 ")[1].split("\n")[0]).key_id
    text = base.text()
    as_log = head.ed25519_line(witness_name(1), plain[1], plain[0], text).split()[2]
    raw = note.unb64(as_log, "note-format")[4:]
    bare = note.line(witness_name(1), identifier, raw)
    case = replace(proof(witnesses=witnesses(2, 3)), lines=lambda lines: [*lines, bare])
    add.report("a plain signature as cosignature", head_stops("malformed"), "WitnessLine", case)
    ml_dsa = note.vkey("m.example", note.ML_DSA_COSIGNATURE, bytes(1_312))
    with_m = f"{WITNESSED.split('group')[0]}witness M {ml_dsa}\ngroup G 2 W1 W2 W3 M\nquorum G\n"
    junk = note.line("m.example", note.parse_vkey(ml_dsa).key_id, bytes(2_428))
    third = Adder(suite, with_m)
    case = replace(proof(witnesses=witnesses(1, 2)), lines=lambda lines: [*lines, junk])
    third.report("a line of an ML-DSA witness is not looked at", SEEN, "MlDsa", case)
    case = replace(proof(witnesses=witnesses(1)), lines=lambda lines: [*lines, junk])
    third.report("a line of an ML-DSA witness does not count", log_view("quorum"), "MlDsa", case)
    listed_none = Adder(suite, f"{WITNESSED.split('group')[0]}quorum none\n")
    case = replace(base, lines=lambda lines: cut(lines, 4, 71))
    listed_none.report(
        "quorum none, a listed witness fails", head_stops("malformed"), "WitnessLine", case
    )
    listed_none.report("quorum none, no cosignature", GOOD, "Valid", proof())


def ages(suite: Suite) -> None:
    """A maximal age."""
    add = Adder(suite, PINNED)
    signed = proof().timestamp
    for age, code, flag in ((60, "not-witnessed", "Valid"), (61, "too-old", "Age")):
        add.report(
            f"{age} s after the head, at most 60",
            log_view(code),
            flag,
            proof(),
            now=str(signed + age),
            maxAge=60,
        )
    add.report("the head is in the future", GOOD, "Valid", proof(), now="0", maxAge=60)
    add.report("no maximal age", GOOD, "Valid", proof(), now=str(signed + 10**9))
    seen = Adder(suite, WITNESSED)
    cosigned = proof(witnesses=witnesses(1, 2, 3, time=signed + 100))  # witnessed at signed + 102
    for age, code, flag in ((162, "", "Valid"), (163, "too-old", "Age")):
        seen.report(
            f"{age} s after the head, witnessed 102 s after it",
            log_view(code),
            flag,
            cosigned,
            now=str(signed + age),
            maxAge=60,
        )
    again = witnesses(1, 2, time=signed) + witnesses(1, 2, time=signed + 100)
    for age, code, flag in ((161, "", "Valid"), (162, "too-old", "Age")):
        seen.report(
            f"{age} s after the head, both witnesses twice, the later time 101 s after it",
            log_view(code),
            flag,
            proof(witnesses=again[2:] + again[:2]),
            now=str(signed + age),
            maxAge=60,
        )
    seen.report(
        "too old, and no quorum",
        log_view("quorum"),
        "Quorum",
        proof(),
        now=str(signed + 10**6),
        maxAge=60,
    )
