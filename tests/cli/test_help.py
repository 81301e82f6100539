"""What `--help` says: every command has examples, and they are calls that the program takes."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from nous_ledger.cli.main import COMMANDS, cli
from tests.cli.harness import Call

PRINTS_RESULTS = (
    *("verify", "head", "init", "gateway", "fsck", "publish"),
    *("high-water show", "high-water accept", "backup", "restore", "retention"),
    *("setup", "run", "service install", "service status"),
    *("receipts list", "receipts show", "policy show", "policy fetch"),
)
SECRETS = ("--opening",)


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its name, groups included."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")


ALL = dict(commands(cli))


def test_the_list_of_commands() -> None:
    assert set(COMMANDS) < set(ALL)
    assert {"receipts list", "receipts show", "policy show", "policy export"} < set(ALL)


@pytest.mark.parametrize("name", ["", *ALL])
def test_help_has_examples(nous: Call, name: str) -> None:
    for flag in ("--help", "-h"):
        found = nous(*name.split(), flag).good()
        assert "Examples:\n" in found.out
        assert f"Usage: nous-ledger {name}".rstrip() in found.out
        assert max(map(len, found.out.splitlines())) <= 100


def examples(command: click.Command) -> list[list[str]]:
    """Return the words of each example, shell syntax left out."""
    text = (command.epilog or "").replace("\\\n", " ")
    lines = re.findall(r"^ +(?:[A-Z_]+=\S+ )*nous-ledger (.+)$", text, re.MULTILINE)
    return [shlex.split(re.sub(r"[<>].*", "", line)) for line in lines]


@pytest.mark.parametrize("name", ["", *ALL])
def test_examples_are_calls_of_the_command(name: str) -> None:
    found = examples(cli if not name else ALL[name])
    assert found
    for words in found:
        assert " ".join(words).startswith(name)
        called = max(
            (path for path in ALL if f"{' '.join(words)} ".startswith(f"{path} ")), key=len
        )
        rest = words[len(called.split()) :]
        ALL[called].make_context(called, rest)  # refuses unknown options and missing values


@pytest.mark.parametrize("name", PRINTS_RESULTS)
def test_results_can_be_had_as_json(name: str) -> None:
    options = {option for parameter in ALL[name].params for option in parameter.opts}
    assert "--json" in options


@pytest.mark.parametrize("name", ALL)
def test_options_are_explained(name: str) -> None:
    for parameter in ALL[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, (name, parameter.opts)
            if set(SECRETS) & set(parameter.opts):
                assert "@FILE" in parameter.help  # the form that no process list shows


def test_no_option_takes_a_passphrase_or_key() -> None:
    """Secrets come from files, pipes or the terminal."""
    for command in ALL.values():
        for parameter in command.params:
            secret = {"--passphrase", "--key", "--token"} & set(parameter.opts)
            assert not secret or getattr(parameter, "is_flag", False)


def test_the_version(nous: Call) -> None:
    assert re.fullmatch(r"nous-ledger, version \d+\.\d+\.\d+\S*\n", nous("--version").good().out)
