"""Stream audit: the library against the vectors, to the bit."""

import dataclasses
import struct
from collections.abc import Sequence

from nous_ledger.protocol.audit_streams import stream_sample
from nous_ledger.protocol.bodies import decode_body
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.stream_audit import StreamAudit, alarm_level, decode_stream_audit
from tests.conformance.vector_files import Case, cases, unhex


def bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def row(values: Sequence[float]) -> list[str]:
    return [bits(value) for value in values]


@cases("stream_audit", "Stream")
def test_streams(case: Case) -> None:
    level = alarm_level(case["number"], case["alpha"])
    audit = StreamAudit(lowest=case["lowest"], highest=case["highest"], level=level)
    looks = {look["t"]: look for look in case["looks"]}
    for reported, counted in case["samples"]:
        audit.update(reported, counted)
        if look := looks.pop(audit.receipts, None):
            assert row(audit.over()) == look["over"]
            assert row(audit.under()) == look["under"]
            assert row(audit.evidence()) == look["evidence"]
            audit = decode_stream_audit(audit.encode())  # goes on as if nothing had happened
    assert not looks
    assert (audit.over_at, audit.under_at) == (case["overAt"], case["underAt"])
    assert (audit.inconsistent_at, audit.excess) == (case["inconsistentAt"], case["excess"])
    found = (audit.contradicted, audit.contradicted_at, str(audit.state))
    assert found == (case["contradicted"], case["contradictedAt"], case["state"])


@cases("stream_audit", "Level")
def test_levels(case: Case) -> None:
    assert bits(alarm_level(case["number"], case["alpha"])) == case["level"]


@cases("stream_audit", "Sample")
def test_samples(case: Case) -> None:
    receipt = decode_body(1, unhex(case["body"]))
    assert isinstance(receipt, Receipt)
    found = stream_sample(receipt)
    if case["sample"] is None:
        assert found is None
        return
    assert found is not None
    key, reported, counted = found
    fields = dataclasses.asdict(key) | {"vocab": key.vocab.hex()}
    fields |= fields.pop("service")
    assert fields | {"reported": reported, "counted": counted} == case["sample"]
