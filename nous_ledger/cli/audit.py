"""`nous-ledger audit`: do the receipts of a stream show more tokens than there were?

Spec:
    PROTOCOL.md, section "Stream audit", AUD-1 to AUD-12.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_WRONG
from nous_ledger.cli.files import read_ledger
from nous_ledger.cli.options import json_option, ledger_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import format_table
from nous_ledger.cli.terminal import say
from nous_ledger.protocol.audit_streams import AuditedStreams, StreamKey
from nous_ledger.protocol.registries import SOURCE
from nous_ledger.protocol.stream_audit import ALPHA, AuditState, StreamAudit

if TYPE_CHECKING:
    from nous_ledger.ledger import Ledger

LONG_LOG: Final = 20_000
"""Receipts from which on a terminal gets a progress bar."""
ASSUMPTIONS: Final = (
    "the allowances were calibrated on English chat",
    "the model's offset is one constant of those listed",
    "the vocabulary is the model's own",
    "nothing of the answers is missing",
)
COLUMNS: Final = (
    *("stream", "provider", "model", "method", "receipts", "reported", "counted"),
    *("evidence", "needs", "excess", "coverage", "state"),
)


@click.command(
    "audit",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger audit\n"
        "  nous-ledger audit --alpha 0.01 --json\n"
        "  nous-ledger audit --watch --interval 60\n"
        "\n"
        "Exit codes: 0 no stream shows anything, 1 at least one does, 3 it could not be checked."
    ),
)
@ledger_option
@click.option(
    "--alpha",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=ALPHA,
    show_default=True,
    help="Chance of any false alarm over all streams together.",
)
@click.option("--watch", is_flag=True, help="Go on with every new receipt until interrupted.")
@click.option(
    "--interval",
    type=click.IntRange(1, 86_400),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks for new receipts.",
)
@json_option
def command(*, named: Path | None, alpha: float, watch: bool, interval: int, as_json: bool) -> int:
    """Test each stream of receipts for reported tokens beyond a re-count.

    A stream is one model at one upstream whose visible output was counted again by
    one method; only EXACT counts are samples. A single receipt says nothing: honest
    providers show small gaps. What a stream shows is excess over the re-count, under
    the assumptions printed with it, and never whether anybody meant it.
    """
    streams = AuditedStreams(alpha)
    with read_ledger(named) as ledger:
        seen = _take(ledger, streams, 0)
        _show(streams, as_json=as_json)
        while watch:
            time.sleep(interval)
            if (now := _take(ledger, streams, seen)) > seen:
                seen = now
                _show(streams, as_json=as_json)
    return EXIT_WRONG if any(map(_found, streams.streams.values())) else EXIT_GOOD


def _take(ledger: Ledger, streams: AuditedStreams, first: int) -> int:
    """Take the receipts from an index on; return the index after the last record."""
    count = ledger.leaf_count()
    with progress_bar("auditing", "records", at_least=LONG_LOG) as progress:
        for row in ledger.receipts(lo=first, hi=count):
            if row.receipt is not None:
                streams.take(row.receipt)
            progress(row.index - first, count - first)
    return count


def _found(audit: StreamAudit) -> bool:
    return audit.state is not AuditState.CONSISTENT or audit.contradicted > 0


def _show(streams: AuditedStreams, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(_to_json(streams)))
        return
    if not streams.streams:
        say("no receipt has an EXACT count: there is nothing to audit")
        return
    rows = [
        _row(streams, number, key, audit)
        for number, (key, audit) in enumerate(streams.streams.items(), start=1)
    ]
    say(format_table(COLUMNS, rows, "rlllrrrrrrrl"))
    for number, audit in enumerate(streams.streams.values(), start=1):
        for line in _remarks(audit):
            say(click.style(f"stream {number}: {line}", fg="red"))
    say(f"alpha {streams.alpha:g} over all streams. Assumed: {'; '.join(ASSUMPTIONS)}.")


def _row(
    streams: AuditedStreams, number: int, key: StreamKey, audit: StreamAudit
) -> tuple[str, ...]:
    sampled, output = streams.coverage(key.service)
    return (
        str(number),
        key.service.provider,
        key.service.model,
        key.method,
        str(audit.receipts),
        str(audit.reported),
        str(audit.counted),
        f"{min(audit.evidence()):.3g}",
        f"{audit.level:.3g}",
        f"{audit.excess:.2%}" if audit.excess else "-",
        f"{sampled / output:.1%}" if output else "-",
        str(audit.state),
    )


def _remarks(audit: StreamAudit) -> list[str]:
    """Return what has to be said beside the numbers (AUD-11)."""
    found = []
    if audit.over_at:
        found.append(
            f"reported tokens go beyond the re-count and every known offset since sample "
            f"{audit.over_at}; ask the provider how they were counted"
        )
    elif audit.inconsistent_at:
        found.append(f"no known offset explains it since sample {audit.inconsistent_at}")
    if audit.over_at and audit.under_at:
        found.append(
            "there are both too many and too few: a wrong tokenizer, or text is missing; "
            "nothing can be said of the provider"
        )
    if audit.contradicted:
        found.append(f"receipts far beyond their re-count by themselves: {audit.contradicted}")
    return found


def _to_json(streams: AuditedStreams) -> dict[str, Any]:
    found = []
    for number, (key, audit) in enumerate(streams.streams.items(), start=1):
        sampled, output = streams.coverage(key.service)
        found.append(
            {
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
                "sampled_tokens": sampled,
                "output_tokens": output,
                "state": str(audit.state),
                "remarks": _remarks(audit),
            }
        )
    return {"alpha": streams.alpha, "assumptions": list(ASSUMPTIONS), "streams": found}
