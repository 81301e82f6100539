"""What the documents point to exists: files, headings, commands, options, names."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from nous_ledger.cli.main import cli
from tests.architecture.repository import ROOT, project_files, text_of

DOCUMENTS = [path for path in project_files() if path.suffix == ".md"]
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE_COMMAND = re.compile(r"`(nous-ledger [^`\n]+)`")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _anchors(document: Path) -> set[str]:
    """The names that a code host gives to the document's headings."""
    headings = re.findall(r"^#{1,6} (.+)$", text_of(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=_name)
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for target in LINK.findall(text_of(document)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        aim = document.parent / file if file else document
        if not aim.exists() or (anchor and anchor not in _anchors(aim)):
            broken.append(target)
    assert broken == []


def _command_lines(text: str) -> Iterator[list[str]]:
    """Every call of nous-ledger, in shell blocks (continued lines joined) and inline."""
    blocks = "".join(SHELL_BLOCK.findall(text)).replace("\\\n", " ")
    lines = [*blocks.splitlines(), *INLINE_COMMAND.findall(text)]
    for line in lines:
        words = shlex.split(line, comments=True)
        if words and words[0] == "nous-ledger":
            yield words[1:]


def _options(command: click.Command, context: click.Context) -> set[str]:
    return {option for parameter in command.get_params(context) for option in parameter.opts}


def _unknown_words(words: list[str]) -> list[str]:
    """The words that name no command or option of the program."""
    command: click.Command = cli
    context = click.Context(cli, **cli.context_settings)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return words[:1]
        command, words = found, words[1:]
    known = _options(command, context) | {"-h", "--help"}
    if "--" in words:  # what follows is another program's
        words = words[: words.index("--")]
    return [word for word in words if word.startswith("-") and word not in known]


def test_the_check_of_commands_finds_mistakes() -> None:
    assert _unknown_words(["verify", "FILE", "--polcy", "P"]) == ["--polcy"]
    assert _unknown_words(["policy", "frob"]) == ["frob"]
    assert _unknown_words(["policy", "export", "-o", "FILE"]) == []
    assert _unknown_words(["run", "--sav", "DIR", "--", "grep", "-r"]) == ["--sav"]


def test_documented_commands_exist() -> None:
    calls = [
        (_name(document), words)
        for document in DOCUMENTS
        for words in _command_lines(text_of(document))
    ]
    assert len(calls) >= 5
    assert [(name, words) for name, words in calls if _unknown_words(words)] == []


def test_the_readme_names_what_the_library_has() -> None:
    (block,) = PYTHON_BLOCK.findall(text_of(ROOT / "README.md"))
    imports = [node for node in ast.parse(block).body if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        assert node.module is not None
        module = importlib.import_module(node.module)
        assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
