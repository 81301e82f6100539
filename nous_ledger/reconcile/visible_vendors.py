"""The text that a caller got from Gemini, Bedrock, Cohere and Ollama.

gemini.generate    parts of candidates
bedrock.converse   blocks of a message, or of events that their framing names
cohere.v2          blocks of a message, or of events
ollama.*           a message or a response, whole or line by line

These providers write tool calls anew before they send them, or may lose some on the way,
and take text back when a filter finds something. What is counted then is not what is
shown; so a call counts for more than its bytes, and an answer that ended for a reason
which is not known here, or that holds a part which is not known here, is not known in full.

Spec:
    PROTOCOL.md LBL-8; section "bytes/1".
"""

from __future__ import annotations

from typing import Any, Final

from nous_ledger.reconcile.jsontext import Located
from nous_ledger.reconcile.tally import FRAMES_PER_CALL, TallyReader, VisibleOutput
from nous_ledger.reconcile.visible import is_filled, number_of, objects_of

_GEMINI_ENDS: Final = ("STOP", "MAX_TOKENS")
_GEMINI_PART: Final = frozenset({"text", "thought", "thoughtSignature", "functionCall"})
_GEMINI_CALL: Final = frozenset({"id", "name", "args"})
_GEMINI_TOOLS: Final = ("groundingMetadata", "urlContextMetadata")
_GEMINI_SUM: Final = (
    "promptTokenCount",
    "candidatesTokenCount",
    "thoughtsTokenCount",
    "toolUsePromptTokenCount",
)
_CONVERSE_ENDS: Final = (
    *("end_turn", "tool_use", "stop_sequence"),
    *("max_tokens", "model_context_window_exceeded"),
)
_CONVERSE_SILENT: Final = (b"contentBlockStop", b"metadata")
_COHERE_ENDS: Final = ("COMPLETE", "STOP_SEQUENCE", "MAX_TOKENS")
_COHERE_SILENT: Final = ("content-end", "message-end")
_OLLAMA_ENDS: Final = ("stop", "length")


class _Reader(TallyReader):
    """What these readers share."""

    frames_per_call = FRAMES_PER_CALL

    def _ended(self, reason: object, known: tuple[str, ...]) -> None:
        """Note why an answer ended."""
        self._tally.unseen |= isinstance(reason, str) and reason not in known


class GeminiReader(_Reader):
    """Visible output of Gemini, whose answers and events are alike."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        super().__init__()
        self._usage: dict[str, Any] = {}

    def result(self) -> VisibleOutput:
        """Return what was visible in everything taken so far."""
        self._tally.unseen |= not _thoughts_are_beside(self._usage)
        return super().result()

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        self.add_event(body)

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        fields = event.value if isinstance(event.value, dict) else {}
        candidates = fields.get("candidates")
        self._tally.seen |= isinstance(candidates, list)
        if isinstance(usage := fields.get("usageMetadata"), dict):
            self._usage = usage
        calls = False
        for position, candidate in objects_of(candidates):
            self._tally.choice(number_of(candidate, position))
            self._ended(candidate.get("finishReason"), _GEMINI_ENDS)
            self._tally.unseen |= any(
                isinstance(used := candidate.get(name), dict) and used != {}
                for name in _GEMINI_TOOLS
            )
            content = candidate.get("content")
            for _, part in objects_of(_member(content, "parts")):
                calls |= self._part(part)
        if calls:
            self._calls(event)

    def _part(self, part: dict[str, Any]) -> bool:
        """Take one part; return whether it is a call."""
        tally = self._tally
        if not part.keys() <= _GEMINI_PART:
            tally.unknown = True
        elif part.get("thought") is True:
            tally.thinking = True
        else:
            tally.answer(part.get("text"))
            return isinstance(part.get("functionCall"), dict)
        return False

    def _calls(self, event: Located) -> None:
        """Take the calls of an event that has some."""
        for candidate in _items(event, "candidates"):
            for part in _items(candidate, "content", "parts"):
                call = part.member("functionCall")
                if call is None or not isinstance(call.value, dict):
                    continue
                if part.value.get("thought") is True or not part.value.keys() <= _GEMINI_PART:
                    continue
                self._tally.unknown |= not call.value.keys() <= _GEMINI_CALL
                self._tally.next_call()
                self._tally.text(call.value.get("name"))
                self._tally.argument(call, "args", FRAMES_PER_CALL)


class ConverseReader(_Reader):
    """Visible output of Bedrock's Converse."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        content = body.at("output", "message", "content")
        self._ended(_member(body.value, "stopReason"), _CONVERSE_ENDS)
        if content is None or not isinstance(content.value, list):
            return
        self._tally.choice(0)
        for block in content.items():
            if isinstance(block.value, dict):
                self._block(block)

    def add_event(self, event: Located, name: bytes = b"") -> None:
        """Take the data of the next event of a stream, and what its framing calls it."""
        fields = event.value
        if not isinstance(fields, dict):
            return
        if name == b"contentBlockDelta":
            self._delta(fields.get("delta"))
        elif name == b"contentBlockStart":
            self._start(fields.get("start"))
        elif name == b"messageStart":
            self._tally.choice(0)
        elif name == b"messageStop":
            self._ended(fields.get("stopReason"), _CONVERSE_ENDS)
        elif name not in _CONVERSE_SILENT:
            self._tally.unseen = True

    def _block(self, block: Located) -> None:
        kinds = tuple(block.value)
        if kinds == ("text",):
            self._tally.answer(block.value["text"])
        elif kinds == ("reasoningContent",):
            self._tally.thinking = True
        elif kinds == ("toolUse",) and (use := block.member("toolUse")) is not None:
            self._tally.next_call()
            self._tally.text(_member(use.value, "name"))
            if isinstance(use.value, dict):
                self._tally.argument(use, "input", FRAMES_PER_CALL)
        else:
            self._tally.unknown = True

    def _start(self, start: object) -> None:
        if not isinstance(start, dict) or start == {}:
            return
        if tuple(start) == ("toolUse",):
            self._tally.next_call()
            self._tally.text(_member(start["toolUse"], "name"))
        else:
            self._tally.unknown = True

    def _delta(self, delta: object) -> None:
        if not isinstance(delta, dict):
            return
        kinds = tuple(delta)
        if kinds == ("text",):
            self._tally.answer(delta["text"])
        elif kinds == ("reasoningContent",):
            self._tally.thinking = True
        elif kinds == ("toolUse",):
            self._tally.text_only = False
            for _ in range(FRAMES_PER_CALL):
                self._tally.text(_member(delta["toolUse"], "input"))
        else:
            self._tally.unknown = True


class CohereReader(_Reader):
    """Visible output of Cohere's chat; embeddings and rankings have none."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        message = _member(body.value, "message")
        self._ended(_member(body.value, "finish_reason"), _COHERE_ENDS)
        if not isinstance(message, dict):
            return
        self._tally.choice(0)
        self._tally.unknown |= is_filled(message.get("tool_calls"))
        self._tally.unknown |= is_filled(message.get("tool_plan"))
        self._tally.unseen |= is_filled(message.get("citations"))
        content = message.get("content")
        for block in content if isinstance(content, list) else [content]:
            if isinstance(block, dict):
                self._block(block, block.get("type"))
            else:
                self._tally.answer(block)

    def add_event(self, event: Located) -> None:
        """Take the data of the next event of a stream."""
        fields = event.value if isinstance(event.value, dict) else {}
        kind = fields.get("type")
        content = _member(fields, "delta", "message", "content")
        block = content if isinstance(content, dict) else {}
        if kind == "content-delta":
            self._tally.answer(block.get("text"))
            self._tally.thinking |= is_filled(block.get("thinking"))
        elif kind == "content-start":
            self._block(block, block.get("type"))
        elif kind == "message-start":
            self._tally.choice(0)
        elif isinstance(kind, str) and kind.startswith("tool-"):
            self._tally.unknown = True
        elif kind not in _COHERE_SILENT:
            self._tally.unseen = True
        self._ended(_member(fields, "delta", "finish_reason"), _COHERE_ENDS)

    def _block(self, block: dict[str, Any], kind: object) -> None:
        if kind == "text":
            self._tally.answer(block.get("text"))
        elif kind == "thinking":
            self._tally.thinking = True
        else:
            self._tally.unknown = True


class OllamaReader(_Reader):
    """Visible output of Ollama's chat, whose answers and lines are alike."""

    def add_body(self, body: Located) -> None:
        """Take the whole body of a call that was not streamed."""
        self.add_event(body)

    def add_event(self, event: Located) -> None:
        """Take the data of the next line of a stream."""
        fields = event.value if isinstance(event.value, dict) else {}
        self._ended(fields.get("done_reason"), _OLLAMA_ENDS)
        self._take(fields)

    def _take(self, fields: dict[str, Any]) -> None:
        if isinstance(message := fields.get("message"), dict):
            self._tally.choice(0)
            self._message(message, "content", "images")

    def _message(self, message: dict[str, Any], text: str, picture: str) -> None:
        """Take what a message or line holds, whose text and picture have these names."""
        self._tally.answer(message.get(text))
        self._tally.thought(message.get("thinking"))
        self._tally.thinking |= is_filled(message.get("thinking"))
        self._tally.unknown |= is_filled(message.get("tool_calls"))
        self._tally.unknown |= is_filled(message.get(picture))


class OllamaTextReader(OllamaReader):
    """Visible output of Ollama's generate."""

    def _take(self, fields: dict[str, Any]) -> None:
        if isinstance(fields.get("response"), str):
            self._tally.choice(0)
        self._message(fields, "response", "image")


def _thoughts_are_beside(usage: dict[str, Any]) -> bool:
    """Return whether thoughts that were counted are surely no part of the candidates' count."""
    counts = [count for name in _GEMINI_SUM if type(count := usage.get(name)) is int]
    thoughts = usage.get("thoughtsTokenCount")
    if type(thoughts) is not int or thoughts == 0:
        return True
    total = usage.get("totalTokenCount")
    return type(total) is int and total == sum(counts)


def _member(holder: object, *path: str) -> object:
    for name in path:
        holder = holder.get(name) if isinstance(holder, dict) else None
    return holder


def _items(holder: Located, *path: str) -> tuple[Located, ...]:
    found = holder.at(*path)
    return () if found is None else found.items()
