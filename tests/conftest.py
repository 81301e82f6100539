"""Rules of every test run: no network but loopback, long runs only when asked for."""

import gc
import ipaddress
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import coverage
import pytest
from hypothesis import HealthCheck, settings

from tests import together

FUZZ_INPUTS = 10_000
FUZZ_INPUTS_FULL = 100_000

# The example database and per-example deadlines make a verdict depend on earlier runs and on what
# else the machine is doing.
_QUIET = [HealthCheck.too_slow]
settings.register_profile(
    "default", database=None, deadline=None, max_examples=30, suppress_health_check=_QUIET
)
settings.register_profile(
    "full", database=None, deadline=None, max_examples=2_000, suppress_health_check=_QUIET
)


def pytest_collection_finish() -> None:
    """Look for garbage in what the tests make, not in the modules and tests that stay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let a worker tell of a test only what is shown: how it ended, and whatever went wrong.

    Five messages a test, most of which nobody reads, take more time than most tests.
    """
    asked = session.config.option
    if asked.durations or asked.xmlpath:
        return
    for worker in session.config.pluginmanager.get_plugins():
        if type(worker).__name__ == "WorkerInteractor":
            worker.sendevent = partial(_tell, worker.sendevent)


def _tell(send: Callable[..., None], name: str, **event: Any) -> None:
    if name in {"logstart", "logfinish"}:
        return
    data = event.get("data", {})
    if name == "testreport" and data["outcome"] == "passed" and data["when"] != "call":
        return
    send(name, **event)


# Every client makes a TLS context, and to load the authorities of this machine takes it 40 ms;
# none of them vouches for anything on loopback. Who sets this variable wants it so.
NO_AUTHORITY = str(Path(__file__).parent / "data" / "no_authority.pem")
os.environ.setdefault("SSL_CERT_FILE", NO_AUTHORITY)

_CONNECTING_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOCAL_NAMES = frozenset({"", "localhost", "127.0.0.1", "::1"})
_refused: list[str] = []


class NetworkRefusedError(RuntimeError):
    """A test tried to reach something other than this machine."""


def _is_local(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if name is None or name in _LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        return False
    # Binding and looking up the wildcard address stays on this machine too.
    return address.is_loopback or address.is_unspecified


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse what would leave this machine; audit hooks also see calls made from C code.

    uvloop connects without telling them: tests start servers on the loop of the standard library.
    """
    if event in _CONNECTING_EVENTS:
        address = arguments[1]
        # AF_UNIX addresses are str or bytes, AF_NETLINK ones a pair of integers.
        if not isinstance(address, tuple) or not isinstance(address[0], str):
            return
        host: object = address[0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_local(host):
        # The code under test may swallow the error; network_guard still fails the test.
        _refused.append(f"{event} {host!r}")
        message = f"tests reach this machine only: {event} {host!r}"
        raise NetworkRefusedError(message)


sys.addaudithook(_guard)


@pytest.fixture
def refused_connections() -> list[str]:
    """Attempts to leave this machine so far in this test; emptying it forgives them."""
    return _refused


@pytest.fixture(autouse=True)
def network_guard() -> Iterator[None]:
    """Fail a test that tried to reach anything but this machine, even if nobody noticed."""
    _refused.clear()
    yield
    attempts, _refused[:] = list(_refused), []
    assert not attempts, f"tests reach this machine only: {attempts}"


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes without the measuring of coverage.

    For those that time themselves, look at what is loaded, or may not write where coverage would.
    """
    for name in [name for name in os.environ if "COVERAGE" in name]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """Let the programs that a test starts be interrupted.

    A shell without job control lets its background jobs ignore SIGINT, and so do all
    processes that these start; `nohup` does so with SIGHUP. A signal that is handled here
    starts with its default there.
    """
    before = {
        number: signal.signal(number, signal.default_int_handler)
        for number in (signal.SIGINT, signal.SIGHUP)
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--full", action="store_true", help="run every property and fuzz test at its full count"
    )
    parser.addoption(
        "--together", action="store_true", help="run short cases of one test as one test"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the cases of a test marked `sampled(n)` leave every n-th, unless all are asked for."""
    if config.getoption("--full"):
        return
    seen: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        if marker := item.get_closest_marker("sampled"):
            test = item.nodeid.partition("[")[0]
            (left_out if seen[test] % marker.args[0] else kept).append(item)
            seen[test] += 1
        else:
            kept.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Pause the measuring of coverage during tests marked `untraced`."""
    measuring = coverage.Coverage.current() if item.get_closest_marker("untraced") else None
    if measuring is not None:
        measuring.stop()
    try:
        return (yield)
    finally:
        if measuring is not None:
            measuring.start()


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("full" if config.getoption("--full") else "default")
    if config.getoption("--together"):
        config.pluginmanager.register(together)


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    """Whether this is a long run (`scripts/test --full`)."""
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def fuzz_inputs(full: bool) -> int:
    """How many random inputs a fuzz test feeds to each decoder or parser."""
    return FUZZ_INPUTS_FULL if full else FUZZ_INPUTS
