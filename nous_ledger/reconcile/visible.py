"""The text that a caller got as model output, counted in UTF-8 bytes.

Counted is every string that the model wrote and the caller received: content,
refusals, transcripts of spoken answers, and the names and arguments of tool
calls, over all choices. Arguments that stand as a JSON value instead of a
string count with the exact bytes of that value on the wire.

Not counted is what the model did not write (results of tools that the provider
ran) and what is billed as reasoning (thinking blocks, reasoning items and their
summaries), because those tokens are no part of the visible output. That there
was any is remembered: a count that may include it is not a count of visible
tokens. A part of a kind that is not known here makes the whole not applicable.

A reader takes either one whole body or the events of a stream in order. It
never raises: members that are not of the form expected are passed over.

Spec:
    PROTOCOL.md LBL-8; section "bytes/1".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from nous_ledger.reconcile.jsontext import Located
from nous_ledger.reconcile.tally import Tally, TallyReader, VisibleOutput

# Members of a chat's message that may hold output beside its content and a refusal.
_BESIDE_CONTENT: Final = frozenset(
    {"reasoning_content", "reasoning", "audio", "function_call", "tool_calls"}
)


class ChatReader(TallyReader):
    """Visible output of OpenAI's chat completions and formats modelled on them."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        self._take(body.value, "message")

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        self._take(event.value, "delta")

    def _take(self, body: object, part: str) -> None:
        choices = body.get("choices") if isinstance(body, dict) else None
        if not isinstance(choices, list):
            return
        tally = self._tally
        tally.seen = True
        for position, choice in enumerate(choices):
            if not isinstance(choice, dict):
                continue
            key = number_of(choice, position)
            tally.choice(key)
            if isinstance(message := choice.get(part), dict):
                self._message(key, message)

    def _message(self, choice: int, message: dict[str, Any]) -> None:
        tally = self._tally
        content = message.get("content")
        if isinstance(content, str):
            tally.answer(content)
        elif content is not None:
            self._content(content)
        refusal = message.get("refusal")
        if refusal is None and _BESIDE_CONTENT.isdisjoint(message):
            return  # nearly every message
        tally.text(refusal)
        tally.thought(message.get("reasoning_content"))
        tally.thought(message.get("reasoning"))
        if isinstance(audio := message.get("audio"), dict):
            tally.text_only = False
            tally.text(audio.get("transcript"))
        if isinstance(function := message.get("function_call"), dict):
            tally.call((choice, None))
            self._function(function)
        for position, call in objects_of(message.get("tool_calls")):
            tally.call((choice, number_of(call, position)))
            for name in ("function", "custom"):
                if isinstance(function := call.get(name), dict):
                    self._function(function)

    def _content(self, content: object) -> None:
        listed = isinstance(content, list)
        for part in content if isinstance(content, list) else [content]:
            text = part.get("text") if listed and isinstance(part, dict) else part
            self._tally.text_only &= isinstance(text, str) or part is None
            self._tally.answer(text)

    def _function(self, function: dict[str, Any]) -> None:
        for name in ("name", "arguments", "input"):
            self._tally.text(function.get(name))


class MessagesReader(TallyReader):
    """Visible output of Anthropic's messages."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        content = body.member("content")
        if content is not None and isinstance(content.value, list):
            self._tally.choice(0)
            for block in content.items():
                self._block(block)

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        value = event.value
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "message_start":
            self._tally.choice(0)
        elif kind == "content_block_delta" and isinstance(delta := value.get("delta"), dict):
            self._tally.answer(delta.get("text"))
            self._tally.text(delta.get("partial_json"))
        elif kind == "content_block_start" and (block := event.member("content_block")):
            self._block(block)

    def _block(self, block: Located) -> None:
        if not isinstance(block.value, dict):
            return
        tally, kind = self._tally, block.value.get("type")
        if kind == "text":
            tally.answer(block.value.get("text"))
        elif kind in ("thinking", "redacted_thinking"):
            tally.thinking = True
        elif isinstance(kind, str) and kind.endswith("tool_use"):
            tally.next_call()
            tally.text(block.value.get("name"))
            if block.value.get("input") != {}:  # a stream begins with {} and sends the rest
                tally.argument(block, "input")
        elif isinstance(kind, str) and kind.endswith("tool_result"):
            tally.text_only = False
        else:
            tally.unknown = True


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
_FOREIGN_ITEMS: Final = ("mcp_list_tools", "additional_tools", "mcp_approval_response")
_TERMINAL_EVENTS: Final = ("response.completed", "response.incomplete", "response.failed")


class ResponsesReader:
    """Visible output of OpenAI's responses.

    In a stream the last terminal event repeats the whole output, so that is what
    counts; where it has no output, the finished items count.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._items = Tally()
        self._whole: Tally | None = None
        self._array = False  # an output was there, if only an empty one
        self._deltas = False  # a delta brought text
        self._keeps = False

    def result(self) -> VisibleOutput:
        """Return what was visible in everything taken so far."""
        tally = self._items if self._whole is None else self._whole
        output = tally.output()
        if tally.seen or not self._array or self._deltas:
            return output
        return replace(output, choices=1, applicable=True)  # an answer without items

    def add_text(self, length: int, text: str = "") -> None:  # noqa: ARG002 - items hold it all
        """Take some text of events like one that was taken before."""
        self._items.text_bytes += length

    def keep_text(self) -> None:
        """Keep what is to come, so that its tokens can be counted."""
        self._keeps = True
        self._items.kept = []

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        self._whole = None
        output = body.member("output")
        if output is None or not isinstance(output.value, list):
            return
        self._array = True
        if output.value:
            self._whole = Tally()
            self._whole.kept = [] if self._keeps else None
            for item in output.items():
                self._item(self._whole, item)

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        value = event.value
        kind = value.get("type") if isinstance(value, dict) else None
        if kind in _TERMINAL_EVENTS:
            self._whole, self._array = None, False  # the last one decides
            if (response := event.member("response")) is not None:
                self.add_body(response)
        elif kind == "response.output_item.done":
            if (item := event.member("item")) is not None:
                self._item(self._items, item)
        elif isinstance(kind, str) and kind.endswith(".delta"):
            self._deltas |= isinstance(value.get("delta"), str) and value["delta"] != ""

    def _item(self, tally: Tally, item: Located) -> None:
        if not isinstance(item.value, dict):
            return
        tally.choice(0)
        kind = item.value.get("type")
        if kind == "message":
            self._message(tally, item.value)
        elif kind in ("reasoning", "compaction"):
            tally.thinking = True
        elif kind in _FOREIGN_ITEMS or (isinstance(kind, str) and kind.endswith("_output")):
            tally.text_only = False
        elif isinstance(kind, str) and kind.endswith("_call"):
            tally.next_call()
            for key in _WRITTEN_BY_MODEL:
                tally.argument(item, key)
        else:
            tally.unknown = True

    @staticmethod
    def _message(tally: Tally, message: dict[str, Any]) -> None:
        for _, part in objects_of(message.get("content")):
            if part.get("type") == "refusal":
                text = part.get("refusal")
                tally.text(text)
            else:
                text = part.get("text")
                tally.answer(text)
            tally.text_only &= isinstance(text, str)
            tally.text(part.get("transcript"))


def objects_of(value: object) -> list[tuple[int, dict[str, Any]]]:
    """Return position and value of each object in an array; of anything else, nothing."""
    found = value if isinstance(value, list) else ()
    return [(position, item) for position, item in enumerate(found) if isinstance(item, dict)]


def number_of(holder: dict[str, Any], position: int) -> int:
    """Return the number of a choice or tool call: its index, else its position."""
    index = holder.get("index")
    return index if type(index) is int else position


def is_filled(value: object) -> bool:
    """Return whether a value is a string or an array that is not empty."""
    return isinstance(value, str | list) and len(value) > 0
