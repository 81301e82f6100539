"""The fixed keys, names and example bodies that all files share. Test keys only."""

from typing import Any

from vectors.generate.rules import curve, eip712, primitives, record
from vectors.generate.rules.primitives import sha256

ORIGIN = "ledger.example.com/main"
SECRETS = [int.from_bytes(bytes([byte]) * 32, "big") for byte in (0x11, 0x22, 0x44, 0x55)]
SECRETS += [int.from_bytes(sha256(f"key {n}".encode()), "big") for n in range(4, 66)]
KEYS = [curve.compress(curve.public_point(curve.SECP256K1, secret)) for secret in SECRETS]
NEXT_HASHES = [primitives.next_key_hash(key) for key in KEYS]
SEED, OTHER_SEED = b"\x33" * 32, b"\x34" * 32
ED25519, OTHER_ED25519 = primitives.ed25519_public(SEED), primitives.ed25519_public(OTHER_SEED)
LOG_ID = primitives.log_id(ORIGIN, KEYS[0], ED25519, NEXT_HASHES[1])
FROZEN_LOG_ID = primitives.log_id(ORIGIN, KEYS[0], ED25519, primitives.ZEROS)
WALLET_SECRET = int.from_bytes(b"\x66" * 32, "big")
LOG_SECRET = b"\x77" * 32
OPENING = b"\x88" * 32
TIME_MS = 1_750_000_000_000
TIME_S = TIME_MS // 1000

CREDENTIAL = b"sk-test-0001"
SUBJECT = primitives.subject(LOG_SECRET, 2, CREDENTIAL)
REQUEST = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Name a river."}]}'
RESPONSE = b'{"choices":[{"index":0,"message":{"content":"The Loire."}}]}'
FORWARDED = REQUEST[:-1] + b',"stream_options":{"include_usage":true}}'
SALT = bytes(range(16))
VOCABULARY = sha256(b"vocabulary of the examples")


def wallet_address() -> bytes:
    """Return the address of the example wallet."""
    point = curve.public_point(curve.SECP256K1, WALLET_SECRET)
    return curve_address(point)


def curve_address(point: tuple[int, int]) -> bytes:
    """Return the address of a point."""
    return eip712.address_of(b"".join(part.to_bytes(32, "big") for part in point))


def uuid7(number: int) -> bytes:
    """Return a UUID of version 7 and variant 10 with a fixed tail."""
    stamp = (TIME_MS + number).to_bytes(6, "big")
    return stamp + b"\x7a\xbc\x81" + bytes(6) + bytes([number])


def genesis(**changes: Any) -> dict[int, Any]:
    """Return the genesis of the example log."""
    body = {
        1: 0,
        2: ORIGIN,
        3: KEYS[0],
        4: ED25519,
        5: NEXT_HASHES[1],
        6: 60,
        7: 3_600,
    }
    return changed(body, changes)


def receipt(**changes: Any) -> dict[int, Any]:
    """Return a typical receipt: one answered chat call, its output bounded."""
    body: dict[int, Any] = {
        0: SALT,
        1: uuid7(1),
        2: TIME_MS - 1_500,
        3: 1_480,
        4: 1,
        5: SUBJECT,
        6: 0,
        8: "openai",
        9: "api.openai.com",
        10: "chat",
        11: 1,
        12: "gpt-4o-mini",
        13: "gpt-4o-mini-2024-07-18",
        14: 0,
        15: 200,
        17: 1,
        18: [
            {1: 1, 2: 12, 3: 3},
            {1: 2, 2: 0, 3: 3},
            {1: 16, 2: 4, 3: 2, 4: 1, 5: 26, 6: "bytes/1"},
            {1: 17, 2: 0, 3: 3},
        ],
        19: 16,
        20: primitives.raw_usage_hash([b'{"prompt_tokens":12,"completion_tokens":4}']),
        23: primitives.commitment("request", OPENING, REQUEST),
        24: primitives.commitment("response", OPENING, RESPONSE),
    }
    return changed(body, changes)


def exact_bucket(**changes: Any) -> dict[int, Any]:
    """Return a bucket of visible output with label EXACT."""
    bucket = {1: 16, 2: 4, 3: 1, 4: 3, 5: 5, 6: "o200k_base/1", 7: VOCABULARY, 8: 4}
    return changed(bucket, changes)


def bounded_bucket(**changes: Any) -> dict[int, Any]:
    """Return a bucket of visible output with label BOUNDED."""
    return changed({1: 16, 2: 4, 3: 2, 4: 1, 5: 26, 6: "bytes/1"}, changes)


def exact_receipt(**changes: Any) -> dict[int, Any]:
    """Return the receipt with its visible output re-counted."""
    usage = [{1: 1, 2: 12, 3: 3}, exact_bucket()]
    return changed(receipt(f18=usage), changes)


def changed(body: dict[int, Any], changes: dict[str, Any]) -> dict[int, Any]:
    """Return a copy with fields replaced: f7=value sets key 7, f7=None removes it."""
    result = dict(body)
    for name, value in changes.items():
        key = int(name[1:])
        if value is None:
            del result[key]
        else:
            result[key] = value
    return dict(sorted(result.items()))


def make_record(
    kind: int,
    body: bytes,
    index: int,
    *,
    logged_at: int = TIME_MS,
    epoch: int = 0,
    log: bytes = LOG_ID,
    secret: int | None = None,
) -> bytes:
    """Return a signed record over a body."""
    signed = record.header(kind, epoch, index, logged_at, sha256(body))
    return record.make(SECRETS[epoch] if secret is None else secret, log, signed)
