"""EXACT stands only where every condition holds, and verdicts are arithmetic."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.protocol.errors import LabelError
from nous_ledger.protocol.label import Bucket, Verdict, verdict
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import MAX_UINT
from tests.property.made_bodies import optional, uints
from tests.property.sample_log import receipt
from tests.refusals import code_of

TEXT_APIS = {1, 2, 3, 7, 8, 9, 10, 11, 12, 13}
FORBIDDING = {1, 2, 3, 5, 12}
TEMPLATE = {name: getattr(receipt(), name) for name in ("salt", "id", "subject", "provider")}

encodings = st.sampled_from(["o200k_base", "cl100k_base", "a.b-c", "bytes", "xbytes", "bytes2"])
methods = st.builds("{}{}".format, encodings, st.sampled_from(["/1", "/1+split", "/2", ""]))


@st.composite
def exact_fields(draw: st.DrawFn) -> dict[str, Any]:
    """Return the fields of a bucket that claims to be EXACT, mostly with right."""
    count = draw(st.integers(0, 30))
    return {
        "kind": draw(st.sampled_from([16, 16, 16, 16, 17, 18, 1, 33])),
        "label": 1,
        "reported": draw(optional(st.integers(0, 40))),
        "lower": draw(st.integers(max(0, count - 9), count + 1)),
        "upper": draw(st.integers(max(0, count - 1), count + 9)),
        "method": draw(st.just("o200k_base/1") | methods),
        "vocab": bytes(32),
        "count": count,
    }


def is_label_good(fields: dict[str, Any]) -> bool:
    """Return what LBL-2 to LBL-4 and the first condition of LBL-5 say of a bucket."""
    encoding, slash, version = fields["method"].partition("/")
    return (
        fields["lower"] <= fields["upper"]
        and abs(fields["lower"] - fields["count"]) <= 8
        and abs(fields["upper"] - fields["count"]) <= 8
        and encoding != "bytes"
        and slash + version in {"/1", "/1+split"}
        and fields["kind"] == 16
    )


@given(exact_fields())
def test_exact_labels(fields: dict[str, Any]) -> None:
    """LBL-2 to LBL-6."""
    try:
        Bucket(**fields)
    except LabelError:
        assert not is_label_good(fields)
    else:
        assert is_label_good(fields)


others = st.dictionaries(
    st.sampled_from([1, 2, 9, 17, 17, 18, 19, 31, 32, 35, 37, 38, 48]),
    st.sampled_from([None, 0, 0, 0, 1, 500]),
    max_size=3,
)
anomalies = st.sets(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]), max_size=2)


def other(kind: int, reported: int | None) -> Bucket:
    if reported is None:
        return Bucket(kind=kind, label=2, lower=0, upper=9, method="bytes/1")
    return Bucket(kind=kind, label=3, reported=reported)


def made(buckets: list[Bucket], **fields: Any) -> Receipt:
    """Return a receipt with these buckets."""
    usage = tuple(sorted(buckets, key=lambda bucket: bucket.kind))
    return Receipt(time=0, source=2, operation="chat", usage=usage, **(TEMPLATE | fields))


@given(
    status=st.sampled_from([0, 0, 0, 0, 1, 2, 7, 8, 99]),
    api=st.sampled_from([1, 2, 3, 7, 13]) | st.integers(0, 20),
    metering=st.sampled_from([1, 2, 3, 9]),
    others=others,
    split=st.booleans(),
    found=st.just(set[int]()) | anomalies,
)
def test_exact_is_never_beside_what_forbids_it(
    *,
    status: int,
    api: int,
    metering: int,
    others: dict[int, int | None],
    split: bool,
    found: set[int],
) -> None:
    """A receipt is made if and only if all conditions of LBL-5 hold."""
    exact = Bucket(
        kind=16,
        label=1,
        reported=5,
        lower=4,
        upper=6,
        method="o200k_base/1+split" if split else "o200k_base/1",
        vocab=bytes(32),
        count=5,
    )
    allowed = (
        status == 0
        and api in TEXT_APIS
        and (split or 17 not in others or others[17] == 0)
        and not others.keys() & set(range(32, 38))
        and not found & FORBIDDING
    )
    rest = [other(kind, reported) for kind, reported in others.items()]
    fields: dict[str, Any] = {"status": status, "api": api, "metering": metering}
    fields["anomalies"] = tuple(sorted(found)) or None
    if 18 in others:  # beside kind 16 a rule of all labels is broken first
        assert code_of(made, [exact, *rest], **fields) == "field-conflict"
    elif allowed:
        assert exact in (made([exact, *rest], **fields).usage or ())
    else:
        assert code_of(made, [exact, *rest], **fields) == "exact-not-allowed"
    # Without the label nothing of this is a rule.
    if rest and not {17, 18} <= others.keys():
        assert len(made(rest, **fields).usage or ()) == len(rest)


@given(
    label=st.sampled_from([1, 2, 3, 4]),
    reported=optional(uints),
    count=st.integers(0, MAX_UINT - 8),
    below=st.integers(0, 8),
    above=st.integers(0, 8),
    metering=st.sampled_from([0, 1, 2, 3, 9]),
    near=st.none() | st.integers(-12, 12),
)
def test_verdicts(
    *,
    label: int,
    reported: int | None,
    count: int,
    below: int,
    above: int,
    metering: int,
    near: int | None,
) -> None:
    """The function of section 9.3 and nothing else (LBL-7)."""
    lower, upper = max(0, count - below), count + above
    if near is not None:
        reported = min(max(0, count + near), MAX_UINT)
    fields: dict[str, Any] = {"kind": 16, "label": label}
    if label == 1:
        fields |= {"count": count, "vocab": bytes(32), "method": "o200k_base/1"}
    elif label == 2:
        fields["method"] = "bytes/1"
    if label != 3:
        fields |= {"lower": lower, "upper": upper}
    else:
        reported = reported or 0
    found = verdict(Bucket(reported=reported, **fields), metering)
    if reported is None or metering == 3 or label not in {1, 2}:
        assert found is Verdict.UNCHECKABLE
    elif lower <= reported <= upper:
        assert found is Verdict.OK
    elif label == 2:
        assert found is Verdict.OUTSIDE
    else:
        assert found is (Verdict.ABOVE if reported > upper else Verdict.BELOW)
