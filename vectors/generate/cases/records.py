"""records.json: the 120 bytes, their digest, leaf and signature."""

from vectors.generate import actors
from vectors.generate.rules import curve, record
from vectors.generate.rules.checks import MAX_UINT
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import sha256, uint
from vectors.generate.suite import Group, Json, Suite, unhex

BODY = pack({0: actors.SALT})  # a digest vector, not a valid receipt
SIGNED = record.header(1, 0, 7, actors.TIME_MS, sha256(BODY))
RECORD = record.make(actors.SECRETS[0], actors.LOG_ID, SIGNED)
ORDER = curve.SECP256K1.n


def decode(case: Json) -> Json:
    """Decode a record."""
    raw = unhex(case["record"])
    found = record.decode(raw)
    return {
        "json": {
            "version": found.version,
            "type": found.type,
            "epoch": found.epoch,
            "index": found.index,
            "logged_at": found.logged_at,
            "body_hash": found.body_hash.hex(),
            "r": raw[55:87].hex(),
            "s": raw[87:119].hex(),
            "v": raw[119],
        },
        "leaf": found.leaf.hex(),
    }


def verify(case: Json) -> Json:
    """Verify the signature of a record."""
    raw = unhex(case["record"])
    record.verify(record.decode(raw), unhex(case["logId"]), unhex(case["publicKey"]))
    return {"digest": record.digest(unhex(case["logId"]), raw[:55]).hex()}


def sign(case: Json) -> Json:
    """Make a record: RFC 6979 makes it one."""
    signed = record.header(
        case["recordType"],
        case["epoch"],
        int(case["index"]),
        int(case["loggedAt"]),
        unhex(case["bodyHash"]),
    )
    secret = int(case["privateKey"], 16)
    return {"record": record.make(secret, unhex(case["logId"]), signed).hex()}


def verify_signature(case: Json) -> Json:
    """Verify a signature over a digest."""
    curve.verify(*(unhex(case[name]) for name in ("digest", "signature", "publicKey")))
    return {}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "records",
        "record",
        "7.1 The record",
        "Decode: the fields of `record` and its leaf hash.",
        "Sign: the one record that these fields, key and log id give.",
        "Verify: the signature of `record` for `logId` under `publicKey`.",
        "Signature: `signature` over `digest` under `publicKey` (6.3).",
    )
    flags(suite)
    decoding(suite.group("Decode", decode))
    keys = {"logId": actors.LOG_ID.hex(), "privateKey": f"{actors.SECRETS[0]:064x}"}
    signing(suite.group("Sign", sign, **keys))
    public = {"logId": actors.LOG_ID.hex(), "publicKey": actors.KEYS[0].hex()}
    verifying(suite.group("Verify", verify, **public))
    plain(suite.group("Signature", verify_signature))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag(
        "Valid", "BASIC", "A record in order.", "None.", "REC-1 REC-5 REC-6 KEY-3 REC-9 ENC-26"
    )
    suite.flag("Length", "PARSING", "Not 120 bytes.", "Another leaf.", "REC-1")
    suite.flag("Version", "PARSING", "Version 0.", "Not a record.", "REC-2")
    suite.flag(
        "NewerVersion",
        "PARSING",
        "A version above 1.",
        "A later record read by the rules of today.",
        "REC-3 VERS-1",
    )
    suite.flag("Range", "RANGE", "A number above 2^53 - 1.", "Readers round it.", "REC-4 TYPE-1")
    suite.flag(
        "Altered",
        "FORGERY",
        "A signed byte, the log or the key is another.",
        "A record that the log never made.",
        "REC-5 REC-7 KEY-9",
    )
    suite.flag(
        "SignatureShape",
        "MALLEABILITY",
        "r, s or v outside the range.",
        "A second leaf from a first signature.",
        "REC-7 KEY-6 KEY-7 KEY-8 KEY-5",
    )
    suite.flag(
        "HalfOrder",
        "RANGE",
        "s at the border of the lower half.",
        "A rare signature refused, or a second form of it accepted.",
        "KEY-7",
    )
    suite.flag(
        "Precedence",
        "PARSING",
        "Several faults of one signature.",
        "Implementations would report different codes.",
        "KEY-10",
    )


def edited(raw: bytes, at: int, value: bytes) -> str:
    """Return the hex of a record with some bytes replaced."""
    return (raw[:at] + value + raw[at + len(value) :]).hex()


def decoding(group: Group) -> None:
    """Decoding alone: the signature is not looked at."""
    group.valid("the known answer", "Valid", record=RECORD.hex())
    for kind in (0, 5, 6, 9, 1_023, 1_024, 65_535):
        group.valid(f"type {kind}", "Valid", record=edited(RECORD, 1, uint(kind, 2)))
    group.valid("largest epoch field", "Valid", record=edited(RECORD, 3, b"\xff" * 4))
    group.valid("largest index", "Valid", record=edited(RECORD, 7, uint(MAX_UINT, 8)))
    group.valid("largest logged_at", "Valid", record=edited(RECORD, 15, uint(MAX_UINT, 8)))
    group.valid("a signature of zeros", "Valid", record=edited(RECORD, 55, bytes(65)))
    group.invalid("no bytes", "record-length", "Length", record="")
    group.invalid("55 bytes", "record-length", "Length", record=RECORD[:55].hex())
    group.invalid("119 bytes", "record-length", "Length", record=RECORD[:119].hex())
    group.invalid("121 bytes", "record-length", "Length", record=RECORD.hex() + "00")
    group.invalid("with a length prefix", "record-length", "Length", record="0078" + RECORD.hex())
    group.invalid("version 0", "record-version", "Version", record=edited(RECORD, 0, b"\x00"))
    for version in (2, 3, 127, 128, 255):
        raw = edited(RECORD, 0, bytes([version]))
        group.invalid(f"version {version}", "newer-version", "NewerVersion", record=raw)
    for name, at in (("index", 7), ("logged_at", 15)):
        for number, text in ((2**53, "2^53"), (2**64 - 1, "2^64 - 1")):
            raw = edited(RECORD, at, uint(number, 8))
            group.invalid(f"{name} {text}", "record-range", "Range", record=raw)


def signing(group: Group) -> None:
    """Records that a signer makes."""

    def valid(comment: str, numbers: tuple[int, int, int, int], body: bytes) -> None:
        kind, epoch, index, logged_at = numbers
        group.valid(
            comment,
            "Valid",
            recordType=kind,
            epoch=epoch,
            index=str(index),
            loggedAt=str(logged_at),
            bodyHash=sha256(body).hex(),
        )

    valid("the known answer", (1, 0, 7, actors.TIME_MS), BODY)
    assert group.tests[-1]["record"] == RECORD.hex()
    for number in range(1, 8):
        numbers = (number % 6, number, number, actors.TIME_MS + number)
        valid(f"record {number}", numbers, bytes([number]))
    valid("every number at its largest", (65_535, 2**32 - 1, MAX_UINT, MAX_UINT), b"")


def verifying(group: Group) -> None:
    """Signatures right and wrong."""
    r, s, v = RECORD[55:87], RECORD[87:119], RECORD[119]
    group.valid("the known answer", "Valid", record=RECORD.hex())
    unknown = record.header(1_024, 0, 7, actors.TIME_MS, sha256(BODY))
    unknown = record.make(actors.SECRETS[0], actors.LOG_ID, unknown)
    group.valid("an unknown type", "Valid", record=unknown.hex())
    for name, at in (("type", 2), ("epoch", 6), ("index", 14), ("logged_at", 22)):
        raw = edited(RECORD, at, bytes([RECORD[at] ^ 1]))
        group.invalid(f"another {name}", "mismatch", "Altered", record=raw)
    for at in (23, 54):
        raw = edited(RECORD, at, bytes([RECORD[at] ^ 0x80]))
        group.invalid(f"body_hash altered at byte {at}", "mismatch", "Altered", record=raw)
    for at in (55, 86, 88, 118):
        raw = edited(RECORD, at, bytes([RECORD[at] ^ 1]))
        group.invalid(f"signature altered at byte {at}", "mismatch", "Altered", record=raw)
    raw = edited(RECORD, 119, bytes([v ^ 1]))
    group.invalid("the other recovery id", "mismatch", "Altered", record=raw)
    other = record.make(actors.SECRETS[1], actors.LOG_ID, SIGNED)
    group.invalid("signed by the next key", "mismatch", "Altered", record=other.hex())
    other = record.make(actors.SECRETS[0], sha256(b"another log"), SIGNED)
    group.invalid("signed for another log", "mismatch", "Altered", record=other.hex())
    no_point = next(n for n in range(1, 99) if curve.lift_x(n, 0) is None)
    raw = edited(RECORD, 55, uint(no_point, 32))
    group.invalid("r is no x-coordinate", "mismatch", "Altered", record=raw)
    flag = "SignatureShape"
    for number, name in ((0, "0"), (ORDER, "n"), (2**256 - 1, "2^256 - 1")):
        raw = edited(RECORD, 55, uint(number, 32))
        group.invalid(f"r = {name}", "malformed", flag, record=raw)
        raw = edited(RECORD, 87, uint(number, 32))
        group.invalid(f"s = {name}", "malformed", flag, record=raw)
    high = uint(ORDER - int.from_bytes(s, "big"), 32)
    raw = edited(RECORD, 55, r + high + bytes([v ^ 1]))
    group.invalid("n - s with the other recovery id", "high-s", flag, record=raw)
    raw = edited(RECORD, 87, uint(ORDER // 2 + 1, 32))
    group.invalid("s one above n/2", "high-s", flag, record=raw)
    for value in (2, 3, 4, 27, 28, 255):
        raw = edited(RECORD, 119, bytes([value]))
        group.invalid(f"recovery id {value}", "bad-recovery-id", flag, record=raw)
    flag = "Precedence"
    raw = edited(RECORD, 55, bytes(32) + high + b"\x1b")
    group.invalid("r = 0, high s, recovery id 27", "malformed", flag, record=raw)
    raw = edited(RECORD, 55, r + high + b"\x1b")
    group.invalid("high s, recovery id 27", "high-s", flag, record=raw)
    raw = edited(RECORD, 54, bytes([RECORD[54] ^ 1]) + r + s + b"\x02")
    group.invalid("recovery id 2, altered", "bad-recovery-id", flag, record=raw)


def plain(group: Group) -> None:
    """Signatures by themselves, of every length, and s at n/2."""
    digest = record.digest(actors.LOG_ID, SIGNED)
    good = RECORD[55:]
    known = {"digest": digest.hex(), "publicKey": actors.KEYS[0].hex()}
    group.valid("65 bytes", "Valid", **known, signature=good.hex())
    lengths = {0: b"", 1: good[:1], 64: good[:64], 66: good + b"\x00", 130: good + good}
    for size, data in lengths.items():
        group.invalid(f"{size} bytes", "malformed", "SignatureShape", **known, signature=data.hex())
    nonce = actors.SECRETS[2]  # any number: here s is chosen and the key follows
    point = curve.public_point(curve.SECP256K1, nonce)
    half = ORDER // 2
    for comment, s, error in (
        ("s = (n - 1)/2", half, ""),
        ("s = (n + 1)/2", half + 1, "high-s"),
        ("s = 1", 1, ""),
        ("s = n - 1", ORDER - 1, "high-s"),
    ):
        secret = (s * nonce - int.from_bytes(digest, "big")) * pow(point[0], -1, ORDER) % ORDER
        key = curve.compress(curve.public_point(curve.SECP256K1, secret))
        signature = uint(point[0], 32) + uint(s, 32) + bytes([point[1] & 1])
        case = {"digest": digest.hex(), "publicKey": key.hex(), "signature": signature.hex()}
        if error:
            group.invalid(comment, error, "HalfOrder", **case)
        else:
            group.valid(comment, "HalfOrder", **case)
