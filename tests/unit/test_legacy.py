"""Verification and audit of nous-v2 logs, and the failures of that system a verifier can show.

Requirements: V2-3, V2-5, V2-6, V2-7, V2-8, V2-9, V2-12, V2-13.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from nous_ledger.protocol import legacy
from nous_ledger.protocol.errors import LegacyError

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
PRIVATE = ec.derive_private_key(0x1717, ec.SECP256R1())


def jwk_of(key: ec.EllipticCurvePrivateKey) -> dict[str, object]:
    numbers = key.public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(value.to_bytes(32, "big")).decode().rstrip("=")
        for value in (numbers.x, numbers.y)
    )
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


KEY = legacy.parse_legacy_key(jwk_of(PRIVATE))


def sign(message: bytes, key: ec.EllipticCurvePrivateKey = PRIVATE) -> str:
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256())))
    return f"{r:064x}{s:064x}"


def twin(signature: str) -> str:
    return f"{signature[:64]}{ORDER - int(signature[64:], 16):064x}"


def record(number: int, **changes: Any) -> legacy.LegacyRecord:
    """Return a record that is hashed and signed as nous-v2 does it, whatever it holds."""
    row: dict[str, Any] = {
        "id": number,
        "timestamp": f"2026-04-02T12:00:00.{number:03}Z",
        "user_hash": "178ea61e753a78d64b99c7efb4cf1929",
        "provider": "openai",
        "model": "gpt-4o-mini",
        "input_tokens": 9,
        "output_tokens": number,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "total_tokens": 9 + number,
        "leaf_hash": "",
        "receipt_sig": "",
        **changes,
    }
    leaf = legacy.legacy_leaf(legacy.parse_legacy_record(row))
    row["leaf_hash"] = leaf
    row["receipt_sig"] = changes.get("receipt_sig", sign(leaf.encode()))
    return legacy.parse_legacy_record(row)


def refused_code(item: legacy.LegacyRecord, **options: Any) -> str:
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_record(item, KEY, **options)
    assert refused.value.attrs == {"record_id": item.id}
    return refused.value.code


def audit(
    records: Iterable[legacy.LegacyRecord], *, count: int | None = None, **options: Any
) -> legacy.LegacyReport:
    """Audit under the root that the host would state for these records."""
    records = list(records)
    count = len(records) if count is None else count
    root = options.pop("root", legacy.legacy_root([item.leaf_hash for item in records[:count]]))
    return legacy.audit_legacy(records, root, count, KEY, **options)


def codes(report: legacy.LegacyReport) -> list[tuple[int | None, str]]:
    return [(finding.position, finding.code) for finding in report.findings]


LOG = tuple(record(number) for number in range(21))


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
    assert codes(audit([item])) == [(0, "legacy-type-confused")]


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


# The failures of nous-v2, as the reference numbers them, where they concern a verifier


def test_1_a_tree_in_another_order_than_the_rows_is_not_the_same_log() -> None:
    swapped = [LOG[1], LOG[0], *LOG[2:]]
    report = audit(LOG, root=legacy.legacy_root([item.leaf_hash for item in swapped]))
    assert report.root is None
    assert codes(report) == [(None, "legacy-root")]
    assert report.verified == 21  # each record is still the gateway's


def test_2_an_append_between_the_two_requests_is_no_alarm() -> None:
    root = legacy.legacy_root([item.leaf_hash for item in LOG[:20]])
    later_records = legacy.audit_legacy(LOG, root, 20, KEY)
    assert (later_records.root_code, later_records.uncovered) == ("", 1)
    later_root = audit(LOG[:20], root=legacy.legacy_root([r.leaf_hash for r in LOG]), count=21)
    assert (later_root.root_code, later_root.uncovered) == ("stale", 0)
    assert later_root.verified == 20


def trusted_root(count: int) -> legacy.LegacyRoot:
    leaves = [item.leaf_hash for item in LOG[:count]]
    return legacy.verify_legacy_root(leaves, legacy.legacy_root(leaves), count)


def test_3_a_consistent_rewrite_is_found_from_a_root_seen_before() -> None:
    rewritten = [record(0, output_tokens=999), *LOG[1:]]
    assert audit(rewritten).findings == ()  # without a memory nobody can tell
    report = audit(rewritten, trusted=trusted_root(13))
    assert codes(report) == [(None, "legacy-root")]


@pytest.mark.parametrize("kept", [0, 8, 20])
def test_3_dropped_records_and_an_empty_tree_do_not_pass(kept: int) -> None:
    report = audit(LOG[:kept], trusted=trusted_root(21))
    assert codes(report) == [(None, "stale")]
    assert report.root is None


def test_3_a_root_behind_the_records_is_stale() -> None:
    report = audit(LOG, count=8, trusted=trusted_root(21))
    assert (report.root_code, report.uncovered) == ("stale", 13)


def test_a_log_that_grew_from_a_trusted_root_passes() -> None:
    for count in (0, 1, 13, 21):
        report = audit(LOG, trusted=trusted_root(count))
        assert report.findings == ()


def test_3_stripped_signatures_are_counted() -> None:
    report = audit([replace(item, receipt_sig="") for item in LOG])
    assert (report.unsigned, report.verified, report.wrong) == (21, 0, 0)


def test_4_a_key_that_the_host_replaced_makes_every_signature_wrong() -> None:
    other = legacy.parse_legacy_key(jwk_of(ec.derive_private_key(5, ec.SECP256R1())))
    root = legacy.legacy_root([item.leaf_hash for item in LOG])
    report = legacy.audit_legacy(LOG, root, 21, other)
    assert (report.wrong, report.verified) == (21, 0)


def test_6_two_records_with_one_leaf_are_both_ambiguous() -> None:
    one = record(1, provider="a|b", model="c")
    two = replace(one, id=2, provider="a", model="b|c")
    report = audit([one, two])
    assert one.leaf_hash == two.leaf_hash
    assert (report.ambiguous, report.verified, report.wrong) == (2, 0, 0)


def test_6_the_reading_of_the_root_is_reported_apart() -> None:
    report = audit(LOG[:20])
    assert report.root is not None
    assert report.root.readings == ("parent-node",)
    assert (report.ambiguous, report.verified) == (0, 20)


def test_7_an_altered_record_cannot_hide_behind_a_softer_code() -> None:
    item = replace(record(1), input_tokens="007", provider="a|b", receipt_sig=LOG[2].receipt_sig)
    report = audit([item])
    assert [code for _, code in codes(report)] == [
        "legacy-type-confused",
        "legacy-leaf",
        "legacy-ambiguous",
        "legacy-signature",
    ]
    assert (report.wrong, report.ambiguous, report.type_confused) == (1, 1, 1)


def test_11_either_form_of_a_signature_alone_is_valid() -> None:
    item = replace(LOG[1], receipt_sig=twin(LOG[1].receipt_sig))
    assert legacy.verify_legacy_record(item, KEY) is item
    assert audit([item]).findings == ()


def test_11_the_twin_of_a_known_signature_is_malleated() -> None:
    item = replace(LOG[1], receipt_sig=twin(LOG[1].receipt_sig))
    assert refused_code(item, known_signature=LOG[1].receipt_sig) == "legacy-malleated"
    report = audit([LOG[0], item], known={item.leaf_hash: LOG[1].receipt_sig})
    assert codes(report) == [(1, "legacy-malleated")]


@pytest.mark.parametrize(
    "known", ["", LOG[1].receipt_sig, LOG[2].receipt_sig, "0" * 128, LOG[1].receipt_sig[:127]]
)
def test_11_other_known_signatures_say_nothing(known: str) -> None:
    assert legacy.verify_legacy_record(LOG[1], KEY, known_signature=known) is LOG[1]


def test_11_a_fresh_signature_of_the_same_leaf_is_honest() -> None:
    again = replace(LOG[1], receipt_sig=sign(LOG[1].leaf_hash.encode()))
    assert again.receipt_sig[:64] != LOG[1].receipt_sig[:64]
    known = LOG[1].receipt_sig
    assert legacy.verify_legacy_record(again, KEY, known_signature=known) is again
    assert audit([LOG[1], replace(again, id=99)]).findings == ()


def test_11_both_forms_in_one_set_mark_every_copy() -> None:
    copy = replace(LOG[1], id=98)
    twin_copy = replace(LOG[1], id=99, receipt_sig=twin(LOG[1].receipt_sig))
    report = audit([LOG[0], LOG[1], copy, twin_copy])
    assert codes(report) == [(place, "legacy-malleated") for place in (1, 2, 3)]
    assert (report.malleated, report.verified) == (3, 1)


def test_a_row_that_copies_leaf_and_signature_is_ambiguous() -> None:
    report = audit([LOG[0], LOG[1], replace(LOG[1], id=99)])
    assert codes(report) == [(1, "legacy-ambiguous"), (2, "legacy-ambiguous")]


def test_copies_without_a_valid_signature_are_not_compared() -> None:
    bad = replace(LOG[1], receipt_sig="f" * 128)
    bare = replace(LOG[2], receipt_sig="")
    report = audit([bad, replace(bad, id=98), bare, replace(bare, id=99)])
    assert (report.wrong, report.unsigned, report.malleated, report.ambiguous) == (2, 2, 0, 0)


# The root of an audit


@pytest.mark.parametrize("root", ["", "empty", "0" * 64, "garbage"])
def test_a_wrong_root_is_found(root: str) -> None:
    assert audit(LOG, root=root).root_code == "legacy-root"


def test_a_negative_count_is_wrong() -> None:
    report = audit(LOG, root="", count=-1)
    assert (report.root_code, report.uncovered) == ("legacy-root", 21)


def test_an_empty_log_is_established_but_covers_nothing() -> None:
    assert audit([], root="empty").root_code == ""
    stripped = audit(LOG, root="empty", count=0)
    assert (stripped.root_code, stripped.uncovered) == ("", 21)


def test_a_leaf_that_is_no_hash_makes_record_and_root_wrong() -> None:
    report = legacy.audit_legacy([replace(LOG[0], leaf_hash="x")], "x", 1, KEY)
    assert codes(report) == [
        (0, "legacy-leaf"),
        (0, "legacy-signature"),
        (None, "legacy-root"),
    ]


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


# Summaries

SUMMARY: dict[str, Any] = {
    "p": "nous",
    "v": 1,
    "type": "summary",
    "user": "178ea61e753a78d64b99c7efb4cf1929",
    "total_tokens": 100,
    "total_calls": 3,
    "models": [
        {"provider": "openai", "model": 'gpt-"4o"\n\u2028ü', "tokens": 90, "calls": 2},
        {"provider": "anthropic", "model": "claude", "tokens": 10, "calls": 1},
    ],
    "ts": 1_775_131_200,
}


def test_a_summary_verifies_over_its_compact_json() -> None:
    # What JSON.stringify prints, byte for byte.
    signed = (
        '{"p":"nous","v":1,"type":"summary","user":"178ea61e753a78d64b99c7efb4cf1929",'
        '"total_tokens":100,"total_calls":3,"models":['
        '{"provider":"openai","model":"gpt-\\"4o\\"\\n\u2028ü","tokens":90,"calls":2},'
        '{"provider":"anthropic","model":"claude","tokens":10,"calls":1}],"ts":1775131200}'
    ).encode()
    summary = legacy.parse_legacy_summary(SUMMARY)
    assert legacy.encode_legacy_summary(summary) == signed
    assert legacy.verify_legacy_summary(summary, sign(signed), KEY) is summary


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        ("", "legacy-unsigned"),
        ("0" * 128, "legacy-signature"),
        (sign(b"other"), "legacy-signature"),
        (sign(hashlib.sha256(json.dumps(SUMMARY).encode()).digest()), "legacy-signature"),
    ],
)
def test_a_summary_without_its_signature_is_refused(signature: str, code: str) -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_summary(legacy.parse_legacy_summary(SUMMARY), signature, KEY)
    assert refused.value.code == code


@pytest.mark.parametrize("change", [{"user": "0"}, {"ts": 1}, {"total_calls": 4}, {"models": []}])
def test_an_altered_summary_is_refused(change: dict[str, Any]) -> None:
    signature = sign(legacy.encode_legacy_summary(legacy.parse_legacy_summary(SUMMARY)))
    altered = legacy.parse_legacy_summary({**SUMMARY, **change})
    with pytest.raises(LegacyError) as refused:
        legacy.verify_legacy_summary(altered, signature, KEY)
    assert refused.value.code == "legacy-signature"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"p": "other"}, "legacy-format"),
        ({"v": 2}, "legacy-format"),
        ({"v": True}, "legacy-format"),
        ({"type": None}, "legacy-format"),
        ({"user": 5}, "legacy-format"),
        ({"models": "x"}, "legacy-format"),
        ({"models": [5]}, "legacy-format"),
        ({"models": SUMMARY["models"][::-1]}, "legacy-format"),
        ({"models": [SUMMARY["models"][0]] * 4_097}, "legacy-format"),
        ({"models": [{**SUMMARY["models"][0], "provider": None}]}, "legacy-format"),
        ({"models": [{**SUMMARY["models"][0], "tokens": -1}]}, "legacy-type-confused"),
        ({"models": [{**SUMMARY["models"][0], "calls": "1"}]}, "legacy-type-confused"),
        ({"total_tokens": 1.5}, "legacy-type-confused"),
        ({"total_calls": True}, "legacy-type-confused"),
        ({"ts": 2**53}, "legacy-type-confused"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_malformed_summary_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(LegacyError) as refused:
        legacy.parse_legacy_summary({**SUMMARY, **change})
    assert refused.value.code == code
