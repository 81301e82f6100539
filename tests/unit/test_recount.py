"""Verification, steps 7 and 8: verdicts where accuracy is required, and counting again."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.accuracy import Recount, Recounter
from nous_ledger.protocol.hashing import commit_request, commit_response
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.receipt import Receipt
from tests.property.sample_log import SALT, receipt
from tests.unit.verifying import CLAIMED, ESTABLISHED, accuracy, report_on

OPENING = b"\x88" * 32
REQUEST = b'{"model":"claude","messages":[]}'
RESPONSE = b'{"content":[{"type":"text","text":"The Loire."}]}'
COMMITTED = replace(
    receipt(),
    request_commitment=commit_request(OPENING, REQUEST),
    response_commitment=commit_response(OPENING, RESPONSE),
)
EXACT = Bucket(
    kind=16,
    reported=40,
    label=1,
    lower=39,
    upper=41,
    method="o200k_base/1",
    vocab=SALT * 2,
    count=40,
)
BOUNDED = Bucket(kind=16, reported=40, label=2, lower=1, upper=65, method="bytes/1")


def with_bucket(*buckets: Bucket, **changes: Any) -> Receipt:
    fields: dict[str, Any] = {"usage": buckets, "provider_total": None} | changes
    return replace(COMMITTED, **fields)


@pytest.mark.parametrize(
    ("bucket", "code"),
    [
        (replace(EXACT, reported=42), "above"),
        (replace(EXACT, reported=38), "below"),
        (replace(BOUNDED, reported=66), "outside"),
        (replace(BOUNDED, reported=0), "outside"),
    ],
)
def test_a_verdict_counts_where_accuracy_is_required(bucket: Bucket, code: str) -> None:
    """Step 7, VER-18: one receipt accuses nobody unless it is asked to."""
    input_tokens = Bucket(kind=1, reported=3, label=3)
    body = with_bucket(input_tokens, bucket)
    assert accuracy(body) == CLAIMED
    assert accuracy(body, require_accuracy=True) == f"wrong/{code}"
    report = report_on(body)
    assert [str(found.verdict) for found in report.verdicts] == ["uncheckable", code]
    assert (report.exit_code(), report_on(body, require_accuracy=True).exit_code()) == (0, 1)
    # Nothing is a verdict where a number was unusable.
    malformed = replace(body, metering=3, usage=(BOUNDED,) if bucket.label == 1 else (bucket,))
    assert accuracy(malformed, require_accuracy=True) == CLAIMED


def counting(found: Mapping[int, Recount], calls: list[Any] | None = None) -> Recounter:
    """Return a re-counter that finds what is given, and notes what it was asked."""

    def recount(body: Receipt, request: bytes | None, response: bytes) -> Mapping[int, Recount]:
        if calls is not None:
            calls.append((body, request, response))
        return found

    return recount


AGREES = {16: Recount(lower=39, upper=41, count=40)}
BOUNDS = {16: Recount(lower=1, upper=65)}
CONTENT: dict[str, Any] = {"opening": OPENING, "response": RESPONSE}


def test_labels_that_were_counted_again() -> None:
    """Established means that they were reproduced here (step 8, VER-20)."""
    hidden = Bucket(kind=17, reported=0, label=3)
    for bucket, found in ((EXACT, AGREES), (BOUNDED, BOUNDS)):
        for buckets in ((bucket,), (Bucket(kind=1, reported=9, label=3), bucket, hidden)):
            body = with_bucket(*buckets)
            for required in (False, True):
                options = CONTENT | {"recount": counting(found), "require_accuracy": required}
                assert accuracy(body, **options) == ESTABLISHED
                assert report_on(body, **options).exit_code() == 0


@pytest.mark.parametrize(
    ("bucket", "found"),
    [
        (EXACT, Recount(lower=38, upper=41, count=40)),
        (EXACT, Recount(lower=39, upper=42, count=40)),
        (EXACT, Recount(lower=39, upper=41, count=41)),
        (EXACT, Recount(lower=39, upper=41)),
        (BOUNDED, Recount(lower=0, upper=65)),
        (BOUNDED, Recount(lower=1, upper=64)),
        (BOUNDED, Recount(lower=1, upper=65, count=40)),
    ],
)
def test_a_count_that_differs(bucket: Bucket, found: Recount) -> None:
    """Step 8, VER-19; whatever the provider reported."""
    answer = accuracy(with_bucket(bucket), **CONTENT, recount=counting({16: found}))
    assert answer == "wrong/label-range"


def test_every_claim_is_counted_again_or_none() -> None:
    """VER-20: one that cannot be counted leaves all of them claimed."""
    other = Bucket(kind=19, reported=5, label=2, lower=1, upper=65, method="bytes/1")
    both = with_bucket(BOUNDED, other)
    wrong = Recount(lower=0, upper=0)
    assert accuracy(both, **CONTENT, recount=counting(BOUNDS)) == CLAIMED
    assert accuracy(both, **CONTENT, recount=counting({16: wrong})) == CLAIMED
    assert accuracy(both, **CONTENT, recount=counting({})) == CLAIMED
    found = BOUNDS | {19: Recount(lower=1, upper=65)}
    assert accuracy(both, **CONTENT, recount=counting(found)) == ESTABLISHED
    assert accuracy(both, **CONTENT, recount=counting(BOUNDS | {19: wrong})) == "wrong/label-range"


def test_without_a_claim_nothing_is_established() -> None:
    """VER-20: at least one."""
    recount = counting(AGREES)
    unverifiable = Bucket(kind=16, reported=40, label=3)
    unknown = Bucket(kind=16, reported=40, label=9)
    for body in (with_bucket(unverifiable), with_bucket(unknown)):
        assert accuracy(body, **CONTENT, recount=recount) == CLAIMED
    unmetered = replace(COMMITTED, metering=0, usage=None, provider_total=None, raw_usage_hash=None)
    assert accuracy(unmetered, **CONTENT, recount=recount) == CLAIMED


def test_only_content_that_is_committed_to_is_counted() -> None:
    """The re-counter never sees another response or request (step 8, VER-20)."""
    calls: list[Any] = []
    recount = counting(BOUNDS, calls)
    body = with_bucket(BOUNDED)
    assert accuracy(body, recount=recount) == CLAIMED
    assert accuracy(body, opening=OPENING, request=REQUEST, recount=recount) == CLAIMED
    uncommitted = replace(body, response_commitment=None)
    assert accuracy(uncommitted, **CONTENT, recount=recount) == CLAIMED
    other: dict[str, Any] = {"opening": OPENING, "response": RESPONSE + b" "}
    assert accuracy(body, **other, recount=recount) == "wrong/commitment-mismatch"
    assert calls == []
    assert accuracy(body, **CONTENT, recount=recount) == ESTABLISHED
    assert accuracy(body, **CONTENT, request=REQUEST, recount=recount) == ESTABLISHED
    bare = replace(body, request_commitment=None)
    assert accuracy(bare, **CONTENT, request=b"any", recount=recount) == ESTABLISHED
    seen = [(request, response) for _, request, response in calls]
    assert seen == [(None, RESPONSE), (REQUEST, RESPONSE), (None, RESPONSE)]
    assert [given for given, _, _ in calls] == [body, body, bare]


def test_a_required_verdict_comes_before_a_re_count() -> None:
    """Step 7 before step 8, step 6 before both."""
    above = with_bucket(replace(EXACT, reported=42))
    differs = counting({16: Recount(lower=0, upper=0, count=0)})
    options = CONTENT | {"recount": differs}
    assert accuracy(above, **options, require_accuracy=True) == "wrong/above"
    assert accuracy(above, **options) == "wrong/label-range"
    other = options | {"response": b"another"}
    assert accuracy(above, **other, require_accuracy=True) == "wrong/commitment-mismatch"
