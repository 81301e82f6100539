"""secp256k1 signatures: exactly those of PROTOCOL.md section 6.3, and no other."""

import hashlib
import hmac
from typing import Final

import coincurve
import pytest

from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.signing import (
    CURVE_ORDER,
    HALF_ORDER,
    SigningKey,
    address_of,
    check_signature_shape,
    is_curve_point,
    normalise_recovery_id,
    recover,
    verify_signature,
)
from tests.refusals import code_of

KEY: Final = SigningKey(b"\x11" * 32)
OTHER: Final = SigningKey(b"\x22" * 32)
DIGEST: Final = hashlib.sha256(b"a record").digest()
SIGNATURE: Final = KEY.sign(DIGEST)
GENERATOR_X: Final = SigningKey((1).to_bytes(32, "big")).public_key[1:]


def int_of(data: bytes) -> int:
    return int.from_bytes(data, "big")


def nonce(secret: bytes, digest: bytes, extra: bytes = b"") -> int:
    """Return k of RFC 6979, section 3.2, for SHA-256 and secp256k1."""

    def mac(key: bytes, *parts: bytes) -> bytes:
        return hmac.digest(key, b"".join(parts), "sha256")

    seed = secret + (int_of(digest) % CURVE_ORDER).to_bytes(32, "big") + extra
    key, value = bytes(32), b"\x01" * 32
    for separator in (b"\x00", b"\x01"):
        key = mac(key, value, separator, seed)
        value = mac(key, value)
    # The first candidate is outside 1..n-1 about once in 2**128.
    k = int_of(mac(key, value))
    assert 0 < k < CURVE_ORDER
    return k


def naive_signature(secret: bytes, digest: bytes, extra: bytes = b"") -> bytes:
    """Return r || s || v by the arithmetic of the procedure `sign`."""
    k = nonce(secret, digest, extra)
    point = SigningKey(k.to_bytes(32, "big")).public_key
    r, v = int_of(point[1:]), point[0] - 2
    assert r < CURVE_ORDER
    s = pow(k, -1, CURVE_ORDER) * (int_of(digest) + r * int_of(secret)) % CURVE_ORDER
    if s > HALF_ORDER:
        s, v = CURVE_ORDER - s, 1 - v
    return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])


def test_the_known_rfc_6979_signature() -> None:
    """Of key 1 over a text that many implementations test with."""
    digest = hashlib.sha256(b"Satoshi Nakamoto").digest()
    signature = SigningKey((1).to_bytes(32, "big")).sign(digest).hex()
    assert signature[:64] == "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
    assert signature[64:128] == "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"


@pytest.mark.parametrize("number", range(32))
def test_signatures_are_deterministic(number: int) -> None:
    """Without extra data first, with a counter from 1 as extra data then (KEY-3, KEY-4)."""
    secret = hashlib.sha256(b"key %d" % number).digest()
    digest = hashlib.sha256(b"digest %d" % number).digest()
    key = SigningKey(secret)
    assert key.sign(digest) == naive_signature(secret, digest)
    for counter in (1, 2, 2**32 - 1):
        extra = bytes(28) + counter.to_bytes(4, "big")
        assert key.sign_once(digest, counter) == naive_signature(secret, digest, extra)


@pytest.mark.parametrize("number", [0, 1, CURVE_ORDER - 1, CURVE_ORDER, 2**256 - 1])
def test_digests_above_the_order_are_reduced(number: int) -> None:
    """Any 32 bytes can be signed (KEY-3)."""
    digest = number.to_bytes(32, "big")
    assert KEY.sign(digest) == naive_signature(b"\x11" * 32, digest)
    assert verify_signature(digest, KEY.sign(digest), KEY.public_key) == KEY.public_key


class UnluckyKey(SigningKey):
    """A key whose first attempts have a nonce point with x at or above n."""

    def __init__(self, *recovery_ids: int) -> None:
        super().__init__(b"\x11" * 32)
        self.recovery_ids = recovery_ids
        self.counters: list[int] = []

    def sign_once(self, digest: bytes, counter: int = 0) -> bytes:
        """Return the real signature, its recovery id changed at the first attempts."""
        self.counters.append(counter)
        signature = super().sign_once(digest, counter)
        if len(self.counters) <= len(self.recovery_ids):
            return signature[:64] + bytes([self.recovery_ids[len(self.counters) - 1]])
        return signature


@pytest.mark.parametrize("recovery_ids", [(2,), (3,), (2, 3), (3, 3, 2)])
def test_a_recovery_id_above_one_is_signed_again(recovery_ids: tuple[int, ...]) -> None:
    """With the number of the repetition as extra data, until it is 0 or 1 (KEY-4)."""
    key = UnluckyKey(*recovery_ids)
    signature = key.sign(DIGEST)
    repetitions = len(recovery_ids)
    assert key.counters == list(range(repetitions + 1))
    extra = repetitions.to_bytes(32, "big")
    assert signature == naive_signature(b"\x11" * 32, DIGEST, extra)
    assert signature != SIGNATURE
    assert verify_signature(DIGEST, signature, KEY.public_key) == KEY.public_key


@pytest.mark.parametrize("number", [0, CURVE_ORDER, CURVE_ORDER + 1, 2**256 - 1])
def test_numbers_that_are_no_private_key(number: int) -> None:
    assert code_of(SigningKey, number.to_bytes(32, "big")) == "input"


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_lengths_of_keys_and_digests(length: int) -> None:
    data = b"\x01" * length
    assert code_of(SigningKey, data) == "input"
    assert code_of(Ed25519Key, data) == "input"
    assert code_of(KEY.sign, data) == "input"
    assert code_of(recover, data, SIGNATURE) == "input"


def test_a_key_never_shows_its_secret() -> None:
    for key in (KEY, Ed25519Key(b"\x11" * 32)):
        assert "11" * 8 not in f"{key!r} {key}"
        assert key.public_key.hex() in repr(key)


def altered(*, r: int | None = None, s: int | None = None, v: int | None = None) -> bytes:
    """Return the signature with other numbers."""
    parts = [SIGNATURE[:32], SIGNATURE[32:64], SIGNATURE[64:]]
    for at, (number, length) in enumerate(((r, 32), (s, 32), (v, 1))):
        if number is not None:
            parts[at] = number.to_bytes(length, "big")
    return b"".join(parts)


HIGH_S: Final = CURVE_ORDER - int_of(SIGNATURE[32:64])


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (b"", "malformed"),
        (SIGNATURE[:64], "malformed"),
        (SIGNATURE + b"\x00", "malformed"),
        (altered(r=0), "malformed"),
        (altered(s=0), "malformed"),
        (altered(r=CURVE_ORDER), "malformed"),
        (altered(s=CURVE_ORDER), "malformed"),
        (altered(r=2**256 - 1), "malformed"),
        (altered(s=2**256 - 1), "malformed"),
        (altered(s=HALF_ORDER + 1), "high-s"),
        (altered(s=CURVE_ORDER - 1), "high-s"),
        (altered(s=HIGH_S, v=1 - SIGNATURE[64]), "high-s"),
        (altered(v=2), "bad-recovery-id"),
        (altered(v=27), "bad-recovery-id"),
        (altered(v=255), "bad-recovery-id"),
        # Where several rules are broken their order decides.
        (altered(r=0, s=HIGH_S, v=9), "malformed"),
        (altered(r=CURVE_ORDER, v=9), "malformed"),
        (altered(s=HIGH_S, v=9), "high-s"),
        (altered(r=1, s=HIGH_S), "high-s"),
        (altered(r=5, v=2), "bad-recovery-id"),
    ],
)
def test_ill_formed_signatures(signature: bytes, code: str) -> None:
    """KEY-6, KEY-7, KEY-8, KEY-10; before any curve arithmetic."""
    assert code_of(check_signature_shape, signature) == code
    assert code_of(recover, DIGEST, signature) == code
    assert code_of(verify_signature, DIGEST, signature, KEY.public_key) == code


@pytest.mark.parametrize(
    "signature",
    [SIGNATURE, altered(r=1), altered(r=CURVE_ORDER - 1), altered(s=1), altered(s=HALF_ORDER)],
)
def test_the_bounds_of_well_formed_signatures(signature: bytes) -> None:
    """KEY-6, KEY-7."""
    assert check_signature_shape(signature) == signature


def test_the_high_twin_of_a_signature_is_refused_though_the_library_takes_it() -> None:
    """libsecp256k1 recovers the same key from (r, n - s, 1 - v): malleable (KEY-7)."""
    twin = altered(s=HIGH_S, v=1 - SIGNATURE[64])
    accepted = coincurve.PublicKey.from_signature_and_message(twin, DIGEST, hasher=None)
    assert accepted.format() == KEY.public_key
    assert code_of(recover, DIGEST, twin) == "high-s"


def test_recovery_ids_of_wallets() -> None:
    """27 and 28 become 0 and 1, all else stays and is judged as it is (KEY-5)."""
    for v in range(256):
        signature = altered(v=v)
        expected = altered(v=v - 27) if v in (27, 28) else signature
        assert normalise_recovery_id(signature) == expected
    wallets = altered(v=27 + SIGNATURE[64])
    assert code_of(recover, DIGEST, wallets) == "bad-recovery-id"
    assert recover(DIGEST, normalise_recovery_id(wallets)) == KEY.public_key
    for other in (b"", b"\x1b", altered(v=27)[:-1], altered(v=27) + b"\x1b"):
        assert normalise_recovery_id(other) == other


def test_recovery() -> None:
    """The key that signed comes back; another key or digest does not (KEY-9)."""
    assert recover(DIGEST, SIGNATURE) == KEY.public_key
    assert verify_signature(DIGEST, SIGNATURE, KEY.public_key) == KEY.public_key
    assert code_of(verify_signature, DIGEST, SIGNATURE, OTHER.public_key) == "mismatch"
    other_digest = DIGEST[:-1] + bytes([DIGEST[-1] ^ 1])
    assert code_of(verify_signature, other_digest, SIGNATURE, KEY.public_key) == "mismatch"
    flipped = altered(v=1 - SIGNATURE[64])
    assert code_of(verify_signature, DIGEST, flipped, KEY.public_key) == "mismatch"


def test_a_signature_that_no_key_could_have_made() -> None:
    """No point has this r, or the key would be the point at infinity (KEY-9)."""
    assert not is_curve_point(b"\x02" + (5).to_bytes(32, "big"))
    assert code_of(recover, DIGEST, altered(r=5)) == "mismatch"
    # With R = G and s = z, sR - zG is nothing.
    digest = (7).to_bytes(32, "big")
    assert code_of(recover, digest, GENERATOR_X + digest + b"\x00") == "mismatch"


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    """KEY-6 to KEY-9."""
    codes = set()
    for bit in range(8 * 65):
        changed = bytearray(SIGNATURE)
        changed[bit // 8] ^= 1 << bit % 8
        codes.add(code_of(verify_signature, DIGEST, bytes(changed), KEY.public_key))
    # One bit takes neither r nor s of this signature to n or above.
    assert codes == {"high-s", "bad-recovery-id", "mismatch"}


@pytest.mark.parametrize(
    "key",
    [
        b"",
        KEY.public_key[:-1],
        KEY.public_key + b"\x00",
        b"\x00" + KEY.public_key[1:],
        b"\x04" + KEY.public_key[1:],
        b"\x06" + KEY.public_key[1:],
        b"\x02" + (5).to_bytes(32, "big"),  # has no y
        b"\x03" + b"\xff" * 32,  # x is not below p
    ],
)
def test_what_is_no_curve_point(key: bytes) -> None:
    """BODY-14."""
    assert not is_curve_point(key)
    assert code_of(address_of, key) == "input"


def test_addresses() -> None:
    """Of keys whose addresses are well known (KEY-16)."""
    first, second = (SigningKey(number.to_bytes(32, "big")).public_key for number in (1, 2))
    assert is_curve_point(first)
    assert is_curve_point(bytes([5 - first[0]]) + first[1:])
    assert address_of(first).hex() == "7e5f4552091a69125d5dfcb7b8c2659029395bdf"
    assert address_of(second).hex() == "2b5ad5c4795c026514f8317c7a215e218dccd6cf"
