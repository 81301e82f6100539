"""What the gateway reads of a request, and the one thing it may add to it."""

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nous_ledger.gateway.codings import Decoder, decode_body, narrow_accept_encoding
from nous_ledger.gateway.headers import client_headers, upstream_headers
from nous_ledger.gateway.identity import (
    KIND_ACCESS_KEY_ID,
    KIND_API_KEY,
    KIND_NONE,
    find_credential,
)
from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.providers import (
    API_CHAT,
    API_MESSAGES,
    API_OTHER,
    API_RESPONSES,
)
from nous_ledger.gateway.request import RequestFacts, read_request
from tests.compression import compressed

ASK = b'"include_usage":true'
CHAT = CallShape(api=API_CHAT, operation="chat")


@pytest.mark.parametrize(
    ("body", "forwarded"),
    [
        (b'{"stream":true}', b'{"stream_options":{%s},"stream":true}' % ASK),
        (b' { "stream" : true }\n', b' {"stream_options":{%s}, "stream" : true }\n' % ASK),
        (
            b'{"stream":true,"stream_options":{}}',
            b'{"stream":true,"stream_options":{%s}}' % ASK,
        ),
        (
            b'{"stream_options":{"include_obfuscation":false},"stream":true}',
            b'{"stream_options":{%s,"include_obfuscation":false},"stream":true}' % ASK,
        ),
        (
            b'{"stream":true,"stream_options":{"include_usage": false}}',
            b'{"stream":true,"stream_options":{"include_usage": true}}',
        ),
        (b'{"stream":true,"stream_options":null}', b'{"stream":true,"stream_options":{%s}}' % ASK),
        (b'{"stream":true,"stream_options":{"include_usage":true}}', None),
        (b'{"stream":true,"stream_options":"odd"}', None),
        (b'{"stream":false}', None),
        (b'{"stream":"true"}', None),
        (b'{"model":"m"}', None),
        (b"[true]", None),
        (b"not json", None),
        (b"", None),
    ],
)
def test_include_usage_is_asked_for_only_when_the_client_did_not(
    body: bytes, forwarded: bytes | None
) -> None:
    assert read_request(CHAT, body).altered == forwarded
    for api in (API_RESPONSES, API_MESSAGES, API_OTHER):
        assert read_request(CallShape(api=api, operation="x"), body).altered is None


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.floats(-9, 9)))
def test_nothing_else_of_the_request_changes(fields: dict[str, object]) -> None:
    fields = {**fields, "stream": True}
    fields.pop("stream_options", None)
    text = json.dumps(fields, indent=1)
    altered = read_request(CHAT, text.encode()).altered
    assert altered is not None
    assert json.loads(altered) == {**fields, "stream_options": {"include_usage": True}}
    added = '"stream_options":{"include_usage":true},'
    assert altered.decode() == text[:1] + added + text[1:]


@pytest.mark.parametrize(
    ("api", "body", "ruled_out"),
    [
        (API_CHAT, {"reasoning_effort": "none"}, True),
        (API_CHAT, {"reasoning_effort": "minimal"}, False),
        (API_CHAT, {}, False),
        (API_RESPONSES, {"reasoning": {"effort": "none"}}, True),
        (API_RESPONSES, {"reasoning": {"effort": "low"}}, False),
        (API_RESPONSES, {"reasoning": None}, False),
        (API_MESSAGES, {"thinking": {"type": "disabled"}}, True),
        (API_MESSAGES, {"thinking": {"type": "adaptive"}}, False),
        (API_MESSAGES, {}, False),  # what happens then depends on the model
        (API_OTHER, {"thinking": {"type": "disabled"}}, False),
    ],
)
def test_hidden_thinking_is_ruled_out_only_in_so_many_words(
    api: int, body: dict[str, object], ruled_out: bool
) -> None:
    shape = CallShape(api=api, operation="x")
    facts = read_request(shape, json.dumps({"model": "m", **body}).encode())
    assert facts.hidden_ruled_out is ruled_out
    assert facts.model == (None if api == API_OTHER else "m")


def test_a_model_that_is_no_text_is_none() -> None:
    assert read_request(CHAT, b'{"model":5}').model is None
    assert read_request(CHAT, None).model is None


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        ([(b"authorization", b"Bearer sk-1")], b"", (KIND_API_KEY, b"sk-1")),
        ([(b"authorization", b"bearer   sk-1 ")], b"", (KIND_API_KEY, b"sk-1")),
        ([(b"authorization", b"Basic eA==")], b"", (KIND_API_KEY, b"Basic eA==")),
        ([(b"x-api-key", b"k2"), (b"authorization", b"Bearer k1")], b"", (KIND_API_KEY, b"k1")),
        ([(b"authorization", b"Bearer "), (b"x-api-key", b"k2")], b"", (KIND_API_KEY, b"k2")),
        ([(b"api-key", b"k3"), (b"x-goog-api-key", b"k4")], b"", (KIND_API_KEY, b"k3")),
        ([(b"x-goog-api-key", b"k4")], b"key=k5", (KIND_API_KEY, b"k4")),
        ([], b"alt=sse&key=k%2F5&key=k6", (KIND_API_KEY, b"k/5")),
        ([], b"monkey=no", (KIND_NONE, b"")),
        ([(b"x-api-key", b" ")], b"key=", (KIND_NONE, b"")),
        (
            [(b"authorization", b"AWS4-HMAC-SHA256 Credential=AKID/2026/eu/x/aws4_request, S=1")],
            b"",
            (KIND_ACCESS_KEY_ID, b"AKID"),
        ),
    ],
)
def test_credential(
    headers: list[tuple[bytes, bytes]], query: bytes, expected: tuple[int, bytes]
) -> None:
    """SUBJ-2: the first of these that is present."""
    credential = find_credential(headers, query)
    assert (credential.kind, credential.value) == expected
    if expected[1]:
        assert expected[1].decode() not in repr(credential)


@pytest.mark.parametrize(
    ("value", "narrowed"),
    [
        (None, "identity"),
        ("", "identity"),
        ("*", "identity"),
        ("br, zstd", "identity"),
        ("gzip, deflate, br, zstd", "gzip, deflate"),
        ("GZIP;q=0.5,identity;q=0.1", "GZIP;q=0.5, identity;q=0.1"),
    ],
)
def test_accept_encoding_is_narrowed_to_what_can_be_decoded(
    value: str | None, narrowed: str
) -> None:
    assert narrow_accept_encoding(value) == narrowed


@given(st.binary(max_size=60_000) | st.just(b"a" * 1_000_000), st.integers(1, 5000))
def test_codings_are_taken_off_whatever_the_pieces(body: bytes, step: int) -> None:
    step = max(step, len(body) // 50)
    for name, packed in compressed(body).items():
        decoder = Decoder(name)
        pieces = [
            p for i in range(0, len(packed), step) for p in decoder.feed(packed[i : i + step])
        ]
        assert not decoder.failed
        assert b"".join(pieces) == body
        if not decoder.identity:
            assert max(map(len, pieces), default=0) <= 256 * 1024
        assert decode_body(packed, name) == body


def test_two_gzip_members_are_one_body() -> None:
    packed = compressed(b"one")["gzip"] + compressed(b"two")["gzip"]
    assert decode_body(packed, "x-gzip") == b"onetwo"


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, br", "gzip, gzip", "unknown"])
def test_an_unknown_coding_cannot_be_taken_off(coding: str) -> None:
    assert decode_body(b"x", coding) is None


def test_damaged_and_too_long_bodies_fail_without_filling_memory() -> None:
    assert decode_body(b"not gzip at all", "gzip") is None
    decoder = Decoder("gzip", max_bytes=1000)
    bomb = compressed(b"\0" * 50_000_000)["gzip"]
    largest = max((len(piece) for piece in decoder.feed(bomb)), default=0)
    assert decoder.failed
    assert decoder.too_long
    assert largest <= 1000
    assert list(decoder.feed(bomb)) == []


def test_only_connection_fields_and_our_own_are_removed() -> None:
    sent = [
        (b"host", b"127.0.0.1"),
        (b"authorization", b"Bearer k"),
        (b"connection", b"keep-alive, X-Hop"),
        (b"x-hop", b"1"),
        (b"te", b"trailers"),
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"3"),
        (b"content-encoding", b"gzip"),
        (b"accept-encoding", b"br, gzip"),
        (b"nous-opening", b"secret"),
        (b"x-nous-wallet", b"0x1"),
        (b"expect", b"100-continue"),
        (b"x-stainless-lang", "pythön".encode()),
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
    ]
    kept = {
        (b"authorization", b"Bearer k"),
        (b"x-stainless-lang", "pythön".encode()),
        (b"x-twice", b"1"),
        (b"x-twice", b"2"),
    }
    assert set(upstream_headers(sent, altered=False)) == kept | {
        (b"content-encoding", b"gzip"),
        (b"accept-encoding", b"gzip"),
    }
    assert set(upstream_headers(sent, altered=True)) == kept | {(b"accept-encoding", b"identity")}
    answered = [
        (b"Content-Type", b"text/event-stream"),
        (b"Content-Length", b"7"),
        (b"Content-Encoding", b"gzip"),
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
        (b"Connection", b"close"),
        (b"Nous-Receipt-Id", b"forged"),
    ]
    passing = [(name.lower(), value) for name, value in answered[:5]]
    assert client_headers(answered, altered=False) == passing
    assert client_headers(answered, altered=True) == [passing[0], *passing[3:]]


def test_a_small_request_that_would_be_large_is_forwarded_unread() -> None:
    body = b'{"model":"m","stream":true,"a":[' + b"[]," * 1_000_000 + b"0]}"
    assert read_request(CHAT, body) == RequestFacts(all_shown=True)
    assert decode_body(gzip.compress(body), "gzip", 1_000_000) is None
