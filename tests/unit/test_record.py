"""The 120-byte record: layout, digest, leaf, and what is refused."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from nous_ledger.protocol.record import (
    Record,
    decode_record,
    encode_record,
    leaf_hash,
    prepare_record,
    prepare_records,
    record_digest,
    sign_record,
    verify_record,
)
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey
from nous_ledger.protocol.types import (
    MAX_UINT,
    Epoch,
    Hash32,
    LeafIndex,
    LogId,
    UnixMillis,
)
from tests.refusals import code_of, refusal
from tests.unit import small_log

BODY = bytes.fromhex("8100c410") + bytes(range(16))
BODY_HASH = Hash32(hashlib.sha256(BODY).digest())
PUBLIC = small_log.KEY.public_key


def signed(
    *,
    type: int = 1,
    epoch: int = 0,
    index: int = 7,
    logged_at: int = 1_750_000_000_000,
    body_hash: bytes = BODY_HASH,
) -> bytes:
    return sign_record(
        small_log.KEY,
        small_log.LOG_ID,
        type=type,
        epoch=Epoch(epoch),
        index=LeafIndex(index),
        logged_at=UnixMillis(logged_at),
        body_hash=Hash32(body_hash),
    )


DATA = signed()
KNOWN_SIGNATURE = bytes.fromhex(
    "1faf6ed7afbf44657168e1377e94a4e00267f8c81ae867a0fb2bfae308cf40c8"
    "488483230f5ffa07d91f2d337777f90922faa652034be7fafd9a7b4bc602278900"
)


def test_the_known_record() -> None:
    """Of the design: body hash, digest, signature and leaf (REC-5, REC-6)."""
    assert BODY_HASH.hex() == "2027b7665c52f6dbd2001f58e10a92d627d7867e2a8b0f9b68afccca80b0ba60"
    digest = record_digest(small_log.LOG_ID, DATA[:55])
    assert digest.hex() == "2f952c24cefeb57c8414a4d25660f1557f7a2949b63af366dc8a49f9890be211"
    assert DATA[55:] == KNOWN_SIGNATURE
    leaf = "efe71332a030aae11906e6609ff30126bffcd31062cc1911ab0ff93dece9843f"
    assert leaf_hash(DATA).hex() == leaf


def test_the_layout() -> None:
    """Every number stands big-endian at its offset (REC-1)."""
    data = signed(type=0x0102, epoch=0x03040506, index=0x0708090A0B0C, logged_at=0x0D0E0F101112)
    assert len(data) == 120
    header = "01 0102 03040506 00000708090a0b0c 00000d0e0f101112"
    assert data[:23] == bytes.fromhex(header)
    assert data[23:55] == BODY_HASH
    assert decode_record(data) == Record(
        version=1,
        type=0x0102,
        epoch=Epoch(0x03040506),
        index=LeafIndex(0x0708090A0B0C),
        logged_at=UnixMillis(0x0D0E0F101112),
        body_hash=BODY_HASH,
        signature=data[55:],
    )


@pytest.mark.parametrize("type_", [0, 1, 5, 6, 1024, 65_535])
@pytest.mark.parametrize("epoch", [0, 63, 2**32 - 1])
@pytest.mark.parametrize("number", [0, MAX_UINT])
def test_records_are_read_as_they_were_written(type_: int, epoch: int, number: int) -> None:
    """Of whatever type (REC-9); signed records verify, and only under their log (REC-7)."""
    data = signed(type=type_, epoch=epoch, index=number, logged_at=number)
    record = decode_record(data)
    assert encode_record(record) == data
    assert verify_record(data, small_log.LOG_ID, PUBLIC) == record
    assert code_of(verify_record, data, LogId(bytes(32)), PUBLIC) == "mismatch"


@pytest.mark.parametrize("length", [0, 1, 55, 119, 121, 240])
def test_a_record_has_120_bytes(length: int) -> None:
    """REC-1."""
    data = (DATA * 2)[:length]
    assert code_of(decode_record, data) == "record-length"
    assert code_of(leaf_hash, data) == "record-length"
    assert code_of(verify_record, data, small_log.LOG_ID, PUBLIC) == "record-length"


def with_bytes(at: int, data: bytes) -> bytes:
    return DATA[:at] + data + DATA[at + len(data) :]


@pytest.mark.parametrize("at", [7, 15])
def test_numbers_above_2_to_53_are_refused(at: int) -> None:
    """REC-4."""
    largest = with_bytes(at, MAX_UINT.to_bytes(8, "big"))
    assert MAX_UINT in (decode_record(largest).index, decode_record(largest).logged_at)
    for number in (MAX_UINT + 1, 2**64 - 1):
        assert code_of(decode_record, with_bytes(at, number.to_bytes(8, "big"))) == "record-range"


def test_versions() -> None:
    """0 does not exist (REC-2); what is newer cannot be checked (REC-3)."""
    assert code_of(decode_record, with_bytes(0, b"\x00")) == "record-version"
    for version in (2, 3, 255):
        error = refusal(decode_record, with_bytes(0, bytes([version])))
        assert (type(error).__name__, error.code) == ("UnavailableError", "newer-version")
    # The version decides before the numbers behind it, the length before both.
    beyond = with_bytes(7, b"\xff" * 16)
    assert code_of(decode_record, b"\x00" + beyond[1:]) == "record-version"
    assert code_of(decode_record, b"\x02" + beyond[1:]) == "newer-version"
    assert code_of(decode_record, b"\x00" + beyond[2:]) == "record-length"


def test_every_flipped_bit_of_a_record_is_refused() -> None:
    """The signature covers all before it, and nothing in it can change (REC-5, REC-7)."""
    codes = set()
    for bit in range(8 * 120):
        changed = bytearray(DATA)
        changed[bit // 8] ^= 1 << bit % 8
        assert leaf_hash(bytes(changed)) != leaf_hash(DATA)
        codes.add(code_of(verify_record, bytes(changed), small_log.LOG_ID, PUBLIC))
    refused = {"mismatch", "high-s", "bad-recovery-id", "record-range"}
    assert codes == refused | {"record-version", "newer-version"}


def test_the_shape_of_a_signature_is_looked_at_when_it_is_verified() -> None:
    """A record with any 65 bytes at its end can be read, but neither verified nor written."""
    high_s = (CURVE_ORDER - int.from_bytes(DATA[87:119], "big")).to_bytes(32, "big")
    for at, part, code in ((55, bytes(32), "malformed"), (87, high_s, "high-s")):
        data = with_bytes(at, part)
        assert data[55:] == decode_record(data).signature
        assert code_of(verify_record, data, small_log.LOG_ID, PUBLIC) == code
        assert code_of(encode_record, decode_record(data)) == code
    data = with_bytes(119, b"\x1b")
    assert code_of(verify_record, data, small_log.LOG_ID, PUBLIC) == "bad-recovery-id"


def test_a_record_of_another_key_is_refused() -> None:
    """REC-7."""
    other = SigningKey(b"\x22" * 32).public_key
    assert code_of(verify_record, DATA, small_log.LOG_ID, other) == "mismatch"


@pytest.mark.parametrize(
    "make",
    [
        lambda: signed(type=-1),
        lambda: signed(type=65_536),
        lambda: signed(epoch=-1),
        lambda: signed(epoch=2**32),
        lambda: signed(index=-1),
        lambda: signed(index=MAX_UINT + 1),
        lambda: signed(logged_at=-1),
        lambda: signed(logged_at=MAX_UINT + 1),
        lambda: signed(body_hash=bytes(31)),
        lambda: signed(body_hash=bytes(33)),
        lambda: encode_record(replace(decode_record(DATA), version=0)),
        lambda: encode_record(replace(decode_record(DATA), version=2)),
        lambda: encode_record(replace(decode_record(DATA), index=LeafIndex(MAX_UINT + 1))),
    ],
)
def test_what_does_not_fit_is_not_written(make: Callable[[], bytes]) -> None:
    """REC-1, REC-4."""
    assert code_of(make) == "input"


@pytest.mark.parametrize(("log_id", "part"), [(31, 55), (33, 55), (32, 54), (32, 56), (32, 120)])
def test_a_digest_takes_a_log_id_and_55_bytes(log_id: int, part: int) -> None:
    """REC-5."""
    assert code_of(record_digest, LogId(bytes(log_id)), bytes(part)) == "input"


def test_digests_and_leaves_are_tagged_apart() -> None:
    """REC-5, REC-6."""
    tagged = b"nous-ledger/1 entry\0" + small_log.LOG_ID + DATA[:55]
    assert record_digest(small_log.LOG_ID, DATA[:55]) == hashlib.sha256(tagged).digest()
    assert leaf_hash(DATA) == hashlib.sha256(b"\0" + DATA).digest()


def test_records_that_follow_each_other_are_prepared_as_one_by_one() -> None:
    hashes = [Hash32(hashlib.sha256(bytes([number])).digest()) for number in range(3)]
    made = prepare_records(small_log.LOG_ID, 1, (2, 7, 1_750_000_000_000), hashes)
    assert made == [
        prepare_record(
            small_log.LOG_ID,
            type=1,
            epoch=Epoch(2),
            index=LeafIndex(7 + number),
            logged_at=UnixMillis(1_750_000_000_000),
            body_hash=body_hash,
        )
        for number, body_hash in enumerate(hashes)
    ]


@pytest.mark.parametrize(
    ("log_id", "place"),
    [(b"\x00" * 31, (0, 7, 1)), (b"\x00" * 32, (0, MAX_UINT + 1, 1)), (b"\x00" * 32, (-1, 7, 1))],
)
def test_records_that_fit_no_place_are_not_prepared(
    log_id: bytes, place: tuple[int, int, int]
) -> None:
    assert code_of(lambda: prepare_records(LogId(Hash32(log_id)), 1, place, [BODY_HASH])) == "input"
