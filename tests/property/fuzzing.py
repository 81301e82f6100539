"""A seeded mutator, and the one property that every decoder and parser must have.

Any input gives a value or one of our errors; a value, written again, gives the
input. The generator is seeded by the target's name, so a failure repeats
wherever and in whatever order the tests run.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeAlias, TypeVar

from nous_ledger.protocol.encoding import decode, pack_checked
from nous_ledger.protocol.errors import ERROR_CODES, LedgerError
from nous_ledger.protocol.strict import Value

Mutate: TypeAlias = Callable[[Random], bytes]
T = TypeVar("T")

# Bytes at which formats change their mind: ends of ranges, headers, separators.
_EDGES = b"\x00\x01\n\x1f +/0=\x7f\x80\x81\x8f\x90\x9f\xa0\xbf\xfe\xff" + bytes(range(0xC0, 0xE3))
_FRAGMENTS = (
    b"\n\n",
    b"\r\n",
    b" ",
    b"=",
    b"==",
    b"0",
    b"-1",
    b"9007199254740992",
    "— ".encode(),
    "\u2028".encode(),
    "\u00a0".encode(),
    b"\xed\xa0\x80",
    b"none",
    b"quorum none\n",
    b"group g any w1\n",
    b"\xcf\x00\x20\x00\x00\x00\x00\x00\x00",
    b"\xc0",
    b"\xdc\xff\xff",
    b"\xdb\xff\xff\xff\xff",
    b"\xc6\xff\xff\xff\xff",
    b"{",
    b'"',
    bytes(32),
)
_VALUES: tuple[Value, ...] = (
    0,
    1,
    2,
    3,
    16,
    63,
    64,
    1000,
    2**32,
    2**53 - 1,
    "",
    "a",
    "openai",
    "x" * 65,
    "ü",
    b"",
    b"\x00",
    bytes(16),
    bytes(20),
    b"\x02" + bytes(31) + b"\x01",
    bytes(32),
    b"\xff" * 65,
    (),
    (1,),
    (2, 1),
    (1, 2, 12),
    {},
    {1: 1},
    {64: 1},
    ((((1,),),),),
)
_JSON_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**53,
    "",
    "0",
    "00",
    "7",
    "0x",
    "AB",
    "ab" * 32,
    "unknown(9)",
    "\ud800",
    "x" * 5_000,
    [],
    {},
    {"msgpack": "09"},
    {"msgpack": "c0"},
    {"msgpack": "919191919101"},
    {"64": {"msgpack": "01"}},
    {"64": {"msgpack": "919191919101"}},
    {"9007199254740991": {"msgpack": "a161"}},
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """One decoder or parser.

    Attributes:
        name: names the test and seeds its generator.
        read: takes bytes; returns a value or raises a LedgerError.
        check: takes a value and its input; writes the value again and asserts
            that this gives the input. Here even one of our errors is a failure.
        mutate: makes a changed valid input.
    """

    name: str
    read: Callable[[bytes], Any]
    check: Callable[[Any, bytes], None]
    mutate: Mutate


def outcome(target: Target, data: bytes) -> str:
    """Return "value" or the code of the error; anything else fails the test."""
    try:
        value = target.read(data)
    except LedgerError as error:
        return error.code
    except Exception as error:
        message = f"{target.name} neither accepted nor refused {data.hex()}: {error!r}"
        raise AssertionError(message) from error
    try:
        target.check(value, data)
    except Exception as error:
        message = f"what {target.name} read is not what was written: {data.hex()}: {error!r}"
        raise AssertionError(message) from error
    return "value"


def run(target: Target, inputs: int, make: Callable[[Random], bytes], kind: str) -> Counter[str]:
    """Return how often each outcome came."""
    rng = Random(f"{target.name}: {kind}, seed 1")
    seen = Counter(outcome(target, make(rng)) for _ in range(inputs))
    assert seen.keys() <= {"value", *ERROR_CODES}
    return seen


def random_bytes(rng: Random) -> bytes:
    """Return bytes of mostly short length, half of them drawn from a small alphabet."""
    length = min(int(rng.expovariate(1 / 24)), 400)
    if rng.random() < 0.5:
        return bytes(rng.choices(_EDGES, k=length))
    return rng.randbytes(length)


def mutate_bytes(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Return the data after one to three small changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = _change(rng, data, others)
    return data


def _change(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + 1 + int(rng.expovariate(1 / 4)))
    middle, tail = b"", data[at:]
    match rng.randrange(9):
        case 0 | 1 if tail:  # flip a bit
            middle, tail = bytes([tail[0] ^ 1 << rng.randrange(8)]), tail[1:]
        case 2:  # replace a byte
            middle, tail = bytes([rng.choice(_EDGES)]), tail[1:]
        case 3:
            middle = rng.choice(_FRAGMENTS)
        case 4:  # cut some bytes out
            tail = data[end:]
        case 5:  # repeat some bytes
            middle = data[at:end]
        case 6:  # truncate
            tail = b""
        case 7:  # go on with another input
            other = rng.choice(others)
            tail = other[rng.randrange(len(other) + 1) :]
        case _:
            middle = rng.randbytes(rng.randrange(1, 4))
    return data[:at] + middle + tail


def byte_mutator(*samples: bytes) -> Mutate:
    """Return a mutator of the bytes of some valid inputs."""
    return lambda rng: mutate_bytes(rng, rng.choice(samples), samples)


def value_mutator(*samples: bytes) -> Mutate:
    """Return a mutator of canonical encodings, half of the time within the encoded value.

    A changed byte rarely survives the decoder; a changed value reaches the
    rules behind it.
    """
    values = [decode(sample) for sample in samples]

    def mutate(rng: Random) -> bytes:
        if rng.random() < 0.5:
            return mutate_bytes(rng, rng.choice(samples), samples)
        return pack_checked(mutate_value(rng, rng.choice(values)))

    return mutate


def mutate_value(rng: Random, value: Value) -> Value:
    """Return the value with one change at some depth."""
    if rng.random() < 0.9:
        if isinstance(value, dict) and value:
            return _mutate_map(rng, value)
        if isinstance(value, tuple) and value:
            return tuple(_mutate_items(rng, value, rng.choice(_VALUES), mutate_value))
    if rng.random() < 0.5:
        if isinstance(value, int):
            return max(0, value + rng.choice((-1, 1)))
        if isinstance(value, bytes) and value:
            return mutate_bytes(rng, value, [value])
    return rng.choice(_VALUES)


def _mutate_items(
    rng: Random, items: Sequence[T], new: T, mutate: Callable[[Random, T], T]
) -> list[T]:
    """Return the items with one removed, added or changed."""
    at = rng.randrange(len(items))
    match rng.randrange(6):
        case 0:
            return [*items[:at], *items[at + 1 :]]
        case 1:
            return [*items[:at], new, *items[at:]]
        case _:
            return [*items[:at], mutate(rng, items[at]), *items[at + 1 :]]


def _mutate_map(rng: Random, value: dict[int, Value]) -> Value:
    key = rng.choice(list(value))
    match rng.randrange(6):
        case 0:
            return {k: item for k, item in value.items() if k != key}
        case 1:
            new = rng.choice((0, 1, 5, 9, 18, 31, 32, 63, 64, 127, 128, 2**53 - 1))
            return dict(sorted({**value, new: rng.choice(_VALUES)}.items()))
        case 2:  # rarely in order
            return dict(rng.sample(list(value.items()), len(value)))
        case _:
            return {**value, key: mutate_value(rng, value[key])}


def json_mutator(*samples: dict[str, Any]) -> Mutate:
    """Return a mutator of JSON objects, always within the parsed value.

    The parsers under test take what a JSON reader returned; that the reader's
    own input was bytes is not their concern.
    """

    def mutate(rng: Random) -> bytes:
        changed = rng.choice(samples)
        for _ in range(rng.choice((1, 1, 2))):
            changed = mutate_json(rng, changed)
        return json.dumps(changed).encode()

    return mutate


def mutate_json(rng: Random, value: Any) -> Any:
    """Return the JSON value with one change at some depth."""
    if rng.random() < 0.95:
        if isinstance(value, dict) and value:
            return _mutate_object(rng, value)
        if isinstance(value, list) and value:
            return _mutate_items(rng, value, rng.choice(value), mutate_json)
    if rng.random() < 0.5:
        if isinstance(value, str):
            changed = mutate_bytes(rng, value.encode("utf-8", "surrogatepass"), [b"0"])
            return changed.decode("utf-8", "replace")
        if type(value) is int:
            return value + rng.choice((-1, 1))
    return rng.choice(_JSON_VALUES)


def _mutate_object(rng: Random, value: dict[str, Any]) -> dict[str, Any]:
    key = rng.choice(list(value))
    match rng.randrange(7):
        case 0:
            return {name: item for name, item in value.items() if name != key}
        case 1:
            new = rng.choice(("extensions", "type", "64", "063", "x", "", "usage", "kind"))
            return {**value, new: rng.choice(_JSON_VALUES)}
        case _:
            return {**value, key: mutate_json(rng, value[key])}
