"""Counting answers again as calls end, so that their labels can say EXACT, or a closer range.

The text of an answer is kept while it passes only where a rule of the table of
tokenizers could make its count EXACT, or a range is known, and up to a bound. It is
counted after its last byte has gone out, by another process, and then forgotten: the
receipt keeps the count, the vocabulary's hash and the range, never the text.

Spec:
    PROTOCOL.md LBL-3 to LBL-5, TOK-3 to TOK-5, TOK-7, EST-2.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from nous_ledger.gateway.counting import LASTING, Counter, ThreadCounter
from nous_ledger.gateway.metering import Metered
from nous_ledger.gateway.metrics import Metrics
from nous_ledger.protocol.label import (
    BOUNDED,
    METHOD_BYTES,
    OUTPUT_UNSPLIT,
    OUTPUT_VISIBLE,
    Bucket,
)
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.registries import TEXT_APIS
from nous_ledger.protocol.types import TokenCount
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.estimate import (
    METHOD_CLAUDE,
    RANGE_ENCODING,
    has_range,
    range_providers,
)
from nous_ledger.reconcile.exact import CallFacts, exact_bucket, known_counts, may_be_exact
from nous_ledger.reconcile.tokenizers import (
    Encoding,
    ModelRule,
    TokenizerTable,
    builtin_table,
)

_log: Final = logging.getLogger("nous_ledger.gateway")


class Recounter:
    """Counts answers again. One for all calls of a gateway.

    Attributes:
        trouble: why an encoding cannot be counted in here, by its name.
    """

    def __init__(
        self,
        table: TokenizerTable | None = None,
        metrics: Metrics | None = None,
        counter: Counter | None = None,
    ) -> None:
        """Start without any engine: one is loaded when the first answer needs it.

        Args:
            table: which models can be counted; None for the built-in table.
            metrics: where answers that cannot be counted are counted; None for nowhere.
            counter: what counts; None for threads of this process.
        """
        self._counter = counter or ThreadCounter()
        self._table = table or builtin_table()
        self._metrics = metrics
        self._providers = range_providers().union(*(rule.providers for rule in self._table.rules))
        self.trouble: dict[str, str] = {}

    def wants(self, api: int, provider: str, *, plain_request: bool) -> bool:
        """Return whether the text of an answer is worth keeping."""
        return plain_request and api in TEXT_APIS and provider in self._providers

    async def label(self, metered: Metered, draft: Receipt, status: int) -> Metered:
        """Return what was metered with an EXACT label where one is due, or a closer range.

        Args:
            metered: what the meter found, with the answer it kept.
            draft: the call's receipt as it was begun.
            status: how the call ended.
        """
        if metered.output is None or metered.output.text is None:
            return metered
        text = metered.output.text
        rule = self._table.rule(draft.provider, metered.model, draft.upstream)
        if rule is not None:
            return await self._exact(rule, metered, text, draft, status)
        if has_range(draft.provider, metered.model):
            return await self._ranged(metered, text)
        return metered

    async def _exact(
        self, rule: ModelRule, metered: Metered, text: str, draft: Receipt, status: int
    ) -> Metered:
        facts = CallFacts(
            api=draft.api,
            status=status,
            metering=metered.metering,
            anomalies=metered.anomalies | frozenset(draft.anomalies or ()),
            plain_request=True,
        )
        counts = [(bucket.kind, bucket.reported or 0) for bucket in metered.usage]
        if not may_be_exact(rule, facts, metered.output, counts):
            return metered
        counted = await self._count(rule.encoding, text)
        reported = known_counts(rule, counts)[OUTPUT_VISIBLE]
        bucket = None if counted is None else exact_bucket(rule, reported, counted)
        if bucket is None:
            return metered
        visible = (OUTPUT_VISIBLE, OUTPUT_UNSPLIT)
        return metered.with_usage(tuple(bucket if b.kind in visible else b for b in metered.usage))

    async def _ranged(self, metered: Metered, text: str) -> Metered:
        """Return what was metered with ranges in the place of bounds by bytes (EST-2)."""
        encoding = self._table.encodings[RANGE_ENCODING]
        if not any(bucket.method == METHOD_BYTES for bucket in metered.usage):
            return metered
        try:
            found = await self._counter.claude_range(encoding, text)
        except RecountError as error:
            self._note(encoding.name, error)
            return metered
        if found is None:
            return metered
        return metered.with_usage(tuple(_in_range(b, *found) for b in metered.usage))

    async def _count(self, encoding: Encoding, text: str) -> TokenCount | None:
        try:
            return await self._counter.count(encoding, (text,))
        except RecountError as error:
            self._note(encoding.name, error)
            return None

    def _note(self, name: str, error: RecountError) -> None:
        """Count an answer that is not; where none ever will be in an encoding, say so once."""
        if self._metrics is not None:
            self._metrics.uncounted(name, error.code)
        if error.code in LASTING and name not in self.trouble:
            self.trouble[name] = error.message
            _log.warning("no answer is EXACT in %s: %s", name, error.message)


def _in_range(bucket: Bucket, lower: int, upper: int) -> Bucket:
    if bucket.label != BOUNDED or bucket.method != METHOD_BYTES:
        return bucket
    return replace(bucket, lower=lower, upper=upper, method=METHOD_CLAUDE)
