"""How the audit of streams looks on a terminal: what was found, with all that it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from nous_ledger.protocol.stream_audit import AuditState
from sentinel.terminal import plural, printable

MAX_SHOWN: Final = 20
"""Streams that are listed for people; --json has all."""


def streams_line(streams: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what all streams of receipts come to, in a line, if that is anything."""
    if streams is None:
        return
    found = []
    states = ", ".join(f"{count:,} {state}" for state, count in streams["states"].items())
    if states:
        covered = _share(streams["sampled_tokens"], streams["output_tokens"])
        samples = plural(streams["samples"], "sample")
        found.append(f"{states} ({samples}, {covered} of output tokens)")
    if streams["contradicted"]:
        found.append(f"{plural(streams['contradicted'], 'receipt')} contradicted")
    if streams["unread_receipts"]:
        found.append(f"could not check {plural(streams['unread_receipts'], 'receipt')}, not read")
    if found:
        yield "; ".join(found)


def render_streams(streams: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a status about streams, none where no receipt was seen.

    Spec:
        PROTOCOL.md AUD-11, AUD-12, SENT-31.
    """
    for line in streams_line(streams):
        yield f"counts      {line}"
    shown = sorted(streams["streams"], key=lambda found: (not found["remarks"], found["number"]))
    for found in shown[:MAX_SHOWN]:
        yield from _render_one(found)
    if len(shown) > MAX_SHOWN:
        yield f"  … and {len(shown) - MAX_SHOWN} more, with --json"
    if erased := streams["erased_samples"]:
        yield f"  {plural(erased, 'sample')} erased since: a first pass today would not take them"
    if beyond := streams["samples_beyond"]:
        yield f"  {plural(beyond, 'sample')} not taken: too many streams"
    if shown:
        yield f"  alpha {streams['alpha']:g} over all streams. {_parameters(streams['parameters'])}"
        yield f"  Assumed: {'; '.join(streams['assumptions'])}."


def _render_one(found: Mapping[str, Any]) -> Iterator[str]:
    where = f" at {found['upstream']}" if found["upstream"] else ""
    name = f"{found['provider']} {found['model']}{where}, {found['method']}"
    # What has too many and too few of a token bounds nothing that a provider did.
    stated = found["excess"] and found["state"] != AuditState.TWO_SIDED
    bound = f"excess above {found['excess']:.2%}" if stated else "no excess shown"
    covered = _share(found["sampled_tokens"], found["output_tokens"])
    state = click.style(found["state"], fg="magenta" if found["remarks"] else None)
    yield f"  {found['number']:>3}  {state}  {printable(name)}"
    yield (
        f"       {plural(found['receipts'], 'sample')}: {found['reported']:,} reported,"
        f" {found['counted']:,} counted; evidence {min(found['evidence']):.3g} of"
        f" {found['level']:.3g}; {bound}; {covered} of its output tokens"
    )
    if found["erased_samples"]:
        yield f"       {plural(found['erased_samples'], 'sample')} erased since"
    for remark in found["remarks"]:
        yield f"       {remark}"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _parameters(found: Mapping[str, Any]) -> str:
    names = ("kappa", "rho", "kappa_under", "rho_under", "max_ratio")
    return ", ".join(f"{name} {found[name]:g}" for name in names) + "."
