"""Whole files against whole policies, and nous-v2: the library against the vectors."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from nous_ledger.protocol.accuracy import Recount
from nous_ledger.protocol.bundle import format_bundle, parse_bundle
from nous_ledger.protocol.legacy import (
    audit_legacy,
    encode_legacy_summary,
    legacy_root,
    parse_legacy_key,
    parse_legacy_record,
    parse_legacy_summary,
    verify_legacy_inclusion,
    verify_legacy_record,
    verify_legacy_root,
    verify_legacy_summary,
)
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.report import LATER_ROTATION, Outcome, Report
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.verify import verify_bundle
from tests.conformance.vector_files import Case, cases, cases_of, filled, load, meet, unhex
from tests.refusals import code_of

QUESTIONS = ("attribution", "inclusion", "log_view", "accuracy")
EXIT_CODES = {"not-a-bundle": 1, "newer-version": 3, "policy-format": 2, "input": 2}


def file_of(case: Case) -> bytes:
    return unhex(case["hex"]) if "hex" in case else filled(case, case["bundle"]).encode()


def recounter(found: dict[str, dict[str, int]]) -> Any:
    """Return a re-count that finds what the case says."""

    def count(_receipt: Receipt, _request: bytes | None, _response: bytes) -> Mapping[int, Recount]:
        return {int(kind): Recount(**row) for kind, row in found.items()}

    return count


def report_of(case: Case) -> Report:
    options = case.get("options", {})
    bodies = ("opening", "request", "response", "forwarded")
    return verify_bundle(
        file_of(case),
        parse_policy(case["policy"].encode()),
        **{name: unhex(options[name]) for name in bodies if name in options},
        recount=recounter(options["recount"]) if "recount" in options else None,
        now=UnixSeconds(int(options["now"])) if "now" in options else None,
        max_age=options.get("maxAge"),
        require_accuracy=options.get("requireAccuracy", False),
    )


def deciding_code(report: Report) -> str:
    """Return the one code that stands for a report."""
    if not report.exit_code():
        return ""
    answers = [answer for _, answer in report.answers()]
    wrong = [answer.code for answer in answers if answer.outcome is Outcome.WRONG]
    required = answers if report.accuracy_required else answers[:3]
    missing = [answer.code for answer in required if answer.outcome is Outcome.COULD_NOT_CHECK]
    said = [code for code in missing if code != "undecided"]
    return [*wrong, *said, *missing][0]


@cases("bundles", "Bundle")
def test_bundle(case: Case) -> None:
    """Four answers, an exit code, and the code that decides it (VER-25)."""
    if case["answers"] is None:
        code = code_of(report_of, case)
        assert (code, EXIT_CODES[code]) == (case["error"], case["exitCode"]), case["comment"]
        return
    report = report_of(case)
    answers = {
        name: {"outcome": str(answer.outcome), "code": answer.code}
        for name, answer in ((name, getattr(report, name)) for name in QUESTIONS)
    }
    assert answers == case["answers"], case["comment"]
    assert report.exit_code() == case["exitCode"]
    assert deciding_code(report) == case["error"], case["comment"]


def test_a_report_says_what_it_rests_on() -> None:
    """Leaf count, times, and that a later rotation is not known stand in every report (VER-21)."""
    case = next(c for c in cases_of(load("bundles")) if c["comment"] == "two witnesses")
    report = report_of(case)
    note = parse_bundle(file_of(case)).note
    assert report.leaf_count == int(note.text.split("\n")[1])
    times = [int.from_bytes(line.payload[:8], "big") for line in note.signatures[1:]]
    assert report.head_time == times[0]
    assert report.witnessed_time == min(times[1:])
    assert LATER_ROTATION in report.notes


def test_bundles_that_parse_format_to_the_same_bytes() -> None:
    """Formatting what was parsed gives the input (CONV-4)."""
    parsed = [case for case in cases_of(load("bundles")) if case["answers"]]
    assert len(parsed) > 200
    for case in parsed:
        data = file_of(case)
        assert format_bundle(parse_bundle(data)) == data


def public_key(case: Case) -> Any:
    x, y = (urlsafe_b64encode(unhex(case["key"][n])).rstrip(b"=").decode() for n in "xy")
    return parse_legacy_key({"kty": "EC", "crv": "P-256", "x": x, "y": y})


@cases("nous_v2", "Record")
def test_legacy_record(case: Case) -> None:
    def run() -> None:
        record = parse_legacy_record(case["row"])
        known = case.get("known", "")
        assert verify_legacy_record(record, public_key(case), known_signature=known) is record

    meet(case, run)


@cases("nous_v2", "Root")
def test_legacy_root(case: Case) -> None:
    def run() -> None:
        found = verify_legacy_root(case["leaves"], case["root"], case["count"])
        assert list(found.peaks) == case["peaks"]

    meet(case, run)


@cases("nous_v2", "Inclusion")
def test_legacy_inclusion(case: Case) -> None:
    def run() -> None:
        found = verify_legacy_inclusion(
            case["leaf"],
            case["index"],
            case["path"],
            count=case["count"],
            peaks=case["peaks"],
            root=case["root"],
        )
        assert found.leaf == case["leaf"]

    meet(case, run)


@cases("nous_v2", "Snapshot")
def test_legacy_snapshot(case: Case) -> None:
    """A root of another moment is told apart from a wrong one (V2-10, V2-12)."""
    records = [parse_legacy_record(row) for row in case["rows"]]
    report = audit_legacy(records, case["root"], case["count"], public_key(case))
    assert report.root_code == case["error"]
    if case["result"] == "valid":
        assert report.uncovered == case["uncovered"]


@cases("nous_v2", "Summary")
def test_legacy_summary(case: Case) -> None:
    """A summary is signed as compact JSON in fixed order (V2-13)."""
    summary = parse_legacy_summary(case["summary"])

    def run() -> None:
        assert verify_legacy_summary(summary, case["signature"], public_key(case)) is summary
        assert encode_legacy_summary(summary).decode() == case["signedBytes"]

    meet(case, run)


@cases("nous_v2", "Set")
def test_legacy_set(case: Case) -> None:
    """What several rows leave open is found for each of them (V2-7, V2-9)."""
    records = [parse_legacy_record(row) for row in case["rows"]]
    root = legacy_root([record.leaf_hash for record in records])
    report = audit_legacy(records, root, len(records), public_key(case))
    found = {(finding.position, finding.code) for finding in report.findings}
    expected = {case["error"]} - {""}
    assert found == {(at, code) for at in range(len(records)) for code in expected}


def test_known_answers_of_the_design() -> None:
    """The known answers stand in the vectors byte for byte (ID-3, KEY-3, KEY-13, VKEY-3)."""
    log_ids, records = load("log_ids"), load("records")
    assert cases_of(log_ids, "NextHash")[1]["nextHash"].startswith(
        "78e611d5597ac12f7f09193ce6bbb3f7"
    )
    log_id = cases_of(log_ids, "LogId")[0]
    assert log_id["secp256k1"].startswith("034f355bdcb7cc0af728ef3cceb9615d")
    assert log_id["ed25519"].startswith("17cb79fb2b4120f2b1ec65e4198d6e08")
    assert log_id["logId"] == "f8d642a452bf6eacc11c69876a4166976bfecbd9d04fbd1223b232a5aab073fe"
    decoded = cases_of(records, "Decode")[0]
    assert decoded["leaf"] == "efe71332a030aae11906e6609ff30126bffcd31062cc1911ab0ff93dece9843f"
    assert decoded["json"]["body_hash"].startswith("2027b7665c52f6dbd2001f58e10a92d6")
    signed = cases_of(records, "Sign")[0]["record"]
    assert signed == decoded["record"] == cases_of(records, "Verify")[0]["record"]
    assert signed.endswith(
        "1faf6ed7afbf44657168e1377e94a4e00267f8c81ae867a0fb2bfae308cf40c8"
        "488483230f5ffa07d91f2d337777f90922faa652034be7fafd9a7b4bc602278900"
    )
    digest = cases_of(records, "Verify")[0]["digest"]
    assert digest == "2f952c24cefeb57c8414a4d25660f1557f7a2949b63af366dc8a49f9890be211"
    head = cases_of(load("eip712"), "HeadDigest")[0]["digest"]
    assert head == "bdf7798fd4aefc3b8f30041fd65e489f9180f8fc60d1f09e67fc1578d2f1f1bf"
    vkey = cases_of(load("vkeys"), "Form")[0]["vkey"]
    assert vkey == (
        "ledger.example.com/main+f8b888ef"
        "+/25vdXMtbGVkZ2VyLzEgaGVhZAD41kKkUr9urMEcaYdqQWaXa/7L2dBPvRIjsjKlqrBz/g=="
    )
    lines = cases_of(load("heads"), "Head")[0]["note"]
    assert "+LiI7wAAAABoTuGAAAAAABxq8QR9+CF7voCxSQxlv05cZzwvWEWKPkdrB7S/MVL5ARLQ" in lines
