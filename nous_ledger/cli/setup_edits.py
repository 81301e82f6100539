"""Small changes to settings files, each of which can be taken back by itself.

An edit puts one piece of text into a file, or in the place of another. Taken back
is exactly that piece, wherever it stands by then: what else was changed in the file
meanwhile stays. Where the piece is not there any more as it was put in (a tool wrote
its settings anew, say), the setting is looked for by its name; and whatever comes
out is compared with what should: everything as it is now, less our setting.
"""

from __future__ import annotations

import copy
import json
import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from nous_ledger.cli.setup_json import Member, Node, parse_settings
from nous_ledger.protocol.errors import FormatError, LedgerError, UnavailableError

BLOCK_START: Final = "# >>> nous-ledger setup >>>"
BLOCK_END: Final = "# <<< nous-ledger setup <<<"

_INDENT: Final = "  "
_SPACE: Final = " \t\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One change of a text.

    Attributes:
        form: `json`, `toml`, or `block` for marked lines.
        path: names that lead to the setting; empty for a block.
        value: what the setting was given; empty for a block.
        removed: the text that was there before; empty where something was added.
        inserted: the text that stands there now.
        made: how many of the objects around the setting were added with it.
    """

    form: str
    path: tuple[str, ...] = ()
    value: str = ""
    removed: str = ""
    inserted: str
    made: int = 0


def add_json(text: str, path: tuple[str, ...], value: str) -> tuple[str, Edit]:
    """Return a text with a setting added, and the edit.

    Args:
        text: JSON with whatever `parse_settings` reads; blank for none yet.
        path: names of the setting, which is not there.
        value: what it is given.

    Raises:
        FormatError: json-format, also if something else than objects is on the way.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    if not text.strip(_SPACE):
        written = _written(path, value, newline, "", _INDENT)
        inserted = f"{{{newline}{_INDENT}{written}{newline}}}{newline}"
        edit = Edit(form="json", path=path, value=value, inserted=inserted, made=len(path) - 1)
        return text + inserted, edit
    node, depth = parse_settings(text), 0
    while (found := node.member(path[depth])) is not None:
        node, depth = found.node, depth + 1
    if not isinstance(node.value, dict):
        raise FormatError("json-format", f"{'.'.join(path[:depth]) or 'the file'} is no object")
    at, inserted = _placed(text, node, path[depth:], value, newline)
    edit = Edit(form="json", path=path, value=value, inserted=inserted, made=len(path) - depth - 1)
    return text[:at] + inserted + text[at:], edit


def replace_json(text: str, path: tuple[str, ...], value: str) -> tuple[str, Edit]:
    """Return a text in which a setting that is there has another value, and the edit.

    Raises:
        FormatError: json-format.
    """
    node = parse_settings(text).find(*path)
    if node is None:
        raise FormatError("json-format", f"there is no {'.'.join(path)}")
    removed, inserted = text[node.start : node.end], json.dumps(value)
    edit = Edit(form="json", path=path, value=value, removed=removed, inserted=inserted)
    return text[: node.start] + inserted + text[node.end :], edit


def add_toml(text: str, key: str, value: str) -> tuple[str, Edit]:
    """Return a text with a setting of the top level added, and the edit.

    It becomes the first line: everything before the first table is the top level,
    and nothing that spans lines can begin before the first.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    inserted = f"{key} = {json.dumps(value)}{newline}"
    return inserted + text, Edit(form="toml", path=(key,), value=value, inserted=inserted)


def add_block(text: str, lines: tuple[str, ...]) -> tuple[str, Edit]:
    """Return a text with marked lines at its end, and the edit."""
    newline = "\r\n" if "\r\n" in text else "\n"
    block = newline.join((BLOCK_START, *lines, BLOCK_END, ""))
    inserted = block if not text or text.endswith("\n") else newline + block
    return text + inserted, Edit(form="block", inserted=inserted)


def take_back(text: str, edit: Edit) -> str | None:
    """Return a text without an edit, None if nothing of the edit is left in it.

    Raises:
        FormatError: the text cannot be read any more.
        UnavailableError: unreachable, if the edit was changed, or is there twice.
    """
    return {"json": _undo_json, "toml": _undo_toml, "block": _undo_block}[edit.form](text, edit)


def _written(path: tuple[str, ...], value: str, newline: str, indent: str, unit: str) -> str:
    """Return a member, objects of several lines around its value; `newline` may be empty."""
    if len(path) == 1:
        return f"{json.dumps(path[0])}: {json.dumps(value)}"
    within = indent + unit if newline else ""
    inner = _written(path[1:], value, newline, within, unit)
    lead, end = (newline + within + unit, newline + within) if newline else ("", "")
    return f"{json.dumps(path[0])}: {{{lead}{inner}{end}}}"


def _placed(
    text: str, node: Node, path: tuple[str, ...], value: str, newline: str
) -> tuple[int, str]:
    """Return where to add a member to an object, and with which text."""
    line = text.rfind("\n", 0, node.start) + 1
    indent = text[line : node.start][: _leading(text[line : node.start])]
    first = node.members[0].start if node.members else node.end - 1
    gap = text[node.start + 1 : first]
    if node.members and "\n" not in gap:  # all on one line
        at = first if not gap.strip(_SPACE) else node.start + 1
        return at, f"{_written(path, value, '', '', '')}, "
    unit = _INDENT
    if node.members:
        line = text.rfind("\n", 0, first) + 1
        unit = text[line:first].removeprefix(indent) or _INDENT
        if unit.strip(" \t"):
            unit = _INDENT
    member = f"{newline}{indent}{unit}{_written(path, value, newline, indent, unit)}"
    if node.members:
        return node.start + 1, f"{member},"
    return node.start + 1, member if "\n" in gap else f"{member}{newline}{indent}"


def _leading(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _undo_json(text: str, edit: Edit) -> str | None:
    root = parse_settings(text)
    node = root.find(*edit.path)
    if node is None or node.value != edit.value:
        return None
    if edit.removed:
        return text[: node.start] + edit.removed + text[node.end :]
    wanted = _without(root.value, edit.path, edit.made)
    at = text.find(edit.inserted)
    if 0 <= at <= node.start and node.end <= at + len(edit.inserted):
        cut = text[:at] + text[at + len(edit.inserted) :]
        # A file that was blank is blank again; else what is left must mean the same.
        if (not cut.strip(_SPACE) and not wanted) or _means(cut, wanted, like=text):
            return cut
    cut = _cut_member(text, edit.path)
    for depth in range(len(edit.path) - 1, len(edit.path) - 1 - edit.made, -1):
        around = parse_settings(cut).find(*edit.path[:depth])
        if around is None or around.members:
            break
        cut = _cut_member(cut, edit.path[:depth])
    if not _means(cut, wanted, like=text):
        raise _cannot("the setting cannot be taken out of the file without changing more")
    return cut


def _without(value: object, path: tuple[str, ...], made: int) -> object:
    """Return a value less a member, and less the objects made for it that are empty then."""
    left: Any = copy.deepcopy(value)
    chain = [left]
    for name in path[:-1]:
        chain.append(chain[-1][name])
    del chain[-1][path[-1]]
    for depth in range(len(path) - 1, len(path) - 1 - made, -1):
        if chain[depth]:
            break
        del chain[depth - 1][path[depth - 1]]
    return left


def _means(text: str, wanted: object, *, like: str) -> bool:
    """Return whether a text says what it should, as plain JSON if another one was that."""
    try:
        return parse_settings(text).value == wanted and (_is_plain(text) or not _is_plain(like))
    except FormatError:
        return False


def _is_plain(text: str) -> bool:
    try:
        json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False
    return True


def _cut_member(text: str, path: tuple[str, ...]) -> str:
    around = parse_settings(text).find(*path[:-1])
    member = None if around is None else around.member(path[-1])
    if around is None or member is None:
        raise _cannot("the setting is not where it was")
    lead = len(text[: member.start].rstrip(_SPACE))
    comma = _comma(text, member.node.end)
    if comma is not None:
        return text[:lead] + text[comma + 1 :]
    before = _before(around, member)
    if before is not None and (comma := _comma(text, before.node.end)) is not None:
        return text[:comma] + text[comma + 1 : lead] + text[member.node.end :]
    return text[:lead] + text[member.node.end :]


def _before(around: Node, member: Member) -> Member | None:
    at = around.members.index(member)
    return around.members[at - 1] if at else None


def _comma(text: str, at: int) -> int | None:
    match = re.compile(r"(?:\s|//[^\n\r]*|/\*.*?\*/)*,", re.DOTALL).match(text, at)
    return None if match is None else match.end() - 1


def _undo_toml(text: str, edit: Edit) -> str | None:
    values = read_toml(text)
    (key,) = edit.path
    if values.get(key) != edit.value:
        return None
    wanted = {name: value for name, value in values.items() if name != key}
    lines = text.splitlines(keepends=True)
    for at, line in enumerate(lines):
        if line.rstrip("\r\n") == edit.inserted.rstrip("\r\n"):
            cut = "".join(lines[:at] + lines[at + 1 :])
            try:
                if tomllib.loads(cut) == wanted:
                    return cut
            except tomllib.TOMLDecodeError:
                continue
    raise _cannot("the line was changed, though it still says the same")


def read_toml(text: str) -> dict[str, Any]:
    """Return what a TOML text says.

    Raises:
        FormatError: json-format, with the place of the fault.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"line \d+", str(error))
        raise FormatError("json-format", f"{where[0] if where else 'it'} is not TOML") from error


def _undo_block(text: str, edit: Edit) -> str | None:
    block = edit.inserted.lstrip("\r\n")
    lead = edit.inserted.removesuffix(block)
    at = text.find(block)
    if at < 0 or text.count(BLOCK_START) > 1 or (at and text[at - 1] != "\n"):
        if BLOCK_START not in text and BLOCK_END not in text:
            return None
        raise _cannot("what stands between its marks was changed, or the marks are there twice")
    rest = text[at + len(block) :]
    if lead and not rest and text[:at].endswith(lead):
        return text[: at - len(lead)]  # the line before had no end, and is the last one again
    return text[:at] + rest


def _cannot(message: str) -> LedgerError:
    return UnavailableError("unreachable", message, hint="take it out by hand")
