"""A log whose keys lie outside: made, opened, written, rotated and closed through a signer."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import (
    ExternalEd25519,
    ExternalSigner,
    Ledger,
    LogKeys,
    Signers,
    generate_keys,
)
from nous_ledger.ledger import keys as keys_module
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.work import HeadWork
from nous_ledger.protocol.ed25519 import Ed25519Key
from nous_ledger.protocol.errors import InputError, LedgerError, UnavailableError
from nous_ledger.protocol.signing import SigningKey
from tests.integration.ledger_audit import head_count
from tests.integration.ledger_drafts import ORIGIN, Clock, make_draft
from tests.integration.ledger_keys import Keys, good
from tests.integration.software_hsm import SoftwareHsm


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(LedgerError) as found:
        work()
    return found.value.code


@pytest.fixture(scope="module")
def hsm() -> Iterator[SoftwareHsm]:
    """A process with three keys of the log, in their order, and one for heads."""
    with SoftwareHsm("k0", "k1", "k2", "ed") as module:
        yield module


class TestModule:
    def test_no_secret_of_it_is_on_this_machine(
        self, hsm: SoftwareHsm, folder: Path, clock: Clock, seed: random.Random
    ) -> None:
        """As in docs/signer.md: create, open, append, prove, with both keys outside."""
        signers = Signers(secp256k1=hsm.signer("k0"), ed25519=hsm.ed25519("ed"))
        with Ledger.create(
            folder,
            next_key_out=hsm.signer("k1").public_key,
            origin=ORIGIN,
            keys=generate_keys(signers),
            clock=clock,
        ) as ledger:
            ledger.append_receipt(make_draft(seed))
        document = json.loads((folder / "keys.json").read_text())
        assert document["external"] == ["secp256k1", "ed25519"]
        assert list(document["secrets"]) == ["log_secret"]
        with Ledger.open(folder, signers=signers, clock=clock) as ledger:
            ledger.append_many([make_draft(seed) for _ in range(40)])
            assert head_count(ledger.head()) == 42
            good(ledger, 41)
            ledger.redact([3], "legal_order")
        assert fsck(folder).faults == ()
        with Ledger.open(folder, read_only=True) as reader:
            good(reader, 0)

    def test_rotated_from_key_to_key(
        self, hsm: SoftwareHsm, folder: Path, clock: Clock, seed: random.Random
    ) -> None:
        """The next key is revealed by its signer, and the key after it is named by its half."""
        first = Signers(secp256k1=hsm.signer("k0"))
        with Ledger.create(
            folder,
            next_key_out=hsm.signer("k1").public_key,
            keys=generate_keys(first),
            clock=clock,
        ) as ledger:
            wrong = hsm.signer("k2")
            out = hsm.signer("k2").public_key
            assert code_of(lambda: ledger.rotate(wrong, next_key_out=out)) == "key-mismatch"
            changed = ledger.rotate(hsm.signer("k1"), next_key_out=out)
            assert changed.secp256k1 == hsm.signer("k1").public_key
            ledger.append_receipt(make_draft(seed))
            good(ledger, 2)
        assert code_of(lambda: Ledger.open(folder, signers=first)) == "key-mismatch"
        with Ledger.open(folder, signers=Signers(secp256k1=hsm.signer("k1"))) as ledger:
            ledger.begin_call(make_draft(seed))
            ledger.close_log(hsm.signer("k2"))
            assert ledger.key_history().closed_at == 4
        assert fsck(folder).faults == ()

    def test_into_the_module_and_out_again(
        self,
        hsm: SoftwareHsm,
        folder: Path,
        keys: Keys,
        seed: random.Random,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(keys_module, "SCRYPT_N", 1 << 10)
        with Ledger.create(
            folder, next_key_out=hsm.signer("k0").public_key, passphrase="a", clock=Clock()
        ) as ledger:
            ledger.rotate(hsm.signer("k0"), next_key_out=keys[0], passphrase="a")
            assert "sealed" in json.loads((folder / "keys.json").read_text())
        signers = Signers(secp256k1=hsm.signer("k0"))
        with Ledger.open(folder, passphrase="a", signers=signers) as ledger:
            ledger.append_receipt(make_draft(seed))
            ledger.rotate(keys[0], next_key_out=keys[1], passphrase="a")
        assert "external" not in json.loads((folder / "keys.json").read_text())
        with Ledger.open(folder, passphrase="a") as ledger:
            good(ledger, ledger.append_receipt(make_draft(seed)).index)

    def test_a_lost_key_file(self, hsm: SoftwareHsm, folder: Path, clock: Clock) -> None:
        signers = Signers(secp256k1=hsm.signer("k0"))
        with Ledger.create(
            folder,
            next_key_out=hsm.signer("k1").public_key,
            keys=generate_keys(signers),
            clock=clock,
        ):
            pass
        (folder / "keys.json").unlink()
        ledger, changed = Ledger.recover(
            folder, hsm.signer("k1"), next_key_out=hsm.signer("k2").public_key, clock=clock
        )
        with ledger:
            assert changed.epoch == 1
            good(ledger, 1)

    def test_without_its_signer_it_does_not_open(
        self, hsm: SoftwareHsm, folder: Path, clock: Clock
    ) -> None:
        keys = generate_keys(Signers(secp256k1=hsm.signer("k0")))
        Ledger.create(folder, next_key_out=None, keys=keys, clock=clock).close()
        assert code_of(lambda: Ledger.open(folder)) == "signer-missing"
        other = Signers(secp256k1=hsm.signer("k1"))
        assert code_of(lambda: Ledger.open(folder, signers=other)) == "key-mismatch"
        document = json.loads((folder / "keys.json").read_text())
        for external in ("secp256k1", ["log_secret"], [["secp256k1"]], None):
            changed = json.dumps(document | {"external": external})
            (folder / "keys.json").write_text(changed)
            assert code_of(lambda: Ledger.open(folder)) == "key-format"

    def test_what_is_no_next_key(self, folder: Path, clock: Clock) -> None:
        with pytest.raises(InputError):
            Ledger.create(folder, next_key_out=b"\5" * 33, clock=clock)
        assert not (folder / "ledger.db").exists()


KEY = SigningKey(b"\7" * 32)


class Faulty:
    """A key that does as it is told."""

    def __init__(self) -> None:
        self.answer: Callable[[bytes], bytes] = KEY.sign
        self.calls = 0

    def __call__(self, digest: bytes) -> bytes:
        self.calls += 1
        return self.answer(digest)


def _raise(_: bytes) -> bytes:
    raise OSError("token removed")


def _hang(_: bytes) -> bytes:
    threading.Event().wait(30)
    raise AssertionError


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "signer-failed": _raise,
    "signer-timeout": _hang,
    "signer-malformed": lambda _: b"rubbish",
    "signer-mismatch": SigningKey(b"\1" * 32).sign,
}


class TestFaults:
    @pytest.fixture
    def faulty(self) -> Faulty:
        return Faulty()

    @pytest.fixture
    def outside(self, folder: Path, faulty: Faulty, clock: Clock) -> Iterator[Ledger]:
        """A log of 2 leaves whose signer does as it is told."""
        signer = ExternalSigner(KEY.public_key, faulty, timeout_s=0.2)
        keys = LogKeys(secp256k1=signer, ed25519=b"\2" * 32, log_secret=b"\3" * 32)
        with Ledger.create(folder, next_key_out=None, keys=keys, clock=clock) as ledger:
            ledger.append_receipt(make_draft(random.Random(4)))
            ledger.head()
            yield ledger

    @pytest.mark.parametrize("code", FAULTS)
    def test_they_leave_no_trace(
        self, outside: Ledger, faulty: Faulty, clock: Clock, seed: random.Random, code: str
    ) -> None:
        head = outside.latest_head()
        draft = make_draft(seed)
        outside.begin_call(draft)
        faulty.answer = FAULTS[code]
        clock.now_ms += 86_400_000
        for work in (
            lambda: outside.append_receipt(draft),
            lambda: outside.append_many([make_draft(seed) for _ in range(20)]),
            outside.head,
            lambda: outside.redact([1], "retention"),
            outside.close_log,
        ):
            with pytest.raises(UnavailableError) as found:
                work()
            assert found.value.code == code
        assert outside.leaf_count() == 2
        assert outside.latest_head() == head
        assert outside.read_bodies(1, 2) != (b"",)
        assert [intent.draft for intent in outside.open_intents()] == [draft]
        if code == "signer-timeout":
            return  # its one thread still hangs
        faulty.answer = KEY.sign
        assert outside.append_receipt(draft).index == 2
        assert fsck(outside.folder).faults == ()

    def test_in_the_middle_of_a_batch(
        self, outside: Ledger, faulty: Faulty, seed: random.Random
    ) -> None:
        """All of it fails or none, whichever thread was signing."""

        def break_off(digest: bytes) -> bytes:
            if faulty.calls % 100 == 50:
                raise OSError("token removed")
            return KEY.sign(digest)

        faulty.calls, faulty.answer = 0, break_off
        drafts = [make_draft(seed) for _ in range(60)]
        assert code_of(lambda: outside.append_many(drafts)) == "signer-failed"
        assert outside.leaf_count() == 2
        faulty.answer = KEY.sign
        assert [one.index for one in outside.append_many(drafts)] == list(range(2, 62))
        assert fsck(outside.folder).faults == ()

    def test_of_a_head_they_cost_no_receipt(
        self, folder: Path, clock: Clock, seed: random.Random
    ) -> None:
        """Receipts are logged though the key that only heads need cannot be reached."""
        module, reached = Ed25519Key(bytes([7]) * 32), threading.Event()

        def sign(message: bytes) -> bytes:
            if not reached.is_set():
                raise ConnectionError
            return module.sign(message)

        reached.set()
        signers = Signers(ed25519=ExternalEd25519(module.public_key, sign))
        keys = generate_keys(signers)
        with Ledger.create(folder, next_key_out=None, keys=keys, clock=clock) as ledger:
            reached.clear()
            with ledger._turn:  # so that all of it is one group
                first = ledger.submit_receipt(make_draft(seed))
                heads = [ledger._committing().submit(HeadWork()) for _ in range(2)]
                last = ledger.submit_receipt(make_draft(seed))
            assert [code_of(head.result) for head in heads] == ["signer-failed"] * 2
            assert [future.result(10).index for future in (first, last)] == [1, 2]
            reached.set()
            assert head_count(ledger.head()) == 3
        assert fsck(folder).faults == ()

    def test_no_log_is_made(self, folder: Path, tmp_path: Path, clock: Clock) -> None:
        keys = LogKeys(
            secp256k1=ExternalSigner(KEY.public_key, _raise),
            ed25519=b"\2" * 32,
            log_secret=b"\3" * 32,
        )
        out = tmp_path / "next"
        create = lambda: Ledger.create(folder, next_key_out=out, keys=keys, clock=clock)  # noqa: E731
        assert code_of(create) == "signer-failed"
        assert list(folder.iterdir()) == []
        assert not out.exists()
        keys = LogKeys(secp256k1=b"\7" * 32, ed25519=b"\2" * 32, log_secret=b"\3" * 32)
        Ledger.create(folder, next_key_out=out, keys=keys, clock=clock).close()

    def test_a_rotation_that_fails(
        self, folder: Path, keys: Keys, clock: Clock, seed: random.Random
    ) -> None:
        faulty = Faulty()
        signer = ExternalSigner(KEY.public_key, faulty)
        with Ledger.create(folder, next_key_out=KEY.public_key, clock=clock) as ledger:
            faulty.answer = _raise
            assert code_of(lambda: ledger.rotate(signer, next_key_out=keys[0])) == "signer-failed"
            assert not keys[0].exists()
            assert not (folder / "keys.json.next").exists()
            assert ledger.append_receipt(make_draft(seed)).index == 1
            faulty.answer = KEY.sign
            assert ledger.rotate(signer, next_key_out=keys[0]).epoch == 1
        assert fsck(folder).faults == ()
