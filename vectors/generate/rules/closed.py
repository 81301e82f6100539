"""Closed requests (BND-12), and the range that their bytes give (BND-15), read naively.

Images are those of a model without formula: their data counts for nothing.
"""

import json
from collections.abc import Iterator
from typing import Any

from vectors.generate.rules.decisions_input import OPENING, OpenError, bounded
from vectors.generate.rules.terms import own_tools

Json = dict[str, Any]
MOST_MEDIA = 256
RESULTS = {"function_call_output": "output", "custom_tool_call_output": "output"}
QUIET = ("function_call", "custom_tool_call", "reasoning")
GEMINI_PARTS = "text thought thoughtSignature thought_signature functionCall function_call"
GEMINI_RESULTS = ("functionResponse", "function_response")
CONVERSE_PARTS = "text toolUse toolResult cachePoint reasoningContent guardContent"


def label(case: Json) -> list[Json]:
    """Return the labels of what was reported of the input, by the request alone."""
    counts = dict(case["reported"])
    found = [{"kind": kind, "reported": n, "label": "UNVERIFIABLE"} for kind, n in counts.items()]
    try:
        request = json.loads(case["request"])
        images, videos = media_of(case["api"], request)
    except OpenError:
        return found
    if (images and 33 not in counts) or (videos and 34 not in counts):
        return found
    data = sum(len(one.encode()) for one in (*images, *videos) if one is not None)
    config = request.get("toolConfig") or {}
    tools = config.get("tools") if case["api"] == 9 else request.get("tools")
    functions = request.get("functions") if case["api"] in (1, 10, 11, 13) else None
    most = max(0, len(case["request"].encode()) - data) + (600 if tools or functions else 0)
    whole = sum(tokens for kind, tokens in counts.items() if kind <= 8)
    for bucket in found:
        if bucket["kind"] <= 8 and whole <= most:
            others = whole - bucket["reported"] if bucket["kind"] in (1, 8) else 0
            bucket.update(bounded(0, most - others, "prompt-bytes/1"))
    return found


def media_of(api: int, request: Any) -> tuple[list[str | None], list[str]]:
    """Return the data of images and of videos, None for that of a URL elsewhere.

    Raises:
        OpenError: the model reads more than stands in the request.
    """
    _need(isinstance(request, dict))
    _need(not any(request.get(name) for name in OPENING.split()))
    config = request.get("toolConfig")
    tools = config.get("tools") if api == 9 and isinstance(config, dict) else request.get("tools")
    _need(tools is None or isinstance(tools, list))
    _need(own_tools(1 if api in (4, 10) else api, tools))
    readers = {2: _responses, 3: _bare, 4: _bare, 7: _claude, 8: _gemini, 9: _bedrock, 12: _bare}
    found = list(readers.get(api, _chat)(request))
    _need(len(found) <= MOST_MEDIA)
    images = [data for kind, data in found if kind == "image"]
    return images, [data or "" for kind, data in found if kind == "video"]


Media = Iterator[tuple[str, str | None]]


def _need(holds: Any) -> None:
    if not holds:
        raise OpenError


def _all(value: Any) -> list[Json]:
    """Return the objects of an array."""
    value = [] if value is None else value
    _need(isinstance(value, list) and all(isinstance(one, dict) for one in value))
    return list(value)


def _url(url: Any) -> tuple[str, str | None]:
    _need(isinstance(url, str))
    return "image", url if url.startswith("data:") else None


def _members(part: Json) -> set[str]:
    return {name for name, value in part.items() if value is not None}


def _chat(request: Json) -> Media:
    _all(request.get("functions"))
    _need(request.get("messages") is not None)
    for message in _all(request["messages"]):
        _need(isinstance(message.get("role"), str))
        _need(message.get("name") is None or isinstance(message["name"], str))
        _need(not message.get("audio") and not message.get("images"))
        content = message.get("content")
        for part in [] if isinstance(content, str) else _all(content):
            kind = part.get("type")
            _need(kind in ("text", "refusal", "thinking", "image_url"))
            if kind in ("text", "refusal"):
                _need(isinstance(part.get(kind), str))
            elif kind == "image_url":
                image = part.get("image_url")
                yield _url(image.get("url") if isinstance(image, dict) else image)


def _responses(request: Json) -> Media:
    _need(request.get("prompt") is None)
    _need(request.get("instructions") is None or isinstance(request["instructions"], str))
    _need(request.get("input") is not None)
    items = request["input"]
    for item in [] if isinstance(items, str) else _all(items):
        kind = item.get("type")
        _need(kind in (None, "message", *RESULTS, *QUIET))
        content = None if kind in QUIET else item.get(RESULTS.get(kind or "", "content"))
        for part in [] if isinstance(content, str) else _all(content):
            if part.get("type") == "input_image":
                _need(part.get("file_id") is None)
                yield _url(part.get("image_url"))
            else:
                _need(part.get("type") in ("input_text", "output_text", "refusal", "text"))


def _bare(request: Json) -> Media:
    given = request.get("input") if request.get("input") is not None else request.get("prompt")
    lists = given if isinstance(given, list) else [given]
    flat = [part for one in lists for part in (one if isinstance(one, list) else [one])]
    _need(all(isinstance(part, str) or type(part) is int for part in flat))
    yield from ()


def _claude(request: Json) -> Media:
    _need(request.get("messages") is not None)
    contents = [request.get("system")]
    contents += [message.get("content") for message in _all(request["messages"])]
    for content in contents:
        yield from _blocks(content, results=True)


def _blocks(content: Any, *, results: bool) -> Media:
    for block in [] if isinstance(content, str) else _all(content):
        kind = block.get("type")
        if kind == "tool_result" and results:
            yield from _blocks(block.get("content"), results=False)
        elif kind == "image":
            source = block.get("source") or {}
            _need(isinstance(source, dict) and source.get("type") in ("base64", "url"))
            data = source.get("data") if source["type"] == "base64" else None
            _need(source["type"] == "url" or isinstance(data, str))
            yield "image", data
        else:
            _need(kind in ("text", "thinking", "redacted_thinking", "tool_use"))


def _gemini(request: Json) -> Media:
    _need(request.get("contents") is not None)
    for name in ("contents", "systemInstruction", "system_instruction"):
        given = request.get(name)
        for content in [given] if isinstance(given, dict) else _all(given):
            for part in _all(content.get("parts")):
                yield from _gemini_part(part)


def _gemini_part(part: Json) -> Media:
    names = _members(part)
    inline = [part[name] for name in ("inlineData", "inline_data") if name in names]
    about = {"videoMetadata", "video_metadata"}
    known = {*GEMINI_PARTS.split(), *GEMINI_RESULTS, "inlineData", "inline_data"}
    _need(len(inline) <= 1 and names <= known | about and (inline or not names & about))
    for name in GEMINI_RESULTS:
        _need(not isinstance(part.get(name), dict) or not part[name].get("parts"))
    for held in inline:
        _need(isinstance(held, dict) and isinstance(held.get("data"), str))
        kind, slash, _ = str(held.get("mimeType", held.get("mime_type"))).partition("/")
        _need(slash and kind in ("image", "video"))
        yield kind, held["data"]


def _bedrock(request: Json) -> Media:
    _need(request.get("messages") is not None)
    blocks = _all(request.get("system"))
    for message in _all(request["messages"]):
        blocks += _all(message.get("content"))
    for block in blocks:
        _need(_members(block) <= set(CONVERSE_PARTS.split()))
        result = block.get("toolResult")
        for part in _all(result.get("content")) if isinstance(result, dict) else []:
            _need(_members(part) <= {"text", "json"})
    yield from ()
