"""What the anchor contract refuses, by name and with arguments: Python-signed heads on a chain.

ANCH-2 to ANCH-6, ANCH-8, ANCH-11.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from nous_ledger.protocol.hashing import compute_log_id
from nous_ledger.protocol.record import sign_record
from nous_ledger.protocol.signing import CURVE_ORDER, address_of
from nous_ledger.protocol.types import Epoch, Hash32, LeafIndex, UnixMillis
from tests.contracts.abi import AbiValue
from tests.contracts.anchoring import (
    ED25519,
    FOREIGNER,
    KEYS,
    LOG,
    NOW,
    ORIGIN,
    REGISTRATION,
    Head,
    SignedHead,
    Stored,
    commitment,
    rotation,
    sign_head,
)
from tests.contracts.evm import Call, Contract, JsonRpc, Outcome, Returned, Reverted
from tests.contracts.naive_tree import Path, Tree, leaf_hash
from tests.contracts.test_anchor_growth import head_over, path_to, stored_at
from tests.contracts.test_proofs import DISTINCT

OLD, NEW = 5, 9
FORKED = Tree({index: leaf_hash(b"other %d" % index) for index in range(16)})
SIGNERS = [address_of(key.public_key) for key in KEYS]
Refusal = tuple[str, tuple[AbiValue, ...]]


def call(
    contract: Contract, function: str, *args: AbiValue, stored: Stored, time: int = NOW
) -> Outcome:
    return contract.run([Call(function, args)], [stored.state(time)])[0]


def anchor_over(
    contract: Contract, signed: SignedHead, path: Path, stored: Stored | None = None
) -> Outcome:
    held = stored_at(DISTINCT, OLD) if stored is None else stored
    return call(contract, "anchor", *signed, path, stored=held)


def high_s(signed: SignedHead) -> SignedHead:
    head, r, s, v = signed
    return head, r, (CURVE_ORDER - int.from_bytes(s, "big")).to_bytes(32, "big"), 1 - v


def with_time(time: int) -> SignedHead:
    return sign_head(head_over(DISTINCT, NEW, time=time))


def refusals() -> Iterator[tuple[str, SignedHead, Path, Refusal]]:
    """Yield heads for a log that stands at OLD leaves of DISTINCT, each wrong in one way."""
    path = path_to(DISTINCT, OLD, NEW)
    good = sign_head(head_over(DISTINCT, NEW))
    old_root = DISTINCT.root(0, OLD)
    mirrored = high_s(good)
    fork = sign_head(head_over(FORKED, NEW))
    forked_path = path_to(FORKED, OLD, NEW)
    mismatch = ("ProofRootMismatch", (old_root, FORKED.root(0, OLD)))
    yield "a fork with its own proof", fork, forked_path, mismatch
    crossed = ("ProofRootMismatch", (FORKED.root(0, NEW), DISTINCT.root(0, NEW)))
    yield "a fork with the log's proof", fork, path, crossed
    small = sign_head(head_over(DISTINCT, 3, time=NOW + 1))
    yield "a rollback", small, path_to(DISTINCT, 3, OLD), ("SizeNotGrown", (3, OLD))
    yield "a replay", sign_head(head_over(DISTINCT, OLD)), (), ("SizeNotGrown", (OLD, OLD))
    beat = sign_head(head_over(DISTINCT, OLD, time=NOW + 60))
    yield "a heartbeat", beat, (), ("SizeNotGrown", (OLD, OLD))
    foreign = sign_head(head_over(DISTINCT, NEW), FOREIGNER)
    recovered = (SIGNERS[0], address_of(FOREIGNER.public_key))
    yield "a foreign signer", foreign, path, ("SignatureMismatch", recovered)
    coming = sign_head(head_over(DISTINCT, NEW, epoch=1))
    yield "an epoch to come", coming, path, ("EpochNotCurrent", (1, 0))
    yield "a time going back", with_time(NOW - 1), path, ("TimeRegressed", (NOW - 1, NOW))
    ahead = ("TimeInFuture", (NOW + 301, NOW + 300))
    yield "a time in the future", with_time(NOW + 301), path, ahead
    yield "a high s", mirrored, path, ("SignatureHighS", (mirrored[2],))
    yield "v of 27", (*good[:3], 27 + good[3]), path, ("SignatureBadRecoveryId", (27 + good[3],))
    yield "no proof", good, (), ("ProofLengthWrong", (len(path), 0))
    yield "a short proof", good, path[:-1], ("ProofLengthWrong", (len(path), len(path) - 1))
    longer = ("ProofLengthWrong", (len(path), len(path) + 1))
    yield "a long proof", good, (*path, path[-1]), longer
    nothing: Head = (LOG, 0, NEW, bytes(32), NOW)
    yield "a root of zeros", sign_head(nothing), path, ("RootZero", ())
    other = b"\x01" * 32
    elsewhere = sign_head((other, 0, NEW, DISTINCT.root(0, NEW), NOW))
    yield "an unknown log", elsewhere, path, ("LogUnknown", (other,))


@pytest.mark.parametrize(
    ("signed", "path", "refusal"), [pytest.param(*case[1:], id=case[0]) for case in refusals()]
)
def test_heads_refused(anchor: Contract, signed: SignedHead, path: Path, refusal: Refusal) -> None:
    assert anchor_over(anchor, signed, path) == Reverted(*refusal)


def test_the_head_of_these_cases_is_else_accepted(anchor: Contract) -> None:
    path = path_to(DISTINCT, OLD, NEW)
    for time in (NOW, NOW + 300):
        assert anchor_over(anchor, with_time(time), path) == Returned()


def test_an_old_epoch_and_its_signer_are_refused_after_a_rotation(anchor: Contract) -> None:
    stored, path = stored_at(DISTINCT, OLD).rotated(), path_to(DISTINCT, OLD, NEW)
    old = sign_head(head_over(DISTINCT, NEW))
    assert anchor_over(anchor, old, path, stored) == Reverted("EpochNotCurrent", (0, 1))
    relabelled = sign_head(head_over(DISTINCT, NEW, epoch=1), KEYS[0])
    refused = Reverted("SignatureMismatch", (SIGNERS[1], SIGNERS[0]))
    assert anchor_over(anchor, relabelled, path, stored) == refused
    new = sign_head(head_over(DISTINCT, NEW, epoch=1))
    assert anchor_over(anchor, new, path, stored) == Returned()


def test_only_the_key_that_was_committed_to_rotates(anchor: Contract) -> None:
    stored, following = stored_at(DISTINCT, OLD), commitment(2)
    by_old_key = rotation(1, following, key=KEYS[0])
    refused = Reverted("SignatureMismatch", (SIGNERS[1], SIGNERS[0]))
    assert call(anchor, "rotate", *by_old_key, stored=stored) == refused
    old_key_revealed = rotation(1, following, key=KEYS[0], reveal=KEYS[0].public_key)
    refused = Reverted("KeyNotCommitted", (commitment(1), commitment(0)))
    assert call(anchor, "rotate", *old_key_revealed, stored=stored) == refused
    good = rotation(1, following)
    assert call(anchor, "rotate", *good, stored=stored) == Returned()
    refused = Reverted("EpochNotNext", (1, 2))
    assert call(anchor, "rotate", *good, stored=stored.rotated()) == refused
    last = replace(stored, epoch=63, next_hash=commitment(64))
    outcome = call(anchor, "rotate", *rotation(64, following), stored=last)
    assert outcome == Reverted("EpochTooLarge", (64,))


def test_after_a_close_nothing_grows_and_nothing_rotates(anchor: Contract) -> None:
    closed = stored_at(DISTINCT, OLD).rotated(bytes(32))
    refused = Reverted("LogClosed", (LOG,))
    head = sign_head(head_over(DISTINCT, NEW, epoch=1))
    assert anchor_over(anchor, head, path_to(DISTINCT, OLD, NEW), closed) == refused
    assert call(anchor, "rotate", *rotation(2, commitment(3)), stored=closed) == refused


def test_a_log_is_registered_once_and_with_its_own_values_only(anchor: Contract) -> None:
    again = call(anchor, "register", *REGISTRATION, stored=Stored())
    assert again == Reverted("LogAlreadyRegistered", (LOG,))
    key, next_hash = KEYS[0].public_key, commitment(1)
    for values in (
        (ORIGIN + "2", key, ED25519, next_hash),
        (ORIGIN, KEYS[1].public_key, ED25519, next_hash),
        (ORIGIN, key, bytes(32), next_hash),
        (ORIGIN, key, ED25519, bytes(32)),
    ):
        other = compute_log_id(*values)
        assert other != LOG
        encoded = (values[0].encode(), *values[1:])
        assert call(anchor, "register", *encoded, stored=Stored()) == Returned((other,))


def test_a_head_that_another_relayer_sent_first_needs_a_new_proof(
    new_anchor: Contract, block_time: int
) -> None:
    new_anchor.send("register", *REGISTRATION)
    mine = sign_head(head_over(DISTINCT, NEW, time=block_time))
    theirs = sign_head(head_over(DISTINCT, OLD, time=block_time))
    assert new_anchor.call("anchor", *mine, ()) == Returned()
    new_anchor.send("anchor", *theirs, ())
    length = len(path_to(DISTINCT, OLD, NEW))
    assert new_anchor.call("anchor", *mine, ()) == Reverted("ProofLengthWrong", (length, 0))
    new_anchor.send("anchor", *mine, path_to(DISTINCT, OLD, NEW))
    assert new_anchor.call("anchor", *mine, ()) == Reverted("SizeNotGrown", (NEW, NEW))


def test_records_are_verified_by_the_signer_of_their_epoch(anchor: Contract) -> None:
    stored = stored_at(DISTINCT, OLD).rotated()

    def record(epoch: int, signer: int) -> bytes:
        return sign_record(
            KEYS[signer],
            LOG,
            type=1,
            epoch=Epoch(epoch),
            index=LeafIndex(3),
            logged_at=UnixMillis(NOW * 1_000),
            body_hash=Hash32(bytes(32)),
        )

    for epoch in (0, 1):
        data = record(epoch, epoch)
        expected = (1, epoch, 3, NOW * 1_000, bytes(32), leaf_hash(data))
        assert call(anchor, "verifyRecord", LOG, data, stored=stored) == Returned(expected)
    refused = Reverted("SignatureMismatch", (SIGNERS[1], SIGNERS[0]))
    assert call(anchor, "verifyRecord", LOG, record(1, 0), stored=stored) == refused
    refused = Reverted("EpochUnknown", (LOG, 2))
    assert call(anchor, "verifyRecord", LOG, record(2, 2), stored=stored) == refused
    refused = Reverted("RecordLengthWrong", (119,))
    assert call(anchor, "verifyRecord", LOG, record(1, 1)[:-1], stored=stored) == refused


def test_views_speak_of_the_anchored_head_only(anchor: Contract) -> None:
    stored, path = stored_at(DISTINCT, NEW), DISTINCT.inclusion(3, 0, NEW)
    leaf = DISTINCT.leaf(3)
    assert call(anchor, "verifyInclusion", LOG, leaf, 3, path, stored=stored) == Returned()
    outcome = call(anchor, "verifyInclusion", LOG, leaf, 2, path, stored=stored)
    assert isinstance(outcome, Reverted)
    assert outcome.error == "ProofRootMismatch"
    outcome = call(anchor, "verifyInclusion", LOG, leaf, NEW, path, stored=stored)
    assert outcome == Reverted("ProofIndexOutOfRange", (NEW, NEW))
    prefix = (LOG, OLD, DISTINCT.root(0, OLD), DISTINCT.consistency(OLD, NEW))
    assert call(anchor, "verifyConsistency", *prefix, stored=stored) == Returned()
    longer = (LOG, NEW + 1, DISTINCT.root(0, NEW + 1), ())
    outcome = call(anchor, "verifyConsistency", *longer, stored=stored)
    assert outcome == Reverted("ProofCountsInvalid", (NEW + 1, NEW))


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("head", ()),
        ("keys", ()),
        ("signerOf", (0,)),
        ("verifyInclusion", (bytes(32), 0, ())),
        ("verifyConsistency", (1, bytes(32), ())),
        ("verifyRecord", (b"",)),
        ("rotate", (1, b"", bytes(32), bytes(32), bytes(32), 0)),
    ],
)
def test_of_a_log_that_is_not_registered_nothing_is_said(
    anchor: Contract, function: str, arguments: tuple[AbiValue, ...]
) -> None:
    unknown = b"\x77" * 32
    assert anchor.call(function, unknown, *arguments) == Reverted("LogUnknown", (unknown,))


def test_no_function_takes_money(anvil: JsonRpc, anchor: Contract) -> None:
    sender = anvil("eth_accounts")[0]
    free = {"from": sender, "to": anchor.address}
    free["data"] = anchor.data(Call("digest", (head_over(DISTINCT, NEW),)))
    paid, bare = free | {"value": "0x1"}, free | {"value": "0x1", "data": "0x"}
    answers = anvil.batch("eth_call", [[one, "latest"] for one in (free, paid, bare)])
    assert ["error" in answer for answer in answers] == [False, True, True]
