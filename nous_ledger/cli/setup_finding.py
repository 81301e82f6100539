"""What is found of a tool: how it stands, and what would be changed in its settings."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from nous_ledger.cli.base_urls import served_urls
from nous_ledger.cli.setup_edits import (
    BLOCK_END,
    BLOCK_START,
    Edit,
    add_block,
    add_json,
    replace_json,
)
from nous_ledger.cli.setup_files import (
    Change,
    check_changeable,
    decode_settings,
    hash_of,
    read_settings,
)
from nous_ledger.cli.setup_json import Node, parse_settings
from nous_ledger.protocol.errors import InputError, LedgerError

ELSEWHERE: Final = "start the gateway with that address as the upstream, then set it by hand to"


class State(StrEnum):
    """How a tool stands."""

    CHANGE = "change"
    SET = "already-set"
    MANUAL = "manual"
    BLOCKED = "blocked"
    ABSENT = "not-found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is to be said of one tool, or of one of its files.

    Attributes:
        tool: short name.
        state: how it stands.
        path: the file that is meant, if one is.
        detail: what to know, or to do by hand.
        change: what would be changed.
        text: the file's text after the change.
    """

    tool: str
    state: State
    path: Path | None = None
    detail: str = ""
    change: Change | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a user's settings lie."""

    home: Path
    environment: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Places:
        """Return the places that an environment names.

        Raises:
            InputError: it names no home.
        """
        home = Path(environment.get("HOME", ""))
        if not home.is_absolute():
            raise InputError("input", "HOME is not set", hint="set HOME")
        return cls(home=home, environment=environment)

    def named(self, variable: str, default: str) -> Path:
        """Return the folder that a variable names, or the default below the home."""
        named = self.environment.get(variable, "")
        return Path(named) if Path(named).is_absolute() else self.home / default

    def has(self, program: str) -> bool:
        """Return whether a program is on the path."""
        return shutil.which(program, path=self.environment.get("PATH", "")) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the text of a settings file decides.

    Attributes:
        state: how the tool stands.
        detail: what to know, or to do by hand.
        text: the text after the change.
        edits: the change.
    """

    state: State
    detail: str = ""
    text: str = ""
    edits: tuple[Edit, ...] = ()


def look_at(tool: str, path: Path, decide: Callable[[str, str], Verdict], gateway: str) -> Finding:
    """Return what a file's content decides; a file that cannot be changed is left alone."""
    try:
        before = read_settings(path)
        verdict = decide(decode_settings(before), gateway)
        if verdict.state is State.CHANGE:
            check_changeable(path)
    except LedgerError as error:
        detail = f"left alone: {error.message}"
        return Finding(tool=tool, state=State.BLOCKED, path=path, detail=detail)
    change = None
    if verdict.edits:
        after = hash_of(verdict.text.encode())
        change = Change(tool=tool, path=path, before=before, after=after, edits=verdict.edits)
    return Finding(
        tool=tool,
        state=verdict.state,
        path=path,
        detail=verdict.detail,
        change=change,
        text=verdict.text,
    )


def value_of(root: Node | None, *path: str) -> Any:  # noqa: ANN401 - settings hold anything
    """Return the value at the end of a path of names, None where it breaks off."""
    node = None if root is None else root.find(*path)
    return None if node is None else node.value


def is_under(url: str, base: str) -> bool:
    """Return whether a URL is another one, or below it."""
    return url == base or url.startswith(f"{base}/")


def set_json(text: str, path: tuple[str, ...], node: Node | None, url: str, *, own: str) -> Verdict:
    """Add a setting, or put it in the place of the provider's own address."""
    if node is None:
        changed, edit = add_json(text, path, url)
    elif node.value == url:
        return Verdict(state=State.SET)
    elif isinstance(node.value, str) and is_under(node.value, own):
        changed, edit = replace_json(text, path, url)
    else:
        detail = f"{path[-1]} is set already, to another address; {ELSEWHERE} {url}"
        return Verdict(state=State.MANUAL, detail=detail)
    if value_of(parse_settings(changed), *path) != url:
        return Verdict(state=State.MANUAL, detail=f"set {'.'.join(path)} to {url}")
    return Verdict(state=State.CHANGE, text=changed, edits=(edit,))


def set_lines(text: str, gateway: str, form: str, variables: tuple[str, ...]) -> Verdict:
    """Add marked lines that set variables; those that the file sets itself are left out."""
    urls = [url for url in served_urls() if url.variable in variables]
    lines = {url.variable: form.format(url.variable, url.at(gateway)) for url in urls}
    outside = re.sub(f"{BLOCK_START}.*?{BLOCK_END}", "", text, flags=re.DOTALL)
    own = [name for name in lines if re.search(rf"^[^#\n]*\b{name}\b[= ]", outside, re.MULTILINE)]
    left = tuple(line for name, line in lines.items() if name not in own)
    if BLOCK_START in text:
        if all(line in text for line in left):
            return Verdict(state=State.SET)
        detail = "lines of an earlier setup are there: run `nous-ledger setup --undo` first"
        return Verdict(state=State.BLOCKED, detail=detail)
    detail = f"it sets {', '.join(own)} itself; that stays" if own else ""
    if not left:
        return Verdict(state=State.MANUAL, detail=detail)
    changed, edit = add_block(text, left)
    return Verdict(state=State.CHANGE, text=changed, edits=(edit,), detail=detail)
