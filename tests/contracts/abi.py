"""The part of the EVM's call encoding that the tests' contracts need.

Written for tests: types are read from the compiler's ABI, values are plain Python. What a type
cannot hold raises NotExpressibleError, so that a test sees when a case never reaches the contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WORD = 32
AbiValue = int | bytes | tuple["AbiValue", ...]


class NotExpressibleError(ValueError):
    """The contract's types cannot hold this value: no caller could send it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AbiType:
    """A Solidity type: a name such as `uint64`, the members of a struct, the items of an array."""

    name: str
    members: tuple[AbiType, ...] = field(default=())
    item: AbiType | None = None

    @classmethod
    def of(cls, parameter: dict[str, Any]) -> AbiType:
        name = parameter["type"]
        if name.endswith("[]"):
            return cls(name=name, item=cls.of(parameter | {"type": name.removesuffix("[]")}))
        members = tuple(cls.of(member) for member in parameter.get("components", ()))
        return cls(name=name, members=members)

    @property
    def is_dynamic(self) -> bool:
        bounded = self.name != "bytes" and self.item is None
        return not bounded or any(member.is_dynamic for member in self.members)

    @property
    def words(self) -> int:
        """Words in the head of an argument list: all of a static value, or the offset."""
        if self.is_dynamic or not self.members:
            return 1
        return sum(member.words for member in self.members)


def _encode_word(name: str, value: AbiValue) -> bytes:
    if isinstance(value, int):
        bits = int(name.removeprefix("uint"))
        if not 0 <= value < 1 << bits:
            raise NotExpressibleError(f"{value} is no {name}")
        return value.to_bytes(WORD, "big")
    length = {"address": 20, "bytes32": 32}[name]
    if not isinstance(value, bytes) or len(value) != length:
        raise NotExpressibleError(f"{value!r} is no {name}")
    return value.rjust(WORD, b"\0")


def _encode_one(kind: AbiType, value: AbiValue) -> bytes:
    if kind.name == "bytes":
        assert isinstance(value, bytes)
        padding = b"\0" * (-len(value) % WORD)
        return len(value).to_bytes(WORD, "big") + value + padding
    if kind.item is not None:
        assert isinstance(value, tuple)
        return len(value).to_bytes(WORD, "big") + encode([kind.item] * len(value), value)
    if kind.members:
        assert isinstance(value, tuple)
        return encode(kind.members, value)
    return _encode_word(kind.name, value)


def encode(types: Sequence[AbiType], values: Sequence[AbiValue]) -> bytes:
    """Encode an argument list: static values and offsets first, dynamic values behind them."""
    offset = WORD * sum(kind.words for kind in types)
    heads, tails = [], []
    for kind, value in zip(types, values, strict=True):
        encoded = _encode_one(kind, value)
        if kind.is_dynamic:
            heads.append(offset.to_bytes(WORD, "big"))
            tails.append(encoded)
            offset += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _decode_one(kind: AbiType, data: bytes, at: int) -> AbiValue:
    word = data[at : at + WORD]
    assert len(word) == WORD
    if kind.is_dynamic:
        start = int.from_bytes(word, "big") + WORD
        length = int.from_bytes(data[start - WORD : start], "big")
        if kind.item is not None:
            return decode([kind.item] * length, data[start:])
        assert start + length <= len(data)
        return data[start : start + length]
    if kind.name == "address":
        return word[12:]
    if kind.name.startswith("bytes"):
        return word[: int(kind.name.removeprefix("bytes"))]
    return int.from_bytes(word, "big")


def decode(types: Sequence[AbiType], data: bytes) -> tuple[AbiValue, ...]:
    """Decode returned values or the arguments of an error; a struct comes back as its members."""
    values, at = [], 0
    for kind in types:
        for member in kind.members or (kind,):
            values.append(_decode_one(member, data, at))
            at += WORD
    return tuple(values)
