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


def _rotate(lane: int, count: int) -> int:
    """Rotate a 64-bit lane to the left."""
    count %= 64
    return (lane << count | lane >> (64 - count)) & MASK


def _permute(state: list[list[int]]) -> list[list[int]]:
    """Apply Keccak-f[1600] to the lanes state[x][y]."""
    for constant in ROUND_CONSTANTS:
        parity = [col[0] ^ col[1] ^ col[2] ^ col[3] ^ col[4] for col in state]
        for x in range(5):
            mix = parity[(x - 1) % 5] ^ _rotate(parity[(x + 1) % 5], 1)
            state[x] = [lane ^ mix for lane in state[x]]
        x, y, moved = 1, 0, state[1][0]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            state[x][y], moved = _rotate(moved, (step + 1) * (step + 2) // 2), state[x][y]
        for y in range(5):
            row = [state[x][y] for x in range(5)]
            for x in range(5):
                state[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])
        state[0][0] ^= constant
    return state


@cache
def keccak256(data: bytes) -> bytes:
    """Return the 32-byte Keccak-256 of `data`."""
    padding = bytearray(RATE - len(data) % RATE)
    padding[0] ^= 0x01
    padding[-1] ^= 0x80
    padded = data + bytes(padding)
    state = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), RATE):
        for lane in range(RATE // 8):
            at = start + 8 * lane
            state[lane % 5][lane // 5] ^= int.from_bytes(padded[at : at + 8], "little")
        state = _permute(state)
    return b"".join(state[lane % 5][lane // 5].to_bytes(8, "little") for lane in range(4))
