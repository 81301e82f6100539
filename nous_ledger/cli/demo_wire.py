"""Answers in the wire formats of OpenAI and Anthropic, as those services give them.

Everything follows from the request alone: the same request gets the same bytes.
The token counts are those of a simple tokenizer of our own (words and marks), so
they add up and stay within what the text allows, as a real service's do.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

CREATED: Final = 1_790_000_000
REASONING_TOKENS: Final = 64

Json = dict[str, Any]

_TOKEN: Final = re.compile(r"\s?\w{1,6}|\s?[^\w\s]|\s")
_TOOL_ARGUMENTS: Final = '{"city": "Paris", "unit": "celsius"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What one call asks for.

    Attributes:
        model: model name as requested.
        scenario: what follows the last hyphen of the model name: `tools`, `think`,
            `long` and what `demo_upstream` acts out; anything else is plain.
        prompt: all text of the request.
        stream: an event stream is wanted.
        include_usage: a chat stream is to end with its usage.
    """

    model: str
    scenario: str
    prompt: str
    stream: bool
    include_usage: bool

    @classmethod
    def of(cls, body: Json) -> Task:
        """Return the task of a request body."""
        model = str(body.get("model", ""))
        options = body.get("stream_options")
        return cls(
            model=model,
            scenario=model.rpartition("-")[2],
            prompt=" ".join(_strings(body.get("messages") or body.get("input") or "")),
            stream=body.get("stream") is True,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        )

    @property
    def served(self) -> str:
        """The dated name of the model that answers."""
        return f"{self.model}-2026-11-01"

    @property
    def pieces(self) -> list[str]:
        """The answer, cut as it is streamed; one piece is one token."""
        digest = hashlib.sha256(self.prompt.encode()).hexdigest()[:12]
        text = f"You asked: “{self.prompt[:200]}” Here is an answer that never changes: {digest}."
        pieces = _TOKEN.findall(text)
        return pieces[: len(pieces) // 2] if self.scenario == "long" else pieces

    @property
    def tools(self) -> bool:
        """Whether the answer calls a tool."""
        return self.scenario == "tools"

    def name(self, prefix: str) -> str:
        """Return an identifier that depends on the request only."""
        seed = f"{prefix} {self.model} {self.prompt}"
        return prefix + hashlib.sha256(seed.encode()).hexdigest()[:24]

    def counts(self) -> tuple[int, int, int]:
        """Return prompt tokens, visible output tokens and hidden output tokens."""
        visible = len(_TOKEN.findall(_TOOL_ARGUMENTS)) + 1 if self.tools else len(self.pieces)
        hidden = REASONING_TOKENS if self.scenario == "think" else 0
        return len(_TOKEN.findall(self.prompt)) + 7, visible, hidden


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for key in ("content", "text"):
            yield from _strings(value.get(key))


def chat_usage(task: Task) -> Json:
    """Return the usage of a chat completion."""
    prompt, visible, hidden = task.counts()
    return {
        "prompt_tokens": prompt,
        "completion_tokens": visible + hidden,
        "total_tokens": prompt + visible + hidden,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": hidden,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chat_call(task: Task) -> Json:
    function = {"name": "get_weather", "arguments": _TOOL_ARGUMENTS}
    return {"id": task.name("call_"), "type": "function", "function": function}


def _chat_finish(task: Task) -> str:
    return {"long": "length", "tools": "tool_calls"}.get(task.scenario, "stop")


def chat_body(task: Task) -> Json:
    """Return a whole chat completion."""
    message: Json = {"role": "assistant", "content": "".join(task.pieces), "refusal": None}
    if task.tools:
        message |= {"content": None, "tool_calls": [_chat_call(task)]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _chat_finish(task)}
    return {
        "id": task.name("chatcmpl-"),
        "object": "chat.completion",
        "created": CREATED,
        "model": task.served,
        "choices": [choice],
        "usage": chat_usage(task),
        "service_tier": "default",
        "system_fingerprint": "fp_demo",
    }


def chat_events(task: Task) -> Iterator[bytes]:
    """Yield the events of a streamed chat completion."""

    def chunk(choices: list[Json], usage: Json | None = None) -> bytes:
        data = {
            "id": task.name("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": task.served,
            "service_tier": "default",
            "system_fingerprint": "fp_demo",
            "choices": choices,
        }
        return _event(data | ({"usage": usage} if task.include_usage else {}))

    def delta(fields: Json, finish: str | None = None) -> bytes:
        return chunk([{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish}])

    yield delta({"role": "assistant", "content": None if task.tools else "", "refusal": None})
    if task.tools:
        call = {"index": 0, **_chat_call(task)}
        yield delta({"tool_calls": [call]})
    else:
        for piece in task.pieces:
            yield delta({"content": piece})
    yield delta({}, _chat_finish(task))
    if task.include_usage:
        yield chunk([], chat_usage(task))
    yield b"data: [DONE]\n\n"


def _response_items(task: Task) -> list[Json]:
    items: list[Json] = []
    if task.scenario == "think":
        items.append({"id": task.name("rs_"), "type": "reasoning", "summary": []})
    if task.tools:
        function = {"name": "get_weather", "arguments": _TOOL_ARGUMENTS}
        call = {"id": task.name("fc_"), "type": "function_call", "call_id": task.name("call_")}
        items.append(call | function | {"status": "completed"})
    else:
        part = {"type": "output_text", "text": "".join(task.pieces), "annotations": []}
        status = "incomplete" if task.scenario == "long" else "completed"
        message = {"id": task.name("msg_"), "type": "message", "role": "assistant"}
        items.append(message | {"status": status, "content": [part | {"logprobs": []}]})
    return items


def response_body(task: Task, status: str = "") -> Json:
    """Return a whole response, or with a status what a stream says at its start."""
    prompt, visible, hidden = task.counts()
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": visible + hidden,
        "output_tokens_details": {"reasoning_tokens": hidden},
        "total_tokens": prompt + visible + hidden,
    }
    cut = task.scenario == "long"
    return {
        "id": task.name("resp_"),
        "object": "response",
        "created_at": CREATED,
        "status": status or ("incomplete" if cut else "completed"),
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut and not status else None,
        "model": task.served,
        "output": [] if status else _response_items(task),
        "parallel_tool_calls": True,
        "service_tier": "default",
        "tool_choice": "auto",
        "tools": [],
        "usage": None if status else usage,
    }


def response_events(task: Task) -> Iterator[bytes]:
    """Yield the events of a streamed response."""
    numbers = iter(range(1_000_000))

    def event(kind: str, fields: Json) -> bytes:
        return _event({"type": kind, "sequence_number": next(numbers), **fields}, kind)

    begun = response_body(task, "in_progress")
    yield event("response.created", {"response": begun})
    yield event("response.in_progress", {"response": begun})
    for place, item in enumerate(_response_items(task)):
        where = {"output_index": place}
        empty: dict[str, Json] = {"message": {"content": []}, "function_call": {"arguments": ""}}
        added = item | {"status": "in_progress"} | empty.get(item["type"], {})
        yield event("response.output_item.added", where | {"item": added})
        at = where | {"item_id": item["id"]}
        if item["type"] == "message":
            (part,) = item["content"]
            at |= {"content_index": 0}
            yield event("response.content_part.added", at | {"part": part | {"text": ""}})
            for piece in task.pieces:
                yield event("response.output_text.delta", at | {"delta": piece, "logprobs": []})
            yield event("response.output_text.done", at | {"text": part["text"], "logprobs": []})
            yield event("response.content_part.done", at | {"part": part})
        elif item["type"] == "function_call":
            arguments = {"arguments": _TOOL_ARGUMENTS}
            yield event("response.function_call_arguments.delta", at | {"delta": _TOOL_ARGUMENTS})
            yield event("response.function_call_arguments.done", at | arguments)
        yield event("response.output_item.done", where | {"item": item})
    whole = response_body(task)
    yield event(f"response.{whole['status']}", {"response": whole})


def _message_usage(task: Task, *, final: bool) -> Json:
    prompt, visible, hidden = task.counts()
    caches = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    usage: Json = {
        "input_tokens": prompt,
        **caches,
        "output_tokens": visible + hidden if final else 1,
    }
    if final and task.scenario == "think":
        usage["output_tokens_details"] = {"thinking_tokens": hidden}
    return usage


def _message_start_usage(task: Task, *, final: bool) -> Json:
    lifetimes = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}
    more = {"cache_creation": lifetimes, "service_tier": "standard"}
    return _message_usage(task, final=final) | more


def _message_stop(task: Task) -> Json:
    reason = {"long": "max_tokens", "tools": "tool_use"}.get(task.scenario, "end_turn")
    return {"stop_reason": reason, "stop_sequence": None}


def _message_blocks(task: Task) -> list[Json]:
    blocks: list[Json] = []
    if task.scenario == "think":
        blocks.append({"type": "thinking", "thinking": "", "signature": task.name("sig")})
    if task.tools:
        call = {"type": "tool_use", "id": task.name("toolu_"), "name": "get_weather"}
        blocks.append(call | {"input": json.loads(_TOOL_ARGUMENTS)})
    else:
        blocks.append({"type": "text", "text": "".join(task.pieces)})
    return blocks


def message_body(task: Task) -> Json:
    """Return a whole message."""
    return {
        "id": task.name("msg_"),
        "type": "message",
        "role": "assistant",
        "model": task.served,
        "content": _message_blocks(task),
        **_message_stop(task),
        "usage": _message_start_usage(task, final=True),
    }


def message_events(task: Task) -> Iterator[bytes]:
    """Yield the events of a streamed message."""

    def event(kind: str, fields: Json) -> bytes:
        return _event({"type": kind, **fields}, kind)

    nothing: Json = {"content": [], "stop_reason": None, "stop_sequence": None}
    usage = _message_start_usage(task, final=False)
    yield event("message_start", {"message": message_body(task) | nothing | {"usage": usage}})
    for place, block in enumerate(_message_blocks(task)):
        at = {"index": place}
        empty: dict[str, Json] = {"text": {"text": ""}, "tool_use": {"input": {}}}
        begun = block | empty.get(block["type"], {})
        yield event("content_block_start", at | {"content_block": begun})
        if place == 0:
            yield event("ping", {})
        if block["type"] == "text":
            for piece in task.pieces:
                yield event("content_block_delta", at | {"delta": _text_delta(piece)})
        elif block["type"] == "tool_use":
            for part in (_TOOL_ARGUMENTS[:11], _TOOL_ARGUMENTS[11:]):
                delta = {"type": "input_json_delta", "partial_json": part}
                yield event("content_block_delta", at | {"delta": delta})
        yield event("content_block_stop", at)
    stop = {"delta": _message_stop(task), "usage": _message_usage(task, final=True)}
    yield event("message_delta", stop)
    yield event("message_stop", {})


def _text_delta(piece: str) -> Json:
    return {"type": "text_delta", "text": piece}


def openai_error(status: int, message: str, kind: str, code: str | None) -> tuple[int, Json]:
    """Return an error as OpenAI gives it."""
    return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic_error(status: int, message: str, kind: str) -> tuple[int, Json]:
    """Return an error as Anthropic gives it."""
    error = {"type": "error", "error": {"type": kind, "message": message}}
    return status, error | {"request_id": "req_demo"}


def _event(data: Json, name: str = "") -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()
