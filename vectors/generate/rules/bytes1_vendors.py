"""The method bytes/1 for completions, Gemini, Bedrock, Cohere, Ollama and Mistral."""

from collections.abc import Iterable
from typing import Any, Protocol

from vectors.generate.rules.checks import reject, require
from vectors.generate.rules.frames import Event
from vectors.generate.rules.visible import NOT_APPLICABLE, Raw, Seen, number_of

COMPLETIONS, GEMINI, CONVERSE, COHERE, OLLAMA_CHAT, OLLAMA_GENERATE, MISTRAL = (
    3,
    *range(8, 14),
)
LONGEST_STOP = 16
FOUR = range(4)
GEMINI_COUNTS = ("prompt", "candidates", "thoughts", "toolUsePrompt")


class Collect(Protocol):
    """Collects from the events of a response, all of them objects."""

    def __call__(self, events: list[Event], seen: Seen, *, streamed: bool) -> None:
        """Collect."""


def no(fault: object) -> None:
    """Refuse to apply if there is a fault."""
    require(not fault, NOT_APPLICABLE)


def filled(raw: Raw) -> bool:
    """Say whether a value is a string or an array that is not empty."""
    return isinstance(raw.value, str | list) and len(raw.value) > 0


def ended(reason: Raw, *known: str) -> None:
    """Refuse a reason to end that is not known."""
    no(isinstance(reason.value, str) and reason.value not in known)


def objects(array: Raw) -> list[tuple[int, Raw]]:
    """Return the objects of an array with their positions."""
    return [(at, item) for at, item in enumerate(array.items()) if item.is_object()]


def choices(events: Iterable[Event], member: str, seen: Seen) -> list[tuple[Any, Raw]]:
    """Return the choices of all events with their numbers; there must be an array of them."""
    arrays = [event.value.get(member) for event in events]
    require([array for array in arrays if isinstance(array.value, list)], NOT_APPLICABLE)
    found = [(number_of(item, at), item) for array in arrays for at, item in objects(array)]
    seen.choices |= {number for number, _ in found}
    return found


def call(seen: Seen, key: Any, name: Raw, arguments: Raw) -> None:
    """Collect a tool call."""
    seen.calls.add(key)
    seen.string(name)
    for _ in FOUR:
        seen.string_or_json(arguments)


def thinks(holder: Raw, seen: Seen) -> None:
    """Note the thinking beside a text."""
    for name in ("reasoning_content", "reasoning"):
        seen.thinking |= isinstance(holder.get(name).value, str) and holder.get(name).value != ""


def completions(events: list[Event], seen: Seen, *, streamed: bool) -> None:  # noqa: ARG001 - alike
    """Collect from openai.completions."""
    for _, choice in choices(events, "choices", seen):
        seen.string(choice.get("text"))
        thinks(choice, seen)
        ended(choice.get("finish_reason"), "stop", "length", "eos")


def mistral(events: list[Event], seen: Seen, *, streamed: bool) -> None:
    """Collect from mistral.chat."""
    for number, choice in choices(events, "choices", seen):
        ended(choice.get("finish_reason"), "stop", "length", "model_length", "tool_calls")
        message = choice.get("delta" if streamed else "message")
        no(filled(choice.get("messages")))
        no(filled(message.get("role")) and message.get("role").value != "assistant")
        thinks(message, seen)
        content = message.get("content")
        seen.string(content, *content.items())
        for _, chunk in objects(content):
            kind = chunk.get("type").value
            no(kind not in ("text", "thinking"))
            seen.thinking |= kind == "thinking"
            if kind == "text":
                seen.string(chunk.get("text"))
        for at, item in objects(message.get("tool_calls")):
            name = item.get("id").value
            key = (number, number_of(item, at), name if isinstance(name, str) else None)
            function = item.get("function")
            call(seen, key, function.get("name"), function.get("arguments"))


def gemini(events: list[Event], seen: Seen, *, streamed: bool) -> None:  # noqa: ARG001 - alike
    """Collect from gemini.generate."""
    for _, candidate in choices(events, "candidates", seen):
        ended(candidate.get("finishReason"), "STOP", "MAX_TOKENS")
        for name in ("groundingMetadata", "urlContextMetadata"):
            no(candidate.get(name).is_object() and candidate.get(name).value)
        for _, part in objects(candidate.get("content").get("parts")):
            no(part.value.keys() - {"text", "thought", "thoughtSignature", "functionCall"})
            if part.get("thought").value is True:
                seen.thinking = True
                continue
            seen.string(part.get("text"))
            wish = part.get("functionCall")
            if wish.is_object():
                no(wish.value.keys() - {"id", "name", "args"})
                call(seen, len(seen.calls), wish.get("name"), wish.get("args"))
    usages = [event.value.get("usageMetadata") for event in events]
    for usage in [usage for usage in usages if usage.is_object()][-1:]:
        counts = [usage.get(f"{name}TokenCount").value for name in GEMINI_COUNTS]
        total, thoughts = usage.get("totalTokenCount").value, counts[2]
        if type(thoughts) is int and thoughts != 0:
            no(type(total) is not int)
            no(total != sum(count for count in counts if type(count) is int))


def converse(events: list[Event], seen: Seen, *, streamed: bool) -> None:
    """Collect from bedrock.converse."""
    seen.choices.add(0)
    reasons = (
        *("end_turn", "tool_use", "stop_sequence"),
        *("max_tokens", "model_context_window_exceeded"),
    )
    if not streamed:
        whole = events[0].value if events else reject(NOT_APPLICABLE)
        content = whole.get("output").get("message").get("content")
        require(isinstance(content.value, list), NOT_APPLICABLE)
        ended(whole.get("stopReason"), *reasons)
        for _, block in objects(content):
            converse_block(block, seen, "block")
        return
    require([event for event in events if event.name == "messageStart"], NOT_APPLICABLE)
    for event in events:
        if event.name == "messageStop":
            ended(event.value.get("stopReason"), *reasons)
        elif event.name in ("contentBlockStart", "contentBlockDelta"):
            where = event.name.removeprefix("contentBlock").lower()
            if event.value.get(where).is_object():
                converse_block(event.value.get(where), seen, where)
        else:
            no(event.name not in ("messageStart", "contentBlockStop", "metadata"))


def converse_block(block: Raw, seen: Seen, where: str) -> None:
    """Collect from a block, or from the start or a delta of one."""
    if where == "start" and not block.value:
        return
    no(len(block.value) != 1)
    kind = next(iter(block.value))
    use = block.get("toolUse")
    if kind == "toolUse" and where == "delta":
        for _ in FOUR:
            seen.string(use.get("input"))
    elif kind == "toolUse":
        seen.calls.add(len(seen.calls))
        seen.string(use.get("name"))
        for _ in FOUR if where == "block" else ():
            seen.string_or_json(use.get("input"))
    else:
        no(where == "start" or kind not in ("text", "reasoningContent"))
        seen.thinking |= kind == "reasoningContent"
        seen.string(block.get("text"))


def cohere(events: list[Event], seen: Seen, *, streamed: bool) -> None:
    """Collect from cohere.v2."""
    seen.choices.add(0)
    reasons = ("COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS")
    if streamed:
        kinds = [event.value.get("type").value for event in events]
        require("message-start" in kinds, NOT_APPLICABLE)
        for event in events:
            cohere_event(event.value, seen)
            ended(event.value.get("delta").get("finish_reason"), *reasons)
        return
    whole = events[0].value if events else reject(NOT_APPLICABLE)
    message = whole.get("message")
    require(message.is_object(), NOT_APPLICABLE)
    ended(whole.get("finish_reason"), *reasons)
    no([name for name in ("tool_calls", "tool_plan", "citations") if filled(message.get(name))])
    content = message.get("content")
    seen.string(content, *content.items())
    for block in [content, *content.items()]:
        if block.is_object():
            cohere_block(block, seen)


def cohere_event(event: Raw, seen: Seen) -> None:
    """Collect from one event."""
    content = event.get("delta").get("message").get("content")
    kind = event.get("type").value
    if kind == "content-start":
        cohere_block(content, seen)
    elif kind == "content-delta":
        seen.string(content.get("text"))
        seen.thinking |= filled(content.get("thinking"))
    else:
        no(kind not in ("message-start", "content-end", "message-end"))


def cohere_block(block: Raw, seen: Seen) -> None:
    """Collect from one block."""
    kind = block.get("type").value
    no(kind not in ("text", "thinking"))
    seen.thinking |= kind == "thinking"
    if kind == "text":
        seen.string(block.get("text"))


def ollama_chat(events: list[Event], seen: Seen, *, streamed: bool) -> None:  # noqa: ARG001 - alike
    """Collect from ollama.chat."""
    found = [event.value.get("message") for event in events]
    holders = [message for message in found if message.is_object()]
    require(holders, NOT_APPLICABLE)
    ollama(events, holders, ("content", "images"), seen)


def ollama_generate(events: list[Event], seen: Seen, *, streamed: bool) -> None:  # noqa: ARG001 - alike
    """Collect from ollama.generate."""
    holders = [event.value for event in events]
    texts = [holder for holder in holders if isinstance(holder.get("response").value, str)]
    require(texts, NOT_APPLICABLE)
    ollama(events, holders, ("response", "image"), seen)


def ollama(events: list[Event], holders: list[Raw], names: tuple[str, str], seen: Seen) -> None:
    """Collect from what holds text, and what else there may be."""
    seen.choices.add(0)
    for event in events:
        ended(event.value.get("done_reason"), "stop", "length")
    for holder in holders:
        seen.string(holder.get(names[0]))
        seen.thinking |= filled(holder.get("thinking"))
        no(filled(holder.get("tool_calls")) or filled(holder.get(names[1])))


COLLECT: dict[int, Collect] = {
    COMPLETIONS: completions,
    GEMINI: gemini,
    CONVERSE: converse,
    COHERE: cohere,
    OLLAMA_CHAT: ollama_chat,
    OLLAMA_GENERATE: ollama_generate,
    MISTRAL: mistral,
}


def rules_out_thinking(api: int, request: Raw) -> bool:
    """Say whether a request rules hidden thinking out."""
    if api == CONVERSE:
        more = request.get("additionalModelRequestFields")
        names = ("thinking", "reasoning_config", "reasoningConfig")
        return "disabled" in [more.get(name).get("type").value for name in names]
    if api == COHERE:
        return bool(request.get("thinking").get("type").value == "disabled")
    return api in (OLLAMA_CHAT, OLLAMA_GENERATE) and request.get("think").value is False


def shows_all(api: int, request: Raw) -> bool:
    """Say whether a request leaves no room for output that is not shown."""
    given = {name: raw.value for name, raw in request.value.items() if raw.value is not None}
    if api == COMPLETIONS:
        best = given.get("best_of", 1)
        if given.get("echo", False) is not False or type(best) is not int or best != 1:
            return False
    if api in (COHERE, OLLAMA_CHAT, OLLAMA_GENERATE) and given.get("tools", []) != []:
        return False
    if api == COHERE and given.get("documents", []) != []:
        return False
    if api == MISTRAL and given.get("guardrails", []) != []:
        return False
    if (api == CONVERSE and "guardrailConfig" in given) or (
        api == MISTRAL and "prediction" in given
    ):
        return False
    return all(length <= LONGEST_STOP for length in map(size, stops(api, request)))


def size(stop: Raw) -> int:
    """Return the length of a stop sequence; of what is no string, nothing."""
    return len(stop.value.encode("utf-8", "surrogatepass")) if isinstance(stop.value, str) else 0


def stops(api: int, request: Raw) -> list[Raw]:
    """Return what may be a stop sequence."""
    if api == GEMINI:
        configs = [request.get("generationConfig"), request.get("generation_config")]
        names = ("stopSequences", "stop_sequences")
        places = [config.get(name) for config in configs for name in names]
    elif api == CONVERSE:
        places = [request.get("inferenceConfig").get("stopSequences")]
    elif api == COHERE:
        places = [request.get("stop_sequences")]
    elif api in (OLLAMA_CHAT, OLLAMA_GENERATE):
        places = [request.get("options").get("stop")]
    else:
        places = [request.get("stop")]
    return places + [item for place in places for item in place.items()]
