"""secp256k1 and P-256 by plain arithmetic: RFC 6979 signing with recovery id, recovery.

Points are affine (x, y) or None for the point at infinity; sums run in Jacobian
coordinates so that one inversion per multiplication is enough.
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from vectors.generate.rules.checks import require

Point = tuple[int, int]
Jacobian = tuple[int, int, int]
INFINITY: Jacobian = (1, 1, 0)


@dataclass(frozen=True)
class Curve:
    """A short Weierstrass curve y^2 = x^3 + ax + b over p, base point (gx, gy) of order n."""

    p: int
    a: int
    b: int
    n: int
    gx: int
    gy: int


SECP256K1 = Curve(
    p=2**256 - 2**32 - 977,
    a=0,
    b=7,
    n=0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    gx=0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    gy=0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
P256 = Curve(
    p=2**256 - 2**224 + 2**192 + 2**96 - 1,
    a=-3,
    b=0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    n=0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    gx=0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    gy=0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)


def _double(curve: Curve, point: Jacobian) -> Jacobian:
    x, y, z = point
    if not y or not z:
        return INFINITY
    square = y * y % curve.p
    s = 4 * x * square % curve.p
    m = (3 * x * x + curve.a * z**4) % curve.p
    x3 = (m * m - 2 * s) % curve.p
    return x3, (m * (s - x3) - 8 * square * square) % curve.p, 2 * y * z % curve.p


def _add(curve: Curve, left: Jacobian, right: Jacobian) -> Jacobian:
    if not left[2]:
        return right
    if not right[2]:
        return left
    p, (x1, y1, z1), (x2, y2, z2) = curve.p, left, right
    u1, u2 = x1 * z2 * z2 % p, x2 * z1 * z1 % p
    s1, s2 = y1 * z2**3 % p, y2 * z1**3 % p
    h, r = u2 - u1, s2 - s1
    if not h:
        return _double(curve, left) if not r else INFINITY
    h2 = h * h % p
    h3 = h2 * h % p
    x3 = (r * r - h3 - 2 * u1 * h2) % p
    return x3, (r * (u1 * h2 - x3) - s1 * h3) % p, h * z1 * z2 % p


WINDOW = 4
"""Bits of a scalar that are added at once."""


def _multiples(curve: Curve, point: Jacobian) -> list[Jacobian]:
    """Return a point times 0 to 15."""
    found = [INFINITY]
    while len(found) < 1 << WINDOW:
        found.append(_add(curve, found[-1], point))
    return found


@cache
def _base_multiples(curve: Curve) -> list[list[Jacobian]]:
    """Return what _multiples has of the base point, for each window of a scalar."""
    point, found = (curve.gx, curve.gy, 1), []
    for _ in range(0, 256, WINDOW):
        found.append(_multiples(curve, point))
        for _ in range(WINDOW):
            point = _double(curve, point)
    return found


def _times_base(curve: Curve, scalar: int) -> Jacobian:
    total = INFINITY
    for multiples in _base_multiples(curve):
        total = _add(curve, total, multiples[scalar & 15])
        scalar >>= WINDOW
    return total


def _times(curve: Curve, scalar: int, point: Point) -> Jacobian:
    multiples, total = _multiples(curve, (*point, 1)), INFINITY
    for shift in range(256 - WINDOW, -1, -WINDOW):
        for _ in range(WINDOW):
            total = _double(curve, total)
        total = _add(curve, total, multiples[scalar >> shift & 15])
    return total


def combine(curve: Curve, *terms: tuple[int, Point]) -> Point | None:
    """Return the sum of scalar * point over the terms."""
    total = INFINITY
    for scalar, point in terms:
        is_base = point == (curve.gx, curve.gy)
        rest = scalar % curve.n
        part = _times_base(curve, rest) if is_base else _times(curve, rest, point)
        total = _add(curve, total, part)
    if not total[2]:
        return None
    inverse = pow(total[2], -1, curve.p)
    return total[0] * inverse**2 % curve.p, total[1] * inverse**3 % curve.p


@cache
def public_point(curve: Curve, secret: int) -> Point:
    """Return secret * G."""
    point = combine(curve, (secret, (curve.gx, curve.gy)))
    require(point, "malformed")
    return point  # type: ignore[return-value]  # the line above refuses None


def lift_x(x: int, odd: int) -> Point | None:
    """Return the secp256k1 point with this x and this parity of y, if there is one."""
    p = SECP256K1.p
    y = pow(x**3 + 7, (p + 1) // 4, p)
    if x >= p or (y * y - x**3 - 7) % p:
        return None
    return x, y if y & 1 == odd else p - y


def compress(point: Point) -> bytes:
    """Return the 33-byte SEC 1 form."""
    return bytes([2 + (point[1] & 1)]) + point[0].to_bytes(32, "big")


def decompress(key: bytes) -> Point | None:
    """Return the point of a 33-byte SEC 1 key, or None if it is none."""
    if len(key) != 33 or key[0] not in (2, 3):
        return None
    return lift_x(int.from_bytes(key[1:], "big"), key[0] & 1)


def nonces(curve: Curve, secret: int, digest: bytes, extra: bytes) -> Iterator[int]:
    """Yield the RFC 6979 nonces for SHA-256; `extra` is appended to the K-update inputs."""

    def mac(key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, hashlib.sha256).digest()

    reduced = (int.from_bytes(digest, "big") % curve.n).to_bytes(32, "big")
    seed = secret.to_bytes(32, "big") + reduced + extra
    key, value = bytes(32), b"\x01" * 32
    for separator in (b"\x00", b"\x01"):
        key = mac(key, value + separator + seed)
        value = mac(key, value)
    while True:
        value = mac(key, value)
        if 0 < int.from_bytes(value, "big") < curve.n:
            yield int.from_bytes(value, "big")
        key = mac(key, value + b"\x00")
        value = mac(key, value)


def _sign_once(curve: Curve, secret: int, digest: bytes, extra: bytes) -> tuple[int, int, int]:
    """Return (r, s, v); v is 2 or 3 when the nonce point's x is not below n."""
    for nonce in nonces(curve, secret, digest, extra):
        point = public_point(curve, nonce)
        r = point[0] % curve.n
        s = pow(nonce, -1, curve.n) * (int.from_bytes(digest, "big") + r * secret) % curve.n
        if r and s:
            return r, s, (point[1] & 1) | (2 if point[0] >= curve.n else 0)
    raise AssertionError  # nonces never end


@cache
def sign(secret: int, digest: bytes) -> bytes:
    """Return r || s || v: low s, recovery id 0 or 1, extra data counter from 1 if needed."""
    counter = 0
    while True:
        extra = counter.to_bytes(32, "big") if counter else b""
        r, s, v = _sign_once(SECP256K1, secret, digest, extra)
        if s > SECP256K1.n // 2:
            s, v = SECP256K1.n - s, v ^ 1
        if v in (0, 1):
            return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v])
        counter += 1


def sign_p256(secret: int, digest: bytes) -> bytes:
    """Return r || s over P-256; s as it comes, for nous-v2 knows no low-s rule."""
    r, s, _ = _sign_once(P256, secret, digest, b"")
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def check_shape(signature: bytes) -> tuple[int, int, int]:
    """Return (r, s, v) of a 65-byte signature whose numbers are in range."""
    require(len(signature) == 65, "malformed")
    r, s, v = (
        int.from_bytes(part, "big") for part in (signature[:32], signature[32:64], signature[64:])
    )
    require(0 < r < SECP256K1.n and 0 < s < SECP256K1.n, "malformed")
    require(s <= SECP256K1.n // 2, "high-s")
    require(v in (0, 1), "bad-recovery-id")
    return r, s, v


@cache
def recover(digest: bytes, signature: bytes) -> bytes:
    """Return the 33-byte key that signed `digest`."""
    r, s, v = check_shape(signature)
    nonce_point = lift_x(r, v)
    require(nonce_point, "mismatch")
    inverse = pow(r, -1, SECP256K1.n)
    key = combine(
        SECP256K1,
        (-int.from_bytes(digest, "big") * inverse, (SECP256K1.gx, SECP256K1.gy)),
        (s * inverse, nonce_point),  # type: ignore[arg-type]  # refused above if None
    )
    require(key, "mismatch")
    return compress(key)  # type: ignore[arg-type]  # refused above if None


def verify(digest: bytes, signature: bytes, key: bytes) -> None:
    """Refuse unless `signature` over `digest` recovers to `key`."""
    require(recover(digest, signature) == key, "mismatch")
