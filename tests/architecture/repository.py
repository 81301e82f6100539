"""What the tests of the repository itself share: where it is and which files belong to it."""

import ast
import functools
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
_NOT_OURS = frozenset({"node_modules", "__pycache__", ".venv", "build", "dist"})


def project_files() -> list[Path]:
    """Every file of the project: what git does not ignore, or all in an unpacked archive."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        names = [name for name in listed.decode().split("\0") if name]
        return [path for name in names if (path := ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not _NOT_OURS & set(path.relative_to(ROOT).parts)
    ]


def text_of(path: Path) -> str:
    """The file's text, or the empty string for a binary file."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def python_files(*folders: str) -> list[Path]:
    """The project's Python files below the given folders of the repository."""
    tops = [ROOT / folder for folder in folders]
    return [
        path
        for path in project_files()
        if path.suffix == ".py" and any(path.is_relative_to(top) for top in tops)
    ]


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """What stands in a Python file, read once."""
    return ast.parse(text_of(path))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a module, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
