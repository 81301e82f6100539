"""nous_v2.json: records, roots and paths of the existing protocol."""

import json

from vectors.generate.legacyrows import KEY, ORDER, SECRET, other_form, row
from vectors.generate.rules import curve, legacy
from vectors.generate.rules.primitives import sha256
from vectors.generate.suite import Group, Json, Suite


def check(case: Json) -> Json:
    """Verify a record."""
    legacy.verify_row(case["row"], KEY, case.get("known"))
    return {}


def check_root(case: Json) -> Json:
    """Verify a root."""
    legacy.verify_root(case["leaves"], case["root"], case["count"])
    return {"peaks": legacy.peaks_of(case["leaves"])}


def check_snapshot(case: Json) -> Json:
    """Verify the root of records that were read at another moment."""
    leaves = [row["leaf_hash"] for row in case["rows"]]
    return {"uncovered": legacy.verify_snapshot(leaves, case["root"], case["count"])}


def check_path(case: Json) -> Json:
    """Verify an inclusion path."""
    where = (case["index"], case["count"])
    legacy.verify_inclusion(case["leaf"], where, case["path"], case["peaks"], case["root"])
    return {}


def check_set(case: Json) -> Json:
    """Verify rows together."""
    legacy.verify_set(case["rows"])
    return {}


def check_summary(case: Json) -> Json:
    """Verify a summary."""
    legacy.verify_summary(case["summary"], case["signature"], KEY)
    return {"signedBytes": legacy.summary_bytes(case["summary"]).decode()}


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "nous_v2",
        "nous-v2",
        "17. Legacy: nous-v2",
        "Record: verify `row` under `key`; `known` is a signature seen earlier for the same leaf.",
        "Root: `root` stands over `leaves`, of which there are `count`.",
        "Inclusion: a path to a peak, and the peaks to the root.",
        "Snapshot: rows, and a root and count that may be of an earlier or later moment.",
        "Summary: `signature` is over `signedBytes`, the compact JSON of `summary`.",
        "Set: rows together; the code must be found for each of them.",
        "The P-256 key is a test key. Its signatures are deterministic, those of nous-v2 were not.",
    )
    flags(suite)
    key = {"x": f"{KEY[0]:064x}", "y": f"{KEY[1]:064x}"}
    group = suite.group("Record", check, key=key)
    for part in (valid, formats, types, altered, signatures):
        part(group)
    roots(suite.group("Root", check_root))
    paths(suite.group("Inclusion", check_path))
    snapshots(suite.group("Snapshot", check_snapshot, key=key))
    summaries(suite.group("Summary", check_summary, key=key))
    sets(suite.group("Set", check_set, key=key))
    return suite


def flags(suite: Suite) -> None:
    """Explain the flags."""
    suite.flag("Valid", "BASIC", "Data in order.", "None.", "V2-3 V2-6 V2-8 V2-10")
    suite.flag(
        "Summary", "FORGERY", "A summary against its signature.", "Totals nobody signed.", "V2-13"
    )
    for name, bug, description, effect, ids in (
        ("Format", "PARSING", "A member is missing or too long.", "Nothing to check.", "V2-1"),
        (
            "Types",
            "PARSING",
            "A number or text of another form.",
            "JSON that two readers print differently.",
            "V2-2",
        ),
        (
            "Altered",
            "FORGERY",
            "A field differs from the leaf.",
            "Usage that was not recorded.",
            "V2-3",
        ),
        (
            "Ambiguous",
            "MALLEABILITY",
            "Several records have this leaf.",
            "Nobody can say which was meant.",
            "V2-4 V2-9",
        ),
        ("Unsigned", "FORGERY", "No signature.", "Nothing attributes the record.", "V2-5"),
        ("Signature", "FORGERY", "A signature that does not verify.", "A forged record.", "V2-6"),
        (
            "Malleated",
            "MALLEABILITY",
            "The second form of a known signature.",
            "A copy counts twice.",
            "V2-7",
        ),
        (
            "Root",
            "FORGERY",
            "Leaves and root do not agree.",
            "A log edited behind its root.",
            "V2-10",
        ),
        (
            "Stale",
            "AVAILABILITY",
            "More leaves stated than read.",
            "An honest append looks like tampering.",
            "V2-12",
        ),
        (
            "Path",
            "FORGERY",
            "A path or its peaks do not fit.",
            "A record passes as logged.",
            "V2-11",
        ),
    ):
        suite.flag(name, bug, description, effect, ids)


def valid(group: Group) -> None:
    """Records that must be accepted."""
    for number in range(1, 5):
        group.valid(f"record {number}", "Valid", row=row(number))
    group.valid(
        "a path before the model is cut", "Valid", row=row(model="openrouter/openai/gpt-4o")
    )
    group.valid("model unknown", "Valid", row=row(model="unknown"))
    group.valid("names beyond ASCII", "Valid", row=row(provider="é", model="模型"))
    group.valid("largest count", "Valid", row=row(total_tokens=2**53 - 1))
    unnamed = row(model="")
    for comment, members in (("null", {"model": None}), ("empty", {"model": ""}), ("absent", {})):
        rest = {name: value for name, value in unnamed.items() if name != "model"}
        group.valid(f"model {comment}", "Valid", row=rest | members)
    group.valid("a model that ends in a slash", "Valid", row=row(model="openai/"))
    group.valid("a bar before the model is cut", "Valid", row=row(model="a|b/gpt-4o"))
    group.valid("a provider of 4,096 characters", "Valid", row=row(provider="p" * 4_096))
    wide = row(provider="\U0001f600" * 4_096)
    group.valid("4,096 characters beyond the basic plane", "Valid", row=wide)
    group.valid("a long member that is not hashed", "Valid", row={**row(), "endpoint": "e" * 4_097})
    leap = row(timestamp="2028-02-29T23:59:59.999Z")
    group.valid("the last millisecond of a leap day", "Valid", row=leap)
    base = row()
    group.valid("its own signature seen before", "Valid", row=base, known=base["receipt_sig"])
    flipped = other_form(base["receipt_sig"])
    group.valid("the other form, nothing seen before", "Valid", row=row(receipt_sig=flipped))


def formats(group: Group) -> None:
    """Members that are missing or out of form."""
    for name in row():
        without = {key: value for key, value in row().items() if key != name}
        if name != "model":
            group.invalid(f"no {name}", "legacy-format", "Format", row=without)
    for name in ("leaf_hash", "receipt_sig"):
        group.invalid(f"{name} a number", "legacy-format", "Format", row={**row(), name: 7})
    for comment, number in (("text", "1"), ("fraction", 1.0), ("negative number", -1)):
        changed = {**row(), "id": number}
        group.invalid(f"id a {comment}", "legacy-format", "Format", row=changed)
    group.invalid("id 2^53", "legacy-format", "Format", row={**row(), "id": 2**53})
    for name in ("timestamp", "user_hash", "provider", "model", "leaf_hash", "receipt_sig"):
        changed = {**row(), name: row()[name] + "\ud800"}
        group.invalid(f"{name} with a surrogate", "legacy-format", "Format", row=changed)
    digits = {**row(), "input_tokens": "1" * 4_097}
    group.invalid("input_tokens of 4,097 digits", "legacy-format", "Format", row=digits)
    long = row(provider="p" * 4_097)
    group.invalid("a provider of 4,097 characters", "legacy-format", "Format", row=long)


def types(group: Group) -> None:
    """Values of another form."""
    for name, value, shown in (
        ("input_tokens", "007", "the text 007"),
        ("input_tokens", 1.5, "1.5"),
        ("input_tokens", 21.0, "21.0"),
        ("input_tokens", -1, "-1"),
        ("input_tokens", [21], "in an array"),
        ("timestamp", 1_775_131_201, "a number"),
        ("user_hash", 7, "a number"),
        ("provider", None, "null"),
        ("model", 7, "a number"),
        ("timestamp", "2026-02-29T12:00:01.000Z", "of a day that does not exist"),
        ("timestamp", "2026-13-02T12:00:01.000Z", "of month 13"),
        ("timestamp", "2026-04-02T24:00:00.000Z", "of hour 24"),
        ("timestamp", "2026-04-02T12:00:60.000Z", "of second 60"),
        ("timestamp", "\u0662026-04-02T12:00:01.000Z", "with another script's digit"),
        ("output_tokens", 2**53, "2^53"),
        ("total_tokens", True, "true"),
        ("cache_read_tokens", None, "null"),
        ("timestamp", "2026-04-02 12:00:01.000Z", "with a space"),
        ("timestamp", "2026-04-02T12:00:01Z", "without milliseconds"),
        ("timestamp", "2026-04-02T12:00:01.000+00:00", "with an offset"),
        ("user_hash", "AB" * 16, "in capitals"),
        ("user_hash", "ab" * 32, "of 64 digits"),
    ):
        changed = {**row(), name: value}
        group.invalid(f"{name} {shown}", "legacy-type-confused", "Types", row=changed)


def altered(group: Group) -> None:
    """Fields that differ from the leaf, and fields that the leaf cannot tell apart."""
    base = row()
    for name, value in (
        ("timestamp", "2026-04-02T12:00:02.000Z"),
        ("user_hash", "00" * 16),
        ("provider", "anthropic"),
        ("model", "gpt-4o"),
        ("input_tokens", 22),
        ("output_tokens", 5),
        ("cache_read_tokens", 1),
        ("cache_write_tokens", 1),
        ("total_tokens", 26),
    ):
        group.invalid(f"another {name}", "legacy-leaf", "Altered", row={**base, name: value})
    group.invalid(
        "the leaf of another record",
        "legacy-leaf",
        "Altered",
        row={**base, "leaf_hash": row(2)["leaf_hash"]},
    )
    group.invalid(
        "the leaf in capitals",
        "legacy-leaf",
        "Altered",
        row={**base, "leaf_hash": base["leaf_hash"].upper()},
    )
    for provider, model in (("a|b", "c"), ("a", "b|c"), ("|", "|")):
        changed = row(provider=provider, model=model)
        comment = f"provider {provider}, model {model}"
        group.invalid(comment, "legacy-ambiguous", "Ambiguous", row=changed)


def signatures(group: Group) -> None:
    """Signatures."""
    base = row()
    good = base["receipt_sig"]
    group.invalid("no signature", "legacy-unsigned", "Unsigned", row=row(receipt_sig=""))
    for comment, text in {
        "a bit of r": f"{int(good[0], 16) ^ 1:x}{good[1:]}",
        "a bit of s": f"{good[:-1]}{int(good[-1], 16) ^ 1:x}",
        "of another record": row(2)["receipt_sig"],
        "126 digits": good[:-2],
        "130 digits": good + "00",
        "in capitals": good.upper(),
        "not hex": "g" + good[1:],
        "r = 0": "00" * 32 + good[64:],
        "s = 0": good[:64] + "00" * 32,
        "r = n": f"{ORDER:064x}{good[64:]}",
        "s = n": f"{good[:64]}{ORDER:064x}",
    }.items():
        group.invalid(comment, "legacy-signature", "Signature", row={**base, "receipt_sig": text})
    flipped = {**base, "receipt_sig": other_form(good)}
    group.invalid("the other form", "legacy-malleated", "Malleated", row=flipped, known=good)
    group.invalid(
        "its first form after the other",
        "legacy-malleated",
        "Malleated",
        row=base,
        known=other_form(good),
    )


def roots(group: Group) -> None:
    """Roots."""
    leaves = [row(number)["leaf_hash"] for number in range(1, 12)]
    for count in (0, 1, 2, 3, 7, 8, 11):
        root = legacy.bag(legacy.peaks_of(leaves[:count]))
        group.valid(f"{count} leaves", "Valid", leaves=leaves[:count], root=root, count=count)
    group.valid("no leaves, as served", "Valid", leaves=[], root="empty", count=0)
    root = legacy.bag(legacy.peaks_of(leaves[:7]))
    add = group.invalid
    for comment, edited in {
        "a leaf edited": ["00" * 32, *leaves[1:7]],
        "two leaves swapped": [leaves[1], leaves[0], *leaves[2:7]],
        "a leaf replaced by a later one": [*leaves[:6], leaves[7]],
    }.items():
        add(comment, "legacy-root", "Root", leaves=edited, root=root, count=7)
    add("the root of 7 over 6", "legacy-root", "Root", leaves=leaves[:7], root=root, count=6)
    add("an empty root over 7", "legacy-root", "Root", leaves=leaves[:7], root="", count=7)
    add("empty over 7", "legacy-root", "Root", leaves=leaves[:7], root="empty", count=7)
    add("one leaf dropped", "legacy-root", "Root", leaves=leaves[:6], root=root, count=7)
    add("one leaf more", "legacy-root", "Root", leaves=leaves[:8], root=root, count=7)
    add("no leaves", "legacy-root", "Root", leaves=[], root=root, count=7)


def snapshots(group: Group) -> None:
    """Roots of another moment than the records."""
    rows = [row(number) for number in range(1, 6)]
    leaves = [item["leaf_hash"] for item in rows]
    for count in (5, 4, 1, 0):
        root = legacy.bag(legacy.peaks_of(leaves[:count]))
        group.valid(f"the root of {count}, 5 read", "Valid", rows=rows, root=root, count=count)
    add, root = group.invalid, legacy.bag(legacy.peaks_of(leaves))
    add("the root of 5, 4 read", "stale", "Stale", rows=rows[:4], root=root, count=5)
    add("the root of 5, none read", "stale", "Stale", rows=[], root=root, count=5)
    other = [rows[1], rows[0], *rows[2:]]
    add("the root of 5, two rows swapped", "legacy-root", "Root", rows=other, root=root, count=5)
    add("the root of 5 as that of 4", "legacy-root", "Root", rows=rows, root=root, count=4)


def paths(group: Group) -> None:
    """Inclusion paths."""
    leaves = [row(number)["leaf_hash"] for number in range(1, 12)]
    peaks = legacy.peaks_of(leaves)
    proofs = {}
    for index in (0, 5, 8, 10):
        path, _ = legacy.path_of(leaves, index)
        proofs[index] = {
            "leaf": leaves[index],
            "index": index,
            "count": 11,
            "path": path,
            "peaks": peaks,
            "root": legacy.bag(peaks),
        }
        group.valid(f"leaf {index} of 11", "Path", **proofs[index])
    base, add = proofs[5], group.invalid
    add("a hash missing", "legacy-format", "Path", **{**base, "path": base["path"][:-1]})
    add("a hash more", "legacy-format", "Path", **{**base, "path": [*base["path"], "00" * 32]})
    add("a peak missing", "legacy-format", "Path", **{**base, "peaks": peaks[:-1]})
    add("a peak more", "legacy-format", "Path", **{**base, "peaks": [*peaks, peaks[0]]})
    for index in (11, 12):
        case = {**base, "index": index}
        add(f"index {index} of 11", "legacy-format", "Path", **case)
    add("another leaf", "legacy-root", "Path", **{**base, "leaf": leaves[4]})
    add("another index", "legacy-root", "Path", **{**base, "index": 4})
    zeros = ["00" * 32, *base["path"][1:]]
    add("another hash", "legacy-root", "Path", **{**base, "path": zeros})
    add("another peak", "legacy-root", "Path", **{**base, "peaks": [*peaks[:-1], "00" * 32]})
    add("another root", "legacy-root", "Path", **{**base, "root": "00" * 32})


def summaries(group: Group) -> None:
    """Signed summaries."""
    use = [
        {"provider": "openai", "model": "gpt-4o-mini", "tokens": 90, "calls": 3},
        {"provider": "anthropic", "model": "modèle \u2028", "tokens": 12, "calls": 1},
    ]
    summary: Json = {"p": "nous", "v": 1, "type": "summary", "user": sha256(b"u")[:16].hex()}
    summary |= {"total_tokens": 102, "total_calls": 4, "models": use, "ts": 1_775_000_000}
    good = curve.sign_p256(SECRET, sha256(legacy.summary_bytes(summary))).hex()
    group.valid("a summary", "Summary", summary=summary, signature=good)
    other_order = dict(reversed(summary.items()))
    group.valid("members in another order", "Summary", summary=other_order, signature=good)
    add = group.invalid
    add("no signature", "legacy-unsigned", "Summary", summary=summary, signature="")
    changes = {"user": "00" * 16, "total_tokens": 103, "total_calls": 5, "models": use[:1], "ts": 1}
    for name, value in changes.items():
        changed = {**summary, name: value}
        add(f"another {name}", "legacy-signature", "Summary", summary=changed, signature=good)
    escaped = json.dumps(summary, separators=(",", ":")).encode()
    for comment, signed in (
        ("over escaped JSON", escaped),
        ("over JSON with spaces", json.dumps(summary, ensure_ascii=False).encode()),
    ):
        signature_of = curve.sign_p256(SECRET, sha256(signed)).hex()
        add(comment, "legacy-signature", "Summary", summary=summary, signature=signature_of)


def sets(group: Group) -> None:
    """Rows together."""
    first = row(1)
    group.valid("two records", "Valid", rows=[first, row(2)])
    again = {**first, "id": 2}
    group.invalid("one record twice", "legacy-ambiguous", "Ambiguous", rows=[first, again])
    flipped = {**again, "receipt_sig": other_form(first["receipt_sig"])}
    group.invalid(
        "both forms of a signature", "legacy-malleated", "Malleated", rows=[first, flipped]
    )
