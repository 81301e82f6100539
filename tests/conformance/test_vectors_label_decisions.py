"""Whole calls through what the gateway labels with, against the vectors, and counted again."""

import asyncio
import time

from nous_ledger.gateway.bounds import Bounder, CallNotes, bound_request
from nous_ledger.gateway.exact import Recounter
from nous_ledger.gateway.metering import Meter, Metered
from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.gateway.request import RequestFacts, read_request
from nous_ledger.protocol.label import UNVERIFIABLE, Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import LABEL
from nous_ledger.protocol.types import Hash32, SubjectId, UnixMillis
from nous_ledger.reconcile.hidden import OutputEvidence, bound_output
from nous_ledger.reconcile.tokenizers import builtin_table
from tests.conformance.vector_files import Case, cases

RECOUNTER, BOUNDER = Recounter(), Bounder()
WHOLE = (0, 8)


def receipt_of(case: Case, asked: str | None, metered: Metered = Metered()) -> Receipt:  # noqa: B008 - frozen
    """Return the receipt of a call."""
    return Receipt(
        salt=bytes(16),
        id=bytes(6) + b"\x70\x00\x80" + bytes(7),
        time=UnixMillis(0),
        source=1,
        subject=SubjectId(bytes(32)),
        subject_seq=0,
        provider=case["provider"],
        upstream="api.example.com",
        operation="chat",
        api=case["api"],
        model_requested=asked,
        model_served=metered.model,
        status=case["status"],
        streamed=1 if case["streamed"] else None,
        metering=metered.metering,
        usage=metered.usage or None,
        response_commitment=Hash32(bytes(32)),
    )


def meter(case: Case, facts: RequestFacts) -> Metered:
    """Return what is metered of a response, without labels that need more than it."""
    plain = RECOUNTER.wants(case["api"], case["provider"], plain_request=facts.plain)
    found = Meter(case["api"], streamed=case["streamed"], keep_text=plain)
    found.feed(case["response"].encode())
    found.close()
    return found.result(
        hidden_ruled_out=facts.hidden_ruled_out,
        all_shown=facts.all_shown,
        reached=case["status"] in WHOLE,
        cut=case["status"] == 3,
    )


def as_vector(bucket: Bucket) -> Case:
    """Return a bucket as the vectors write it."""
    names = ("kind", "reported", "label", "lower", "upper", "method", "vocab", "count")
    found = {name: getattr(bucket, name) for name in names}
    found |= {"label": LABEL.name_of(bucket.label), "vocab": bucket.vocab and bucket.vocab.hex()}
    return {name: value for name, value in found.items() if value is not None}


@cases("label_decisions", "Terms")
def test_terms(case: Case) -> None:
    """What a request and a declared ceiling leave for output (BND-2, BND-5 to BND-7, BND-9)."""
    shape = CallShape(api=case["api"], operation="chat")
    rate, milliseconds = case["ceiling"] or (None, 0)
    evidence = OutputEvidence(
        provider=case["provider"],
        api=case["api"],
        model=case["model"],
        status=0,
        allowance=read_request(shape, case["request"].encode(), may_ask=False).allowance,
        rate=rate,
        whole_ms=milliseconds,
    )
    usage = tuple(
        Bucket(kind=kind, reported=tokens, label=UNVERIFIABLE) for kind, tokens in case["reported"]
    )
    found = bound_output(usage, evidence)
    assert [as_vector(bucket) for bucket in found] == case["buckets"]


@cases("label_decisions", "Input")
def test_input(case: Case) -> None:
    """What a request explains of its input by its bytes, if it is closed (BND-12, BND-15)."""
    usage = tuple(
        Bucket(kind=kind, reported=tokens, label=UNVERIFIABLE) for kind, tokens in case["reported"]
    )
    call = {**case, "status": 0, "streamed": False}
    receipt = receipt_of(call, case["model"], Metered(metering=1, usage=usage))
    body = case["request"].encode()
    found = bound_request(usage, receipt, case["model"], body, builtin_table())
    assert [as_vector(bucket) for bucket in found] == case["buckets"]


@cases("label_decisions", "Decisions")
def test_decisions(case: Case) -> None:
    """What a call's counts are called, and nothing else (LBL-5, TOK-4, TOK-5, BND-1 to BND-19)."""
    request = case["request"].encode()
    facts = read_request(CallShape(api=case["api"], operation="chat"), request, may_ask=False)
    metered = meter(case, facts)
    assert [[b.kind, b.reported] for b in metered.usage] == case["reported"]
    assert metered.metering == case["metering"]
    assert sorted(metered.anomalies) == case["anomalies"]
    assert metered.model == case["model"]
    draft = receipt_of(case, facts.model)
    notes = CallNotes(request, facts.allowance, "openai", time.monotonic())

    async def label() -> Metered:
        counted = await RECOUNTER.label(metered, draft, case["status"])
        return await BOUNDER.label(counted, draft, case["status"], notes)

    labelled = asyncio.run(label())
    assert [as_vector(bucket) for bucket in labelled.usage] == case["buckets"]


@cases("label_decisions", "Decisions")
def test_decisions_can_be_made_again(case: Case) -> None:
    """Who has request and response comes to every range that is claimed (BND-20, TOK-6)."""
    request, response = case["request"].encode(), case["response"].encode()
    usage = tuple(
        Bucket(
            **{
                **bucket,
                "label": LABEL[bucket["label"]],
                "vocab": bytes.fromhex(bucket["vocab"]) if "vocab" in bucket else None,
            }
        )
        for bucket in case["buckets"]
    )
    asked = read_request(CallShape(api=case["api"], operation="chat"), request).model
    metered = Metered(metering=case["metering"], usage=usage, model=case["model"])
    found = recount_bounds(receipt_of(case, asked, metered), request, response)
    whole = case["status"] in WHOLE
    assert {kind: [r.lower, r.upper] for kind, r in found.items()} == {
        bucket["kind"]: [bucket["lower"], bucket["upper"]]
        for bucket in case["buckets"]
        if whole and "method" in bucket
    }
