"""Many signatures checked by one equation: what is refused of one alone is refused among many."""

import hashlib
import random
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import pytest

from nous_ledger.protocol import batch
from nous_ledger.protocol.batch import WORTH_TOGETHER, verify_signatures
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.signing import (
    CURVE_ORDER,
    HALF_ORDER,
    SigningKey,
    add_points,
    key_point,
    multiply_point,
    nonce_point,
    same_point,
    verify_signature,
)
from tests.refusals import code_of

SECRET: Final = int.from_bytes(b"\x11" * 32, "big")
KEY: Final = SigningKey(b"\x11" * 32)
OTHER: Final = SigningKey(b"\x22" * 32)
MANY: Final = 512
NOT_ON_CURVE: Final = 5
"""No point of secp256k1 has this abscissa."""


class Signed(NamedTuple):
    """A digest and what is said to be a signature over it."""

    digest: bytes
    signature: bytes


def number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def sized(value: int) -> bytes:
    return (value % CURVE_ORDER).to_bytes(32, "big")


def honest(count: int, key: SigningKey = KEY, label: str = "") -> list[Signed]:
    digests = [hashlib.sha256(f"{label}{index}".encode()).digest() for index in range(count)]
    return [Signed(digest, key.sign(digest)) for digest in digests]


HONEST: Final = honest(MANY)


def check(entries: Sequence[Signed], public_key: bytes = KEY.public_key) -> bytes:
    return verify_signatures(
        [e.digest for e in entries], [e.signature for e in entries], public_key
    )


def holds(entries: Sequence[Signed]) -> bool:
    """Return what the one equation says."""
    digests, signatures = zip(*entries, strict=True)
    return batch._holds(digests, signatures, KEY.public_key)


def code_alone(entry: Signed) -> str | None:
    """Return what is wrong with a signature by itself."""
    try:
        verify_signature(entry.digest, entry.signature, KEY.public_key)
    except LedgerError as error:
        return error.code
    return None


def signed_with(nonce: int, s: int, error: int = 0) -> Signed:
    """Return R = nonce·G with some s, over the digest for which the equation is wrong by error·G.

    Whoever chooses digests can have such; who must find what hashes to them cannot.
    """
    point = SigningKey(sized(nonce)).public_key
    digest = sized(s * (nonce - error) - number(point[1:]) * SECRET)
    return Signed(digest, point[1:] + sized(s) + bytes([point[0] - 2]))


def parity(signature: bytes) -> bytes:
    return signature[:64] + bytes([1 - signature[64]])


def with_r(r: int) -> Callable[[bytes], bytes]:
    return lambda signature: r.to_bytes(32, "big") + signature[32:]


def with_s(s: int) -> Callable[[bytes], bytes]:
    return lambda signature: signature[:32] + s.to_bytes(32, "big") + signature[64:]


def mirrored(signature: bytes) -> bytes:
    """Return the other signature over the same digest, which is as good but for its form."""
    return parity(signature[:32] + sized(-number(signature[32:64])) + signature[64:])


WRONG: Final[dict[str, tuple[Callable[[bytes], bytes], str]]] = {
    "parity": (parity, "mismatch"),
    "high s": (mirrored, "high-s"),
    "high s, other parity": (lambda signature: parity(mirrored(signature)), "high-s"),
    "smallest high s": (with_s(HALF_ORDER + 1), "high-s"),
    "largest low s": (with_s(HALF_ORDER), "mismatch"),
    "s of zero": (with_s(0), "malformed"),
    "s of n": (with_s(CURVE_ORDER), "malformed"),
    "s of 1": (with_s(1), "mismatch"),
    "r of zero, which would be infinity": (with_r(0), "malformed"),
    "r of n": (with_r(CURVE_ORDER), "malformed"),
    "r of n + 1": (with_r(CURVE_ORDER + 1), "malformed"),
    "largest r": (with_r(2**256 - 1), "malformed"),
    "r of no point": (with_r(NOT_ON_CURVE), "mismatch"),
    "r of another point": (with_r(1), "mismatch"),
    "recovery id 2": (lambda signature: signature[:64] + b"\x02", "bad-recovery-id"),
    "recovery id 3": (lambda signature: signature[:64] + b"\x03", "bad-recovery-id"),
    "recovery id 27": (lambda signature: signature[:64] + b"\x1b", "bad-recovery-id"),
    "r and s swapped": (lambda signature: signature[32:64] + signature[:32] + b"\0", "mismatch"),
    "cut": (lambda signature: signature[:64], "malformed"),
    "too long": (lambda signature: signature + b"\0", "malformed"),
    "empty": (lambda _signature: b"", "malformed"),
    "of another key": (lambda _signature: OTHER.sign(HONEST[0].digest), "mismatch"),
}


@pytest.mark.parametrize("count", [0, 1, WORTH_TOGETHER - 1, WORTH_TOGETHER, MANY])
def test_signatures_of_the_key_are_taken(count: int) -> None:
    assert check(HONEST[:count]) == KEY.public_key
    assert not count or holds(HONEST[:count])


def test_the_same_signature_may_stand_there_again() -> None:
    assert holds(HONEST[:3] * 100)
    assert check([HONEST[0]] * MANY) == KEY.public_key


@pytest.mark.parametrize("name", WRONG)
def test_one_wrong_among_many(name: str) -> None:
    """It is refused wherever it stands, and as it is by itself."""
    change, code = WRONG[name]
    for place in (0, 1, 255, MANY - 1):
        entries = list(HONEST)
        entries[place] = Signed(HONEST[0].digest, change(HONEST[0].signature))
        assert code_alone(entries[place]) == code
        assert not holds(entries)
        assert code_of(check, entries) == code


def test_any_flipped_bit_among_many(full: bool) -> None:
    """Of any signature or digest."""
    seed = random.Random(1)
    for _ in range(800 if full else 16):
        place, bit = seed.randrange(MANY), seed.randrange(97 * 8)
        flipped = bytearray(b"".join(HONEST[place]))
        flipped[bit // 8] ^= 1 << bit % 8
        entries = list(HONEST)
        entries[place] = Signed(bytes(flipped[:32]), bytes(flipped[32:]))
        assert not holds(entries)
        assert code_of(check, entries) == code_alone(entries[place])


def test_the_first_wrong_one_is_told() -> None:
    """Even if the form of a later one is what shows first."""
    entries = list(HONEST)
    entries[9] = Signed(HONEST[9].digest, parity(HONEST[9].signature))
    entries[400] = Signed(HONEST[400].digest, mirrored(HONEST[400].signature))
    assert code_of(check, entries) == "mismatch"
    entries[3] = entries[400]
    assert code_of(check, entries) == "high-s"


@pytest.mark.parametrize(("one", "other"), [(0, 1), (17, 511)])
def test_swapped_signatures(one: int, other: int) -> None:
    entries = list(HONEST)
    entries[one] = Signed(HONEST[one].digest, HONEST[other].signature)
    entries[other] = Signed(HONEST[other].digest, HONEST[one].signature)
    assert not holds(entries)
    assert code_of(check, entries) == "mismatch"


def opposite() -> list[Signed]:
    """Return two signatures whose R are each other's negative; both are right."""
    return [signed_with(77, 1_000), signed_with(-77, 2_000)]


def test_points_that_cancel() -> None:
    """The sum of two R may be infinity, and the signatures are right."""
    entries = opposite()
    assert [code_alone(entry) for entry in entries] == [None, None]
    assert add_points([nonce_point(entry.signature) for entry in entries]) is None
    assert holds(entries)
    assert check([*entries * 100, *HONEST]) == KEY.public_key


def test_two_wrong_ones_that_cancel_if_all_weigh_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the parities of opposite R swapped, each is wrong by what the other one lacks."""
    entries = [*HONEST, *[Signed(digest, parity(data)) for digest, data in opposite()]]
    assert code_alone(entries[-1]) == code_alone(entries[-2]) == "mismatch"
    assert not holds(entries)
    assert code_of(check, entries) == "mismatch"
    monkeypatch.setattr(batch, "_weights", lambda *_: b"\x01" * 16 * len(entries))
    assert holds(entries)


def test_two_wrong_ones_that_cancel_if_weights_can_be_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights made of what is signed change with it: errors fit those that held before."""
    before = [*HONEST, signed_with(5, 1_000), signed_with(6, 2_000)]
    digests, signatures = zip(*before, strict=True)
    known = batch._weights(digests, signatures, KEY.public_key)
    one, other = number(known[-32:-16]), number(known[-16:])
    entries = [*HONEST, signed_with(5, 1_000, other), signed_with(6, 2_000, -one)]
    assert code_alone(entries[-1]) == code_alone(entries[-2]) == "mismatch"
    assert not holds(entries)
    assert code_of(check, entries) == "mismatch"
    monkeypatch.setattr(batch, "_weights", lambda *_: known)
    assert holds(entries)


def test_weights_depend_on_everything() -> None:
    """On every digest, every signature, their order and the key; none repeats."""
    digests, signatures = zip(*HONEST[:4], strict=True)
    changed = [bytes(32), *digests[1:]], [bytes(65), *signatures[1:]]
    made = [
        batch._weights(digests, signatures, KEY.public_key),
        batch._weights(digests, signatures, OTHER.public_key),
        batch._weights(changed[0], signatures, KEY.public_key),
        batch._weights(digests, changed[1], KEY.public_key),
        batch._weights(digests[::-1], signatures[::-1], KEY.public_key),
    ]
    weights = [data[start : start + 16] for data in made for start in range(0, 64, 16)]
    assert len(set(weights)) == 20


def test_a_key_that_made_none_or_is_none() -> None:
    assert code_of(check, HONEST, OTHER.public_key) == "mismatch"
    for public_key in (
        b"",
        b"\x04" + KEY.public_key[1:],
        b"\x02" + NOT_ON_CURVE.to_bytes(32, "big"),
    ):
        assert code_of(check, HONEST, public_key) == "mismatch"


def test_digests_of_other_lengths_or_number() -> None:
    signatures = [entry.signature for entry in HONEST]
    digests = [entry.digest for entry in HONEST]
    for wrong in (digests[1:], [*digests, bytes(32)], [digests[0][1:], *digests[1:]]):
        assert code_of(verify_signatures, wrong, signatures, KEY.public_key) == "input"


@pytest.mark.parametrize("value", [0, CURVE_ORDER - 1, CURVE_ORDER, 2**256 - 1])
def test_digests_above_the_order(value: int) -> None:
    """They are taken modulo n, as one signature takes them."""
    digest = value.to_bytes(32, "big")
    assert holds([Signed(digest, KEY.sign(digest)), *HONEST])


def test_points_and_infinity() -> None:
    """None is infinity: neutral, the multiple by zero, the sum of opposites."""
    point = key_point(KEY.public_key)
    negative = multiply_point(point, CURVE_ORDER - 1)
    assert add_points([]) is add_points([None, None]) is add_points([point, negative]) is None
    assert multiply_point(point, 0) is None
    assert same_point(None, None)
    assert not same_point(point, None)
    assert not same_point(None, point)
    assert not same_point(point, negative)
    assert same_point(add_points([None, point, point]), multiply_point(point, 2))
    assert same_point(key_point(KEY.public_key), point), "a sum changes none of its parts"
