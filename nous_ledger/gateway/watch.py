"""What the events and bodies of each wire format say about a call.

One watch per format; each knows where its format keeps the usage, the model and
the signs that an answer is over, failed or was cut short. Further formats are in
`watch_openai` and `watch_vendors`.

    openai.chat         chunks, then a usage chunk with no choices, then [DONE]
    openai.responses    events, then completed, incomplete or failed with everything
    anthropic.messages  message_start, blocks, message_delta with usage, message_stop
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from nous_ledger.gateway.usage import (
    read_chat_usage,
    read_messages_usage,
    read_responses_usage,
)
from nous_ledger.gateway.usage_sheet import UsageReading
from nous_ledger.protocol.hashing import MAX_USAGE_VALUES
from nous_ledger.reconcile.jsontext import Located
from nous_ledger.reconcile.tally import VisibleOutput, VisibleReader
from nous_ledger.reconcile.visible import ChatReader, MessagesReader, ResponsesReader

# Tuples, because what is looked up in them may be any JSON value.
_CUT_SHORT: Final = ("length", "content_filter")
_TEXT_DELTA: Final = frozenset({"role", "content"})
_MESSAGE_CUT_SHORT: Final = ("max_tokens", "model_context_window_exceeded", "refusal")
_RESPONSE_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")


class Unmeasured:
    """Output of a format for which method bytes/1 is not defined.

    Attributes:
        text_only: no part was seen that is not text.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self.text_only = True

    def add_body(self, body: Located) -> None:
        """Pass over a body."""

    def add_event(self, event: Located) -> None:
        """Pass over an event."""

    def add_text(self, length: int, text: str = "") -> None:
        """Pass over text."""

    def keep_text(self) -> None:
        """Keep nothing."""

    def result(self) -> VisibleOutput:
        """Return that nothing is known but whether it was text."""
        return VisibleOutput(
            utf8_bytes=0,
            choices=0,
            tool_calls=0,
            text_only=self.text_only,
            thinking=False,
            applicable=False,
        )


class Watch(ABC):
    """What all formats share.

    Attributes:
        model: the model that answered.
        service_tier: the tier that the upstream named.
        ended: the format's own end mark has passed.
        answered: the answer is whole, although the end mark may be missing.
        failed: an error was reported in the body.
        incomplete: a length limit or a filter cut the answer short.
        final_usages: how many usage values claimed to be the final one.
        settled: the final usage has arrived.
        visible: collects the visible output.
        event_name: what kind of event the framing of the last one says it is.
        usages: exact JSON bytes and parsed value of each usage, in arrival order.
    """

    usage_is_cumulative = False
    """Every usage value repeats the ones before, so only the first and the last are kept."""

    def __init__(self, visible: VisibleReader) -> None:
        """Start a call; `visible` collects its output."""
        self.visible = visible
        self.model: str | None = None
        self.service_tier: str | None = None
        self.ended = False
        self.answered = False
        self.failed = False
        self.incomplete = False
        self.final_usages = 0
        self.settled = False
        self.event_name = b""
        self.usages: list[tuple[bytes, object]] = []

    @abstractmethod
    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""

    def take_body(self, body: Located) -> None:
        """Read the whole body of a call that was not streamed."""
        fields = body.value
        if isinstance(fields, dict):
            if fields.get("error"):
                self.failed = True
            self._read_body(body, fields)

    def take_event(self, event: Located, name: bytes = b"") -> bool:
        """Read the data of one event; return whether it is nothing but a usage chunk.

        Args:
            event: its data.
            name: what kind of event its framing says it is.
        """
        self.event_name = name
        return isinstance(event.value, dict) and self._read_event(event, event.value)

    def only_text(self, value: object) -> tuple[bytes, str] | None:  # noqa: ARG002 - of others
        """Return the member that is all there is to an event, and its text.

        Of an event for which this is not None, another one that differs in that text
        alone would add to the visible text and change nothing else.
        """
        return None

    @abstractmethod
    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        """Read an object that is a whole body."""

    @abstractmethod
    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        """Read an object that is one event; return whether it is nothing but a usage chunk."""

    def _names(self, holder: object) -> None:
        if isinstance(holder, dict):
            if isinstance(model := holder.get("model"), str):
                self.model = model
            if isinstance(tier := holder.get("service_tier"), str):
                self.service_tier = tier

    def _usage(self, value: Located | None, *, final: bool) -> bool:
        """Keep a usage value and return whether there was one; null is none."""
        if value is None or value.value is None:
            return False
        kept = 2 if self.usage_is_cumulative else MAX_USAGE_VALUES + 1
        if len(self.usages) >= kept:
            del self.usages[kept - 1 :]  # one more than a receipt commits to shows it was more
        self.usages.append((value.wire, value.value))
        self.final_usages += final
        self.settled |= final
        return True

    def _parsed_usages(self) -> list[object]:
        return [usage[1] for usage in self.usages]


class ChatWatch(Watch):
    """OpenAI's chat completions."""

    usage_is_cumulative = True
    cut_short: tuple[str, ...] = _CUT_SHORT

    def __init__(self, visible: VisibleReader | None = None) -> None:
        """Start a call; `visible` collects its output where the format is a relative."""
        super().__init__(visible or ChatReader())
        self._open: set[object] = set()

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_chat_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._names(fields)
        self.visible.add_body(body)
        self._choices(fields.get("choices"))
        self._usage(body.member("usage"), final=True)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        self.failed |= bool(fields.get("error"))
        self._names(fields)
        choices = fields.get("choices")
        self._choices(choices)
        self.visible.add_event(event)
        if fields.get("usage") is None:
            return self._groq(event, fields)
        alone = not choices
        return self._usage(event.member("usage"), final=alone) and alone

    def only_text(self, value: object) -> tuple[bytes, str] | None:
        """Return `content` where a chunk brings nothing but that."""
        if not isinstance(value, dict):
            return None
        if value.get("usage") is not None or "x_groq" in value or value.get("error"):
            return None
        choices = value.get("choices")
        if not isinstance(choices, list) or len(choices) != 1:
            return None
        delta = choices[0].get("delta") if isinstance(choices[0], dict) else None
        if not isinstance(delta, dict) or not delta.keys() <= _TEXT_DELTA:
            return None
        text = delta.get("content")
        return (b"content", text) if isinstance(text, str) else None

    def _groq(self, event: Located, fields: dict[str, Any]) -> bool:
        """Read what Groq says beside the chunk; its last one holds the usage."""
        if isinstance(beside := fields.get("x_groq"), dict):
            self.failed |= bool(beside.get("error"))
            self.settled |= self._usage(event.at("x_groq", "usage"), final=False)
        return False

    def _choices(self, choices: object) -> None:
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            index = choice.get("index")
            key = index if type(index) is int else None
            reason = choice.get("finish_reason")
            if not isinstance(reason, str):
                self._open.add(key)
                continue
            self._open.discard(key)
            self.incomplete |= reason in self.cut_short
            self.answered = True
        self.answered &= not self._open


class MessagesWatch(Watch):
    """Anthropic's messages."""

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(MessagesReader())
        self._started = False

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_messages_usage(self._parsed_usages(), started=self._started)

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._names(fields)
        self._names({"service_tier": member(fields, "usage", "service_tier")})
        self.incomplete |= fields.get("stop_reason") in _MESSAGE_CUT_SHORT
        self.visible.add_body(body)
        self._usage(body.member("usage"), final=True)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        kind = fields.get("type")
        if kind == "message_start":
            self._start(event, fields.get("message"))
        elif kind == "message_delta":
            reason = member(fields, "delta", "stop_reason")
            self.answered |= reason is not None
            self.incomplete |= reason in _MESSAGE_CUT_SHORT
            self._usage(event.member("usage"), final=reason is not None)
        elif kind == "message_stop":
            self.ended = True
        elif kind == "error":
            self.failed = True
        else:
            self.visible.add_event(event)
        return False

    def only_text(self, value: object) -> tuple[bytes, str] | None:
        """Return `text` of an event that brings nothing but that."""
        match value:
            case {
                "type": "content_block_delta",
                "delta": {"type": "text_delta", "text": str(text), **rest},
            } if not rest:
                return b"text", text
        return None

    def _start(self, event: Located, message: object) -> None:
        self._names(message)
        self._names({"service_tier": member(message, "usage", "service_tier")})
        self.visible.add_event(event)
        first = not self.usages
        if self._usage(event.at("message", "usage"), final=False) and first:
            self._started = True


class ResponsesWatch(Watch):
    """OpenAI's responses."""

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(ResponsesReader())

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_responses_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self.visible.add_body(body)
        self._response(body, fields)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        kind = fields.get("type")
        if kind in _RESPONSE_ENDS:
            self.ended = True
            self.failed |= kind == "response.failed"
            self.incomplete |= kind == "response.incomplete"
            self.visible.add_event(event)
            response = event.member("response")
            if response is not None and isinstance(response.value, dict):
                self._response(response, response.value)
        elif kind == "response.created":
            self._names(fields.get("response"))
        elif kind == "error":
            self.failed = True
        else:
            self.visible.add_event(event)
        return False

    def _response(self, response: Located, fields: dict[str, Any]) -> None:
        self._names(fields)
        self.failed |= fields.get("status") == "failed"
        self.incomplete |= fields.get("status") in ("incomplete", "cancelled")
        self._usage(response.member("usage"), final=True)


def member(holder: object, *path: str) -> object:
    """Return what stands at the end of a path of keys, None where it breaks off."""
    for key in path:
        holder = holder.get(key) if isinstance(holder, dict) else None
    return holder
