"""What a kept text says about a receipt: labels, under the conditions of the call itself.

The text is compared with the receipt's commitments where its opening is at hand, and
then read and counted as the gateway reads and counts it while it passes. Where text and
receipt do not fit, nothing becomes evidence.

Spec:
    PROTOCOL.md LBL-5, LBL-6, LBL-8 to LBL-11, EST-2, RCON-4, COMM-4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from nous_ledger.gateway.bounds import bound_later
from nous_ledger.gateway.call_texts import CallText
from nous_ledger.gateway.formats import parser_of
from nous_ledger.gateway.metering import Meter
from nous_ledger.gateway.recount import read_fields
from nous_ledger.protocol.accuracy import Content, check_commitments
from nous_ledger.protocol.errors import FormatError, LabelError, UnavailableError
from nous_ledger.protocol.label import (
    BOUNDED,
    EXACT,
    METHOD_BYTES,
    OUTPUT_UNSPLIT,
    OUTPUT_VISIBLE,
    UNVERIFIABLE,
    Bucket,
)
from nous_ledger.protocol.receipt import Receipt
from nous_ledger.protocol.reconciled import CHECKED, UNCHECKED
from nous_ledger.protocol.registries import METERING, STATUS
from nous_ledger.protocol.values import value
from nous_ledger.reconcile.counting import counter_for
from nous_ledger.reconcile.errors import RecountError
from nous_ledger.reconcile.estimate import (
    METHOD_CLAUDE,
    RANGE_ENCODING,
    claude_range,
    has_range,
)
from nous_ledger.reconcile.exact import CallFacts, exact_bucket, is_plain_request, may_be_exact
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.labels import label_counts
from nous_ledger.reconcile.tally import VisibleOutput
from nous_ledger.reconcile.tokenizers import TokenizerTable
from nous_ledger.reconcile.visible_request import rules_out_hidden, shows_all

_METERED: Final = (METERING["final"], METERING["partial"])
_WHOLE: Final = (STATUS["complete"], STATUS["incomplete"])


@value
class TextEvidence:
    """What a text says about a receipt.

    Attributes:
        usage: buckets with their labels, kinds ascending; empty if it says nothing.
        source: where it is from, and whether it was checked.
        reason: why nothing is said, or nothing EXACT; empty if EXACT was found.
        uncounted: the reason is that tokens could not be counted here.
    """

    usage: tuple[Bucket, ...] = ()
    source: str
    reason: str = ""
    uncounted: bool = False


def make_evidence(receipt: Receipt, text: CallText, table: TokenizerTable) -> TextEvidence:
    """Return what a text says about its receipt, whatever the receipt says already.

    Args:
        receipt: the receipt of the call that it was kept of.
        text: what was kept.
        table: which models' tokens can be counted.

    Raises:
        CommitmentError: commitment-mismatch: the text is not the one of the call.
        LabelError: label-range: the receipt has other bounds or another count than the
            text gives, so the text is not the one of the call, or the label is wrong.
    """
    content = Content(
        opening=text.opening,
        request=text.request if text.opening else None,
        response=text.response if text.opening else None,
    )
    check_commitments(receipt, content)
    source = f"{text.source}{CHECKED if _is_checked(receipt, text) else UNCHECKED}"
    if receipt.status not in _WHOLE:
        return TextEvidence(source=source, reason="not all of the response reached the caller")
    if text.api not in (None, receipt.api):
        return TextEvidence(source=source, reason="it was kept in another format than the call's")
    visible = _read(receipt, text)
    if visible is None:
        return TextEvidence(source=source, reason="not all of its output is of a known kind")
    if visible.tool_calls and text.as_value and source.endswith(UNCHECKED):
        return TextEvidence(source=source, reason="tool calls were kept in other bytes")
    return _labelled(receipt, text, visible, source, table)


def _is_checked(receipt: Receipt, text: CallText) -> bool:
    committed = receipt.response_commitment is not None
    if text.request is not None:
        committed &= receipt.request_commitment is not None
    return committed and text.opening is not None


def _read(receipt: Receipt, text: CallText) -> VisibleOutput | None:
    streamed = receipt.streamed == 1 and not text.as_value
    response = text.response
    if text.as_value and response.startswith(b"["):  # events that were kept as an array
        streamed, response = True, _as_events(response)
    parser = parser_of(receipt.api, response) if streamed and not text.as_value else None
    meter = Meter(receipt.api, streamed=streamed, parser=parser, keep_text=True)
    meter.feed(response)
    meter.close()
    return meter.visible_output()


def _as_events(data: bytes) -> bytes:
    try:
        items = parse_json(data).items()
    except FormatError:
        return b""
    return b"".join(b"data: %b\n\n" % item.wire.replace(b"\n", b" ") for item in items)


def _labelled(
    receipt: Receipt, text: CallText, visible: VisibleOutput, source: str, table: TokenizerTable
) -> TextEvidence:
    fields = read_fields(text.request)
    usage = _bounded(receipt, text.request, fields, visible, table)
    _compare(receipt, usage)
    reason, uncounted = "", False
    try:
        usage[OUTPUT_VISIBLE] = _exact(receipt, fields, visible, table)
        _compare(receipt, usage)
    except UnavailableError as error:
        reason, uncounted = error.message, isinstance(error, RecountError)
    own = {bucket.kind: bucket for bucket in receipt.usage or ()}
    kept = tuple(usage[kind] for kind in sorted(usage) if _tells_more(own[kind], usage[kind]))
    if not kept and usage:
        reason = "the receipt says as much already"
    return TextEvidence(usage=kept, source=source, reason=reason, uncounted=uncounted)


def _bounded(
    receipt: Receipt,
    request: bytes | None,
    fields: Mapping[str, Any] | None,
    visible: VisibleOutput,
    table: TokenizerTable,
) -> dict[int, Bucket]:
    """Return the buckets that can be bounded, by every method that the gateway has but time."""
    counts = [(b.kind, b.reported) for b in receipt.usage or () if b.reported is not None]
    shown = visible if shows_all(receipt.api, fields) else None
    hidden_ruled_out = rules_out_hidden(receipt.api, fields or {})
    usage = label_counts(counts, shown, hidden_ruled_out=hidden_ruled_out)
    _compare(receipt, {bucket.kind: bucket for bucket in usage if bucket.label == BOUNDED})
    if (
        fields is not None
        and is_plain_request(fields)
        and has_range(receipt.provider, receipt.model_served)
    ):
        usage = _ranged(usage, visible, table)
    if request is not None and fields is not None and receipt.metering in _METERED:
        usage = bound_later(usage, receipt, request, fields, shown, table=table)
    return {bucket.kind: bucket for bucket in usage if bucket.label == BOUNDED}


def _ranged(
    usage: tuple[Bucket, ...], visible: VisibleOutput, table: TokenizerTable
) -> tuple[Bucket, ...]:
    """Return buckets with a measured range in the place of bounds by bytes (EST-2)."""
    encoding = table.encodings.get(RANGE_ENCODING)
    if visible.text is None or encoding is None:
        return usage
    try:
        counter = counter_for(encoding)
    except RecountError:
        return usage
    counter.feed(visible.text)
    if (counted := counter.result()) is None:
        return usage
    lower, upper = claude_range(visible.text, counted)
    return tuple(
        replace(bucket, lower=lower, upper=upper, method=METHOD_CLAUDE)
        if bucket.method == METHOD_BYTES
        else bucket
        for bucket in usage
    )


def _tells_more(own: Bucket, found: Bucket) -> bool:
    """Return whether a bucket says more than, or the same as, that of the receipt."""
    if own.label == UNVERIFIABLE or found.label == EXACT:
        return True
    width = (found.upper or 0) - (found.lower or 0)
    return own.label == BOUNDED and width < (own.upper or 0) - (own.lower or 0)


def _exact(
    receipt: Receipt,
    fields: Mapping[str, Any] | None,
    visible: VisibleOutput,
    table: TokenizerTable,
) -> Bucket:
    """Return the EXACT bucket of a text.

    Raises:
        UnavailableError: not-recounted: it may not be called EXACT; the message says why.
        RecountError: it may, and could not be counted here.
    """
    rule = table.rule(receipt.provider, receipt.model_served, receipt.upstream)
    if rule is None:
        raise UnavailableError("not-recounted", "no tokenizer of this model is known")
    if fields is None:
        raise UnavailableError("not-recounted", "the request was not kept")
    facts = CallFacts(
        api=receipt.api,
        status=receipt.status,
        metering=receipt.metering,
        anomalies=frozenset(receipt.anomalies or ()),
        plain_request=is_plain_request(fields),
    )
    reported = {bucket.kind: bucket.reported or 0 for bucket in receipt.usage or ()}
    # What a receipt does not tell apart, no later evidence can (LBL-5).
    split = OUTPUT_VISIBLE in reported and OUTPUT_UNSPLIT not in reported
    if not split or not may_be_exact(rule, facts, visible, reported.items()):
        raise UnavailableError("not-recounted", "the call is none whose count can be exact")
    counter = counter_for(rule.encoding)
    counter.feed(visible.text or "")
    counted = counter.result()
    bucket = None if counted is None else exact_bucket(rule, reported[OUTPUT_VISIBLE], counted)
    if bucket is None:
        raise UnavailableError("not-recounted", "the text cannot be counted")
    return bucket


def _compare(receipt: Receipt, usage: Mapping[int, Bucket]) -> None:
    """Refuse a text of which the receipt says something else by the same method."""
    for own in receipt.usage or ():
        found = usage.get(own.kind)
        if found is None or own.label not in (BOUNDED, EXACT) or own.method != found.method:
            continue
        if _claim(own) != _claim(found):
            raise LabelError(
                "label-range",
                f"by {own.method} the receipt has {own.lower}..{own.upper}, "
                f"the text gives {found.lower}..{found.upper}",
            )


def _claim(bucket: Bucket) -> tuple[int | bytes | None, ...]:
    return bucket.lower, bucket.upper, bucket.count, bucket.vocab
