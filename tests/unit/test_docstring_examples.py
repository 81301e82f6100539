"""What the examples in docstrings print is what they say."""

import doctest
import re
from importlib import import_module
from pathlib import Path

import pytest

from tests.architecture.repository import ROOT, python_files, text_of

# They need what is not installed, or load the services' SDKs for seconds.
NOT_IMPORTED = {"nous_ledger/cli/demo_calls.py", "nous_ledger/embed/on_litellm.py"}
WITH_EXAMPLES = sorted(
    str(path.relative_to(ROOT))
    for path in python_files("nous_ledger", "sentinel")
    if re.search(r"^ +>>> ", text_of(path), re.MULTILINE)
)


def test_there_are_examples_to_run() -> None:
    assert len(WITH_EXAMPLES) > 10
    assert not NOT_IMPORTED & set(WITH_EXAMPLES)


@pytest.mark.parametrize("path", WITH_EXAMPLES)
def test_examples(path: str) -> None:
    name = ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")
    failed, tried = doctest.testmod(import_module(name))
    assert (failed, tried > 0) == (0, True), path
