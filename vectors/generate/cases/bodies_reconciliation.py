"""bodies_reconciliation.json: later evidence for an earlier receipt."""

from typing import Any

from vectors.generate import bodycases
from vectors.generate.actors import SALT, bounded_bucket, changed, exact_bucket
from vectors.generate.bodycases import Builder
from vectors.generate.rules import bodies
from vectors.generate.rules.primitives import sha256
from vectors.generate.suite import Suite


def reconciliation(**changes: Any) -> dict[int, Any]:
    """Return a re-count of the receipt at index 3."""
    body = {0: SALT, 1: 3, 2: sha256(b"the receipt"), 3: [exact_bucket()], 4: "recount"}
    return changed(body, changes)


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bodies_reconciliation",
        "reconciliation-body",
        "7.5 Reconciliation (type 2)",
        bodycases.DECODED,
        bodycases.IN_RECORD,
        bodycases.JSON_FORM,
    )
    names = ("Encoding", "Shape", "Missing", "Type", "Empty", "Value", "Unknown", "Extension")
    bodycases.flags(suite, *names, "UnknownValue", valid="ENC-26")
    suite.flag(
        "Order", "MALLEABILITY", "Buckets not ascending.", "A kind counts twice.", "BKT-1 BODY-9"
    )
    suite.flag(
        "Index",
        "FORGERY",
        "The receipt does not lie before its reconciliation.",
        "Evidence for what does not exist.",
        "BODY-16 BODY-10",
    )
    suite.flag(
        "Label",
        "FORGERY",
        "A label rule that needs no receipt.",
        "A count looks better founded than it is.",
        "LBL-1 LBL-2 LBL-3 LBL-4 LBL-6",
    )
    builder = Builder(suite, bodies.RECONCILIATION)
    valid(builder)
    base = reconciliation()
    builder.encoding(base)
    builder.required(base)
    builder.typed(base)
    builder.lengths(base)
    builder.extensions(base)
    invalid(builder)
    return suite


def valid(builder: Builder) -> None:
    """Bodies that must be accepted."""
    builder.valid("a re-count", reconciliation())
    builder.valid("without source", reconciliation(f4=None))
    builder.valid("of the record before", reconciliation(f1=6), "Index", index=7)
    builder.valid("of the first record", reconciliation(f1=0), "Index", index=7)
    usage = [{1: 1, 2: 5, 3: 3}, bounded_bucket(), {1: 17, 2: 9, 3: 3}]
    builder.valid("several buckets", reconciliation(f3=usage))
    usage = [exact_bucket(), {1: 17, 2: 9, 3: 3}]
    builder.valid(
        "EXACT beside hidden output: the receipt decides", reconciliation(f3=usage), "Label"
    )
    usage = [{1: 99, 3: 7}]
    builder.valid("unknown kind and label", reconciliation(f3=usage), "UnknownValue")


def invalid(builder: Builder) -> None:
    """Faults of this type."""
    add = builder.invalid
    add("of itself", "index-order", reconciliation(f1=7), "Index", index=7)
    add("of a later record", "index-order", reconciliation(f1=8), "Index", index=7)
    add(
        "buckets descend",
        "bad-order",
        reconciliation(f3=[{1: 17, 2: 9, 3: 3}, exact_bucket()]),
        "Order",
    )
    add("one kind twice", "bad-order", reconciliation(f3=[exact_bucket(), exact_bucket()]), "Order")
    add(
        "33 buckets",
        "bad-value",
        reconciliation(f3=[{1: k, 2: 0, 3: 3} for k in range(100, 133)]),
        "Value",
    )
    add(
        "a bucket with field 9", "unknown-field", reconciliation(f3=[exact_bucket(f9=1)]), "Unknown"
    )
    add("EXACT without vocab", "label-shape", reconciliation(f3=[exact_bucket(f7=None)]), "Label")
    add("BOUNDED with count", "label-shape", reconciliation(f3=[bounded_bucket(f8=4)]), "Label")
    add("UNVERIFIABLE without reported", "label-shape", reconciliation(f3=[{1: 1, 3: 3}]), "Label")
    add("lower above upper", "label-range", reconciliation(f3=[bounded_bucket(f4=27)]), "Label")
    add("upper 9 above count", "label-range", reconciliation(f3=[exact_bucket(f5=13)]), "Label")
    add("EXACT by bytes/1", "method-name", reconciliation(f3=[exact_bucket(f6="bytes/1")]), "Label")
    add("EXACT on kind 1", "exact-not-allowed", reconciliation(f3=[exact_bucket(f1=1)]), "Label")
    add("EXACT on kind 18", "exact-not-allowed", reconciliation(f3=[exact_bucket(f1=18)]), "Label")
