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
    OllamaTextWatch,
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
        api.API_OLLAMA_GENERATE: OllamaTextWatch,
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
_JSON_SPACE: Final = b" \t\n\r"
# How the events of a stream are told apart where that is not by server-sent events.
_FRAMINGS: Final[Mapping[int, tuple[type[StreamParser], ...]]] = MappingProxyType(
    {
        api.API_GEMINI: (SseParser, ArrayParser),
        api.API_CONVERSE: (EventStreamParser,),
        api.API_OLLAMA_CHAT: (LineParser,),
        api.API_OLLAMA_GENERATE: (LineParser,),
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


def is_framing(number: int, parser: StreamParser) -> bool:
    """Return whether a parser cuts the streams of a wire format as the method bytes/1 says."""
    return type(parser) in _FRAMINGS.get(number, (SseParser,))


def parser_of(number: int, response: bytes) -> StreamParser:
    """Return a parser for a streamed response of a wire format, told by its bytes alone.

    Spec:
        PROTOCOL.md LBL-8.
    """
    if number == api.API_GEMINI:
        starts = response.lstrip(_JSON_SPACE)[:1]
        return ArrayParser() if starts in (b"[", b"{") else SseParser()
    framing, *_ = _FRAMINGS.get(number, (SseParser,))
    return framing()


def is_readable(content_type: str) -> bool:
    """Return whether a body can hold usage at all; sound and pictures cannot."""
    return not content_type.startswith(_MEDIA)
