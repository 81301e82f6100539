"""Cases of bytes1.json for Cohere, Ollama and Mistral."""

import json
from typing import Any

from vectors.generate.bytes1cases import (
    COHERE,
    MISTRAL,
    NONE,
    OLLAMA_CHAT,
    OLLAMA_GENERATE,
    STOP_16,
    STOP_17,
    THINK,
    Adder,
    Json,
    Part,
    requests,
)


def cohere(add: Adder) -> None:
    """cohere.v2, not streamed."""

    def ok(comment: str, flag: str = "Cohere", reason: Any = "COMPLETE", **message: Any) -> None:
        body = {"id": "i", "finish_reason": reason, "message": message}
        add.body(flag, f"cohere: {comment}", COHERE, body)

    text = {"type": "text", "text": "The Loire."}
    ok("text", content=[text])
    ok("two texts", content=[text, {"type": "text", "text": "né😀"}])
    ok("no content")
    ok("content as a string, as an object", content="abc")
    ok("content as an object", content=text)
    ok("content in strings", content=["ab", 7, None, {"type": "text", "text": 5}])
    ok("empty plans and calls", content=[text], tool_plan="", tool_calls=[], citations=None)
    ok("thinking", THINK, content=[{"type": "thinking", "thinking": "hm"}, text])
    ok("an unknown block", NONE, content=[text, {"type": "image"}])
    ok("a block without type", NONE, content=[{"text": "a"}])
    ok("a tool call", NONE, tool_calls=[{"function": {"name": "f", "arguments": "{}"}}])
    ok("a plan", NONE, tool_plan="I will", content=[text])
    ok("citations", NONE, citations=[{"start": 0}], content=[text])
    for reason in ("STOP_SEQUENCE", "MAX_TOKENS", None):
        ok(f"ended by {reason!r}", reason=reason, content=[text])
    for reason in ("TOOL_CALL", "ERROR", "TIMEOUT"):
        ok(f"ended by {reason!r}", NONE, reason=reason, content=[text])
    add.body(NONE, "cohere: no message", COHERE, {"results": [], "meta": {}})
    add.body(NONE, "cohere: a message that is none", COHERE, {"message": "invalid request"})
    body = {"message": {"content": [text]}}
    cases: list[tuple[str, Any]] = [
        ("cohere: tools", {"tools": [{}]}),
        ("cohere: no tools", {"tools": [], "documents": None}),
        ("cohere: tools that are no array", {"tools": {}}),
        ("cohere: documents", {"documents": ["x"]}),
        ("cohere: a stop of 16 bytes", {"stop_sequences": [STOP_16, 7]}),
        ("cohere: a stop of 17 bytes", {"stop_sequences": [STOP_17]}),
        ("cohere: a request that is no object", "7"),
        ("cohere: thinking on", {"thinking": {"type": "enabled"}}),
        ("cohere: thinking that is not said", {"thinking": None}),
    ]
    requests(add, COHERE, body, cases, {"thinking": {"type": "disabled"}})


def cohere_events(add: Adder) -> None:
    """cohere.v2, streamed."""

    def piece(kind: str, **content: Any) -> Json:
        return {"type": kind, "index": 0, "delta": {"message": {"content": content}}}

    def ok(comment: str, *events: Any, flag: str = "Cohere", reason: Any = "COMPLETE") -> None:
        start = {"type": "message-start", "delta": {"message": {"content": []}}}
        end = {"type": "message-end", "delta": {"finish_reason": reason, "usage": {}}}
        add.events(flag, f"cohere, events: {comment}", COHERE, start, *events, end)

    start = piece("content-start", type="text", text="")
    texts = [piece("content-delta", text=text) for text in ("The ", "Loire.")]
    ok("text", start, *texts, {"type": "content-end", "index": 0})
    ok("text in the start", piece("content-start", type="text", text="ab"), *texts)
    ok("nothing but the start")
    ok("deltas that are none", start, {"type": "content-delta"}, piece("content-delta", text=7))
    ok("an event that is no object", 7, [start], *texts)
    thought = piece("content-start", type="thinking", thinking="")
    ok("thinking", thought, piece("content-delta", thinking="hm"), start, *texts, flag=THINK)
    ok("thinking in a delta alone", piece("content-delta", thinking="hm", text="ab"), flag=THINK)
    ok("an empty thought in a delta", piece("content-delta", thinking="", text="ab"), flag=THINK)
    ok("an unknown start", piece("content-start", type="image"), flag=NONE)
    ok("a start without content", {"type": "content-start"}, flag=NONE)
    for kind in ("tool-plan-delta", "tool-call-start", "citation-start", "debug", "hologram"):
        ok(f"an event {kind}", start, {"type": kind}, flag=NONE)
    ok("an event without type", {"delta": {}}, flag=NONE)
    ok("an error at the end", start, *texts, flag=NONE, reason="ERROR")
    ok("cut at the longest", start, *texts, reason="MAX_TOKENS")
    add.events(NONE, "cohere, events: no start", COHERE, start, *texts)


def ollama(add: Adder) -> None:
    """ollama.chat and ollama.generate."""
    line = {"model": "o", "message": {"role": "assistant", "content": "The Loire."}, "done": True}

    def chat(comment: str, flag: str = "Ollama", line: Json = line, **message: Any) -> None:
        body = {**line, "message": {"content": "né😀", **message}}
        add.body(flag, f"ollama chat: {comment}", OLLAMA_CHAT, body)

    def generate(comment: str, flag: str = "Ollama", **fields: Any) -> None:
        body = {"response": "né😀", "done": True, "context": [1, 2], **fields}
        add.body(flag, f"ollama generate: {comment}", OLLAMA_GENERATE, body)

    for one in (chat, generate):
        one("text")
        one("empty lists and thoughts", thinking="", tool_calls=[], images=[], image="")
        one("thinking", THINK, thinking="hm")
        one("a tool call", NONE, tool_calls=[{"function": {"name": "f", "arguments": {"a": 1}}}])
    chat("text that is none", content=7)
    chat("a picture", NONE, images=["AAAA"])
    generate("a picture", NONE, image="AAAA")
    generate("pictures are of a chat", images=["AAAA"])
    for reason in ("length", "stop", None):
        chat(f"ended by {reason!r}", line={**line, "done_reason": reason})
    for reason in ("unload", "load", "error"):
        chat(f"ended by {reason!r}", NONE, {**line, "done_reason": reason})
        generate(f"ended by {reason!r}", NONE, done_reason=reason)
    generate("no text", NONE, response=None)
    add.body(NONE, "ollama chat: no message", OLLAMA_CHAT, {"response": "ab", "done": True})
    add.body(NONE, "ollama chat: a message that is none", OLLAMA_CHAT, {"message": "ab"})
    add.body(NONE, "ollama generate: an error", OLLAMA_GENERATE, {"error": "no"})
    cases: list[tuple[str, Any]] = [
        ("ollama: tools", {"tools": [{"type": "function"}]}),
        ("ollama: no tools", {"tools": []}),
        ("ollama: tools false", {"tools": False}),
        ("ollama: a stop of 16 bytes", {"options": {"stop": [STOP_16]}}),
        ("ollama: a stop of 17 bytes", {"options": {"stop": STOP_17}}),
        ("ollama: options that are none", {"options": [STOP_17]}),
        ("ollama: a request that is no object", "null"),
        ("ollama: thinking on", {"think": True}),
        ("ollama: a low effort", {"think": "low"}),
        ("ollama: no thinking, by a number", {"think": 0}),
        ("ollama: no thinking, in the options", {"think": None, "options": {"think": False}}),
    ]
    requests(add, OLLAMA_CHAT, line, cases, {"think": False})
    requests(add, OLLAMA_GENERATE, {"response": "abc"}, cases, {"think": False})


def ollama_lines(add: Adder) -> None:
    """ollama.chat and ollama.generate, streamed."""
    said = [{"message": {"content": text}, "done": False} for text in ("The ", "Loire.")]
    end = {"message": {"content": ""}, "done": True, "done_reason": "stop", "eval_count": 3}
    lines = [json.dumps(line) for line in (*said, end)]
    text = "\n".join(lines)
    for comment, flag, response in (
        ("LF", "Framing", f"{text}\n"),
        ("CR LF", "Framing", f"{text}\n".replace("\n", "\r\n")),
        ("no line feed at the end", "Framing", text),
        ("empty lines and white space", "Framing", f"\n \t\r\n {text}\n\n  \n"),
        ("lines that are no objects", "Framing", f"7\n[1]\nnull\n{text}\n"),
        ("a line of vertical tab", NONE, f"\v\n{text}"),
        ("CR alone", NONE, text.replace("\n", "\r")),
        ("a byte order mark", NONE, f"\ufeff{text}"),
        ("[DONE]", NONE, f"{text}\n[DONE]\n"),
        ("two values in a line", NONE, f"{lines[0]} {lines[1]}\n"),
        ("a value in two lines", NONE, text.replace(", ", ",\n")),
        ("a line cut short", NONE, text[:-1]),
        ("nothing", NONE, ""),
        ("server-sent events", NONE, f"data: {lines[0]}\n\n"),
    ):
        add.add(flag, f"lines: {comment}", OLLAMA_CHAT, response, streamed=True)
    bad = b'{"message":{"content":"\xff"}}\n'
    add.add(NONE, "lines: a byte that is no UTF-8", OLLAMA_CHAT, bad, streamed=True)

    def generate(comment: str, *fields: Json, flag: str = "Ollama") -> None:
        text = "".join(json.dumps(line) + "\n" for line in fields)
        add.add(flag, f"ollama generate, lines: {comment}", OLLAMA_GENERATE, text, streamed=True)

    first, last = {"response": "The "}, {"response": "Loire.", "done": True}
    generate("text", first, last)
    generate("thinking", {"response": "", "thinking": "hm"}, last, flag=THINK)
    generate("thinking in a line without text", {"thinking": "hm"}, last, flag=THINK)
    generate("a tool call in a line without text", last, {"tool_calls": [1]}, flag=NONE)
    generate("no text in any line", {"done": True}, flag=NONE)
    thought = json.dumps({"message": {"content": "", "thinking": "hm"}})
    add.add(THINK, "ollama chat, lines: thinking", OLLAMA_CHAT, f"{thought}\n{text}", streamed=True)
    call = json.dumps({"message": {"content": "", "tool_calls": [{}]}})
    add.add(NONE, "ollama chat, lines: a call", OLLAMA_CHAT, f"{call}\n{text}", streamed=True)


def mistral(add: Adder) -> None:
    """mistral.chat."""

    def ok(comment: str, flag: str = "Mistral", reason: Any = "stop", **message: Any) -> None:
        choices = [{"index": 0, "finish_reason": reason, "message": message}]
        add.body(flag, f"mistral: {comment}", MISTRAL, {"choices": choices})

    text = {"type": "text", "text": "The Loire."}
    ok("text", content="né😀")
    ok("text in chunks", content=[text, "ab", 7, {"type": "text", "text": 5}])
    ok("no content", content=None, tool_calls=None)
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    ok("thinking", THINK, content=[thought, text])
    ok("thinking beside", THINK, content="a", reasoning_content="hm")
    for kind in ("reference", "image_url", None):
        ok(f"a chunk of type {kind}", NONE, content=[text, {"type": kind, "reference_ids": [1]}])
    ok("a chunk without type", NONE, content=[{"text": "a"}])
    call = {"id": "c", "index": 0, "function": {"name": "get", "arguments": '{"a":1}'}}
    ok("a tool call", reason="tool_calls", content="", tool_calls=[call])
    ok("arguments as JSON", tool_calls=[{**call, "function": {"arguments": {"a": ["é"]}}}])
    ok("two calls of one index", tool_calls=[call, {**call, "id": "d"}])
    ok("one call twice", tool_calls=[call, call])
    ok("ids that are none", tool_calls=[{**call, "id": None}, {**call, "id": 7}])
    ok("calls without index or id", tool_calls=[{"function": {"name": "f"}}, {"function": 7}, 7])
    for reason in ("length", "model_length", None):
        ok(f"ended by {reason!r}", reason=reason, content="a")
    for reason in ("error", "content_filter"):
        ok(f"ended by {reason!r}", NONE, reason=reason, content="a")
    choices: list[Any] = [{"message": {"content": "a"}}, {"message": {"content": "b"}}, 7]
    add.body("Mistral", "mistral: two choices without index", MISTRAL, {"choices": choices})
    add.body("Mistral", "mistral: no choice", MISTRAL, {"choices": []})
    add.body(NONE, "mistral: no choices", MISTRAL, {"message": "Unauthorized"})
    more = {"message": {"content": "a"}, "messages": [{"role": "tool", "content": "b"}]}
    add.body(NONE, "mistral: several messages", MISTRAL, {"choices": [more]})
    add.body("Mistral", "mistral: no messages", MISTRAL, {"choices": [more | {"messages": []}]})
    for role, flag in (
        ("assistant", "Mistral"),
        ("", "Mistral"),
        (None, "Mistral"),
        ("tool", NONE),
    ):
        ok(f"role {role!r}", flag, content="ab", role=role)
    said = {"choices": [{"message": {"content": "abc"}}]}
    cases: list[tuple[str, Any]] = [
        ("mistral: a prediction", {"prediction": {"type": "content"}}),
        ("mistral: no prediction", {"prediction": None}),
        ("mistral: guardrails", {"guardrails": [{"block_on_error": False}]}),
        ("mistral: no guardrails", {"guardrails": []}),
        ("mistral: a stop of 16 bytes", {"stop": STOP_16}),
        ("mistral: a stop of 17 bytes", {"stop": ["x", STOP_17]}),
        ("mistral: no effort", {"reasoning_effort": "none"}),
        ("mistral: a request that is no object", "x"),
    ]
    requests(add, MISTRAL, said, cases, {"model": "m"})


def mistral_events(add: Adder) -> None:
    """mistral.chat, streamed."""

    def ok(comment: str, *deltas: Json, flag: str = "Mistral", reason: Any = "stop") -> None:
        chunks = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
        end = {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": reason}]}
        add.events(flag, f"mistral, events: {comment}", MISTRAL, *chunks, end)

    ok("text", {"role": "assistant", "content": "Bon"}, {"content": "jour"})
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    ok("thinking", {"content": [thought]}, {"content": [{"type": "text", "text": "a"}]}, flag=THINK)
    call = {"id": "c", "index": 0, "function": {"name": "get", "arguments": "{"}}
    rest = {"index": 0, "function": {"arguments": '"a":1}'}}
    ok("a call in one piece", {"tool_calls": [call]}, reason="tool_calls")
    ok("a call in two pieces", {"tool_calls": [call]}, {"tool_calls": [{**rest, "id": "c"}]})
    ok("a call whose rest has no id", {"tool_calls": [call]}, {"tool_calls": [rest]})
    ok("a reference", {"content": [{"type": "reference"}]}, flag=NONE)
    ok("an error", {"content": "a"}, flag=NONE, reason="error")
    many = [{"choices": [{"index": at, "delta": {"content": "ab"}}]} for at in (0, 1, 0, 2)]
    add.events("Mistral", "mistral, events: three choices", MISTRAL, *many)
    add.events(NONE, "mistral, events: no choices", MISTRAL, {"id": "c"})


PARTS: tuple[Part, ...] = (cohere, cohere_events, ollama, ollama_lines, mistral, mistral_events)
