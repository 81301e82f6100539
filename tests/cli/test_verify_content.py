"""Content, re-count, accuracy and age: what the further options of `verify` decide."""

import pytest

from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.receipt import Receipt
from tests.cli.harness import Call, Files
from tests.cli.sample import OPENING, REQUEST, RESPONSE, START_MS, STEP_MS, Sample
from tests.conformance.test_vectors_bundles import QUESTIONS


def test_good_content(nous: Call, files: Files) -> None:
    """COMM-4: content that fits changes no answer; the labels stay claimed (VER-17)."""
    found = nous(*files.check, *files.content, "--json").good()
    assert found.json["accuracy"]["code"] == "not-recounted"
    assert found.json["notes"] == ["a rotation after this head is not known here"]


def test_the_opening_may_stand_on_the_command_line(nous: Call, files: Files) -> None:
    for text in (OPENING.hex(), OPENING.hex().upper()):
        nous(*files.check, "--opening", text, "--request", files.request).good()


@pytest.mark.parametrize("name", ["request", "response"])
def test_altered_content_is_wrong(nous: Call, files: Files, name: str) -> None:
    """VER-7: one altered byte is caught, whether accuracy is required or not."""
    path = getattr(files, name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    found = nous(*files.check, *files.content, "--json")
    assert found.code == 1
    assert found.json["accuracy"] == {
        "outcome": "wrong",
        "code": "commitment-mismatch",
        "detail": f"the {name} is not the one that the receipt commits to",
    }
    established = {"established"}
    assert {found.json[n]["outcome"] for n in ("attribution", "inclusion")} == established


def test_another_opening_is_wrong(nous: Call, files: Files) -> None:
    files.opening.write_text("00" * 32, "ascii")
    found = nous(*files.check, *files.content, "--json")
    assert (found.code, found.json["accuracy"]["code"]) == (1, "commitment-mismatch")


def test_swapped_content_is_wrong(nous: Call, files: Files) -> None:
    files.request.write_bytes(RESPONSE)
    files.response.write_bytes(REQUEST)
    assert nous(*files.check, *files.content).code == 1


def test_opening_and_content_go_together(nous: Call, files: Files) -> None:
    """COMM-5, before any file is looked at."""
    files.proof.write_bytes(b"")
    opening = ("--opening", f"@{files.opening}")
    for arguments in (
        opening,
        ("--request", files.request),
        ("--response", files.response),
        ("--forwarded", files.request),
        ("--recount",),
        (*opening, "--request", files.request, "--recount"),
    ):
        nous(*files.check, *arguments).failed(2, "hint: nous-ledger verify --help")


@pytest.mark.parametrize(
    "text", ["", "00", "zz" * 32, "00" * 31, "00" * 33, "0 " * 32, f"0x{'00' * 32}", "@"]
)
def test_what_is_no_opening(nous: Call, files: Files, text: str) -> None:
    """COMM-5; the message does not repeat what was given: it may be a mistyped secret."""
    found = nous(*files.check, "--opening", text, "--request", files.request).failed(2)
    assert "00" * 31 not in found.err


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, b"00 " * 32, b"0" * 2000])
def test_files_that_hold_no_opening(nous: Call, files: Files, data: bytes) -> None:
    files.opening.write_bytes(data)
    nous(*files.check, *files.content).failed(2)


def test_no_commitment_is_noted(nous: Call, files: Files, sample: Sample) -> None:
    """Content that nothing commits to is not wrong, but said."""
    files.proof.unlink()
    nous("prove", sample.plain, "--ledger", sample.folder, "-o", files.proof).good()
    found = nous(*files.check, *files.content, "--json").good()
    assert "the receipt holds no commitment to the request" in found.json["notes"]
    assert "note: the receipt holds no commitment" in nous(*files.check, *files.content).out


def test_a_recount_establishes_accuracy(nous: Call, files: Files) -> None:
    """VER-20: what was counted again from committed content needs nobody's word."""
    found = nous(*files.check, *files.content, "--recount", "--require-accuracy").good()
    assert "the labels were counted again here and agree" in found.out
    assert "1..148" in found.out or "BOUNDED" in found.out


def test_a_recount_of_the_response_alone(nous: Call, files: Files) -> None:
    """Only an unsplit output needs the request."""
    arguments = ("--opening", f"@{files.opening}", "--response", files.response, "--recount")
    assert nous(*files.check, *arguments, "--json").good().json["accuracy"]["code"] == ""


def test_required_accuracy_without_a_recount(nous: Call, files: Files) -> None:
    """VER-23: accuracy is required only where it is asked for."""
    assert nous(*files.check).code == 0
    assert nous(*files.check, "--require-accuracy").code == 3
    assert nous(*files.check, *files.content, "--require-accuracy").code == 3


def test_a_verdict_counts_where_accuracy_is_required(
    nous: Call, files: Files, sample: Sample
) -> None:
    """VER-18: a reported count outside its range is shown always, and decides on request."""
    files.proof.unlink()
    nous("prove", sample.outside, "--ledger", sample.folder, "-o", files.proof).good()
    found = nous(*files.check).good()
    assert "1..300  outside" in found.out
    required = nous(*files.check, "--require-accuracy", "--json")
    assert (required.code, required.json["accuracy"]["code"]) == (1, "outside")
    assert required.json["verdicts"][0]["verdict"] == "outside"


def test_a_withheld_body(nous: Call, files: Files, sample: Sample) -> None:
    """VER-15: the record is proved, the counts are not there to be checked."""
    files.proof.unlink()
    nous("prove", 1, "--no-body", "--ledger", sample.folder, "-o", files.proof).good()
    found = nous(*files.check, "--json").good()
    assert (found.json["accuracy"]["code"], found.json["body"]) == ("withheld", None)
    assert nous(*files.check, "--require-accuracy").code == 3
    assert "gpt-demo" not in nous(*files.check).out


def test_a_key_event_is_no_receipt(nous: Call, files: Files, sample: Sample) -> None:
    files.proof.unlink()
    nous("prove", 0, "--ledger", sample.folder, "-o", files.proof).good()
    found = nous(*files.check).good()
    assert "no-receipt" in found.out
    assert "genesis" in found.out


def test_the_age_of_the_head(nous: Call, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """VER-11: an old head fails nothing unless somebody asks."""
    head_time = (START_MS + 11 * STEP_MS) // 1000
    monkeypatch.setattr("time.time", lambda: float(head_time + 3600))
    assert nous(*files.check).code == 0
    assert nous(*files.check, "--max-age", 3600).code == 0
    found = nous(*files.check, "--max-age", 3599, "--json")
    assert (found.code, found.json["log_view"]["code"]) == (3, "too-old")
    assert found.json["head_time"] == head_time
    nous(*files.check, "--max-age", "-1").failed(2)
    nous(*files.check, "--max-age", "soon").failed(2)
    assert nous(*files.check, "--max-age", 10**30).code == 0


def test_members_of_the_json_report(nous: Call, files: Files) -> None:
    """Programs rely on these names (PROTOCOL.md 13.5)."""
    shown = nous(*files.check, "--json").good().json
    assert list(shown) == [
        *QUESTIONS,
        *("exit_code", "origin", "log_id", "leaf_count", "index", "head_time", "witnessed_time"),
        *("record", "body", "verdicts", "notes"),
    ]
    assert all(list(shown[name]) == ["outcome", "code", "detail"] for name in QUESTIONS)
    assert list(shown["verdicts"][0]) == [
        *("kind", "label", "reported", "lower", "upper", "verdict")
    ]
    assert shown["body"]["type"] == "receipt"
    assert shown["exit_code"] == 0


def test_the_report_never_says_valid(nous: Call, files: Files) -> None:
    """VER-1, VER-21: four answers apart, the head they rest on, and what is not known."""
    out = nous(*files.check).good().out
    answers = [line[:12].rstrip() for line in out.splitlines()[:4]]
    assert answers == ["attribution", "inclusion", "log view", "accuracy"]
    assert "valid" not in out.replace("nous.invalid", "")
    assert "head        13 records, signed 2026-" in out
    assert "note: a rotation after this head is not known here" in out


def test_responses_that_are_hard_to_read_are_not_recounted(
    sample: Sample,
) -> None:
    """Whatever the committed response holds, counting again ends in an answer."""
    receipt = decode_body(1, parse_bundle(sample.proof).body)
    assert isinstance(receipt, Receipt)
    for response in (
        b"",
        b"\xff\xfe",
        b"[" * 200_000,
        b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"choices": [' + b"9" * 10_000 + b"]}",
        RESPONSE[:-1],
    ):
        assert recount_bounds(receipt, None, response) == {}
