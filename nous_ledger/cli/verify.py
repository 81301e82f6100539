"""`nous-ledger verify`: check one proof, or a folder of calls, offline; needs no ledger.

Spec:
    PROTOCOL.md VER-1 to VER-24, COMM-4, COMM-5.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.anchor_trust import take_trust, trust_options
from nous_ledger.cli.files import STDIN, read_bounded, read_opening
from nous_ledger.cli.options import PATH, json_option
from nous_ledger.cli.render import render_report
from nous_ledger.cli.terminal import printable, say, tell
from nous_ledger.protocol.bundle import MAX_BUNDLE_BYTES
from nous_ledger.protocol.policy import MAX_POLICY_BYTES, parse_policy
from nous_ledger.protocol.types import UnixSeconds
from nous_ledger.protocol.verify import verify_bundle

if TYPE_CHECKING:
    from nous_ledger.protocol.accuracy import Recounter
    from nous_ledger.protocol.report import Report

MAX_CONTENT_BYTES: Final = 64 * 1024 * 1024
"""Longest request or response that is checked; a gateway takes no longer request."""
_TABLE: Final = "nous_ledger.tokenizers"


@click.command(
    "verify",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger verify receipt.tlog-proof --policy trust.policy\n"
        "  nous-ledger verify receipt.tlog-proof --policy trust.policy \\\n"
        "      --opening @opening.hex --request request.json --response response.json --recount\n"
        "  nous-ledger verify - --policy trust.policy --max-age 86400 --json < receipt.tlog-proof\n"
        "  nous-ledger verify ./session --recount\n"
        "  nous-ledger verify receipt.tlog-proof --policy trust.policy \\\n"
        "      --anchor receipt.anchor.json --rpc https://mainnet.base.org\n"
        "\n"
        "Exit codes: 0 every required answer is established, 1 something is wrong, 2 used wrongly "
        "(or a policy that cannot be parsed), 3 something required could not be checked. Required "
        "are attribution, inclusion, log view unless the policy says `quorum none`, accuracy "
        "with --require-accuracy, and the anchor with --anchor."
    ),
)
@click.argument("file", type=PATH, metavar="FILE|DIR")
@click.option(
    "--policy",
    "policy_file",
    type=PATH,
    help="Trust policy: keys of the log and witnesses. Get it by another way than FILE.  "
    "[required; for DIR: its trust.policy]",
)
@click.option(
    "--opening",
    metavar="HEX|@FILE",
    help="The call's nous-opening header, to check its content. "
    "@FILE keeps it out of the process list.",
)
@click.option("--request", type=PATH, help="Request body as it was sent, content codings removed.")
@click.option("--response", type=PATH, help="Response body as it came, content codings removed.")
@click.option("--forwarded", type=PATH, help="Request body as the gateway forwarded it.")
@click.option("--recount", is_flag=True, help="Count the visible text again (needs --response).")
@click.option(
    "--tokenizers",
    type=PATH,
    expose_value=False,
    callback=lambda context, _, path: context.meta.update({_TABLE: path}),
    metavar="FILE",
    help="Table of further tokenizers, as calls.tokenizers_file of the gateway.",
)
@click.option(
    "--max-age",
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Oldest head to be content with.",
)
@click.option("--require-accuracy", is_flag=True, help="Let accuracy decide the exit code too.")
@click.option(
    "--anchor",
    "anchor_file",
    type=PATH,
    help="Evidence that the log was anchored on a chain; with --block-hash, or --rpc.",
)
@trust_options
@json_option
def command(
    *,
    file: Path,
    policy_file: Path | None,
    opening: str | None,
    request: Path | None,
    response: Path | None,
    forwarded: Path | None,
    recount: bool,
    max_age: int | None,
    require_accuracy: bool,
    anchor_file: Path | None,
    as_json: bool,
    **trust: Any,  # noqa: ANN401 - the options of `trust_options`
) -> int:
    """Check the receipt proof in FILE against a trust policy.

    Four questions are answered apart: attribution (did this log's key sign this
    record?), inclusion (is it in the log?), log view (does anybody else see this
    log?), accuracy (how far do the counts have ground truth?). No network and no
    ledger is needed, but for --anchor with --rpc. One of the files may be -, standard
    input.

    Of a folder that `nous-ledger run --save` made every call is checked, each with its
    own opening and content.
    """
    contents = {"request": request, "response": response, "forwarded": forwarded}
    if trust["block_hash"] is not None and anchor_file is None:
        raise click.UsageError("--block-hash goes with --anchor")
    if _is_folder(file):
        if anchor_file is not None:
            raise click.UsageError("--anchor is evidence for one proof, not for a folder")
        if opening is not None or any(path is not None for path in contents.values()):
            raise click.UsageError("a folder holds opening and content of each of its calls")
        return _verify_folder(
            file,
            policy_file,
            recount=recount,
            max_age=max_age,
            require_accuracy=require_accuracy,
            as_json=as_json,
        )
    if policy_file is None:
        raise click.UsageError("Missing option '--policy'.")
    _check_usage(opening, contents, recount=recount)
    _check_one_stdin(file, policy_file, opening, anchor_file, *contents.values())
    policy = parse_policy(read_bounded(policy_file, MAX_POLICY_BYTES, "policy-format"))
    secret = None if opening is None else read_opening(opening)
    bodies = {
        name: read_bounded(path, MAX_CONTENT_BYTES, "unreachable")
        for name, path in contents.items()
        if path is not None
    }
    bundle = read_bounded(file, MAX_BUNDLE_BYTES, "not-a-bundle")
    report = verify_bundle(
        bundle,
        policy,
        opening=secret,
        request=bodies.get("request"),
        response=bodies.get("response"),
        forwarded=bodies.get("forwarded"),
        recount=_recounter() if recount else None,
        now=UnixSeconds(int(time.time())),
        max_age=max_age,
        require_accuracy=require_accuracy,
    )
    if anchor_file is not None:
        report = _add_anchor(report, bundle, anchor_file, trust)
    say(json.dumps(report.to_json(), indent=2) if as_json else render_report(report))
    return report.exit_code()


def _add_anchor(report: Report, bundle: bytes, path: Path, trust: dict[str, Any]) -> Report:
    from nous_ledger.protocol.anchor_evidence import MAX_EVIDENCE_BYTES
    from nous_ledger.protocol.anchor_verify import add_anchor

    evidence = read_bounded(path, MAX_EVIDENCE_BYTES, "anchor-format")
    return add_anchor(report, bundle, evidence, take_trust(trust))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, say; reading it will tell
        return False


def _verify_folder(
    folder: Path,
    policy_file: Path | None,
    *,
    recount: bool,
    max_age: int | None,
    require_accuracy: bool,
    as_json: bool,
) -> int:
    from nous_ledger.cli.verify_folder import (
        Demand,
        check_calls,
        exit_code_of_all,
        find_policy,
        render_calls,
    )

    if policy_file is None:
        policy_file = find_policy(folder)
        tell(f"trusting {printable(policy_file)}, which lies with what it is to vouch for")
    demand = Demand(
        policy=parse_policy(read_bounded(policy_file, MAX_POLICY_BYTES, "policy-format")),
        recount=_recounter() if recount else None,
        max_age=max_age,
        require_accuracy=require_accuracy,
        max_content=MAX_CONTENT_BYTES,
    )
    calls = list(check_calls(folder, demand))
    code = exit_code_of_all(calls)
    if as_json:
        shown = [call.to_json() for call in calls]
        say(json.dumps({"exit_code": code, "policy": str(policy_file), "calls": shown}, indent=2))
    else:
        say("\n".join(render_calls(calls)))
    return code


def _check_usage(opening: str | None, contents: dict[str, Path | None], *, recount: bool) -> None:
    """Refuse a call that makes no sense before any file is read (COMM-5)."""
    if any(path is not None for path in contents.values()) != (opening is not None):
        raise click.UsageError(
            "--opening and at least one of --request, --response and --forwarded go together"
        )
    if recount and contents["response"] is None:
        raise click.UsageError("--recount needs --response and --opening")


def _check_one_stdin(*sources: Path | str | None) -> None:
    if sum(source in (STDIN, "@-") for source in sources) > 1:
        raise click.UsageError("only one of the files can be standard input")


def _recounter() -> Recounter:
    from nous_ledger.cli.reconcile_tokenizers import read_table_file
    from nous_ledger.gateway.recount import recount_bounds

    table = read_table_file(click.get_current_context().meta.get(_TABLE))
    return partial(recount_bounds, table=table)
