"""Label rules and verdicts: what a bucket may claim, and what follows from it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from vectors.generate.rules.checks import require
from vectors.generate.rules.registries import MEDIA_KINDS, TEXT_APIS

EXACT, BOUNDED, UNVERIFIABLE = 1, 2, 3
OUTPUT_VISIBLE, REASONING, OUTPUT_UNSPLIT = 16, 17, 18
MAX_OFFSET = 8
EXACT_FORBIDDING = frozenset([1, 2, 3, 5, 12])
METHOD = re.compile(r"([a-z0-9._-]+)/1(\+split)?")
RANGE_FIELDS = ("lower", "upper", "method", "vocab", "count")
ALLOWED = {
    EXACT: frozenset(RANGE_FIELDS),
    BOUNDED: frozenset(["lower", "upper", "method"]),
    UNVERIFIABLE: frozenset[str](),
}

Bucket = Mapping[str, Any]


def check_bucket(bucket: Bucket) -> None:
    """Refuse a bucket whose fields do not fit its label."""
    label = bucket["label"]
    if label not in ALLOWED:
        return  # an unknown label is shown, never an error
    present = {name for name in RANGE_FIELDS if name in bucket}
    require(present == ALLOWED[label], "label-shape")
    require(label != UNVERIFIABLE or "reported" in bucket, "label-shape")
    if label in (EXACT, BOUNDED):
        require(bucket["lower"] <= bucket["upper"], "label-range")
    if label == EXACT:
        for end in ("lower", "upper"):
            require(abs(bucket[end] - bucket["count"]) <= MAX_OFFSET, "label-range")
        match = METHOD.fullmatch(bucket["method"])
        require(match and match[1] != "bytes", "method-name")


def check_exact_allowed(receipt: Mapping[str, Any], buckets: Sequence[Bucket]) -> None:
    """Refuse EXACT where the receipt itself says that the text was not all that was counted."""
    by_kind = {bucket["kind"]: bucket for bucket in buckets}
    for bucket in buckets:
        if bucket["label"] != EXACT:
            continue
        require(bucket["kind"] == OUTPUT_VISIBLE, "exact-not-allowed")
        require(receipt["status"] == 0, "exact-not-allowed")
        require(receipt["api"] in TEXT_APIS, "exact-not-allowed")
        require(OUTPUT_UNSPLIT not in by_kind, "exact-not-allowed")
        hidden = by_kind.get(REASONING, {"reported": 0}).get("reported")
        require(hidden == 0 or bucket["method"].endswith("+split"), "exact-not-allowed")
        require(not MEDIA_KINDS & set(by_kind), "exact-not-allowed")
        require(not EXACT_FORBIDDING & set(receipt.get("anomalies", [])), "exact-not-allowed")


def verdict(bucket: Bucket, metering: int) -> str:
    """Return the verdict word of one bucket."""
    if "reported" not in bucket or metering == 3 or bucket["label"] not in (EXACT, BOUNDED):
        return "uncheckable"
    reported = bucket["reported"]
    if bucket["lower"] <= reported <= bucket["upper"]:
        return "ok"
    if bucket["label"] == BOUNDED:
        return "outside"
    return "above" if reported > bucket["upper"] else "below"
