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
from nous_ledger.gateway.watch import Unmeasured, Watch, member
from nous_ledger.protocol.hashing import MAX_USAGE_VALUES
from nous_ledger.reconcile.jsontext import Located

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
_GEMINI_TEXT: Final = frozenset({"text", "thought", "thoughtSignature"})
_CONVERSE_CUT_SHORT: Final = (
    "max_tokens",
    "content_filtered",
    "guardrail_intervened",
    "model_context_window_exceeded",
)
_CONVERSE_TEXT: Final = frozenset({"text", "reasoningContent", "citation", "citationsContent"})
_COHERE_CUT_SHORT: Final = ("MAX_TOKENS", "TIMEOUT")
_COHERE_FAILED: Final = ("ERROR", "ERROR_TOXIC", "ERROR_LIMIT")


class _Vendor(Watch):
    """What these formats share: their output is not measured."""

    def __init__(self) -> None:
        """Start a call."""
        self._parts = Unmeasured()
        super().__init__(self._parts)

    def _part(self, part: object, text: frozenset[str]) -> None:
        """Note whether a part of the output is anything but text."""
        if isinstance(part, dict):
            self._parts.text_only &= part.keys() <= text


class GeminiWatch(_Vendor):
    """Gemini's generateContent and streamGenerateContent."""

    usage_is_cumulative = True

    def __init__(self) -> None:
        """Start a call."""
        super().__init__()
        self._open: set[object] = set()

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_gemini_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._read_event(body, fields)
        self.settled = bool(self.usages)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        self.failed |= bool(fields.get("error"))
        self._names({"model": fields.get("modelVersion")})
        if member(fields, "promptFeedback", "blockReason") is not None:
            self.answered = self.incomplete = True
        candidates = fields.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            self._candidate(candidate)
        if self._usage(event.member("usageMetadata"), final=False):
            self.settled |= self.answered
        return False

    def _candidate(self, candidate: object) -> None:
        parts = member(candidate, "content", "parts")
        for part in parts if isinstance(parts, list) else ():
            self._part(part, _GEMINI_TEXT)
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


class ConverseWatch(_Vendor):
    """Bedrock's Converse and ConverseStream."""

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_converse_usage(self._parsed_usages())

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        name = self.event_name
        if name == b"contentBlockStart":
            self._part(fields.get("start"), _CONVERSE_TEXT)
        elif name == b"contentBlockDelta":
            self._part(fields.get("delta"), _CONVERSE_TEXT)
        elif name == b"messageStop":
            self.answered = True
            self.incomplete |= fields.get("stopReason") in _CONVERSE_CUT_SHORT
        elif name == b"metadata":
            self.ended = True
            self._metadata(event, fields)
        return False

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self.incomplete |= fields.get("stopReason") in _CONVERSE_CUT_SHORT
        content = member(fields, "output", "message", "content")
        for part in content if isinstance(content, list) else ():
            self._part(part, _CONVERSE_TEXT)
        self._metadata(body, fields)

    def _metadata(self, holder: Located, fields: dict[str, Any]) -> None:
        self._names({"model": member(fields, "trace", "promptRouter", "invokedModelId")})
        self._names({"service_tier": member(fields, "serviceTier", "type")})
        self._usage(holder.member("usage"), final=True)


class CohereWatch(_Vendor):
    """Cohere's version 2: chat, and embed and rerank, whose usage stands in `meta`."""

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_cohere_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._finish(fields.get("finish_reason"))
        self._parts.text_only &= not member(fields, "message", "tool_calls")
        self._usage(body.member("usage") or body.member("meta"), final=True)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        kind = fields.get("type")
        if kind == "message-end":
            self.ended = True
            self._finish(member(fields, "delta", "finish_reason"))
            self.failed |= bool(member(fields, "delta", "error"))
            self._usage(event.at("delta", "usage"), final=True)
        elif kind == "tool-call-start":
            self._parts.text_only = False
        return False

    def _finish(self, reason: object) -> None:
        self.incomplete |= reason in _COHERE_CUT_SHORT
        self.failed |= reason in _COHERE_FAILED


class OllamaWatch(_Vendor):
    """Ollama's chat and generate."""

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_ollama_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._read_event(body, fields)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        self.failed |= bool(fields.get("error"))
        self._names(fields)
        self._parts.text_only &= not member(fields, "message", "tool_calls")
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
