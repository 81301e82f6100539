"""Every bundle of the vectors through `verify`: answers and exit codes (VER-22 to VER-24)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.gateway import recount
from nous_ledger.reconcile.tokenizers import builtin_table
from tests.cli.harness import Call
from tests.conformance.test_vectors_bundles import QUESTIONS, file_of, recounter
from tests.conformance.vector_files import Case, cases, cases_of, load, unhex

BODIES = ("request", "response", "forwarded")


def arguments_of(case: Case, folder: Path) -> list[object]:
    """Write the files of a case and return the arguments that check them."""
    options: dict[str, Any] = case.get("options", {})
    (folder / "bundle").write_bytes(file_of(case))
    (folder / "policy").write_text(case["policy"], "utf-8")
    arguments: list[object] = ["verify", folder / "bundle", "--policy", folder / "policy"]
    for name in BODIES:
        if name in options:
            (folder / name).write_bytes(unhex(options[name]))
            arguments += [f"--{name}", folder / name]
    if "opening" in options:
        arguments += ["--opening", options["opening"]]
    if "maxAge" in options:
        arguments += ["--max-age", options["maxAge"]]
    if options.get("requireAccuracy"):
        arguments.append("--require-accuracy")
    if "recount" in options:
        arguments.append("--recount")
    return arguments


def without_table(found: Any) -> Any:
    """Return a re-count that finds what the case says, with the tokenizers that are built in."""
    find = recounter(found)

    def count(*given: Any, table: object) -> Any:
        assert table is builtin_table()
        return find(*given)

    return count


@cases("bundles", "Bundle")
def test_verify(case: Case, nous: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = case.get("options", {})
    with monkeypatch.context() as patch:
        if "now" in options:
            patch.setattr("time.time", lambda: float(options["now"]))
        if "recount" in options:
            patch.setattr(recount, "recount_bounds", without_table(options["recount"]))
        found = nous(*arguments_of(case, tmp_path), "--json")
    if "recount" in options and "response" not in options:
        found.failed(2, "--recount needs --response")  # the command does not let it come that far
        return
    if case["answers"] is None:
        found.failed(case["exitCode"])
        assert f"[{case['error']}]" in found.err or case["error"] == "input"
        return
    assert found.code == case["exitCode"], case["comment"]
    assert not found.err
    shown = json.loads(found.out)
    for name in QUESTIONS:
        answer = {key: shown[name][key] for key in ("outcome", "code")}
        assert answer == case["answers"][name], case["comment"]
    assert shown["exit_code"] == case["exitCode"]


def test_witnesses_in_the_report_for_people(nous: Call, tmp_path: Path) -> None:
    """VER-21: since when the quorum has seen the head."""
    (case,) = (c for c in cases_of(load("bundles")) if c["comment"] == "two witnesses")
    out = nous(*arguments_of(case, tmp_path)).good().out
    assert "log view    established     the witnesses of the policy saw this head" in out
    assert re.search(r"^witnessed   \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", out, re.MULTILINE)
