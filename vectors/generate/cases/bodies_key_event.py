"""bodies_key_event.json: genesis, rotate and close."""

from typing import Any

from vectors.generate import bodycases
from vectors.generate.actors import (
    ED25519,
    KEYS,
    LOG_ID,
    NEXT_HASHES,
    SECRETS,
    changed,
    genesis,
)
from vectors.generate.bodycases import Builder
from vectors.generate.rules import bodies, curve, eip712
from vectors.generate.rules.primitives import ZEROS, sha256
from vectors.generate.suite import Suite

ROOT = sha256(b"root of the log before")


def rotate(**changes: Any) -> dict[int, Any]:
    """Return a scheduled rotation to the second key."""
    digest = eip712.rotation_digest(LOG_ID, 1, NEXT_HASHES[2])
    body = {
        1: 1,
        3: KEYS[1],
        4: ED25519,
        5: NEXT_HASHES[2],
        8: 0,
        10: curve.sign(SECRETS[1], digest),
    }
    return changed(body, changes)


def close(**changes: Any) -> dict[int, Any]:
    """Return a close by the second key."""
    digest = eip712.rotation_digest(LOG_ID, 1, ZEROS)
    body = {1: 2, 3: KEYS[1], 4: ED25519, 8: 4, 10: curve.sign(SECRETS[1], digest)}
    return changed(body, changes)


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bodies_key_event",
        "key-event-body",
        "7.4 Key event (type 0)",
        bodycases.DECODED,
        bodycases.IN_RECORD,
        bodycases.JSON_FORM,
    )
    names = ("Encoding", "Shape", "Missing", "Type", "Empty", "Value", "Unknown", "Extension")
    bodycases.flags(suite, *names, "UnknownValue", valid="ENC-26")
    flags(suite)
    builder = Builder(suite, bodies.KEY)
    valid(builder)
    base = genesis()
    builder.encoding(base)
    builder.required(base)
    builder.typed(base)
    builder.lengths(base)
    builder.extensions(base)
    for part in (origins, points, presence, suspects, predecessors):
        part(builder)
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags of key events alone."""
    suite.flag(
        "Origin", "STRUCTURE", "An origin outside the grammar.", "Look-alike log names.", "ID-1"
    )
    suite.flag(
        "Point",
        "STRUCTURE",
        "Key 3 is no compressed point of the curve.",
        "No signature could ever verify.",
        "BODY-14",
    )
    suite.flag(
        "Presence",
        "AUTHORIZATION",
        "A field that this kind of event must or must not have.",
        "An event with two meanings.",
        "BODY-7 BODY-11 BODY-12",
    )
    suite.flag(
        "Suspect",
        "AUTHORIZATION",
        "suspect_from against reason and index.",
        "A rotation that casts doubt on what comes after it, or on nothing.",
        "BODY-7 BODY-10 BODY-13",
    )
    suite.flag(
        "UnknownKind",
        "STRUCTURE",
        "A kind that version 1 does not have: its body decodes, its history cannot be checked.",
        "A reader that calls it wrong raises a false alarm.",
        "BODY-15 ENC-20",
    )


def valid(builder: Builder) -> None:
    """Events of every kind."""
    add = builder.valid
    add("genesis of the known answers", genesis())
    add("genesis of a log that cannot rotate", genesis(f5=ZEROS))
    add("genesis with zero delays", genesis(f6=0, f7=0))
    add("genesis that succeeds another log", genesis(f11=[LOG_ID, 41, ROOT]))
    add("genesis in its record", genesis(), index=0)
    for origin in ("a", "a.b~c_d-e/f", "0" * 255, "nous.invalid/" + "0f" * 16):
        add(f"origin of {len(origin)} bytes {origin[:40]}", genesis(f2=origin), "Origin")
    add("scheduled rotation", rotate())
    add("rotation with another Ed25519 key", rotate(f4=bytes(31) + b"\x01"))
    for reason, name in ((1, "suspected"), (2, "compromised")):
        add(f"rotation, {name}", rotate(f8=reason, f9=3), "Suspect")
    add("rotation, lost", rotate(f8=3))
    add("rotation with an unknown reason", rotate(f8=9), "UnknownValue")
    add("close", close())
    add("close under a next_hash of zeros", close(f10=None))
    add("scheduled close", close(f8=0))
    add("close, compromised", close(f8=2, f9=0), "Suspect")
    add("suspect from the event's own index", rotate(f8=1, f9=7), "Suspect", index=7, epoch=1)
    add("a rotation signature of zeros is not looked at here", rotate(f10=bytes(65)))
    add("unknown kind with the fields of all", {**genesis(), **rotate(), 1: 3}, "UnknownKind")
    late = {1: 3, 3: KEYS[0], 4: ED25519, 9: 8}
    add("unknown kind, suspect from above its index", late, "UnknownKind", index=7)
    add("unknown kind with required fields only", {1: 9, 3: KEYS[0], 4: ED25519}, "UnknownKind")


def origins(builder: Builder) -> None:
    """Origins outside the grammar."""
    names = (
        "Ledger.example.com",
        "ledger.example.com/",
        "/ledger",
        ".ledger",
        "-ledger",
        "ledger-",
        "ledger~",
        "ledger main",
        "ledger+main",
        "ledger:8080",
        "lédger",
        "https://ledger.example.com",
    )
    for name in names:
        builder.invalid(f"origin {name}", "bad-value", genesis(f2=name), "Origin")
    builder.invalid("origin with NUL", "bad-string", genesis(f2="a\x00b"), "Encoding")


def points(builder: Builder) -> None:
    """Key 3 that is no point."""
    x = KEYS[0][1:]
    no_root = next(n for n in range(1, 99) if curve.lift_x(n, 0) is None).to_bytes(32, "big")
    cases = {
        "an uncompressed prefix 04": b"\x04" + x,
        "prefix 00": b"\x00" + x,
        "prefix 05": b"\x05" + x,
        "an x without y": b"\x02" + no_root,
        "x = p": b"\x02" + curve.SECP256K1.p.to_bytes(32, "big"),
        "x = p + 1": b"\x02" + (curve.SECP256K1.p + 1).to_bytes(32, "big"),
        "x of 32 bytes ff": b"\x03" + b"\xff" * 32,
        "zeros": bytes(33),
    }
    for comment, key in cases.items():
        builder.invalid(f"key 3: {comment}", "bad-value", genesis(f3=key), "Point")


def presence(builder: Builder) -> None:
    """Fields that a kind must or must not have."""
    add = builder.invalid
    names = {key: row[0] for key, row in bodies.KEY_EVENT_FIELDS.items()}
    every = {**genesis(), **rotate(), 9: 0, 11: [LOG_ID, 41, ROOT]}
    for base, kind, due, excluded in (
        (genesis(), "genesis", (2, 5, 6, 7), (8, 9, 10)),
        (rotate(), "rotate", (5, 8, 10), (2, 6, 7, 9, 11)),
        (close(), "close", (8,), (2, 5, 6, 7, 9, 11)),
    ):
        for key in due:
            body = bodycases.without(base, key)
            add(f"{kind} without {names[key]}", "field-conflict", body, "Presence")
        for key in excluded:
            body = {**base, key: every[key]}
            add(f"{kind} with {names[key]}", "field-conflict", body, "Presence")
    add("rotate to a next_hash of zeros", "field-conflict", rotate(f5=ZEROS), "Presence")
    add("rotate with reason closed", "field-conflict", rotate(f8=4), "Presence")
    add("a salt", "unknown-field", {0: bytes(16), **genesis()}, "Unknown")
    add("unknown kind with field 12", "unknown-field", {**rotate(f1=3), 12: 0}, "Unknown")


def suspects(builder: Builder) -> None:
    """suspect_from where it does not belong, or where it is due."""
    add = builder.invalid
    for reason in (1, 2):
        for base, kind in ((rotate(f8=reason), "rotate"), (close(f8=reason), "close")):
            add(f"{kind}, reason {reason}, no suspect_from", "field-conflict", base, "Suspect")
    for reason in (0, 3, 9):
        add(
            f"rotate, reason {reason}, suspect_from",
            "field-conflict",
            rotate(f8=reason, f9=1),
            "Suspect",
        )
    add(
        "suspect from one above the event's index",
        "index-order",
        rotate(f8=1, f9=8),
        "Suspect",
        index=7,
        epoch=1,
    )
    add(
        "close suspects what is not yet",
        "index-order",
        close(f8=2, f9=2**53 - 1),
        "Suspect",
        index=7,
        epoch=1,
    )


def predecessors(builder: Builder) -> None:
    """Faults inside the predecessor."""
    add = builder.invalid
    add("predecessor of 2", "bad-value", genesis(f11=[LOG_ID, 41]), "Value")
    add("predecessor of 4", "bad-value", genesis(f11=[LOG_ID, 41, ROOT, 0]), "Value")
    add("predecessor log_id of 31 bytes", "bad-value", genesis(f11=[LOG_ID[1:], 41, ROOT]), "Value")
    add(
        "predecessor root of 33 bytes", "bad-value", genesis(f11=[LOG_ID, 41, ROOT + b"0"]), "Value"
    )
    add("predecessor count as text", "wrong-type", genesis(f11=[LOG_ID, "41", ROOT]), "Type")
    add("predecessor as a map", "wrong-type", genesis(f11={1: LOG_ID, 2: 41, 3: ROOT}), "Type")
    add("predecessor root empty", "empty-value", genesis(f11=[LOG_ID, 41, b""]), "Empty")
