"""The anchor contract's rules in Python, from the protocol's core: what a verdict must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nous_ledger.protocol import eip712
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.hashing import next_key_hash
from nous_ledger.protocol.proof import verify_consistency
from nous_ledger.protocol.signing import is_curve_point, verify_signature
from nous_ledger.protocol.types import MAX_UINT, Epoch, Hash32, LeafCount
from tests.contracts.anchoring import KEYS, LOG, NO_KEY, NOW, Head, Stored, digest_of
from tests.contracts.expected import ERRORS
from tests.contracts.naive_tree import Path

Signed = tuple[Head, bytes, bytes, int]
Rotation = tuple[bytes, bytes, bytes, int]
LAST_EPOCH = 63
CLOCK_TOLERANCE = 300


class RefusedError(Exception):
    """The contract must refuse with the error of this name."""


def refused_with(judge: Callable[..., None], *args: Any) -> str:
    """Return the name of the error with which a call must be refused, "" if it is accepted."""
    try:
        judge(*args)
    except RefusedError as refused:
        return str(refused)
    except LedgerError as error:
        return ERRORS[error.code]
    return ""


def _require(condition: object, error: str) -> None:
    if not condition:
        raise RefusedError(error)


def judge_anchor(stored: Stored, signed: Signed, path: Path, now: int = NOW) -> None:
    """Judge a head for the log, in the order of ANCH-3 to ANCH-6."""
    log, epoch, size, root, timestamp = signed[0]
    _require(log == LOG, "LogUnknown")
    _require(not stored.closed, "LogClosed")
    _require(epoch == stored.epoch, "EpochNotCurrent")
    _require(size > stored.size, "SizeNotGrown")
    _require(timestamp >= stored.timestamp, "TimeRegressed")
    _require(timestamp <= now + CLOCK_TOLERANCE, "TimeInFuture")
    _require(root != bytes(32), "RootZero")
    judge_signed(stored, signed)
    if stored.size == 0:
        _require(not path, "ProofLengthWrong")
        return
    _consistent(stored.size, stored.root, size, root, path)


def judge_signed(stored: Stored, signed: Signed) -> None:
    """Judge the signature of a head by the signer of its epoch."""
    head, r, s, v = signed
    _, epoch, size, _, timestamp = head
    _require(epoch <= stored.epoch, "EpochUnknown")
    _require(size <= MAX_UINT and timestamp <= MAX_UINT, "HeadFieldOutOfRange")
    verify_signature(digest_of(head), r + s + bytes([v]), KEYS[epoch].public_key)


def judge_fork(
    stored: Stored, smaller: Signed, larger: Signed, prefix_root: bytes, path: Path
) -> None:
    """Judge a report of a fork, in the order of ANCH-10."""
    _require(smaller[0][0] == larger[0][0], "LogsDiffer")
    _require(smaller[0][0] == LOG, "LogUnknown")
    judge_signed(stored, smaller)
    judge_signed(stored, larger)
    _consistent(smaller[0][2], prefix_root, larger[0][2], larger[0][3], path)
    _require(prefix_root != smaller[0][3], "HeadsAgree")


def judge_rotation(stored: Stored, log: bytes, epoch: int, key: bytes, signed: Rotation) -> None:
    """Judge a rotation, in the order of ANCH-8."""
    next_hash, r, s, v = signed
    _require(log == LOG, "LogUnknown")
    _require(not stored.closed, "LogClosed")
    _require(stored.next_hash != NO_KEY, "LogCannotRotate")
    _require(epoch == stored.epoch + 1, "EpochNotNext")
    _require(epoch <= LAST_EPOCH, "EpochTooLarge")
    _require(len(key) == 33, "KeyInvalid")
    _require(next_key_hash(key) == stored.next_hash, "KeyNotCommitted")
    _require(is_curve_point(key), "KeyInvalid")
    digest = eip712.rotation_digest(LOG, Epoch(epoch), next_hash)
    verify_signature(digest, r + s + bytes([v]), key)


def _consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: Path) -> None:
    verify_consistency(
        LeafCount(old),
        Hash32(old_root),
        LeafCount(new),
        Hash32(new_root),
        tuple(map(Hash32, path)),
    )
