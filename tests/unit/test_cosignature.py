"""Witness cosignatures, version 1."""

import pytest

from nous_ledger.protocol.cosignature import cosign, cosigned_message, verify_cosignature
from nous_ledger.protocol.note import NoteSignature
from nous_ledger.protocol.types import MAX_UINT, UnixSeconds
from nous_ledger.protocol.vkey import VerifierKey, ed25519_vkey, make_vkey
from tests.refusals import code_of
from tests.unit import small_log

TEXT = "ledger.example.com/main\n7\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
NAME, KEY, VKEY = (
    small_log.WITNESS_NAMES[0],
    small_log.WITNESSES[0],
    small_log.WITNESS_VKEYS[0],
)


def made(timestamp: int = 1_750_000_000) -> NoteSignature:
    return cosign(NAME, KEY, TEXT, UnixSeconds(timestamp))


def test_the_signed_message_has_two_lines_before_the_text() -> None:
    assert cosigned_message("a\n", UnixSeconds(12)) == b"cosignature/v1\ntime 12\na\n"


@pytest.mark.parametrize("timestamp", [0, 1, 1_750_000_000, MAX_UINT])
def test_a_cosignature_verifies_to_its_time(timestamp: int) -> None:
    line = made(timestamp)
    assert (line.name, line.key_id) == (VKEY.name, VKEY.key_id)
    assert len(line.payload) == 72
    assert verify_cosignature(VKEY, TEXT, line) == timestamp


def test_every_flipped_bit_is_refused() -> None:
    line = made()
    codes = set()
    for bit in range(8 * len(line.payload)):
        changed = bytearray(line.payload)
        changed[bit // 8] ^= 1 << bit % 8
        other = NoteSignature(name=line.name, key_id=line.key_id, payload=bytes(changed))
        codes.add(code_of(verify_cosignature, VKEY, TEXT, other))
    assert codes == {"malformed", "mismatch"}


def test_the_text_and_the_key_are_bound() -> None:
    line = made()
    assert code_of(verify_cosignature, VKEY, TEXT + "\n", line) == "mismatch"
    other = small_log.WITNESS_VKEYS[1]
    assert code_of(verify_cosignature, other, TEXT, line) == "mismatch"


def test_a_log_signature_over_the_same_text_is_no_cosignature() -> None:
    payload = bytes(8) + KEY.sign(TEXT.encode())
    line = NoteSignature(name=NAME, key_id=VKEY.key_id, payload=payload)
    assert code_of(verify_cosignature, VKEY, TEXT, line) == "mismatch"


@pytest.mark.parametrize("change", [-1, 1])
def test_a_cosignature_has_76_bytes(change: int) -> None:
    payload = made().payload[:-1] if change < 0 else made().payload + b"\x00"
    line = NoteSignature(name=NAME, key_id=VKEY.key_id, payload=payload)
    assert code_of(verify_cosignature, VKEY, TEXT, line) == "malformed"


def test_a_time_of_2_to_53_is_refused() -> None:
    too_late = UnixSeconds(MAX_UINT + 1)
    assert code_of(made, MAX_UINT + 1) == "input"
    assert code_of(made, -1) == "input"
    payload = too_late.to_bytes(8, "big") + KEY.sign(cosigned_message(TEXT, too_late))
    line = NoteSignature(name=NAME, key_id=VKEY.key_id, payload=payload)
    assert code_of(verify_cosignature, VKEY, TEXT, line) == "malformed"


@pytest.mark.parametrize(
    "key", [ed25519_vkey("w", KEY.public_key), make_vkey("w", 0x06, bytes(1312))]
)
def test_only_cosigner_keys_verify_cosignatures(key: VerifierKey) -> None:
    line = made()
    assert code_of(verify_cosignature, key, TEXT, line) == "vkey-format"


def test_a_witness_needs_a_key_name() -> None:
    assert code_of(cosign, "a b", KEY, TEXT, UnixSeconds(0)) == "vkey-format"
