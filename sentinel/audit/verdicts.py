"""What streams of receipts say of a provider, as the sentinel comes to it from the log alone.

A verdict speaks about who reported the counts, never about the log that holds them: it
is told, and changes nothing of how the log's own audit comes out.

Spec:
    PROTOCOL.md, sections "Stream audit" and "Streams of receipts" (SENT-29 to SENT-32).
"""

from __future__ import annotations

from collections.abc import Iterator

from nous_ledger.protocol.audit_report import remarks
from nous_ledger.protocol.audit_streams import AuditedStreams, StreamKey
from nous_ledger.protocol.stream_audit import AuditState, StreamAudit
from nous_ledger.protocol.types import LeafIndex
from sentinel.audit.codes import Place
from sentinel.audit.findings import Finding
from sentinel.audit.ports import Changes, Sample

_CONTRADICTED = "contradicted"


def take_counts(
    streams: AuditedStreams, changes: Changes
) -> Iterator[tuple[Sample, list[Finding]]]:
    """Take what the receipts of a span add; yield each sample with the verdicts it leads to.

    Spec:
        AUD-3, SENT-29.

    Args:
        streams: of the log, after the span before; what is taken changes them.
        changes: what the fold of the span adds.
    """
    streams.receipts += changes.read
    streams.unread += changes.unread
    for service, tokens in changes.outputs:
        streams.take_output(service, tokens)
    for sample in changes.samples:
        known = streams.streams.get(sample.stream)
        before = _words(known) if known is not None else ()
        audit = streams.take_sample(sample.stream, sample.reported, sample.counted)
        if audit is not None:
            new = [word for word in _words(audit) if word not in before]
            yield sample, [_verdict(word, sample, audit) for word in new]


def _words(audit: StreamAudit) -> tuple[str, ...]:
    """Return what a stream shows so far, as codes."""
    state = () if audit.state is AuditState.CONSISTENT else (str(audit.state),)
    return (*state, _CONTRADICTED) if audit.contradicted else state


def _verdict(word: str, sample: Sample, audit: StreamAudit) -> Finding:
    remark = remarks(audit)[-1 if word == _CONTRADICTED else 0]
    return Finding(
        place=Place.PROVIDER,
        code=word,
        message=f"{_name(sample.stream)}: {remark}",
        index=LeafIndex(sample.leaf),
        attrs={
            "provider": sample.stream.service.provider,
            "upstream": sample.stream.service.upstream,
            "operation": sample.stream.service.operation,
            "model": sample.stream.service.model,
            "method": sample.stream.method,
            "samples": audit.receipts,
            "reported": audit.reported,
            "counted": audit.counted,
            "excess": f"{audit.excess:.2%}" if audit.excess else None,
        },
    )


def _name(key: StreamKey) -> str:
    service = key.service
    where = f" at {service.upstream}" if service.upstream else ""
    return f"{service.provider} {service.model}{where}"
