"""Bounding, as calls end, what cannot be counted: hidden output, input, media.

What the request allowed is noted when it is read, which costs a few look-ups. Input is
looked at when the call is over and its usage says that there is something to bound: a
short request on the spot, anything longer beside the event loop. Tokens are counted by
another process. Nothing of a request is kept beyond its call.

Spec:
    PROTOCOL.md BND-1 to BND-20, BND-22.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from nous_ledger.gateway.counting import Counter, ThreadCounter
from nous_ledger.gateway.metering import Metered
from nous_ledger.gateway.providers import find_route
from nous_ledger.gateway.request import MAX_SEPARATORS, SHORT_BYTES
from nous_ledger.protocol.accuracy import Recount
from nous_ledger.protocol.errors import FormatError, InputError
from nous_ledger.protocol.label import BOUNDED, UNVERIFIABLE, Bucket
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import API, KIND, METERING
from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile.counting import count_each
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.hidden import (
    MAX_RATE,
    METHOD_CAP,
    METHOD_TRACE,
    Allowance,
    OutputEvidence,
    bound_output,
    may_bound_output,
    read_allowance,
)
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.media import METHOD_IMAGE_INPUT, METHOD_IMAGE_OUTPUT
from nous_ledger.reconcile.prompt import (
    METHOD_PROMPT,
    METHOD_PROMPT_BYTES,
    METHOD_VIDEO_INPUT,
    Counted,
    InputEvidence,
    Steps,
    bound_by_bytes,
    input_steps,
    run_steps,
    uses_formula,
)
from nous_ledger.reconcile.prompt_shapes import Prompt
from nous_ledger.reconcile.tally import VisibleOutput
from nous_ledger.reconcile.tokenizers import Encoding, TokenizerTable, builtin_table

MAX_PROMPT_BYTES: Final = 8 * 1024 * 1024
"""Longest request whose input is bounded."""
MAX_PROMPT_SEPARATORS: Final = 100_000
"""Most separators of such a request: while JSON is read, no other call goes on."""

_METERED: Final = frozenset({METERING["final"], METERING["partial"]})
_INPUT: Final = frozenset(
    {
        *range(KIND["input_uncached"], KIND["input_unsplit"] + 1),
        *(KIND["input_image"], KIND["input_video"]),
    }
)
_MADE: Final = frozenset({KIND["output_image"], KIND["output_unsplit"]})
_IMAGES_API: Final = API["openai.images"]
_METHODS: Final = frozenset(
    (
        *(METHOD_CAP, METHOD_TRACE, METHOD_PROMPT, METHOD_PROMPT_BYTES),
        *(METHOD_IMAGE_INPUT, METHOD_IMAGE_OUTPUT, METHOD_VIDEO_INPUT),
    )
)
_NO_TABLE: Final = TokenizerTable(encodings={}, rules=())


class CallNotes(NamedTuple):
    """What bounds a call, beside what was metered.

    Attributes:
        body: the request without content codings; None where these stayed.
        allowance: what the request takes.
        route: where it went.
        started: when it came, on the monotonic clock.
        prompt: what the request gives to read, if that is known by now.
    """

    body: bytes | None
    allowance: Allowance
    route: str
    started: float
    prompt: Prompt | None = None


class Bounder:
    """Bounds what cannot be counted. One for all calls of a gateway."""

    def __init__(
        self,
        ceilings: Mapping[str, int] = MappingProxyType({}),
        table: TokenizerTable | None = None,
        counter: Counter | None = None,
    ) -> None:
        """Start.

        Args:
            ceilings: declared decode ceilings in tokens per second, by route.
            table: which encoding a model has; the one of this release unless given.
            counter: what counts; None for threads of this process.
        """
        self._ceilings = ceilings
        self._table = table or builtin_table()
        self._counter = counter or ThreadCounter()

    async def label(
        self, metered: Metered, draft: Receipt, status: int, notes: CallNotes
    ) -> Metered:
        """Return what was metered with a bound where one applies.

        Args:
            metered: what the meter found, counted again where that could be.
            draft: the call's receipt as it was begun.
            status: how the call ended.
            notes: of the call, whose response is over by now.
        """
        if metered.metering not in _METERED:
            return metered
        usage = self._bound_output(metered, draft, status, notes)
        body, prompt = notes.body, notes.prompt
        if body is not None and len(body) <= MAX_PROMPT_BYTES:
            if prompt is not None and not uses_formula(draft.api, draft.provider):
                usage = bound_by_bytes(usage, len(body))
            elif _wants_input(draft.api, usage):
                model = metered.model or draft.model_requested
                usage = await self._bound_input(usage, draft, model, body, prompt)
        return metered if usage is metered.usage else metered.with_usage(usage)

    def _bound_output(
        self, metered: Metered, draft: Receipt, status: int, notes: CallNotes
    ) -> tuple[Bucket, ...]:
        rate = self._ceilings.get(notes.route)
        if rate is None and not may_bound_output(draft.provider, draft.api, notes.allowance):
            return metered.usage
        seconds = 0.0 if rate is None else time.monotonic() - notes.started
        evidence = OutputEvidence(
            provider=draft.provider,
            api=draft.api,
            model=metered.model or draft.model_requested,
            status=status,
            allowance=notes.allowance,
            visible=metered.output,
            rate=rate,
            whole_ms=math.ceil(seconds * 1000),
        )
        return bound_output(metered.usage, evidence)

    async def _bound_input(
        self,
        usage: tuple[Bucket, ...],
        receipt: Receipt,
        model: str | None,
        body: bytes,
        prompt: Prompt | None,
    ) -> tuple[Bucket, ...]:
        limit = MAX_PROMPT_SEPARATORS
        steps = request_steps(
            usage, receipt, model, body, self._table, max_separators=limit, prompt=prompt
        )
        tokens = None
        while True:
            if len(body) <= SHORT_BYTES:
                asked, found = _go_on(steps, tokens)
            else:
                asked, found = await asyncio.to_thread(_go_on, steps, tokens)
            if asked is None:
                return found
            tokens = await self._count(*asked)

    async def _count(self, encoding: Encoding, texts: list[str]) -> TokenCount | None:
        try:
            return await self._counter.count(encoding, texts)
        except RecountError:
            return None  # the bytes of the request may explain it all the same


def _go_on(steps: Steps, tokens: int | None) -> tuple[Counted | None, tuple[Bucket, ...]]:
    """Return what is to be counted next, else None and the labelled buckets."""
    try:
        return steps.send(tokens), ()
    except StopIteration as done:
        return None, done.value


def bound_again(
    receipt: Receipt, request: bytes, visible: VisibleOutput | None
) -> Mapping[int, Recount]:
    """Return the range of each bucket that this module's methods bound, found again.

    Args:
        receipt: the receipt whose labels are claimed.
        request: the request body that its commitment covers.
        visible: what the caller got, read again; None if that is not known in full.

    Returns:
        Ranges by bucket kind. Left out is what cannot be found again here: a bound by
        time, a count whose vocabulary is not installed, a method that does not apply.
    """
    claims = {b.kind: b for b in receipt.usage or () if b.label == BOUNDED and _is_ours(b)}
    fields = request_fields(request) if claims else None
    if fields is None:
        return {}
    unlabelled = tuple(
        Bucket(kind=b.kind, reported=b.reported, label=UNVERIFIABLE)
        if b.kind in claims and b.reported is not None
        else b
        for b in receipt.usage or ()
    )
    # A gateway without the vocabulary bounds by bytes what another one counts.
    table = builtin_table() if any(map(_is_counted, claims.values())) else _NO_TABLE
    found = bound_later(unlabelled, receipt, request, fields, visible, table=table)
    return {
        b.kind: Recount(lower=b.lower, upper=b.upper)
        for b in found
        if b.lower is not None and b.upper is not None
        if b.kind in claims and b.method == claims[b.kind].method
    }


def _is_ours(bucket: Bucket) -> bool:
    return (bucket.method or "").partition("+")[0] in _METHODS


def _is_counted(bucket: Bucket) -> bool:
    return (bucket.method or "").startswith(f"{METHOD_PROMPT}+")


def _wants_input(api: int, usage: Iterable[Bucket]) -> bool:
    kinds = _MADE if api == _IMAGES_API else _INPUT
    return any(bucket.label == UNVERIFIABLE and bucket.kind in kinds for bucket in usage)


def bound_later(
    usage: tuple[Bucket, ...],
    receipt: Receipt,
    request: bytes,
    fields: Mapping[str, Any],
    visible: VisibleOutput | None,
    *,
    table: TokenizerTable,
) -> tuple[Bucket, ...]:
    """Return buckets with all bounds that a call's texts give once it is over, time aside.

    Args:
        usage: labelled buckets.
        receipt: of the call.
        request: its body.
        fields: the members of that.
        visible: what the caller got; None if that is not known in full.
        table: which encoding a model has.
    """
    model = receipt.model_served or receipt.model_requested
    evidence = OutputEvidence(
        provider=receipt.provider,
        api=receipt.api,
        model=model,
        status=receipt.status,
        allowance=read_allowance(receipt.api, fields),
        visible=visible,
    )
    return bound_request(bound_output(usage, evidence), receipt, model, request, table)


def bound_request(
    usage: tuple[Bucket, ...],
    receipt: Receipt,
    model: str | None,
    body: bytes,
    table: TokenizerTable,
) -> tuple[Bucket, ...]:
    """Return buckets with the input that a request explains BOUNDED, counted here and now.

    Args:
        usage: labelled buckets.
        receipt: names provider and api.
        model: the model that answered, else the one asked for.
        body: the request body.
        table: which encoding a model has.
    """
    return run_steps(request_steps(usage, receipt, model, body, table), count_texts)


def request_steps(
    usage: tuple[Bucket, ...],
    receipt: Receipt,
    model: str | None,
    body: bytes,
    table: TokenizerTable,
    *,
    max_separators: int = MAX_SEPARATORS,
    prompt: Prompt | None = None,
) -> Steps:
    """Do as `bound_request`, and leave the counting to whoever goes through the steps."""
    fields = {} if prompt is not None else request_fields(body, max_separators)
    if fields is None:
        return usage
    evidence = InputEvidence(
        provider=receipt.provider,
        upstream=receipt.upstream,
        api=receipt.api,
        model=model,
        fields=fields,
        length=len(body),
        prompt=prompt,
    )
    return (yield from input_steps(usage, evidence, table))


def request_fields(body: bytes, max_separators: int = MAX_SEPARATORS) -> Mapping[str, Any] | None:
    """Return the members of a request body, None if it is no JSON object within bounds."""
    try:
        found = parse_json(body, max_separators=max_separators).value
    except FormatError:
        return None
    return found if isinstance(found, dict) else None


def count_texts(encoding: Encoding, texts: list[str]) -> TokenCount | None:
    """Return the tokens of texts, each by itself; None if they cannot be counted here."""
    try:
        return count_each(encoding, texts)
    except RecountError:
        return None


def read_ceilings(given: Iterable[str]) -> Mapping[str, int]:
    """Return decode ceilings by route, of settings ROUTE=TOKENS_PER_SECOND.

    Raises:
        InputError: one is not of that form, its number is not from 1 to 1,000,000, or
            there is no such route.
    """
    found: dict[str, int] = {}
    for item in given:
        route, equals, rate = item.partition("=")
        if not (equals and route and rate.isascii() and rate.isdecimal() and len(rate) <= 7):
            raise _not_a_ceiling(item)
        if not 1 <= int(rate) <= MAX_RATE:
            raise _not_a_ceiling(item)
        found[find_route(route).name] = int(rate)
    return found


def _not_a_ceiling(item: str) -> InputError:
    return InputError(
        "input",
        f"{item!r} is no decode ceiling",
        hint=f"write ROUTE=TOKENS, as openai=400: tokens per second, 1 to {MAX_RATE}",
    )
