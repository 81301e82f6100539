"""`nous-ledger reconcile tokenizers` and `calibrate`: what can be counted, and how exactly.

Spec:
    PROTOCOL.md TOK-1, TOK-3, TOK-8.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.exits import EXIT_GOOD, EXIT_UNAVAILABLE, EXIT_WRONG
from nous_ledger.cli.files import check_there, read_bounded
from nous_ledger.cli.options import PATH, json_option
from nous_ledger.cli.progress import progress_bar
from nous_ledger.cli.render import plural
from nous_ledger.cli.terminal import printable, say, tell
from nous_ledger.protocol.errors import InputError

if TYPE_CHECKING:
    from fractions import Fraction

    from nous_ledger.reconcile.calibration import Calibration
    from nous_ledger.reconcile.tokenizers import Encoding, TokenizerTable

LONG_FILE: Final = 4 * 1024 * 1024
"""Bytes of a file from which on a terminal gets a progress bar."""

_table_option = click.option(
    "--tokenizers",
    "table_file",
    type=PATH,
    envvar="NOUS_LEDGER_CALLS_TOKENIZERS_FILE",
    show_envvar=True,
    metavar="FILE",
    help="Table of one's own, as calls.tokenizers_file of the gateway.",
)


@click.command(
    "tokenizers",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger reconcile tokenizers\n"
        "  nous-ledger reconcile tokenizers --tokenizers tokenizers.toml --json\n"
        "  nous-ledger reconcile tokenizers --hash /srv/acme-7b/tokenizer.json\n"
        "\n"
        "Exit codes: 0 every vocabulary that is here is the right one, 1 one is another."
    ),
)
@_table_option
@click.option(
    "--encoding", "names", multiple=True, metavar="NAME", help="List this one only; repeat it."
)
@click.option(
    "--hash", "hashed", type=PATH, metavar="FILE", help="Print the hash of a vocabulary file."
)
@json_option
def tokenizers(
    *, table_file: Path | None, names: tuple[str, ...], hashed: Path | None, as_json: bool
) -> int:
    """List every encoding: whether it can be counted in here, from what file, for which models.

    Each vocabulary that is present is loaded and its hash checked, as the gateway does it.
    """
    if hashed is not None:
        from nous_ledger.reconcile.vocabularies import hash_file

        form, digest = hash_file(hashed)
        found = {"form": form, "vocabulary": digest.hex()}
        say(json.dumps(found) if as_json else f"{form} {digest.hex()}")
        return EXIT_GOOD
    table = read_table_file(table_file)
    rows = [_state(_named(table, name), table) for name in names or table.encodings]
    if as_json:
        say(json.dumps({"encodings": rows}, indent=2))
    else:
        say("\n".join(line for row in rows for line in _lines(row)))
    return EXIT_WRONG if any(row["state"] == "hash-mismatch" for row in rows) else EXIT_GOOD


def read_table_file(path: Path | None) -> TokenizerTable:
    """Return the table of tokenizers, with an operator's before it if a file is named.

    Raises:
        InputError: the file does not exist, or something in it is wrong.
    """
    from nous_ledger.reconcile.tokenizers import MAX_TABLE_BYTES, builtin_table, extended_table

    if path is None:
        return builtin_table()
    return extended_table(read_bounded(path, MAX_TABLE_BYTES, "input"), path.parent)


def _named(table: TokenizerTable, name: str) -> Encoding:
    if name not in table.encodings:
        known = ", ".join(table.encodings)
        raise InputError("input", f"no encoding is called {name!r}", hint=f"known are: {known}")
    return table.encodings[name]


def _state(encoding: Encoding, table: TokenizerTable) -> dict[str, Any]:
    from nous_ledger.reconcile.counting import engine_for
    from nous_ledger.reconcile.errors import RecountError
    from nous_ledger.reconcile.vocabularies import find_file

    state, why, source = "present", "", f"engine {encoding.engine}"
    try:
        if encoding.form:
            source = str(find_file(encoding))
        engine_for(encoding)
    except RecountError as error:
        state = "hash-mismatch" if error.code == "wrong-vocabulary" else "absent"
        why = error.message
    models = [
        {
            "providers": sorted(rule.providers),
            "upstreams": sorted(rule.upstreams),
            "names": rule.names.pattern,
            "offsets": [rule.lowest, rule.highest],
            "exact": rule.pinned or not rule.thinks,
        }
        for rule in table.rules
        if rule.encoding is encoding
    ]
    return {
        "encoding": encoding.name,
        "state": state,
        "why": why,
        "source": source,
        "engine": encoding.engine,
        "vocabulary": encoding.vocabulary.hex(),
        "own": encoding.own,
        "models": models,
    }


def _lines(row: dict[str, Any]) -> list[str]:
    found = row["source"] if row["state"] == "present" else row["why"]
    lines = [f"{row['encoding']:<14} {row['state']:<14} {printable(found)}"]
    for model in row["models"]:
        where = ", ".join([*model["providers"], *model["upstreams"]])
        thinks = "" if model["exact"] else "  (thinks, no pinned offset: not EXACT)"
        lines.append(f"  {printable(where)}: {printable(model['names'])}{thinks}")
    return lines


@click.command(
    "calibrate",
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger reconcile calibrate answers.jsonl --encoding llama3\n"
        "  nous-ledger reconcile calibrate a.jsonl b.jsonl --encoding qwen2 --json\n"
        "  nous-ledger reconcile calibrate out.jsonl --encoding acme-7b --tokenizers own.toml\n"
        "\b\n"
        "A line is one answer with the ids of its tokens, as the server gave it:\n"
        "  vLLM       chat or text completion with return_token_ids\n"
        "  llama.cpp  /completion with return_tokens\n"
        "  Ollama     /api/generate, where context is prompt and answer\n"
        '  any        {"text": "...", "token_ids": [1, 2], "reported": 2, "model": "..."}\n'
        "\n"
        "Exit codes: 0 offsets were found, 1 none explains the answers or lines are in error, "
        "3 nothing could be counted here."
    ),
)
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--encoding", "name", required=True, metavar="NAME", help="What to count in.")
@_table_option
@json_option
def calibrate(*, files: tuple[Path, ...], name: str, table_file: Path | None, as_json: bool) -> int:
    """Find a model's offsets from answers of a server that tells their tokens.

    The text of each answer is counted again, and compared with the tokens that were
    generated and reported. Said are how far they differ, which constant offset explains
    it within the allowances of the stream audit, whether it can be pinned (one offset,
    200 answers or more), and the row for a table of one's own. One line is held at a time.
    """
    from nous_ledger.reconcile.calibration import Calibration
    from nous_ledger.reconcile.exports.lines import read_lines

    for path in files:
        check_there(path)
    table = read_table_file(table_file)
    found = Calibration(encoding=_named(table, name))
    for path in files:
        with path.open("rb") as stream, progress_bar("counting", "B", at_least=LONG_FILE) as bar:
            total = path.stat().st_size
            for row in read_lines(stream):
                found.take([row])
                bar(stream.tell(), total)
    say(json.dumps(_to_json(found), indent=2) if as_json else "\n".join(_text(found)))
    if not as_json:
        for fault in found.faults:
            tell(printable(f"line {fault.line}: {fault.message}"))
        if found.fault_count > len(found.faults):
            tell(f"… and {found.fault_count - len(found.faults)} more lines in error")
    if not found.answers:
        return EXIT_UNAVAILABLE if not found.fault_count else EXIT_WRONG
    return EXIT_WRONG if found.fault_count or found.offsets() is None else EXIT_GOOD


def _to_json(found: Calibration) -> dict[str, Any]:
    from nous_ledger.reconcile.calibration import suggested_row

    offsets = found.offsets()
    over, under = found.drift()
    return {
        "encoding": found.encoding.name,
        "answers": found.answers,
        "uncounted": found.uncounted,
        "generated": found.generated,
        "counted": found.counted,
        "generated_less_counted": {str(d): n for d, n in sorted(found.differences.items())},
        "reported_less_counted": {str(d): n for d, n in sorted(found.reports.items())},
        "drift_over_per_token": _decimal(over),
        "drift_under_per_token": _decimal(under),
        "offsets": None if offsets is None else list(offsets),
        "pinned": found.pinned,
        "models": sorted(found.models),
        "row": suggested_row(found),
        "fault_count": found.fault_count,
        "faults": [{"line": fault.line, "message": fault.message} for fault in found.faults],
    }


def _text(found: Calibration) -> list[str]:
    from nous_ledger.reconcile.calibration import ENOUGH, suggested_row

    over, under = found.drift()
    answers = f"{found.answers} answer{plural(found.answers)}"
    counted = f"{found.counted} counted again in {found.encoding.name}"
    lines = [f"{answers}, {found.generated} tokens generated, {counted}"]
    if found.uncounted:
        lines.append(f"{found.uncounted} whose text may stand for several counts were left out")
    for what, differences in (("generated", found.differences), ("reported", found.reports)):
        if differences:
            shares = ", ".join(f"{d:+d}: {n}" for d, n in sorted(differences.items()))
            lines.append(f"{what} less counted  {shares}")
    if not found.answers:
        return lines
    lines.append(f"drift per token  {_decimal(over)} over, {_decimal(under)} under")
    offsets = found.offsets()
    if offsets is None:
        lines.append("no range of offsets from -8 to 8 explains these answers")
        return lines
    if found.pinned:
        lines.append(f"one offset explains them: {offsets[0]:+d} can be pinned")
    elif offsets[0] == offsets[1]:
        lines.append(
            f"one offset explains them: {offsets[0]:+d}, but it takes {ENOUGH} answers to pin it"
        )
    else:
        lines.append(f"no one offset explains them: {offsets[0]:+d} to {offsets[1]:+d} do")
    return [*lines, "", suggested_row(found)]


def _decimal(value: Fraction) -> str:
    """Return a fraction with six digits, rounded half up."""
    millionths = (2_000_000 * value.numerator + value.denominator) // (2 * value.denominator)
    return f"{millionths // 1_000_000}.{millionths % 1_000_000:06d}"
