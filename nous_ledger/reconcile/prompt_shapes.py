"""What the model was given to read, found in the request: text, images, tools.

A request is *closed* if everything that the model reads, but for what a provider adds
of its own, stands in it as text or as an image. Only then can its bytes bound the
tokens of the prompt. A part that is not known here, a file, an earlier response, a tool
that the provider runs: each leaves the request open, and then nothing is bounded.

Spec:
    PROTOCOL.md BND-12, BND-16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from nous_ledger.protocol.registries import API
from nous_ledger.reconcile.tally import utf8_length

MAX_IMAGES: Final = 256
"""Most images of a request that is read; one with more is open."""

_OPENING: Final = frozenset(
    (
        *("web_search_options", "data_sources", "search_parameters", "plugins"),
        *("previous_response_id", "conversation", "mcp_servers", "container", "images"),
        *("cachedContent", "cached_content", "promptVariables"),
    )
)


class OpenRequestError(Exception):
    """The model reads more than stands in the request, or what is not known here."""


class Prompt:
    """What a closed request gives to read.

    Attributes:
        texts: strings in the order of the request, where a formula may count them.
        messages: how many messages there are.
        names: how many of them have a name.
        parts: texts that are parts of a longer content.
        images: detail and data of each image; the data is None behind a URL.
        videos: data of each video.
        plain: there is nothing but messages of text.
        tools: tools are described.
    """

    __slots__ = ("images", "messages", "names", "parts", "plain", "texts", "tools", "videos")

    def __init__(self) -> None:
        """Start with nothing."""
        self.texts: list[str] = []
        self.messages = 0
        self.names = 0
        self.parts = 0
        self.images: list[tuple[str, str | None]] = []
        self.videos: list[str] = []
        self.plain = True
        self.tools = False

    def image(self, detail: object, data: str | None) -> None:
        """Take an image."""
        self.plain = False
        self.images.append((detail if isinstance(detail, str) else "auto", data))
        self._check()

    def video(self, data: str) -> None:
        """Take a video."""
        self.plain = False
        self.videos.append(data)
        self._check()

    def _check(self) -> None:
        if len(self.images) + len(self.videos) > MAX_IMAGES:
            raise OpenRequestError

    def text(self, value: object) -> None:
        """Take a string.

        Raises:
            OpenRequestError: it is something else.
        """
        if not isinstance(value, str):
            raise OpenRequestError
        self.texts.append(value)

    @property
    def media_bytes(self) -> int:
        """UTF-8 bytes of all data of images and videos."""
        return sum(utf8_length(data) for _, data in self.images) + sum(
            map(utf8_length, self.videos)
        )


def read_prompt(api: int, fields: Mapping[str, Any]) -> Prompt | None:
    """Return what a request gives to read, None if it is open.

    Args:
        api: wire format.
        fields: members of the request body.
    """
    reader = _READERS.get(api)
    if reader is None:
        return None
    if not _OPENING.isdisjoint(fields) and any(fields.get(name) for name in _OPENING):
        return None
    prompt = Prompt()
    try:
        reader(prompt, fields)
    except OpenRequestError:
        return None
    return prompt


def _objects(value: object) -> Iterable[dict[str, Any]]:
    """Return the objects of an array; null has none, anything else leaves it open."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise OpenRequestError
    return value


def _present(item: dict[str, Any]) -> set[str]:
    """Return the names of members; null is as good as none."""
    return {name for name, value in item.items() if value is not None}


def _required(fields: Mapping[str, Any], name: str) -> object:
    if fields.get(name) is None:
        raise OpenRequestError
    return fields[name]


def _typed_tools(prompt: Prompt, tools: object, own: tuple[str | None, ...]) -> None:
    for tool in _objects(tools):
        prompt.tools, prompt.plain = True, False
        if tool.get("type") not in own:
            raise OpenRequestError


def _member_tools(prompt: Prompt, tools: object, own: frozenset[str]) -> None:
    for tool in _objects(tools):
        prompt.tools, prompt.plain = True, False
        if not _present(tool) <= own:
            raise OpenRequestError


# openai.chat, mistral.chat, cohere.v2, ollama.chat -----------------------------------

_CHAT_MEMBERS: Final = frozenset({"role", "content", "name"})
_BESIDE_PLAIN: Final = frozenset(
    {"tool_choice", "functions", "function_call", "response_format", "documents"}
)


def _chat(prompt: Prompt, fields: Mapping[str, Any]) -> None:
    _typed_tools(prompt, fields.get("tools"), ("function", "custom"))
    functions = tuple(_objects(fields.get("functions")))
    prompt.tools |= bool(functions)
    if not _BESIDE_PLAIN.isdisjoint(fields):
        prompt.plain &= not any(fields.get(name) for name in _BESIDE_PLAIN)
    for message in _objects(_required(fields, "messages")):
        _chat_message(prompt, message)


def _chat_message(prompt: Prompt, message: dict[str, Any]) -> None:
    if message.get("audio") or message.get("images"):
        raise OpenRequestError
    prompt.messages += 1
    if not message.keys() <= _CHAT_MEMBERS:
        beside = message.keys() - _CHAT_MEMBERS
        prompt.plain &= not any(message[name] for name in beside)
    prompt.text(message.get("role"))
    if message.get("name") is not None:
        prompt.text(message["name"])
        prompt.names += 1
    content = message.get("content")
    if not isinstance(content, list):
        if content is not None:
            prompt.text(content)
        return
    for part in _objects(content):
        match part.get("type"):
            case "text" | "refusal" | "thinking":
                prompt.parts += 1
                prompt.plain &= part["type"] == "text"
                if part["type"] != "thinking":
                    prompt.text(part.get(part["type"]))
            case "image_url":
                image = part.get("image_url")
                found = image if isinstance(image, dict) else {"url": image}
                prompt.image(found.get("detail"), _of_url(found.get("url")))
            case _:
                raise OpenRequestError


def _of_url(url: object) -> str | None:
    """Return the data that a URL holds, None if it leads elsewhere."""
    if not isinstance(url, str):
        raise OpenRequestError
    return url if url.startswith("data:") else None


# openai.responses --------------------------------------------------------------------

# Tuples: a type may be any JSON value, and a set cannot be asked for a list.
_ITEMS: Final = ("function_call", "custom_tool_call", "reasoning")
_RESULTS: Final = ("function_call_output", "custom_tool_call_output")
_TEXT_PARTS: Final = ("input_text", "output_text", "refusal", "text")


def _responses(prompt: Prompt, fields: Mapping[str, Any]) -> None:
    _typed_tools(prompt, fields.get("tools"), ("function", "custom"))
    if fields.get("prompt") is not None:
        raise OpenRequestError
    given, told = _required(fields, "input"), fields.get("instructions")
    if told is not None and not isinstance(told, str):
        raise OpenRequestError
    if isinstance(given, str):
        return
    for item in _objects(given):
        kind = item.get("type")
        if kind in (None, "message"):
            _response_parts(prompt, item.get("content"))
        elif kind in _RESULTS:
            _response_parts(prompt, item.get("output"))
        elif kind not in _ITEMS:
            raise OpenRequestError


def _response_parts(prompt: Prompt, content: object) -> None:
    if isinstance(content, str):
        return
    for part in _objects(content):
        if part.get("type") == "input_image" and part.get("file_id") is None:
            prompt.image(part.get("detail"), _of_url(part.get("image_url")))
        elif part.get("type") not in _TEXT_PARTS:
            raise OpenRequestError


# anthropic.messages ------------------------------------------------------------------

_BLOCKS: Final = ("text", "thinking", "redacted_thinking", "tool_use")


def _messages(prompt: Prompt, fields: Mapping[str, Any]) -> None:
    _typed_tools(prompt, fields.get("tools"), (None, "custom"))
    _blocks(prompt, fields.get("system"))
    for message in _objects(_required(fields, "messages")):
        _blocks(prompt, message.get("content"))


def _blocks(prompt: Prompt, content: object, *, within: bool = False) -> None:
    if isinstance(content, str):
        return
    for block in _objects(content):
        kind = block.get("type")
        if kind == "tool_result" and not within:
            _blocks(prompt, block.get("content"), within=True)
        elif kind == "image":
            source = block.get("source")
            _image_source(prompt, source if isinstance(source, dict) else {})
        elif kind not in _BLOCKS:
            raise OpenRequestError


def _image_source(prompt: Prompt, source: dict[str, Any]) -> None:
    match source.get("type"):
        case "base64" if isinstance(source.get("data"), str):
            prompt.image(None, source["data"])
        case "url":
            prompt.image(None, None)
        case _:
            raise OpenRequestError


# gemini.generate ---------------------------------------------------------------------

_PART_MEMBERS: Final = frozenset(
    (
        *("text", "thought", "thoughtSignature", "thought_signature", "functionCall"),
        *("function_call", "functionResponse", "function_response"),
    )
)
_INLINE: Final = ("inlineData", "inline_data")
_BESIDE_MEDIA: Final = frozenset({"videoMetadata", "video_metadata"})
_DECLARED: Final = frozenset({"functionDeclarations", "function_declarations"})


def _gemini(prompt: Prompt, fields: Mapping[str, Any]) -> None:
    _member_tools(prompt, fields.get("tools"), _DECLARED)
    _required(fields, "contents")
    for name in ("contents", "systemInstruction", "system_instruction"):
        given = fields.get(name)
        for content in _objects([given] if isinstance(given, dict) else given):
            for part in _objects(content.get("parts")):
                _gemini_part(prompt, part)


def _gemini_part(prompt: Prompt, part: dict[str, Any]) -> None:
    found = _present(part)
    inline = [part[name] for name in _INLINE if name in found]
    if len(inline) > 1 or not found <= _PART_MEMBERS | _BESIDE_MEDIA.union(_INLINE):
        raise OpenRequestError
    if inline:
        held = inline[0] if isinstance(inline[0], dict) else {}
        kind = held.get("mimeType", held.get("mime_type"))
        media, data = str(kind).partition("/")[0], held.get("data")
        if media not in ("image", "video") or not isinstance(data, str):
            raise OpenRequestError
        if media == "image":
            prompt.image(None, data)
        else:
            prompt.video(data)
    elif not _BESIDE_MEDIA.isdisjoint(found):
        raise OpenRequestError
    for name in ("functionResponse", "function_response"):
        if isinstance(told := part.get(name), dict) and told.get("parts"):
            raise OpenRequestError


# bedrock.converse --------------------------------------------------------------------

_CONVERSE_PARTS: Final = frozenset(
    {"text", "toolUse", "toolResult", "cachePoint", "reasoningContent", "guardContent"}
)
_RESULT_PARTS: Final = frozenset({"text", "json"})


def _converse(prompt: Prompt, fields: Mapping[str, Any]) -> None:
    config = fields.get("toolConfig")
    tools = config.get("tools") if isinstance(config, dict) else config
    _member_tools(prompt, tools, frozenset({"toolSpec", "cachePoint"}))
    blocks = list(_objects(fields.get("system")))
    for message in _objects(_required(fields, "messages")):
        blocks += _objects(message.get("content"))
    for block in blocks:
        held = block.get("toolResult")
        found = held.get("content") if isinstance(held, dict) else None
        if not _present(block) <= _CONVERSE_PARTS or not all(
            _present(part) <= _RESULT_PARTS for part in _objects(found)
        ):
            raise OpenRequestError


# openai.completions, openai.embeddings, ollama.generate ------------------------------


def _bare(prompt: Prompt, fields: Mapping[str, Any]) -> None:
    """Take a text, texts, token numbers, or lists of these."""
    _typed_tools(prompt, fields.get("tools"), ("function", "custom"))
    given = fields.get("prompt") if fields.get("input") is None else fields["input"]
    for item in given if isinstance(given, list) else (given,):
        within = item if isinstance(item, list) else (item,)
        if not all(isinstance(part, str) or type(part) is int for part in within):
            raise OpenRequestError
    prompt.plain = False


_Reader = Callable[[Prompt, Mapping[str, Any]], None]
_READERS: Final[Mapping[int, _Reader]] = MappingProxyType(
    {
        API["openai.chat"]: _chat,
        API["openai.responses"]: _responses,
        API["openai.completions"]: _bare,
        API["openai.embeddings"]: _bare,
        API["anthropic.messages"]: _messages,
        API["gemini.generate"]: _gemini,
        API["bedrock.converse"]: _converse,
        API["cohere.v2"]: _chat,
        API["ollama.chat"]: _chat,
        API["ollama.generate"]: _bare,
        API["mistral.chat"]: _chat,
    }
)
