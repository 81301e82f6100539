"""Calls over one kept connection: what one head allowed is allowed to no other."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from nous_ledger.gateway.app import AppConfig
from nous_ledger.gateway.repeated import RepeatedHead
from nous_ledger.gateway.server import GatewayThread
from nous_ledger.gateway.tokens import hash_tokens
from nous_ledger.ledger import Ledger
from nous_ledger.protocol.receipt import Receipt
from tests.integration.gateway.rig import (
    CHAT,
    MESSAGES,
    RawUpstream,
    Rig,
    Seen,
    answer,
    says,
    status,
    stream,
)
from tests.integration.gateway.wire import ALL, BODY

TOKEN = "c1ient-f3a9c27e51b84d06a17c"
TOKENS = hash_tokens(TOKEN.encode(), "a client token")
WALLETS = ("0x" + "11" * 20, "0x" + "22" * 20)


class Kept:
    """One connection that a client makes all its calls over."""

    def __init__(self, rig: Rig) -> None:
        self.made = http.client.HTTPConnection(urlsplit(rig.url).netloc, timeout=20)
        self.made.connect()
        sock = self.made.sock
        assert isinstance(sock, socket.socket)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = sock.getsockname()[1]

    def call(self, body: dict[str, Any], path: str = CHAT, **headers: str) -> tuple[int, bytes]:
        """Make a call in one packet; return status and body of its answer."""
        text = json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {"content-type": "application/json", **named, "content-length": str(len(text))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.made.sock.sendall(
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\n{lines}\r\n{text}".encode()
        )
        response = http.client.HTTPResponse(self.made.sock, method="POST")
        response.begin()
        return response.status, response.read()


@contextmanager
def running(log: Ledger, sent: bytes, **config: Any) -> Iterator[tuple[Rig, RawUpstream]]:
    with ExitStack() as exits:
        upstream = exits.enter_context(RawUpstream(says(sent)))
        upstreams = {"openai": upstream.url, "anthropic": upstream.url}
        thread = exits.enter_context(GatewayThread(log, AppConfig(upstreams=upstreams, **config)))
        yield Rig(log, thread.url, exits), upstream


def receipts(rig: Rig) -> list[Receipt]:
    return sorted(rig.receipts(), key=lambda receipt: str(receipt.model_requested))


def test_each_call_is_its_own_callers(log: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[bytes] = []

    def noted(*arguments: Any) -> tuple[bytes, bytes] | None:
        if (found := body_of(*arguments)) is not None:
            known.append(found[1])
        return found

    body_of = RepeatedHead.body_of
    monkeypatch.setattr(RepeatedHead, "body_of", noted)
    with running(log, answer(BODY)) as (rig, upstream):
        kept = Kept(rig)
        with closing(kept.made):
            for number, key in enumerate("aaaabbba"):
                body = {"model": f"{number}", "messages": "x" * number}
                assert kept.call(body, authorization=f"Bearer key-{key}") == (200, BODY)
        subjects = [receipt.subject for receipt in receipts(rig)]
        assert [subject == subjects[0] for subject in subjects] == [True] * 4 + [False] * 3 + [True]
        shown = [dict(seen.headers)["authorization"] for seen in upstream.seen]
        assert shown == [f"Bearer key-{key}" for key in "aaaabbba"]
        bodies = [seen.body for seen in upstream.seen]
        assert [json.loads(body)["model"] for body in bodies] == list("01234567")
        assert known == [bodies[2], bodies[3], bodies[6]]


def test_each_call_goes_where_its_path_says_and_names_its_own_wallet(log: Ledger) -> None:
    with running(log, answer(BODY)) as (rig, upstream):
        kept = Kept(rig)
        with closing(kept.made):
            for number, (path, wallet) in enumerate(
                [(CHAT, 0), (CHAT, 0), (CHAT, 1), (MESSAGES, 1), (f"{CHAT}?a=b", 1), (CHAT, 0)]
            ):
                assert (
                    kept.call({"model": f"{number}"}, path, nous_wallet=WALLETS[wallet])[0] == 200
                )
        found = receipts(rig)
        claimed = [receipt.claimed_wallet for receipt in found]
        assert claimed == [bytes.fromhex(WALLETS[number][2:]) for number in (0, 0, 1, 1, 1, 0)]
        assert [receipt.api == found[0].api for receipt in found] == [True] * 3 + [
            False,
            True,
            True,
        ]
        assert [seen.target for seen in upstream.seen][3:5] == [
            "/v1/messages",
            "/v1/chat/completions?a=b",
        ]
        assert not any(name == "nous-wallet" for seen in upstream.seen for name, _ in seen.headers)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 401),
        ({"nous_client_token": "other"}, 401),
        ({"nous_client_token": TOKEN, "origin": "https://evil.example"}, 403),
    ],
)
def test_what_was_admitted_admits_nothing_else(
    log: Ledger, headers: dict[str, str], code: int
) -> None:
    with running(log, answer(BODY), client_tokens=TOKENS) as (rig, upstream):
        kept = Kept(rig)
        with closing(kept.made):
            for _ in range(3):
                assert kept.call({"model": "m"}, nous_client_token=TOKEN)[0] == 200
            assert kept.call({"model": "m"}, **headers)[0] == code
        assert len(upstream.seen) == len(rig.receipts()) == 3


def test_a_refused_call_is_refused_each_time(log: Ledger) -> None:
    with running(log, answer(BODY)) as (rig, upstream):
        kept = Kept(rig)
        with closing(kept.made):
            for _ in range(3):
                assert kept.call({"model": "m"}, nous_wallet="nonsense")[0] == 400
        assert [status(receipt) for receipt in rig.receipts()] == ["refused"] * 3
        assert upstream.seen == []


def test_streams_and_whole_answers_take_turns(log: Ledger) -> None:
    def said(seen: Seen) -> bytes:
        return stream(*ALL) if b'"stream": true' in seen.body else answer(BODY)

    with running(log, b"") as (rig, upstream):

        async def script(seen: Seen, writer: Any) -> None:
            writer.write(said(seen))

        upstream.script = script
        kept = Kept(rig)
        with closing(kept.made):
            for number in range(6):
                streamed = bool(number % 2)
                asked = {"stream": True, "stream_options": {"include_usage": True}}
                got = kept.call({"model": f"{number}", **(asked if streamed else {})})
                assert got == (200, b"".join(ALL) if streamed else BODY)
        found = receipts(rig)
        assert [status(receipt) for receipt in found] == ["complete"] * 6
        assert [bool(receipt.streamed) for receipt in found] == [False, True] * 3
