"""bodies_receipt.json: the receipt."""

from typing import Any

from vectors.generate import bodycases
from vectors.generate.actors import (
    FORWARDED,
    OPENING,
    TIME_MS,
    bounded_bucket,
    changed,
    exact_receipt,
    receipt,
    uuid7,
    wallet_address,
)
from vectors.generate.bodycases import Builder
from vectors.generate.rules import bodies
from vectors.generate.rules.primitives import commitment, sha256
from vectors.generate.suite import Suite

HASH = sha256(b"a previous body")


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bodies_receipt",
        "receipt-body",
        "8. Receipt (type 1)",
        bodycases.DECODED,
        bodycases.IN_RECORD,
        bodycases.JSON_FORM,
    )
    names = ("Encoding", "Shape", "Missing", "Type", "Empty", "Value", "Unknown", "Extension")
    bodycases.flags(suite, *names, "UnknownValue", valid="RCPT-1 BKT-4 ENC-26 TYPE-3")
    flags(suite)
    builder = Builder(suite, bodies.RECEIPT)
    valid(builder)
    builder.encoding(receipt())
    builder.required(receipt())
    builder.typed(receipt())
    builder.lengths(receipt())
    builder.extensions(receipt())
    for part in (values, nested, presence, totals, orders, extensions, in_record):
        part(builder)
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags of receipts alone."""
    suite.flag(
        "Id", "STRUCTURE", "An id that is no UUIDv7.", "Ids stop being ordered by time.", "RCPT-1"
    )
    suite.flag(
        "Upstream",
        "STRUCTURE",
        "The upstream is absent where it is due, or no host[:port].",
        "A call could hide where it went.",
        "RCPT-6 RCPT-7",
    )
    suite.flag(
        "Provider", "STRUCTURE", "A character outside [a-z0-9._-].", "Look-alike names.", "RCPT-5"
    )
    suite.flag(
        "Chain",
        "FORGERY",
        "subject_prev and subject_seq disagree.",
        "A subject's chain could be started again in its middle.",
        "RCPT-3",
    )
    suite.flag(
        "Conflict",
        "STRUCTURE",
        "Fields that exclude or require each other.",
        "Two readings of one receipt.",
        "BODY-7 RCPT-4 RCPT-8 BKT-2 BKT-3",
    )
    suite.flag(
        "Total",
        "FORGERY",
        "provider_total against the sum of the token buckets.",
        "Tokens that no bucket accounts for.",
        "RCPT-10",
    )
    suite.flag(
        "Order",
        "MALLEABILITY",
        "A list that must ascend strictly and does not.",
        "One content, several hashes; a kind that counts twice.",
        "BODY-9 BKT-1 RCPT-9",
    )
    suite.flag(
        "Time",
        "FORGERY",
        "A receipt far later than the time at which it was logged.",
        "Usage moved into a later period.",
        "BODY-10 RCPT-2",
    )
    suite.flag(
        "NotTyped",
        "STRUCTURE",
        "A value inside a list or map has another type.",
        "Readers convert it in different ways.",
        "BODY-4",
    )


def valid(builder: Builder) -> None:
    """Receipts of many kinds."""
    add = builder.valid
    add("an answered chat call", receipt())
    add("only required fields: an unmetered call", minimal())
    add("refused by policy: nothing was sent", receipt_refused())
    add(
        "refused with the upstream that it would have gone to", receipt_refused(f9="api.openai.com")
    )
    add("every field", full())
    add("an import", imported())
    add("re-counted: EXACT", exact_receipt())
    add(
        "unsplit input and output",
        minimal(
            f17=1, f18=[{1: 8, 2: 7, 3: 3}, {1: 18, 2: 9, 3: 2, 4: 0, 5: 9, 6: "bytes/1"}], f19=16
        ),
    )
    add("zero is a value", receipt(f3=0, f19=16, f21=0))
    add(
        "unknown values of every enumeration",
        minimal(f4=9, f11=99, f14=77, f17=8, f29=[["p", 0, 0]], f30=[0, 13], f18=[{1: 20, 3: 4}]),
        "UnknownValue",
    )
    add(
        "an unknown label may have any fields",
        minimal(f17=1, f18=[{1: 16, 3: 4, 8: 3}]),
        "UnknownValue",
    )
    add(
        "a non-token kind does not count",
        receipt(f18=[{1: 1, 2: 16, 3: 3}, {1: 48, 2: 5, 3: 3}]),
        "Total",
    )
    add("a total that differs, with anomaly 11", receipt(f19=17, f30=[11]), "Total")
    add("a total that differs, metering malformed", receipt(f19=17, f17=3), "Total")
    add("a total that differs, with anomaly 1", receipt(f19=17, f30=[1]), "Total")
    add(
        "a total beside a token bucket without reported",
        receipt(f18=[{1: 1, 2: 1, 3: 3}, bounded_bucket(f2=None)]),
        "Total",
    )
    add("a total of zero without usage", minimal(f17=2, f19=0), "Total")
    for host in (
        "localhost:8080",
        "my_service",
        "a-b.xn--bcher-kva.example:1",
        "127.0.0.1",
        "[::1]:65535",
        "[fe80::1]",
        "h" * 63 + ".example",
        ".".join(["a" * 60] * 4) + ":443",
        ".".join(["b" * 62] * 4) + ".c:65535",
        "[" + "0" * 43 + "::]:1",
    ):
        add(f"upstream {host}", receipt(f9=host), "Upstream")
    builder.valid(
        "exactly five minutes ahead of logged_at", receipt(f2=TIME_MS + 300_000), "Time", index=7
    )
    builder.valid("long before logged_at", receipt(f2=0), "Time", index=7)
    builder.valid(
        "extensions in every map",
        receipt(f18=[{1: 1, 2: 16, 3: 3, 64: b""}], f27={1: "s", 70: [1]}, f200={9: 9}),
        "Extension",
    )


def minimal(**changes: Any) -> dict[int, Any]:
    """Return a receipt with required fields only."""
    body = {key: value for key, value in receipt().items() if key not in OPTIONAL}
    return changed({**body, 17: 0}, changes)


OPTIONAL = (3, 12, 13, 15, 18, 19, 20, 23, 24)


def receipt_refused(**changes: Any) -> dict[int, Any]:
    """Return the receipt of a call that the gateway refused."""
    body = {key: value for key, value in minimal().items() if key != 9}
    return changed({**body, 14: 4, 15: 429, 29: [["budget", 2, 1]]}, changes)


def imported(**changes: Any) -> dict[int, Any]:
    """Return an imported receipt."""
    body = {key: value for key, value in minimal().items() if key != 9}
    source = {
        1: "nous-v2",
        2: "1.0.0",
        3: HASH,
        4: sha256(b"line"),
        5: uuid7(9),
        6: TIME_MS - 10**9,
    }
    return changed({**body, 4: 3, 17: 1, 28: source}, changes)


def full() -> dict[int, Any]:
    """Return a receipt with every field that can stand together."""
    return receipt(
        f6=1,
        f7=HASH,
        f16=1,
        f21=2_400_000,
        f22="default",
        f25=commitment("forwarded", OPENING, FORWARDED),
        f26="req_0123456789",
        f27={1: "session", 2: "project", 3: "branch", 4: "commit", 5: "agent", 6: "tag"},
        f29=[["pii", 3, 2], ["budget", 1, 1], ["pii", 4, 0]],
        f30=[7, 10],
        f31=wallet_address(),
    )


def values(builder: Builder) -> None:
    """Values outside their range or grammar."""
    add = builder.invalid
    for number, mutated in ((4, b"\x4a"), (1, b"\x1a"), (8, b"\x8a")):
        body = receipt(f1=uuid7(1)[:6] + mutated + uuid7(1)[7:])
        add(f"id of version {number}", "bad-value", body, "Id")
    for top in (0x00, 0x40, 0xC0):
        body = receipt(f1=uuid7(1)[:8] + bytes([top | 1]) + uuid7(1)[9:])
        add(f"id with variant bits {top >> 6:02b}", "bad-value", body, "Id")
    for name in ("OpenAI", "open ai", "openai/", "öpenai", "a" * 65):
        add(f"provider {name}", "bad-value", receipt(f8=name), "Provider")
    for host in BAD_HOSTS:
        add(f"upstream {host}", "bad-value", receipt(f9=host), "Upstream")
    for status in (0, 99, 600, 2**53 - 1):
        add(f"http_status {status}", "bad-value", receipt(f15=status), "Value")
    for streamed in (0, 2):
        add(f"streamed {streamed}", "bad-value", receipt(f16=streamed), "Value")
    add("operation with a line feed", "bad-string", receipt(f10="ch\nat"), "Encoding")
    add("model of 1,025 bytes", "limit", receipt(f12="m" * 1_025), "Encoding")


BAD_HOSTS = (
    "API.openai.com",
    "https://api.openai.com",
    "api.openai.com/v1",
    "api.openai.com:",
    "api.openai.com:0",
    "api.openai.com:080",
    "api.openai.com:65536",
    "api.openai.com:port",
    ":443",
    "api..com",
    "api.openai.com.",
    ".openai.com",
    "-api.openai.com",
    "api-.openai.com",
    "user@api.openai.com",
    "bücher.example",
    "api openai.com",
    "::1",
    "[]",
    "[::1",
    "[1]",
    "[a:b]:80",
    "[:1]:8",
    "[::1]443",
    "[::G]",
    "h" * 64 + ".example",
    ".".join(["a" * 60] * 4) + ".aaaaaaaaaa",
)


def nested(builder: Builder) -> None:
    """Faults inside the maps and lists of a receipt."""
    add = builder.invalid
    add(
        "33 buckets",
        "bad-value",
        receipt(f18=[{1: k, 2: 0, 3: 3} for k in range(100, 133)]),
        "Value",
    )
    add("a bucket that is no map", "wrong-type", receipt(f18=[1]), "NotTyped")
    add("an empty bucket", "empty-value", receipt(f18=[{}]), "Empty")
    add("a bucket without kind", "missing-field", receipt(f18=[{2: 1, 3: 3}]), "Missing")
    add("a bucket without label", "missing-field", receipt(f18=[{1: 1, 2: 1}]), "Missing")
    add(
        "a bucket with field 9",
        "unknown-field",
        receipt(f18=[{1: 1, 2: 16, 3: 3, 9: 1}]),
        "Unknown",
    )
    add("reported as text", "wrong-type", receipt(f18=[{1: 1, 2: "16", 3: 3}]), "NotTyped")
    method = bounded_bucket(f6="m" * 65)
    add("method of 65 bytes", "bad-value", receipt(f18=[method]), "Value")
    add("context with key 7", "unknown-field", receipt(f27={1: "s", 7: "x"}), "Unknown")
    add("context session empty", "empty-value", receipt(f27={1: ""}), "Empty")
    add("context tag of 257 bytes", "bad-value", receipt(f27={6: "t" * 257}), "Value")
    add("context agent a number", "wrong-type", receipt(f27={5: 5}), "NotTyped")
    for key, name in ((1, "importer"), (2, "version"), (4, "line_hash")):
        source = {k: v for k, v in imported()[28].items() if k != key}
        add(f"import without {name}", "missing-field", imported(f28=source), "Missing")
    for key, value, name in ((3, bytes(31), "ruleset"), (5, bytes(17), "supersedes")):
        source = {**imported()[28], key: value}
        add(f"import {name} of another length", "bad-value", imported(f28=source), "Value")
    add("import with key 7", "unknown-field", imported(f28={**imported()[28], 7: 1}), "Unknown")
    add("policy entry of 2", "bad-value", receipt(f29=[["pii", 3]]), "Value")
    add("policy entry of 4", "bad-value", receipt(f29=[["pii", 3, 1, 1]]), "Value")
    add("policy name empty", "empty-value", receipt(f29=[["", 3, 1]]), "Empty")
    add("policy count as text", "wrong-type", receipt(f29=[["pii", 3, "1"]]), "NotTyped")
    add("policy entry that is no list", "wrong-type", receipt(f29=["pii"]), "NotTyped")
    add("an anomaly as text", "wrong-type", receipt(f30=["1"]), "NotTyped")
    add("65 anomalies", "limit", receipt(f30=list(range(65))), "Encoding")


def presence(builder: Builder) -> None:
    """Fields that are due or excluded."""
    add = builder.invalid
    add("subject_seq 1 without subject_prev", "field-conflict", receipt(f6=1), "Chain")
    add("subject_seq 0 with subject_prev", "field-conflict", receipt(f7=HASH), "Chain")
    add("proxy without upstream", "field-conflict", receipt(f9=None), "Upstream")
    add("import without source import", "field-conflict", imported(f4=4), "Conflict")
    add("source import without import", "field-conflict", imported(f28=None), "Conflict")
    add("metering none with usage", "field-conflict", minimal(f18=[{1: 1, 2: 1, 3: 3}]), "Conflict")
    add("metering none with provider_total", "field-conflict", minimal(f19=0), "Conflict")
    add("metering none with raw_usage_hash", "field-conflict", minimal(f20=HASH), "Conflict")
    for kind in range(1, 8):
        usage = [{1: kind, 2: 7, 3: 3}, {1: 8, 2: 9, 3: 3}]
        add(f"kind 8 beside kind {kind}", "field-conflict", receipt(f18=usage), "Conflict")
    for kind in (16, 17):
        usage = [{1: kind, 2: 7, 3: 3}, {1: 18, 2: 9, 3: 3}]
        add(f"kind 18 beside kind {kind}", "field-conflict", receipt(f18=usage), "Conflict")


def totals(builder: Builder) -> None:
    """Totals that do not add up."""
    add = builder.invalid
    add("total one too high", "total-mismatch", receipt(f19=17), "Total")
    add("total one too low", "total-mismatch", receipt(f19=15), "Total")
    add("total without usage", "total-mismatch", minimal(f17=1, f19=5), "Total")
    add("another anomaly does not excuse", "total-mismatch", receipt(f19=17, f30=[2]), "Total")
    usage = [{1: 1, 2: 10, 3: 3}, {1: 48, 2: 6, 3: 3}]
    add("a total that counts milliseconds", "total-mismatch", receipt(f18=usage), "Total")
    usage = [{1: 1, 2: 12, 3: 3}, {1: 20, 2: 4, 3: 3}]
    add("an unknown token kind counts", "total-mismatch", receipt(f18=usage, f19=12), "Total")


def orders(builder: Builder) -> None:
    """Lists out of order."""
    add = builder.invalid
    usage = [{1: 2, 2: 8, 3: 3}, {1: 1, 2: 8, 3: 3}]
    add("buckets descend", "bad-order", receipt(f18=usage), "Order")
    usage = [{1: 1, 2: 8, 3: 3}, {1: 1, 2: 8, 3: 3}]
    add("two buckets of one kind", "bad-order", receipt(f18=usage), "Order")
    add("anomalies descend", "bad-order", receipt(f30=[7, 6]), "Order")
    add("an anomaly twice", "bad-order", receipt(f30=[6, 6]), "Order")


def extensions(builder: Builder) -> None:
    """Extension bytes of all maps count together."""
    half = bytes(2_044)
    body = receipt(f27={1: "s", 64: half}, f64=half)
    builder.valid("extensions of 4,096 bytes in two maps", body, "Extension")
    body = receipt(f27={1: "s", 64: half}, f64=half + b"\x00")
    builder.invalid("extensions of 4,097 bytes in two maps", "limit", body, "Extension")
    usage = [{1: 1, 2: 16, 3: 3, 64: half}]
    body = receipt(f18=usage, f64=half + b"\x00")
    builder.invalid("extensions of 4,097 bytes with a bucket", "limit", body, "Extension")


def in_record(builder: Builder) -> None:
    """The time of the call against the time of the record."""
    add = builder.invalid
    add(
        "a millisecond more than five minutes ahead",
        "time-order",
        receipt(f2=TIME_MS + 300_001),
        "Time",
        index=7,
    )
    add("a year ahead", "time-order", receipt(f2=TIME_MS + 31_536_000_000), "Time", index=7)
