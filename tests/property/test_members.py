"""A member is found in one step exactly where a walk through the object finds it."""

import json
import random

import pytest

from nous_ledger.reconcile.jsontext import Located, parse_json

KEYS = ["usage", "us\\u0061ge", "usag", "a"]
VALUES = [
    '"usage"',
    '"x \\"usage\\" y"',
    "1",
    "null",
    "{}",
    '{"usage":1}',
    '["usage"]',
    '"\\u0075"',
]


def _object(random_: random.Random, depth: int = 0) -> str:
    members = []
    for _ in range(random_.randrange(5)):
        value = random_.choice(VALUES)
        if depth < 2 and random_.random() < 0.3:
            value = _object(random_, depth + 1)
        space = random_.choice(["", " ", "\n\t"])
        members.append(f'{space}"{random_.choice(KEYS)}"{space}:{space}{value}{space}')
    return "{" + ",".join(members) + "}"


def test_a_member_is_found_where_a_walk_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    quick = 0
    for seed in range(3_000):
        text = _object(random.Random(seed))
        located = parse_json(text.encode())
        quick += located._only_place("usage") is not None
        with monkeypatch.context() as patched:
            found = located.member("usage")
            patched.setattr(Located, "_only_place", lambda *_: None)
            assert found == located.member("usage"), text
        if found is not None:
            assert json.loads(found.wire) == json.loads(text)["usage"]
    assert quick > 100
