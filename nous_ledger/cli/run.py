"""`nous-ledger run`: one command through a gateway of its own, and what it used."""

from __future__ import annotations

import json
import logging
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from nous_ledger.cli.base_urls import served_urls
from nous_ledger.cli.exits import EXIT_UNAVAILABLE
from nous_ledger.cli.files import open_ledger, write_new
from nous_ledger.cli.options import PATH, json_option, ledger_option, passphrase_file_option
from nous_ledger.cli.render import plural
from nous_ledger.cli.run_child import (
    EXIT_NOT_FOUND,
    Way,
    check_program,
    child_environment,
    find_ways,
    run_child,
)
from nous_ledger.cli.run_folder import (
    CALLS_NAME,
    LEDGER_NAME,
    check_folder,
    write_policy,
    write_proofs,
)
from nous_ledger.cli.run_usage import Usage, count_calls, render_usage, sum_usage, usage_to_json
from nous_ledger.cli.terminal import printable, say, tell, warn
from nous_ledger.protocol.errors import InputError, UnavailableError

if TYPE_CHECKING:
    from nous_ledger.gateway.app import AppConfig
    from nous_ledger.gateway.recording import ContentFolder
    from nous_ledger.ledger import Ledger

GRACE_S: Final = 10
"""Seconds that calls have to end when the command is over: some are still being read."""
MAX_NOTICES: Final = 20


@click.command(
    "run",
    context_settings={"allow_interspersed_args": False},
    epilog=(
        "\b\nExamples:\n"
        "  nous-ledger run -- claude -p 'What is a transparency log?'\n"
        "  nous-ledger run --save ./session -- python my_program.py\n"
        "  nous-ledger run --ledger ./ledger --json -o usage.json -- make test\n"
        "  nous-ledger run --upstream openai=http://127.0.0.1:8000 -- python my_program.py\n"
        "\n"
        "Exit code: that of COMMAND, 128 + n after signal n, 126 if it cannot be run, 127 if it "
        "is not there; 3 if it ended well but a receipt or content could not be written."
    ),
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@ledger_option
@click.option(
    "--save",
    type=PATH,
    metavar="DIR",
    help="Keep each call in this folder: opening, request, response and proof, for you alone.",
)
@click.option(
    "--upstream",
    "upstreams",
    multiple=True,
    metavar="NAME=URL",
    help="Where the gateway forwards the calls of a provider, instead of its own host.",
)
@passphrase_file_option
@click.option(
    "-o", "--output", type=PATH, help="File for the summary.  [default: stderr; JSON: stdout]"
)
@json_option
def command(
    *,
    words: tuple[str, ...],
    named: Path | None,
    save: Path | None,
    upstreams: tuple[str, ...],
    passphrase_file: Path | None,
    output: Path | None,
    as_json: bool,
) -> int:
    """Run COMMAND through a gateway of its own, then say what it used.

    A gateway starts on a free port of this machine, and the variables by which client
    libraries find their provider (OPENAI_BASE_URL, ANTHROPIC_BASE_URL, ...) lead COMMAND
    there. Receipts go to the ledger that is named, or with --save into the folder; else
    to one that goes with the command. Signals are forwarded to COMMAND.

    A program that takes its base URL from a settings file does not look at the
    variables: see `nous-ledger setup`.
    """
    if (code := check_program(words, os.environ)) != 0:
        what = "is not there" if code == EXIT_NOT_FOUND else "cannot be run"
        tell(f"nous-ledger: error: {printable(words[0])} {what}")
        return code
    ways = find_ways(served_urls(), os.environ, _parse_upstreams(upstreams))
    run = _prepare(named, save, passphrase_file)
    with ExitStack() as exits:
        notices = exits.enter_context(_notices())
        result = run.through(words, ways)
    for notice in notices[:MAX_NOTICES]:
        warn(notice)
    _report(result, output, as_json=as_json)
    if result.code == 0 and (result.missing or result.not_kept):
        return EXIT_UNAVAILABLE
    return result.code


def _parse_upstreams(given: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in given)
    if not all(pairs.values()):
        raise click.UsageError("--upstream is NAME=URL, for example openai=http://127.0.0.1:8000")
    return pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """What is known when the command is over.

    Attributes:
        code: its exit code.
        usage: what it used.
        ledger: where its receipts are; None if they are gone.
        saved: where its calls are kept, if they are.
        missing: calls without a receipt.
        not_kept: calls that could not be kept whole.
    """

    code: int
    usage: Usage
    ledger: Path | None
    saved: Path | None
    missing: int
    not_kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Where receipts and content of one command go; without a ledger, to one that goes too."""

    ledger: Path | None
    save: Path | None
    passphrase_file: Path | None

    def through(self, words: tuple[str, ...], ways: tuple[Way, ...]) -> _Result:
        from nous_ledger.gateway.server import GatewayThread

        environment = dict(os.environ)
        with self._open() as ledger:
            if self.save is not None:
                write_policy(self.save, ledger)
            content = self._content()
            with GatewayThread(ledger, _config(ways, content), grace_s=GRACE_S) as gateway:
                first = ledger.leaf_count()
                code = run_child(words, child_environment(environment, ways, gateway.url))
            if self.save is not None:
                write_proofs(self.save, ledger, ledger.receipts(lo=first))
            return _Result(
                code=code,
                usage=sum_usage(ledger.receipts(lo=first)),
                ledger=self.ledger,
                saved=self.save,
                missing=len(ledger.open_intents()),
                not_kept=0 if content is None else content.failures,
            )

    @contextmanager
    def _open(self) -> Iterator[Ledger]:
        from nous_ledger.ledger import Ledger

        if self.ledger is None:
            with _temporary() as folder, Ledger.create(folder, next_key_out=None) as ledger:
                yield ledger
        elif self.save is not None and not self.ledger.exists():
            with Ledger.create(self.ledger, next_key_out=None) as ledger:
                yield ledger
        else:
            with open_ledger(self.ledger, self.passphrase_file) as ledger:
                yield ledger

    def _content(self) -> ContentFolder | None:
        from nous_ledger.gateway.recording import ContentFolder

        return None if self.save is None else ContentFolder(self.save / CALLS_NAME)


def _prepare(named: Path | None, save: Path | None, passphrase_file: Path | None) -> _Run:
    """Check everything that can be checked before anything is made.

    Raises:
        InputError: the folder holds something else, or calls of another log.
        UnavailableError: the gateway is not installed.
    """
    try:
        import nous_ledger.gateway.server  # noqa: F401 - to say now that it is missing
    except ModuleNotFoundError as error:
        raise UnavailableError(
            "unreachable",
            f"the gateway needs {str(error.name).partition('.')[0]}, which is not installed",
            hint="pip install 'nous-ledger[gateway]'",
        ) from error
    ledger = named
    if save is not None:
        check_folder(save, own_ledger=named is None)
        ledger = named or save / LEDGER_NAME
    elif named is None and passphrase_file is not None:
        raise InputError("input", "a passphrase goes with --ledger")
    return _Run(ledger=ledger, save=save, passphrase_file=passphrase_file)


@contextmanager
def _temporary() -> Iterator[Path]:
    """Have a place for a ledger; the machine's list of keys in use does not learn of it."""
    with tempfile.TemporaryDirectory(prefix="nous-ledger-run-") as folder:
        before = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        try:
            yield Path(folder) / "ledger"
        finally:
            if before is None:
                del os.environ["XDG_STATE_HOME"]
            else:
                os.environ["XDG_STATE_HOME"] = before


def _config(ways: tuple[Way, ...], content: ContentFolder | None) -> AppConfig:
    from nous_ledger.gateway.app import AppConfig

    upstreams = {way.url.route: way.upstream for way in ways if way.upstream}
    return AppConfig(upstreams=upstreams, recorder=content)


@contextmanager
def _notices() -> Iterator[list[str]]:
    """Hold back what the gateway warns of: the terminal is the command's until it is over."""
    notices: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notices.append(record.getMessage())

    keeper = Keeper(logging.WARNING)
    loggers = [logging.getLogger(name) for name in ("nous_ledger", "uvicorn")]
    before = [logger.propagate for logger in loggers]
    for logger in loggers:
        logger.addHandler(keeper)
        logger.propagate = False
    try:
        yield notices
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(keeper)
            logger.propagate = propagate


def _report(result: _Result, output: Path | None, *, as_json: bool) -> None:
    text = json.dumps(_to_json(result)) if as_json else "\n".join(_render(result))
    if output is not None:
        write_new(output, f"{text}\n".encode(), force=True)
    elif as_json:
        say(text)
    else:
        tell(f"\n{text}")


def _to_json(result: _Result) -> dict[str, Any]:
    return {
        "exit_code": result.code,
        **usage_to_json(result.usage),
        "ledger": None if result.ledger is None else str(result.ledger),
        "saved": None if result.saved is None else str(result.saved),
        "without_receipt": result.missing,
        "not_saved": result.not_kept,
    }


def _render(result: _Result) -> Iterator[str]:
    yield from render_usage(result.usage)
    if not count_calls(result.usage):
        yield "Does the command take its base URL from a settings file? It called no gateway here."
    yield ""
    if result.ledger is None:
        yield "receipts  went with the gateway; --save DIR or --ledger DIR keeps them"
    else:
        place = printable(shlex.quote(str(result.ledger)))
        yield f"receipts  {place}: nous-ledger receipts list --ledger {place}"
    if result.saved is not None:
        place = printable(shlex.quote(str(result.saved)))
        yield f"content   {place}: nous-ledger verify {place}"
    for what, count in (("receipts", result.missing), ("content", result.not_kept)):
        if count:
            yield f"missing   {what} of {count} call{plural(count)}: see the warnings"
