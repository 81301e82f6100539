"""JSON read strictly, with the place of each value in its text.

A receipt hashes usage values exactly as they stood on the wire, and a bound
counts tool arguments exactly as the caller got them. Both need to know where a
value begins and ends, which an ordinary parser does not tell. The values
themselves are still read by the standard library's C scanner; only the path to
a value is walked here.

Where a key is repeated the last one counts, here as in the standard library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn

from nous_ledger.protocol.errors import FormatError

MAX_SEPARATORS: Final = 4_000_000
"""Most commas and opening brackets, those in strings included, of a text that is read.

A value of two bytes can take a hundred in memory, and while a text is parsed
nothing else in the process runs; a long string costs neither.
"""

_SPACE: Final = re.compile(r"[ \t\n\r]*")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
_scan: Final = _DECODER.scan_once  # type: ignore[attr-defined]  # what `raw_decode` calls


class Located(NamedTuple):
    """A JSON value and where it stands: `text[start:end]` is exactly the value."""

    text: str
    start: int
    end: int
    value: Any

    @property
    def wire(self) -> bytes:
        """The exact bytes of the value as they were received."""
        return self.text[self.start : self.end].encode("utf-8")

    def member(self, key: str) -> Located | None:
        """Return the value under a key, or None if this is no object or lacks the key."""
        if not isinstance(self.value, dict) or key not in self.value:
            return None
        text = self.text
        if (at := self._only_place(key)) is not None:
            # Nearly always the colon follows at once.
            return _value(text, at + 1 if text[at] == ":" else _skip(text, at) + 1)
        found = None
        for name, value in _members(self.text, self.start):
            if name == key:
                found = value
        return found

    def _only_place(self, key: str) -> int | None:
        r"""Return where a member's name ends, if nothing else here can be that name.

        A name that is spelt with escapes holds `\u`; if there is none, and the name in
        quotes stands here once, then it is this object's member, as that has one.
        """
        text, start, end, _ = self
        quoted = f'"{key}"'
        at = text.find(quoted, start, end)
        if at < 0 or text.find(quoted, at + 1, end) >= 0:
            return None
        # One character is found many times faster than two.
        if text.find("\\", start, end) >= 0 and text.find("\\u", start, end) >= 0:
            return None
        return at + len(quoted)

    def at(self, *path: str) -> Located | None:
        """Return the value at the end of a path of keys, or None where it breaks off."""
        found: Located | None = self
        for key in path:
            if found is None:
                return None
            found = found.member(key)
        return found

    def items(self) -> tuple[Located, ...]:
        """Return the items of an array; of anything else, nothing."""
        if not isinstance(self.value, list):
            return ()
        return tuple(_items(self.text, self.start))


def parse_json(data: bytes, *, max_separators: int = MAX_SEPARATORS) -> Located:
    """Return the one JSON value that the bytes hold.

    Args:
        data: UTF-8 without a byte order mark; white space around the value is allowed.
        max_separators: most commas and opening brackets, those in strings included.

    Raises:
        FormatError: json-format: not UTF-8, not JSON, NaN or Infinity, a number
            with thousands of digits, nested deeper than the interpreter reads, or
            of too many values.
    """
    if len(data) > max_separators and sum(map(data.count, b",[{")) > max_separators:
        raise FormatError("json-format", "the JSON value has too many parts")
    try:
        text = data.decode("utf-8")
        start = _skip(text, 0)
        value, end = _scan(text, start)
    except (ValueError, RecursionError, StopIteration) as error:
        raise FormatError("json-format", "the bytes are not one JSON value") from error
    if end != len(text) and _skip(text, end) != len(text):
        raise FormatError("json-format", "bytes follow the JSON value")
    return Located(text, start, end, value)


def _members(text: str, start: int) -> Iterator[tuple[str, Located]]:
    """Yield the members of an object that `parse_json` has accepted."""
    at = _first(text, start, "}")
    while at is not None:
        name, at = _DECODER.raw_decode(text, at)
        value = _value(text, _skip(text, at) + 1)  # after the colon
        yield name, value
        at = _next(text, value.end)


def _items(text: str, start: int) -> Iterator[Located]:
    """Yield the items of an array that `parse_json` has accepted."""
    at = _first(text, start, "]")
    while at is not None:
        value = _value(text, at)
        yield value
        at = _next(text, value.end)


def _value(text: str, at: int) -> Located:
    start = _skip(text, at)
    try:
        value, end = _scan(text, start)
    except RecursionError as error:  # read from within more calls than the whole was
        raise FormatError("json-format", "the value is nested too deep") from error
    return Located(text, start, end, value)


def _first(text: str, start: int, closing: str) -> int | None:
    """Return where the first member or item begins, None in an empty container."""
    at = _skip(text, start + 1)
    return None if text[at] == closing else at


def _next(text: str, end: int) -> int | None:
    """Return where the next member or item begins, None at the closing bracket."""
    at = _skip(text, end)
    return _skip(text, at + 1) if text[at] == "," else None


def _skip(text: str, at: int) -> int:
    if text[at : at + 1] > " ":
        return at
    if text[at + 1 : at + 2] > " " and text[at] == " ":  # one space, as most writers have it
        return at + 1
    match = _SPACE.match(text, at)
    return match.end() if match else at
