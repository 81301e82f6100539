"""What the audit of streams comes to, as plain values: the same wherever it was computed.

A doubles' JSON form is the shortest that reads back to the same bits, so two results
can be compared as text.

Spec:
    PROTOCOL.md, section "Stream audit", AUD-11, AUD-12, AUD-14.
"""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import Any, Final

from nous_ledger.protocol import stream_audit as rule
from nous_ledger.protocol.audit_streams import AuditedStreams, StreamKey
from nous_ledger.protocol.registries import SOURCE
from nous_ledger.protocol.stream_audit import AuditState, StreamAudit

ASSUMPTIONS: Final = (
    "the allowances were calibrated on English chat",
    "the model's offset is one constant of those listed",
    "the vocabulary is the model's own",
    "nothing of the answers is missing",
)
BLIND_SPOTS: Final = (
    "exactly one token too many on every call of a model whose offsets include +1",
    "a constant excess below about 0.1 %",
)
SUMMARY: Final = MappingProxyType(
    {
        "speaking": "Streams of receipts that are not consistent, or hold a contradicted receipt.",
        "contradicted": "Receipts far beyond their re-count by themselves.",
        "excess": "Largest share of a re-count that the excess of a stream was shown to pass.",
        "samples": "Receipts with an EXACT count that streams audit.",
        "sampled_tokens": "Reported output tokens of these.",
        "output_tokens": "Reported output tokens of all receipts that could be read.",
        "unread_receipts": "Receipts that no stream could look at.",
    }
)
"""What numbers of `summary_to_json` mean, for who shows them one by one."""
PARAMETERS: Final = MappingProxyType(
    {
        "kappa": rule.KAPPA,
        "rho": rule.RHO,
        "kappa_under": rule.KAPPA_UNDER,
        "rho_under": rule.RHO_UNDER,
        "max_ratio": rule.MAX_RATIO,
        "stakes": list(rule.STAKES),
        "ladder": list(rule.EXCESS_LADDER),
    }
)
"""Constants of the test, to be stated with every result."""


def shows_something(audit: StreamAudit) -> bool:
    """Return whether a stream speaks: it is not consistent, or a receipt is absurd by itself."""
    return audit.state is not AuditState.CONSISTENT or audit.contradicted > 0


def remarks(audit: StreamAudit) -> list[str]:
    """Return what has to be said beside a stream's numbers.

    Spec:
        AUD-11, AUD-12.
    """
    found = []
    match audit.state:
        case AuditState.TWO_SIDED:
            found.append(
                f"there are too many (since sample {audit.over_at}) and too few (since sample"
                f" {audit.under_at}): a wrong tokenizer, or text is missing; nothing can be said"
                " of the provider"
            )
        case AuditState.OVER_REPORTED:
            found.append(
                "reported tokens go beyond the re-count and every known offset since sample"
                f" {audit.over_at}; ask the provider how they were counted"
            )
        case AuditState.UNDER_REPORTED:
            found.append(
                "fewer tokens are reported than the re-count and every known offset allow since"
                f" sample {audit.under_at}: a wrong tokenizer, or the provider counts in favour of"
                " its customers"
            )
        case AuditState.INCONSISTENT:
            found.append(f"no known offset explains it since sample {audit.inconsistent_at}")
    if audit.contradicted:
        found.append(
            f"receipts far beyond their re-count by themselves: {audit.contradicted},"
            f" the first is sample {audit.contradicted_at}"
        )
    return found


def streams_to_json(streams: AuditedStreams) -> dict[str, Any]:
    """Return every parameter, assumption and number of the audit of a log.

    Spec:
        AUD-11, AUD-14.
    """
    by_service = streams.sampled()
    found = [
        stream_to_json(number, key, audit)
        | {
            "sampled_tokens": by_service[key.service],
            "output_tokens": streams.output.get(key.service, 0),
        }
        for number, (key, audit) in enumerate(streams.streams.items(), start=1)
    ]
    stated = {
        "parameters": dict(PARAMETERS),
        "assumptions": list(ASSUMPTIONS),
        "blind_spots": list(BLIND_SPOTS),
    }
    return summary_to_json(streams) | stated | {"streams": found}


def summary_to_json(streams: AuditedStreams) -> dict[str, Any]:
    """Return what all streams come to together.

    Spec:
        AUD-14.
    """
    audits = streams.streams.values()
    sampled, output = streams.total_coverage()
    return {
        "alpha": streams.alpha,
        "receipts": streams.receipts,
        "unread_receipts": streams.unread,
        "samples": sum(audit.receipts for audit in audits),
        "samples_beyond": streams.beyond,
        "sampled_tokens": sampled,
        "output_tokens": output,
        "states": dict(Counter(str(audit.state) for audit in audits)),
        "speaking": sum(map(shows_something, audits)),
        "contradicted": sum(audit.contradicted for audit in audits),
        "excess": max((audit.excess for audit in audits), default=0.0),
    }


def stream_to_json(number: int, key: StreamKey, audit: StreamAudit) -> dict[str, Any]:
    """Return every number of one stream.

    Args:
        number: k, its place among the streams that were opened, from 1.
        key: its name.
        audit: its bets.
    """
    return {
        "number": number,
        "source": SOURCE.name_of(key.service.source),
        "provider": key.service.provider,
        "upstream": key.service.upstream,
        "operation": key.service.operation,
        "model": key.service.model,
        "method": key.method,
        "vocab": key.vocab.hex(),
        "offsets": list(audit.offsets),
        "receipts": audit.receipts,
        "reported": audit.reported,
        "counted": audit.counted,
        "over": list(audit.over()),
        "under": list(audit.under()),
        "evidence": list(audit.evidence()),
        "level": audit.level,
        "excess": audit.excess,
        "contradicted": audit.contradicted,
        "over_at": audit.over_at,
        "under_at": audit.under_at,
        "inconsistent_at": audit.inconsistent_at,
        "contradicted_at": audit.contradicted_at,
        "state": str(audit.state),
        "remarks": remarks(audit),
    }
