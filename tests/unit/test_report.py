"""Reports: exit codes from four answers, and what is printed."""

import json
from dataclasses import replace
from itertools import product

import pytest

from nous_ledger.protocol.jsonform import body_to_json, record_to_json
from nous_ledger.protocol.label import Bucket, Verdict
from nous_ledger.protocol.report import Answer, Outcome, Report, verdicts_of
from tests.property.sample_log import HEAD_TIME, receipt
from tests.unit.verifying import BUNDLE, LOG, UNWITNESSED, verify

REPORT = verify()
ESTABLISHED = Answer(outcome=Outcome.ESTABLISHED)
WRONG = Answer(outcome=Outcome.WRONG, code="mismatch")
OPEN = Answer(outcome=Outcome.COULD_NOT_CHECK, code="undecided")
UNASKED = Answer(outcome=Outcome.NOT_ASKED, code="not-witnessed")


@pytest.mark.parametrize("required", [False, True])
def test_the_exit_code(required: bool) -> None:
    """Of every combination of answers (VER-22, VER-23)."""
    three = (ESTABLISHED, WRONG, OPEN)
    for attribution, inclusion, log_view, accuracy in product(
        three, three, (*three, UNASKED), three
    ):
        report = replace(
            REPORT,
            attribution=attribution,
            inclusion=inclusion,
            log_view=log_view,
            accuracy=accuracy,
            accuracy_required=required,
        )
        demanded = [attribution, inclusion, *([accuracy] if required else [])]
        if WRONG in (attribution, inclusion, log_view, accuracy):
            expected = 1
        elif OPEN in (*demanded, log_view):
            expected = 3
        else:
            expected = 0
        assert report.exit_code() == expected


def test_the_log_view_is_required_unless_nobody_was_asked() -> None:
    """Not for another code, whatever its outcome (VER-10, VER-23)."""
    assert replace(REPORT, log_view=UNASKED).exit_code() == 0
    for code in ("too-old", "policy-outdated"):
        for outcome in (Outcome.COULD_NOT_CHECK, Outcome.NOT_ASKED):
            answer = Answer(outcome=outcome, code=code)
            assert replace(REPORT, log_view=answer).exit_code() == 3


def test_the_answers_have_names_and_an_order() -> None:
    """VER-1."""
    names = [name for name, _ in REPORT.answers()]
    assert names == ["attribution", "inclusion", "log_view", "accuracy"]
    assert [answer for _, answer in REPORT.answers()] == [
        *(REPORT.attribution, REPORT.inclusion, REPORT.log_view, REPORT.accuracy)
    ]


def test_what_a_report_states() -> None:
    """The head's count and time, the witnessed time, and what is not known (VER-21)."""
    shown = json.loads(json.dumps(REPORT.to_json()))
    assert (shown["leaf_count"], shown["head_time"]) == (6, HEAD_TIME)
    assert shown["witnessed_time"] == HEAD_TIME + 2
    assert "a rotation after this head is not known here" in shown["notes"]
    assert (shown["origin"], shown["log_id"]) == (LOG.origin, LOG.log_id.hex())
    assert (shown["index"], shown["exit_code"]) == (4, 0)
    assert shown["record"] == record_to_json(REPORT.record)
    assert shown["body"] == body_to_json(receipt())
    unwitnessed = verify(trust=UNWITNESSED).to_json()
    assert unwitnessed["witnessed_time"] is None


def test_the_four_answers_stand_apart() -> None:
    """As outcome, code and detail; the code is empty when established (13.1, VER-1, VER-17)."""
    shown = REPORT.to_json()
    established = {"outcome": "established", "code": "", "detail": ""}
    assert shown["attribution"] == established
    assert shown["inclusion"] == established
    assert shown["log_view"] == established
    assert shown["accuracy"]["outcome"] == "could-not-check"
    assert shown["accuracy"]["code"] == "not-recounted"
    assert "claimed by the gateway" in shown["accuracy"]["detail"]
    assert "valid" not in json.dumps({name: shown[name] for name in list(shown)[:4]})


def test_a_report_without_a_body() -> None:
    """VER-15."""
    shown = verify(replace(BUNDLE, body=b"")).to_json()
    assert (shown["body"], shown["verdicts"]) == (None, [])
    assert "withheld" in shown["accuracy"]["detail"]
    assert verify(replace(BUNDLE, key_events=())).to_json()["log_id"] is None


def test_verdicts_bucket_by_bucket() -> None:
    """Beside the answers, in names (LBL-7, VER-18)."""
    assert [found.verdict for found in REPORT.verdicts] == [
        *[Verdict.UNCHECKABLE] * 3,
        Verdict.OK,
    ]
    assert REPORT.to_json()["verdicts"][3] == {
        "kind": "output_visible",
        "label": "BOUNDED",
        "reported": 40,
        "lower": 1,
        "upper": 176,
        "verdict": "ok",
    }
    unknown = Bucket(kind=99, reported=1, label=9)
    (found,) = verdicts_of(replace(receipt(), usage=(unknown,), provider_total=None))
    assert (found.kind, found.label, found.verdict) == (99, 9, Verdict.UNCHECKABLE)
    assert verdicts_of(replace(receipt(), usage=None, provider_total=None)) == ()


def test_unknown_kinds_and_labels_are_shown() -> None:
    """ENC-20."""
    body = replace(receipt(), usage=(Bucket(kind=99, reported=1, label=9),), provider_total=None)
    report: Report = replace(REPORT, body=body)
    (shown,) = report.to_json()["verdicts"]
    assert (shown["kind"], shown["label"]) == ("unknown(99)", "unknown(9)")
