"""Runs the cases of a test that needs nothing else than their values as one test.

A test of its own costs pytest more than most of such cases take: each worker collects it, sets
it up, and tells of its set-up, its call and its end. `scripts/test` asks for this with
`--together`; otherwise every case is a test, which can be chosen by its name.
"""

import inspect
import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

MOST = 100
"""Cases of one test."""

_AROUND_ALL = frozenset({"network_guard", "interruptible"})
"""What stands around each test, and may as well stand around many cases."""
_APART = ("apart", "sampled", "usefixtures")
_NAMED = re.compile(r"\[(\d+)-(\d+) of \d+ cases\]$")
_FAILURES = (Exception, pytest.fail.Exception)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case of a test.

    Attributes:
        name: how it is called where it is a test of its own.
        values: its arguments.
    """

    name: str
    values: dict[str, object]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cases(*cases): the cases that one test runs; set by itself")


@pytest.hookimpl(wrapper=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> Generator[None, Any, Any]:
    """Plan few tests of many cases each, where many tests of one case are planned."""
    done = yield
    planned = metafunc._calls
    if len(planned) > 1 and _may_share(metafunc):
        planned[:] = [_shared(planned, first) for first in range(0, len(planned), MOST)]
    return done


def _may_share(metafunc: pytest.Metafunc) -> bool:
    """Whether a test takes values alone, and fixtures that outlive it anyway."""
    test = metafunc.function
    if metafunc.cls or inspect.iscoroutinefunction(test) or hasattr(test, "hypothesis"):
        return False
    if any(call.marks for call in metafunc._calls):
        return False
    if any(metafunc.definition.get_closest_marker(name) for name in _APART):
        return False
    values = metafunc._calls[0].params.keys()
    return all(_outlives(metafunc, name) for name in set(metafunc.fixturenames) - values)


def _outlives(metafunc: pytest.Metafunc, name: str) -> bool:
    if name in _AROUND_ALL:
        return True
    found = metafunc._arg2fixturedefs.get(name)
    return found is not None and found[-1].scope != "function"


def _shared(planned: Sequence[Any], first: int) -> Any:
    """Return a plan that is set up as its first case is, and holds all its cases."""
    some = planned[first : first + MOST]
    cases = [Case(name=call.id, values=call.params) for call in some]
    name = f"{first + 1}-{first + len(some)} of {len(planned)} cases"
    return replace(some[0], _idlist=[name], marks=[pytest.mark.cases(*cases).mark])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run all cases, whatever becomes of some; fail as the first that failed, and name all."""
    marker = pyfuncitem.get_closest_marker("cases")
    if marker is None:
        return None
    test = pyfuncitem.obj
    given = {name: pyfuncitem.funcargs[name] for name in inspect.signature(test).parameters}
    failed: dict[str, BaseException] = {}
    for case in marker.args:
        try:
            test(**given | case.values)
        except _FAILURES as error:
            failed[case.name] = error
        except pytest.skip.Exception:
            pytest.fail(f"case [{case.name}] is skipped, which nobody would see: mark it apart")
    if failed:
        first, *_ = failed.values()
        names = ", ".join(f"[{name}]" for name in failed)
        first.add_note(f"{len(failed)} of {len(marker.args)} cases failed: {names}")
        raise first
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many cases the tests that passed had together."""
    passed = terminalreporter.getreports("passed")
    found = [_NAMED.search(report.nodeid) for report in passed]
    more = sum(int(name[2]) - int(name[1]) for name in found if name)
    if more:
        terminalreporter.write_line(f"{len(passed) + more} cases in {len(passed)} tests passed")
