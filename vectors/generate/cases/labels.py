"""labels.json: what a label may claim, and the verdict on a bucket."""

from typing import Any

from vectors.generate.actors import bounded_bucket, exact_bucket, exact_receipt, receipt
from vectors.generate.rules import bodies, fields, labels
from vectors.generate.rules.checks import require
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.registries import TEXT_APIS
from vectors.generate.suite import Group, Json, Suite, unhex

INPUT = {1: 1, 2: 12, 3: 3}
Fields = dict[int, Any]


def rules(case: Json) -> Json:
    """Decode a receipt: its label rules are rules of its body."""
    bodies.decode(bodies.RECEIPT, unhex(case["body"]))
    return {}


def verdict(case: Json) -> Json:
    """Give the verdict; one that speaks against the count is its error."""
    word = labels.verdict(case["bucket"], case["metering"])
    require(word in ("ok", "uncheckable"), word)
    return {"verdict": word}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "labels",
        "label",
        "9. Labels",
        "LabelRules: decode `body` as a receipt, label rules included.",
        "Verdict: the word for `bucket` under `metering`; above, below and outside stand as error.",
    )
    flags(suite)
    group = suite.group("LabelRules", rules)
    for part in (valid, shapes, ranges, methods, conditions):
        part(group)
    verdicts(suite.group("Verdict", verdict))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "A label in order.", "None.", "LBL-1 LBL-4 LBL-5")
    effect = "A count looks better founded than it is."
    for name, description, ids in (
        ("Shape", "Fields that do not fit the label.", "LBL-1"),
        ("Range", "A range that cannot be, or is too wide for EXACT.", "LBL-2 LBL-3"),
        ("Method", "EXACT by something that is no vocabulary.", "LBL-4"),
        ("Condition", "EXACT where not all that was counted was seen.", "LBL-5"),
        ("Verdict", "The arithmetic of reported against the range.", "LBL-7"),
        ("Against", "A reported count outside the range.", "LBL-7 VER-18"),
    ):
        suite.flag(name, "FORGERY", description, effect, ids)


def with_usage(*buckets: Fields, **changes: Any) -> str:
    """Return the hex of a receipt with these buckets and no total."""
    return pack(receipt(f18=list(buckets), f19=None, **changes)).hex()


def exact(**changes: Any) -> str:
    """Return the hex of a receipt whose EXACT bucket is changed."""
    return with_usage(INPUT, exact_bucket(**changes))


def valid(group: Group) -> None:
    """Labels that must be accepted."""

    def add(comment: str, body: str) -> None:
        group.valid(comment, "Valid", body=body)

    add("EXACT", exact())
    add("EXACT without reported", exact(f2=None))
    add("EXACT, 8 below and above", exact(f8=10, f4=2, f5=18))
    add("EXACT, a range of one", exact(f4=4, f5=4))
    add("EXACT, the range beside the count", exact(f8=4, f4=6, f5=7))
    add("EXACT, reported far outside: arithmetic, not a rule", exact(f2=4_000))
    add("EXACT beside reasoning of 0", with_usage(exact_bucket(), {1: 17, 2: 0, 3: 3}))
    split = exact_bucket(f6="o200k_base/1+split")
    add("EXACT by a split method beside reasoning", with_usage(split, {1: 17, 2: 9, 3: 3}))
    add(
        "EXACT by a split method, reasoning without reported",
        with_usage(split, {1: 17, 3: 2, 4: 0, 5: 9, 6: "m"}),
    )
    for method in ("a/1", "cl100k_base/1", "llama-3.1_x/1", "bytes2/1", "0/1+split"):
        add(f"EXACT by {method}", exact(f6=method))
    for api in sorted(TEXT_APIS - {1}):
        add(f"EXACT under api {api}", pack(exact_receipt(f11=api)).hex())
    for anomaly in (4, 6, 7, 8, 9, 10, 11, 13):
        add(f"EXACT with anomaly {anomaly}", pack(exact_receipt(f30=[anomaly])).hex())
    add("BOUNDED", with_usage(bounded_bucket()))
    add("BOUNDED without reported", with_usage(bounded_bucket(f2=None)))
    add("BOUNDED, 0 to 2^53 - 1", with_usage(bounded_bucket(f4=0, f5=2**53 - 1)))
    add("BOUNDED by any method name", with_usage(bounded_bucket(f6="My method!")))
    add("BOUNDED under status 8", with_usage(bounded_bucket(), f14=8))
    add("UNVERIFIABLE of 0", with_usage({1: 17, 2: 0, 3: 3}))
    add("an unknown label, lower above upper", with_usage(bounded_bucket(f3=4, f4=27)))


def shapes(group: Group) -> None:
    """Fields that do not fit."""

    def add(comment: str, bucket: Fields) -> None:
        group.invalid(comment, "label-shape", "Shape", body=with_usage(bucket))

    names = {4: "lower", 5: "upper", 6: "method", 7: "vocab", 8: "count"}
    for key, name in names.items():
        add(f"EXACT without {name}", {k: v for k, v in exact_bucket().items() if k != key})
    for key in (4, 5, 6):
        bucket = {k: v for k, v in bounded_bucket().items() if k != key}
        add(f"BOUNDED without {names[key]}", bucket)
    add("BOUNDED with vocab", bounded_bucket(f7=exact_bucket()[7]))
    add("BOUNDED with count", bounded_bucket(f8=4))
    for key, name in names.items():
        add(f"UNVERIFIABLE with {name}", {1: 16, 2: 4, 3: 3, key: exact_bucket()[key]})
    add("UNVERIFIABLE without reported", {1: 16, 3: 3})


def ranges(group: Group) -> None:
    """Ranges that cannot be."""

    def add(comment: str, bucket: Fields) -> None:
        group.invalid(comment, "label-range", "Range", body=with_usage(bucket))

    add("EXACT, lower one above upper", exact_bucket(f4=6))
    add("BOUNDED, lower one above upper", bounded_bucket(f4=27))
    add("BOUNDED, 1 to 0", bounded_bucket(f4=1, f5=0))
    add("EXACT, lower 9 below count", exact_bucket(f8=12, f4=3, f5=12))
    add("EXACT, upper 9 above count", exact_bucket(f8=4, f4=4, f5=13))
    add("EXACT, lower 9 above count", exact_bucket(f8=4, f4=13, f5=13))
    add("EXACT, upper 9 below count", exact_bucket(f8=20, f4=11, f5=11))
    add("EXACT, a range of everything", exact_bucket(f4=0, f5=2**53 - 1))


def methods(group: Group) -> None:
    """Methods that are not of the form."""
    for method in (
        "bytes/1",
        "bytes/1+split",
        "o200k_base",
        "o200k_base/2",
        "o200k_base/1+",
        "o200k_base/1+SPLIT",
        "o200k_base/1 ",
        "O200K_base/1",
        "/1",
        "a/b/1",
        "o200k base/1",
        "é/1",
    ):
        group.invalid(f"EXACT by {method!r}", "method-name", "Method", body=exact(f6=method))


def conditions(group: Group) -> None:
    """EXACT where it is not allowed."""

    def add(comment: str, body: str) -> None:
        group.invalid(comment, "exact-not-allowed", "Condition", body=body)

    for kind in (1, 2, 8, 9, 17, 18, 19, 20, 32, 35, 48):
        add(f"EXACT on kind {kind}", with_usage(exact_bucket(f1=kind)))
    for status in (1, 2, 3, 4, 5, 6, 7, 8, 9):
        add(f"EXACT under status {status}", pack(exact_receipt(f14=status)).hex())
    for api in (0, 4, 5, 6, 14, 99):
        add(f"EXACT under api {api}", pack(exact_receipt(f11=api)).hex())
    for anomaly in (1, 2, 3, 5, 12):
        add(f"EXACT with anomaly {anomaly}", pack(exact_receipt(f30=[anomaly])).hex())
    add("EXACT with an allowed and a forbidding anomaly", pack(exact_receipt(f30=[4, 12])).hex())
    for reported in (1, 100):
        bucket = {1: 17, 2: reported, 3: 3}
        add(f"EXACT beside reasoning of {reported}", with_usage(exact_bucket(), bucket))
    unknown = {1: 17, 3: 2, 4: 0, 5: 9, 6: "m"}
    add("EXACT beside reasoning without reported", with_usage(exact_bucket(), unknown))
    for kind in range(32, 38):
        bucket = {1: kind, 2: 0, 3: 3}
        add(f"EXACT beside media kind {kind}", with_usage(exact_bucket(), bucket))
    split = exact_bucket(f6="o200k_base/1+split")
    media = {1: 36, 2: 1, 3: 3}
    add("EXACT by a split method beside media", with_usage(split, media))


def verdicts(group: Group) -> None:
    """Reported against the range."""

    def named(bucket: Fields) -> Json:
        row = fields.named(bucket, bodies.BUCKET_FIELDS)
        return {k: v.hex() if isinstance(v, bytes) else v for k, v in row.items()}

    def ok(comment: str, bucket: Fields, metering: int = 1) -> None:
        group.valid(comment, "Verdict", bucket=named(bucket), metering=metering)

    def against(comment: str, word: str, bucket: Fields, metering: int = 1) -> None:
        group.invalid(comment, word, "Against", bucket=named(bucket), metering=metering)

    for reported in (3, 4, 5):
        ok(f"EXACT 3 to 5, reported {reported}", exact_bucket(f2=reported))
    for reported in (1, 26):
        ok(f"BOUNDED 1 to 26, reported {reported}", bounded_bucket(f2=reported))
    ok("partial metering is checked", exact_bucket(), 2)
    ok("EXACT without reported", exact_bucket(f2=None))
    ok("BOUNDED without reported", bounded_bucket(f2=None))
    ok("EXACT under malformed metering", exact_bucket(f2=99), 3)
    ok("BOUNDED under malformed metering", bounded_bucket(f2=99), 3)
    ok("UNVERIFIABLE", {1: 16, 2: 4, 3: 3})
    ok("unknown label", exact_bucket(f3=4, f2=99))
    against("EXACT 3 to 5, reported 6", "above", exact_bucket(f2=6))
    against("EXACT 3 to 5, reported 2^53 - 1", "above", exact_bucket(f2=2**53 - 1))
    against("EXACT 3 to 5, reported 2", "below", exact_bucket(f2=2))
    against("EXACT 3 to 5, reported 0", "below", exact_bucket(f2=0))
    against("BOUNDED 1 to 26, reported 27", "outside", bounded_bucket(f2=27))
    against("BOUNDED 1 to 26, reported 0", "outside", bounded_bucket(f2=0))
    against("unknown metering is checked", "above", exact_bucket(f2=6), 9)
