"""Which watch reads a wire format, and which parser cuts its streams."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from nous_ledger.gateway import providers as api
from nous_ledger.gateway.eventstream import EventStreamParser
from nous_ledger.gateway.framing import StreamParser
from nous_ledger.gateway.jsonarray import ArrayParser
from nous_ledger.gateway.jsonlines import LineParser
from nous_ledger.gateway.sse import SseParser
from nous_ledger.gateway.watch import ChatWatch, MessagesWatch, ResponsesWatch, Watch
from nous_ledger.gateway.watch_openai import (
    AudioWatch,
    CompletionsWatch,
    EmbeddingsWatch,
    ImagesWatch,
    MistralWatch,
)
from nous_ledger.gateway.watch_vendors import (
    CohereWatch,
    ConverseWatch,
    GeminiWatch,
    OllamaWatch,
)

_WATCHES: Final[Mapping[int, Callable[[], Watch]]] = MappingProxyType(
    {
        api.API_CHAT: ChatWatch,
        api.API_RESPONSES: ResponsesWatch,
        api.API_COMPLETIONS: CompletionsWatch,
        api.API_EMBEDDINGS: EmbeddingsWatch,
        api.API_IMAGES: ImagesWatch,
        api.API_AUDIO: AudioWatch,
        api.API_MESSAGES: MessagesWatch,
        api.API_GEMINI: GeminiWatch,
        api.API_CONVERSE: ConverseWatch,
        api.API_COHERE: CohereWatch,
        api.API_OLLAMA_CHAT: OllamaWatch,
        api.API_OLLAMA_GENERATE: OllamaWatch,
        api.API_MISTRAL: MistralWatch,
    }
)
_PARSERS: Final[Mapping[str, Callable[[], StreamParser]]] = MappingProxyType(
    {
        "text/event-stream": SseParser,
        "application/x-ndjson": LineParser,
        "application/ndjson": LineParser,
        "application/jsonl": LineParser,
        "application/vnd.amazon.eventstream": EventStreamParser,
    }
)
_MEDIA: Final = ("audio/", "image/", "video/")


def make_watch(number: int) -> Watch | None:
    """Return a watch for a wire format, None if it is not metered."""
    make = _WATCHES.get(number)
    return make() if make else None


def make_parser(content_type: str, *, is_stream: bool) -> StreamParser | None:
    """Return a parser for a stream, None if the body is no stream.

    Args:
        content_type: of the response, without parameters, in lower case.
        is_stream: the call asked for a stream, so plain JSON is an array that grows.
    """
    if content_type in _PARSERS:
        return _PARSERS[content_type]()
    return ArrayParser() if is_stream and content_type == "application/json" else None


def is_readable(content_type: str) -> bool:
    """Return whether a body can hold usage at all; sound and pictures cannot."""
    return not content_type.startswith(_MEDIA)
