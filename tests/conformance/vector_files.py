"""The project's test vectors as the conformance tests see them."""

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.refusals import code_of

FOLDER = Path(__file__).parents[2] / "vectors"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.json")))
KNOWN_ANSWERS = (
    "bytes1",
    "claude_range",
    "eip712",
    "label_decisions",
    "mmr",
    "mmr_ietf",
    "reconciling",
    "stream_audit",
)

Case = dict[str, Any]
Test = Callable[..., None]
BATCH = 100
"""Cases of one test: most take less time than pytest takes for a test of their own."""


@functools.cache
def load(name: str) -> dict[str, Any]:
    """Return a vector file."""
    document: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return document


def cases_of(document: dict[str, Any], *types: str) -> list[Case]:
    """Return the cases of some groups, each with what its group shares."""
    found = []
    for group in document["testGroups"]:
        if not types or group["type"] in types:
            shared = {k: v for k, v in group.items() if k not in ("tests", "source")}
            found += [shared | case for case in group["tests"]]
    return found


def cases(name: str, *types: str) -> Callable[[Test], Test]:
    """Return a parametrisation over the cases of some groups of a file."""
    found = cases_of(load(name), *types)
    assert found, f"{name} has no groups {types}"
    return each_case(found)


def each_case(found: Sequence[Case]) -> Callable[[Test], Test]:
    """Return what lets a test of one case run over many; a failure names its case."""

    def decorate(test: Test) -> Test:
        def run(batch: Sequence[Case], **fixtures: object) -> None:
            for case in batch:
                try:
                    test(case, **fixtures)
                except Exception as error:
                    error.add_note(f"in case {case['tcId']}: {case['comment']}")
                    raise

        functools.update_wrapper(run, test)
        given = inspect.signature(test)
        (_, *fixtures) = given.parameters.values()
        batch = inspect.Parameter("batch", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__signature__ = given.replace(parameters=[batch, *fixtures])  # type: ignore[attr-defined]
        batches = [found[first : first + BATCH] for first in range(0, len(found), BATCH)]
        return pytest.mark.parametrize("batch", batches, ids=_ends)(run)

    return decorate


def _ends(batch: Sequence[Case]) -> str:
    return f"{batch[0]['tcId']}-{batch[-1]['tcId']}"


def meet(case: Case, run: Callable[[], object]) -> None:
    """Run a case: it gives what the case expects, or ends in exactly its error."""
    if case["result"] == "valid":
        run()
    else:
        assert code_of(run) == case["error"], case["comment"]


def unhex(text: str) -> bytes:
    """Return the bytes of hex."""
    return bytes.fromhex(text)


def filled(case: Case, text: str) -> str:
    """Return a text with its long run and its tail put back."""
    fill = case.get("repeat", {"text": "", "count": 0})
    run: str = fill["text"] * fill["count"]
    return text + run + str(case.get("tail", ""))
