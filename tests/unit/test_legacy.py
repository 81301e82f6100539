"""Verification of single nous-v2 records, and the keys they are verified with.

Requirements: V2-3, V2-5, V2-6, V2-7, V2-8.
"""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nous_ledger.protocol import legacy
from nous_ledger.protocol.errors import LegacyError
from tests.unit.legacy_log import KEY, LOG, ORDER, PRIVATE, jwk_of, record, sign, twin


def refused_code(item: legacy.LegacyRecord, **options: Any) -> str:
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_record(item, KEY, **options)
    assert refused.value.attrs == {"record_id": item.id}
    return refused.value.code


# One record


def test_a_good_record_verifies() -> None:
    assert legacy.verify_legacy_record(LOG[0], KEY) is LOG[0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"input_tokens": "007", "leaf_hash": "0" * 64}, "legacy-type-confused"),
        ({"leaf_hash": "0" * 64, "provider": "a|b"}, "legacy-leaf"),
        ({"leaf_hash": "not a hash"}, "legacy-leaf"),
        ({"leaf_hash": LOG[1].leaf_hash.upper()}, "legacy-leaf"),
    ],
    ids=str,
)
def test_the_first_code_in_order_is_raised(change: dict[str, Any], code: str) -> None:
    assert refused_code(replace(LOG[1], **change)) == code


def test_ambiguous_comes_before_unsigned() -> None:
    assert refused_code(record(1, provider="a|b", receipt_sig="")) == "legacy-ambiguous"


@pytest.mark.parametrize("value", ["007", "5.0", "2e15", 1.5, -1, 2e15, True, None])
def test_a_type_confused_record_is_hashed_as_it_was_and_reported(
    value: legacy.LegacyNumber,
) -> None:
    """Failure 7: numbers are not checked; leaf and signature of such a record are good."""
    item = record(1, input_tokens=value)
    assert refused_code(item) == "legacy-type-confused"


@pytest.mark.parametrize(
    "signature",
    [
        "0" * 128,
        "0" * 64 + "1".zfill(64),
        f"{ORDER:064x}{1:064x}",
        f"{1:064x}{ORDER:064x}",
        "f" * 128,
        LOG[1].receipt_sig.upper(),
        LOG[1].receipt_sig[:-1],
        LOG[1].receipt_sig + "0",
        LOG[1].receipt_sig + "\n",
        " " + LOG[1].receipt_sig[1:],
        LOG[2].receipt_sig,
        sign(LOG[1].leaf_hash.encode(), ec.derive_private_key(5, ec.SECP256R1())),
        sign(bytes.fromhex(LOG[1].leaf_hash)),
    ],
)
def test_a_signature_that_does_not_verify_is_refused(signature: str) -> None:
    assert refused_code(replace(LOG[1], receipt_sig=signature)) == "legacy-signature"


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    number = int(LOG[1].receipt_sig, 16)
    for bit in range(512):
        flipped = f"{number ^ 1 << bit:0128x}"
        assert refused_code(replace(LOG[1], receipt_sig=flipped)) == "legacy-signature"


def test_either_form_of_a_signature_alone_is_valid() -> None:
    """Failure 11: there is no low-s rule."""
    for signature in (LOG[1].receipt_sig, twin(LOG[1].receipt_sig)):
        item = replace(LOG[1], receipt_sig=signature)
        assert legacy.verify_legacy_record(item, KEY) is item


def test_the_twin_of_a_known_signature_is_malleated() -> None:
    item = replace(LOG[1], receipt_sig=twin(LOG[1].receipt_sig))
    assert refused_code(item, known_signature=LOG[1].receipt_sig) == "legacy-malleated"


@pytest.mark.parametrize(
    "known", ["", LOG[1].receipt_sig, LOG[2].receipt_sig, "0" * 128, LOG[1].receipt_sig[:127]]
)
def test_other_known_signatures_say_nothing(known: str) -> None:
    assert legacy.verify_legacy_record(LOG[1], KEY, known_signature=known) is LOG[1]


def test_a_fresh_signature_of_the_same_leaf_is_honest() -> None:
    again = replace(LOG[1], receipt_sig=sign(LOG[1].leaf_hash.encode()))
    known = LOG[1].receipt_sig
    assert legacy.verify_legacy_record(again, KEY, known_signature=known) is again


# Keys


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "OKP"},
        {"crv": "P-384"},
        {"x": None},
        {"x": 5},
        {"x": "A" * 42},
        {"x": "A" * 44},
        {"y": "A" * 43},
        {"x": "+" * 43},
        {"x": "_" * 43},
    ],
    ids=str,
)
def test_a_key_that_is_no_point_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.parse_legacy_key({**jwk_of(PRIVATE), **change})
    assert refused.value.code == "legacy-format"


def test_a_coordinate_has_one_spelling() -> None:
    """The last of 43 base64url digits holds four bits; the other two must be zero."""
    good = jwk_of(PRIVATE)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = str(good["x"])[-1]
    other = alphabet[alphabet.index(last) ^ 1]
    with pytest.raises(LegacyError) as refused:
        legacy.parse_legacy_key({**good, "x": str(good["x"])[:-1] + other})
    assert refused.value.code == "legacy-format"


def test_a_key_off_the_curve_stops_an_audit() -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.audit_legacy(LOG, "", 21, legacy.LegacyPublicKey(b"\x04" + bytes(64)))
    assert refused.value.code == "legacy-format"
