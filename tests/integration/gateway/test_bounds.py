"""Bounds that a running gateway fixes in its receipts (BND-1 to BND-16)."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nous_ledger.gateway import bounds
from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.bounds import read_ceilings
from nous_ledger.gateway.metering import Metered
from nous_ledger.gateway.providers import ROUTES
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Bucket
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import SubjectId, UnixMillis
from nous_ledger.protocol.verify import verify_bundle
from nous_ledger.reconcile import counting, hidden
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.tokenizers import Encoding
from tests.integration.gateway.rig import CHAT, MESSAGES, Rig, running_gateway

ASKS = {"model": "demo-think", "messages": [{"role": "user", "content": "Why?"}]}
RATE = 50_000


def buckets(receipt: Receipt) -> dict[int, Bucket]:
    return {bucket.kind: bucket for bucket in receipt.usage or ()}


@pytest.fixture
def hurried(log: Ledger, demo_url: str) -> Iterator[Rig]:
    """A gateway whose operator declares how fast the upstream is at most."""
    config = AppConfig(upstreams=dict.fromkeys(ROUTES, demo_url), decode_ceilings={"openai": RATE})
    with contextlib.ExitStack() as exits:
        thread = exits.enter_context(GatewayThread(log, config))
        yield Rig(log, thread.url, exits)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_declared_ceiling_bounds_hidden_thinking_by_time(hurried: Rig, streamed: bool) -> None:
    """BND-9: and what cannot be found again is said to be so (BND-20)."""
    request = {**ASKS, "stream": streamed}
    got = hurried.call(CHAT, request)
    receipt = hurried.only_receipt()
    found = buckets(receipt)[17]
    assert (found.lower, found.method) == (0, f"decode-ceiling/1+{RATE}")
    assert found.upper is not None
    assert receipt.duration is not None
    assert found.upper <= RATE * (receipt.duration + 1) // 1000
    assert buckets(receipt)[16].method == "bytes/1"
    report = verify_bundle(
        hurried.ledger.prove(1),
        parse_policy(hurried.ledger.policy_text()),
        opening=got.opening,
        request=json.dumps(request).encode(),
        response=got.body,
        recount=recount_bounds,
    )
    assert (report.accuracy.outcome, report.accuracy.code) == ("could-not-check", "not-recounted")


def test_other_routes_have_no_ceiling(hurried: Rig) -> None:
    hurried.call(MESSAGES, {**ASKS, "max_tokens": 9})
    assert buckets(hurried.only_receipt())[17].label == UNVERIFIABLE


def test_what_the_request_allowed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """BND-6, at a provider that is known to keep it."""
    monkeypatch.setattr(hidden, "cap_holds", lambda *_: True)
    rig.call(CHAT, {**ASKS, "max_completion_tokens": 5_000})
    found = buckets(rig.only_receipt())
    assert found[17].method == "max-tokens/1"
    assert found[17].upper == 5_001 - (found[16].reported or 0)


def test_input_is_explained_by_the_request(rig: Rig) -> None:
    """BND-15."""
    request = {"messages": [{"role": "user", "content": "Why is that so? " * 40}]}
    rig.call(CHAT, {**request, "model": "demo-plain"})
    found = [b for b in buckets(rig.only_receipt()).values() if b.kind < 9]
    assert {b.label for b in found} == {BOUNDED}
    assert {b.method for b in found} == {"prompt-bytes/1"}


@pytest.mark.parametrize(
    ("words", "more", "beside"), [(3, {}, []), (3, {"n": 1}, [False]), (20_000, {}, [True])]
)
def test_long_input_is_looked_at_beside_the_event_loop(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, words: int, more: dict[str, int], beside: list[bool]
) -> None:
    """And what was seen as the request came is not looked at again."""
    threads: list[str] = []
    kept = bounds.request_fields

    def noted(*given: Any) -> Any:
        threads.append(threading.current_thread().name)
        return kept(*given)

    monkeypatch.setattr(bounds, "request_fields", noted)
    messages = [{"role": "user", "content": "word " * words}]
    rig.call(CHAT, {"model": "demo-plain", "messages": messages, **more})
    assert [name.startswith("asyncio_") for name in threads] == beside
    found = [b for b in buckets(rig.only_receipt()).values() if b.kind < 9]
    assert {b.method for b in found} == {"prompt-bytes/1"}


@pytest.mark.parametrize("limit", ["MAX_PROMPT_BYTES", "MAX_PROMPT_SEPARATORS"])
def test_very_long_input_is_not_looked_at(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(bounds, limit, 2)
    rig.call(CHAT, {**ASKS, "messages": [{"role": "user", "content": "a " * 100}], "n": 1})
    assert {b.label for b in buckets(rig.only_receipt()).values() if b.kind < 9} == {UNVERIFIABLE}


def test_switched_off(log: Ledger, demo_url: str) -> None:
    """Then there are bounds by bytes and nothing else."""
    with running_gateway(log, demo_url, recount=False) as running:
        running.call(CHAT, {**ASKS, "max_completion_tokens": 5_000})
        found = buckets(running.only_receipt())
    assert {b.method for b in found.values()} == {"bytes/1", None}
    assert found[17].label == UNVERIFIABLE


def test_declared_ceilings() -> None:
    assert read_ceilings(("openai=400", "custom-lab=1000000")) == {
        "openai": 400,
        "custom-lab": 1_000_000,
    }
    for wrong in (
        "openai",
        "=400",
        "openai=",
        "openai=0",
        "openai=1000001",
        "openai=4e2",
        "openai=-5",
        "nowhere=5",
    ):
        with pytest.raises(InputError):
            read_ceilings((wrong,))


def test_without_an_engine_bytes_explain(monkeypatch: pytest.MonkeyPatch) -> None:
    """BND-10: it is looked for once, and its absence costs no more than that."""
    looked: list[str] = []

    def missing(encoding: Encoding) -> Any:
        looked.append(encoding.name)
        raise RecountError("no-tokenizer", "the engine is not installed")

    monkeypatch.setattr(counting, "engine_for", missing)
    request = json.dumps({**ASKS, "model": "gpt-4o"}).encode()
    usage = (Bucket(kind=8, reported=9, label=UNVERIFIABLE),)
    metered = Metered(metering=1, usage=usage, model="gpt-4o")
    draft = Receipt(
        salt=bytes(16),
        id=bytes(6) + b"\x70\x00\x80" + bytes(7),
        time=UnixMillis(0),
        source=1,
        subject=SubjectId(bytes(32)),
        subject_seq=0,
        provider="openai",
        upstream="api.openai.com",
        operation="chat",
        api=1,
        status=0,
        metering=1,
    )
    notes = bounds.CallNotes(request, hidden.NOTHING_NAMED, "openai", 0.0)
    bounder = bounds.Bounder()

    async def twice() -> tuple[Metered, Metered]:
        return await bounder.label(metered, draft, 0, notes), await bounder.label(
            metered, draft, 0, notes
        )

    for found in asyncio.run(twice()):
        assert found.usage[0].method == "prompt-bytes/1"
    assert looked == ["o200k_base"]
