"""Fixtures of the tests that need a real ledger on disk."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.ledger_keys import Keys


@pytest.fixture(autouse=True)
def key_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of keys in use, which must not be that of whoever runs the tests."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "nous-ledger" / "keys.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def seed() -> random.Random:
    return random.Random(2)


@pytest.fixture
def ledger(folder: Path, clock: Clock) -> Iterator[Ledger]:
    """A log of one leaf, open for writing."""
    with Ledger.create(folder, next_key_out=None, origin=ORIGIN, clock=clock) as made:
        yield made


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Places for next keys."""
    return Keys(tmp_path / "offline")


@pytest.fixture
def rotating(folder: Path, keys: Keys, clock: Clock) -> Iterator[Ledger]:
    """A log of three leaves that can rotate."""
    seed = random.Random(5)
    with Ledger.create(folder, next_key_out=keys[0], origin=ORIGIN, clock=clock) as made:
        made.append_many([make_draft(seed), make_draft(seed)])
        made.head()
        yield made
