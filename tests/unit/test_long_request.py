"""Requests of many values: what is read of them, and how long other calls wait meanwhile."""

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway import long_request
from nous_ledger.gateway.long_request import (
    MAX_AT_ONCE,
    Outline,
    is_long,
    read_long_request,
)
from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.providers import API_CHAT, API_COMPLETIONS, API_MESSAGES
from nous_ledger.gateway.request import RequestFacts, read_request
from nous_ledger.protocol.errors import FormatError

CHAT = CallShape(api=API_CHAT, operation="chat")
ASK = b'"include_usage":true'
MANY = b"[" + b"0," * MAX_AT_ONCE + b"0]"
TALK = {"role": "user", "content": 'Well, [sic], {"q": "a\\\\"} \\ and so on, and on, "…"\n'}


def _facts(body: bytes, shape: CallShape = CHAT, **more: Any) -> RequestFacts:
    given = {"may_ask": True, "not_with": (), **more}
    return asyncio.run(read_long_request(shape, body, **given))


def _outline(body: bytes) -> Outline:
    outline = Outline(body)
    for _ in outline.find():
        pass
    return outline


def test_a_long_conversation_is_read_like_any_other() -> None:
    body = json.dumps(
        {"model": "m", "stream": True, "max_tokens": 9, "messages": [TALK] * 9_000}
    ).encode()
    assert is_long(body)
    assert _outline(body).separators < MAX_AT_ONCE
    facts = _facts(body)
    assert facts == read_request(CHAT, body)
    assert facts.allowance.tokens == 9
    assert facts.altered is not None
    assert ASK in facts.altered


def test_what_stands_in_strings_is_no_value() -> None:
    body = b'{"model":"m","stream":true,"messages":"' + b"[," * 600_000 + b'"}'
    facts = _facts(body)
    assert facts.model == "m"
    assert facts.altered is not None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a":%s,"stream":true}', b'{"stream_options":{%%s},"a":%s,"stream":true}'),
        (b' { "stream" : true,"a":%s }\n', b' {"stream_options":{%%s}, "stream" : true,"a":%s }\n'),
        (
            b'{"stream":true,"stream_options":{},"a":%s}',
            b'{"stream":true,"stream_options":{%%s},"a":%s}',
        ),
        (
            b'{"stream_options":{"x":[1]},"a":%s,"stream":true}',
            b'{"stream_options":{%%s,"x":[1]},"a":%s,"stream":true}',
        ),
        (
            b'{"a":%s,"stream":true,"stream_options":{"include_usage": false}}',
            b'{"a":%s,"stream":true,"stream_options":{"include_usage": true}}',
        ),
        (
            b'{"a":%s,"stream":true,"stream_options":null}',
            b'{"a":%s,"stream":true,"stream_options":{%%s}}',
        ),
        (
            b'{"a":%s,"stream":false,"str\\u0065am":true}',
            b'{"stream_options":{%%s},"a":%s,"stream":false,"str\\u0065am":true}',
        ),
        (b'{"a":%s,"stream":true,"stream_options":{"include_usage":true}}', None),
        (b'{"a":%s,"stream":true,"stream_options":"odd"}', None),
        (b'{"a":%s,"stream":true,"stream":false}', None),
        (b'{"a":%s,"stream":"true"}', None),
        (b'{"a":{"stream":true,"b":%s}}', None),
        (b'{"a":%s,"stream":true} x', None),
        (b'{"a":%s,"stream":true', None),
        (b'{"a":%s,"stream" true}', None),
        (b'{"a":%s,"stream":}', None),
        (b'{"a":%s "stream":true}', None),
        (b'{"a":"%s,"stream":true}', None),
        (b'[%s,{"stream":true}]', None),
    ],
)
def test_usage_is_asked_for_among_many_values(before: bytes, after: bytes | None) -> None:
    body = before % MANY
    assert is_long(body)
    wanted = None if after is None else after % MANY
    if wanted is not None and b"%s" in wanted:
        wanted = wanted % ASK
    assert _facts(body).altered == wanted
    assert read_request(CHAT, body).altered == wanted


def test_of_many_values_only_the_model_is_told() -> None:
    body = b'{"model":"m","reasoning_effort":"none","n":1,"max_tokens":5,"logit_bias":%s}' % MANY
    assert _facts(body) == RequestFacts(model="m", all_shown=True)
    assert _facts(body, CallShape(api=API_MESSAGES, operation="x", model="p")).model == "p"
    assert not _facts(body, CallShape(api=API_COMPLETIONS, operation="x")).all_shown
    assert _facts(body.replace(b'"m"', b'["m"]')).model is None


def test_nobody_is_asked_who_does_not_take_the_question() -> None:
    body = b'{"stream":true,"tools":[],"a":%s}' % MANY
    assert _facts(body).altered is not None
    assert _facts(body, may_ask=False).altered is None
    assert _facts(body, not_with=("tools",)).altered is None
    assert _facts(body, CallShape(api=API_MESSAGES, operation="x")).altered is None


@pytest.mark.parametrize("bound", ["_MAX_STEPS", "MAX_SEPARATORS"])
def test_too_many_values_are_not_read(monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    body = b'{"model":"m","stream":true,"a":[%s]}' % b",".join([b"{}"] * 30_000)
    assert _facts(body).altered is not None
    monkeypatch.setattr(long_request, bound, 59_000)
    assert _facts(body) == RequestFacts(all_shown=True)


@pytest.mark.parametrize(
    "many",
    [
        b"[" + b",".join([b'{"a":[]}'] * 50_000) + b"]",
        b"{" + b",".join(b'"k%d":0' % number for number in range(150_000)) + b"}",
        b"[" * 60_000 + b"]" * 60_000,
        json.dumps([TALK] * 10_000).encode(),
        b'["' + rb"\n" * 2_000_000 + b'"' + b",0" * 60_000 + b"]",
    ],
)
def test_other_calls_have_their_turn(many: bytes) -> None:
    body = b'{"model":"m","stream":true,"a":%s}' % many
    assert is_long(body)
    worst = 0.0

    async def keep_turning() -> None:
        nonlocal worst
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            worst = max(worst, time.thread_time() - began)

    async def read() -> RequestFacts:
        turning = asyncio.create_task(keep_turning())
        await asyncio.sleep(0)
        facts = await read_long_request(CHAT, body, may_ask=True, not_with=())
        await asyncio.sleep(0)
        turning.cancel()
        return facts

    assert asyncio.run(read()).altered is not None
    assert worst < 0.08  # of this thread's time; to parse all of it takes many times as long


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(fields=st.dictionaries(st.text(), JSON, max_size=5), ascii_only=st.booleans())
def test_members_are_found_where_they_stand(fields: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(fields, ensure_ascii=ascii_only, indent=1 if ascii_only else None)
    body = text.encode("utf-8", "surrogatepass")
    try:
        found = _outline(body)
    except FormatError:
        with pytest.raises(UnicodeDecodeError):
            body.decode()
        return
    spans = {name: json.loads(body[a:b]) for name, (a, b) in found.members.items()}
    assert spans == fields
