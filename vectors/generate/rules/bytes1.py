"""The method bytes/1: how many bytes of model output a caller could see."""

from typing import Any

from vectors.generate.rules import bytes1_vendors as vendors
from vectors.generate.rules.checks import RuleError, require
from vectors.generate.rules.frames import Event, cut
from vectors.generate.rules.visible import (
    NOT_APPLICABLE,
    NOTHING,
    Raw,
    Seen,
    number_of,
    read_json,
)

CHAT, RESPONSES, MESSAGES = 1, 2, 7
PER_PART = 16
TERMINAL = ("response.completed", "response.incomplete", "response.failed")
CALL_PARTS = (
    "name arguments input code action actions operation queries revised_prompt".split()  # noqa: SIM905 - a list of the table's words
)
SILENT_ITEMS = ("mcp_list_tools", "additional_tools", "mcp_approval_response")


def chat(parts: list[Raw], member: str, seen: Seen) -> None:
    """Collect from openai.chat."""
    arrays = [part.get("choices") for part in parts if isinstance(part.get("choices").value, list)]
    require(arrays, NOT_APPLICABLE)
    for array in arrays:
        for position, choice in enumerate(array.items()):
            if choice.is_object():
                number = number_of(choice, position)
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
            seen.calls.add((number, number_of(item, position)))
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


def rules_out_thinking(api: int, request: Raw) -> bool:
    """Say whether a request rules hidden thinking out."""
    if api == CHAT:
        return bool(request.get("reasoning_effort").value == "none")
    if api == RESPONSES:
        return bool(request.get("reasoning").get("effort").value == "none")
    if api == MESSAGES:
        return bool(request.get("thinking").get("type").value == "disabled")
    return vendors.rules_out_thinking(api, request)


def asked(request: str) -> Raw:
    """Return a request, or nothing if it is not an object."""
    try:
        found = read_json(request.encode("utf-8", "surrogatepass"))
    except RuleError:
        return NOTHING
    return found if found.is_object() else NOTHING


def collect(api: int, request: Raw, events: list[Event], seen: Seen, *, streamed: bool) -> int:
    """Collect from a response; return how many frames a tool call has."""
    parts = [event.value for event in events]
    if api == CHAT:
        chat(parts, "delta" if streamed else "message", seen)
    elif api == RESPONSES:
        responses(parts, seen, streamed=streamed)
    elif api == MESSAGES:
        messages(parts, seen, streamed=streamed)
    else:
        require(request.is_object(), NOT_APPLICABLE)
        require(vendors.shows_all(api, request), NOT_APPLICABLE)
        objects = [event for event in events if event.value.is_object()]
        vendors.COLLECT[api](objects, seen, streamed=streamed)
        return 4
    return 1


def bounds(
    api: int, request: str, response: bytes, *, streamed: bool
) -> tuple[list[int] | None, list[int] | None]:
    """Return (lower, upper) for kind 16 and for kind 18; None where not applicable."""
    seen = Seen()
    wish = asked(request)
    try:
        events = cut(api, response) if streamed else [Event("", read_json(response))]
        frames = collect(api, wish, events, seen, streamed=streamed)
    except RuleError:
        return None, None
    upper = seen.size + PER_PART * (len(seen.choices) + frames * len(seen.calls))
    visible = [1 if seen.size else 0, upper]
    unsplit = visible if rules_out_thinking(api, wish) and not seen.thinking else None
    return visible, unsplit
