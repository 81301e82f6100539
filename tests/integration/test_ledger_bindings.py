"""Bindings in a ledger: who may make them, and that none is ever used twice."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Ledger
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.model import Entry
from nous_ledger.protocol.bodies import Binding, decode_body
from nous_ledger.protocol.errors import LedgerError
from nous_ledger.protocol.record import TYPE_BINDING, decode_record
from nous_ledger.protocol.signing import normalise_recovery_id
from tests.integration.ledger_audit import error_code, verified
from tests.integration.ledger_drafts import START_MS, Clock, make_draft
from tests.wallets import ALICE, BOB, ZERO, Wallet, high_s

SUBJECT = b"\x01" * 32
DEADLINE = START_MS // 1000 + 60


def made(
    ledger: Ledger,
    wallet: Wallet = ALICE,
    *,
    nonce: int = 1,
    bound: bytes | None = None,
    **more: Any,
) -> Binding:
    """Return a binding that a wallet signed for this log."""
    subject, deadline = more.get("subject", SUBJECT), more.get("deadline", DEADLINE)
    signature = wallet.sign(ledger.log_id, subject, nonce, deadline, bound)
    values = {
        "salt": bytes(16),
        "subject": subject,
        "wallet": wallet.address if bound is None else bound,
        "nonce": nonce,
        "deadline": deadline,
        "signature": normalise_recovery_id(signature),
    }
    return Binding(**(values | more))


def wallets(ledger: Ledger) -> dict[bytes, bytes]:
    return {subject: bound.wallet for subject, bound in ledger.bound_wallets().items()}


def test_a_binding_is_a_record_like_any_other(ledger: Ledger, folder: Path) -> None:
    binding = made(ledger)
    logged = ledger.bind(binding)
    assert decode_record(logged.record).type == TYPE_BINDING
    assert decode_body(TYPE_BINDING, logged.body) == binding
    assert wallets(ledger) == {SUBJECT: ALICE.address}
    assert ledger.last_nonce(ALICE.address) == 1
    report = verified(ledger, ledger.prove(logged.index))
    assert (report.attribution.code, report.inclusion.code) == ("", "")
    assert report.accuracy.code == "no-receipt"  # its signature was checked, and holds
    ledger.append(make_draft(random.Random(1)))
    ledger.close()
    assert fsck(folder).fault_count == 0


REFUSED: dict[str, Callable[[Ledger], Binding]] = {
    "mismatch": lambda ledger: made(ledger, signature=made(ledger, BOB).signature),
    "high-s": lambda ledger: made(
        ledger,
        signature=normalise_recovery_id(high_s(ALICE.sign(ledger.log_id, SUBJECT, 1, DEADLINE))),
    ),
    "bad-recovery-id": lambda ledger: made(ledger, signature=made(ledger).signature[:64] + b"\x02"),
    "malformed": lambda ledger: made(ledger, signature=bytes(65)),
    "time-order": lambda ledger: made(ledger, deadline=START_MS // 1000 - 1),
    "not-bound": lambda ledger: made(ledger, bound=ZERO),
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_wrong_is_refused_and_leaves_no_trace(ledger: Ledger, code: str) -> None:
    """BIND-1 to BIND-3."""
    binding = REFUSED[code](ledger)
    assert error_code(lambda: ledger.bind(binding)) == code
    assert ledger.leaf_count() == 1
    assert not ledger.bound_wallets()


@pytest.mark.parametrize("what", ["log", "subject", "wallet", "nonce", "deadline"])
def test_a_signature_serves_for_nothing_else(ledger: Ledger, what: str) -> None:
    """Replay for another log, key, wallet, number or time."""
    elsewhere = ALICE.sign(b"\x09" * 32, SUBJECT, 1, DEADLINE)
    changes: dict[str, dict[str, Any]] = {
        "log": {"signature": normalise_recovery_id(elsewhere)},
        "subject": {"subject": b"\x02" * 32},
        "wallet": {"wallet": BOB.address},
        "nonce": {"nonce": 2},
        "deadline": {"deadline": DEADLINE + 1},
    }
    replayed = replace(made(ledger), **changes[what])
    assert error_code(lambda: ledger.bind(replayed)) == "mismatch"
    assert ledger.leaf_count() == 1


def test_nonces_only_grow_and_unbinds_are_the_bound_wallets(ledger: Ledger) -> None:
    ledger.bind(made(ledger, nonce=5))
    assert error_code(lambda: ledger.bind(made(ledger, nonce=5))) == "nonce-used"
    assert error_code(lambda: ledger.bind(made(ledger, nonce=4))) == "nonce-used"
    assert error_code(lambda: ledger.bind(made(ledger, BOB, bound=ZERO))) == "not-bound"
    ledger.bind(made(ledger, BOB))  # another wallet takes over; it has nonces of its own
    assert error_code(lambda: ledger.bind(made(ledger, nonce=6, bound=ZERO))) == "not-bound"
    assert wallets(ledger) == {SUBJECT: BOB.address}
    ledger.bind(made(ledger, BOB, nonce=2, bound=ZERO))
    assert wallets(ledger) == {}
    assert error_code(lambda: ledger.bind(made(ledger, BOB, nonce=3, bound=ZERO))) == "not-bound"


def test_of_two_with_one_nonce_one_is_logged(folder: Path, ledger: Ledger, clock: Clock) -> None:
    """Two ledgers on one folder, as two processes are, and many threads."""
    binding = made(ledger)

    def bind(on: Ledger) -> Entry | str:
        try:
            return on.bind(binding)
        except LedgerError as error:
            return error.code

    with Ledger.open(folder, clock=clock) as other, ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(bind, [ledger, other] * 8))
        assert [type(outcome) for outcome in outcomes].count(Entry) == 1
        assert outcomes.count("nonce-used") == 15
        assert wallets(other) == wallets(ledger) == {SUBJECT: ALICE.address}


def test_the_book_is_read_again_from_the_log(folder: Path, ledger: Ledger, clock: Clock) -> None:
    ledger.bind(made(ledger, nonce=7))
    ledger.close()
    with Ledger.open(folder, clock=clock) as again:
        assert error_code(lambda: again.bind(made(again, nonce=7))) == "nonce-used"
        assert again.last_nonce(ALICE.address) == 7
        assert again.last_nonce(BOB.address) is None


def test_an_erased_binding_binds_no_longer(ledger: Ledger) -> None:
    logged = ledger.bind(made(ledger))
    assert wallets(ledger)
    ledger.redact([logged.index], "data_subject_request")
    assert wallets(ledger) == {}


def test_one_that_fails_does_not_take_others_with_it(ledger: Ledger, seed: random.Random) -> None:
    good, bad = made(ledger), made(ledger, deadline=START_MS // 1000 - 1)
    with ThreadPoolExecutor(3) as threads:
        receipts = [ledger.submit_receipt(make_draft(seed)) for _ in range(50)]
        outcomes = [threads.submit(ledger.bind, binding) for binding in (bad, good)]
        more = [ledger.submit_receipt(make_draft(seed)) for _ in range(50)]
        assert [type(outcome.exception()) for outcome in outcomes][1] is type(None)
        assert isinstance(outcomes[0].exception(), LedgerError)
        assert len({logged.result().index for logged in receipts + more}) == 100
    assert ledger.leaf_count() == 102


def test_a_closed_log_takes_no_binding(ledger: Ledger) -> None:
    ledger.close_log()
    assert error_code(lambda: ledger.bind(made(ledger))) == "log-closed"
