"""Cases of bytes1.json for completions, Gemini, Bedrock, Cohere, Ollama and Mistral."""

import json
import zlib
from collections.abc import Callable
from typing import Any, Protocol

Json = dict[str, Any]
COMPLETIONS, GEMINI, CONVERSE, COHERE, OLLAMA_CHAT, OLLAMA_GENERATE, MISTRAL = (3, *range(8, 14))
NONE = "NotApplicable"
THINK = "Thinking"
STOP_16, STOP_17 = "é" * 8, "é" * 8 + "!"


class Adder(Protocol):
    """Adds cases."""

    def add(self, flag: str, comment: str, api: int, response: str | bytes, **how: Any) -> None:
        """Add a response as it stands."""

    def body(self, flag: str, comment: str, api: int, body: Any, **how: Any) -> None:
        """Add a response that is one JSON value."""

    def events(self, flag: str, comment: str, api: int, *events: Any, **how: Any) -> None:
        """Add a response of server-sent events."""


def requests(add: Adder, api: int, body: Any, cases: list[tuple[str, Any]], hush: Json) -> None:
    """Add one answer to different requests, beside what rules thinking out."""
    for comment, more in cases:
        request = json.dumps(hush | more) if isinstance(more, dict) else more
        add.body("Request", comment, api, body, request=request)


def completions(add: Adder) -> None:
    """openai.completions."""

    def ok(comment: str, *choices: Any, flag: str = "Completions", **how: Any) -> None:
        add.body(flag, f"completions: {comment}", COMPLETIONS, {"choices": list(choices)}, **how)

    one = {"text": " there", "index": 0, "logprobs": None, "finish_reason": "stop"}
    ok("one text", one)
    ok("beyond ASCII", {"text": "né 模😀\ud800"})
    ok("two choices", one, {**one, "index": 1})
    ok("two choices of one index", one, one)
    ok("two choices without index", {"text": "a"}, {"text": "b"})
    ok("index 1 and position 1", {"text": "a", "index": 1}, {"text": "b"})
    ok("no choice")
    ok("a text that is none, choices that are none", {"text": 5}, None, "text", {"text": ["a"]})
    for reason in ("length", "eos", None, 7):
        ok(f"ended by {reason!r}", {**one, "finish_reason": reason})
    for reason in ("content_filter", "abort", ""):
        ok(f"ended by {reason!r}", {**one, "finish_reason": reason}, flag=NONE)
    ok("thinking", {**one, "reasoning": "hm"}, flag=THINK)
    ok("a message is not looked at", {"message": {"content": "abc"}})
    add.body(NONE, "completions: no array of choices", COMPLETIONS, {"choices": one})
    add.body(NONE, "completions: an array", COMPLETIONS, [one])
    add.add(NONE, "completions: no JSON", COMPLETIONS, '{"choices":[]')
    pieces = [{"choices": [{"text": text, "index": at}]} for at, text in enumerate(("a", "bc"))]
    usage = {"choices": [], "usage": {"completion_tokens": 2}}
    add.events("Completions", "completions, events", COMPLETIONS, *pieces, *pieces, usage)
    cut = [*pieces, {"choices": [{"text": "", "finish_reason": "content_filter"}]}]
    add.events(NONE, "completions, events: filtered", COMPLETIONS, *cut)
    lines = "".join(json.dumps(piece) + "\n" for piece in pieces)
    add.add(NONE, "completions: lines", COMPLETIONS, lines, streamed=True)
    cases = [
        (f"completions: {name} {value!r}", {name: value})
        for name, values in (
            ("echo", (True, False, None, 0, "")),
            ("best_of", (1, 2, None, 1.0, True)),
            ("stop", (STOP_16, STOP_17, ["\n", STOP_16], ["\n", STOP_17], 99, [["x" * 20]])),
        )
        for value in values
    ]
    odd = [("completions: no JSON asked", "{"), ("completions: an array asked", "[]")]
    requests(add, COMPLETIONS, {"choices": [one]}, cases + odd, {"model": "m"})


def part(**members: Any) -> Json:
    """Return an answer of Gemini with one part."""
    return candidate(members)


def candidate(*parts: Any, **more: Any) -> Json:
    """Return an answer of Gemini with one candidate."""
    return {"candidates": [{"content": {"parts": list(parts), "role": "model"}, **more}]}


def gemini(add: Adder) -> None:
    """gemini.generate, not streamed."""

    def ok(comment: str, body: Any, flag: str = "Gemini", **how: Any) -> None:
        add.body(flag, f"gemini: {comment}", GEMINI, body, **how)

    text = {"text": "The Loire."}
    ok("text", candidate(text, finishReason="STOP", index=0))
    ok("several parts", candidate(text, {"text": "né😀"}, {"text": 5}, 7, {}))
    ok("a signature", part(text="a", thoughtSignature="long" * 9))
    ok("no parts", {"candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}]})
    ok("content that is none", {"candidates": [{"content": "abc"}, {"content": {"parts": "ab"}}]})
    ok("no candidate", {"candidates": []})
    two = [{"content": {"parts": [text]}, "index": at} for at in (0, 1)]
    ok("two candidates", {"candidates": two})
    ok("two candidates without index", {"candidates": [{}, {}]})
    ok("no candidates", {"promptFeedback": {"blockReason": "SAFETY"}}, NONE)
    ok("candidates that are no array", {"candidates": two[0]}, NONE)
    for reason in ("SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL", "OTHER", ""):
        ok(f"ended by {reason!r}", candidate(text, finishReason=reason), NONE)
    ok("a reason that is none", candidate(text, finishReason=7))
    ok("thinking", candidate({"text": "hm", "thought": True}, text), THINK)
    ok("thought that is not true", part(text="ab", thought=1))
    ok("thought false", part(text="ab", thought=False))
    call = {"name": "get", "args": {"a": [1, "é"]}, "id": "c"}
    ok("a call", part(functionCall=call))
    ok("two calls and text", candidate(text, {"functionCall": call}, {"functionCall": call}))
    ok("a call without arguments", part(functionCall={"name": "f"}))
    ok("arguments null", part(functionCall={"name": "f", "args": None}))
    ok("arguments as a string", part(functionCall={"name": "f", "args": "né"}))
    ok("a call that is none", part(functionCall="get", text="ab"))
    ok("text and a call in one part", part(functionCall=call, text="ab"))
    ok("a call in a thought", part(functionCall=call, thought=True), THINK)
    ok("a call in pieces", part(functionCall={**call, "partialArgs": []}), NONE)
    for name in ("inlineData", "executableCode", "codeExecutionResult", "fileData", "toolCall"):
        ok(f"a part with {name}", candidate(text, {name: {}}), NONE)
    ok("a thought that is a picture", part(thought=True, inlineData={}), NONE)
    ok("grounding", candidate(text, groundingMetadata={"webSearchQueries": ["x"]}), NONE)
    ok("grounding, empty", candidate(text, groundingMetadata={}, urlContextMetadata=None))
    ok("pages that were read", candidate(text, urlContextMetadata={"urlMetadata": []}), NONE)
    ok("an array", [candidate(text)], NONE)
    spaced = (
        '{"candidates":[{"content":{"parts":[{"functionCall":{"args": { "a" : "\\u00e9" } }}]}}]}'
    )
    add.add("Gemini", "gemini: JSON text as it stands", GEMINI, spaced)
    for stop, flag in ((STOP_16, "Request"), (STOP_17, "Request")):
        for config in ("generationConfig", "generation_config"):
            for name in ("stopSequences", "stop_sequences"):
                asked = json.dumps({config: {name: ["a", stop]}})
                comment = f"{config}.{name} of {len(stop.encode())} bytes"
                ok(comment, candidate(text), flag, request=asked)
    ok("a request that is no object", candidate(text), "Request", request="[]")
    budget = '{"generationConfig":{"thinkingConfig":{"thinkingBudget":0}}}'
    ok("no budget for thoughts", candidate(text), THINK, request=budget)
    gemini_usage(add)


def gemini_usage(add: Adder) -> None:
    """Thoughts that may be part of the candidates' count."""
    counts = {"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": 3}
    for comment, usage in (
        ("beside", {**counts, "totalTokenCount": 17}),
        ("beside, with tools", {**counts, "toolUsePromptTokenCount": 2, "totalTokenCount": 19}),
        ("inside", {**counts, "totalTokenCount": 14}),
        ("no total", counts),
        ("a total that is no integer", {**counts, "totalTokenCount": 17.0}),
        ("none", {**counts, "thoughtsTokenCount": 0, "totalTokenCount": 99}),
        ("a count that is no integer", {**counts, "thoughtsTokenCount": "3"}),
        ("no other count", {"thoughtsTokenCount": 3, "totalTokenCount": 3}),
    ):
        body = part(text="abc") | {"usageMetadata": usage}
        flag = NONE if comment in ("inside", "no total", "a total that is no integer") else "Gemini"
        add.body(flag, f"gemini: thoughts, {comment}", GEMINI, body)
    early = part(text="abc") | {"usageMetadata": {**counts, "totalTokenCount": 14}}
    late = part(text="de") | {"usageMetadata": {**counts, "totalTokenCount": 17}}
    odd = part(text="f") | {"usageMetadata": 7}
    add.events("Gemini", "gemini, events: the last usage", GEMINI, early, late, odd)
    add.events(NONE, "gemini, events: the last usage, inside", GEMINI, late, early)


def gemini_streams(add: Adder) -> None:
    """gemini.generate, streamed: events or one array."""
    parts = [part(text="The "), part(text="Loire."), candidate({}, finishReason="STOP")]
    call = part(functionCall={"name": "f", "args": {"a": 1}})
    whole = [*parts, call, call]
    add.events("Gemini", "gemini, events: text and calls", GEMINI, *whole)
    add.events(NONE, "gemini, events: none with candidates", GEMINI, {"usageMetadata": {}})
    array = json.dumps(whole, indent=1)
    text = json.dumps(part(text="abc"))
    for comment, flag, response in (
        ("one array", "Framing", array),
        (
            "one array, CR LF, white space around",
            "Framing",
            f" \r\n{array}\n\t ".replace("\n", "\r\n"),
        ),
        ("an empty array", NONE, "[]"),
        ("an array with items that are no objects", "Framing", f"[7,[],{text},null]"),
        ("one object", "Framing", f"\n{text}"),
        ("an array without its end", NONE, f"[{text},{text}"),
        ("an array with one comma too many", NONE, f"[{text},]"),
        ("an array with two commas", NONE, f"[{text},,{text}]"),
        ("an array that begins with a comma", NONE, f"[,{text}]"),
        ("an array without a comma", NONE, f"[{text} {text}]"),
        ("an array that a brace ends", NONE, f"[{text}}}"),
        ("something behind the array", NONE, f"[{text}]x"),
        ("two arrays", NONE, f"[{text}][{text}]"),
        ("two objects", NONE, f"{text}\n{text}"),
        ("an item [DONE]", NONE, f"[{text},[DONE]]"),
        ("an array with NaN", NONE, f"[{text},NaN]"),
        ("a byte order mark before an array", NONE, f"\ufeff[{text}]"),
        ("a byte order mark before events", "Framing", f"\ufeffdata: {text}\n\n"),
        ("vertical tab before an array", NONE, f"\v[{text}]"),
        ("an array within events", "Framing", f"data: {text}\n\ndata: [{text}]\n\n"),
        ("white space, then events", "Framing", f"\n\n data: x\ndata: {text}\n\n"),
        ("nothing", NONE, ""),
        ("white space", NONE, " \n"),
    ):
        add.add(flag, f"gemini, streamed: {comment}", GEMINI, response, streamed=True)


def header(name: str, value: bytes, kind: int = 7) -> bytes:
    """Return a header of an event stream; a string unless told otherwise."""
    length = len(value).to_bytes(2, "big") if kind in (6, 7) else b""
    return bytes([len(name)]) + name.encode() + bytes([kind]) + length + value


def framed(headers: bytes, payload: bytes) -> bytes:
    """Return a message of an event stream."""
    total = 16 + len(headers) + len(payload)
    lengths = total.to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    message = lengths + zlib.crc32(lengths).to_bytes(4, "big") + headers + payload
    return message + zlib.crc32(message).to_bytes(4, "big")


def event(name: str, value: Any, kind: str = "event") -> bytes:
    """Return an event of Bedrock."""
    headers = header(f":{kind}-type", name.encode()) + header(":content-type", b"application/json")
    return framed(headers + header(":message-type", kind.encode()), json.dumps(value).encode())


def converse(add: Adder) -> None:
    """bedrock.converse, not streamed."""

    def ok(comment: str, *blocks: Any, flag: str = "Converse", **how: Any) -> None:
        message = {"role": "assistant", "content": list(blocks)}
        body = {"output": {"message": message}, "stopReason": how.pop("reason", "end_turn")}
        add.body(flag, f"converse: {comment}", CONVERSE, body, **how)

    text = {"text": "The Loire."}
    ok("text", text)
    ok("two texts", text, {"text": "né😀"})
    ok("no block")
    ok("blocks that are none", 7, None, "text", text)
    ok("text that is none", {"text": ["a"]})
    use = {"toolUseId": "t", "name": "get", "input": {"a": [1, "é"]}}
    ok("a tool use", {"toolUse": use})
    ok("two tool uses and text", text, {"toolUse": use}, {"toolUse": use})
    ok("a tool use without input", {"toolUse": {"name": "f", "input": {}}})
    ok("input null and a string", {"toolUse": {"input": None}}, {"toolUse": {"input": "ab"}})
    ok("a tool use that is no object", {"toolUse": 7})
    ok("thinking", {"reasoningContent": {"reasoningText": {"text": "hm"}}}, text, flag=THINK)
    for name in ("image", "citationsContent", "toolResult", "guardContent", "hologram"):
        ok(f"a block with {name}", text, {name: {}}, flag=NONE)
    ok("a block of nothing", text, {}, flag=NONE)
    ok("a block of two members", {"text": "a", "toolUse": use}, flag=NONE)
    for reason in ("tool_use", "max_tokens", "stop_sequence", "model_context_window_exceeded", 7):
        ok(f"ended by {reason!r}", text, reason=reason)
    for reason in ("guardrail_intervened", "content_filtered", "malformed_tool_use"):
        ok(f"ended by {reason!r}", text, reason=reason, flag=NONE)
    add.body(NONE, "converse: no content", CONVERSE, {"output": {"message": {}}})
    add.body(NONE, "converse: an error", CONVERSE, {"message": "no"})
    body = {"output": {"message": {"content": [text]}}}
    off = {"type": "disabled"}
    for more in (
        {"reasoning_config": off},
        {"reasoningConfig": {**off, "maxReasoningEffort": "low"}},
        {"thinking": {"type": "enabled"}, "reasoning_config": off},
        {"thinking": {"type": "enabled"}},
        {},
    ):
        asked = {"additionalModelRequestFields": more}
        comment = f"converse: {json.dumps(more)}"
        add.body(THINK, comment, CONVERSE, body, request=json.dumps(asked))
    cases: list[tuple[str, Any]] = [
        ("converse: a guardrail", {"guardrailConfig": {}}),
        ("converse: no guardrail", {"guardrailConfig": None}),
        ("converse: a stop of 16 bytes", {"inferenceConfig": {"stopSequences": [STOP_16]}}),
        ("converse: a stop of 17 bytes", {"inferenceConfig": {"stopSequences": ["a", STOP_17]}}),
        ("converse: no request", ""),
    ]
    requests(add, CONVERSE, body, cases, {"additionalModelRequestFields": {"thinking": off}})


def converse_events(add: Adder) -> None:
    """bedrock.converse, streamed."""
    start = event("messageStart", {"role": "assistant", "p": "abcd"})
    end = event("messageStop", {"stopReason": "end_turn"}) + event("metadata", {"usage": {}})

    def delta(**members: Any) -> bytes:
        return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": members, "p": "ab"})

    def ok(comment: str, *messages: bytes, flag: str = "Converse") -> None:
        response = b"".join([start, *messages, end])
        add.add(flag, f"converse, events: {comment}", CONVERSE, response, streamed=True)

    stop = event("contentBlockStop", {"contentBlockIndex": 0})
    ok("text", delta(text="The "), delta(text="Loire."), stop)
    ok("nothing but the start")
    use = event("contentBlockStart", {"start": {"toolUse": {"toolUseId": "t", "name": "get"}}})
    pieces = [delta(toolUse={"input": text}) for text in ('{"a"', ":1}")]
    ok("a tool use", delta(text="a"), use, *pieces, stop)
    ok("input that is no string", use, delta(toolUse={"input": {"a": 1}}))
    ok("a tool use without a start", *pieces)
    ok("an empty start", event("contentBlockStart", {"start": {}}), delta(text="a"))
    ok("starts and deltas that are none", event("contentBlockStart", {"start": 7}), delta(text=7))
    ok("thinking", delta(reasoningContent={"text": "hm"}), delta(text="a"), flag=THINK)
    ok("a start with text", event("contentBlockStart", {"start": {"text": "a"}}), flag=NONE)
    ok("an unknown start", event("contentBlockStart", {"start": {"image": {}}}), flag=NONE)
    ok("an unknown delta", delta(citation={}), flag=NONE)
    ok("an empty delta", delta(), flag=NONE)
    ok("an unknown event", event("hologram", {"text": "a"}), flag=NONE)
    ok("an unknown event that is no object", event("hologram", [1]), delta(text="a"))
    ok("an event without a name", framed(b"", b"{}"), flag=NONE)
    ok("taken back", event("messageStop", {"stopReason": "guardrail_intervened"}), flag=NONE)
    lost = delta(text="abc") + end
    add.add(NONE, "converse, events: no start", CONVERSE, lost, streamed=True)
    add.add(NONE, "converse, events: none", CONVERSE, b"", streamed=True)
    add.events(NONE, "converse: server-sent events", CONVERSE, {"delta": {"text": "a"}})
    framing(add, start, delta(text="The Loire."), end)


def framing(add: Adder, start: bytes, text: bytes, end: bytes) -> None:
    """Messages as they may be written, and as they may not."""
    payload = b'{"delta":{"text":"ab"}}'
    name = header(":event-type", b"contentBlockDelta")
    others = b"".join(
        header(f"h{kind}", bytes(size), kind)
        for kind, size in ((0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (6, 5), (8, 8), (9, 16))
    )
    as_bytes = header(":message-type", b"exception", 6)
    twice = header(":event-type", b"hologram") + name
    wrong = bytearray(text)
    wrong[-6] ^= 1
    long = bytearray(text)
    long[3] += 1
    for comment, flag, message in (
        ("no message type", "Framing", framed(name, payload)),
        ("headers of every type", "Framing", framed(others + name, payload)),
        ("a message type that is no string", "Framing", framed(name + as_bytes, payload)),
        ("a name twice", "Framing", framed(twice, payload)),
        ("no payload", "Framing", framed(header(":event-type", b"hologram"), b"")),
        ("nothing but checksums", "Framing", framed(b"", b"")),
        ("an exception", NONE, event("throttlingException", {"message": "x"}, "exception")),
        ("an exception without payload", NONE, framed(header(":message-type", b"exception"), b"")),
        ("an error", NONE, framed(name + header(":message-type", b"error"), payload)),
        ("a flipped bit", NONE, bytes(wrong)),
        ("a wrong length", NONE, bytes(long)),
        ("a header of an unknown type", NONE, framed(b"\x01x\x0a" + name, payload)),
        ("headers cut short", NONE, framed(name[:-1], payload)),
        ("a header that is only a name", NONE, framed(name + b"\x01x", payload)),
        ("a payload that is no JSON", NONE, framed(name, b"{")),
        ("a payload with a byte that is no UTF-8", NONE, framed(name, payload[:-4] + b'\xff"}}')),
        ("a message cut short", NONE, text[:-1]),
        ("some bytes between", NONE, b"\0" * 7),
    ):
        response = start + text + message + end
        add.add(flag, f"messages: {comment}", CONVERSE, response, streamed=True)
    add.add(NONE, "messages: the last is cut short", CONVERSE, start + text[:-9], streamed=True)
    add.add(NONE, "messages: bytes at the end", CONVERSE, start + text + b"\0", streamed=True)
    add.add("Framing", "messages: no end", CONVERSE, start + text, streamed=True)


Part = Callable[[Adder], None]
PARTS: tuple[Part, ...] = (completions, gemini, gemini_streams, converse, converse_events)
