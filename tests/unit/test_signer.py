"""What modules and services return becomes the one form of the log, or a clear error."""

import hashlib
import threading
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.ledger.errors import SignerError
from nous_ledger.ledger.signer import ExternalEd25519, ExternalSigner
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.signing import CURVE_ORDER, SigningKey

KEY = SigningKey(b"\7" * 32)
OTHER = SigningKey(b"\10" * 32)
DIGEST = hashlib.sha256(b"x").digest()
SIGNED = KEY.sign(DIGEST)
R, S = int.from_bytes(SIGNED[:32], "big"), int.from_bytes(SIGNED[32:64], "big")
HIGH = (CURVE_ORDER - S).to_bytes(32, "big")


def signed_by(made: object, digest: bytes = DIGEST) -> bytes:
    return ExternalSigner(KEY.public_key, lambda _: made).sign(digest)  # type: ignore[arg-type,return-value]


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(SignerError) as found:
        work()
    return found.value.code


FORMS = {
    "our own": SIGNED,
    "without a recovery id": SIGNED[:64],
    "high s": SIGNED[:32] + HIGH,
    "high s and its recovery id": SIGNED[:32] + HIGH + bytes([1 - SIGNED[64]]),
    "27 or 28": SIGNED[:64] + bytes([27 + SIGNED[64]]),
    "35 or 36": SIGNED[:64] + bytes([35 + SIGNED[64]]),
    "a wrong recovery id": SIGNED[:64] + bytes([1 - SIGNED[64]]),
    "DER": encode_dss_signature(R, S),
    "DER with high s": encode_dss_signature(R, CURVE_ORDER - S),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_ours(form: str) -> None:
    assert signed_by(FORMS[form]) == SIGNED


@given(st.integers(0, 2**32))
def test_every_length_of_der(number: int) -> None:
    digest = hashlib.sha256(number.to_bytes(8, "big")).digest()
    expected = KEY.sign(digest)
    r, s = int.from_bytes(expected[:32], "big"), int.from_bytes(expected[32:64], "big")
    for value in (s, CURVE_ORDER - s):
        assert signed_by(encode_dss_signature(r, value), digest) == expected


@pytest.mark.parametrize("length", [64, 65])
def test_der_of_the_length_of_raw_bytes(length: int) -> None:
    """Only the public key tells which of the two it is; here neither is a signature of it."""
    first = length - 6 - 32
    der = b"\x30" + bytes([length - 2]) + b"\x02" + bytes([first]) + b"\1" * first
    der += b"\x02\x20" + b"\1" * 32
    assert len(der) == length
    assert code_of(lambda: signed_by(der)) == "signer-mismatch"


RUBBISH = {
    "nothing": b"",
    "63 bytes": SIGNED[:63],
    "66 bytes": SIGNED + b"\0",
    "r of 0": bytes(32) + SIGNED[32:64],
    "s of 0": SIGNED[:32] + bytes(32),
    "r of n": CURVE_ORDER.to_bytes(32, "big") + SIGNED[32:64],
    "text": SIGNED.hex(),
    "None": None,
    "a list": [1, 2],
    "a long answer": b"\0" * 100_000,
    "DER cut short": encode_dss_signature(R, S)[:-1],
    "DER with a tail": encode_dss_signature(R, S) + b"\0",
    "DER of three numbers": b"\x30\x09\x02\x01\x01\x02\x01\x01\x02\x01\x01",
    "DER of a negative number": b"\x30\x06\x02\x01\xff\x02\x01\x01",
    "DER that is padded": b"\x30\x08\x02\x02\x00\x01\x02\x02\x00\x01",
    "DER of an empty number": b"\x30\x06\x02\x00\x02\x02\x00\x80",
}


@pytest.mark.parametrize("form", RUBBISH)
def test_rubbish_is_called_so(form: str) -> None:
    assert code_of(lambda: signed_by(RUBBISH[form])) == "signer-malformed"


WRONG = {
    "another key": OTHER.sign(DIGEST),
    "another digest": KEY.sign(hashlib.sha256(DIGEST).digest()),
    "another key in DER": encode_dss_signature(
        *(int.from_bytes(OTHER.sign(DIGEST)[at : at + 32], "big") for at in (0, 32))
    ),
    "a signature that no key made": (5).to_bytes(32, "big") * 2,
}


@pytest.mark.parametrize("form", WRONG)
def test_a_signature_over_something_else(form: str) -> None:
    assert code_of(lambda: signed_by(WRONG[form])) == "signer-mismatch"


def test_what_the_module_says_is_not_repeated() -> None:
    """It may hold a PIN."""

    def fail(_: bytes) -> bytes:
        raise RuntimeError("wrong PIN 1234")

    with pytest.raises(SignerError, match="the signer raised RuntimeError") as found:
        ExternalSigner(KEY.public_key, fail).sign(DIGEST)
    assert found.value.code == "signer-failed"
    assert "1234" not in str(found.value)
    assert isinstance(found.value.__cause__, RuntimeError)


def test_a_module_that_hangs() -> None:
    gone_on = threading.Event()

    def hang(digest: bytes) -> bytes:
        gone_on.wait(5)
        return KEY.sign(digest)

    signer = ExternalSigner(KEY.public_key, hang, timeout_s=0.05)
    started = time.monotonic()
    assert code_of(lambda: signer.sign(DIGEST)) == "signer-timeout"
    assert code_of(lambda: signer.sign(DIGEST)) == "signer-timeout", "it is still busy"
    assert time.monotonic() - started < 2
    gone_on.set()
    time.sleep(0.05)
    assert signer.sign(DIGEST) == SIGNED


@pytest.mark.parametrize("parallel", [1, 3])
def test_how_many_threads_call_at_once(parallel: int) -> None:
    lock, counts, most = threading.Lock(), [0], [0]

    def sign(digest: bytes) -> bytes:
        with lock:
            counts[0] += 1
            most[0] = max(most[0], counts[0])
        time.sleep(0.005)
        with lock:
            counts[0] -= 1
        return KEY.sign(digest)

    signer = ExternalSigner(KEY.public_key, sign, parallel=parallel)
    threads = [threading.Thread(target=signer.sign, args=(DIGEST,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= most[0] <= parallel


def test_the_public_key() -> None:
    point = bytes.fromhex(
        "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
    )
    one = SigningKey((1).to_bytes(32, "big"))
    assert ExternalSigner(point, one.sign).public_key == one.public_key
    assert ExternalSigner(one.public_key, one.sign).sign(DIGEST) == one.sign(DIGEST)
    assert one.public_key.hex() in repr(ExternalSigner(point, one.sign))
    for bad in (b"", point[:64], b"\5" + point[1:], point[:-1] + b"\0", b"\2" + b"\xff" * 32):
        with pytest.raises(InputError):
            ExternalSigner(bad, one.sign)
    with pytest.raises(InputError):
        ExternalSigner(point, one.sign, timeout_s=0)
    with pytest.raises(InputError):
        ExternalSigner(point, one.sign, parallel=0)
    with pytest.raises(InputError):
        ExternalSigner(point, one.sign).sign(b"short")


class TestEd25519:
    KEY = Ed25519Key(b"\7" * 32)

    def signed(self, made: object) -> bytes:
        return ExternalEd25519(self.KEY.public_key, lambda _: made).sign(b"text")  # type: ignore[arg-type,return-value]

    def test_it_signs(self) -> None:
        assert self.signed(self.KEY.sign(b"text")) == self.KEY.sign(b"text")
        assert self.KEY.public_key.hex() in repr(ExternalEd25519(self.KEY.public_key, bytes))

    def test_what_goes_wrong(self) -> None:
        assert code_of(lambda: self.signed(b"")) == "signer-malformed"
        assert code_of(lambda: self.signed(None)) == "signer-malformed"
        assert code_of(lambda: self.signed(self.KEY.sign(b"other"))) == "signer-mismatch"
        assert code_of(lambda: self.signed(b"\xff" * 64)) == "signer-mismatch"
        with pytest.raises(InputError):
            ExternalEd25519(b"short", bytes)
