"""Audits of nous-v2 logs: the failures of that system that a verifier can show.

Tests are numbered as that system's failures are. Requirements: V2-7, V2-9, V2-12.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nous_ledger.protocol import legacy
from tests.unit.legacy_log import KEY, LOG, jwk_of, record, sign, twin


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


def test_7_a_type_confused_record_is_reported_alone() -> None:
    assert codes(audit([record(1, input_tokens="007")])) == [(0, "legacy-type-confused")]


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
    assert audit([item]).findings == ()


def test_11_the_twin_of_a_known_signature_is_malleated() -> None:
    item = replace(LOG[1], receipt_sig=twin(LOG[1].receipt_sig))
    report = audit([LOG[0], item], known={item.leaf_hash: LOG[1].receipt_sig})
    assert codes(report) == [(1, "legacy-malleated")]


def test_11_a_fresh_signature_of_the_same_leaf_is_honest() -> None:
    again = replace(LOG[1], receipt_sig=sign(LOG[1].leaf_hash.encode()))
    assert again.receipt_sig[:64] != LOG[1].receipt_sig[:64]
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
