"""Answers that are counted again as they pass, and all those that are not (LBL-3 to LBL-5)."""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from nous_ledger.gateway import app, exact
from nous_ledger.gateway import recount as recounting
from nous_ledger.gateway.counting import ThreadCounter
from nous_ledger.gateway.recount import recount_bounds
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.label import BOUNDED, EXACT, Bucket
from nous_ledger.protocol.policy import parse_policy
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.verify import verify_bundle
from nous_ledger.reconcile.counting import engine_for
from nous_ledger.reconcile.tokenizers import TokenizerTable, builtin_table
from tests.integration.gateway.rig import CHAT, RESPONSES, Answer, Rig, running_gateway

BUILTIN = builtin_table()
ENCODING = BUILTIN.encodings["o200k_base"]
ASKS: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Tell me of réçus, 收据 and 🧾"}]},
    RESPONSES: {"input": "Tell me of réçus, 收据 and 🧾"},
}


def table(**changes: Any) -> TokenizerTable:
    """The table of tokenizers, with a rule for the models of the stand-in."""
    values: dict[str, Any] = {
        "providers": frozenset({"custom"}),
        "names": re.compile("demo-.*"),
        "encoding": ENCODING,
    }
    rule = dataclasses.replace(BUILTIN.rules[0], **(values | changes))
    return dataclasses.replace(BUILTIN, rules=(rule,))


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "builtin_table", table)


class CounterHere(ThreadCounter):
    """Counts in this process, where the vocabulary is loaded once."""

    async def close(self) -> None:
        """End nothing."""


@pytest.fixture
def counting(
    known: None, log: Ledger, demo_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rig]:
    monkeypatch.setattr(app, "ProcessCounter", CounterHere)
    with running_gateway(log, demo_url) as running:
        yield running


@pytest.fixture
def counting_apart(known: None, log: Ledger, demo_url: str) -> Iterator[Rig]:
    """A gateway as it is: a process of its own counts."""
    with running_gateway(log, demo_url) as running:
        yield running


def visible(receipt: Receipt) -> Bucket:
    (bucket,) = (b for b in receipt.usage or () if b.kind in (16, 18))
    return bucket


def text_of(got: Answer, path: str, *, streamed: bool) -> str:
    """The visible text, read by other means than the gateway's."""
    if not streamed:
        body = json.loads(got.body)
        if path == CHAT:
            return str(body["choices"][0]["message"]["content"])
        return "".join(p["text"] for i in body["output"] for p in i.get("content", ()))
    lines = got.body.decode().splitlines()
    events = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    if path == CHAT:
        deltas = [choice["delta"] for event in events for choice in event["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)
    return "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")


@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_plain_answer_is_counted_again(counting: Rig, path: str, streamed: bool) -> None:
    check_counted(counting, path, streamed=streamed)


def test_a_process_of_its_own_counts(counting_apart: Rig) -> None:
    check_counted(counting_apart, CHAT, streamed=True)


def check_counted(counting: Rig, path: str, *, streamed: bool) -> None:
    request = {"model": "demo-plain", "stream": streamed, **ASKS[path]}
    got = counting.call(path, request)
    receipt = counting.only_receipt()
    bucket = visible(receipt)
    count = engine_for(ENCODING)(text_of(got, path, streamed=streamed))
    assert count is not None
    assert count > 5
    assert (bucket.label, bucket.method, bucket.vocab) == (
        EXACT,
        "o200k_base/1",
        ENCODING.vocabulary,
    )
    assert (bucket.count, bucket.lower, bucket.upper) == (count, count, count + 1)
    report = verify_bundle(
        counting.ledger.prove(1),
        parse_policy(counting.ledger.policy_text()),
        opening=got.opening,
        request=json.dumps(request).encode(),
        response=got.body,
        recount=recount_bounds,
    )
    assert report.accuracy.outcome == "established"


@pytest.mark.parametrize("path", ASKS)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("scenario", ["tools", "think", "long"])
def test_other_answers_are_not(counting: Rig, path: str, scenario: str, streamed: bool) -> None:
    """Tool calls, thinking, and answers that a limit cut short."""
    counting.call(path, {"model": f"demo-{scenario}", "stream": streamed, **ASKS[path]})
    assert visible(counting.only_receipt()).label != EXACT


@pytest.mark.parametrize(
    "changes",
    [
        {"n": 2},
        {"logprobs": True},
        {"stop": ["\n"]},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"modalities": ["text", "audio"]},
        {"model": "ft:demo-plain:acme"},
        {"model": "other-plain"},
    ],
)
def test_other_requests_are_not(counting: Rig, changes: dict[str, Any]) -> None:
    counting.call(CHAT, {"model": "demo-plain", **ASKS[CHAT], **changes})
    assert visible(counting.only_receipt()).label != EXACT


def test_a_provider_that_the_table_does_not_name_is_never_exact(rig: Rig) -> None:
    """Whose model answers at a configured address is not known, whatever it is called."""
    rig.call(CHAT, {"model": "gpt-4o", **ASKS[CHAT]})
    assert visible(rig.only_receipt()).label == BOUNDED


def test_switched_off(known: None, log: Ledger, demo_url: str) -> None:
    with running_gateway(log, demo_url, recount=False) as running:
        running.call(CHAT, {"model": "demo-plain", **ASKS[CHAT]})
        bucket = visible(running.only_receipt())
    assert (bucket.label, bucket.method) == (BOUNDED, "bytes/1")


def test_another_vocabulary(log: Ledger, demo_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(ENCODING, vocabulary=bytes(32))
    monkeypatch.setattr(exact, "builtin_table", lambda: table(encoding=wrong))
    with running_gateway(log, demo_url) as running:
        running.call(CHAT, {"model": "demo-plain", **ASKS[CHAT]})
        bucket = visible(running.only_receipt())
    assert (bucket.label, bucket.method) == (BOUNDED, "bytes/1")


def test_a_verifier_without_the_tokenizer_says_so(
    counting: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TOK-6. Labels survive: what cannot be counted here is not wrong, and reads as it did."""
    got = counting.call(CHAT, {"model": "demo-plain", **ASKS[CHAT]})
    before = counting.only_receipt()
    nothing = dataclasses.replace(BUILTIN, encodings={})
    monkeypatch.setattr(recounting, "builtin_table", lambda: nothing)
    report = verify_bundle(
        counting.ledger.prove(1),
        parse_policy(counting.ledger.policy_text()),
        opening=got.opening,
        response=got.body,
        recount=recount_bounds,
    )
    assert (report.accuracy.outcome, report.accuracy.code) == ("could-not-check", "not-recounted")
    assert visible(before).label == EXACT
