"""reconciled.json: evidence beside its receipt, and the labels that come of both."""

from typing import Any

from vectors.generate.actors import (
    SALT,
    bounded_bucket,
    changed,
    exact_bucket,
    exact_receipt,
    receipt,
)
from vectors.generate.rules import bodies, reconciled
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import sha256
from vectors.generate.rules.registries import TEXT_APIS
from vectors.generate.suite import Group, Json, Suite, unhex

Fields = dict[int, Any]
PLAIN = [{1: 1, 2: 12, 3: 3}, {1: 16, 2: 4, 3: 3}, {1: 17, 2: 0, 3: 3}]


def fit(case: Json) -> Json:
    """Hold a claim against its receipt."""
    claim = reconciled.read(bodies.RECONCILIATION, unhex(case["claim"]))
    reconciled.check(claim, reconciled.read(bodies.RECEIPT, unhex(case["receipt"])))
    return {}


def after(case: Json) -> Json:
    """Give the buckets after evidence."""
    claims = [(claim["index"], unhex(claim["body"])) for claim in case["claims"]]
    return {"usage": reconciled.usage_after(unhex(case["receipt"]), claims)}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "reconciled",
        "reconciliation",
        "7.5 Reconciliation (type 2)",
        "Fit: `claim`, a body of type 2, is held against `receipt`, the body that it names.",
        "After: `claims`, each with its leaf, name `receipt`; `usage` is what counts of each of "
        "its buckets, `evidence` the leaf it is from, null for the receipt's own.",
    )
    effect = "A count looks better founded than it is."
    suite.flag("Fits", "BASIC", "Evidence in order.", "None.", "RCON-1 LBL-6")
    suite.flag(
        "Bucket", "FORGERY", "A bucket that the receipt has not, or counts otherwise.",
        "Evidence for a number that nobody reported.", "RCON-1",
    )  # fmt: skip
    suite.flag("Condition", "FORGERY", "EXACT where the receipt forbids it.", effect, "LBL-6")
    suite.flag("Counts", "BASIC", "Which of several buckets counts.", effect, "RCON-2 RCON-3")
    group = suite.group("Fit", fit)
    valid(group)
    buckets(group)
    conditions(group)
    several(suite.group("After", after))
    return suite


def claim(body: Fields, *usage: Fields, source: str | None = "folder/1 checked") -> str:
    """Return the hex of evidence for a receipt."""
    made = {0: SALT, 1: 3, 2: sha256(pack(body)), 3: list(usage)}
    if source is not None:
        made[4] = source
    return pack(made).hex()


def valid(group: Group) -> None:
    """Evidence that fits."""

    def add(comment: str, body: Fields, *usage: Fields) -> None:
        group.valid(comment, "Fits", receipt=pack(body).hex(), claim=claim(body, *usage))

    plain = receipt(f18=PLAIN)
    add("EXACT where nothing was known", plain, exact_bucket())
    add("EXACT where a range was known", receipt(), exact_bucket())
    add("another EXACT count", exact_receipt(), exact_bucket(f8=5, f4=5, f5=6))
    add("bounds", plain, bounded_bucket())
    add("bounds of input", plain, {1: 1, 2: 12, 3: 2, 4: 1, 5: 90, 6: "prompt-bytes/1"})
    add("bounds of an incomplete call", receipt(f18=PLAIN, f14=8), bounded_bucket())
    split = exact_bucket(f6="o200k_base/1+split")
    hidden = [*PLAIN[:2], {1: 17, 2: 9, 3: 3}]
    add("EXACT by a split method beside thinking", receipt(f18=hidden, f19=None), split)
    silent = [{1: 16, 3: 2, 4: 0, 5: 9, 6: "m"}]
    add(
        "without reported, as in the receipt",
        receipt(f18=silent, f19=None),
        bounded_bucket(f2=None, f5=8),
    )


def buckets(group: Group) -> None:
    """Buckets that are none of the receipt's."""

    def add(comment: str, body: Fields, *usage: Fields) -> None:
        made = {"receipt": pack(body).hex(), "claim": claim(body, *usage)}
        group.invalid(comment, "field-conflict", "Bucket", **made)

    plain = receipt(f18=PLAIN)
    for reported in (0, 3, 5, 2**53 - 1):
        add(f"reported {reported} instead of 4", plain, exact_bucket(f2=reported))
    add("without reported", plain, bounded_bucket(f2=None))
    add("of another kind", plain, bounded_bucket(f1=19))
    for kind in (2, 3, 4, 5, 6, 8, 18, 32, 33, 36, 48):
        add(f"a range of kind {kind}", plain, bounded_bucket(f1=kind))
    wrong = {1: 17, 2: 5, 3: 2, 4: 0, 5: 9, 6: "m"}
    add("a bad bucket beside a good one", plain, exact_bucket(), wrong)
    add("two bad buckets", plain, exact_bucket(f2=9), wrong)
    add("a bad bucket before a good one", plain, {1: 1, 2: 13, 3: 3}, exact_bucket())
    add("a range for a number that nobody reported", plain, bounded_bucket(f2=5))
    add("a second bucket of another kind", plain, exact_bucket(), {1: 48, 2: 4, 3: 3})
    add(
        "of a receipt without usage",
        receipt(f17=0, f18=None, f19=None, f20=None),
        bounded_bucket(),
    )
    silent = receipt(f18=[{1: 16, 3: 2, 4: 0, 5: 9, 6: "m"}], f19=None)
    add("reported where the receipt has no number", silent, bounded_bucket())


def conditions(group: Group) -> None:
    """What a receipt forbids."""

    def add(comment: str, body: Fields, *usage: Fields) -> None:
        made = {"receipt": pack(body).hex(), "claim": claim(body, *(usage or (exact_bucket(),)))}
        group.invalid(comment, "exact-not-allowed", "Condition", **made)

    for status in range(1, 9):
        body = receipt(f18=PLAIN, f14=status)
        add(f"EXACT of a call of status {status}", body)
    for api in sorted({0, 4, 5, 6, 14} - TEXT_APIS):
        add(f"EXACT of api {api}", receipt(f18=PLAIN, f11=api))
    for anomaly in (1, 2, 3, 5, 12):
        add(f"EXACT with anomaly {anomaly}", receipt(f18=PLAIN, f30=[anomaly]))
    thinking = [*PLAIN[:2], {1: 17, 2: 9, 3: 3}]
    add("EXACT beside thinking", receipt(f18=thinking, f19=None))
    unknown = [*PLAIN[:2], {1: 17, 3: 2, 4: 0, 5: 9, 6: "m"}]
    add("EXACT beside thinking of which no number is known", receipt(f18=unknown, f19=None))
    for kind in range(32, 38):
        media = [*PLAIN, {1: kind, 2: 1, 3: 3}]
        add(f"EXACT beside media of kind {kind}", receipt(f18=media, f19=None))
    media = [*PLAIN, {1: 36, 2: 1, 3: 3}]
    again = [{1: 17, 2: 0, 3: 3}, {1: 36, 2: 1, 3: 3}]
    add("the claim names the image, too", receipt(f18=media, f19=None), exact_bucket(), *again)


def several(group: Group) -> None:
    """Which bucket counts."""

    def add(comment: str, body: Fields, *claims: tuple[int, *tuple[Fields, ...]],
            other: int = -1) -> None:  # fmt: skip
        made = [
            {"index": index, "body": claim(receipt() if index == other else body, *usage)}
            for index, *usage in claims
        ]
        group.valid(comment, "Counts", receipt=pack(body).hex(), claims=made)

    plain, wide = receipt(f18=PLAIN), bounded_bucket(f5=100, f6="wide/1")
    narrow = bounded_bucket(f4=3, f5=6, f6="narrow/1")
    later = exact_bucket(f8=6, f4=6, f5=7)
    add("no evidence", receipt())
    add("EXACT before UNVERIFIABLE", plain, (5, exact_bucket()))
    add("BOUNDED before UNVERIFIABLE", plain, (5, wide))
    add("EXACT before BOUNDED, whichever came first", plain, (5, exact_bucket()), (6, narrow))
    add("of one method the highest index", plain, (5, exact_bucket()), (9, later))
    add(
        "of one method the highest index, in whatever order", plain, (9, later), (5, exact_bucket())
    )
    other = changed(exact_bucket(), {"f6": "cl100k_base/1", "f8": 4})
    add("of two methods that are EXACT the highest index", plain, (5, later), (6, other))
    add("the narrowest range", plain, (5, wide), (6, narrow), (7, bounded_bucket()))
    add("the receipt's own range, where it is as narrow", receipt(), (5, bounded_bucket(f6="b/1")))
    same = bounded_bucket(f4=2, f5=5, f6="same/1")
    add("of ranges as narrow the highest index", plain, (5, narrow), (6, same))
    add("a wider range of the same method is the one that counts", plain, (5, narrow),
        (6, bounded_bucket(f5=90, f6="narrow/1")), (7, wide))  # fmt: skip
    add("EXACT of the receipt stays", exact_receipt(), (5, later))
    unknown = receipt(f18=[{1: 1, 2: 12, 3: 3}, bounded_bucket(f3=4)])
    add("an unknown label stays", unknown, (5, exact_bucket()))
    add("evidence of another body", plain, (5, exact_bucket()), other=5)
    add("evidence that does not fit", plain, (5, narrow), (6, exact_bucket(f2=5)))
    ranks = [
        {"index": index, "body": claim(plain, usage, source=source)}
        for index, usage, source in (
            (5, later, "jsonl/1 checked"),
            (7, exact_bucket(), None),
            (9, exact_bucket(f8=5, f4=5, f5=6), "jsonl/1 unchecked"),
        )
    ]
    receipt_ = pack(plain).hex()
    for number in (1, 2, 3):
        comment = f"readers prefer no source: {number} of three"
        group.valid(comment, "Counts", receipt=receipt_, claims=ranks[:number])
    bad = {1: 17, 2: 5, 3: 2, 4: 0, 5: 9, 6: "m"}
    add("of a bad bucket and a good one, none", plain, (5, exact_bucket(), bad))
    add("of a bad bucket and a good one, none, but of others", plain, (5, narrow),
        (6, exact_bucket(), bad))  # fmt: skip
    add("an unknown label is no evidence", plain, (5, bounded_bucket(f3=4)))
    add("nor does it take the place of a range of its method", plain, (5, narrow),
        (6, bounded_bucket(f3=4, f6="narrow/1")))  # fmt: skip
    add("nor does UNVERIFIABLE", plain, (5, narrow), (6, PLAIN[1]))
    add("a range of one kind and EXACT of another", plain, (5, PLAIN[0], narrow, PLAIN[2]))
    cut = receipt(f18=PLAIN, f14=8)
    add("EXACT that is not allowed", cut, (5, narrow), (6, exact_bucket()))
