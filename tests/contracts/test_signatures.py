"""Records, heads and the one accepted form of a secp256k1 signature on the EVM."""

from __future__ import annotations

import random

from nous_ledger.protocol import eip712
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.record import leaf_hash, record_digest, sign_record, verify_record
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey, address_of, verify_signature
from nous_ledger.protocol.types import (
    Epoch,
    Hash32,
    LeafCount,
    LeafIndex,
    LogId,
    SubjectId,
    UnixMillis,
    UnixSeconds,
)
from tests.contracts.abi import AbiValue
from tests.contracts.evm import Call, Contract, Returned, Reverted
from tests.contracts.expected import meets
from tests.contracts.test_identity import LOG_ID

KEY = SigningKey(b"\x11" * 32)
SIGNER = address_of(KEY.public_key)
LOG = LogId(LOG_ID)
BODY_HASH = bytes.fromhex("2027b7665c52f6dbd2001f58e10a92d627d7867e2a8b0f9b68afccca80b0ba60")
SIGNED_PART = bytes.fromhex("010001000000000000000000000007000001977420dc00") + BODY_HASH
SIGNATURE = bytes.fromhex(
    "1faf6ed7afbf44657168e1377e94a4e00267f8c81ae867a0fb2bfae308cf40c8"
    "488483230f5ffa07d91f2d337777f90922faa652034be7fafd9a7b4bc6022789"
    "00"
)
RECORD = SIGNED_PART + SIGNATURE
RECORD_FIELDS = (1, 0, 7, 1_750_000_000_000, BODY_HASH)
DIGEST = bytes.fromhex("2f952c24cefeb57c8414a4d25660f1557f7a2949b63af366dc8a49f9890be211")
HEAD: tuple[AbiValue, ...] = (LOG_ID, 0, 7, bytes(range(32)), 1_750_000_000)
HEAD_DIGEST = bytes.fromhex("bdf7798fd4aefc3b8f30041fd65e489f9180f8fc60d1f09e67fc1578d2f1f1bf")


def split(signature: bytes) -> tuple[bytes, bytes, int]:
    return signature[:32], signature[32:64], signature[64]


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


def code_of_python(digest: bytes, signature: bytes, public_key: bytes) -> str:
    try:
        verify_signature(digest, signature, public_key)
    except LedgerError as error:
        return error.code
    return ""


def test_record_hashes_are_the_known_answers(harness: Contract) -> None:
    leaf = bytes.fromhex("efe71332a030aae11906e6609ff30126bffcd31062cc1911ab0ff93dece9843f")
    assert harness.call("recordDigest", LOG_ID, RECORD) == Returned((DIGEST,))
    assert harness.call("recordLeaf", RECORD) == Returned((leaf,))
    assert harness.call("decodeRecord", RECORD) == Returned(RECORD_FIELDS)


def test_a_signed_record_comes_back_as_its_fields(harness: Contract) -> None:
    assert harness.call("verifyRecord", RECORD, LOG_ID, SIGNER) == Returned(RECORD_FIELDS)


def test_records_signed_in_python_verify_on_the_evm(harness: Contract) -> None:
    draw = random.Random("records")
    calls, expected = [], []
    for bits in (0, 1, 8, 16, 31, 32, 52, 53):
        for _ in range(4):
            key, log = SigningKey(draw.randbytes(32)), LogId(draw.randbytes(32))
            fields = (
                draw.getrandbits(16),
                draw.getrandbits(32),
                draw.getrandbits(bits),
                draw.getrandbits(53),
                draw.randbytes(32),
            )
            record = sign_record(
                key,
                log,
                type=fields[0],
                epoch=Epoch(fields[1]),
                index=LeafIndex(fields[2]),
                logged_at=UnixMillis(fields[3]),
                body_hash=Hash32(fields[4]),
            )
            calls.append(Call("verifyRecord", (record, log, address_of(key.public_key))))
            calls.append(Call("recordDigest", (log, record)))
            calls.append(Call("recordLeaf", (record,)))
            expected.append(Returned(fields))
            expected.append(Returned((record_digest(log, record[:55]),)))
            expected.append(Returned((leaf_hash(record),)))
    assert harness.run(calls) == expected


def test_every_single_bit_flip_of_a_record_is_refused_as_in_python(harness: Contract) -> None:
    number = int.from_bytes(RECORD, "big")
    flipped = [(number ^ 1 << bit).to_bytes(len(RECORD), "big") for bit in range(8 * len(RECORD))]
    codes = []
    for record in flipped:
        try:
            verify_record(record, LOG, KEY.public_key)
        except LedgerError as error:
            codes.append(error.code)
    outcomes = harness.run([Call("verifyRecord", (record, LOG_ID, SIGNER)) for record in flipped])
    for bit, (outcome, code) in enumerate(zip(outcomes, codes, strict=True)):
        assert meets(outcome, code), (bit, code, outcome)
    assert set(codes) >= {"record-version", "newer-version", "record-range", "mismatch", "high-s"}


def test_another_log_or_signer_is_refused(harness: Contract) -> None:
    other = bytes.fromhex("00" * 31 + "01")
    outcomes = harness.run(
        [
            Call("verifyRecord", (RECORD, other, SIGNER)),
            Call("verifyRecord", (RECORD, LOG_ID, bytes(20))),
            Call("verifyRecord", (RECORD, LOG_ID, SIGNER[:-1] + b"\0")),
        ]
    )
    assert all(meets(outcome, "mismatch") for outcome in outcomes)


def test_records_have_exactly_120_bytes(harness: Contract) -> None:
    for record in (b"", RECORD[:55], RECORD[:119], RECORD + b"\0", RECORD * 2):
        refused = Reverted("RecordLengthWrong", (len(record),))
        assert harness.call("verifyRecord", record, LOG_ID, SIGNER) == refused
        assert harness.call("decodeRecord", record) == refused
        assert harness.call("recordDigest", LOG_ID, record) == refused
        assert harness.call("recordLeaf", record) == refused


def test_the_largest_integers_are_accepted_and_one_more_is_not(harness: Contract) -> None:
    largest = word(2**53 - 1)[24:]
    above = word(2**53)[24:]
    for start in (7, 15):
        fits = RECORD[:start] + largest + RECORD[start + 8 :]
        too_large = RECORD[:start] + above + RECORD[start + 8 :]
        assert isinstance(harness.call("decodeRecord", fits), Returned)
        refused = Reverted("RecordFieldOutOfRange", (2**53,))
        assert harness.call("decodeRecord", too_large) == refused


def test_one_signature_has_one_accepted_form(harness: Contract) -> None:
    r, s, v = split(SIGNATURE)
    mirrored = word(CURVE_ORDER - int.from_bytes(s, "big"))
    forms = {
        (r, s, v): "",
        (r, mirrored, 1 - v): "high-s",
        (r, mirrored, v): "high-s",
        (r, s, 1 - v): "mismatch",
        (r, s, 2): "bad-recovery-id",
        (r, s, 27 + v): "bad-recovery-id",
        (r, s, 255): "bad-recovery-id",
    }
    assert_codes(harness, forms)


def test_numbers_outside_the_group_order_are_malformed(harness: Contract) -> None:
    r, s, v = split(SIGNATURE)
    half = CURVE_ORDER // 2
    outside = [0, CURVE_ORDER, CURVE_ORDER + 1, 2**256 - 1]
    forms = {(word(number), s, v): "malformed" for number in outside}
    forms |= {(r, word(number), v): "malformed" for number in outside}
    forms |= {
        (word(CURVE_ORDER - 1), s, v): "mismatch",
        (r, word(half), v): "mismatch",
        (r, word(half + 1), v): "high-s",
        (r, word(CURVE_ORDER - 1), v): "high-s",
    }
    assert_codes(harness, forms)


def test_the_first_fault_of_several_decides(harness: Contract) -> None:
    r, s, v = split(SIGNATURE)
    high = word(CURVE_ORDER - int.from_bytes(s, "big"))
    forms = {
        (bytes(32), high, 9): "malformed",
        (r, high, 9): "high-s",
        (word(1), s, 9): "bad-recovery-id",
        (word(5), s, v): "mismatch",  # 5 is no x of the curve: nothing is recovered
    }
    assert_codes(harness, forms)
    unrecovered = harness.call("verifySignature", DIGEST, word(5), s, v, bytes(20))
    assert unrecovered == Reverted("SignatureMismatch", (bytes(20), bytes(20)))


def assert_codes(harness: Contract, forms: dict[tuple[bytes, bytes, int], str]) -> None:
    """The EVM and the Python core both judge each (r, s, v) over DIGEST as expected."""
    calls = [Call("verifySignature", (DIGEST, r, s, v, SIGNER)) for r, s, v in forms]
    for (form, code), outcome in zip(forms.items(), harness.run(calls), strict=True):
        assert meets(outcome, code), (form, code, outcome)
        assert (
            code_of_python(DIGEST, b"".join((*form[:2], bytes([form[2]]))), KEY.public_key) == code
        )


def flip_one_bit(draw: random.Random, signature: bytes) -> bytes:
    flipped = int.from_bytes(signature, "big") ^ 1 << draw.randrange(8 * 65)
    return flipped.to_bytes(65, "big")


def mirror(draw: random.Random, signature: bytes) -> bytes:
    """Return the second form of a signature: valid for those who do not refuse a high s."""
    r, s, v = split(signature)
    return r + word(CURVE_ORDER - int.from_bytes(s, "big")) + bytes([1 - v])


def test_random_and_mutated_signatures_are_judged_as_in_python(
    harness: Contract, full: bool
) -> None:
    draw = random.Random("signatures")
    calls, codes = [], []
    for _ in range(2_000 if full else 200):
        key, digest = SigningKey(draw.randbytes(32)), draw.randbytes(32)
        signature = key.sign(digest)
        if draw.random() < 0.6:
            signature = draw.choice([flip_one_bit, mirror])(draw, signature)
        arguments = (digest, *split(signature), address_of(key.public_key))
        calls.append(Call("verifySignature", arguments))
        codes.append(code_of_python(digest, signature, key.public_key))
    for outcome, code in zip(harness.run(calls), codes, strict=True):
        assert meets(outcome, code), (outcome, code)
    assert codes.count("") > len(codes) // 8
    assert {"high-s", "mismatch"} <= set(codes)


def test_eip712_constants_are_those_of_the_protocol(harness: Contract) -> None:
    separator = "e3127a2c29f5d1a95fb1b4f1204eca75729f4c639f4c240d669d22e1902bf85c"
    assert harness.call("domainSeparator") == Returned((bytes.fromhex(separator),))
    types = (
        "1d374c954f5d8fd6dd821b87fd4d3c5a6f641a9efd2b16b95d3fd1fb8955d534",
        "9fb8f55cf643b8c32c5ce7c2808ad34c70ddb45e7cdc897ca2db93765d3a7b76",
        "8976f61fde13cf7bca20376a9887616338076842833ba506217a216fd8a247d4",
    )
    assert harness.call("typeHashes") == Returned(tuple(map(bytes.fromhex, types)))


def test_head_digest_is_the_known_answer(harness: Contract) -> None:
    assert harness.call("headDigest", HEAD) == Returned((HEAD_DIGEST,))


def test_typed_digests_are_those_of_the_python_core(harness: Contract) -> None:
    draw = random.Random("digests")
    calls, expected = [], []
    for bits in (0, 1, 31, 53, 64):
        log, root, subject = (draw.randbytes(32) for _ in range(3))
        epoch, size, time = (draw.getrandbits(min(bits, width)) for width in (32, 64, 64))
        wallet = draw.randbytes(20)
        calls += [
            Call("headDigest", ((log, epoch, size, root, time),)),
            Call("rotationDigest", (log, epoch, root)),
            Call("bindingDigest", (log, subject, wallet, size, time)),
        ]
        head = eip712.head_digest(
            LogId(log), Epoch(epoch), LeafCount(size), Hash32(root), UnixSeconds(time)
        )
        rotation = eip712.rotation_digest(LogId(log), Epoch(epoch), Hash32(root))
        binding = eip712.binding_digest(
            LogId(log), SubjectId(subject), wallet, size, UnixSeconds(time)
        )
        expected += [Returned((digest,)) for digest in (head, rotation, binding)]
    assert harness.run(calls) == expected


def test_a_signed_head_verifies_and_no_changed_one_does(harness: Contract) -> None:
    signature = split(KEY.sign(HEAD_DIGEST))
    assert harness.call("verifyHead", HEAD, *signature, SIGNER) == Returned()
    log, epoch, size, root, time = HEAD
    changed: list[tuple[AbiValue, ...]] = [
        (BODY_HASH, epoch, size, root, time),
        (log, 1, size, root, time),
        (log, epoch, 8, root, time),
        (log, epoch, size, BODY_HASH, time),
        (log, epoch, size, root, 1_750_000_001),
    ]
    outcomes = harness.run([Call("verifyHead", (head, *signature, SIGNER)) for head in changed])
    assert all(meets(outcome, "mismatch") for outcome in outcomes)


def test_heads_hold_integers_of_the_protocol_only(harness: Contract) -> None:
    log, epoch, size, root, time = HEAD
    for fits in (2**53 - 1, 2**53):
        heads: tuple[tuple[AbiValue, ...], ...] = (
            (log, epoch, fits, root, time),
            (log, epoch, size, root, fits),
        )
        for head in heads:
            digest = harness.call("headDigest", head)
            assert isinstance(digest, Returned)
            (value,) = digest.values
            assert isinstance(value, bytes)
            outcome = harness.call("verifyHead", head, *split(KEY.sign(value)), SIGNER)
            refused = Reverted("HeadFieldOutOfRange", (fits,))
            assert outcome == (Returned() if fits < 2**53 else refused)
