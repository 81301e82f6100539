"""eip712.json: type hashes, the domain separator, and digests."""

from vectors.generate import actors
from vectors.generate.rules import curve, eip712
from vectors.generate.rules.checks import MAX_UINT
from vectors.generate.rules.primitives import ZEROS, sha256
from vectors.generate.suite import Json, Suite, unhex

ROOT = bytes(range(32))


def type_hash(case: Json) -> Json:
    """Hash a type string."""
    return {"typeHash": eip712.type_hash(case["typeString"]).hex()}


def head(case: Json) -> Json:
    """Digest a head."""
    log, root = unhex(case["logId"]), unhex(case["root"])
    count, time = int(case["leafCount"]), int(case["timestamp"])
    return {"digest": eip712.head_digest(log, case["epoch"], count, root, time).hex()}


def rotation(case: Json) -> Json:
    """Digest a rotation."""
    next_hash = unhex(case["nextHash"])
    return {"digest": eip712.rotation_digest(unhex(case["logId"]), case["epoch"], next_hash).hex()}


def binding(case: Json) -> Json:
    """Digest a binding."""
    log, subject, wallet = (unhex(case[name]) for name in ("logId", "subject", "wallet"))
    nonce, deadline = (int(case[name]) for name in ("nonce", "deadline"))
    return {"digest": eip712.binding_digest(log, subject, wallet, nonce, deadline).hex()}


def address(case: Json) -> Json:
    """Give the address of a key."""
    point = curve.public_point(curve.SECP256K1, int(case["privateKey"], 16))
    return {
        "publicKey": curve.compress(point).hex(),
        "address": "0x" + actors.curve_address(point).hex(),
    }


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "eip712",
        "eip-712",
        "6.4 EIP-712 digests",
        "TypeHash: keccak of a type string. Digest groups: what is signed for these members.",
        f"The domain separator is {eip712.DOMAIN_SEPARATOR.hex()}.",
    )
    suite.flag(
        "KnownAnswer",
        "BASIC",
        "A value that every implementation computes alike.",
        "Contracts, wallets and verifiers disagree about what was signed.",
        "KEY-13 KEY-14 KEY-15 KEY-16",
    )
    known = eip712.DOMAIN_SEPARATOR.hex()
    assert known == "e3127a2c29f5d1a95fb1b4f1204eca75729f4c639f4c240d669d22e1902bf85c"
    types = suite.group("TypeHash", type_hash)
    for text in (eip712.DOMAIN_TYPE, eip712.CHECKPOINT, eip712.ROTATION, eip712.BINDING):
        types.valid(text.partition("(")[0], "KnownAnswer", typeString=text)
    heads = suite.group("HeadDigest", head)
    logs = (actors.LOG_ID.hex(), "ff" * 32)
    for log, epoch, count, time in (
        (logs[0], 0, 7, actors.TIME_S),
        (logs[0], 63, MAX_UINT, MAX_UINT),
        (logs[1], 2**32 - 1, 1, 0),
    ):
        comment = f"epoch {epoch}, {count} leaves, time {time}"
        inputs = {"logId": log, "epoch": epoch, "leafCount": str(count), "timestamp": str(time)}
        heads.valid(comment, "KnownAnswer", **inputs, root=ROOT.hex())
    known = "bdf7798fd4aefc3b8f30041fd65e489f9180f8fc60d1f09e67fc1578d2f1f1bf"
    assert heads.tests[0]["digest"] == known
    rotations = suite.group("RotationDigest", rotation)
    for name, next_hash in (("rotation", actors.NEXT_HASHES[2]), ("close", ZEROS)):
        inputs = {"logId": logs[0], "epoch": 1, "nextHash": next_hash.hex()}
        rotations.valid(name, "KnownAnswer", **inputs)
    bindings = suite.group("BindingDigest", binding)
    for name, wallet in (("bind", actors.wallet_address()), ("unbind", bytes(20))):
        for number in (1, MAX_UINT):
            inputs = {"logId": logs[0], "subject": actors.SUBJECT.hex(), "wallet": wallet.hex()}
            inputs |= {"nonce": str(number), "deadline": str(number)}
            bindings.valid(f"{name}, numbers {number}", "KnownAnswer", **inputs)
    addresses = suite.group("Address", address)
    secrets = [1, 2, *actors.SECRETS[:4], actors.WALLET_SECRET, curve.SECP256K1.n - 1]
    secrets += [int.from_bytes(sha256(bytes([n])), "big") for n in range(4)]
    for secret in secrets:
        addresses.valid(f"key {secret:064x}", "KnownAnswer", privateKey=f"{secret:064x}")
    return suite
