"""`nous-ledger setup`: point the tools of this user at a gateway, and take that back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import click

from nous_ledger.cli.base_urls import DEFAULT_GATEWAY, check_gateway_url
from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE
from nous_ledger.cli.options import json_option
from nous_ledger.cli.setup_diff import format_diff
from nous_ledger.cli.setup_files import (
    Journal,
    check_changeable,
    decode_settings,
    make_folders,
    remove_folders,
    replace_settings,
)
from nous_ledger.cli.setup_finding import Finding, Places, State
from nous_ledger.cli.setup_tools import TOOLS, find_tools
from nous_ledger.cli.setup_undo import ask_for, count_files, run_undo
from nous_ledger.cli.terminal import printable, say
from nous_ledger.protocol.errors import LedgerError

_TITLES: Final = {
    State.CHANGE: "to be changed",
    State.SET: "set already",
    State.MANUAL: "by hand",
    State.BLOCKED: "not possible",
    State.ABSENT: "not found",
}


@click.command(
    "setup",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger setup --dry-run\n"
        "  nous-ledger setup --only claude-code --only python\n"
        "  nous-ledger setup --url http://127.0.0.1:9000 --yes\n"
        "  nous-ledger setup --undo\n"
        "\n"
        "Exit code 3: a tool that is there could not be set up, or a change not be taken back."
    ),
)
@click.option("--url", default=DEFAULT_GATEWAY, show_default=True, help="Address of the gateway.")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(tuple(TOOLS)),
    help="Look at this tool only; may be given several times.",
)
@click.option("--undo", is_flag=True, help="Take back what was changed, and nothing else.")
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option("--yes", is_flag=True, help="Change without asking.")
@json_option
def command(
    *, url: str, only: tuple[str, ...], undo: bool, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Let the tools on this machine call through a gateway.

    Claude Code, Codex, Cursor, Gemini CLI, OpenClaw and the Python SDKs (by the
    shell's profile) are looked for. What would be changed is shown file by file, and
    done once you agree. A tool whose settings cannot be changed safely is named with
    the step to do by hand. --undo takes everything back, byte for byte; what you
    changed in the same files meanwhile stays.
    """
    if dry_run and yes:
        raise click.UsageError("--dry-run and --yes exclude each other")
    if as_json and not (dry_run or yes):
        raise click.UsageError("--json asks nothing: add --yes or --dry-run")
    gateway = check_gateway_url(url)
    places = Places.of(os.environ)
    journal = Journal(os.environ)
    if undo:
        return run_undo(journal, only, ask=not (yes or dry_run), dry_run=dry_run, as_json=as_json)
    findings = find_tools(places, gateway, only)
    return _run_setup(
        findings, journal, gateway, ask=not (yes or dry_run), dry_run=dry_run, as_json=as_json
    )


def _run_setup(
    findings: list[Finding],
    journal: Journal,
    gateway: str,
    *,
    ask: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    if not as_json:
        say("\n".join(_render(findings)))
    planned = [finding for finding in findings if finding.change is not None]
    if planned and not dry_run:
        if ask:
            ask_for(f"Change {count_files(planned)}?")
        done = {id(finding): _apply(finding, journal) for finding in planned}
        findings = [done.get(id(finding), finding) for finding in findings]
    changed = bool(planned) and not dry_run
    if as_json:
        shown = {"gateway": gateway, "journal": str(journal.path), "changed": changed}
        say(json.dumps({**shown, "tools": list(map(_to_json, findings))}, indent=2))
    elif changed:
        say("\n".join(_render_outcome(findings, journal, gateway)))
    blocked = any(finding.state is State.BLOCKED for finding in findings)
    return EXIT_UNAVAILABLE if blocked else EXIT_GOOD


def _apply(finding: Finding, journal: Journal) -> Finding:
    """Make one change; return the finding as it is then."""
    change, path = finding.change, finding.path
    if change is None or path is None:
        return finding
    try:
        check_changeable(path)
        noted = replace(change, folders=make_folders(path))
        journal.add(noted)
        try:
            replace_settings(path, change.before, finding.text.encode())
        except LedgerError:
            remove_folders(noted.folders)
            journal.drop(noted)
            raise
    except LedgerError as error:
        detail = f"left alone: {error.message}"
        return replace(finding, state=State.BLOCKED, detail=detail, change=None)
    return replace(finding, state=State.SET, change=noted)


def _render(findings: list[Finding]) -> Iterator[str]:
    for finding in findings:
        path = "" if finding.path is None else f"  {printable(finding.path)}"
        yield f"{finding.tool:<12}{_TITLES[finding.state]:<15}{path}".rstrip()
        if finding.detail:
            yield f"            {printable(finding.detail)}"
        if diff := _diff(finding):
            yield from ("", diff, "")


def _diff(finding: Finding) -> str:
    change = finding.change
    if change is None:
        return ""
    before = decode_settings(change.before)
    return format_diff(finding.path, before, finding.text, new=change.before is None)


def _render_outcome(findings: list[Finding], journal: Journal, gateway: str) -> Iterator[str]:
    for finding in findings:
        if finding.change is not None:
            yield f"changed     {printable(finding.path)}"
    for finding in findings:
        if finding.state is State.BLOCKED:
            yield f"not changed {printable(finding.path)}: {printable(finding.detail)}"
    yield from (
        f"journal     {printable(journal.path)}",
        "",
        f"These tools now need a gateway at {gateway}: nous-ledger gateway, or",
        "nous-ledger service install. Programs that run already must be started again.",
        "Take it back with: nous-ledger setup --undo",
    )


def _to_json(finding: Finding) -> dict[str, Any]:
    return {
        "tool": finding.tool,
        "state": str(finding.state),
        "file": None if finding.path is None else str(finding.path),
        "detail": finding.detail,
        "diff": _diff(finding),
    }
