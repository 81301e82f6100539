"""JSON with the place of every value, and what is collected from it for bytes/1."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from vectors.generate.rules.checks import reject, require

NOT_APPLICABLE = "not-applicable"  # never leaves the method as a code
SPACE = re.compile(r"[ \t\n\r]*")
PLAIN = json.JSONDecoder(strict=True, parse_constant=lambda _: reject(NOT_APPLICABLE))


@dataclass(frozen=True)
class Raw:
    """A JSON value and its text."""

    value: Any  # objects: dict of Raw; arrays: list of Raw
    text: str

    def get(self, name: str) -> "Raw":
        """Return a member, or nothing where there is none."""
        found = self.value.get(name) if isinstance(self.value, dict) else None
        return found or NOTHING

    def items(self) -> "list[Raw]":
        """Return the items of an array."""
        return self.value if isinstance(self.value, list) else []

    def is_object(self) -> bool:
        """Say whether this is an object."""
        return isinstance(self.value, dict)


NOTHING = Raw(None, "")


def read_json(data: bytes) -> Raw:
    """Return the one value of some bytes."""
    try:
        text = data.decode()
        value, end = _value(text, _skip(text, 0))
    except (ValueError, IndexError):
        reject(NOT_APPLICABLE)
    require(_skip(text, end) == len(text), NOT_APPLICABLE)
    return value


def _skip(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def _value(text: str, at: int) -> tuple[Raw, int]:
    """Return the value at a place and the place behind it."""
    if text[at] not in "[{":
        value, end = PLAIN.raw_decode(text, at)
        return Raw(value, text[at:end]), end
    closing = {"[": "]", "{": "}"}[text[at]]
    members: dict[str, Raw] = {}
    items: list[Raw] = []
    place = _skip(text, at + 1)
    while text[place] != closing:
        if closing == "}":
            name, place = PLAIN.raw_decode(text, place)
            require(isinstance(name, str), NOT_APPLICABLE)
            place = _skip(text, place)
            require(text[place] == ":", NOT_APPLICABLE)
            members[name], place = _value(text, _skip(text, place + 1))
        else:
            item, place = _value(text, place)
            items.append(item)
        place = _skip(text, place)
        require(text[place] in ("," + closing), NOT_APPLICABLE)
        if text[place] == ",":
            place = _skip(text, place + 1)
            require(text[place] != closing, NOT_APPLICABLE)
    return Raw(members if closing == "}" else items, text[at : place + 1]), place + 1


@dataclass
class Seen:
    """What was collected."""

    size: int = 0
    choices: set[Any] = field(default_factory=set)
    calls: set[Any] = field(default_factory=set)
    thinking: bool = False

    def string(self, *raws: Raw) -> None:
        """Collect values that are strings."""
        for raw in raws:
            if isinstance(raw.value, str):
                self.size += len(raw.value.encode("utf-8", "surrogatepass"))

    def string_or_json(self, raw: Raw) -> None:
        """Collect a string, or the JSON text of anything else but null."""
        self.string(raw)
        if raw.value is not None and not isinstance(raw.value, str):
            self.size += len(raw.text.encode())


def number_of(raw: Raw, position: int) -> tuple[str, int]:
    """Return an integer index, else the position."""
    index = raw.get("index").value
    return ("index", index) if type(index) is int else ("index", position)
