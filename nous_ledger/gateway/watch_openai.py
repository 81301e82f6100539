"""Formats of OpenAI's family beside chat, responses and messages.

openai.completions   chunks as of chat, with text instead of a message
openai.embeddings    one body
openai.images        one body, or events of which the completed ones hold usage
openai.audio         one body, or events of which the done one holds usage
mistral.chat         chunks as of chat; the last one holds the usage
"""

from __future__ import annotations

from typing import Any, Final

from nous_ledger.gateway.usage import read_audio_usage, read_chat_usage, read_responses_usage
from nous_ledger.gateway.usage_sheet import UsageReading
from nous_ledger.gateway.watch import ChatWatch, Unmeasured, Watch, member
from nous_ledger.reconcile.jsontext import Located
from nous_ledger.reconcile.visible_openai import CompletionsReader, MistralReader

_MISTRAL_CUT_SHORT: Final = ("length", "model_length", "content_filter")


class CompletionsWatch(ChatWatch):
    """OpenAI's text completions."""

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(CompletionsReader())

    def only_text(self, value: object) -> tuple[bytes, str] | None:
        """Return `text` where a chunk of one choice brings nothing but that."""
        if not isinstance(value, dict) or value.get("usage") is not None:
            return None
        if "x_groq" in value or value.get("error"):
            return None
        match value.get("choices"):
            case [{"text": str(text)}]:
                return b"text", text
        return None


class MistralWatch(ChatWatch):
    """Mistral's chat, fill-in-the-middle and agents."""

    cut_short = _MISTRAL_CUT_SHORT

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(MistralReader())

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        super()._read_event(event, fields)
        self.settled |= self.answered and fields.get("usage") is not None
        return False  # usage is sent to every client, so no chunk is kept from it

    def _choices(self, choices: object) -> None:
        super()._choices(choices)
        for choice in choices if isinstance(choices, list) else ():
            self.failed |= member(choice, "finish_reason") == "error"


class EmbeddingsWatch(Watch):
    """OpenAI's embeddings."""

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(Unmeasured())

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_chat_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._names(fields)
        self._usage(body.member("usage"), final=True)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:  # noqa: ARG002 - there are none
        self.failed |= bool(fields.get("error"))
        return False


class ImagesWatch(Watch):
    """OpenAI's images."""

    ends: tuple[str, ...] = ("image_generation.completed", "image_edit.completed")

    def __init__(self) -> None:
        """Start a call."""
        super().__init__(Unmeasured())

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_responses_usage(self._parsed_usages())

    def _read_body(self, body: Located, fields: dict[str, Any]) -> None:
        self._names(fields)
        self._usage(body.member("usage"), final=True)

    def _read_event(self, event: Located, fields: dict[str, Any]) -> bool:
        self._names(fields)
        kind = fields.get("type")
        self.failed |= kind == "error" or bool(fields.get("error"))
        if kind in self.ends:
            self.answered = True
            self._usage(event.member("usage"), final=True)
        return False


class AudioWatch(ImagesWatch):
    """OpenAI's transcriptions, translations and speech."""

    ends = ("transcript.text.done", "speech.audio.done")

    def usage_reading(self) -> UsageReading:
        """Return what the usage values say."""
        return read_audio_usage(self._parsed_usages())
