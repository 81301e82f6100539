"""Formats of Gemini, Bedrock, Cohere and Ollama.

gemini.generate    responses, each with the usage so far; the last has a finish reason
bedrock.converse   messageStart, blocks, messageStop, then metadata with the usage
cohere.v2          events; message-end holds the usage
ollama.*           lines; the one that is done holds the counts
"""

from __future__ import annotations

from typing import Any, Final

from nous_ledger.gateway.usage_sheet import UsageReading
from nous_ledger.gateway.usage_vendors import (
    OLLAMA_COUNTS,
    read_cohere_usage,
    read_converse_usage,
    read_gemini_usage,
    read_ollama_usage,
)
from nous_ledger.gateway.watch import Watch, member
from nous_ledger.protocol.hashing import MAX_USAGE_VALUES
from nous_ledger.reconcile.jsontext import Located
from nous_ledger.reconcile.tally import VisibleReader
from nous_ledger.reconcile.visible_vendors import (
    CohereReader,
    ConverseReader,
    GeminiReader,
    OllamaReader,
    OllamaTextReader,
)

_GEMINI_CUT_SHORT: Final = (
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
)
_CONVERSE_CUT_SHORT: Final = (
    "max_tokens",
    "content_filtered",
    "guardrail_intervened",
    "model_context_window_exceeded",
)
_COHERE_CUT_SHORT: Final = ("MAX_TOKENS", "TIMEOUT")
_COHERE_FAILED: Final = ("ERROR", "ERROR_TOXIC", "ERROR_LIMIT")


class GeminiWatch(Watch):
    """Gemini's generateContent and streamGenerateContent."""

    usage_is_cumulative = True

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(GeminiReader())
        self._open: set[object] = set()

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_gemini_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._read_event(body, fields)  # the reader takes both alike
        self.settled = bool(self.usages)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        self.failed |= bool(fields.get("error"))
        self._names({"model": fields.get("modelVersion")})
        if member(fields, "promptFeedback", "blockReason") is not None:
            self.answered = self.incomplete = True
        candidates = fields.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            self._candidate(candidate)
        self.visible.add_event(event)
        if self._usage(event.member("usageMetadata"), final=False):
            self.settled |= self.answered
        return False

    def _candidate(self, candidate: object) -> None:
        index = member(candidate, "index")
        key = index if type(index) is int else 0
        reason = member(candidate, "finishReason")
        if isinstance(reason, str):
            self._open.discard(key)
            self.incomplete |= reason in _GEMINI_CUT_SHORT
            self.answered = not self._open
        elif isinstance(candidate, dict):
            self._open.add(key)
            self.answered = False


class ConverseWatch(Watch):
    """Bedrock's Converse and ConverseStream."""

    def __init__(self) -> None:
        """Start a call."""
        self._output = ConverseReader()
        super().__init__(self._output)

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_converse_usage(self._parsed_usages())

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        name = self.event_name
        self._output.add_event(event, name)
        if name == b"messageStop":
            self.answered = True
            self.incomplete |= fields.get("stopReason") in _CONVERSE_CUT_SHORT
        elif name == b"metadata":
            self.ended = True
            self._metadata(event, fields)
        return False

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self.incomplete |= fields.get("stopReason") in _CONVERSE_CUT_SHORT
        self.visible.add_body(body)
        self._metadata(body, fields)

    def _metadata(self, holder: Located, fields: dict[str, Any]) -> None:
        self._names({"model": member(fields, "trace", "promptRouter", "invokedModelId")})
        self._names({"service_tier": member(fields, "serviceTier", "type")})
        self._usage(holder.member("usage"), final=True)


class CohereWatch(Watch):
    """Cohere's version 2: chat, and embed and rerank, whose usage stands in `meta`."""

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(CohereReader())

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_cohere_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._finish(fields.get("finish_reason"))
        self.visible.add_body(body)
        self._usage(body.member("usage") or body.member("meta"), final=True)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        self.visible.add_event(event)
        if fields.get("type") == "message-end":
            self.ended = True
            self._finish(member(fields, "delta", "finish_reason"))
            self.failed |= bool(member(fields, "delta", "error"))
            self._usage(event.at("delta", "usage"), final=True)
        return False

    def only_text(self, value: object) -> tuple[bytes, str] | None:
        """Return `text` of an event that brings nothing but that."""
        match value:
            case {"type": "content-delta", "delta": {"message": {"content": {"text": str(text)}}}}:
                return b"text", text
        return None

    def _finish(self, reason: object) -> None:
        self.incomplete |= reason in _COHERE_CUT_SHORT
        self.failed |= reason in _COHERE_FAILED


class OllamaWatch(Watch):
    """Ollama's chat."""

    def __init__(self, visible: VisibleReader | None = None) -> None:
        """Start a call; `visible` collects its output where the format is a relative."""
        super().__init__(visible or OllamaReader())

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_ollama_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._read_event(body, fields)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        self.failed |= bool(fields.get("error"))
        self._names(fields)
        self.visible.add_event(event)
        if fields.get("done") is True:
            self.ended = True
            self.incomplete |= fields.get("done_reason") == "length"
            self._counts(event)
        return False

    def _counts(self, line: Located) -> None:
        """Keep the two counts, each with its name: there is no usage object."""
        for name in OLLAMA_COUNTS:
            count = line.member(name)
            if count is not None and count.value is not None:
                wire = b'"%s":%s' % (name.encode(), count.wire)
                self.usages.append((wire, {name: count.value}))
                self.settled = True
        del self.usages[MAX_USAGE_VALUES + 1 :]


class OllamaTextWatch(OllamaWatch):
    """Ollama's generate."""

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(OllamaTextReader())
