"""Accuracy: types, body rules, content and verdicts."""

from dataclasses import replace
from typing import Any

from vectors.generate import actors
from vectors.generate.bundle_cases.common import (
    GOOD,
    PINNED,
    Adder,
    accuracy,
    proof,
    with_body,
)
from vectors.generate.cases.bodies_binding import binding
from vectors.generate.cases.bodies_reconciliation import reconciliation
from vectors.generate.cases.bodies_redaction import redaction
from vectors.generate.cases.bodies_statement import statement
from vectors.generate.rules.msgpack import pack
from vectors.generate.rules.primitives import ZEROS
from vectors.generate.suite import Suite


def add_all(suite: Suite, add: Adder) -> None:
    """Add all cases of accuracy."""
    types(add)
    rules(add)
    content(suite)
    verdicts(suite)
    recounts(Adder(suite, PINNED))


def types(add: Adder) -> None:
    """Records of all types."""
    none = accuracy("no-receipt")
    add.report("a reconciliation", none, "OtherType", with_body(2, pack(reconciliation(f1=1))))
    add.report("a binding", none, "OtherType", with_body(3, pack(binding())))
    add.report("an unbind", none, "OtherType", with_body(3, pack(binding(f2=bytes(20)))))
    add.report("a statement", none, "OtherType", with_body(4, pack(statement(f5=2))))
    add.report("a redaction", none, "OtherType", with_body(5, pack(redaction(f1=[1]))))
    for kind in (6, 1_023, 1_024, 65_535):
        case = with_body(kind, b"\xc0 opaque")
        add.report(f"type {kind}", accuracy("unknown-type"), "OtherType", case)
    hidden = replace(with_body(6, b"\xc0 opaque"), body=b"")
    add.report("type 6, withheld", accuracy("withheld"), "OtherType", hidden)
    base = binding()
    for comment, code, body in (
        ("a binding by another wallet", "mismatch", binding(f2=b"\x01" * 20, f5=base[5])),
        ("a binding with r = 0", "malformed", binding(f5=bytes(32) + base[5][32:])),
        ("a binding with recovery id 27", "bad-recovery-id", binding(f5=base[5][:64] + b"\x1b")),
        ("a binding past its deadline", "time-order", binding(f4=actors.TIME_S - 1)),
    ):
        add.report(comment, accuracy(code), "BodyRule", with_body(3, pack(body)))
    for comment, code, kind, body in (
        ("a reconciliation of a later record", "index-order", 2, reconciliation(f1=2)),
        (
            "a reconciliation labelled EXACT by bytes/1",
            "method-name",
            2,
            reconciliation(f1=1, f3=[actors.exact_bucket(f6="bytes/1")]),
        ),
        ("a statement of a larger log", "index-order", 4, statement(f5=3)),
        ("a statement that does not add up", "total-mismatch", 4, statement(f5=2, f3=9)),
        ("a redaction of itself", "index-order", 5, redaction(f1=[2])),
        ("a redaction out of order", "bad-order", 5, redaction(f1=[1, 0])),
    ):
        add.report(comment, accuracy(code), "BodyRule", with_body(kind, pack(body)))


def rules(add: Adder) -> None:
    """Receipts whose body breaks a rule: one for every code."""
    good = actors.receipt()
    raw = pack(good)
    longer = b"\xde" + len(good).to_bytes(2, "big") + raw[3:]
    assert longer == raw
    for comment, code, body in (
        ("no body map", "wrong-type", pack([1])),
        ("cut short", "truncated", raw[:-1]),
        ("a byte more", "trailing", raw + b"\x00"),
        ("a longer number", "non-minimal", raw.replace(b"\x11\x01\x12", b"\x11\xcc\x01\x12")),
        ("a field twice", "duplicate-key", b"\x82\x00\x00\x00\x00"),
        ("fields descend", "unsorted", b"\x82\x01\x00\x00\x00"),
        ("a nil", "forbidden-type", raw[:-34] + b"\xc0" + raw[-33:]),
        ("a forbidden character", "bad-string", pack(actors.receipt(f10="ch\u202eat"))),
        (
            "a number of 2^53",
            "int-range",
            raw.replace(b"\x11\x01\x12", b"\x11\xcf\x00\x20" + bytes(6) + b"\x12"),
        ),
        ("too many anomalies", "limit", pack(actors.receipt(f30=list(range(65))))),
        ("an unknown field", "unknown-field", pack({**good, 63: 0})),
        ("no subject", "missing-field", pack(actors.receipt(f5=None))),
        ("a provider as bytes", "wrong-type", pack(actors.receipt(f8=b"openai"))),
        ("an empty model", "empty-value", pack(actors.receipt(f12=""))),
        ("http_status 600", "bad-value", pack(actors.receipt(f15=600))),
        ("anomalies descend", "bad-order", pack(actors.receipt(f30=[7, 6]))),
        ("subject_prev at seq 0", "field-conflict", pack(actors.receipt(f7=ZEROS))),
        ("a total that does not add up", "total-mismatch", pack(actors.receipt(f19=17))),
        ("a time in the future", "time-order", pack(actors.receipt(f2=actors.TIME_MS + 400_000))),
        ("BOUNDED without method", "label-shape", usage(actors.bounded_bucket(f6=None))),
        ("lower above upper", "label-range", usage(actors.bounded_bucket(f4=27))),
        ("EXACT too wide", "label-range", usage(actors.exact_bucket(f5=13))),
        ("EXACT under status 8", "exact-not-allowed", pack(actors.exact_receipt(f14=8))),
        ("EXACT by bytes/1", "method-name", usage(actors.exact_bucket(f6="bytes/1"))),
    ):
        add.report(f"receipt: {comment}", accuracy(code), "BodyRule", with_body(1, body))


def usage(*buckets: dict[int, Any]) -> bytes:
    """Return a receipt with these buckets."""
    return pack(actors.receipt(f18=list(buckets), f19=None))


def content(suite: Suite) -> None:
    """Opening, request, response."""
    add = Adder(suite, PINNED)
    key = actors.OPENING.hex()
    request, response = actors.REQUEST.hex(), actors.RESPONSE.hex()
    add.report("the request", GOOD, "Content", proof(), opening=key, request=request)
    add.report("the response", GOOD, "Content", proof(), opening=key, response=response)
    both = {"opening": key, "request": request, "response": response}
    add.report("request and response", GOOD, "Content", proof(), **both)
    forwarded = actors.FORWARDED.hex()
    absent = {**both, "forwarded": forwarded}
    add.report("a text that the receipt does not commit to", GOOD, "Content", proof(), **absent)
    wrong = accuracy("commitment-mismatch")
    altered = {**both, "request": request + "0a"}
    add.report("another request", wrong, "OtherContent", proof(), **altered)
    altered = {**both, "response": ""}
    add.report("an empty response", wrong, "OtherContent", proof(), **altered)
    swapped = {"opening": key, "request": response, "response": request}
    add.report("request and response swapped", wrong, "OtherContent", proof(), **swapped)
    other = {**both, "opening": "00" * 32}
    add.report("another opening", wrong, "OtherContent", proof(), **other)
    hidden = replace(proof(), body=b"")
    add.report("withheld, with the request", accuracy("withheld"), "Withheld", hidden, **both)
    none = accuracy("no-receipt")
    add.report("not a receipt, with the request", none, "OtherType", proof(index=0), **both)
    add.refused("an opening alone", "input", "Call", proof(), opening=key)
    add.refused("a request alone", "input", "Call", proof(), request=request)
    add.refused(
        "an opening of 31 bytes", "input", "Call", proof(), opening=key[2:], request=request
    )
    add.refused(
        "an opening of 33 bytes", "input", "Call", proof(), opening=key + "00", request=request
    )


def verdicts(suite: Suite) -> None:
    """Verdicts, with accuracy required and not."""
    add = Adder(suite, PINNED)
    need = {"requireAccuracy": True}
    claimed = accuracy("not-recounted")
    for comment, word, bucket in (
        ("EXACT, in range", "", actors.exact_bucket()),
        ("EXACT, above", "above", actors.exact_bucket(f2=6)),
        ("EXACT, below", "below", actors.exact_bucket(f2=2)),
        ("BOUNDED, in range", "", actors.bounded_bucket()),
        ("BOUNDED, outside", "outside", actors.bounded_bucket(f2=27)),
        ("UNVERIFIABLE", "", {1: 16, 2: 4, 3: 3}),
        ("an unknown label", "", actors.bounded_bucket(f3=9, f2=99)),
    ):
        case = with_body(1, usage(bucket))
        add.report(f"{comment}, accuracy not required", claimed, "Verdict", case)
        codes = accuracy(word or "not-recounted")
        add.report(f"{comment}, accuracy required", codes, "Verdict", case, **need)
    malformed = pack(actors.receipt(f18=[actors.bounded_bucket(f2=99)], f17=3, f30=[1]))
    add.report("malformed metering, required", claimed, "Verdict", with_body(1, malformed), **need)
    hidden = replace(proof(), body=b"")
    add.report("withheld, required", accuracy("withheld"), "Verdict", hidden, **need)
    add.report("no receipt, required", accuracy("no-receipt"), "Verdict", proof(index=0), **need)
    unknown = with_body(6, b"opaque")
    add.report("unknown type, required", accuracy("unknown-type"), "Verdict", unknown, **need)


def recounts(add: Adder) -> None:
    """What counting again found, by kind, against what the labels say."""
    given = {"opening": actors.OPENING.hex(), "response": actors.RESPONSE.hex()}
    bounded, exact = {"lower": 1, "upper": 26}, {"lower": 3, "upper": 5, "count": 4}
    add.report("found again", accuracy(""), "Recount", proof(), **given, recount={"16": bounded})
    case = with_body(1, usage(actors.exact_bucket()))
    add.report("EXACT found again", accuracy(""), "Recount", case, **given, recount={"16": exact})
    need = {**given, "requireAccuracy": True}
    add.report(
        "found again, required", accuracy(""), "Recount", proof(), **need, recount={"16": bounded}
    )
    for comment, found in (
        ("another lower", {"lower": 0, "upper": 26}),
        ("another upper", {"lower": 1, "upper": 27}),
        ("a count for BOUNDED", {**bounded, "count": 4}),
    ):
        codes = accuracy("label-range")
        add.report(f"found {comment}", codes, "Recount", proof(), **given, recount={"16": found})
    for comment, found in (
        ("another count", {**exact, "count": 5}),
        ("no count for EXACT", {"lower": 3, "upper": 5}),
    ):
        codes = accuracy("label-range")
        add.report(f"found {comment}", codes, "Recount", case, **given, recount={"16": found})
    unsplit = with_body(1, usage(actors.bounded_bucket(f1=18)))
    asked = {**given, "request": actors.REQUEST.hex()}
    add.report(
        "output that is not split, found again",
        accuracy(""),
        "Recount",
        unsplit,
        **asked,
        recount={"18": bounded},
    )
    differs = accuracy("label-range")
    add.report(
        "output that is not split, found another upper",
        differs,
        "Recount",
        unsplit,
        **asked,
        recount={"18": {"lower": 1, "upper": 27}},
    )
    streamed = with_body(1, pack(actors.receipt(f16=1)))
    add.report(
        "streamed, found again", accuracy(""), "Recount", streamed, **given, recount={"16": bounded}
    )
    hidden_range = {1: 17, 2: 0, 3: 2, 4: 0, 5: 9, 6: "m/1"}
    second = with_body(1, usage(actors.bounded_bucket(), hidden_range))
    both = {"16": bounded, "17": {"lower": 0, "upper": 9}}
    add.report("two labels, both found", accuracy(""), "Recount", second, **given, recount=both)
    both = {"16": bounded, "17": {"lower": 0, "upper": 8}}
    add.report("two labels, the second another", differs, "Recount", second, **given, recount=both)
    claimed = accuracy("not-recounted")
    one = {"16": bounded}
    add.report("two labels, one found", claimed, "Recount", second, **given, recount=one)
    add.report(
        "output that is not split, no method", claimed, "Recount", unsplit, **asked, recount=one
    )
    aborted = with_body(1, pack(actors.receipt(f14=1)))
    add.report("client aborted, no method", claimed, "Recount", aborted, **given, recount={})
    add.report("nothing found", claimed, "Recount", proof(), **given, recount={})
    add.report("nothing found, required", claimed, "Recount", proof(), **need, recount={})
    other = {"recount": {"17": bounded}}
    add.report("another kind found", claimed, "Recount", proof(), **given, **other)
    asked = {"opening": actors.OPENING.hex(), "request": actors.REQUEST.hex()}
    add.report(
        "found without the response", claimed, "Recount", proof(), **asked, recount={"16": bounded}
    )
    uncommitted = with_body(1, pack(actors.receipt(f24=None)))
    add.report(
        "found in a response that nothing commits to",
        claimed,
        "Recount",
        uncommitted,
        **given,
        recount={"16": bounded},
    )
    hidden = with_body(1, usage({1: 16, 2: 4, 3: 3}))
    add.report(
        "no label to find again", claimed, "Recount", hidden, **given, recount={"16": bounded}
    )
    above = with_body(1, usage(actors.exact_bucket(f2=6)))
    add.report(
        "found again, the verdict against it",
        accuracy(""),
        "Recount",
        above,
        **given,
        recount={"16": exact},
    )
    add.report(
        "found again, the verdict against it, required",
        accuracy("above"),
        "Recount",
        above,
        **need,
        recount={"16": exact},
    )
    swapped = {"opening": actors.OPENING.hex(), "response": actors.REQUEST.hex()}
    add.report(
        "found in another response",
        accuracy("commitment-mismatch"),
        "OtherContent",
        proof(),
        **swapped,
        recount={"16": bounded},
    )
