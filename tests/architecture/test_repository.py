"""The repository speaks of itself alone, and its files stay small enough to read."""

import ast
import re
import statistics
from pathlib import Path

import pytest

from tests.architecture.repository import (
    ROOT,
    functions,
    project_files,
    python_files,
    text_of,
    tree_of,
)

# Written in parts, so that this file does not contain what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w.$}*/~-])/" + r"(?:work|root|farm|(?:home|Users)/\w+)/")
REGISTRY = re.compile(
    "|".join(
        [
            "files" + r"\.pythonhosted",
            "pypi" + r"\.org/simple",
            "registry" + r"\.npmjs",
            "registry" + r"\.yarnpkg",
            "index" + "-url",
            "find" + "-links",
            r'"resolved":\s*' + '"http',
        ]
    )
)
CORE_LINES = 300
OTHER_LINES = 400
MEDIAN_FUNCTION_LINES = 12


def _hits(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in project_files()
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _hits(MACHINE_PATH) == []


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert _hits(REGISTRY) == []


@pytest.mark.parametrize("line", ["see " + "/work" + "/x", '"' + "/root" + '/.cache/"'])
def test_the_path_pattern_finds_paths(line: str) -> None:
    assert MACHINE_PATH.search(line)


def _source_lines(path: Path) -> int:
    return len(text_of(path).splitlines())


def test_files_of_the_core_stay_short() -> None:
    sizes = {path.name: _source_lines(path) for path in python_files("nous_ledger/protocol")}
    assert {name: lines for name, lines in sizes.items() if lines > CORE_LINES} == {}


def test_all_other_source_files_stay_readable() -> None:
    sizes = {
        str(path.relative_to(ROOT)): _source_lines(path)
        for path in project_files()
        if path.suffix in {".py", ".sol", ".sh"}
    }
    assert {name: lines for name, lines in sizes.items() if lines > OTHER_LINES} == {}


def _lines_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


@pytest.mark.parametrize("packages", [("nous_ledger/protocol",), ("nous_ledger", "sentinel")])
def test_the_median_function_is_short(packages: tuple[str, ...]) -> None:
    sizes = [
        _lines_without_docstring(node)
        for path in python_files(*packages)
        for node in functions(tree_of(path))
    ]
    assert statistics.median(sizes) <= MEDIAN_FUNCTION_LINES


def test_the_core_opens_and_prints_nothing() -> None:
    """Import contracts cannot see builtins that do I/O."""
    forbidden = {"__import__", "breakpoint", "input", "open", "print"}
    calls = [
        f"{path.name}:{node.lineno}: {node.func.id}"
        for path in python_files("nous_ledger/protocol")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in forbidden
    ]
    assert calls == []


def _is_of_re(called: ast.expr) -> bool:
    return (
        isinstance(called, ast.Attribute)
        and isinstance(called.value, ast.Name)
        and called.value.id == "re"
    )


def _patterns(path: Path) -> list[str]:
    """The regular expressions that stand in a file."""
    calls = [node for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call)]
    first = [call.args[0] for call in calls if call.args and _is_of_re(call.func)]
    values = [node.value for node in first if isinstance(node, ast.Constant)]
    return [v.decode("latin-1") if isinstance(v, bytes) else str(v) for v in values]


def test_no_pattern_is_possessive() -> None:
    """Python 3.11.0 to 3.11.3 read some possessive quantifiers as if they were not there."""
    possessive = re.compile(r"(?<!\\)[*+?}]\+|\(\?>")
    patterns = [
        pattern for path in python_files("nous_ledger", "sentinel") for pattern in _patterns(path)
    ]
    assert len(patterns) > 20
    assert [pattern for pattern in patterns if possessive.search(pattern)] == []
