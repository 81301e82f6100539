"""Newer heads, lagging caches, rollbacks and forks are told apart."""

from hashlib import sha256

import pytest

from nous_ledger.protocol.checkpoint import Checkpoint
from nous_ledger.protocol.errors import HeadError, UnavailableError
from nous_ledger.protocol.head import SignedHead
from nous_ledger.protocol.head_compare import HeadChange, compare_heads, verify_merge_delay
from nous_ledger.protocol.record import decode_record
from nous_ledger.protocol.types import Epoch, Hash32, LeafCount, UnixSeconds
from tests.refusals import code_of, refusal
from tests.unit import small_log


def root_at(count: int) -> Hash32:
    return Hash32(sha256(count.to_bytes(8, "big")).digest())


def head(count: int, timestamp: int, root: Hash32 | None = None) -> SignedHead:
    checkpoint = Checkpoint(
        origin="log.example", leaf_count=LeafCount(count), root=root or root_at(count)
    )
    return SignedHead(checkpoint=checkpoint, epoch=Epoch(0), timestamp=UnixSeconds(timestamp))


TRUSTED = head(10, 1_000)


@pytest.mark.parametrize("timestamp", [1_000, 1_001])
def test_a_larger_head_is_news(timestamp: int) -> None:
    other = Hash32(bytes(32))  # its root must be shown to be consistent: not our concern
    assert compare_heads(TRUSTED, head(11, timestamp, other), root_at) == HeadChange.GREW


def test_a_larger_head_is_not_older() -> None:
    """A log's times never decrease (HEAD-12)."""
    assert code_of(compare_heads, TRUSTED, head(11, 999), root_at) == "head-time"


@pytest.mark.parametrize("timestamp", [999, 1_000, 2_000])
def test_the_same_tree_signed_again_is_no_change(timestamp: int) -> None:
    assert compare_heads(TRUSTED, head(10, timestamp), root_at) == HeadChange.UNCHANGED


@pytest.mark.parametrize("count", [1, 9, 10])
@pytest.mark.parametrize("timestamp", [999, 1_000, 1_001])
def test_another_root_is_a_fork_whatever_the_times(count: int, timestamp: int) -> None:
    other = Hash32(bytes(32))
    error = refusal(compare_heads, TRUSTED, head(count, timestamp, other), root_at)
    assert isinstance(error, HeadError)
    assert error.code == "fork"
    assert error.attrs == {"computed": root_at(count).hex(), "seen": other.hex()}


@pytest.mark.parametrize("count", [1, 9])
def test_a_smaller_tree_signed_later_is_a_rollback(count: int) -> None:
    error = refusal(compare_heads, TRUSTED, head(count, 1_001), root_at)
    assert isinstance(error, HeadError)
    assert error.code == "rollback"


@pytest.mark.parametrize("timestamp", [999, 1_000])
def test_a_cache_that_lags_is_no_alarm(timestamp: int) -> None:
    """An old head could not be checked; it is not wrong (HEAD-11, CONV-7)."""
    error = refusal(compare_heads, TRUSTED, head(9, timestamp), root_at)
    assert isinstance(error, UnavailableError)
    assert error.code == "stale"


# Logged at 1,749,999,000,007 ms; with a delay of 60 s to be covered by 1,749,999,060.
RECORD = decode_record(small_log.RECORDS[7])


@pytest.mark.parametrize(
    ("count", "timestamp"), [(7, 1_749_999_060), (0, 1_749_999_060), (8, 1_749_999_061), (8, 2**52)]
)
def test_records_covered_in_time(count: int, timestamp: int) -> None:
    some = head(count, timestamp)
    assert verify_merge_delay(RECORD, some, 60) == some


@pytest.mark.parametrize(("count", "timestamp"), [(7, 1_749_999_061), (0, 2**52)])
def test_records_covered_too_late(count: int, timestamp: int) -> None:
    assert code_of(verify_merge_delay, RECORD, head(count, timestamp), 60) == "late"
