"""The text that a caller got as model output, counted in UTF-8 bytes.

Counted is every string that the model wrote and the caller received: content,
refusals, transcripts of spoken answers, and the names and arguments of tool
calls, over all choices. Arguments that stand as a JSON value instead of a
string count with the exact bytes of that value on the wire.

Not counted is what the model did not write (results of tools that the provider
ran) and what is billed as reasoning (thinking blocks, reasoning items and their
summaries), because those tokens are no part of the visible output.

A reader takes either one whole body or the events of a stream in order. It
never raises on a shape that it does not know: whatever is no string, object or
list where one is expected is passed over and makes the output not text-only.

Spec:
    PROTOCOL.md, section "Labels", method `bytes/1`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

from nous_ledger.reconcile.jsontext import Located

MAX_PARTS: Final = 65_536
"""Choices and tool calls told apart in one stream; what lies beyond counts as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleOutput:
    """How much model output a caller got.

    Attributes:
        utf8_bytes: length of the visible text in UTF-8 bytes.
        choices: alternatives that were returned; 1 for formats without alternatives.
        tool_calls: tool calls in all of them.
        text_only: whether the output held nothing but text and refusals.
    """

    utf8_bytes: int
    choices: int
    tool_calls: int
    text_only: bool


class VisibleReader(Protocol):
    """Collects the visible output of one call."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""

    def result(self) -> VisibleOutput:
        """Return what was visible in everything taken so far."""


def utf8_length(value: object) -> int:
    """Return the UTF-8 length of a string; 0 for anything else.

    A lone surrogate, which JSON can escape but UTF-8 cannot hold, counts 3.
    """
    if not isinstance(value, str):
        return 0
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))


class _Reader:
    """What the readers of all formats share."""

    def __init__(self) -> None:
        self._bytes = 0
        self._choices: set[object] = set()
        self._calls: set[object] = set()
        self._text_only = True

    def result(self) -> VisibleOutput:
        """Return what was visible in everything taken so far."""
        return VisibleOutput(
            utf8_bytes=self._bytes,
            choices=len(self._choices),
            tool_calls=len(self._calls),
            text_only=self._text_only,
        )

    def _choice(self, key: object) -> None:
        if len(self._choices) < MAX_PARTS:
            self._choices.add(key)

    def _call(self, key: object) -> None:
        self._text_only = False
        if len(self._calls) < MAX_PARTS:
            self._calls.add(key)

    def _argument(self, holder: Located, key: str) -> None:
        """Count one model-written field: a string's bytes, or a value's bytes on the wire."""
        value = holder.value.get(key)
        if isinstance(value, str):
            self._bytes += utf8_length(value)
        elif value is not None and (found := holder.member(key)) is not None:
            self._bytes += len(found.wire)


class ChatReader(_Reader):
    """Visible output of OpenAI's chat completions and formats modelled on them."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        self._take(body, "message")

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        self._take(event, "delta")

    def _take(self, body: Located, part: str) -> None:
        for position, choice in enumerate(_objects(body.value, "choices")):
            index = choice.get("index", position)
            key = index if type(index) is int else position
            self._choice(key)
            message = choice.get(part)
            if isinstance(message, dict):
                self._message(key, message)

    def _message(self, choice: int, message: dict[str, Any]) -> None:
        self._content(message.get("content"))
        self._bytes += utf8_length(message.get("refusal"))
        audio = message.get("audio")
        if isinstance(audio, dict):
            self._text_only = False
            self._bytes += utf8_length(audio.get("transcript"))
        if isinstance(function := message.get("function_call"), dict):
            self._call((choice, None))
            self._function(function)
        for position, call in enumerate(_objects(message, "tool_calls")):
            index = call.get("index", position)
            self._call((choice, index if type(index) is int else position))
            for name in ("function", "custom"):
                if isinstance(function := call.get(name), dict):
                    self._function(function)

    def _content(self, content: object) -> None:
        if isinstance(content, list):
            for part in content:
                text = part.get("text") if isinstance(part, dict) else part
                self._text_only &= isinstance(text, str)
                self._bytes += utf8_length(text)
        elif content is not None:
            self._text_only &= isinstance(content, str)
            self._bytes += utf8_length(content)

    def _function(self, function: dict[str, Any]) -> None:
        for name in ("name", "arguments", "input"):
            self._bytes += utf8_length(function.get(name))


class MessagesReader(_Reader):
    """Visible output of Anthropic's messages."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        content = body.member("content")
        if content is not None:
            self._choice(0)
            for position, block in enumerate(content.items()):
                self._block(position, block)

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        value = event.value
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "message_start":
            self._choice(0)
        elif kind == "content_block_delta" and isinstance(delta := value.get("delta"), dict):
            self._bytes += utf8_length(delta.get("text"))
            self._bytes += utf8_length(delta.get("partial_json"))
        elif kind == "content_block_start":
            block = event.member("content_block")
            if block is not None:
                self._block(value.get("index"), block)

    def _block(self, position: object, block: Located) -> None:
        value = block.value
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "text":
            self._bytes += utf8_length(value.get("text"))
        elif isinstance(kind, str) and kind.endswith("tool_use"):
            self._call(position if type(position) is int else None)
            self._bytes += utf8_length(value.get("name"))
            if value.get("input"):  # a stream starts with an empty object and sends the rest
                self._argument(block, "input")
        elif kind not in ("thinking", "redacted_thinking"):
            self._text_only = False


_WRITTEN_BY_MODEL: Final = (
    "name",
    "arguments",
    "input",
    "code",
    "action",
    "actions",
    "operation",
    "queries",
    "revised_prompt",
)
_REASONING_ITEMS: Final = frozenset({"reasoning", "compaction"})
_FOREIGN_ITEMS: Final = frozenset({"mcp_list_tools", "additional_tools", "mcp_approval_response"})


class ResponsesReader(_Reader):
    """Visible output of OpenAI's responses.

    In a stream the terminal event repeats the whole output, so it is what
    counts; without one (the stream broke off, or the event came without an
    output) the finished items count.
    """

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        output = body.member("output")
        if output is None:
            return
        self._choice(0)
        if items := output.items():
            self._restart()
            for position, item in enumerate(items):
                self._item(position, item)

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        value = event.value
        kind = value.get("type") if isinstance(value, dict) else None
        if kind in ("response.completed", "response.incomplete", "response.failed"):
            response = event.member("response")
            if response is not None:
                self.add_body(response)
        elif kind == "response.output_item.done":
            item = event.member("item")
            if item is not None:
                self._choice(0)
                self._item(value.get("output_index"), item)

    def _restart(self) -> None:
        self._bytes = 0
        self._calls.clear()
        self._text_only = True

    def _item(self, position: object, item: Located) -> None:
        value = item.value
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "message":
            self._message(value)
        elif not isinstance(kind, str) or kind in _FOREIGN_ITEMS or kind.endswith("_output"):
            self._text_only = False
        elif kind not in _REASONING_ITEMS:
            self._call(position if type(position) is int else None)
            for key in _WRITTEN_BY_MODEL:
                self._argument(item, key)

    def _message(self, message: dict[str, Any]) -> None:
        for part in _objects(message, "content"):
            text = part.get("refusal") if part.get("type") == "refusal" else part.get("text")
            self._text_only &= isinstance(text, str)
            self._bytes += utf8_length(text)
            self._bytes += utf8_length(part.get("transcript"))


def _objects(holder: object, key: str) -> list[dict[str, Any]]:
    found = holder.get(key) if isinstance(holder, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
