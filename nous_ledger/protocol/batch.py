"""Many signatures of one key, checked by one equation.

The key Q made a signature (r, s, v) over a digest z if R = (z/s)·G + (r/s)·Q, where R is
the point with abscissa r and parity v: just then is Q the key that is recovered from it.
Each of these equations, multiplied by a weight of its own, goes into a sum. The sum
holds if all of them do; if one does not, it holds for one choice of its weight at most,
whatever the others are. The weights are 128 bits of a hash over everything that is
checked, so that they are known only when nothing can be changed any more.

Multiplying points by short weights and adding them up takes less than half of the time
of recovering a key from each signature.

Spec:
    PROTOCOL.md, section "Signatures".
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from nous_ledger.protocol.errors import InputError, SignatureError
from nous_ledger.protocol.signing import (
    CURVE_ORDER,
    Point,
    SigningKey,
    add_points,
    key_point,
    multiply_point,
    nonce_point,
    same_point,
    verify_signature,
)

WORTH_TOGETHER: Final = 192
"""Signatures from which on one equation for all takes less time than one for each."""

_WEIGHT_BYTES: Final = 16
_DIGITS: Final = "123456789abcdef"
_TAG: Final = b"nous-ledger/1 batch\x00"
_GENERATOR: Final = SigningKey((1).to_bytes(32, "big")).public_key


def verify_signatures(
    digests: Sequence[bytes], signatures: Sequence[bytes], public_key: bytes
) -> bytes:
    """Return the public key after checking that it made each of some signatures.

    What this refuses, and how, is what `verify_signature` refuses of one of them; what it
    takes, that takes too, but for one chance in 2**128.

    Args:
        digests: what the signatures are over, 32 bytes each.
        signatures: as many, r || s || v, 65 bytes each.
        public_key: expected key, compressed, 33 bytes.

    Raises:
        InputError: a digest is not 32 bytes, or there are more or fewer of them than
            signatures.
        SignatureError: malformed, high-s, bad-recovery-id or mismatch, of the first
            signature that is wrong.
    """
    if len(digests) != len(signatures) or not {32}.issuperset(map(len, digests)):
        raise InputError("input", "each signature takes a digest of 32 bytes")
    if len(signatures) < WORTH_TOGETHER or not _holds(digests, signatures, public_key):
        for digest, signature in zip(digests, signatures, strict=True):
            verify_signature(digest, signature, public_key)
    return public_key


def _holds(digests: Sequence[bytes], signatures: Sequence[bytes], public_key: bytes) -> bool:
    """Return whether every signature has the right form and the sum of the equations holds."""
    key = key_point(public_key)
    if key is None:
        return False
    try:
        points = [nonce_point(signature) for signature in signatures]
    except SignatureError:
        return False  # another one may be wrong before it: the first is found one by one
    weights = _weights(digests, signatures, public_key)
    inverses = _inverses([int.from_bytes(signature[32:64], "big") for signature in signatures])
    of_generator = of_key = 0
    for number, (digest, signature) in enumerate(zip(digests, signatures, strict=True)):
        start = number * _WEIGHT_BYTES
        weight = int.from_bytes(weights[start : start + _WEIGHT_BYTES], "big")
        factor = weight * inverses[number] % CURVE_ORDER
        of_generator += factor * int.from_bytes(digest, "big")
        of_key += factor * int.from_bytes(signature[:32], "big")
    expected = (
        multiply_point(key_point(_GENERATOR), of_generator % CURVE_ORDER),
        multiply_point(key, of_key % CURVE_ORDER),
    )
    return same_point(_weighted_sum(points, weights), add_points(expected))


def _weights(digests: Sequence[bytes], signatures: Sequence[bytes], public_key: bytes) -> bytes:
    """Return 128 bits for each signature, none of them known before all of the rest is."""
    everything = hashlib.shake_256(_TAG + public_key)
    everything.update(b"".join(digests))
    everything.update(b"".join(signatures))
    return everything.digest(_WEIGHT_BYTES * len(signatures))


def _inverses(numbers: Sequence[int]) -> list[int]:
    """Return the inverse of each number modulo n; to invert them together takes one inversion.

    Args:
        numbers: 1..n-1 each.
    """
    before, product = [], 1
    for number in numbers:
        before.append(product)
        product = product * number % CURVE_ORDER
    rest = pow(product, -1, CURVE_ORDER)
    inverses = []
    for number, product in zip(reversed(numbers), reversed(before), strict=True):
        inverses.append(rest * product % CURVE_ORDER)
        rest = rest * number % CURVE_ORDER
    return inverses[::-1]


def _weighted_sum(points: Sequence[Point], weights: bytes) -> Point | None:
    """Return the sum of all points, each as often as its weight says.

    At each hexadecimal place of the weights, points with the same digit are added up
    first; the sums of digits with the same bit, then, are what the place adds to this bit.
    """
    digits = weights.hex()
    places = 2 * _WEIGHT_BYTES
    total = None
    for place in range(places):
        same: dict[str, list[Point]] = {digit: [] for digit in "0" + _DIGITS}
        for point, digit in zip(points, digits[place::places], strict=True):
            same[digit].append(point)
        sums = [add_points(same[digit]) for digit in _DIGITS]
        for bit in (8, 4, 2, 1):
            of_bit = add_points([part for digit, part in enumerate(sums, 1) if digit & bit])
            total = add_points([total, total, of_bit])
    return total
