"""Log ids, next-key commitments and key addresses on the EVM."""

from __future__ import annotations

import random

import pytest

from nous_ledger.protocol.hashing import compute_log_id, next_key_hash
from nous_ledger.protocol.signing import SigningKey, address_of, is_curve_point
from tests.contracts.evm import Call, Contract, Returned, Reverted

FIELD_PRIME = 2**256 - 2**32 - 977
ED25519 = bytes.fromhex("17cb79fb2b4120f2b1ec65e4198d6e08b28e813feb01e4a400839b85e18080ce")
KEY = bytes.fromhex("034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa")
NEXT_HASH = bytes.fromhex("78e611d5597ac12f7f09193ce6bbb3f78c53fe25fc9ca09e914467517a5b373f")
LOG_ID = bytes.fromhex("f8d642a452bf6eacc11c69876a4166976bfecbd9d04fbd1223b232a5aab073fe")


def test_log_id_is_the_known_answer(harness: Contract) -> None:
    outcome = harness.call("logId", b"ledger.example.com/main", KEY, ED25519, NEXT_HASH)
    assert outcome == Returned((LOG_ID,))


def test_next_key_hash_is_the_known_answer(harness: Contract) -> None:
    next_key = SigningKey(b"\x22" * 32).public_key
    assert harness.call("nextKeyHash", next_key) == Returned((NEXT_HASH,))


def test_log_ids_are_those_of_the_python_core(harness: Contract) -> None:
    draw = random.Random("log ids")
    calls, expected = [], []
    for length in (1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 200, 254, 255):
        origin = "".join(draw.choices("abcxyz0189", k=length))
        key, ed25519, next_hash = b"\x02" + draw.randbytes(32), *map(draw.randbytes, (32, 32))
        calls.append(Call("logId", (origin.encode(), key, ed25519, next_hash)))
        calls.append(Call("nextKeyHash", (key,)))
        expected.append(Returned((compute_log_id(origin, key, ed25519, next_hash),)))
        expected.append(Returned((next_key_hash(key),)))
    assert harness.run(calls) == expected


def test_origins_hold_exactly_the_characters_of_the_protocol(harness: Contract) -> None:
    inside = b"abcdefghijklmnopqrstuvwxyz0123456789._~/-"
    edge = inside[:36]
    origins = {b"a" + bytes([c]) + b"a": c in inside for c in range(256)}
    origins |= {bytes([c]) + b"a": c in edge for c in range(256)}
    origins |= {b"a" + bytes([c]): c in edge for c in range(256)}
    origins |= {bytes([c]): c in edge for c in range(256)}
    origins |= {b"": False, b"a" * 255: True, b"a" * 256: False, b"a" * 65_537: False}
    calls = [Call("logId", (origin, KEY, ED25519, NEXT_HASH)) for origin in origins]
    for origin, outcome in zip(origins, harness.run(calls), strict=True):
        if origins[origin]:
            assert isinstance(outcome, Returned), origin
        else:
            assert outcome == Reverted("OriginInvalid", (origin,))


@pytest.mark.parametrize("length", [0, 32, 34, 65])
def test_keys_of_another_length_are_refused(harness: Contract, length: int) -> None:
    key = b"\x02" * length
    refused = Reverted("KeyInvalid", (key,))
    assert harness.call("logId", b"a", key, ED25519, NEXT_HASH) == refused
    assert harness.call("nextKeyHash", key) == refused
    assert harness.call("addressOf", key) == refused


def test_addresses_are_those_of_the_python_core(harness: Contract) -> None:
    draw = random.Random("addresses")
    keys = [SigningKey(draw.randbytes(32)).public_key for _ in range(64)]
    keys += [bytes([5 - key[0]]) + key[1:] for key in keys]  # the other y of the same x
    outcomes = harness.run([Call("addressOf", (key,)) for key in keys])
    assert outcomes == [Returned((address_of(key),)) for key in keys]


def test_only_points_of_the_curve_have_an_address(harness: Contract) -> None:
    draw = random.Random("points")
    numbers = [0, 1, 2, 3, 4, 5, 6, 7, FIELD_PRIME - 1, FIELD_PRIME, FIELD_PRIME + 1, 2**256 - 1]
    coordinates = [number.to_bytes(32, "big") for number in numbers]
    coordinates += [draw.randbytes(32) for _ in range(40)]
    keys = [bytes([prefix]) + x for x in coordinates for prefix in (0, 1, 2, 3, 4, 6, 255)]
    outcomes = harness.run([Call("addressOf", (key,)) for key in keys])
    for key, outcome in zip(keys, outcomes, strict=True):
        if is_curve_point(key):
            assert outcome == Returned((address_of(key),))
        else:
            assert outcome == Reverted("KeyInvalid", (key,))
    assert 20 < sum(isinstance(outcome, Returned) for outcome in outcomes) < 120
