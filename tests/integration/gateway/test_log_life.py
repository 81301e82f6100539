"""A gateway while another process rotates, redacts and closes its log."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from nous_ledger.ledger import Ledger, StoreError
from nous_ledger.protocol.bundle import parse_bundle
from nous_ledger.protocol.head import decode_head_signature
from nous_ledger.protocol.note import parse_note
from nous_ledger.protocol.record import decode_record
from tests.integration.gateway.rig import AUDITOR, CHAT, Rig, running_gateway
from tests.integration.ledger_keys import Keys, good

HELLO = {"model": "gpt-demo", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def rig(folder: Path, keys: Keys, demo_url: str) -> Iterator[Rig]:
    """A gateway whose log can rotate."""
    with (
        Ledger.create(folder, next_key_out=keys[0]) as log,
        running_gateway(log, demo_url) as running,
    ):
        yield running


def test_a_rotation_does_not_disturb_calls(rig: Rig, folder: Path, keys: Keys) -> None:
    assert rig.call(CHAT, HELLO).status == 200
    with Ledger.open(folder) as other:
        other.rotate(keys[0], next_key_out=keys[1])
    answer = rig.call(CHAT, HELLO)
    assert answer.status == 200
    rig.ledger.head()
    entry = rig.ledger.find_receipt(answer.id)
    assert entry is not None
    assert decode_record(entry.record).epoch == 1
    note = parse_note(rig.get("/checkpoint").body)
    assert decode_head_signature(note.signatures[1].payload).epoch == 1
    for index in range(rig.ledger.leaf_count()):
        good(rig.ledger, index)


def test_an_erased_body_is_served_to_nobody(rig: Rig, folder: Path) -> None:
    made = rig.call(CHAT, HELLO)
    entry = rig.ledger.find_receipt(made.id)
    assert entry is not None
    rig.ledger.head()
    place = f"/v1/receipts/{made.headers['nous-receipt-id']}"
    auditor = {"authorization": f"Bearer {AUDITOR}"}
    caller = {"nous_opening": made.opening.hex()}
    for rights in (auditor, caller):
        assert json.loads(rig.get(place, **rights).body)["body"] is not None
        assert parse_bundle(rig.get(f"{place}/proof", **rights).body).body == entry.body
    with Ledger.open(folder) as other:
        other.redact([entry.index], "data_subject_request")
    assert json.loads(rig.get(place, **auditor).body)["body"] is None
    assert rig.get(place, **caller).status == 403, "the hash of the opening is gone too"
    for rights in (auditor, caller):
        assert parse_bundle(rig.get(f"{place}/proof", **rights).body).body == b""


def test_a_closed_log_takes_no_call(folder: Path, keys: Keys, demo_url: str) -> None:
    """It is not closed under a gateway that serves it; one that is started later reads."""
    with Ledger.create(folder, next_key_out=keys[0]) as log:
        with running_gateway(log, demo_url), Ledger.open(folder) as other:
            with pytest.raises(StoreError) as refused:
                other.close_log(keys[0])
            assert refused.value.code == "gateway-running"
        log.close_log(keys[0])
        with running_gateway(log, demo_url) as rig:
            answer = rig.call(CHAT, HELLO)
            assert answer.status >= 500
            assert rig.ledger.leaf_count() == 2
            assert rig.ledger.open_intents() == ()
            assert rig.get("/checkpoint").status == 200
