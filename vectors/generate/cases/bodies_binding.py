"""bodies_binding.json: a wallet and a subject, and the signature that binds them."""

from typing import Any

from vectors.generate import bodycases
from vectors.generate.actors import (
    LOG_ID,
    SALT,
    SUBJECT,
    TIME_MS,
    TIME_S,
    WALLET_SECRET,
    changed,
    curve_address,
    wallet_address,
)
from vectors.generate.bodycases import Builder
from vectors.generate.rules import bodies, curve, eip712, fields
from vectors.generate.rules.checks import require
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import sha256
from vectors.generate.suite import Group, Json, Suite, unhex

ZERO_WALLET = bytes(20)


def signature(body: dict[int, Any], log: bytes = LOG_ID, secret: int = WALLET_SECRET) -> bytes:
    """Return the wallet's signature over a body."""
    return curve.sign(secret, eip712.binding_digest(log, body[1], body[2], body[3], body[4]))


def binding(**changes: Any) -> dict[int, Any]:
    """Return a binding of the example wallet, signed after the changes unless f5 is given."""
    body = {0: SALT, 1: SUBJECT, 2: wallet_address(), 3: 1, 4: TIME_S + 600}
    body = changed(body, {name: value for name, value in changes.items() if name != "f5"})
    return changed(body, {"f5": changes.get("f5") or signature(body)})


def check_signature(case: Json) -> Json:
    """Recover the signer of a binding."""
    body = bodies.decode(bodies.BINDING, unhex(case["body"]))
    row = fields.named(body, bodies.BINDING_FIELDS)
    members = (row[name] for name in ("subject", "wallet", "nonce", "deadline"))
    digest = eip712.binding_digest(unhex(case["logId"]), *members)
    point = curve.decompress(curve.recover(digest, row["signature"])) or (0, 0)
    signer = curve_address(point)
    require(row["wallet"] in (ZERO_WALLET, signer), "mismatch")
    return {"signer": "0x" + signer.hex()}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bodies_binding",
        "binding-body",
        "7.6 Binding (type 3)",
        bodycases.DECODED,
        bodycases.IN_RECORD,
        bodycases.JSON_FORM,
        "BindingSignature: recover the signer of `body` for the log `logId`.",
    )
    names = ("Encoding", "Shape", "Missing", "Type", "Empty", "Value", "Unknown", "Extension")
    bodycases.flags(suite, *names, valid="ENC-26 KEY-15")
    flags(suite)
    builder = Builder(suite, bodies.BINDING)
    base = binding()
    valid(builder)
    builder.encoding(base)
    builder.required(base)
    builder.typed(base)
    builder.lengths(base)
    builder.extensions(base)
    late = TIME_S * 1000 + 601_000
    builder.invalid("logged a second late", "time-order", base, "Deadline", index=7, logged_at=late)
    builder.invalid("deadline 0", "time-order", binding(f4=0), "Deadline", index=7)
    signatures(suite.group("BindingSignature", check_signature, logId=LOG_ID.hex()))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags of bindings alone."""
    suite.flag(
        "Deadline",
        "FORGERY",
        "Logged after the deadline that the wallet signed.",
        "An old signature is used when its owner no longer expects it.",
        "BIND-1 BODY-10 TYPE-2",
    )
    suite.flag(
        "Signature",
        "FORGERY",
        "The signature is not the wallet's over this body and log.",
        "Somebody else's wallet is claimed.",
        "BIND-3 KEY-15 KEY-16",
    )
    suite.flag(
        "SignatureShape",
        "MALLEABILITY",
        "Numbers of the signature outside their range.",
        "A second signature from a first one.",
        "BIND-2 KEY-6 KEY-7 KEY-8",
    )


def valid(builder: Builder) -> None:
    """Bodies that must be accepted."""
    builder.valid("a binding", binding())
    builder.valid("an unbind", binding(f2=ZERO_WALLET))
    builder.valid("nonce and deadline at their largest", binding(f3=2**53 - 1, f4=2**53 - 1))
    at = TIME_MS + 600_999
    builder.valid("logged in its last second", binding(), "Deadline", index=7, logged_at=at)
    builder.valid("a signature of zeros decodes", binding(f5=bytes(65)))


def signatures(group: Group) -> None:
    """Signatures right and wrong."""

    def invalid(comment: str, code: str, flag: str, body: dict[int, Any]) -> None:
        group.invalid(comment, code, flag, body=pack(body).hex())

    group.valid("by the wallet", "Signature", body=pack(binding()).hex())
    unbind = binding(f2=ZERO_WALLET)
    group.valid("an unbind by the wallet", "Signature", body=pack(unbind).hex())
    by_other = binding(f2=ZERO_WALLET, f5=signature(unbind, secret=7))
    group.valid("an unbind by another wallet recovers too", "Signature", body=pack(by_other).hex())
    base = binding()
    r, s, v = base[5][:32], base[5][32:64], base[5][64:]
    order = curve.SECP256K1.n
    high = (order - int.from_bytes(s, "big")).to_bytes(32, "big")
    n_bytes = order.to_bytes(32, "big")
    invalid("by another wallet", "mismatch", "Signature", binding(f5=signature(base, secret=7)))
    other_log = signature(base, log=sha256(b"other"))
    invalid("for another log", "mismatch", "Signature", binding(f5=other_log))
    for key, value, name in (
        (1, sha256(b"someone"), "subject"),
        (2, b"\x01" * 20, "wallet"),
        (3, 2, "nonce"),
        (4, TIME_S + 601, "deadline"),
    ):
        changed_body = {**base, key: value}
        invalid(f"over another {name}", "mismatch", "Signature", changed_body)
    other_id = bytes([v[0] ^ 1])
    invalid("the other recovery id", "mismatch", "Signature", binding(f5=r + s + other_id))
    no_point = next(n for n in range(1, 99) if curve.lift_x(n, 0) is None).to_bytes(32, "big")
    invalid("r is no x-coordinate", "mismatch", "Signature", binding(f5=no_point + s + v))
    shape = "SignatureShape"
    invalid("high s", "high-s", shape, binding(f5=r + high + other_id))
    invalid("recovery id 2", "bad-recovery-id", shape, binding(f5=r + s + b"\x02"))
    invalid("recovery id 27", "bad-recovery-id", shape, binding(f5=r + s + bytes([27 + v[0]])))
    invalid("r = 0", "malformed", shape, binding(f5=bytes(32) + s + v))
    invalid("s = 0", "malformed", shape, binding(f5=r + bytes(32) + v))
    invalid("r = n", "malformed", shape, binding(f5=n_bytes + s + v))
    invalid("s = n", "malformed", shape, binding(f5=r + n_bytes + v))
