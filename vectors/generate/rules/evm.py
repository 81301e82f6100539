"""RLP, Merkle Patricia tries and blocks of an EVM chain: read and written naively."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from vectors.generate.rules import keccak
from vectors.generate.rules.checks import reject, require

MAX_DEPTH = 8
MAX_ITEMS = 65_536


@cache
def keccak256(data: bytes) -> bytes:
    """Return Keccak-256; most nodes are hashed many times."""
    return keccak.keccak256(data)


# ------------------------------------------------------------------ RLP


def write(item: Any) -> bytes:
    """Return the encoding of bytes, or of a list of items."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item < b"\x80" else length(0x80, len(item)) + item
    payload = b"".join(write(part) for part in item)
    return length(0xC0, len(payload)) + payload


def length(base: int, size: int) -> bytes:
    """Return the first bytes of an item of so many bytes."""
    if size < 56:
        return bytes([base + size])
    digits = number(size)
    return bytes([base + 55 + len(digits)]) + digits


def number(value: int) -> bytes:
    """Return a number as RLP has it."""
    return b"" if value == 0 else number(value >> 8) + bytes([value & 0xFF])


def read(data: bytes) -> Any:
    """Return what the bytes encode: they must be what `write` gives for it."""
    count = [0]
    try:
        item, rest = read_one(data, 1, count)
    except IndexError:
        reject("anchor-rlp")
    require(not rest, "anchor-rlp")
    require(write(item) == data, "anchor-rlp")
    return item


def read_one(data: bytes, depth: int, count: list[int]) -> tuple[Any, bytes]:
    """Return the first item, however it is written, and what follows it."""
    count[0] += 1
    require(depth <= MAX_DEPTH and count[0] <= MAX_ITEMS, "anchor-rlp")
    first, data = data[0], data[1:]
    if first < 0x80:
        return bytes([first]), data
    size, is_list = (first - 0xC0, True) if first >= 0xC0 else (first - 0x80, False)
    if size > 55:
        digits = size - 55
        require(len(data) >= digits, "anchor-rlp")
        size, data = int.from_bytes(data[:digits], "big"), data[digits:]
    require(len(data) >= size, "anchor-rlp")
    payload, rest = data[:size], data[size:]
    if not is_list:
        return payload, rest
    items = []
    while payload:
        item, payload = read_one(payload, depth + 1, count)
        items.append(item)
    return items, rest


def read_number(item: Any, most: int) -> int:
    """Return the number that a string stands for."""
    require(isinstance(item, bytes) and item[:1] != b"\x00", "anchor-rlp")
    value = int.from_bytes(item, "big")
    require(value <= most, "anchor-rlp")
    return value


# ------------------------------------------------------------------ tries


def halves(key: bytes) -> list[int]:
    """Return the half-bytes of a key."""
    return [int(digit, 16) for digit in key.hex()]


def lookup(root: bytes, key: bytes, nodes: Sequence[bytes]) -> bytes:
    """Return the value that a proof shows."""
    code = "anchor-proof"
    require(1 <= len(key) <= 32 and 1 <= len(nodes) <= 66, code)
    left = list(nodes)
    value = below(root, halves(key), left, is_root=True)
    require(not left, code)
    require(isinstance(value, bytes) and value, code)
    return bytes(value)


def below(child: Any, path: list[int], left: list[bytes], *, is_root: bool = False) -> Any:
    """Return the value under a child; takes the nodes that it needs from the front."""
    code = "anchor-proof"
    node = child
    if isinstance(child, bytes):
        require(len(child) == 32 and left, code)
        encoded = left.pop(0)
        require(keccak256(encoded) == child, code)
        require(is_root or len(encoded) >= 32, code)
        node = read(encoded)
    require(isinstance(node, list) and len(node) in (2, 17), code)
    if len(node) == 17:
        return below(node[path[0]], path[1:], left) if path else node[16]
    require(isinstance(node[0], bytes) and node[0], code)
    flag, *rest = halves(node[0])
    require(flag < 4, code)
    if flag % 2 == 0:
        require(rest[0] == 0, code)
        rest = rest[1:]
    require(rest or flag >= 2, code)
    require(path[: len(rest)] == rest, code)
    if flag >= 2:
        require(len(path) == len(rest), code)
        return node[1]
    return below(node[1], path[len(rest) :], left)


class Trie:
    """A trie built whole, that knows every node."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        """Build the nodes over some keys."""
        self.encoded: dict[bytes, bytes] = {}
        top = write(self.node([(halves(key), value) for key, value in values.items()]))
        self.root = keccak256(top)
        self.encoded[self.root] = top

    def node(self, pairs: list[tuple[list[int], bytes]]) -> Any:
        """Return the node over the rests of some keys."""
        if len(pairs) == 1:
            path, value = pairs[0]
            return [shortened(path, 2), value]
        first = pairs[0][0]
        same = 0
        while all(path[same : same + 1] == first[same : same + 1] for path, _ in pairs):
            same += 1
        if same:
            return [shortened(first[:same], 0), self.name([(p[same:], v) for p, v in pairs])]
        children = []
        for half in range(16):
            under = [(path[1:], value) for path, value in pairs if path[0] == half]
            children.append(self.name(under) if under else b"")
        return [*children, b""]

    def name(self, pairs: list[tuple[list[int], bytes]]) -> Any:
        """Return a node, or its hash if it is not short."""
        node = self.node(pairs)
        encoded = write(node)
        if len(encoded) < 32:
            return node
        self.encoded[keccak256(encoded)] = encoded
        return keccak256(encoded)

    def prove(self, key: bytes) -> list[bytes]:
        """Return the nodes on the way to a key."""
        found, child, path = [], self.root, halves(key)
        while True:
            node: Any = child
            if isinstance(child, bytes):
                found.append(self.encoded[child])
                node = read(self.encoded[child])
            if len(node) == 17:
                child, path = node[path[0]], path[1:]
                continue
            flag, *rest = halves(node[0])
            if flag >= 2:
                return found
            child, path = node[1], path[len(rest) - (flag % 2 == 0) :]


def shortened(path: list[int], flag: int) -> bytes:
    """Return a shortened path."""
    digits = [flag + 1, *path] if len(path) % 2 else [flag, 0, *path]
    return bytes.fromhex("".join(f"{digit:x}" for digit in digits))
