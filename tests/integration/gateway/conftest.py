"""Fixtures of the tests that run a real gateway over a real ledger."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.cli.demo_upstream import DemoUpstream
from nous_ledger.ledger import Ledger
from tests.integration.gateway.rig import (
    Bench,
    RawUpstream,
    Rig,
    Script,
    running_gateway,
    says,
)

StartRig = Callable[..., tuple[Rig, RawUpstream]]


@pytest.fixture
def log(folder: Path) -> Iterator[Ledger]:
    """A log of one leaf that goes by the real time."""
    with Ledger.create(folder, next_key_out=None) as made:
        yield made


@pytest.fixture
def start(log: Ledger) -> Iterator[StartRig]:
    """Start a gateway before an upstream that follows a script."""
    with ExitStack() as exits:

        def start(script: Script, **limits: Any) -> tuple[Rig, RawUpstream]:
            upstream = exits.enter_context(RawUpstream(script))
            return exits.enter_context(running_gateway(log, upstream.url, **limits)), upstream

        yield start


@pytest.fixture(scope="module")
def demo_url() -> Iterator[str]:
    """The stand-in for OpenAI and Anthropic."""
    with DemoUpstream() as upstream:
        yield upstream.url


@pytest.fixture
def rig(log: Ledger, demo_url: str) -> Iterator[Rig]:
    """A gateway before the stand-in."""
    with running_gateway(log, demo_url) as running:
        yield running


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One gateway for the many calls of a module, none of which may leave it changed."""
    folder = tmp_path_factory.mktemp("bench")
    with (
        pytest.MonkeyPatch.context() as environment,
        ExitStack() as exits,
    ):
        environment.setenv("XDG_STATE_HOME", str(folder / "state"))
        log = exits.enter_context(Ledger.create(folder / "ledger", next_key_out=None))
        upstream = exits.enter_context(RawUpstream(says(b"")))
        yield Bench(exits.enter_context(running_gateway(log, upstream.url)), upstream)
