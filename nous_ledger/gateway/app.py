"""The ASGI application: calls to the routes of providers, everything else to the read API.

Paths whose first segment is a route (`/openai/…`, `/anthropic/…`) are calls and
are forwarded. They do not pass through any framework: a call is one coroutine
over the bytes. The read API is served by Starlette.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from nous_ledger.gateway.addresses import CheckedResolver
from nous_ledger.gateway.admission import Admission, peer_name
from nous_ledger.gateway.answers import TOO_MANY_REFUSALS, UPSTREAM_REFUSED, Answer
from nous_ledger.gateway.bounds import Bounder
from nous_ledger.gateway.call import Call
from nous_ledger.gateway.call_head import CallHead
from nous_ledger.gateway.client import NOTES, Client, Notes, Receive, Scope, Send
from nous_ledger.gateway.counting import ProcessCounter
from nous_ledger.gateway.drains import Drains
from nous_ledger.gateway.exact import Recounter
from nous_ledger.gateway.heads import Heads
from nous_ledger.gateway.identity import CLIENT_TOKEN_HEADER, Pseudonyms
from nous_ledger.gateway.journal import Journal
from nous_ledger.gateway.metrics import Metrics
from nous_ledger.gateway.named_upstreams import (
    UPSTREAM_HEADERS,
    NamedUpstreams,
    UpstreamRefusedError,
)
from nous_ledger.gateway.operations import Operations
from nous_ledger.gateway.providers import (
    CUSTOM_PROVIDER,
    ROUTES,
    Upstream,
    find_route,
    make_upstream,
)
from nous_ledger.gateway.read_api import ReadApi, error_response, wrong_method
from nous_ledger.gateway.recording import Recorder
from nous_ledger.gateway.service import Service
from nous_ledger.gateway.upstream import Egress, Limits, Pool, make_session
from nous_ledger.ledger import Ledger
from nous_ledger.ledger.headkeeper import HeadKeeper
from nous_ledger.ledger.witnesses import Witness
from nous_ledger.protocol.errors import InputError
from nous_ledger.protocol.policy import Policy
from nous_ledger.reconcile.tokenizers import TokenizerTable

_log: Final = logging.getLogger("nous_ledger.gateway")

SETTLING_S: Final = 20.0
"""Seconds that calls which were interrupted have to write their receipts."""
_NOWHERE: Final = make_upstream(find_route(CUSTOM_PROVIDER), "https://nowhere.invalid")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """What a gateway serves and how.

    Attributes:
        upstreams: base URL of each route that does not go to its provider's own.
        limits: bounds of one call.
        auditor_tokens: SHA-256 of each token that may read every body.
        client_tokens: SHA-256 of each token of which a caller must show one; empty to
            ask for none.
        operator_tokens: SHA-256 of each token that may see how the gateway does; empty
            to show it to everybody who gets here.
        hosts: names that it answers under, beside `localhost` and addresses.
        origins: web pages that may make calls, as browsers name them: scheme://host[:port].
        witnesses: who is asked to cosign the log's heads.
        witness_policy: if a quorum of it saw more leaves than the ledger has, the
            gateway refuses to go on with that.
        recorder: keeps the content of calls; None to keep none.
        publish_usage: whether everyone may see what each pseudonym used.
        fail_open: calls are forwarded even if the ledger cannot be written.
        unmetered: calls that are not metered (batches, uploads, tunings) are forwarded.
        recount: answers are counted again where a tokenizer is known and installed.
        tokenizers: which models' answers can be counted; None for the built-in table.
        decode_ceilings: most tokens per second that an upstream generates, by route.
        egress: how upstreams are reached.
        named: upstreams that callers may name; they are not reached by a proxy, which
            would resolve their names once more.
        resolver: finds the addresses of these; None for the system's.
    """

    upstreams: Mapping[str, str] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    auditor_tokens: frozenset[bytes] = frozenset()
    client_tokens: frozenset[bytes] = frozenset()
    operator_tokens: frozenset[bytes] = frozenset()
    hosts: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    witnesses: tuple[Witness, ...] = ()
    witness_policy: Policy | None = None
    recorder: Recorder | None = None
    publish_usage: bool = False
    fail_open: bool = False
    unmetered: bool = True
    recount: bool = True
    tokenizers: TokenizerTable | None = None
    decode_ceilings: Mapping[str, int] = field(default_factory=dict)
    egress: Egress = field(default_factory=Egress)
    named: NamedUpstreams = field(default_factory=NamedUpstreams)
    resolver: AbstractResolver | None = None

    @property
    def guarded(self) -> bool:
        """Whether callers and operators are told apart from others by tokens."""
        return bool(self.client_tokens and self.operator_tokens)

    def check(self) -> None:
        """See that all of this goes together.

        Raises:
            InputError: callers may name upstreams, and a proxy is to be used.
        """
        if self.named and self.egress.proxy:
            raise InputError(
                "input",
                "callers cannot name upstreams where a proxy resolves names: nobody would check"
                " the addresses",
                hint="configure these upstreams, or go without the proxy",
            )


async def _nothing_here(request: Request, error: Exception) -> Response:  # noqa: ARG001 - Starlette's signature
    return error_response(
        404,
        "not-found",
        # SDKs show the message only.
        "nous-ledger serves nothing here: a client's base URL ends in /openai/v1 or /anthropic",
        "correct the client's base URL",
    )


async def _refuse_session(scope: Scope, send: Send) -> None:
    """Refuse a realtime session: it is not metered, so it is not forwarded either.

    426 makes a client that knows another way take it at once; after a 403 Codex tries
    again for seconds.
    """
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    body = b'{"error": {"message": "nous-ledger: realtime sessions are not metered; use HTTP"}}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"x-should-retry", b"false"),
    ]
    await send({"type": "websocket.http.response.start", "status": 426, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


class Gateway:
    """One gateway over one open ledger; an ASGI 3 application."""

    def __init__(self, ledger: Ledger, config: AppConfig) -> None:
        """Prepare; the lifespan protocol starts and ends it.

        Args:
            ledger: open for writing; it stays open when the gateway ends.
            config: what is served and how.

        Raises:
            InputError: an upstream's URL or the name of a route is wrong, or callers may
                name upstreams and a proxy is to be used.
            FormatError: policy-format, if a witness goes by the name of the log.
            LedgerUseError: read-only.
        """
        config.check()
        self._config = config
        self._ledger = ledger
        self._upstreams = upstreams_of(config.upstreams)
        self._metrics = Metrics()
        self._journal = Journal(ledger, self._metrics, fail_open=config.fail_open)
        self._admission = Admission(
            hosts=config.hosts, origins=config.origins, client_tokens=config.client_tokens
        )
        self._keeper = HeadKeeper(ledger, witnesses=config.witnesses, policy=config.witness_policy)
        self._calls: set[asyncio.Task[None]] = set()
        self._service: Service | None = None
        heads = Heads(self._journal, self._keeper)
        self._api = ReadApi(
            self._journal, heads, config.auditor_tokens, publish_usage=config.publish_usage
        )
        self._operations = Operations(
            self._journal, heads, self._metrics, self._api.streams, config.operator_tokens
        )
        self._router = Starlette(
            routes=[*self._operations.routes(), *self._api.routes()],
            exception_handlers={404: _nothing_here, 405: wrong_method},
            lifespan=self._lifespan,
        )

    @property
    def lost(self) -> int:
        """How many calls have no receipt and will get none; 0 unless it failed open."""
        return self._metrics.lost

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's event, as ASGI 3 has it.

        A server that shuts down cancels what it serves. A call takes that for its end, and
        still writes its receipt.
        """
        notes: Notes | None = scope.get(NOTES)
        head = None if notes is None else notes.found
        if (
            not isinstance(head, CallHead)
            and (head := await self._admit(scope, receive, send)) is None
        ):
            return
        service, task = self._service, asyncio.current_task()
        if service is None or task is None:
            raise RuntimeError("the gateway serves only after its lifespan has started")
        client = Client(scope, receive, send)
        self._calls.add(task)
        self._metrics.in_flight += 1
        try:
            await Call(service, head, scope, client).run()
        except asyncio.CancelledError:
            _log.debug("a call was cancelled after its receipt")
        finally:
            client.close()
            self._calls.discard(task)
            self._metrics.in_flight -= 1

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> CallHead | None:
        """Return the head of a call that is admitted; serve whatever else it is, or refuse it."""
        if scope["type"] == "websocket":
            await _refuse_session(scope, send)
            return None
        if scope["type"] != "http":
            await self._router(scope, receive, send)
            return None
        upstream, answer = self._route(scope)
        answer = self._refusal(scope, upstream) or answer
        if answer is not None:
            self._metrics.refused(answer.code)
            await _refuse(answer, upstream, scope, receive, send)
        elif upstream is None:
            await self._router(scope, receive, send)
        else:
            return self._read_head(upstream, scope)
        return None

    def _refusal(self, scope: Scope, upstream: Upstream | None) -> Answer | None:
        """Return what a request is refused with, None if it is admitted."""
        headers = scope["headers"]
        acts = upstream is not None or scope["method"] not in _SAFE
        answer = self._admission.refusal(
            headers,
            scope.get("client"),
            acts=acts,
        )
        shown = any(name == CLIENT_TOKEN_HEADER for name, _ in headers)
        if answer is None and shown and not self._config.client_tokens:
            # What nobody gave out identifies nobody (SUBJ-2).
            scope["headers"] = [field for field in headers if field[0] != CLIENT_TOKEN_HEADER]
        return answer

    def _route(self, scope: Scope) -> tuple[Upstream | None, Answer | None]:
        """Return where a request goes, None for the read API; and why not, if it may not."""
        path: bytes = scope.get("raw_path") or scope["path"].encode()
        name, slash, _ = path[1:].decode("latin-1").partition("/")
        upstream = self._upstreams.get(name) if slash else None
        named = [value for field, value in scope["headers"] if field in UPSTREAM_HEADERS]
        if not named or (upstream is None and name != CUSTOM_PROVIDER):
            return upstream, None
        if name == CUSTOM_PROVIDER and len(named) == 1:
            with contextlib.suppress(UpstreamRefusedError):
                return self._config.named.find(named[0].decode("latin-1")), None
        return upstream or _NOWHERE, UPSTREAM_REFUSED

    def _read_head(self, upstream: Upstream, scope: Scope) -> CallHead:
        """Return the head of an admitted call, read, and note it for calls with the same."""
        if self._service is None:
            raise RuntimeError("the gateway serves only after its lifespan has started")
        named = upstream is not self._upstreams.get(upstream.route.name)
        head = CallHead(self._service, upstream, scope, named=named)
        notes: Notes | None = scope.get(NOTES)
        if notes is not None:
            notes.found = head
        return head

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        config, limits = self._config, self._config.limits
        counter = ProcessCounter()
        async with (
            make_session(limits, config.egress) as session,
            make_session(limits, config.egress, self._checked_resolver()) as checked,
        ):
            self._service = Service(
                journal=self._journal,
                pseudonyms=Pseudonyms(self._ledger.subject),
                session=Pool(session, limits, config.egress),
                checked_session=Pool(checked, limits, config.egress),
                limits=limits,
                drains=Drains(limits),
                egress=self._config.egress,
                unmetered=self._config.unmetered,
                recorder=self._config.recorder,
                recounter=Recounter(self._config.tokenizers, self._metrics, counter)
                if self._config.recount
                else None,
                bounder=Bounder(self._config.decode_ceilings, self._config.tokenizers, counter)
                if self._config.recount
                else None,
            )
            writer = asyncio.create_task(self._journal.keep_writing())
            self._keeper.start()
            self._operations.ready = True
            try:
                yield
            finally:
                self._operations.ready = False
                await self._end_calls()
                await counter.close()
                await asyncio.to_thread(self._keeper.close)  # after the last receipt
                writer.cancel()
                await asyncio.gather(writer, return_exceptions=True)
                self._service = None
        await self._api.close()
        await self._journal.close()

    def _checked_resolver(self) -> CheckedResolver:
        resolver = self._config.resolver or aiohttp.ThreadedResolver()
        return CheckedResolver(resolver, self._config.named.networks)

    async def _end_calls(self) -> None:
        """Interrupt what is still running; each call writes its receipt before it ends."""
        calls = tuple(self._calls)
        for task in calls:
            if not task.cancelling():  # the server may have said so already
                task.cancel()
        if calls:
            _log.info("%s calls in flight are interrupted", len(calls))
            _, left = await asyncio.wait(calls, timeout=SETTLING_S)
            if left:
                _log.error("%s calls have no receipt yet; the next start writes them", len(left))


async def _refuse(
    answer: Answer, upstream: Upstream | None, scope: Scope, receive: Receive, send: Send
) -> None:
    """Answer what is not admitted, in the shape that the caller understands."""
    if answer is not TOO_MANY_REFUSALS:
        _log.warning(
            "a request from %s is refused: %s", peer_name(scope.get("client")), answer.code
        )
    if upstream is None:
        response = error_response(answer.http_status, answer.code, answer.message, "")
        for name, value in answer.headers(0)[2:]:
            response.headers[name.decode()] = value.decode()
        await response(scope, receive, send)
        return
    body = answer.body(upstream.route.errors)
    fields = answer.headers(len(body))
    await send({"type": "http.response.start", "status": answer.http_status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def upstreams_of(configured: Mapping[str, str]) -> dict[str, Upstream]:
    """Return the upstream of every route that is configured or has an upstream of its own.

    Raises:
        InputError: a URL or the name of a route is wrong.
    """
    own = {name: "" for name, route in ROUTES.items() if route.base_url}
    return {
        name: make_upstream(find_route(name), url) for name, url in {**own, **configured}.items()
    }
