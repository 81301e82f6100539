"""Verifier keys and their key ids."""

import base64

import pytest

from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.types import LogId
from nous_ledger.protocol.vkey import (
    HEAD_PREFIX,
    KIND_COSIGNATURE,
    KIND_ED25519,
    KIND_HEAD,
    KIND_MLDSA44,
    MAX_VKEY_CHARACTERS,
    VerifierKey,
    compute_key_id,
    cosigner_vkey,
    ed25519_vkey,
    format_vkey,
    head_vkey,
    make_vkey,
    parse_vkey,
)
from tests.refusals import code_of, refusal
from tests.unit import small_log

# The known answer of PROTOCOL.md.
HEAD_TEXT = (
    "ledger.example.com/main+f8b888ef+"
    "/25vdXMtbGVkZ2VyLzEgaGVhZAD41kKkUr9urMEcaYdqQWaXa/7L2dBPvRIjsjKlqrBz/g=="
)


def spell(name: str, key_id: bytes, kind: int, material: bytes) -> str:
    return f"{name}+{key_id.hex()}+{base64.b64encode(bytes([kind]) + material).decode()}"


def test_the_known_head_key() -> None:
    key = parse_vkey(HEAD_TEXT)
    assert key == small_log.HEAD_VKEY
    assert key.kind == KIND_HEAD
    assert key.log_id == small_log.LOG_ID
    assert format_vkey(key) == HEAD_TEXT


@pytest.mark.parametrize(
    "key",
    [
        ed25519_vkey("log.example", bytes(range(32))),
        cosigner_vkey("witness.example/ü", bytes(range(32))),
        head_vkey("log.example", LogId(bytes(range(32)))),
        make_vkey("w", KIND_MLDSA44, bytes(1312)),
    ],
    ids=["ed25519", "cosigner", "head", "ml-dsa-44"],
)
def test_keys_of_known_kinds_round_trip(key: VerifierKey) -> None:
    assert parse_vkey(format_vkey(key)) == key
    assert (key.log_id is None) == (key.kind != KIND_HEAD)


@pytest.mark.parametrize("kind", [0x00, 0x02, 0x03, 0x05, 0xFA, 0xFE, 0xFF])
@pytest.mark.parametrize("material", [b"x", bytes(32), bytes(51)])
def test_keys_of_other_kinds_are_kept(kind: int, material: bytes) -> None:
    """Their key ids may be made in other ways: ECDSA's hashes the key alone."""
    text = spell("log.example", b"\x01\x02\x03\x04", kind, material)
    key = parse_vkey(text)
    assert (key.kind, key.material, key.log_id) == (kind, material, None)
    assert format_vkey(key) == text


@pytest.mark.parametrize(
    "key",
    [small_log.HEAD_VKEY, small_log.ED25519_VKEY, small_log.WITNESS_VKEYS[0]],
    ids=["head", "ed25519", "cosigner"],
)
def test_every_flipped_bit_of_a_key_id_is_refused(key: VerifierKey) -> None:
    for bit in range(32):
        wrong = (int.from_bytes(key.key_id, "big") ^ 1 << bit).to_bytes(4, "big")
        text = spell(key.name, wrong, key.kind, key.material)
        error = refusal(parse_vkey, text)
        assert error.code == "vkey-key-id"
        assert error.attrs == {"computed": key.key_id.hex()}


def test_the_key_id_binds_name_and_kind() -> None:
    ids = {
        compute_key_id(name, kind, bytes(32))
        for name in ("a", "b")
        for kind in (KIND_ED25519, KIND_COSIGNATURE)
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("kind", "lengths"),
    [
        (KIND_ED25519, (0, 31, 33)),
        (KIND_COSIGNATURE, (0, 31, 33)),
        (KIND_MLDSA44, (32, 1311, 1313)),
    ],
)
def test_other_lengths_of_known_kinds_are_refused(kind: int, lengths: tuple[int, ...]) -> None:
    for length in lengths:
        text = spell("n", compute_key_id("n", kind, bytes(length)), kind, bytes(length))
        assert code_of(parse_vkey, text) == "vkey-format"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_head_key_has_a_whole_log_id(length: int) -> None:
    material = HEAD_PREFIX + bytes(length)
    text = spell("n", compute_key_id("n", KIND_HEAD, material), KIND_HEAD, material)
    assert code_of(parse_vkey, text) == "vkey-format"
    assert code_of(head_vkey, "n", LogId(bytes(length))) == "vkey-format"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "n+01020304",
        "n+01020304+",
        "+01020304+BQU=",
        "n+0102030+BQU=",
        "n+010203040+BQU=",
        "n+0102030A+BQU=",  # upper case
        "n+0x020304+BQU=",
        "n+01020304+BQ==",  # a kind without material
        "n+01020304+BQU",
        "n+01020304+BQV=",
        "n+01020304+BQU==",
        "n+01020304+BQ-=",
        "n+01020304+BQU=\n",
        "n+01020304+BQU= ",
        " n+01020304+BQU=",
        "a b+01020304+BQU=",
        "a\u00a0b+01020304+BQU=",
        "a\x00b+01020304+BQU=",
        "a\ud800b+01020304+BQU=",
        "a+b+01020304+BQU=",
        "n+01020304+BQU=+BQU=",
        "n" * MAX_VKEY_CHARACTERS + "+01020304+BQU=",
    ],
)
def test_what_is_no_vkey_is_refused(text: str) -> None:
    assert code_of(parse_vkey, text) == "vkey-format"


@pytest.mark.parametrize(
    ("name", "key_id", "kind", "material"),
    [
        ("", b"1234", 2, b"x"),
        ("a b", b"1234", 2, b"x"),
        ("n", b"123", 2, b"x"),
        ("n", b"1234", 256, b"x"),
        ("n", b"1234", 2, b""),
    ],
)
def test_keys_that_cannot_be_written_are_not_made(
    name: str, key_id: bytes, kind: int, material: bytes
) -> None:
    code = code_of(VerifierKey, name=name, key_id=key_id, kind=kind, material=material)
    assert code == "vkey-format"


@pytest.mark.parametrize(("name", "kind"), [("", 1), ("n", 256), ("n", -1), ("a\ud800", 1)])
def test_a_key_id_needs_a_name_and_a_kind(name: str, kind: int) -> None:
    assert code_of(make_vkey, name, kind, bytes(32)) == "vkey-format"


def test_key_ids_are_those_of_the_heads_lines() -> None:
    note = parse_note(small_log.head())
    assert [(line.name, line.key_id) for line in note.signatures] == [
        (small_log.ORIGIN, small_log.ED25519_VKEY.key_id),
        (small_log.ORIGIN, small_log.HEAD_VKEY.key_id),
    ]
