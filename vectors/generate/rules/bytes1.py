"""The method bytes/1: how many bytes of model output a caller could see.

JSON is read here with the place of every value, because some pieces count as they stand.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from vectors.generate.rules.checks import RuleError, reject, require

NOT_APPLICABLE = "not-applicable"  # never leaves this module as a code
CHAT, RESPONSES, MESSAGES = 1, 2, 7
PER_PART = 16
SPACE = re.compile(r"[ \t\n\r]*")
PLAIN = json.JSONDecoder(strict=True, parse_constant=lambda _: reject(NOT_APPLICABLE))
TERMINAL = ("response.completed", "response.incomplete", "response.failed")
CALL_PARTS = (
    "name arguments input code action actions operation queries revised_prompt".split()  # noqa: SIM905 - a list of the table's words
)
SILENT_ITEMS = ("mcp_list_tools", "additional_tools", "mcp_approval_response")


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


def read_json(text: str) -> Raw:
    """Return the one value of a text."""
    try:
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


def events(text: str) -> Iterator[Raw]:
    """Yield the JSON of every server-sent event; `[DONE]` is none."""
    lines: list[str] = []
    for line in [*re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), ""]:
        name, _, value = line.partition(":")
        if name == "data":
            lines.append(value.removeprefix(" "))
        elif not line and lines:
            data = "\n".join(lines)
            lines = []
            if data.strip(" \t\n\r\v\f") != "[DONE]":
                yield read_json(data)


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


def _number(raw: Raw, position: int) -> tuple[str, int]:
    """Return an integer index, else the position."""
    index = raw.get("index").value
    return ("index", index) if type(index) is int else ("index", position)


def chat(parts: list[Raw], member: str, seen: Seen) -> None:
    """Collect from openai.chat."""
    arrays = [part.get("choices") for part in parts if isinstance(part.get("choices").value, list)]
    require(arrays, NOT_APPLICABLE)
    for array in arrays:
        for position, choice in enumerate(array.items()):
            if choice.is_object():
                number = _number(choice, position)
                seen.choices.add(number)
                _chat_choice(choice.get(member), number, seen)


def _chat_choice(message: Raw, number: Any, seen: Seen) -> None:
    """Collect from the message or delta of one choice."""
    content = message.get("content")
    seen.string(content, message.get("refusal"), message.get("audio").get("transcript"))
    for item in content.items():
        seen.string(item, item.get("text"))
    for name in ("reasoning_content", "reasoning"):
        seen.thinking |= isinstance(message.get(name).value, str) and message.get(name).value != ""
    call = message.get("function_call")
    if call.is_object():
        seen.calls.add((number, "function_call"))
        seen.string(call.get("name"), call.get("arguments"), call.get("input"))
    for position, item in enumerate(message.get("tool_calls").items()):
        if item.is_object():
            seen.calls.add((number, _number(item, position)))
            for kind in ("function", "custom"):
                parts = (item.get(kind).get(n) for n in ("name", "arguments", "input"))
                seen.string(*parts)


def responses(parts: list[Raw], seen: Seen, *, streamed: bool) -> None:
    """Collect from openai.responses."""
    seen.choices.add(0)
    if not streamed:
        output = parts[0].get("output")
        require(isinstance(output.value, list), NOT_APPLICABLE)
        items = _objects(output.items())
    else:
        items = _streamed_items(parts)
    for item in items:
        _item(item, seen)


def _objects(found: list[Raw]) -> list[Raw]:
    """Return those values that are objects."""
    return [raw for raw in found if raw.is_object()]


def _streamed_items(parts: list[Raw]) -> list[Raw]:
    """Return the items of a stream."""
    ends = [part for part in parts if part.get("type").value in TERMINAL]
    output = ends[-1].get("response").get("output") if ends else NOTHING
    ready = [p for p in parts if p.get("type").value == "response.output_item.done"]
    done = _objects([part.get("item") for part in ready])
    items = _objects(output.items()) if output.items() else done
    known = isinstance(output.value, list) or done
    deltas = [p for p in parts if str(p.get("type").value).endswith(".delta")]
    lost = [p for p in deltas if isinstance(p.get("delta").value, str) and p.get("delta").value]
    require(known and (items or not lost), NOT_APPLICABLE)
    return items


def _item(item: Raw, seen: Seen) -> None:
    """Collect from one item."""
    kind = item.get("type").value
    require(isinstance(kind, str), NOT_APPLICABLE)
    if kind == "message":
        for part in item.get("content").items():
            refused = part.get("type").value == "refusal"
            seen.string(part.get("refusal" if refused else "text"), part.get("transcript"))
    elif kind in ("reasoning", "compaction"):
        seen.thinking = True
    elif kind.endswith("_call"):
        seen.calls.add(len(seen.calls))
        for name in CALL_PARTS:
            seen.string_or_json(item.get(name))
    else:
        require(kind.endswith("_output") or kind in SILENT_ITEMS, NOT_APPLICABLE)


def messages(parts: list[Raw], seen: Seen, *, streamed: bool) -> None:
    """Collect from anthropic.messages."""
    seen.choices.add(0)
    if not streamed:
        content = parts[0].get("content")
        require(isinstance(content.value, list), NOT_APPLICABLE)
        blocks = content.items()
    else:
        require([p for p in parts if p.get("type").value == "message_start"], NOT_APPLICABLE)
        starts = [p for p in parts if p.get("type").value == "content_block_start"]
        blocks = [part.get("content_block") for part in starts]
        for part in parts:
            if part.get("type").value == "content_block_delta":
                delta = part.get("delta")
                seen.string(delta.get("text"), delta.get("partial_json"))
    for block in blocks:
        if block.is_object():
            _block(block, seen)


def _block(block: Raw, seen: Seen) -> None:
    """Collect from one block."""
    kind = block.get("type").value
    require(isinstance(kind, str), NOT_APPLICABLE)
    if kind == "text":
        seen.string(block.get("text"))
    elif kind.endswith("tool_use"):
        seen.calls.add(len(seen.calls))
        seen.string(block.get("name"))
        if block.get("input").value != {}:
            seen.string_or_json(block.get("input"))
    elif kind in ("thinking", "redacted_thinking"):
        seen.thinking = True
    else:
        require(kind.endswith("tool_result"), NOT_APPLICABLE)


def rules_out_thinking(api: int, request: str) -> bool:
    """Say whether a request rules hidden thinking out."""
    try:
        found = read_json(request)
    except RuleError:
        return False
    if api == CHAT:
        return bool(found.get("reasoning_effort").value == "none")
    if api == RESPONSES:
        return bool(found.get("reasoning").get("effort").value == "none")
    return bool(found.get("thinking").get("type").value == "disabled")


def bounds(
    api: int, request: str, response: str, *, streamed: bool
) -> tuple[list[int] | None, list[int] | None]:
    """Return (lower, upper) for kind 16 and for kind 18; None where not applicable."""
    seen = Seen()
    try:
        parts = list(events(response)) if streamed else [read_json(response)]
        if api == CHAT:
            chat(parts, "delta" if streamed else "message", seen)
        elif api == RESPONSES:
            responses(parts, seen, streamed=streamed)
        else:
            messages(parts, seen, streamed=streamed)
    except RuleError:
        return None, None
    upper = seen.size + PER_PART * (len(seen.choices) + len(seen.calls))
    visible = [1 if seen.size else 0, upper]
    unsplit = visible if rules_out_thinking(api, request) and not seen.thinking else None
    return visible, unsplit
