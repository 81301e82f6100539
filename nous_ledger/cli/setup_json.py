"""Settings in JSON as people keep them, with the place of every value.

Comments, commas after the last value, and the further freedoms of JSON5 (names
without quotes, single quotes, other spellings of numbers) are read, because tools
read them. Nothing is ever written from the values: an edit replaces the text of one
value or adds one member, and leaves everything else as it stands.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final, NoReturn

from nous_ledger.protocol.errors import FormatError

MAX_DEPTH: Final = 64

_SPACE: Final = re.compile(r"(?:[\s\ufeff]|//[^\n\r]*|/\*.*?\*/)*", re.DOTALL)
_STRING: Final = re.compile(r"""(["'])(?:\\(?:\r\n|.)|(?!\1)[^\\\n\r])*\1""", re.DOTALL)
_NAME: Final = re.compile(r"[^\W\d][\w$]*|\$[\w$]*")
_SCALAR: Final = re.compile(
    r"true|false|null"
    r"|[+-]?(?:0[xX][0-9a-fA-F]+|Infinity|NaN|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
)
_AFTER_SCALAR: Final = re.compile(r"(?=[\s\ufeff,\]}/]|$)")


@dataclass(frozen=True, slots=True)
class Node:
    """A value: `text[start:end]` is exactly that value.

    Attributes:
        start: where it begins.
        end: where it ends.
        value: what it means; a number or a string that is not plain JSON is its own text.
        members: of an object its members, in order.
    """

    start: int
    end: int
    value: object
    members: tuple[Member, ...] = ()

    def member(self, name: str) -> Member | None:
        """Return the member of a name, the last one if there are several."""
        return next((m for m in reversed(self.members) if m.name == name), None)

    def find(self, *path: str) -> Node | None:
        """Return the value at the end of a path of names, None where it breaks off."""
        found: Node | None = self
        for name in path:
            member = None if found is None else found.member(name)
            found = None if member is None else member.node
        return found


@dataclass(frozen=True, slots=True)
class Member:
    """A name and its value; `start` is where the name begins."""

    name: str
    start: int
    node: Node


def parse_settings(text: str) -> Node:
    """Return the one value that a text holds.

    Raises:
        FormatError: json-format, with the line of the fault.
    """
    scanner = _Scanner(text)
    node = scanner.value(scanner.space(0), 0)
    if scanner.space(node.end) != len(text):
        scanner.fail(node.end)
    return node


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, at: int) -> NoReturn:
        line = self.text.count("\n", 0, at) + 1
        raise FormatError("json-format", f"line {line} is not JSON")

    def space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        return at if match is None else match.end()

    def value(self, at: int, depth: int) -> Node:
        first = self.text[at : at + 1]
        if depth > MAX_DEPTH:
            self.fail(at)
        if first == "{":
            return self._object(at, depth)
        if first == "[":
            return self._array(at, depth)
        if match := _STRING.match(self.text, at):
            return Node(at, match.end(), _decoded(match.group()))
        match = _SCALAR.match(self.text, at)
        if match is None or not _AFTER_SCALAR.match(self.text, match.end()):
            self.fail(at)
        return Node(at, match.end(), _decoded(match.group()))

    def _object(self, at: int, depth: int) -> Node:
        members: list[Member] = []
        where = self.space(at + 1)
        while self.text[where : where + 1] != "}":
            member = self._member(where, depth)
            members.append(member)
            where = self._next(member.node.end, "}")
        value = {member.name: member.node.value for member in members}
        return Node(at, where + 1, value, tuple(members))

    def _member(self, at: int, depth: int) -> Member:
        match = _STRING.match(self.text, at) or _NAME.match(self.text, at)
        if match is None:
            self.fail(at)
        name = match.group()
        colon = self.space(match.end())
        if self.text[colon : colon + 1] != ":":
            self.fail(colon)
        quoted = name[0] in "\"'"
        node = self.value(self.space(colon + 1), depth + 1)
        return Member(str(_decoded(name)) if quoted else name, at, node)

    def _array(self, at: int, depth: int) -> Node:
        items: list[object] = []
        where = self.space(at + 1)
        while self.text[where : where + 1] != "]":
            node = self.value(where, depth + 1)
            items.append(node.value)
            where = self._next(node.end, "]")
        return Node(at, where + 1, items)

    def _next(self, at: int, closing: str) -> int:
        """Return where the next part begins, or where the closing bracket stands."""
        where = self.space(at)
        if self.text[where : where + 1] == ",":
            return self.space(where + 1)
        if self.text[where : where + 1] != closing:
            self.fail(where)
        return where


def _decoded(token: str) -> object:
    try:
        return json.loads(token)
    except ValueError:
        plain = token[0] == "'" and "\\" not in token
        return token[1:-1] if plain else token
