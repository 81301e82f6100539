"""EIP-712 digests, against the encoding spelled out here word by word."""

import pytest

from nous_ledger.protocol import eip712
from nous_ledger.protocol.eip712 import binding_digest, head_digest, rotation_digest
from nous_ledger.protocol.hashing import keccak256
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LogId,
    SubjectId,
    UnixSeconds,
)
from tests.refusals import code_of
from tests.unit import small_log

LOG_ID = LogId(bytes.fromhex("f8d642a452bf6eacc11c69876a4166976bfecbd9d04fbd1223b232a5aab073fe"))
ROOT = Hash32(bytes(range(32)))
SUBJECT = SubjectId(b"\x77" * 32)
WALLET = bytes.fromhex("7e5f4552091a69125d5dfcb7b8c2659029395bdf")
SEPARATOR = bytes.fromhex("e3127a2c29f5d1a95fb1b4f1204eca75729f4c639f4c240d669d22e1902bf85c")
DOMAIN = "b03948446334eb9b2196d5eb166f69b9d49403eb4a12f36de8d3f9f3cb8e15c3"
CHECKPOINT = "1d374c954f5d8fd6dd821b87fd4d3c5a6f641a9efd2b16b95d3fd1fb8955d534"
ROTATION = "9fb8f55cf643b8c32c5ce7c2808ad34c70ddb45e7cdc897ca2db93765d3a7b76"
BINDING = "8976f61fde13cf7bca20376a9887616338076842833ba506217a216fd8a247d4"


def digest_of(type_hash: str, *members: bytes | int) -> bytes:
    """Return the digest of a structure: numbers and addresses are padded on the left."""
    words = [
        member.to_bytes(32, "big") if isinstance(member, int) else member.rjust(32, b"\0")
        for member in members
    ]
    structure = keccak256(bytes.fromhex(type_hash) + b"".join(words))
    return keccak256(b"\x19\x01" + SEPARATOR + structure)


def head(
    log_id: bytes = LOG_ID, epoch: int = 0, count: int = 7, root: bytes = ROOT, time: int = 0
) -> bytes:
    return head_digest(
        LogId(log_id), Epoch(epoch), LeafCount(count), Hash32(root), UnixSeconds(time)
    )


def rotation(log_id: bytes = LOG_ID, epoch: int = 1, next_hash: bytes = ROOT) -> bytes:
    return rotation_digest(LogId(log_id), Epoch(epoch), next_hash)


def binding(
    log_id: bytes = LOG_ID,
    subject: bytes = SUBJECT,
    wallet: bytes = WALLET,
    nonce: int = 1,
    deadline: int = 2,
) -> bytes:
    return binding_digest(LogId(log_id), SubjectId(subject), wallet, nonce, UnixSeconds(deadline))


def test_the_known_type_hashes() -> None:
    """KEY-13, KEY-14, KEY-15."""
    assert keccak256(eip712.DOMAIN_TYPE.encode()).hex() == DOMAIN
    assert eip712.DOMAIN_SEPARATOR == SEPARATOR
    assert eip712.CHECKPOINT_TYPE_HASH.hex() == CHECKPOINT
    assert eip712.ROTATION_TYPE_HASH.hex() == ROTATION
    assert eip712.BINDING_TYPE_HASH.hex() == BINDING


def test_the_known_head_digest() -> None:
    """Of the head that stands in the design (KEY-13)."""
    known = "bdf7798fd4aefc3b8f30041fd65e489f9180f8fc60d1f09e67fc1578d2f1f1bf"
    assert head(time=small_log.TIME).hex() == known


@pytest.mark.parametrize("epoch", [0, 63, 2**32 - 1])
@pytest.mark.parametrize("count", [0, 1, 2**64 - 1])
def test_heads(epoch: int, count: int) -> None:
    """KEY-13."""
    expected = digest_of(CHECKPOINT, LOG_ID, epoch, count, ROOT, 2**64 - 1)
    assert head(epoch=epoch, count=count, time=2**64 - 1) == expected


@pytest.mark.parametrize("next_hash", [ROOT, bytes(32)])
def test_rotations(next_hash: bytes) -> None:
    """The new epoch and the new next hash, zeros for a close (KEY-14)."""
    expected = digest_of(ROTATION, LOG_ID, 63, next_hash)
    assert rotation(epoch=63, next_hash=next_hash) == expected


@pytest.mark.parametrize("wallet", [WALLET, bytes(20), b"\xff" * 20])
def test_bindings(wallet: bytes) -> None:
    """KEY-15."""
    expected = digest_of(BINDING, LOG_ID, SUBJECT, wallet, 2**64 - 1, 2)
    assert binding(wallet=wallet, nonce=2**64 - 1) == expected


@pytest.mark.parametrize("bad", [b"", bytes(31), bytes(33)])
def test_a_word_has_32_bytes(bad: bytes) -> None:
    assert code_of(head, log_id=bad) == "input"
    assert code_of(head, root=bad) == "input"
    assert code_of(rotation, log_id=bad) == "input"
    assert code_of(rotation, next_hash=bad) == "input"
    assert code_of(binding, log_id=bad) == "input"
    assert code_of(binding, subject=bad) == "input"


@pytest.mark.parametrize("wallet", [b"", bytes(19), bytes(21), bytes(32)])
def test_an_address_has_20_bytes(wallet: bytes) -> None:
    assert code_of(binding, wallet=wallet) == "input"


def test_numbers_fit_their_type() -> None:
    for number in (-1, 2**32):
        assert code_of(head, epoch=number) == "input"
        assert code_of(rotation, epoch=number) == "input"
    for number in (-1, 2**64):
        assert code_of(head, count=number) == "input"
        assert code_of(head, time=number) == "input"
        assert code_of(binding, nonce=number) == "input"
        assert code_of(binding, deadline=number) == "input"
