"""`nous-ledger policy`: which logs and witnesses a verifier trusts."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nous_ledger.cli.files import ledger_option, read_bounded, read_ledger, write_new
from nous_ledger.cli.web import fetch
from nous_ledger.protocol.policy import MAX_POLICY_BYTES, Policy, format_policy, parse_policy
from nous_ledger.protocol.vkey import KIND_ED25519, KIND_HEAD, format_vkey

KIND_NAMES = {KIND_ED25519: "Ed25519", KIND_HEAD: "log id (0xff)"}


@click.group(
    "policy",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger policy export -o trust.policy\n"
        "  nous-ledger policy show trust.policy\n"
        "  nous-ledger policy fetch http://127.0.0.1:8787 -o trust.policy\n"
    ),
)
def command() -> None:
    """Show, export or fetch trust policies."""


@command.command("show")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@ledger_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(*, file: Path | None, folder: Path, as_json: bool) -> None:
    """Show what FILE trusts, or the policy of the ledger on this machine."""
    policy = parse_policy(
        read_bounded(file, MAX_POLICY_BYTES, "policy-format") if file else _own(folder)
    )
    click.echo(json.dumps(_policy_to_json(policy), indent=2) if as_json else _render(policy))


@command.command("export")
@ledger_option
@click.option("--c2sp", is_flag=True, help="Leave out the 0xff keys, which other tools refuse.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write. [default: -]")
@click.option("--force", is_flag=True, help="Replace the file.")
def export(*, folder: Path, c2sp: bool, output: Path | None, force: bool) -> None:
    """Write the trust policy of the ledger on this machine: both vkeys, no witnesses."""
    data = format_policy(parse_policy(_own(folder)), c2sp=c2sp)
    _write(data, output, force=force)


@command.command("fetch")
@click.argument("url")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write with --yes.")
@click.option("--yes", is_flag=True, help="You compared the keys out of band: write the file.")
@click.option("--force", is_flag=True, help="Replace the file.")
def fetch_command(*, url: str, output: Path | None, yes: bool, force: bool) -> None:
    """Get the policy that the gateway at URL offers, and show what to compare.

    Keys from the host under audit prove nothing by themselves: compare log id
    and vkeys with what the operator published elsewhere. Only then say --yes.
    """
    policy = parse_policy(fetch(f"{url.rstrip('/')}/v1/policy", MAX_POLICY_BYTES))
    click.echo(_render(policy), err=yes)
    if not yes:
        click.echo(
            "\nNothing was written. Compare log id and vkeys with another source, then add --yes.",
            err=True,
        )
        return
    _write(format_policy(policy), output, force=force)


def _own(folder: Path) -> bytes:
    with read_ledger(folder) as ledger:
        return ledger.policy_text()


def _write(data: bytes, output: Path | None, *, force: bool) -> None:
    if output is None or str(output) == "-":
        click.echo(data.decode("utf-8", "surrogateescape"), nl=False)
    else:
        write_new(output, data, force=force)
        click.echo(f"wrote {output}", err=True)


def _render(policy: Policy) -> str:
    lines: list[str] = []
    for log in policy.logs:
        kind = KIND_NAMES.get(log.vkey.kind, f"kind {log.vkey.kind:#04x}")
        lines.append(f"log       {log.vkey.name}  {kind}")
        if log.vkey.log_id is not None:
            lines.append(f"  log id  {log.vkey.log_id.hex()}")
        lines.append(f"  vkey    {format_vkey(log.vkey)}")
    for witness in policy.witnesses:
        lines.append(f"witness   {_text(witness.name)}")
        lines.append(f"  vkey    {format_vkey(witness.vkey)}")
    for group in policy.groups:
        members = " ".join(map(_text, group.members))
        lines.append(f"group     {_text(group.name)}: {group.threshold} of {members}")
    quorum = _text(policy.quorum)
    lines.append(f"quorum    {quorum}" + ("  (not witnessed)" if quorum == "none" else ""))
    return "\n".join(lines)


def _policy_to_json(policy: Policy) -> dict[str, object]:
    return {
        "logs": [
            {
                "name": log.vkey.name,
                "kind": log.vkey.kind,
                "vkey": format_vkey(log.vkey),
                "log_id": log.vkey.log_id.hex() if log.vkey.log_id else None,
                "url": _text(log.url) or None,
            }
            for log in policy.logs
        ],
        "witnesses": [
            {"name": _text(w.name), "vkey": format_vkey(w.vkey), "url": _text(w.url) or None}
            for w in policy.witnesses
        ],
        "groups": [
            {
                "name": _text(g.name),
                "threshold": g.threshold,
                "members": [_text(m) for m in g.members],
            }
            for g in policy.groups
        ],
        "quorum": _text(policy.quorum),
    }


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")
