"""Counting answers again as calls end, so that their labels can say EXACT.

The text of an answer is kept while it passes only where a rule of the table of
tokenizers could make its count EXACT, and up to a bound. It is counted after its last
byte has gone out, beside the event loop, and then forgotten: the receipt keeps the
count, the vocabulary's hash and the range, never the text.

Spec:
    PROTOCOL.md LBL-3 to LBL-5, TOK-3 to TOK-5.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

from nous_ledger.gateway.metering import Metered
from nous_ledger.gateway.providers import API_CHAT, API_RESPONSES
from nous_ledger.protocol.label import OUTPUT_VISIBLE
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile.counting import TokenCounter, engine_for
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.exact import CallFacts, exact_bucket, may_be_exact
from nous_ledger.reconcile.tokenizers import ModelRule, TokenizerTable, builtin_table

_READABLE: Final = frozenset({API_CHAT, API_RESPONSES})


class Recounter:
    """Counts answers again. One for all calls of a gateway.

    Attributes:
        trouble: why an encoding cannot be counted in here, by its name.
    """

    def __init__(self, table: TokenizerTable | None = None) -> None:
        """Start without any engine: one is loaded when the first answer needs it."""
        self._table = table or builtin_table()
        self._providers = frozenset[str]().union(*(rule.providers for rule in self._table.rules))
        self.trouble: dict[str, str] = {}

    def wants(self, api: int, provider: str, *, plain_request: bool) -> bool:
        """Return whether the text of an answer is worth keeping."""
        return plain_request and api in _READABLE and provider in self._providers

    async def label(self, metered: Metered, draft: Receipt, status: int) -> Metered:
        """Return what was metered with an EXACT label where one is due.

        Args:
            metered: what the meter found, with the answer it kept.
            draft: the call's receipt as it was begun.
            status: how the call ended.
        """
        rule = self._table.rule(draft.provider, metered.model)
        if rule is None or metered.output is None or metered.output.text is None:
            return metered
        facts = CallFacts(
            api=draft.api,
            status=status,
            metering=metered.metering,
            anomalies=metered.anomalies | frozenset(draft.anomalies or ()),
            plain_request=True,
        )
        reported = {bucket.kind: bucket.reported or 0 for bucket in metered.usage}
        if not may_be_exact(rule, facts, metered.output, reported.items()):
            return metered
        counted = await asyncio.to_thread(self._count, rule, metered.output.text)
        bucket = None if counted is None else exact_bucket(rule, reported[OUTPUT_VISIBLE], counted)
        if bucket is None:
            return metered
        usage = tuple(bucket if b.kind == OUTPUT_VISIBLE else b for b in metered.usage)
        return replace(metered, usage=usage)

    def _count(self, rule: ModelRule, text: str) -> TokenCount | None:
        try:
            counter = TokenCounter(engine_for(rule.encoding))
        except RecountError as error:
            self.trouble.setdefault(rule.encoding.name, error.message)
            return None
        counter.feed(text)
        return counter.result()
