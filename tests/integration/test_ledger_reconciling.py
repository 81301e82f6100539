"""Later evidence in a ledger: it adds up, names what is there, and is never logged twice."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nous_ledger.ledger import Appended, Ledger
from nous_ledger.ledger.fsck import fsck
from nous_ledger.ledger.reconciling import MAX_RECONCILED
from nous_ledger.ledger.replies import FutureReply
from nous_ledger.ledger.work import RecordsWork, RecordWork, Work
from nous_ledger.protocol.bodies import Reconciliation, decode_body
from nous_ledger.protocol.label import Bucket
from nous_ledger.protocol.record import TYPE_RECONCILIATION, decode_record
from tests.integration.ledger_audit import error_code, verified
from tests.integration.ledger_drafts import Clock, make_draft

EXACT = Bucket(
    kind=16,
    reported=45,
    label=1,
    lower=44,
    upper=45,
    method="o200k_base/1",
    vocab=bytes(32),
    count=44,
)


def claim(logged: Appended, *usage: Bucket, **changes: Any) -> Reconciliation:
    """Return evidence that was checked for a receipt."""
    values: dict[str, Any] = {
        "salt": bytes(16),
        "index": logged.index,
        "body_hash": decode_record(logged.record).body_hash,
        "usage": usage or (EXACT,),
        "source": "folder/1 checked",
    }
    return Reconciliation(**(values | changes))


def logged_some(ledger: Ledger, count: int) -> tuple[Appended, ...]:
    seed = random.Random(4)
    return ledger.append_many([make_draft(seed) for _ in range(count)])


def test_evidence_is_a_record_beside_the_receipt(ledger: Ledger, folder: Path) -> None:
    """RCON-2, RCON-3: the receipt stays as it was logged."""
    logged, other = logged_some(ledger, 2)
    (entry,) = ledger.append_reconciliations([claim(logged)])
    assert entry is not None
    assert decode_record(entry.record).type == TYPE_RECONCILIATION
    assert decode_body(TYPE_RECONCILIATION, entry.body) == claim(logged)
    assert ledger.reconciled() == (logged.index,)
    later = ledger.reconciliations(logged.index)
    assert later is not None
    assert [(one.index, one.bucket, one.is_checked) for one in later.evidence] == [
        (entry.index, EXACT, True)
    ]
    usage = later.relabelled(logged.receipt).usage or ()
    assert [(bucket.kind, bucket.label) for bucket in usage] == [(1, 3), (16, 1)]
    assert ledger.reconciliations(other.index) is None
    assert ledger.entry(logged.index).body == logged.body
    report = verified(ledger, ledger.prove(entry.index))
    assert (report.attribution.code, report.inclusion.code) == ("", "")
    assert report.accuracy.code == "no-receipt"
    ledger.close()
    assert fsck(folder).fault_count == 0
    with Ledger.open(folder, read_only=True) as again:
        assert again.reconciled() == (logged.index,)


def test_the_same_evidence_is_logged_once(ledger: Ledger) -> None:
    """RCON-5."""
    (logged,) = logged_some(ledger, 1)
    count = ledger.leaf_count()
    first, second = ledger.append_reconciliations([claim(logged), claim(logged)])
    assert (first is not None, second) == (True, None)
    assert ledger.append_reconciliations([claim(logged, salt=b"\x01" * 16)]) == (None,)
    assert ledger.leaf_count() == count + 1
    own = logged.receipt.usage or ()
    assert ledger.append_reconciliations([claim(logged, own[1])]) == (None,)
    both = claim(logged, own[0], EXACT)
    assert ledger.append_reconciliations([both]) == (None,)
    narrower = replace(own[1], lower=40, upper=50, method="later/1")
    (entry,) = ledger.append_reconciliations([claim(logged, narrower)])
    assert entry is not None


def test_checked_evidence_outweighs_what_was_not_checked(ledger: Ledger) -> None:
    """RCON-4, RCON-5."""
    (logged,) = logged_some(ledger, 1)
    weak = claim(logged, source="litellm-log/1 unchecked")
    differs = replace(EXACT, count=40, lower=40, upper=41)
    assert ledger.append_reconciliations([weak])[0] is not None
    assert ledger.append_reconciliations([weak]) == (None,)
    assert ledger.append_reconciliations([claim(logged)])[0] is not None  # now it was checked
    assert ledger.append_reconciliations([weak]) == (None,)
    denied = claim(logged, differs, source="litellm-log/1 unchecked")
    assert error_code(lambda: ledger.append_reconciliations([denied])) == "already-reconciled"
    assert ledger.append_reconciliations([claim(logged, differs)])[0] is not None
    later = ledger.reconciliations(logged.index)
    ledger.reconciled()
    later = ledger.reconciliations(logged.index)
    assert later is not None
    assert len(later.claims) == 3
    assert [one.bucket.count for one in later.evidence] == [40]  # the highest index counts


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "no such record": ("input", {"index": 99}),
    "no receipt": ("input", {"index": 0}),
    "another body": ("input", {"body_hash": bytes(32)}),
    "another count": ("field-conflict", {"usage": (replace(EXACT, reported=46),)}),
    "another kind": (
        "field-conflict",
        {"usage": (Bucket(kind=17, reported=1, label=2, lower=0, upper=2, method="m"),)},
    ),
    "too long a body": ("limit", {"extensions": ((200, b"x" * 5_000),)}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_its_receipt_is_refused(ledger: Ledger, what: str) -> None:
    """RCON-1, BODY-16: nothing of its group is logged."""
    code, changes = REFUSED[what]
    first, second = logged_some(ledger, 2)
    count = ledger.leaf_count()
    wrong = claim(first, **changes)
    assert error_code(lambda: ledger.append_reconciliations([claim(second), wrong])) == code
    assert ledger.leaf_count() == count


def test_what_cannot_be_encoded_fails_its_own_work_alone(ledger: Ledger) -> None:
    """Of one group that the disk takes in at once, the others are logged."""
    first, second = logged_some(ledger, 2)
    long = replace(claim(first), extensions=((200, b"x" * 5_000),))
    works: list[Work] = [
        ledger.append_work(make_draft(random.Random(5))),
        RecordsWork(choose=lambda _: (claim(second), long)),
        RecordWork(body=long, check=lambda _: None),
        RecordsWork(choose=lambda _: (None, claim(second))),
    ]
    replies = [FutureReply() for _ in works]
    ledger.send_all(list(zip(works, replies, strict=True)))
    logged, none_of_two, none, one_of_two = [reply.future for reply in replies]
    assert error_code(none_of_two.result) == error_code(none.result) == "limit"
    skipped, entry = one_of_two.result()
    assert (logged.result().index, skipped, entry.index) == (3, None, 4)
    assert ledger.leaf_count() == 5
    assert ledger.reconciled() == (second.index,)


def test_exact_only_where_the_receipt_allows_it(ledger: Ledger) -> None:
    """LBL-6."""
    seed = random.Random(4)
    forbidden = ledger.append(make_draft(seed, anomalies=(12,)))
    cut = ledger.append(make_draft(seed, status=8))
    for logged in (forbidden, cut):
        wrong = partial(ledger.append_reconciliations, [claim(logged)])
        assert error_code(wrong) == "exact-not-allowed"
    ledger.redact([cut.index], "retention")
    erased = claim(cut)
    assert error_code(lambda: ledger.append_reconciliations([erased])) == "withheld"


def test_too_many_at_once(ledger: Ledger) -> None:
    (logged,) = logged_some(ledger, 1)
    many = [claim(logged)] * (MAX_RECONCILED + 1)
    assert error_code(lambda: ledger.append_reconciliations(many)) == "input"


def test_an_erased_receipt_has_no_evidence(ledger: Ledger) -> None:
    (logged,) = logged_some(ledger, 1)
    ledger.append_reconciliations([claim(logged)])
    ledger.redact([logged.index], "retention")
    ledger.reconciled()
    assert ledger.reconciliations(logged.index) is None


def test_of_two_ledgers_and_many_threads_one_logs_it(
    ledger: Ledger, folder: Path, clock: Clock
) -> None:
    """Two ledgers on one folder, as two processes are."""
    logged = logged_some(ledger, 20)
    claims = [claim(one) for one in logged]
    with Ledger.open(folder, clock=clock) as beside, ThreadPoolExecutor(8) as threads:
        sides = [ledger, beside] * 10
        done = list(threads.map(lambda side: side.append_reconciliations(claims), sides))
    assert sum(entry is not None for entries in done for entry in entries) == 20
    assert len(ledger.reconciled()) == 20
    ledger.close()
    assert fsck(folder).fault_count == 0


_KILLED = """
import os, sys
from nous_ledger.ledger import Ledger
from tests.integration.test_ledger_reconciling import claim
from nous_ledger.ledger.model import Appended
ledger = Ledger.open(sys.argv[1])
for index in range(1, 41):
    entry = ledger.entry(index)
    logged = Appended(index=entry.index, record=entry.record, body=entry.body)
    ledger.append_reconciliations([claim(logged)])
    os.write(1, b"%d\\n" % index)
    if index == 25:
        os.kill(os.getpid(), 9)
"""


def test_what_was_promised_survives_a_kill(ledger: Ledger, folder: Path) -> None:
    logged = logged_some(ledger, 40)
    ledger.close()
    run = subprocess.run(
        [sys.executable, "-c", _KILLED, str(folder)], capture_output=True, check=False
    )
    promised = [int(line) for line in run.stdout.split()]
    assert (run.returncode, len(promised)) == (-9, 25), run.stderr
    with Ledger.open(folder) as again:
        assert {*promised} <= {*again.reconciled()}
        entries = again.append_reconciliations([claim(one) for one in logged])
        assert sum(entry is None for entry in entries) >= 25
        assert len(again.reconciled()) == 40
    assert fsck(folder).fault_count == 0
