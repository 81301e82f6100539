"""Tagged hashes, commitments and pseudonyms, against what is spelled out here with hashlib."""

import hashlib
import hmac
from collections.abc import Callable

import pytest

from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.hashing import (
    MAX_USAGE_BYTES,
    MAX_USAGE_VALUES,
    ZERO_HASH,
    RunningCommitment,
    commit_forwarded,
    commit_request,
    commit_response,
    compute_log_id,
    keccak256,
    next_key_hash,
    opening_hash,
    raw_usage_hash,
    sha256,
    subject_id,
)
from nous_ledger.protocol.signing import SigningKey
from nous_ledger.protocol.types import Hash32
from tests.refusals import code_of

ORIGIN = "ledger.example.com/main"
K0 = SigningKey(b"\x11" * 32).public_key
E0 = Ed25519Key(b"\x33" * 32).public_key
NEXT_HASH = next_key_hash(SigningKey(b"\x22" * 32).public_key)
OPENING = b"\x88" * 32
SECRET = b"\x77" * 32


def test_the_known_identity() -> None:
    """The answers that stand in the design: K0, E0, next_hash, log id (ID-2, ID-3)."""
    assert K0.hex() == "034f355bdcb7cc0af728ef3cceb9615d90684bb5b2ca5f859ab0f0b704075871aa"
    assert E0.hex() == "17cb79fb2b4120f2b1ec65e4198d6e08b28e813feb01e4a400839b85e18080ce"
    assert NEXT_HASH.hex() == "78e611d5597ac12f7f09193ce6bbb3f78c53fe25fc9ca09e914467517a5b373f"
    log_id = compute_log_id(ORIGIN, K0, E0, NEXT_HASH)
    assert log_id.hex() == "f8d642a452bf6eacc11c69876a4166976bfecbd9d04fbd1223b232a5aab073fe"


def test_keccak_is_not_sha3() -> None:
    """The hash of Ethereum pads with 0x01 (section 3)."""
    empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"").hex() == empty
    assert keccak256(b"") != hashlib.sha3_256(b"").digest()
    assert sha256(b"abc") == hashlib.sha256(b"abc").digest()


@pytest.mark.parametrize("origin", ["a", ORIGIN, "a" * 255])
@pytest.mark.parametrize("next_hash", [NEXT_HASH, ZERO_HASH])
def test_a_log_id_hashes_origin_and_keys(origin: str, next_hash: Hash32) -> None:
    """Every part stands in the hash, the origin behind its length (ID-3)."""
    name = origin.encode()
    parts = b"nous-ledger/1 log\0" + len(name).to_bytes(2, "big") + name + K0 + E0 + next_hash
    assert compute_log_id(origin, K0, E0, next_hash) == hashlib.sha256(parts).digest()


@pytest.mark.parametrize("origin", ["", "a" * 256, "A", "a/", ".a", "ä", "a b", "\ud800", "a\n"])
def test_what_is_no_origin_has_no_log_id(origin: str) -> None:
    """ID-1."""
    assert code_of(compute_log_id, origin, K0, E0, NEXT_HASH) == "input"


@pytest.mark.parametrize("change", [lambda part: part + b"\0", lambda part: part[:-1]])
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_log_id_takes_parts_of_fixed_length(at: int, change: Callable[[bytes], bytes]) -> None:
    """One byte more or less could let one part pass for the next (ID-3)."""
    parts = [K0, E0, NEXT_HASH]
    parts[at] = change(parts[at])
    assert code_of(compute_log_id, ORIGIN, *parts) == "input"


def test_the_hash_of_a_next_key() -> None:
    """ID-2."""
    assert next_key_hash(K0) == hashlib.sha256(b"nous-ledger/1 next-key\0" + K0).digest()
    for length in (0, 32, 34, 65):
        assert code_of(next_key_hash, bytes(length)) == "input"


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 255])
@pytest.mark.parametrize("credential", [b"", b"sk-test", b"\0"])
def test_a_subject_is_an_hmac_under_the_log_secret(kind: int, credential: bytes) -> None:
    """SUBJ-1."""
    message = b"nous-ledger/1 subject\0" + bytes([kind]) + credential
    expected = hmac.new(SECRET, message, "sha256").digest()
    assert subject_id(SECRET, kind, credential) == expected


def test_subjects_of_other_kinds_credentials_and_secrets_differ() -> None:
    """A key that is used as a client token is another subject (SUBJ-1)."""
    subjects = {
        subject_id(secret, kind, credential)
        for secret in (SECRET, bytes(32))
        for kind in (1, 2)
        for credential in (b"a", b"b")
    }
    assert len(subjects) == 8


@pytest.mark.parametrize("kind", [-1, 0, 256])
def test_a_subject_kind_is_one_byte_and_not_zero(kind: int) -> None:
    assert code_of(subject_id, SECRET, kind, b"") == "input"


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_log_secret_has_32_bytes(length: int) -> None:
    assert code_of(subject_id, bytes(length), 1, b"") == "input"


COMMITMENTS = [
    (commit_request, "request"),
    (commit_response, "response"),
    (commit_forwarded, "forwarded"),
]


@pytest.mark.parametrize(("commit", "tag"), COMMITMENTS)
@pytest.mark.parametrize("body", [b"", b"{}", bytes(100_000)])
def test_commitments_are_hmacs_under_the_opening(
    commit: Callable[[bytes, bytes], Hash32], tag: str, body: bytes
) -> None:
    """Over the body as it was sent, whole or in pieces (COMM-1, COMM-2)."""
    expected = hmac.new(OPENING, f"nous-ledger/1 {tag}\0".encode() + body, "sha256").digest()
    assert commit(OPENING, body) == expected
    running = RunningCommitment(tag, OPENING)
    for start in range(0, len(body), 999):
        running.update(body[start : start + 999])
    assert running.digest() == expected


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_an_opening_has_32_bytes(length: int) -> None:
    opening = bytes(length)
    for commit, tag in COMMITMENTS:
        assert code_of(commit, opening, b"body") == "input"
        assert code_of(RunningCommitment, tag, opening) == "input"
    assert code_of(opening_hash, opening) == "input"


@pytest.mark.parametrize("tag", ["", "Request", "opening", "subject"])
def test_only_three_things_are_committed_to(tag: str) -> None:
    assert code_of(RunningCommitment, tag, OPENING) == "input"


def test_what_is_kept_of_an_opening() -> None:
    """Its hash, which neither reveals it nor is a commitment (COMM-3)."""
    expected = hashlib.sha256(b"nous-ledger/1 opening\0" + OPENING).digest()
    assert opening_hash(OPENING) == expected


def test_usage_values_are_hashed_with_their_lengths() -> None:
    """In order of arrival; cut differently they are other values (USAGE-1)."""
    expected = hashlib.sha256(b"\0\0\0\x02{}" + b"\0\0\0\x07" + b'{"a":1}').digest()
    assert raw_usage_hash([b"{}", b'{"a":1}']) == expected
    assert raw_usage_hash([b"{}"]) == hashlib.sha256(b"\0\0\0\x02{}").digest()
    hashes = {
        raw_usage_hash(values)
        for values in ([b"ab"], [b"a", b"b"], [b"b", b"a"], [b"ab", b""], [b"", b"ab"])
    }
    assert len(hashes) == 5


def test_usage_values_are_limited() -> None:
    """Beyond 16 values or 65,536 bytes there is no hash (USAGE-3); none without a value (USAGE-4).

    The lengths that are hashed before the values do not count.
    """
    assert (MAX_USAGE_VALUES, MAX_USAGE_BYTES) == (16, 65_536)
    assert raw_usage_hash([]) is None
    assert raw_usage_hash([b"1"] * 16) is not None
    assert raw_usage_hash([b"1"] * 17) is None
    assert raw_usage_hash([bytes(65_535), b"1"]) is not None
    assert raw_usage_hash([bytes(65_536), b"1"]) is None
