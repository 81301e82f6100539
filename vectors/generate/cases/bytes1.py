"""bytes1.json: the bounds of the method bytes/1."""

import json
from typing import Any

from vectors.generate import bytes1cases, bytes1more
from vectors.generate.limitcases import limits, pieced
from vectors.generate.rules import bytes1
from vectors.generate.rules.bytes1 import CHAT, MESSAGES, RESPONSES
from vectors.generate.suite import Group, Json, Suite, unhex

HUSH = {
    CHAT: '{"reasoning_effort":"none"}',
    RESPONSES: '{"reasoning":{"effort":"none"}}',
    MESSAGES: '{"thinking":{"type":"disabled"}}',
    bytes1cases.COMPLETIONS: "{}",
    bytes1cases.GEMINI: "{}",
    bytes1cases.CONVERSE: '{"additionalModelRequestFields":{"thinking":{"type":"disabled"}}}',
    bytes1cases.COHERE: '{"thinking":{"type":"disabled"}}',
    bytes1cases.OLLAMA_CHAT: '{"think":false}',
    bytes1cases.OLLAMA_GENERATE: '{"think":false}',
    bytes1cases.MISTRAL: "{}",
}


def check(case: Json) -> Json:
    """Give the bounds for kind 16 and for kind 18."""
    reached = case["status"] in (0, 8)
    given = case["response"]
    response = given.encode() if isinstance(given, str) else unhex(given["hex"])
    visible, unsplit = bytes1.bounds(
        case["api"], case["request"], response, streamed=case["streamed"]
    )
    return {"visible": visible if reached else None, "unsplit": unsplit if reached else None}


def check_limits(case: Json) -> Json:
    """Give the bounds for texts that are written piece by piece."""
    return check(pieced(case))


def build() -> Suite:
    """Return the suite."""
    suite = Suite(
        "bytes1",
        "bytes/1",
        "9.4 bytes/1",
        "`visible` are lower and upper of a bucket of kind 16, `unsplit` of kind 18, for a receipt",
        "of this api, status and streamed with this request and response; null: not applicable.",
        "A response is text, or bytes under `hex`.",
        "Limits: request and response are pieces, each a text and how often it is repeated.",
    )
    for name, description, ids in (
        ("Chat", "openai.chat.", "LBL-8"),
        ("Responses", "openai.responses.", "LBL-8"),
        ("Messages", "anthropic.messages.", "LBL-8"),
        ("Completions", "openai.completions.", "LBL-8"),
        ("Gemini", "gemini.generate.", "LBL-8"),
        ("Converse", "bedrock.converse.", "LBL-8"),
        ("Cohere", "cohere.v2.", "LBL-8"),
        ("Ollama", "ollama.chat and ollama.generate.", "LBL-8"),
        ("Mistral", "mistral.chat.", "LBL-8"),
        ("Lines", "Server-sent events in their spellings.", "LBL-8"),
        ("Framing", "Streams that are no server-sent events.", "LBL-8"),
        ("Limits", "As much as every reader takes.", "LBL-8"),
        ("Request", "Requests that leave room for output that is not shown.", "LBL-11"),
        ("NotApplicable", "Content that no rule covers.", "LBL-11"),
        ("Thinking", "Hidden thinking, ruled out or not.", "LBL-9"),
        ("Status", "A response that did not reach the caller as a whole.", "LBL-10"),
    ):
        effect = "Bounds that honest answers break, or that dishonest ones keep."
        suite.flag(name, "BASIC", description, effect, ids)
    adder = Adder(suite.group("Bounds", check))
    parts = (chat, chat_events, responses, response_events, messages, message_events, lines)
    for part in parts:
        part(adder)
    statuses(adder)
    for add_more in (*bytes1cases.PARTS, *bytes1more.PARTS):
        add_more(adder)
    limits(suite.group("Limits", check_limits), HUSH)
    return suite


class Adder:
    """Adds cases."""

    def __init__(self, group: Group) -> None:
        self.group = group

    def add(self, flag: str, comment: str, api: int, response: str | bytes, **how: Any) -> None:
        """Add a response, by default to a request that rules thinking out if any does."""
        given: Any = response if isinstance(response, str) else {"hex": response.hex()}
        case = {"api": api, "status": 0, "streamed": False, "request": HUSH[api]} | how
        self.group.valid(comment, flag, **case, response=given)

    def body(self, flag: str, comment: str, api: int, body: Any, **how: Any) -> None:
        """Add a response that is one JSON value."""
        self.add(flag, comment, api, json.dumps(body), **how)

    def events(self, flag: str, comment: str, api: int, *events: Any, **how: Any) -> None:
        """Add a response of events."""
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        self.add(flag, comment, api, text, streamed=True, **how)


def said(**message: Any) -> Json:
    """Return a chat response of one choice."""
    return {"choices": [{"index": 0, "message": message}]}


def chat(add: Adder) -> None:
    """openai.chat, not streamed."""

    def ok(comment: str, body: Any, flag: str = "Chat") -> None:
        add.body(flag, comment, CHAT, body)

    ok("one answer", said(role="assistant", content="The Loire."))
    ok("beyond ASCII: bytes, not characters", said(content="é模😀"))
    ok("an unpaired surrogate counts three", said(content="\ud800"))
    ok("an empty answer", said(content=""))
    ok("no content", said(content=None))
    ok("content as a number", said(content=12))
    parts: list[Any] = [{"type": "text", "text": "ab"}, "cd", {"type": "x", "text": 5}, 7]
    ok("content in parts", said(content=parts))
    ok("a refusal", said(content=None, refusal="I won't."))
    ok("a transcript", said(content=None, audio={"id": "a", "transcript": "Hello"}))
    two = [{"index": 0, "message": {"content": "a"}}, {"index": 1, "message": {"content": "bc"}}]
    ok("two choices", {"choices": two})
    ok("two choices of one index", {"choices": [two[0], two[0]]})
    bare = [{"message": {"content": "a"}}, {"message": {"content": "b"}}]
    ok("two choices without index", {"choices": bare})
    ok("no choice", {"choices": []})
    ok("choices that are no objects", {"choices": [1, None]})
    call = {"index": 0, "id": "c", "function": {"name": "get", "arguments": '{"a":1}'}}
    ok("a tool call", said(tool_calls=[call]))
    ok("content as an object", said(content={"text": "ab"}))
    ok("function_call null", said(content="x", function_call=None))
    odd = [{"index": 1, "message": {"content": "a"}}, {"message": {"content": "b"}}]
    ok("index 1 and position 1", {"choices": odd})
    for index in (-1, 1.0, "1", True):
        ok(f"index {index!r} beside index 1", {"choices": [{**two[1], "index": index}, two[1]]})
    fields = {"name": {"a": 1}, "arguments": 7, "input": ["x"]}
    ok("members of a function that are no strings", said(function_call=fields))
    second = {"index": 1, "custom": {"name": "run", "input": "ls"}}
    ok("two tool calls", said(content="x", tool_calls=[call, second]))
    loose = [{"function": {"name": "a"}}, {"function": {"name": "b"}}]
    ok("tool calls without index", said(tool_calls=loose))
    ok("a function call", said(function_call={"name": "get", "arguments": "{}"}))
    ok("arguments that are no string", said(tool_calls=[{"function": {"arguments": {"a": 1}}}]))
    ok("no array of choices", {"choices": {}}, "NotApplicable")
    ok("no choices", {"error": {"message": "no"}}, "NotApplicable")
    ok("an array", [said(content="a")], "NotApplicable")
    add.add("NotApplicable", "no JSON", CHAT, "<html>")
    add.add("NotApplicable", "JSON cut short", CHAT, '{"choices":[')
    add.add("NotApplicable", "nothing", CHAT, "")
    twice = '{"choices":[{"message":{"content":"a","content":"bcd"}}]}'
    add.add("Chat", "a member twice: the last one", CHAT, twice)
    add.body("Thinking", "thinking shown", CHAT, said(content="a", reasoning_content="hm"))
    add.body("Thinking", "thinking shown, empty", CHAT, said(content="a", reasoning=""))
    for request in ("{}", '{"reasoning_effort":"low"}', '{"reasoning_effort":null}', "[]"):
        comment = f"request {request}"
        add.body("Thinking", comment, CHAT, said(content="a"), request=request)


def chat_events(add: Adder) -> None:
    """openai.chat, streamed."""

    def delta(index: int = 0, **members: Any) -> Json:
        return {"choices": [{"index": index, "delta": members}]}

    def ok(comment: str, *events: Any, flag: str = "Chat") -> None:
        add.events(flag, f"events: {comment}", CHAT, *events)

    ok("two pieces", delta(role="assistant"), delta(content="The "), delta(content="Loire."))
    ok("a surrogate pair in two events", delta(content="\ud83d"), delta(content="\ude00"))
    ok("two choices", delta(content="a"), delta(1, content="b"), delta(content="c"))
    ok("usage at the end", delta(content="a"), {"choices": [], "usage": {"total_tokens": 3}})
    first = {"index": 0, "id": "c", "function": {"name": "get", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": '{"a":1}'}}
    ok("a tool call in pieces", delta(tool_calls=[first]), delta(tool_calls=[rest]))
    ok("thinking", delta(reasoning="hm"), delta(content="a"), flag="Thinking")
    ok("no choices anywhere", {"usage": {}}, {"id": "x"}, flag="NotApplicable")
    add.add("NotApplicable", "events: none", CHAT, ": ping\n\n", streamed=True)
    text = 'data: {"choices":[]}\n\ndata: {"cho\n\n'
    add.add("NotApplicable", "events: one that is no JSON", CHAT, text, streamed=True)
    event = json.dumps(delta(content="abc"))
    add.add("Chat", "events: [DONE]", CHAT, f"data: {event}\n\ndata: [DONE]\n\n", streamed=True)
    add.add("Chat", "events: no space", CHAT, f"data:{event}\n\n", streamed=True)
    crlf = f": x\r\nevent: m\r\ndata: {event}\r\n\r\n"
    add.add("Chat", "events: CRLF, comments, names", CHAT, crlf, streamed=True)
    halves = event.replace('"delta"', '\n"delta"').replace("\n", "\ndata: ")
    add.add("Chat", "events: data in two lines", CHAT, f"data: {halves}\n\n", streamed=True)


def responses(add: Adder) -> None:
    """openai.responses, not streamed."""

    def ok(comment: str, *items: Any, flag: str = "Responses") -> None:
        add.body(flag, comment, RESPONSES, {"output": list(items)})

    part = {"type": "output_text", "text": "The Loire."}
    message = {"type": "message", "content": [part]}
    ok("a message", message)
    refusal = {"type": "refusal", "refusal": "No.", "text": "ignored"}
    ok("a message that refuses", {"type": "message", "content": [refusal]})
    audio = {"type": "output_audio", "transcript": "Hello"}
    ok("a message with a transcript", {"type": "message", "content": [part, audio]})
    ok("no item")
    call = {"type": "function_call", "name": "get", "arguments": '{"a":1}', "call_id": "x"}
    ok("a function call", call)
    ok("two calls and a message", call, {**call, "type": "custom_tool_call", "input": "z"}, message)
    action = {"type": "search", "query": "rivers"}
    ok("a call with an action", {"type": "web_search_call", "action": action})
    ok("a call with null and false", {"type": "x_call", "code": None, "input": False})
    ok("an output of a tool", {"type": "function_call_output", "output": "long text"}, message)
    ok("a list of tools", {"type": "mcp_list_tools", "tools": ["a"]}, message)
    ok("thinking and a message", {"type": "reasoning", "summary": []}, message, flag="Thinking")
    ok("compaction", {"type": "compaction"}, message, flag="Thinking")
    ok("an unknown item", {"type": "hologram"}, message, flag="NotApplicable")
    ok("an item without type", {"text": "x"}, flag="NotApplicable")
    add.body("NotApplicable", "no output", RESPONSES, {"id": "r"})
    spaced = '{"output":[{"type":"x_call","action": { "a" : [1, "é"] } }]}'
    add.add("Responses", "JSON text as it stands", RESPONSES, spaced)
    escaped = '{"output":[{"type":"x_call","action":{"a":"\\u00e9"}}]}'
    add.add("Responses", "JSON text with an escape", RESPONSES, escaped)
    no_effort = {"output": [message]}
    add.body("Thinking", "responses: no effort named", RESPONSES, no_effort, request="{}")


def response_events(add: Adder) -> None:
    """openai.responses, streamed."""

    def ok(comment: str, *events: Any, flag: str = "Responses") -> None:
        add.events(flag, f"responses, events: {comment}", RESPONSES, *events)

    message = {"type": "message", "content": [{"type": "output_text", "text": "Loire"}]}
    other = {"type": "message", "content": [{"type": "output_text", "text": "The Loire."}]}
    done = {"type": "response.output_item.done", "item": message}
    piece = {"type": "response.output_text.delta", "delta": "Loire"}

    def end(kind: str, output: Any) -> Json:
        return {"type": f"response.{kind}", "response": {"output": output}}

    ok("items and an end", piece, done, end("completed", [message]))
    ok("the end decides", done, end("completed", [other]))
    ok("the last end decides", end("incomplete", [message]), end("completed", [other]))
    ok("a failed end", piece, end("failed", [message]))
    ok("an empty end: the items decide", done, end("completed", []))
    ok("items without an end", piece, done, done)
    ok("an empty end and nothing else", end("completed", []))
    ok("an empty end, but a piece came", piece, end("completed", []), flag="NotApplicable")
    ok("an empty end, an empty piece", {**piece, "delta": ""}, end("completed", []))
    ok("pieces only", piece, flag="NotApplicable")
    ok("an end without objects", done, end("completed", [7]))
    ok(
        "an end without objects, but a piece came",
        piece,
        end("completed", [7]),
        flag="NotApplicable",
    )
    ok("an item that is no object", {**done, "item": 7}, flag="NotApplicable")
    ok("a last end without output", end("completed", [other]), done, {"type": "response.failed"})
    ok("only ends without output", {"type": "response.failed"}, flag="NotApplicable")
    ok(
        "an end with output, one without",
        end("completed", []),
        {"type": "response.failed"},
        flag="NotApplicable",
    )
    ok("nothing known", {"type": "response.created"}, flag="NotApplicable")


def messages(add: Adder) -> None:
    """anthropic.messages, not streamed."""

    def ok(comment: str, *blocks: Any, flag: str = "Messages", **how: Any) -> None:
        body = {"type": "message", "content": list(blocks)}
        add.body(flag, f"messages: {comment}", MESSAGES, body, **how)

    text = {"type": "text", "text": "The Loire."}
    ok("text", text)
    ok("two texts", text, {"type": "text", "text": "é"})
    ok("no block")
    ok("text that is no string", {"type": "text", "text": 5})
    use = {"type": "tool_use", "id": "t", "name": "get", "input": {"a": 1}}
    ok("a tool use", use)
    ok("a tool use without input", text, {**use, "input": {}})
    ok("a tool use with a string", {**use, "input": "é"})
    ok("a tool use with null", {**use, "input": None})
    ok(
        "a server's tool use and its result",
        {**use, "type": "server_tool_use"},
        {"type": "web_search_tool_result", "content": ["long"]},
        text,
    )
    ok("an unknown block", {"type": "hologram"}, text, flag="NotApplicable")
    ok("thinking", {"type": "thinking", "thinking": "hm"}, text, flag="Thinking")
    ok("redacted thinking", {"type": "redacted_thinking", "data": "x"}, text, flag="Thinking")
    ok("a request that does not say", text, flag="Thinking", request="{}")
    on = '{"thinking":{"type":"enabled","budget_tokens":1024}}'
    ok("a request with thinking", text, flag="Thinking", request=on)
    add.body("NotApplicable", "messages: no content", MESSAGES, {"type": "error"})


def message_events(add: Adder) -> None:
    """anthropic.messages, streamed."""

    def ok(comment: str, *events: Any, flag: str = "Messages") -> None:
        start = {"type": "message_start", "message": {"content": []}}
        add.events(flag, f"messages, events: {comment}", MESSAGES, start, *events)

    def block(**members: Any) -> Json:
        return {"type": "content_block_start", "index": 0, "content_block": members}

    def delta(**members: Any) -> Json:
        return {"type": "content_block_delta", "index": 0, "delta": members}

    text = block(type="text", text="")
    ok("text", text, delta(type="text_delta", text="The "), delta(type="text_delta", text="Loire."))
    ok("text in the start", block(type="text", text="ab"), delta(type="text_delta", text="c"))
    use = block(type="tool_use", id="t", name="get", input={})
    ok("a tool use", use, delta(type="input_json_delta", partial_json='{"a":1}'))
    ok("citations", text, delta(type="citations_delta", citation={"cited_text": "long"}))
    thinking = (block(type="thinking", thinking=""), delta(type="thinking_delta", thinking="hm"))
    ok("thinking", *thinking, text, delta(type="text_delta", text="a"), flag="Thinking")
    ok("nothing but the start")
    ok("an unknown block", block(type="hologram"), flag="NotApplicable")
    lost = delta(type="text_delta", text="abc")
    add.events("NotApplicable", "messages, events: no start", MESSAGES, text, lost)


def lines(add: Adder) -> None:
    """Events as their lines may be written, and requests that are no JSON."""
    whole = '{"choices":[{"index":0,"delta":{"content":"The Loire."}}]}'
    first, second = whole[:11], whole[11:]
    end = "data: [DONE]\n\n"
    for comment, flag, text in (
        ("LF", "Lines", f"data: {whole}\n\n{end}"),
        ("CR LF", "Lines", f"data: {whole}\n\n{end}".replace("\n", "\r\n")),
        ("CR", "Lines", f"data: {whole}\n\n{end}".replace("\n", "\r")),
        ("no space behind the colon", "Lines", f"data:{whole}\n\n"),
        ("two spaces behind the colon", "Lines", f"data:  {whole}\n\n"),
        ("no empty line at the end", "Lines", f"data: {whole}\n"),
        ("no line feed at the end", "Lines", f"data: {whole}"),
        ("one event in two fields", "Lines", f"data: {first}\ndata: {second}\n\n"),
        ("an empty field", "Lines", f"data\ndata: {whole}\n\n"),
        ("other fields and a comment", "Lines", f": hi\nevent: x\nid: 1\ndata: {whole}\n\n"),
        ("an event without data", "Lines", f"event: ping\n\ndata: {whole}\n\n"),
        ("a byte order mark", "Lines", f"\ufeffdata: {whole}\n\n"),
        ("the end mark in spaces", "Lines", f"data: {whole}\n\ndata:  [DONE] \n\n"),
        ("a field in capitals", "NotApplicable", f"DATA: {whole}\n\n"),
        ("an empty event", "NotApplicable", f"data: {whole}\n\ndata:\n\n"),
        ("an event cut short", "NotApplicable", f"data: {whole}\n\ndata: {first}"),
        ("nothing", "NotApplicable", ""),
    ):
        add.add(flag, f"lines: {comment}", CHAT, text, streamed=True)
    for comment, request in (("no JSON", "{"), ("an array", "[]"), ("nothing", "")):
        answer = said(content="The Loire.")
        add.body("Thinking", f"a request that is {comment}", CHAT, answer, request=request)


def statuses(add: Adder) -> None:
    """Statuses."""
    for status in (0, 1, 2, 3, 6, 7, 8):
        add.body("Status", f"status {status}", CHAT, said(content="The Loire."), status=status)
