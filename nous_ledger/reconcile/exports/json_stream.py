"""Reports that are JSON, read bucket by bucket: memory is bounded, however long they are.

A report is a page, a list of pages or of buckets, or several of them after each other,
as with a page on every line. Where something is damaged the reader looks for the next
bucket, and a report that breaks off gives all that came before.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO, Any, Final

from nous_ledger.reconcile.exports.rows import MAX_BUCKET, RowFault

Found = tuple[int, dict[str, Any]]
"""Line on which a bucket begins, and the bucket."""

_CHUNK: Final = 1024 * 1024
_NEAR_END: Final = 4_096  # a number or a literal that goes on is never longer
_SPACE: Final = re.compile(r"[\s,:]*")
_MOST_FAILURES: Final = 1_000  # to find a bucket behind some damage
_WORDS: Final = ("true", "false", "null", "-")  # what a value that breaks off may begin
_DECODER: Final = json.JSONDecoder(parse_float=str)


class _BrokenError(ValueError):
    """No JSON value stands here.

    Attributes:
        line: line of the file on which the damage shows.
    """

    def __init__(self, message: str, line: int) -> None:
        """Say what is wrong, and where."""
        super().__init__(message)
        self.line = line


class _LongError(_BrokenError):
    """A value is longer than is read at once, or the text ends in it."""


def read_buckets(stream: IO[bytes]) -> Iterator[Found | RowFault]:
    """Yield the buckets of a report, and a fault for each stretch that is none.

    A bucket that is too long, or that breaks off, comes in parts of one result each.

    Args:
        stream: the report, at its beginning.
    """
    reader = _Reader(_Window(stream))
    yield from reader.read()


class _Reader:
    """Walks through pages and lists; reads whole what is short enough.

    Attributes:
        members: what was read so far of the object that is walked through.
    """

    def __init__(self, text: _Window) -> None:
        self._text = text
        self._depth = 0
        self._broken_off = False  # the text ends within what is walked through
        self._name: str | None = None
        self.members: dict[str, Any] = {}

    def read(self) -> Iterator[Found | RowFault]:
        text = self._text
        while not text.at_end():
            try:
                yield from self._step()
            except _LongError:
                break  # the text ends in a name or a number
            except _BrokenError as error:
                yield RowFault(line=error.line, message=str(error))
                self._enter(0)
                text.leave_damage()
        if self._depth > 0 or not text.at_end():
            yield RowFault(line=text.line, message="the report breaks off")

    def _step(self) -> Iterator[Found | RowFault]:
        """Read on by one bracket or one value."""
        text = self._text
        mark, line = text.peek(), text.line
        if mark in "[]}":
            text.drop(1)
            self._depth += 1 if mark == "[" else -1
            self._name = None
            if mark == "}":
                self.members = {}
        elif mark == "{":
            try:
                yield from self._object(line, text.value())
            except _LongError:
                self._broken_off |= text.ended
                text.drop(1)
                self._enter(self._depth + 1)
        elif self._name is None and mark == '"':
            self._name = text.value()
        else:
            value = text.value()
            if self._name is not None:
                self.members[self._name] = value
            self._name = None

    def _enter(self, depth: int) -> None:
        self._depth, self._name, self.members = depth, None, {}

    def _object(self, line: int, value: dict[str, Any]) -> Iterator[Found | RowFault]:
        self._name = None
        if (buckets := _buckets(value)) is not None:
            yield from ((line, bucket) for bucket in buckets)
        elif "start_time" in self.members or "starting_at" in self.members:
            yield line, {**self.members, "results": [value]}
        elif not self._broken_off:
            yield RowFault(line=line, message="neither a page nor a bucket of a report")


def _buckets(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the buckets of a page, or the bucket itself; None if it is neither."""
    data = value.get("data")
    if isinstance(data, list):
        return [item for item in data if isinstance(item, dict)]
    return [value] if isinstance(value.get("results"), list) else None


class _Window:
    """The part of a text that is being read.

    Attributes:
        line: line of the file at which it begins, from 1.
        ended: nothing follows it.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        """Begin with nothing."""
        self._stream = stream
        # Bytes that are no UTF-8 become surrogates, which no value of a row may hold.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._text = ""
        self._at = 0
        self.ended = False
        self.line = 1

    def at_end(self) -> bool:
        """Pass over white space, commas and colons; return whether nothing follows."""
        while True:
            self._pass(_SPACE.match(self._text, self._at).end())  # type: ignore[union-attr]
            if self._at < len(self._text):
                return False
            if not self._grow():
                return True

    def peek(self) -> str:
        """Return the next character."""
        return self._text[self._at]

    def drop(self, count: int) -> None:
        """Pass over some characters."""
        self._pass(self._at + count)

    def value(self) -> Any:  # noqa: ANN401 - JSON of any form
        """Return the next value.

        Raises:
            _LongError: it is longer than is read, or the text ends in it.
            _BrokenError: it is no JSON.
        """
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                self._need_more(error)
            except (ValueError, RecursionError) as error:
                raise _BrokenError(f"no JSON: {error}"[:200], self.line) from error
            else:
                if end == len(self._text) and self._grow():
                    continue  # a number may go on
                self._pass(end)
                return value

    def leave_damage(self) -> None:
        """Go to the next bucket that can be read, or as far as was read if there is none."""
        self._grow()
        at, failures = self._at + 1, 0
        while failures < _MOST_FAILURES and (at := self._text.find("{", at)) >= 0:
            try:
                value, end = _DECODER.raw_decode(self._text, at)
            except json.JSONDecodeError as error:
                if self._is_unfinished(error) and not self.ended:
                    self._pass(at)
                    return
                at, failures = at + 1, failures + 1
            except (ValueError, RecursionError):
                at, failures = at + 1, failures + 1
            else:
                if _buckets(value):
                    self._pass(at)
                    return
                at = end
        self._pass(len(self._text))

    def _is_unfinished(self, error: json.JSONDecodeError) -> bool:
        return error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _NEAR_END

    def _need_more(self, error: json.JSONDecodeError) -> None:
        """Read on if that may help with a value that cannot be read yet."""
        if not self._is_unfinished(error):
            raise self._broken(error) from error
        too_long = len(self._text) - self._at >= MAX_BUCKET
        if not too_long and self._grow():
            return
        rest = self._text[error.pos : error.pos + 6].strip()
        if (
            too_long
            or error.msg.startswith("Unterminated")
            or any(word.startswith(rest) for word in _WORDS)
        ):
            raise _LongError("it is too long, or breaks off", self.line) from error
        raise self._broken(error) from error

    def _broken(self, error: json.JSONDecodeError) -> _BrokenError:
        line = self.line + self._text.count("\n", self._at, error.pos)
        return _BrokenError(f"no JSON: {error.msg}", line)

    def _grow(self) -> bool:
        """Read on, twice as far each time a value proves to be longer; return whether more came."""
        if self.ended:
            return False
        self._text = self._text[self._at :]
        self._at = 0
        held = len(self._text)
        data = self._stream.read(max(_CHUNK, min(held, MAX_BUCKET - held)))
        self.ended = not data
        self._text += self._decoder.decode(data, final=self.ended)
        return True

    def _pass(self, end: int) -> None:
        self.line += self._text.count("\n", self._at, end)
        self._at = end
