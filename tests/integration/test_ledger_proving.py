"""Proofs from kept nodes are those from nodes that were read; keeping them is bounded."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, proving
from nous_ledger.ledger.identity import read_identity
from nous_ledger.ledger.proving import HeadProver, NodeCache
from nous_ledger.protocol.checkpoint import parse_checkpoint
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.proof import prove_inclusion
from nous_ledger.protocol.record import leaf_hash
from nous_ledger.protocol.types import LeafCount, LeafIndex
from tests.integration.ledger_audit import error_code, verified
from tests.integration.ledger_drafts import Clock, make_draft

LEAVES = 100


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, list[bytes]]]:
    """A ledger, and a head over each of its leaf counts."""
    folder = tmp_path_factory.mktemp("grown") / "ledger"
    seed = random.Random(4)
    with Ledger.create(folder, next_key_out=None, clock=Clock()) as ledger:
        heads = [ledger.head()]
        while ledger.leaf_count() < LEAVES:
            ledger.append(make_draft(seed))
            heads.append(ledger.head())
        yield ledger, heads


@pytest.mark.parametrize("low", [0, 3, 20])
def test_every_path_under_every_head(
    grown: tuple[Ledger, list[bytes]], low: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_LOW", low)
    ledger, heads = grown
    cache = NodeCache()
    with ledger._store.read() as view:
        identity = read_identity(view)
        for note in heads:
            count = parse_checkpoint(parse_note(note).text).leaf_count
            prover = HeadProver(view, identity, note, cache)
            for index in range(count):
                expected = prove_inclusion(view.nodes, LeafIndex(index), count)
                assert prover.path(view, LeafIndex(index)) == expected
            for index in (-1, count, count + 1):
                assert error_code(lambda: prover.path(view, LeafIndex(index))) == "proof-index"  # noqa: B023


def test_no_more_nodes_are_kept_than_there_is_room_for(
    grown: tuple[Ledger, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proving, "_LOW", 0)
    monkeypatch.setattr(proving, "_MAX_KEPT", 20)
    ledger, heads = grown
    cache = NodeCache()
    with ledger._store.read() as view:
        prover = HeadProver(view, read_identity(view), heads[-1], cache)
        for index in range(LEAVES):
            expected = prove_inclusion(view.nodes, LeafIndex(index), LeafCount(LEAVES))
            assert prover.path(view, LeafIndex(index)) == expected
            assert len(cache._kept) <= 20 + 8


def test_bundles_verify_under_the_head_they_were_asked_for(
    grown: tuple[Ledger, list[bytes]],
) -> None:
    ledger, heads = grown
    for note in (heads[-1], heads[90], heads[-1]):
        for index in (0, 5, 90):
            report = verified(ledger, ledger.prove(index, note))
            assert report.exit_code() == 0
    assert error_code(lambda: ledger.prove(91, heads[90])) == "proof-index"


def test_a_head_of_another_log_is_refused_each_time(
    grown: tuple[Ledger, list[bytes]], tmp_path: Path
) -> None:
    ledger, heads = grown
    with Ledger.create(tmp_path / "other", next_key_out=None) as other:
        foreign = other.head()
    for _ in range(2):
        with pytest.raises(LedgerError) as caught:
            ledger.prove(0, foreign)
        assert caught.value.code == "head-origin"
        assert leaf_hash(ledger.entry(0).record)
        ledger.prove(0, heads[0])
