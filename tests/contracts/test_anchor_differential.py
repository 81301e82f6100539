"""The anchor contract and the Python core give one verdict on random and mutated calls."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nous_ledger.protocol.signing import CURVE_ORDER
from tests.contracts.anchor_model import judge_anchor, judge_fork, judge_rotation, refused_with
from tests.contracts.anchoring import (
    FOREIGNER,
    KEYS,
    LOG,
    NO_KEY,
    NOW,
    Head,
    Stored,
    commitment,
    rotation,
    sign_head,
)
from tests.contracts.evm import Call, Contract, Outcome, Reverted
from tests.contracts.naive_tree import Tree
from tests.contracts.test_proofs import mutate_number, mutate_path, random_tree

Args = tuple[Any, ...]
CASES = 1_010
CASES_FULL = 20_000


def random_log(draw: random.Random) -> tuple[Tree, Stored, int, int]:
    """Return a tree, a log with a head of it anchored or none, and two counts n <= m."""
    tree, n, m = random_tree(draw)
    epoch = draw.choice([0, 0, 1, 2, 62, 63])
    stored = Stored(epoch=epoch, next_hash=commitment(min(epoch + 1, 64)))
    if draw.random() < 0.9:
        signer = draw.randrange(epoch + 1)
        time = NOW - draw.choice([0, 1, 86_400])
        stored = stored.after((LOG, signer, n, tree.root(0, n), time))
    else:
        n = 0
    if draw.random() < 0.04:
        stored = replace(stored, closed=True, next_hash=NO_KEY)
    return tree, stored, n, m


def mutate_head(draw: random.Random, head: Head, stored: Stored) -> Head:
    """Change one member of a head, before it is signed."""
    log, epoch, size, root, time = head
    changed: list[Head] = [
        (draw.choice([draw.randbytes(32), bytes(32)]), epoch, size, root, time),
        (log, draw.choice([epoch + 1, max(0, epoch - 1), 64]), size, root, time),
        (log, epoch, mutate_number(draw, size), root, time),
        (log, epoch, draw.choice([stored.size, 2**53, 0]), root, time),
        (log, epoch, size, draw.choice([bytes(32), stored.root, draw.randbytes(32)]), time),
        (log, epoch, size, root, draw.choice([NOW + 300, NOW + 301, 2**53, 2**64 - 1])),
        (log, epoch, size, root, max(0, stored.timestamp - draw.choice([0, 1, 1_000]))),
    ]
    return draw.choice(changed)


def mutate_signature(draw: random.Random, r: bytes, s: bytes, v: int) -> tuple[bytes, bytes, int]:
    """Change a signature after it was made; its second form is among the ways."""
    mirrored = (CURVE_ORDER - int.from_bytes(s, "big")) % 2**256
    flipped = int.from_bytes(r, "big") ^ 1 << draw.randrange(256)
    above = CURVE_ORDER + draw.randrange(4)
    return draw.choice(
        [
            (r, mirrored.to_bytes(32, "big"), 1 - v),
            (r, s, draw.choice([1 - v, 27 + v, 2, 255])),
            (flipped.to_bytes(32, "big"), s, v),
            (above.to_bytes(32, "big"), s, v),
            (r, bytes(32), v),
            (s, r, v),
        ]
    )


def signed(draw: random.Random, head: Head) -> Args:
    """Sign a head, now and then by a key that is not its epoch's, now and then badly."""
    own = KEYS[min(head[1], len(KEYS) - 1)]
    key = draw.choice([FOREIGNER, KEYS[max(0, head[1] - 1) % 64]]) if draw.random() < 0.06 else own
    if head[2] >= 2**53 or head[4] >= 2**53:
        # The core makes no digest of such a head; whoever sends one has no signature of it.
        return head, draw.randbytes(32), b"\x11" * 32, 0
    _, r, s, v = sign_head(head, key)
    return head, *(mutate_signature(draw, r, s, v) if draw.random() < 0.08 else (r, s, v))


def random_anchor(draw: random.Random) -> tuple[Stored, Args]:
    tree, stored, n, m = random_log(draw)
    head: Head = (LOG, stored.epoch, m, tree.root(0, m), max(stored.timestamp, NOW - 1))
    path = tree.consistency(n, m) if n else ()
    if draw.random() < 0.3:
        head = mutate_head(draw, head, stored)
    if draw.random() < 0.15:
        path = mutate_path(draw, path, (head[3], stored.root))
    return stored, (*signed(draw, head), path)


def random_fork(draw: random.Random) -> tuple[Stored, Args]:
    tree, stored, _, m = random_log(draw)
    n = draw.randrange(1, m + 1)
    prefix, path = tree.root(0, n), tree.consistency(n, m)
    told = draw.choice([draw.randbytes(32), draw.randbytes(32), prefix])
    epochs = [draw.randrange(stored.epoch + 1) for _ in range(2)]
    smaller: Head = (LOG, epochs[0], n, told, NOW)
    larger: Head = (LOG, epochs[1], m, tree.root(0, m), NOW - 5)
    if draw.random() < 0.15:
        smaller = mutate_head(draw, smaller, stored)
    if draw.random() < 0.15:
        larger = mutate_head(draw, larger, stored)
    if draw.random() < 0.15:
        path = mutate_path(draw, path, (told, prefix))
    if draw.random() < 0.1:
        prefix = draw.choice([told, larger[3], draw.randbytes(32)])
    return stored, (signed(draw, smaller), signed(draw, larger), prefix, path)


def random_rotation(draw: random.Random) -> tuple[Stored, Args]:
    _, stored, _, _ = random_log(draw)
    epoch = stored.epoch + draw.choice([1, 1, 1, 1, 1, 1, 0, 2])
    if draw.random() < 0.05:
        stored = replace(stored, next_hash=NO_KEY)
    signer = KEYS[min(epoch, 64)] if draw.random() < 0.85 else draw.choice([*KEYS[:3], FOREIGNER])
    revealed = KEYS[min(epoch, 64)].public_key
    if draw.random() < 0.15:
        x = revealed[1:]
        revealed = draw.choice(
            [KEYS[0].public_key, b"", revealed + b"\0", b"\x04" + x, b"\x02" * 33]
        )
    next_hash = draw.choice([NO_KEY, draw.randbytes(32)])
    *fields, r, s, v = rotation(epoch, next_hash, key=signer, reveal=revealed or b"\x02")
    if not revealed:
        fields[2] = b""
    if draw.random() < 0.1:
        r, s, v = mutate_signature(draw, r, s, v)
    if draw.random() < 0.04:
        fields[0] = draw.randbytes(32)
    return stored, (*fields, r, s, v)


def name_of(outcome: Outcome) -> str:
    """Return the name of the error, "" for an accepted call."""
    return outcome.error or "no error of ours" if isinstance(outcome, Reverted) else ""


def judge_heads_call(stored: Stored, *args: Any) -> None:
    judge_anchor(stored, args[:4], args[4])


def judge_rotations_call(stored: Stored, *args: Any) -> None:
    judge_rotation(stored, args[0], args[1], args[2], args[3:])


# How each function is judged, how its calls are made, and which part of them is accepted at least.
FUNCTIONS: dict[str, tuple[Callable[..., None], Callable[..., tuple[Stored, Args]], float]] = {
    "anchor": (judge_heads_call, random_anchor, 0.3),
    "reportFork": (judge_fork, random_fork, 0.2),
    "rotate": (judge_rotations_call, random_rotation, 0.2),
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_verdict_everywhere(anchor: Contract, full: bool, function: str) -> None:
    judge, make, fewest_accepted = FUNCTIONS[function]
    draw = random.Random(function)
    cases = [make(draw) for _ in range(CASES_FULL if full else CASES)]
    expected = [refused_with(judge, stored, *args) for stored, args in cases]
    outcomes = anchor.run(
        [Call(function, args) for _, args in cases], [stored.state() for stored, _ in cases]
    )
    disagreements = [
        (case, name, outcome)
        for case, name, outcome in zip(cases, expected, outcomes, strict=True)
        if name != name_of(outcome)
    ]
    assert not disagreements, (len(disagreements), disagreements[0])
    verdicts = Counter(expected)
    assert verdicts[""] > fewest_accepted * len(cases), verdicts
    assert len(verdicts) >= 10, verdicts
