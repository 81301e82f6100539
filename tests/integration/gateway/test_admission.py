"""Who may make calls, what a wallet in a request is, and what is refused before it is a call."""

import asyncio
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from nous_ledger.gateway.admission import MAX_PEERS, RefusalLimit
from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.server import GatewayThread, check_host
from nous_ledger.gateway.tokens import hash_tokens, is_well_known
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.errors import InputError
from tests.integration.gateway.conftest import StartRig
from tests.integration.gateway.rig import (
    CHAT,
    KEY,
    MESSAGES,
    Answer,
    RawUpstream,
    Rig,
    Seen,
    answer,
    says,
    status,
)
from tests.integration.gateway.wire import BODY

TOKEN = "c1ient-f3a9c27e51b84d06a17c"
WALLET = "0x00112233445566778899aabbCCDDEEFF00112233"
ASK = {"model": "m"}


@contextmanager
def configured(log: Ledger, **config: Any) -> Iterator[tuple[Rig, RawUpstream]]:
    """Run a gateway with further configuration before an upstream that answers."""
    with ExitStack() as exits:
        upstream = exits.enter_context(RawUpstream(says(answer(BODY))))
        upstreams = {"openai": upstream.url, "anthropic": upstream.url}
        thread = GatewayThread(log, AppConfig(upstreams=upstreams, **config))
        yield Rig(log, exits.enter_context(thread).url, exits), upstream


OUR_OWN_AND_ALLOWED: list[dict[str, str]] = [
    {},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "http://HOST"},
    {"origin": "http://HOST"},
    {"origin": "https://app.example.com"},
    {"origin": "https://app.example.com", "sec-fetch-site": "cross-site"},
]
FOREIGN: list[dict[str, str]] = [
    {"origin": "https://evil.example"},
    {"origin": "https://app.example.com.evil.example"},
    {"origin": "http://app.example.com"},
    {"origin": "null"},
    {"origin": "http://localhost:1"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "http://HOST"},
    {"sec-fetch-site": "nonsense"},
]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_pages_of_other_sites_make_no_calls(log: Ledger, path: str) -> None:
    with configured(log, origins=frozenset({"https://app.example.com"})) as (rig, upstream):
        host = urlsplit(rig.url).netloc

        def call(fields: dict[str, str], path: str, method: str = "POST") -> Answer:
            headers = {name: value.replace("HOST", host) for name, value in fields.items()}
            headers["content-type"] = "text/plain"  # what a page may send without asking first
            return rig.call(path, ASK, method=method, headers=headers, credential=None)

        assert [call(fields, path).status for fields in OUR_OWN_AND_ALLOWED] == [200] * 6
        assert len(rig.receipts()) == len(upstream.seen) == 6
        for fields in FOREIGN:
            got = call(fields, path)
            error = json.loads(got.body)["error"]
            shown = "permission_error" if path == MESSAGES else "invalid_request_error"
            assert (fields, got.status, error["type"]) == (fields, 403, shown)
            assert "--allow-origin" in error["message"]
            # What is public may be read by a link on any page.
            assert call(fields, "/", "GET").status == 200
        assert len(rig.receipts()) == len(upstream.seen) == 6


def test_a_foreign_page_changes_nothing_by_other_methods(log: Ledger) -> None:
    with configured(log) as (rig, upstream):
        headers = {"origin": "https://evil.example"}
        for method in ("GET", "OPTIONS", "DELETE", "PUT"):
            got = rig.call("/openai/v1/files", method=method, headers=headers)
            assert got.status == 403
        assert rig.call("/v1/policy", {}, headers=headers).status == 403
        assert (upstream.seen, rig.receipts()) == ([], [])


def test_callers_show_a_token_that_goes_no_further(log: Ledger) -> None:
    """SUBJ-2: where the gateway has tokens of its own, they say whose call it is."""
    tokens = hash_tokens(f"{TOKEN}\nanother-{TOKEN}\n".encode(), "a client token")
    with configured(log, client_tokens=tokens) as (rig, upstream):
        for headers in ({}, {"nous-client-token": ""}, {"nous-client-token": TOKEN + "x"}):
            got = rig.call(MESSAGES, ASK, headers=headers)
            assert got.status == 401
            assert json.loads(got.body)["error"]["type"] == "authentication_error"
            assert got.headers["x-should-retry"] == "false"
        assert (upstream.seen, rig.receipts()) == ([], [])
        got = rig.call(CHAT, ASK, headers={"nous-client-token": TOKEN})
        assert got.status == 200
        receipt = rig.only_receipt()
        assert receipt.subject == log.subject(1, TOKEN.encode())
        assert upstream.seen[0].values("nous-client-token") == []
        assert upstream.seen[0].values("authorization") == [f"Bearer {KEY}"]
        assert TOKEN.encode() not in b"".join(p.read_bytes() for p in log.folder.iterdir())
        # The token is also the right to read, and public things need none.
        path = f"/v1/receipts/{got.headers['nous-receipt-id']}"
        assert rig.get(path, nous_client_token=TOKEN).status == 200
        assert rig.get(path, authorization=f"Bearer {KEY}").status == 403
        assert rig.get("/checkpoint").status == 200


def test_a_token_that_nobody_gave_out_is_nobody(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    rig.call(CHAT, ASK, headers={"nous-client-token": TOKEN})
    assert rig.only_receipt().subject == rig.ledger.subject(2, KEY.encode())
    assert upstream.seen[0].values("nous-client-token") == []


def test_refusals_are_bounded_per_peer(log: Ledger) -> None:
    with configured(log) as (rig, upstream):
        headers = {"origin": "https://evil.example"}
        codes = [rig.call(CHAT, ASK, headers=headers).status for _ in range(70)]
        assert codes[:60] == [403] * 60
        assert codes[-1] == 429
        limited = rig.call(CHAT, ASK, headers=headers)
        assert (limited.headers["retry-after"], limited.headers["connection"]) == ("60", "close")
        assert rig.call(CHAT, ASK).status == 200  # what is admitted is not slowed down
        assert len(upstream.seen) == len(rig.receipts()) == 1


def test_a_refusal_limit_fills_up_again_and_forgets() -> None:
    now = 0.0
    limit = RefusalLimit(2, clock=lambda: now)
    assert [limit.take("a") for _ in range(3)] == [True, True, False]
    assert limit.take("b")
    now = 30.0
    assert [limit.take("a") for _ in range(2)] == [True, False]
    for number in range(10 * MAX_PEERS):
        limit.take(f"peer {number}")
    assert len(limit._left) == MAX_PEERS


@pytest.mark.parametrize(
    "token",
    [
        *("changeme-changeme-changeme", "0123456789abcdef", "fedcba9876543210", "a" * 40),
        *("sk-1234567890abcdefgh", "Password-for-the-gateway", "abcabcabcabcabcabcabc"),
        *("your-token-goes-here", "qwertyuiopasdfghjkl", "nous-ledger-operator-token"),
    ],
)
def test_well_known_secrets_are_refused(token: str) -> None:
    assert is_well_known(token)
    with pytest.raises(InputError, match="anybody would try") as caught:
        hash_tokens(token.encode(), "a client token")
    assert token not in str(caught.value)


@pytest.mark.parametrize("text", ["", "short", f"{TOKEN}\nshort", f"{TOKEN} {TOKEN}", "ü" * 20])
def test_tokens_that_are_none(text: str) -> None:
    with pytest.raises(InputError):
        hash_tokens(text.encode(), "a client token")


def test_tokens_are_kept_as_hashes() -> None:
    assert hash_tokens(f"\n {TOKEN} \r\n".encode(), "") == {hashlib.sha256(TOKEN.encode()).digest()}


def test_other_addresses_need_both_kinds_of_token(log: Ledger) -> None:
    with pytest.raises(InputError, match="client and operator tokens"):
        check_host("192.0.2.1", guarded=False)
    with pytest.raises(InputError, match="no address"):
        check_host("gateway.example.com", guarded=True)
    assert check_host("0.0.0.0", guarded=True) == "0.0.0.0"  # noqa: S104 - what is tested
    tokens = hash_tokens(TOKEN.encode(), "")
    assert not AppConfig(client_tokens=tokens).guarded
    assert not AppConfig(operator_tokens=tokens).guarded
    assert AppConfig(client_tokens=tokens, operator_tokens=tokens).guarded


def test_a_wallet_is_recorded_as_claimed_and_not_forwarded(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    with_wallet = CHAT.replace("/openai", f"/openai/w/{WALLET}")
    ways: list[tuple[str, dict[str, str]]] = [
        (with_wallet, {}),
        (CHAT, {"nous-wallet": WALLET}),
        (CHAT, {"x-nous-wallet": WALLET.upper().replace("X", "x")}),
        (with_wallet, {"nous-wallet": WALLET}),
    ]
    for path, headers in ways:
        assert rig.call(path, ASK, headers=headers).status == 200
    for receipt, seen in zip(rig.receipts(), upstream.seen, strict=True):
        assert receipt.claimed_wallet == bytes.fromhex(WALLET[2:])
        assert (receipt.operation, receipt.subject) == ("chat", rig.ledger.subject(2, KEY.encode()))
        assert seen.target == "/v1/chat/completions"
        assert WALLET.lower() not in str(seen).lower()


@pytest.mark.parametrize("where", ["path", "header", "both"])
def test_what_is_no_wallet_is_refused(start: StartRig, where: str) -> None:
    rig, upstream = start(says(answer(BODY)))
    for wallet in ("0x12", "", WALLET[2:], WALLET + "0", "0x" + "g" * 40, "0x" + "11" * 20):
        named = WALLET if where == "both" else wallet
        path = CHAT if where == "header" else CHAT.replace("/openai", f"/openai/w/{named}")
        headers = {} if where == "path" else {"nous-wallet": wallet}
        if wallet == "0x" + "11" * 20 and where != "both":
            continue
        got = rig.call(path, ASK, headers=headers)
        assert (got.status, json.loads(got.body)["error"]["code"]) == (400, "wallet_refused")
    assert upstream.seen == []
    for receipt in rig.receipts():
        assert (status(receipt), receipt.claimed_wallet) == ("refused", None)


def _raw(rig: Rig, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Send bytes and return all that comes back until the gateway closes."""
    address = urlsplit(rig.url)
    assert address.hostname is not None
    with closing(socket.create_connection((address.hostname, address.port or 0), 10)) as peer:
        for piece in pieces:
            peer.sendall(piece)
            time.sleep(pause_s)
        got = b""
        while data := peer.recv(65_536):
            got += data
        return got


HEAD = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n".encode()


@pytest.mark.parametrize("pause_s", [0.0, 0.1])
def test_fields_after_the_body_are_refused(start: StartRig, pause_s: float) -> None:
    """They cannot go on as they came, and are never taken for header fields."""
    rig, upstream = start(says(answer(BODY)))
    head = HEAD + b"transfer-encoding: chunked\r\ntrailer: authorization\r\n\r\n"
    end = b"2\r\n{}\r\n0\r\nauthorization: Bearer sk-late\r\n\r\n"
    got = _raw(rig, *([head, end] if pause_s else [head + end]), pause_s=pause_s)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert b"field_refused" in got
    receipt = rig.only_receipt()
    assert (status(receipt), upstream.seen) == ("refused", [])
    assert receipt.subject == rig.ledger.subject(6, b"")


@pytest.mark.parametrize(
    ("value", "passes"), [(b"\xc3\xa9", True), (b"\xe9", False), (b"\xff\xfe", False)]
)
def test_fields_pass_byte_for_byte_or_not_at_all(
    start: StartRig, value: bytes, *, passes: bool
) -> None:
    rig, upstream = start(says(answer(BODY)))
    got = _raw(rig, HEAD + b"x-odd: " + value + b"\r\ncontent-length: 2\r\n\r\n{}")
    assert got.startswith(b"HTTP/1.1 200 " if passes else b"HTTP/1.1 400 ")
    if passes:
        assert [v.encode("latin-1") for v in upstream.seen[0].values("x-odd")] == [value]
    else:
        assert (upstream.seen, status(rig.only_receipt())) == ([], "refused")


def test_fields_of_an_answer_pass_byte_for_byte(start: StartRig) -> None:
    async def script(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-odd: \xe9\xff\r\ncontent-length: 2\r\n\r\n{}")

    rig, _ = start(script)
    got = _raw(rig, HEAD + b"content-length: 2\r\n\r\n{}")
    assert b"\r\nx-odd: \xe9\xff\r\n" in got


def test_a_tunnel_is_not_opened(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    got = _raw(rig, b"CONNECT api.openai.com:443 HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 4")
    assert (upstream.seen, rig.receipts()) == ([], [])


def test_a_client_that_stops_in_the_middle_is_not_waited_for(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)), body_silence_s=0.2)
    started = time.monotonic()
    got = _raw(rig, HEAD + b"content-length: 10\r\n\r\n{}")
    assert got.startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - started < 5
    assert (upstream.seen, rig.receipts()) == ([], [])
    assert not rig.ledger.open_intents()


def test_what_is_not_metered_is_refused_where_it_shall_be(log: Ledger) -> None:
    with configured(log, unmetered=False) as (rig, upstream):
        got = rig.call("/openai/v1/batches", ASK)
        assert (got.status, json.loads(got.body)["error"]["code"]) == (403, "unmetered_refused")
        assert upstream.seen == []
        assert rig.call("/openai/v1/models", method="GET").status == 200
        assert rig.call(CHAT, ASK).status == 200
        assert [status(receipt) for receipt in rig.receipts()] == [
            "refused",
            "complete",
            "complete",
        ]


def test_what_is_not_metered_passes_otherwise(start: StartRig) -> None:
    rig, upstream = start(says(answer(BODY)))
    assert rig.call("/openai/v1/batches", ASK).status == 200
    receipt = rig.only_receipt()
    assert (receipt.operation, receipt.usage, len(upstream.seen)) == ("other", None, 1)
