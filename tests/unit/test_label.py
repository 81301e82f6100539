"""Labels: shape, when EXACT is allowed, and the verdict as a table."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from nous_ledger.protocol.errors import LabelError
from nous_ledger.protocol.label import (
    Bucket,
    Verdict,
    bytes_bound,
    check_exact_allowed,
    check_usage,
    verdict,
)
from nous_ledger.protocol.registries import API
from tests.refusals import code_of, refusal

VOCAB = bytes(range(32))
EXACT = Bucket(
    kind=16, reported=10, label=1, lower=9, upper=11, method="o200k_base/1", vocab=VOCAB, count=10
)
BOUNDED = Bucket(kind=16, reported=10, label=2, lower=1, upper=26, method="bytes/1")
UNVERIFIABLE = Bucket(kind=1, reported=10, label=3)
EVIDENCE: dict[str, Any] = {
    "lower": 9,
    "upper": 11,
    "method": "o200k_base/1",
    "vocab": VOCAB,
    "count": 10,
}


@pytest.mark.parametrize("label", [1, 2, 3, 4, 0, 2**53 - 1])
@pytest.mark.parametrize("reported", [None, 10])
def test_the_fields_of_a_label(label: int, reported: int | None) -> None:
    """Every combination of fields: exactly those of the table stand (LBL-1).

    An unknown label has no rule of its own.
    """
    for chosen in product([False, True], repeat=5):
        fields = {name: EVIDENCE[name] for name, here in zip(EVIDENCE, chosen, strict=True) if here}
        allowed = {
            1: set(EVIDENCE),
            2: {"lower", "upper", "method"},
            3: set[str](),
        }.get(label, fields.keys())
        if fields.keys() == allowed and (reported is not None or label != 3):
            assert Bucket(kind=16, label=label, reported=reported, **fields).label == label
        else:
            error = refusal(Bucket, kind=16, label=label, reported=reported, **fields)
            assert (error.code, type(error)) == ("label-shape", LabelError), fields


@pytest.mark.parametrize("label", [EXACT, BOUNDED])
def test_a_range_is_not_empty(label: Bucket) -> None:
    """LBL-2."""
    assert replace(label, lower=10, upper=10).lower == 10
    assert code_of(replace, label, lower=11, upper=10) == "label-range"


@pytest.mark.parametrize(
    ("lower", "count", "upper", "good"),
    [
        (10, 10, 10, True),
        (2, 10, 18, True),
        (1, 10, 18, False),
        (2, 10, 19, False),
        # The range need not hold the count: offsets of a model can be all above it.
        (11, 10, 12, True),
        (18, 10, 18, True),
        (19, 10, 19, False),
        (2, 10, 2, True),
        (1, 10, 1, False),
        (0, 0, 8, True),
    ],
)
def test_an_exact_range_is_near_its_count(lower: int, count: int, upper: int, good: bool) -> None:
    """LBL-3."""
    changes: dict[str, Any] = {"lower": lower, "upper": upper, "count": count}
    if good:
        assert replace(EXACT, **changes).count == count
    else:
        assert code_of(replace, EXACT, **changes) == "label-range"


@pytest.mark.parametrize(
    ("method", "good"),
    [
        ("o200k_base/1", True),
        ("o200k_base/1+split", True),
        ("a/1", True),
        ("bytes2/1", True),
        ("xbytes/1", True),
        ("a.b_c-d/1", True),
        ("bytes/1", False),
        ("bytes/1+split", False),
        ("/1", False),
        ("o200k_base", False),
        ("o200k_base/2", False),
        ("o200k_base/11", False),
        ("o200k_base/1+", False),
        ("o200k_base/1+splits", False),
        ("o200k_base/1 +split", False),
        ("O200k_base/1", False),
        ("a/b/1", False),
        ("ä/1", False),
    ],
)
def test_methods_of_an_exact_count(method: str, good: bool) -> None:
    """LBL-4; other labels may name any method."""
    if good:
        assert replace(EXACT, method=method).method == method
    else:
        assert code_of(replace, EXACT, method=method) == "method-name"
    assert replace(BOUNDED, method=method).method == method


@pytest.mark.parametrize("kind", [1, 8, 9, 15, 17, 18, 32, 48, 1_000])
def test_only_visible_output_is_exact(kind: int) -> None:
    """In receipts and reconciliations alike (LBL-5, LBL-6)."""
    assert code_of(replace, EXACT, kind=kind) == "exact-not-allowed"
    assert replace(BOUNDED, kind=kind).kind == kind


def unverifiable(kind: int, reported: int = 1) -> Bucket:
    return Bucket(kind=kind, reported=reported, label=3)


def exact_allowed(
    *others: Bucket,
    bucket: Bucket = EXACT,
    status: int = 0,
    api: int = 1,
    anomalies: tuple[int, ...] = (),
) -> bool:
    usage = sorted((bucket, *others), key=lambda item: item.kind)
    try:
        check_exact_allowed(usage, status, api, anomalies)
    except LabelError as error:
        return error.code != "exact-not-allowed"
    return True


SPLIT = replace(EXACT, method="o200k_base/1+split")


def test_exact_beside_what_does_not_forbid_it() -> None:
    """LBL-5."""
    assert exact_allowed()
    inputs = [unverifiable(kind) for kind in (1, 2, 3, 4, 5, 6, 7, 9)]
    assert exact_allowed(*inputs, unverifiable(17, 0), unverifiable(19), unverifiable(48))
    assert exact_allowed(unverifiable(38), unverifiable(31), unverifiable(53))
    assert exact_allowed(anomalies=(4, 6, 7, 8, 9, 10, 11, 13))


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 6, 7, 8, 9, 1_000])
def test_only_a_complete_call_is_exact(status: int) -> None:
    """LBL-5; an answer cut by a length limit is not complete."""
    assert not exact_allowed(status=status)


@pytest.mark.parametrize("api", range(16))
def test_only_a_text_api_is_exact(api: int) -> None:
    """LBL-5."""
    others = {"other", "openai.embeddings", "openai.images", "openai.audio"}
    known = {number: name for name, number in API.items()}
    assert exact_allowed(api=api) == (api in known and known[api] not in others)


def test_hidden_or_unsplit_output_is_not_exact() -> None:
    """LBL-5; +split says that the provider's split was used."""
    assert not exact_allowed(unverifiable(18))
    assert not exact_allowed(unverifiable(18), bucket=SPLIT)
    reasoning = Bucket(kind=17, label=2, lower=0, upper=9, method="bytes/1")
    for hidden in (unverifiable(17, 1), reasoning, replace(reasoning, reported=2)):
        assert not exact_allowed(hidden)
        assert exact_allowed(hidden, bucket=SPLIT)
    assert exact_allowed(replace(reasoning, reported=0))


@pytest.mark.parametrize("kind", range(32, 38))
def test_media_forbid_exact(kind: int) -> None:
    """LBL-5; whatever was reported of them."""
    assert not exact_allowed(unverifiable(kind, 0))
    assert not exact_allowed(unverifiable(kind), bucket=SPLIT)


@pytest.mark.parametrize("anomaly", range(1, 14))
def test_anomalies_that_forbid_exact(anomaly: int) -> None:
    """LBL-5; among others too."""
    for anomalies in ((anomaly,), (anomaly, 100)):
        assert exact_allowed(anomalies=anomalies) == (anomaly not in {1, 2, 3, 5, 12})


def test_other_labels_have_no_conditions() -> None:
    """LBL-5 speaks of EXACT alone."""
    usage = (BOUNDED, unverifiable(18), unverifiable(32))
    check_exact_allowed(usage, 8, 5, (1, 2, 3, 5, 12))
    check_exact_allowed((), 8, 5, (1,))


@pytest.mark.parametrize(
    ("kinds", "code"),
    [
        ((), ""),
        ((1, 2, 16, 17), ""),
        ((1, 1), "bad-order"),
        ((2, 1), "bad-order"),
        ((1, 16, 3), "bad-order"),
        ((8, 9, 16), ""),
        *(((kind, 8), "field-conflict") for kind in range(1, 8)),
        ((8, 18), ""),
        ((1, 18, 19), ""),
        ((16, 18), "field-conflict"),
        ((17, 18), "field-conflict"),
        ((16, 17, 18), "field-conflict"),
        ((0, 8), ""),
    ],
)
def test_which_buckets_stand_together(kinds: tuple[int, ...], code: str) -> None:
    """One per kind, ascending, and no whole beside its parts (BKT-1, BKT-2, BKT-3)."""
    usage = [unverifiable(kind) for kind in kinds]
    if code:
        assert code_of(check_usage, usage) == code
    else:
        check_usage(usage)


def with_reported(bucket: Bucket, reported: int | None) -> Bucket:
    return replace(bucket, reported=reported)


@pytest.mark.parametrize("metering", [0, 1, 2, 4])
@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (with_reported(EXACT, 12), "above"),
        (with_reported(EXACT, 2**53 - 1), "above"),
        (with_reported(EXACT, 11), "ok"),
        (with_reported(EXACT, 9), "ok"),
        (with_reported(EXACT, 8), "below"),
        (with_reported(EXACT, 0), "below"),
        (with_reported(EXACT, None), "uncheckable"),
        (with_reported(BOUNDED, 27), "outside"),
        (with_reported(BOUNDED, 26), "ok"),
        (with_reported(BOUNDED, 1), "ok"),
        (with_reported(BOUNDED, 0), "outside"),
        (with_reported(BOUNDED, None), "uncheckable"),
        (UNVERIFIABLE, "uncheckable"),
        (Bucket(kind=16, reported=10, label=4), "uncheckable"),
        (Bucket(kind=16, reported=99, label=4, lower=1, upper=2), "uncheckable"),
        (Bucket(kind=16, reported=99, label=0, lower=1, upper=2), "uncheckable"),
    ],
)
def test_the_verdict(bucket: Bucket, expected: str, metering: int) -> None:
    """The whole of section 9.3; nothing is checkable where metering is malformed (LBL-7)."""
    assert verdict(bucket, metering) is Verdict(expected)
    assert verdict(bucket, 3) is Verdict.UNCHECKABLE


def test_the_method_bytes() -> None:
    """UTF-8 bytes plus 16 for each choice and tool call, and at least 1 (LBL-8)."""
    assert bytes_bound(0, 0) == (0, 0)
    assert bytes_bound(0, 1) == (0, 16)
    assert bytes_bound(1, 1) == (1, 17)
    assert bytes_bound(10, 3) == (1, 58)
