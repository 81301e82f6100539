"""The command `nous-sentinel` says what it is, and never passes for a check."""

import runpy
import sys
from importlib.metadata import version

import pytest

from sentinel.__main__ import main


def test_the_version_is_the_package_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nous-sentinel {version('nous-ledger')}\n"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_says_that_checks_are_still_to_come(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([option]) == 0
    assert "This release watches nothing yet." in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["watch"], ["--help", "watch"], ["--version", "x"]])
def test_anything_else_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nous-sentinel: error: ")
    assert "\nhint: " in captured.err


def test_it_runs_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["sentinel", "--version"])
    monkeypatch.delitem(sys.modules, "sentinel.__main__")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("sentinel", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("nous-sentinel ")
