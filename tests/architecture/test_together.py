"""Cases that run as one test fail as they would alone, and each says which it is."""

import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.repository import ROOT

TESTS = """
import pytest


@pytest.fixture(scope="module")
def kept():
    return []


@pytest.mark.parametrize("more", [0, 10])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_numbers(number, more, kept):
    kept.append(number)
    assert number + more != 2, "it is two"
    assert number + more < 13


@pytest.mark.parametrize("number", [1, 2])
def test_numbers_with_a_folder(number, tmp_path):
    assert number


@pytest.mark.apart
@pytest.mark.parametrize("number", [1, 2])
def test_numbers_apart(number):
    assert number


@pytest.mark.parametrize("number", [1, 2])
def test_skipped(number):
    if number == 1:
        pytest.skip("not here")


def test_all_were_run(kept):
    assert sorted(kept) == [1, 1, 2, 2, 3, 3]
"""


def test_cases_run_together(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.together", "-c", os.devnull, "-rf", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 failed, 5 passed" in done.stdout, done.stdout
    assert "test_numbers[1-6 of 6 cases]" in done.stdout
    assert "AssertionError: it is two" in done.stdout
    assert "2 of 6 cases failed: [2-0], [3-10]" in done.stdout
    assert "case [1] is skipped, which nobody would see: mark it apart" in done.stdout
