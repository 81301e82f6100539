"""Requests of many JSON values, looked through step by step.

To parse JSON keeps the interpreter to itself, for up to half a second where a text holds
a million values; a thread that did it would hold up every call all the same. So of a
request with many commas and brackets it is first found, in steps between which other
calls have their turn, where its members stand and how many values it has beside what
stands in strings. Nearly always these are few, and it is parsed like any other. Else, or
where it is more than every verifier reads, only its short members are: enough for the
model, and to ask for usage; of all that may follow from the rest nothing is claimed.

Spec:
    PROTOCOL.md COMM-2, LBL-9, BND-5.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, Final

from nous_ledger.gateway.paths import CallShape
from nous_ledger.gateway.providers import API_OTHER
from nous_ledger.gateway.request import (
    ASKING_APIS,
    MAX_SEPARATORS,
    RequestFacts,
    ask_among,
    put_question,
    read_request,
)
from nous_ledger.protocol.errors import FormatError
from nous_ledger.reconcile.jsontext import parse_json
from nous_ledger.reconcile.visible_request import shows_all

MAX_AT_ONCE: Final = 50_000
"""Commas and brackets that are parsed in one go: some 20 ms where each is dearest."""

_MAX_STEPS: Final = 1_000_000
_TURN: Final = 500
"""Steps after which others have their turn, less than a millisecond."""
_PAUSE_S: Final = 0.001
"""For so long: what a call has to do takes many turns."""
_WINDOW: Final = 64 * 1024
_SHORT_MEMBER: Final = 1_024
_SEPARATORS: Final = b",[{"
_SPACE: Final = re.compile(rb"[ \t\n\r]*")
_SCALAR: Final = re.compile(rb"[-+.0-9A-Za-z]+")
_STRUCTURE: Final = re.compile(rb'["\[\]{}]')
_IN_STRING: Final = re.compile(rb'(?:[^"\\]+|\\.)*', re.DOTALL)

Steps = Generator[None, None, int]
"""Gives others their turn; returns where it came to."""


@dataclass(slots=True)
class Outline:
    """What was found of the text of an object.

    Attributes:
        body: the text.
        start: where the object begins.
        members: where the value of each member stands; of one that is repeated, the last.
        separators: commas and opening brackets that stand in no string.
    """

    body: bytes
    start: int = 0
    members: dict[str, tuple[int, int]] = field(default_factory=dict)
    separators: int = 0
    _steps: int = 0

    def find(self) -> Generator[None, None, None]:
        """Go through the text.

        Raises:
            FormatError: json-format: it is no object, or would take too many steps.
        """
        body = self.body
        self.start = at = self._space(0)
        self._expect(at, b"{")
        at = self._space(at + 1)
        if body[at : at + 1] != b"}":
            at = yield from self._member(at)
            while body[at : at + 1] == b",":
                at = yield from self._member(self._space(at + 1))
        self._expect(at, b"}")
        if self._space(at + 1) != len(body):
            raise FormatError("json-format", "bytes follow the JSON value")

    def value(self, name: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value of a short member, None of all others.

        Raises:
            FormatError: json-format: it has none.
        """
        start, end = self.members.get(name, (0, 0))
        is_short = 0 < end - start <= _SHORT_MEMBER
        return parse_json(self.body[start:end]).value if is_short else None

    def _member(self, at: int) -> Steps:
        self._expect(at, b'"')
        end = yield from self._string(at + 1)
        # A long name is none that anybody asks for.
        name = parse_json(self.body[at:end]).value if end - at <= _SHORT_MEMBER else ""
        at = self._space(end)
        self._expect(at, b":")
        start = self._space(at + 1)
        end = yield from self._value(start)
        self.members[name] = start, end
        self.separators += 1
        return self._space(end)

    def _value(self, at: int) -> Steps:
        first = self.body[at : at + 1]
        if first == b'"':
            return (yield from self._string(at + 1))
        if first in (b"{", b"["):
            return (yield from self._container(at))
        match = _SCALAR.match(self.body, at)
        if match is None:
            raise FormatError("json-format", "a member has no value")
        return match.end()

    def _container(self, at: int) -> Steps:
        """Return where an object or array ends, by the number of brackets alone."""
        body, depth = self.body, 0
        while True:
            found = _STRUCTURE.search(body, at, at + _WINDOW)
            end = found.start() if found else min(at + _WINDOW, len(body))
            self.separators += body.count(b",", at, end)
            mark, at = body[end : end + 1], end + (found is not None)
            if found is None:
                if end == len(body):
                    raise FormatError("json-format", "a value has no end")
                yield
            elif mark == b'"':
                at = yield from self._string(at)
            elif mark in b"[{":
                depth += 1
                self.separators += 1
            else:
                depth -= 1
                if not depth:
                    return at
            if self._step():
                yield

    def _string(self, at: int) -> Steps:
        """Return where a string ends whose text begins here."""
        body = self.body
        while True:
            match = _IN_STRING.match(body, at, at + _WINDOW)
            end = at if match is None else match.end()
            if body[end : end + 1] == b'"':
                return end + 1
            if end == at:
                raise FormatError("json-format", "a string has no end")
            at = end
            yield

    def _space(self, at: int) -> int:
        match = _SPACE.match(self.body, at)
        return at if match is None else match.end()

    def _expect(self, at: int, mark: bytes) -> None:
        if self.body[at : at + 1] != mark:
            raise FormatError("json-format", f"{mark.decode()} is missing")

    def _step(self) -> bool:
        self._steps += 1
        if self._steps > _MAX_STEPS or self.separators > MAX_SEPARATORS:
            raise FormatError("json-format", "the JSON value has too many parts")
        return self._steps % _TURN == 0


def is_long(body: bytes) -> bool:
    """Return whether a request must not be read before it was looked through."""
    return len(body) > MAX_AT_ONCE and _separators(body) > MAX_AT_ONCE


async def read_long_request(
    shape: CallShape, body: bytes, *, may_ask: bool, not_with: tuple[str, ...]
) -> RequestFacts:
    """Return what matters of a request, as `read_request`; other calls have their turn."""
    outline = Outline(body)
    if shape.api == API_OTHER:
        return read_request(shape, body)  # which looks at none of it
    try:
        for _ in outline.find():
            await asyncio.sleep(_PAUSE_S)
        if outline.separators > MAX_AT_ONCE or _separators(body) > MAX_SEPARATORS:
            return _read_outline(shape, outline, may_ask=may_ask, not_with=not_with)
    except FormatError:
        return RequestFacts(model=shape.model, all_shown=shows_all(shape.api, None))
    return read_request(shape, body, may_ask=may_ask, not_with=not_with)


def _separators(body: bytes) -> int:
    return sum(map(body.count, _SEPARATORS))


def _read_outline(
    shape: CallShape, outline: Outline, *, may_ask: bool, not_with: tuple[str, ...]
) -> RequestFacts:
    """Return what the short members say.

    Raises:
        FormatError: json-format: one of them is no JSON.
    """
    given, altered = outline.value("model"), None
    if may_ask and shape.api in ASKING_APIS and outline.value("stream") is True:
        altered = _ask_for_usage(outline, not_with)
    return RequestFacts(
        model=shape.model or (given if isinstance(given, str) else None),
        all_shown=shows_all(shape.api, None),
        altered=altered,
    )


def _ask_for_usage(outline: Outline, not_with: tuple[str, ...]) -> bytes | None:
    """Return the body with include_usage, None if it asks already or cannot be made to."""
    body, members = outline.body, outline.members
    if any(name in members for name in not_with):
        return None
    if "stream_options" not in members:
        after = outline.start + 1
        return b"".join((body[:after], put_question(others=True), body[after:]))
    start, end = members["stream_options"]
    if end - start > _SHORT_MEMBER:
        return None
    options = ask_among(parse_json(body[start:end]))
    return None if options is None else b"".join((body[:start], options, body[end:]))
