"""log_ids.json: self-certifying log ids and the hash of the next key."""

from typing import Any

from vectors.generate import actors
from vectors.generate.rules import bodies, fields, primitives
from vectors.generate.rules.checks import require
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import ZEROS, sha256
from vectors.generate.suite import Json, Suite, unhex


def compute(case: Json) -> Json:
    """Compute a log id; the origin is an argument here."""
    primitives.check_origin(case["origin"], "input")
    parts = (unhex(case[name]) for name in ("secp256k1", "ed25519", "nextHash"))
    return {"logId": primitives.log_id(case["origin"], *parts).hex()}


def next_hash(case: Json) -> Json:
    """Compute the hash of a next key."""
    return {"nextHash": primitives.next_key_hash(unhex(case["secp256k1"])).hex()}


def pinned(case: Json) -> Json:
    """Compare a genesis with the origin and log id that a verifier pinned."""
    body = bodies.decode(bodies.KEY, unhex(case["body"]))
    event = fields.named(body, bodies.KEY_EVENT_FIELDS)
    require(event["origin"] == case["origin"], "log-id")
    parts = (event["secp256k1"], event["ed25519"], event["next_hash"])
    found = primitives.log_id(event["origin"], *parts)
    require(found.hex() == case["logId"], "log-id")
    return {}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "log_ids",
        "log-id",
        "6.1 compute_log_id",
        "LogId: the log id of origin, first keys and next hash.",
        "NextHash: the hash of a next key.",
        "Genesis: `body` is the genesis of the log that `origin` and `logId` pin, or not.",
    )
    suite.flag("Valid", "BASIC", "Values in order.", "None.", "ID-2 ID-3 KEY-18")
    suite.flag("Origin", "STRUCTURE", "An origin outside the grammar.", "Look-alikes.", "ID-1")
    suite.flag(
        "OtherLog",
        "FORGERY",
        "A genesis that differs from the pinned one in one field.",
        "Another log passes for the trusted one.",
        "ID-3 KEY-18",
    )
    computing(suite)
    group = suite.group("Genesis", pinned, origin=actors.ORIGIN, logId=actors.LOG_ID.hex())
    group.valid("the pinned genesis", "Valid", body=pack(actors.genesis()).hex())
    for name, seconds in (("f6", 61), ("f7", 0)):
        body = pack(actors.genesis(**{name: seconds})).hex()
        group.valid(f"a delay is not in the log id: {name[1:]}", "Valid", body=body)
    changes: dict[str, dict[str, Any]] = {
        "another origin": {"f2": "ledger.example.com/main2"},
        "origin and its length shifted": {"f2": "ledger.example.com/mai"},
        "another secp256k1 key": {"f3": actors.KEYS[2]},
        "the same x, other parity": {"f3": bytes([actors.KEYS[0][0] ^ 1]) + actors.KEYS[0][1:]},
        "another Ed25519 key": {"f4": actors.OTHER_ED25519},
        "another next hash": {"f5": actors.NEXT_HASHES[2]},
        "a next hash of zeros": {"f5": ZEROS},
        "one bit of the next hash": {"f5": actors.NEXT_HASHES[1][:-1] + b"\x3e"},
    }
    for comment, change in changes.items():
        body = pack(actors.genesis(**change)).hex()
        group.invalid(comment, "log-id", "OtherLog", body=body)
    other = suite.group(
        "Genesis", pinned, origin="ledger.example.com/two", logId=actors.LOG_ID.hex()
    )
    other.invalid(
        "the name differs from the genesis, the log id fits",
        "log-id",
        "OtherLog",
        body=pack(actors.genesis()).hex(),
    )
    hashed = sha256(pack(actors.genesis()))
    group = suite.group("Genesis", pinned, origin=actors.ORIGIN, logId=hashed.hex())
    group.invalid(
        "the hash of the body is not the log id",
        "log-id",
        "OtherLog",
        body=pack(actors.genesis()).hex(),
    )
    return suite


def computing(suite: Suite) -> None:
    """Log ids and next hashes."""
    hashes = suite.group("NextHash", next_hash)
    for number in (0, 1, 2):
        key = actors.KEYS[number].hex()
        hashes.valid(f"key {number}", "Valid", secp256k1=key)
    assert hashes.tests[1]["nextHash"].startswith("78e611d5597ac12f")
    keys = {"secp256k1": actors.KEYS[0].hex(), "ed25519": actors.ED25519.hex()}
    group = suite.group("LogId", compute, **keys, nextHash=actors.NEXT_HASHES[1].hex())
    group.valid("the known answer", "Valid", origin=actors.ORIGIN)
    known = "f8d642a452bf6eacc11c69876a4166976bfecbd9d04fbd1223b232a5aab073fe"
    assert group.tests[0]["logId"] == known
    for origin in ("a", "0", "nous.invalid/" + "00" * 16, "a/b~c_d.e-f", "z" * 255):
        group.valid(f"origin {origin[:40]} of {len(origin)}", "Valid", origin=origin)
    bad = ("", "A", "a" * 256, "-a", "a-", "a b", "a+b", "a:1", "a\n", "é", "a/", ".a", "a?b")
    for origin in bad:
        group.invalid(f"origin {origin[:40]!r} of {len(origin)}", "input", "Origin", origin=origin)
    frozen = suite.group("LogId", compute, **keys, nextHash=ZEROS.hex())
    frozen.valid("a log that cannot rotate", "Valid", origin=actors.ORIGIN)
