"""commitments.json: openings, commitments, pseudonyms and the hash of raw usage."""

from vectors.generate import actors
from vectors.generate.rules import primitives
from vectors.generate.rules.checks import require
from vectors.generate.suite import Group, Json, Suite, unhex

TAGS = ("request", "response", "forwarded")


def commit(case: Json) -> Json:
    """Commit to a body."""
    made = primitives.commitment(case["which"], unhex(case["opening"]), unhex(case["body"]))
    return {"commitment": made.hex()}


def verify(case: Json) -> Json:
    """Compare a body with its commitment."""
    opening = unhex(case["opening"])
    require(len(opening) == 32, "input")
    made = primitives.commitment(case["which"], opening, unhex(case["body"]))
    require(made.hex() == case["commitment"], "commitment-mismatch")
    return {}


def opening(case: Json) -> Json:
    """Hash an opening."""
    return {"openingHash": primitives.opening_hash(unhex(case["opening"])).hex()}


def subject(case: Json) -> Json:
    """Compute a pseudonym."""
    parts = (unhex(case["logSecret"]), case["kind"], unhex(case["credential"]))
    return {"subject": primitives.subject(*parts).hex()}


def usage(case: Json) -> Json:
    """Hash usage values."""
    values = [text.encode() for text in case["values"]]
    return {"rawUsageHash": primitives.raw_usage_hash(values).hex()}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "commitments",
        "commitment",
        "8.5 Subject, 8.6 Commitments, 8.7 raw_usage_hash",
        "Commit: the commitment of a body under an opening. Verify: a body against a commitment.",
        "OpeningHash, Subject, RawUsageHash: known answers.",
    )
    flags(suite)
    known(suite)
    group = suite.group("Verify", verify)
    texts = {"request": actors.REQUEST, "response": actors.RESPONSE, "forwarded": actors.FORWARDED}
    for which, body in texts.items():
        altered(group, which, body)
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "Content and commitment agree.", "None.", "COMM-4")
    effect = "Other content passes as that of the call."
    for name, description, ids in (
        ("Commitment", "The commitment of a body.", "COMM-1 COMM-2"),
        ("Opening", "The hash that a gateway keeps of an opening.", "COMM-3 SERV-7"),
        ("Subject", "The pseudonym of a credential.", "SUBJ-1"),
        ("RawUsage", "The hash over usage values.", "USAGE-1"),
        ("Altered", "The body differs from the one committed to.", "COMM-4"),
        ("OtherOpening", "Another opening.", "COMM-4"),
        ("OtherTag", "A commitment made for another purpose.", "COMM-4"),
        ("Length", "An opening of another length.", "COMM-5"),
    ):
        suite.flag(name, "FORGERY", description, effect, ids)


def known(suite: Suite) -> None:
    """Known answers."""
    group = suite.group("Commit", commit, opening=actors.OPENING.hex())
    for which in TAGS:
        for body in (b"", actors.REQUEST):
            comment = f"{which} of {len(body)} bytes"
            group.valid(comment, "Commitment", which=which, body=body.hex())
    group = suite.group("OpeningHash", opening)
    for byte in (0x00, 0x88):
        group.valid(f"opening of bytes {byte:02x}", "Opening", opening=(bytes([byte]) * 32).hex())
    group = suite.group("Subject", subject, logSecret=actors.LOG_SECRET.hex())
    for kind, credential in (
        (1, b"client-token"),
        (2, actors.CREDENTIAL),
        (3, b"AKIAEXAMPLE"),
        (4, bytes(32)),
        (5, b"account"),
        (6, b""),
        (7, b"nous-v2\x00178ea61e753a78d64b99c7efb4cf1929"),
    ):
        comment = f"kind {kind}"
        group.valid(comment, "Subject", kind=kind, credential=credential.hex())
    group = suite.group("RawUsageHash", usage)
    for values in (
        ["{}"],
        ['{"prompt_tokens":12,"completion_tokens":4}'],
        ['{"input_tokens":3}', '{"output_tokens": 5}'],
        ['{"a":1}', '{"a":1}'],
        ["{ }", "7", '"é"'],
        ["{}"] * 16,
    ):
        group.valid(f"{len(values)} values, {values[0]}", "RawUsage", values=values)


def altered(group: Group, which: str, body: bytes) -> None:
    """One body right, and everything that can be wrong about it."""
    key = actors.OPENING
    base = {
        "which": which,
        "opening": key.hex(),
        "body": body.hex(),
        "commitment": primitives.commitment(which, key, body).hex(),
    }
    group.valid(f"{which}", "Valid", **base)
    add, code = group.invalid, "commitment-mismatch"
    for comment, other in {
        "a byte more": body + b"\n",
        "a byte less": body[:-1],
        "a bit flipped": bytes([body[0] ^ 1]) + body[1:],
        "no body": b"",
        "the same JSON with a space": body.replace(b":", b": ", 1),
    }.items():
        add(f"{which}: {comment}", code, "Altered", **{**base, "body": other.hex()})
    flipped = bytes([key[0] ^ 1]) + key[1:]
    add(
        f"{which}: a bit of the opening", code, "OtherOpening", **{**base, "opening": flipped.hex()}
    )
    add(f"{which}: an opening of zeros", code, "OtherOpening", **{**base, "opening": "00" * 32})
    for other_tag in TAGS:
        if other_tag != which:
            made = primitives.commitment(other_tag, key, body).hex()
            comment = f"{which}: committed to as {other_tag}"
            add(comment, code, "OtherTag", **{**base, "commitment": made})
    wrong = bytes([unhex(base["commitment"])[0] ^ 1]).hex() + base["commitment"][2:]
    add(f"{which}: a bit of the commitment", code, "Altered", **{**base, "commitment": wrong})
    swapped = primitives.commitment(which, body[:32].ljust(32, b"\x00"), key).hex()
    add(f"{which}: key and message swapped", code, "OtherTag", **{**base, "commitment": swapped})
    for size in (0, 16, 31, 33, 64):
        comment = f"{which}: an opening of {size} bytes"
        add(comment, "input", "Length", **{**base, "opening": "88" * size})
