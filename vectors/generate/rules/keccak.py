"""Keccak-256 as Ethereum uses it (the original padding byte 0x01, not that of SHA-3)."""

from functools import cache

RATE = 136
MASK = 2**64 - 1


def _round_constants() -> list[int]:
    """Return the 24 iota constants, from the degree-8 shift register of the specification."""
    register, constants = 1, []
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant |= 1 << (2**power - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


ROUND_CONSTANTS = _round_constants()


def _moves() -> list[tuple[int, int, int]]:
    """Return rho and pi of lanes x + 5y: from which lane, to which, rotated by how much."""
    x, y, found = 1, 0, [(0, 0, 0)]
    for step in range(24):
        to_x, to_y = y, (2 * x + 3 * y) % 5
        found.append((x + 5 * y, to_x + 5 * to_y, (step + 1) * (step + 2) // 2 % 64))
        x, y = to_x, to_y
    return found


MOVES = _moves()


def _permute(lanes: list[int]) -> list[int]:
    """Apply Keccak-f[1600] to the 64-bit lanes x + 5y."""
    moved = [0] * 25
    for constant in ROUND_CONSTANTS:
        a, b, c, d, e = (
            lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20]
            for x in range(5)
        )
        mix = (
            e ^ (b << 1 & MASK | b >> 63),
            a ^ (c << 1 & MASK | c >> 63),
            b ^ (d << 1 & MASK | d >> 63),
            c ^ (e << 1 & MASK | e >> 63),
            d ^ (a << 1 & MASK | a >> 63),
        ) * 5
        for source, target, count in MOVES:
            lane = lanes[source] ^ mix[source]
            moved[target] = lane << count & MASK | lane >> (64 - count)
        lanes = []
        for row in range(0, 25, 5):
            a, b, c, d, e = moved[row : row + 5]
            lanes += (a ^ (~b & c), b ^ (~c & d), c ^ (~d & e), d ^ (~e & a), e ^ (~a & b))
        lanes[0] ^= constant
    return lanes


@cache
def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 of `data`."""
    padding = bytearray(RATE - len(data) % RATE)
    padding[0] ^= 0x01
    padding[-1] ^= 0x80
    padded = data + bytes(padding)
    lanes = [0] * 25
    for start in range(0, len(padded), RATE):
        for lane in range(RATE // 8):
            at = start + 8 * lane
            lanes[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        lanes = _permute(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])
