"""A checkout is developed with exact versions, down to what its tools pull in."""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import nous_ledger
from tests.architecture.repository import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
EXACT = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+")


def _constraints() -> list[str]:
    lines = (ROOT / "scripts/constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def _pins() -> dict[str, str]:
    direct = [line for extra in ("dev", "demo") for line in EXTRAS[extra] if "==" in line]
    names = [line.partition("==") for line in [*direct, *_constraints()]]
    pins = {str(canonicalize_name(name)): pinned for name, _, pinned in names}
    assert len(pins) == len(names), "a package is pinned in two places"
    return pins


def _requirements(name: str, extras: set[str]) -> Iterator[Requirement]:
    for line in distribution(name).requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""}):
            yield requirement


def _installed_closure(name: str, extras: set[str]) -> frozenset[str]:
    """Names of the distributions that installing `name[extras]` brings in."""
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [(name, frozenset(extras))]
    while todo:
        item = todo.pop()
        if item not in seen:
            seen.add(item)
            todo += [
                (canonicalize_name(requirement.name), frozenset(requirement.extras))
                for requirement in _requirements(item[0], set(item[1]))
            ]
    return frozenset(found for found, _ in seen)


@pytest.mark.parametrize("extra", ["demo", "dev"])
def test_development_versions_are_exact(extra: str) -> None:
    loose = [line for line in EXTRAS[extra] if not EXACT.fullmatch(line)]
    # One entry names another extra of this project.
    assert len(loose) == 1
    assert loose[0].startswith("nous-ledger[")


def test_what_the_tools_pull_in_is_exact() -> None:
    assert [line for line in _constraints() if not EXACT.fullmatch(line)] == []


def test_users_get_ranges_with_an_upper_bound() -> None:
    for line in [*PYPROJECT["project"]["dependencies"], *EXTRAS["gateway"]]:
        operators = {specifier.operator for specifier in Requirement(line).specifier}
        assert operators == {">=", "<"}, line


def test_every_installed_dependency_is_pinned() -> None:
    closure = _installed_closure("nous-ledger", {"dev"}) - {"nous-ledger"}
    pins = _pins()
    assert {name for name in closure if name not in pins} == set()


def test_installed_versions_are_the_pinned_ones() -> None:
    differing = {}
    for name, pinned in _pins().items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # A dependency of another Python version or platform.
        if installed != pinned:
            differing[name] = installed
    assert differing == {}


def test_the_installed_metadata_carries_the_version() -> None:
    assert version("nous-ledger") == nous_ledger.__version__
