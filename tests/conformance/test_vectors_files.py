"""The vector files themselves: schemas, counts, shares, requirement IDs, reproducibility."""

import ast
import functools
import json
import operator
import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from nous_ledger.protocol.errors import ERROR_CODES
from tests.conformance.vector_files import FOLDER, KNOWN_ANSWERS, NAMES, cases_of, load

ROOT = FOLDER.parent
DEFINED = re.compile(r"\*\*\[([A-Z][A-Z0-9]*-[0-9]+)\]\*\*")
CITED = re.compile(r"\b([A-Z][A-Z0-9]*)-([0-9]+)(?: to (?:([A-Z][A-Z0-9]*)-)?([0-9]+))?\b")
SCHEMAS = sorted((FOLDER / "schema").glob("*.json"))
COMMON = json.loads(
    (FOLDER / "schema" / "common.json").read_text("utf-8").replace('"#/', '"common.json#/')
)


def in_full(part: Any) -> Any:
    """Return a part of a schema with what it takes from common.json in its place.

    To follow a reference takes the validator as long as all else, and every case has many.
    """
    if isinstance(part, list):
        return [in_full(item) for item in part]
    if not isinstance(part, dict):
        return part
    found = {key: in_full(value) for key, value in part.items()}
    file, _, place = str(found.get("$ref", "")).partition("#/")
    if file == "common.json":
        del found["$ref"]
        shared = functools.reduce(operator.getitem, place.split("/"), COMMON)
        found["allOf"] = [*found.get("allOf", []), in_full(shared)]
    return found


every_file = pytest.mark.parametrize("name", NAMES)


@every_file
def test_file_follows_its_schema(name: str) -> None:
    document = load(name)
    assert document["schema"] == f"schema/{name}.json"
    schema = json.loads((FOLDER / document["schema"]).read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    errors = Draft202012Validator(in_full(schema)).iter_errors(document)
    assert [(list(error.absolute_path), error.message[:200]) for error in errors] == []


def test_every_schema_has_its_file() -> None:
    assert {path.stem for path in SCHEMAS} == {*NAMES, "common"}


def test_a_schema_refuses_what_it_does_not_name() -> None:
    document = load("records")
    schema = json.loads((FOLDER / "schema" / "records.json").read_text("utf-8"))
    validator = Draft202012Validator(in_full(schema))
    document["testGroups"][0]["tests"][0]["surplus"] = 1
    assert not validator.is_valid(document)


@every_file
def test_counts_and_ids(name: str) -> None:
    document = load(name)
    found = cases_of(document)
    assert document["numberOfTests"] == len(found)
    assert [case["tcId"] for case in found] == list(range(1, len(found) + 1))


@every_file
def test_flags_are_explained_and_used(name: str) -> None:
    document = load(name)
    used = {flag for case in cases_of(document) for flag in case["flags"]}
    assert used == set(document["notes"])


@every_file
def test_codes_are_those_of_the_appendix(name: str) -> None:
    """Every failure has exactly one code of appendix A (CONV-6); an invalid case asserts it."""
    codes = {case["error"] for case in cases_of(load(name))} - {""}
    assert codes <= set(ERROR_CODES)


@every_file
def test_no_two_cases_are_the_same(name: str) -> None:
    """A repeated case would count twice and test nothing."""
    kept = ("tcId", "comment", "flags")
    texts = [
        json.dumps({k: v for k, v in case.items() if k not in kept} | {"type": group["type"]})
        + json.dumps({k: v for k, v in group.items() if k != "tests"})
        for group in load(name)["testGroups"]
        for case in group["tests"]
    ]
    assert len(texts) == len(set(texts))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in KNOWN_ANSWERS])
def test_at_least_six_of_ten_are_refused(name: str) -> None:
    results = [case["result"] for case in cases_of(load(name))]
    assert results.count("invalid") * 10 >= len(results) * 6


@pytest.mark.parametrize("name", KNOWN_ANSWERS)
def test_known_answers_are_all_valid(name: str) -> None:
    assert {case["result"] for case in cases_of(load(name))} == {"valid"}


def test_every_code_that_a_verifier_can_meet_has_a_case() -> None:
    """What is left: a source that cannot be read is no file to verify."""
    met = {case["error"] for name in NAMES for case in cases_of(load(name))}
    answers = [case["answers"] or {} for case in cases_of(load("bundles"))]
    met |= {answer["code"] for found in answers for answer in found.values()}
    assert set(ERROR_CODES) - met == {"unreachable"}


def defined() -> set[str]:
    """Return the requirement IDs that PROTOCOL.md defines."""
    return set(DEFINED.findall((ROOT / "PROTOCOL.md").read_text("utf-8")))


def cited_by_vectors() -> set[str]:
    """Return the IDs that the notes of the vector files cite."""
    return {
        requirement
        for name in NAMES
        for note in load(name)["notes"].values()
        for requirement in note["requirements"]
    }


def cited_in(text: str, families: frozenset[str]) -> set[str]:
    """Return the IDs of known families that a text cites, ranges written out."""
    found = set()
    for family, first, last_family, last in CITED.findall(text):
        if family in families and last_family in ("", family):
            numbers = range(int(first), int(last or first) + 1)
            found |= {f"{family}-{number}" for number in numbers}
    return found


@functools.cache
def cited_by_tests(families: frozenset[str]) -> set[str]:
    """Return the IDs that docstrings of tests cite."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found |= cited_in(ast.get_docstring(node) or "", families)
    return found


def test_requirements_that_vectors_cite_exist() -> None:
    assert cited_by_vectors() - defined() == set()


def test_requirements_that_tests_cite_exist() -> None:
    families = frozenset(requirement.partition("-")[0] for requirement in defined())
    assert cited_by_tests(families) - defined() == set()


def test_every_requirement_is_tested() -> None:
    families = frozenset(requirement.partition("-")[0] for requirement in defined())
    assert sorted(defined() - cited_by_vectors() - cited_by_tests(families)) == []


def test_generator_writes_these_files() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vectors.generate", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_generator_imports_nothing_of_ours() -> None:
    """Two readers of the same rules agree only if one has not read the other."""
    imported = set()
    for path in (FOLDER / "generate").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module or "")
    outside = {name.partition(".")[0] for name in imported} - set(sys.stdlib_module_names)
    assert outside == {"cryptography", "vectors"}


def test_vectors_are_not_in_the_wheel() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel == {"packages": ["nous_ledger", "sentinel"]}
